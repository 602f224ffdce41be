//! What the program tells its caller by its exit code. The one place that lists the codes.

use std::process::ExitCode;

use oxide_core::outcome::Status;

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0: what was asked was done; a run ended with success or only with allowed failures.
    Success,
    /// 1: the run ended with failure or timeout.
    RunFailed,
    /// 2: the command line cannot be used.
    Usage,
    /// 3: the pipeline cannot be used: its text, its plugins or its grants.
    InvalidPipeline,
    /// 4: something around the pipeline is in the way: a file, the database, the machine.
    Trouble,
    /// 130: cancelled with Ctrl-C.
    Cancelled,
}

/// The codes as the help shows them.
pub const HELP: &str = "\
Exit codes:
  0    done; a run succeeded, or only allowed failures happened
  1    the run failed or took too long
  2    the command line cannot be used
  3    the pipeline cannot be used
  4    something around it is in the way: a file, the database, the machine
  130  cancelled with Ctrl-C";

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(match exit {
            Exit::Success => 0,
            Exit::RunFailed => 1,
            Exit::Usage => 2,
            Exit::InvalidPipeline => 3,
            Exit::Trouble => 4,
            Exit::Cancelled => 130,
        })
    }
}

impl Exit {
    /// The exit code of a run that ended so.
    pub fn of_run(status: Status) -> Exit {
        match status {
            Status::Success | Status::Warning | Status::Skipped => Exit::Success,
            Status::Cancelled => Exit::Cancelled,
            _ => Exit::RunFailed,
        }
    }
}
