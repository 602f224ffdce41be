//! Processes that lost their parent come to us, not to `init`: those that left their session and emptied their environment
//! are found so, too.
//!
//! An orphan does not tell whose it was, and cookies are what it has thrown away. But when no attempt runs, nothing that this
//! process has started lives on but what compiles plugins in the background, so every other child that it then has is an
//! orphan.

use std::{
    fs, io,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use oxide_runtime::compile::background_processes;
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitOptions, getpid, kill_process, set_child_subreaper, waitid, waitpid,
};
use tokio::sync::{RwLock, RwLockReadGuard};

/// Children belong to the process, so this is the one place of this crate that does so, too.
static ADOPTING: AtomicBool = AtomicBool::new(false);
/// Read by each attempt that runs, written by whoever kills orphans.
static RUNNING: RwLock<()> = RwLock::const_new(());

/// How often those that have ended by themselves are laid to rest while attempts run.
const REAP_EVERY: Duration = Duration::from_secs(1);

/// From now on this process adopts what its jobs leave behind, and ends it when no job runs. For a process that starts no
/// other children than compilers while an [`Agent`](crate::Agent) runs: they would be taken for orphans.
///
/// # Errors
/// The kernel refuses.
pub fn adopt_orphans() -> io::Result<()> {
    set_child_subreaper(Some(getpid()))?;
    ADOPTING.store(true, Ordering::Relaxed);
    Ok(())
}

/// While it lives, an attempt runs.
pub(crate) struct AttemptRuns(RwLockReadGuard<'static, ()>);

/// An attempt begins. Waits while orphans are being killed, so that its processes are not taken for some.
pub(crate) async fn attempt_begins() -> AttemptRuns {
    AttemptRuns(RUNNING.read().await)
}

/// An attempt has ended what it knew of. If it was the last one that ran, orphans are killed.
pub(crate) async fn attempt_ends(AttemptRuns(guard): AttemptRuns) {
    drop(guard);
    // If another runs, or begins just now, it does this at its own end.
    let Ok(nobody_runs) = RUNNING.try_write() else { return };
    if ADOPTING.load(Ordering::Relaxed) && has_children() {
        let _ = tokio::task::spawn_blocking(kill_all).await;
    }
    drop(nobody_runs);
}

/// Reaps orphans that have ended, for ever: a job may leave thousands of them behind while it runs.
pub(crate) async fn reap_while_jobs_run() {
    loop {
        tokio::time::sleep(REAP_EVERY).await;
        if ADOPTING.load(Ordering::Relaxed) && has_ended_child() {
            let _ = tokio::task::spawn_blocking(reap_orphans).await;
        }
    }
}

fn reap_orphans() {
    let Some(ours) = Process::read("self") else { return };
    children().iter().filter(|child| child.is_zombie && !child.is_of(&ours)).for_each(Process::reap);
}

/// Kills all children, and those that come to us when their parents are killed.
fn kill_all() {
    let mut was_clean = false;
    for _ in 0..100 {
        // In this order: what was just started is in the set.
        let mut children = children();
        let spared = background_processes();
        children.retain(|child| !spared.contains(&number(child.pid).unsigned_abs()));
        children.iter().filter(|child| child.is_zombie).for_each(Process::reap);
        let is_clean = children.iter().all(|child| child.is_zombie);
        // The kernel's word is sure, but does not tell the spared from the others. Then it takes two looks: one may miss a
        // process that was handed to us while it was taken.
        let is_sure = if spared.is_empty() { !has_children() } else { was_clean };
        if is_clean && is_sure {
            return;
        }
        was_clean = is_clean;
        // A child keeps its number until it is reaped, so the signal cannot reach another process.
        for child in children.iter().filter(|child| !child.is_zombie) {
            let _ = kill_process(child.pid, Signal::KILL);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Asks the kernel, which is much quicker than reading `/proc`.
fn has_children() -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    !matches!(waitid(WaitId::All, options), Err(rustix::io::Errno::CHILD))
}

fn has_ended_child() -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    matches!(waitid(WaitId::All, options), Ok(Some(_)))
}

/// A process as `/proc/<pid>/stat` describes it.
struct Process {
    pid: Pid,
    parent: i32,
    /// 0 where the leader of the group lives outside of our process namespace, as the main program of a container may see it.
    group: i32,
    /// 0, as above.
    session: i32,
    is_zombie: bool,
}

impl Process {
    /// Reads the line `pid (name) state parent group session …`. The name may hold anything, so it is skipped from the end.
    fn parse(stat: &str) -> Option<Self> {
        let (pid, _) = stat.split_once(' ')?;
        let mut fields = stat.rsplit_once(") ")?.1.split(' ');
        let state = fields.next()?;
        let mut number = || fields.next()?.parse::<i32>().ok();
        let (parent, group, session) = (number()?, number()?, number()?);
        Some(Self { pid: Pid::from_raw(pid.parse().ok()?)?, parent, group, session, is_zombie: state == "Z" })
    }

    fn read(directory: &str) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{directory}/stat")).ok()?)
    }

    /// Was it started by `parent`, so that somebody there waits for it? What we start stays in our session (the leader of a
    /// group cannot leave it), either in our group or as the leader of one.
    fn is_of(&self, parent: &Self) -> bool {
        self.session == parent.session && (self.group == number(self.pid) || self.group == parent.group)
    }

    fn reap(&self) {
        let _ = waitpid(Some(self.pid), WaitOptions::NOHANG);
    }
}

fn number(pid: Pid) -> i32 {
    pid.as_raw_nonzero().get()
}

fn children() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let numbers = names.filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
    let parent = number(getpid());
    numbers.filter_map(|pid| Process::read(&pid)).filter(|process| process.parent == parent).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_look_like_fields() {
        let process = Process::parse("42 (a) Z 1 (b) Z 7 42 41 0 -1").unwrap();
        assert_eq!((number(process.pid), process.parent, process.group, process.session), (42, 7, 42, 41));
        assert!(process.is_zombie);
        assert!(Process::parse("").is_none());
    }

    #[test]
    fn what_we_started_is_told_from_what_came_to_us() {
        let mut started = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let ours = Process::read("self").unwrap();
        let found = children().into_iter().find(|child| number(child.pid).unsigned_abs() == started.id()).unwrap();
        assert!(found.is_of(&ours) && !found.is_zombie);
        assert!(!Process { session: found.session + 1, ..found }.is_of(&ours), "it has left our session");
        started.kill().unwrap();
        started.wait().unwrap();
    }

    /// In a container our group and session may have leaders that we cannot see; their numbers are then 0.
    #[test]
    fn leaders_outside_of_the_process_namespace() {
        let ours = Process::parse("7 (oxide) S 1 0 0 0 -1").unwrap();
        assert!(Process::parse("42 (sh) S 7 42 0 0 -1").unwrap().is_of(&ours));
        assert!(Process::parse("42 (sh) S 7 0 0 0 -1").unwrap().is_of(&ours));
        assert!(!Process::parse("42 (sh) S 7 42 42 0 -1").unwrap().is_of(&ours));
    }
}
