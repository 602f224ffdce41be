//! Does one bad or probing thing, as told: the tests of limits, grants and containment run it.
//!
//! Here is the table of acts; [`abuse`] uses up what it can, [`probe`] tries what it was not granted.

mod abuse;
mod probe;

use oxide::ci::types::Error;

wit_bindgen::generate!({ path: ["../../../wit", "wit"], world: "test:hostile/hostile", generate_all });

struct Hostile;

export!(Hostile);

impl Guest for Hostile {
    fn run(inputs: Inputs) -> Result<Outputs, Failure> {
        let amount = inputs.amount;
        let path = inputs.path.as_deref().unwrap_or(".");
        let text = inputs.text.as_deref().unwrap_or("");
        let result = match inputs.act {
            Act::Ok => Ok(text.to_owned()),
            Act::Loop => abuse::loop_for_ever(),
            Act::Memory => abuse::memory(amount),
            Act::Boxes => abuse::boxes(amount),
            Act::FloodLog => abuse::flood_log(amount),
            Act::FloodStdout => abuse::flood_stdout(amount),
            Act::Panic => panic!("{text}"),
            Act::Trap => abuse::trap(),
            Act::Exit => std::process::exit(amount.unwrap_or(0) as i32),
            Act::Overflow => Ok(abuse::recurse(amount.unwrap_or(u64::MAX)).to_string()),
            Act::OverflowFrames => Ok(abuse::recurse_with_frames(amount.unwrap_or(u64::MAX)).to_string()),
            Act::FailExitCode => Err(Failure::ExitCode(amount.unwrap_or(1) as i32)),
            Act::FailInvalid => Err(Failure::InvalidInput(text.to_owned())),
            Act::FailOther => Err(Failure::Other(text.to_owned())),
            Act::StderrPanic => {
                eprintln!("{text}");
                panic!("after the words on stderr")
            }
            Act::Read => probe::read(path),
            Act::Write => probe::write(path, text),
            Act::ListDirectory => probe::list(path),
            Act::Remove => probe::remove(path),
            Act::WriteReadOnly => probe::write_read_only(path, text),
            Act::ManyHandles => abuse::many_handles(amount),
            Act::BigHostCall => abuse::big_host_call(inputs.path.as_deref().unwrap_or("big"), amount),
            Act::BigOutput => Ok("x".repeat(amount.unwrap_or(0) as usize)),
            Act::AnnotateMany => abuse::annotate_many(amount, text),
            Act::BigSummary => abuse::big_summary(amount),
            Act::Sleep => {
                std::thread::sleep(std::time::Duration::from_millis(amount.unwrap_or(1000)));
                Ok("slept".to_owned())
            }
            Act::Spawn => probe::spawn(text),
            Act::SpawnAndLeave => probe::spawn_and_leave(text),
            Act::Capture => probe::capture(text),
            Act::FindProgram => probe::find_program(text),
            Act::Env => Ok(probe::env()),
            Act::Fs => probe::fs(inputs.path.as_deref().unwrap_or("/")),
            Act::Net => Ok(probe::net(inputs.text.as_deref().unwrap_or("127.0.0.1:80"))),
            Act::Print => {
                println!("{text}");
                eprintln!("{text}");
                Ok("printed".to_owned())
            }
            Act::PrintPartial => {
                use std::io::Write;
                print!("{text}");
                std::io::stdout().flush().map_err(|error| Failure::Other(error.to_string()))?;
                Ok("printed".to_owned())
            }
            Act::Log => Ok(probe::log(text)),
            Act::Info => Ok(probe::info()),
            Act::Clock => Ok(format!("{:?}", std::time::SystemTime::now())),
        };
        Ok(Outputs { result: result? })
    }
}

/// A capability's error as a failure whose text begins with the case.
fn refused(error: Error) -> Failure {
    Failure::Other(match error {
        Error::NotFound(text) => format!("not-found: {text}"),
        Error::Denied(text) => format!("denied: {text}"),
        Error::Invalid(text) => format!("invalid: {text}"),
        Error::Limit(text) => format!("limit: {text}"),
        Error::Other(text) => format!("other: {text}"),
    })
}
