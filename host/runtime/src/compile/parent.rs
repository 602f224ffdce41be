//! Starts the process that compiles, waits for it, and tells how it ended.

use std::{
    collections::BTreeSet,
    fs::File,
    io,
    os::unix::process::ExitStatusExt,
    process::{ExitStatus, Stdio},
    sync::{Mutex, PoisonError},
    thread,
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::{Child, Command},
    time::timeout,
};

use super::{
    ChildCompiler, CompileLimits,
    order::{EXIT_TOOK_TOO_LONG, Order, Report},
};
use crate::load_error::LoadError;

/// How much later than by itself the process is ended from here.
const LATE: Duration = Duration::from_secs(10);

/// How many bytes of what it writes are read.
const OUTPUT_BYTES_MAX: u64 = 256 << 10;

/// More threads than this make compiling no faster, and each needs memory.
const THREADS_MAX: usize = 8;

/// Children belong to the process, and so does what is known of them.
static IN_BACKGROUND: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

/// The process numbers of children of this process that compile in the background and are waited for. Whoever ends all
/// children that jobs have left behind lets these live; one that was started is in this set before anybody can see it here.
pub fn background_processes() -> BTreeSet<u32> {
    IN_BACKGROUND.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// A compilation that was started.
pub(crate) struct Compilation {
    child: Child,
    limits: CompileLimits,
    /// The number under which it stands in [`background_processes`].
    in_background: Option<u32>,
}

/// Starts the process. `source` is the component. A compilation that is awaited ends when its future is dropped.
pub(crate) fn start(compiler: &ChildCompiler, order: &Order, source: File) -> Result<Compilation, LoadError> {
    let text = serde_json::to_string(order).map_err(|error| LoadError::Compiler(io::Error::other(error)))?;
    let threads = match order.is_awaited {
        true => thread::available_parallelism().map_or(1, |count| count.get().min(THREADS_MAX)),
        false => 1,
    };
    let mut command = Command::new(&compiler.program);
    command
        .args(&compiler.arguments)
        .arg(text)
        .env_clear()
        .env("RAYON_NUM_THREADS", threads.to_string())
        .current_dir("/")
        .stdin(source)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // A Ctrl-C for this process is none for that one.
        .process_group(0)
        .kill_on_drop(order.is_awaited);
    let mut in_background = IN_BACKGROUND.lock().unwrap_or_else(PoisonError::into_inner);
    let child = command.spawn().map_err(LoadError::Compiler)?;
    let number = child.id().filter(|_| !order.is_awaited);
    in_background.extend(number);
    Ok(Compilation { child, limits: compiler.limits, in_background: number })
}

impl Compilation {
    /// Waits for its end. `Ok(false)` if another process is at it.
    pub(crate) async fn finish(mut self) -> Result<bool, LoadError> {
        let (stdout, stderr) = (self.child.stdout.take(), self.child.stderr.take());
        let all = async { tokio::join!(self.child.wait(), read(stdout), read(stderr)) };
        let ended = timeout(self.limits.wall + LATE, all).await;
        if ended.is_err() {
            self.child.kill().await.ok();
        }
        if let Some(number) = self.in_background {
            IN_BACKGROUND.lock().unwrap_or_else(PoisonError::into_inner).remove(&number);
        }
        match ended {
            Ok((status, stdout, stderr)) => {
                interpret(status.map_err(LoadError::Compiler)?, &stdout, &stderr, &self.limits)
            }
            Err(_) => Err(LoadError::TooSlow(self.limits.wall)),
        }
    }
}

async fn read(pipe: Option<impl AsyncRead + Unpin>) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        // What was read before an error counts.
        pipe.take(OUTPUT_BYTES_MAX).read_to_end(&mut bytes).await.ok();
    }
    bytes
}

