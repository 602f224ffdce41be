//! Finds and ends processes on this machine by the cookies in their environment.
//!
//! A process can leave its group (`setsid`), but it keeps the environment that it was started with.

use std::{fs, io};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// The variable that names the agent of a process.
pub(crate) const AGENT_COOKIE: &str = "OXIDE_AGENT";
/// The variable that names the attempt of a process.
pub(crate) const ATTEMPT_COOKIE: &str = "OXIDE_ATTEMPT";
/// The variable that tells the commands of one attempt apart.
pub(crate) const PROCESS_COOKIE: &str = "OXIDE_PROCESS";

/// Variables with values that a process must have to be meant.
#[derive(Clone, Debug)]
pub(crate) struct Cookies(Vec<Vec<u8>>);

impl Cookies {
    pub(crate) fn new<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        Cookies(pairs.into_iter().map(|(name, value)| format!("{name}={value}").into_bytes()).collect())
    }

    fn are_in(&self, environment: &[u8]) -> bool {
        self.0.iter().all(|cookie| environment.split(|byte| *byte == 0).any(|variable| variable == cookie))
    }
}

/// Sends a signal to every process with these cookies, and tells how many there were.
pub(crate) fn signal_by_cookies(cookies: &Cookies, signal: Signal) -> usize {
    let Ok(entries) = fs::read_dir("/proc") else { return 0 };
    let own = rustix::process::getpid();
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok())
        .filter_map(Pid::from_raw)
        .filter(|pid| *pid != own && signal_if(*pid, cookies, signal).unwrap_or(false))
        .count()
}

/// The descriptor is opened before the environment is read, so the signal cannot reach a later process of the same number.
fn signal_if(pid: Pid, cookies: &Cookies, signal: Signal) -> io::Result<bool> {
    let descriptor = pidfd_open(pid, PidfdFlags::empty())?;
    let environment = fs::read(format!("/proc/{pid}/environ"))?;
    // A process that has ended but was not waited for has no environment any more.
    if environment.is_empty() || !cookies.are_in(&environment) {
        return Ok(false);
    }
    pidfd_send_signal(&descriptor, signal)?;
    Ok(true)
}

/// Kills every process with these cookies, and those that they start meanwhile.
pub(crate) fn kill_by_cookies(cookies: &Cookies) {
    // A process that was forked during one look is found by the next; a killed one is gone after a few.
    for _ in 0..100 {
        if signal_by_cookies(cookies, Signal::KILL) == 0 {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}