/// What the end of the process means.
fn interpret(status: ExitStatus, stdout: &[u8], stderr: &[u8], limits: &CompileLimits) -> Result<bool, LoadError> {
    let stderr = String::from_utf8_lossy(stderr);
    let too_much_memory = || Err(LoadError::TooMuchMemory(limits.memory_bytes));
    match (status.code(), status.signal()) {
        (Some(EXIT_TOOK_TOO_LONG), _) | (None, Some(SIGXCPU)) => return Err(LoadError::TooSlow(limits.wall)),
        // The words of Rust's allocator before it aborts.
        _ if stderr.contains("memory allocation of ") => return too_much_memory(),
        (None, Some(signal)) => return Err(LoadError::CompilerCrashed(format!("signal {signal}"))),
        (Some(0), _) => {}
        (code, _) => {
            let words = stderr.lines().find(|line| !line.trim().is_empty()).unwrap_or("it did not say why");
            let code = code.unwrap_or_default();
            return Err(LoadError::CompilerCrashed(format!("exit code {code}: {words}")));
        }
    }
    match serde_json::from_slice(stdout) {
        Ok(Report::Stored) => Ok(true),
        Ok(Report::UnderWay) => Ok(false),
        Ok(Report::NotAPlugin(error)) => Err(error.into()),
        Ok(Report::OtherDigest { expected, actual }) => Err(LoadError::Digest { expected, actual }),
        Ok(Report::Refused(text) | Report::Trouble(text)) if is_out_of_memory(&text) => too_much_memory(),
        Ok(Report::Refused(text)) => Err(LoadError::Compile(text)),
        Ok(Report::Trouble(text)) => Err(LoadError::Compiler(io::Error::other(text))),
        Err(error) => Err(LoadError::Compiler(io::Error::other(format!("its report cannot be read: {error}")))),
    }
}

/// The signal of the kernel for a process that used up its processor time.
const SIGXCPU: i32 = 24;

/// The words of the operating system where memory was asked of it directly.
fn is_out_of_memory(text: &str) -> bool {
    text.contains("os error 12)")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::describe::DescribeError;

    const LIMITS: CompileLimits = CompileLimits { wall: Duration::from_secs(7), memory_bytes: 3 << 20 };

    fn interpreted(wait_status: i32, stdout: &str, stderr: &str) -> Result<bool, String> {
        let status = ExitStatus::from_raw(wait_status);
        interpret(status, stdout.as_bytes(), stderr.as_bytes(), &LIMITS).map_err(|error| error.to_string())
    }

    fn reported(report: &Report) -> Result<bool, String> {
        interpreted(0, &serde_json::to_string(report).unwrap(), "")
    }

    #[test]
    fn a_process_that_was_bounded_names_the_bound() {
        let slow = Err("compiling it took longer than 7 s".to_owned());
        assert_eq!(interpreted(EXIT_TOOK_TOO_LONG << 8, "", ""), slow);
        assert_eq!(interpreted(SIGXCPU, "", ""), slow);
        let large = Err("compiling it took more than 3 MiB of memory".to_owned());
        assert_eq!(interpreted(6, "", "memory allocation of 4096 bytes failed\n"), large);
        assert_eq!(reported(&Report::Refused("mmap: Cannot allocate memory (os error 12)".into())), large);
    }

    #[test]
    fn what_it_reports_arrives() {
        assert_eq!(reported(&Report::Stored), Ok(true));
        assert_eq!(reported(&Report::UnderWay), Ok(false));
        let none = DescribeError::NoRun;
        assert_eq!(reported(&Report::NotAPlugin(none.clone())), Err(none.to_string()));
        let typed =
            DescribeError::Type { record: "inputs".into(), field: "a.item".into(), reason: "it is not known".into() };
        assert_eq!(reported(&Report::NotAPlugin(typed.clone())), Err(typed.to_string()));
        let refused = reported(&Report::Refused("unknown opcode".into()));
        assert_eq!(refused, Err("could not compile the component: unknown opcode".into()));
    }

    #[test]
    fn a_crash_is_told_from_a_refusal() {
        let crashed = |words: &str| Err(format!("the compiler crashed on it ({words})"));
        assert_eq!(interpreted(11, "", ""), crashed("signal 11"));
        assert_eq!(interpreted(101 << 8, "", "\nthread panicked\nmore"), crashed("exit code 101: thread panicked"));
        assert!(interpreted(0, "{", "").unwrap_err().contains("could not run the compiler"));
    }
}
