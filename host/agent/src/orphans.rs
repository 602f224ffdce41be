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
    Pid, Signal, WaitId, WaitIdOptions, WaitOptions, getpgrp, getpid, getsid, kill_process, set_child_subreaper,
    waitid, waitpid,
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
            let _ = tokio::task::spawn_blocking(|| {
                children().iter().filter(|child| child.is_zombie && !child.is_ours()).for_each(Child::reap);
            })
            .await;
        }
    }
}

/// Kills all children, and those that come to us when their parents are killed.
fn kill_all() {
    let mut was_clean = false;
    for _ in 0..100 {
        // In this order: what was just started is in the set.
        let mut children = children();
        let spared = background_processes();
        children.retain(|child| !spared.contains(&child.pid.as_raw_nonzero().get().unsigned_abs()));
        children.iter().filter(|child| child.is_zombie).for_each(Child::reap);
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

/// A process whose parent we are.
struct Child {
    pid: Pid,
    group: i32,
    session: i32,
    is_zombie: bool,
}

impl Child {
    /// Did we start it, so that somebody here waits for it? What we start stays in our session (the leader of a group cannot
    /// leave it), either in our group or as the leader of one.
    fn is_ours(&self) -> bool {
        let number = |pid: Pid| pid.as_raw_nonzero().get();
        let own_session = getsid(None).map_or(0, number);
        self.session == own_session && (self.group == number(self.pid) || self.group == number(getpgrp()))
    }

    fn reap(&self) {
        let _ = waitpid(Some(self.pid), WaitOptions::NOHANG);
    }
}

fn children() -> Vec<Child> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let numbers = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    numbers.filter_map(|pid| child_of(getpid(), &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)).collect()
}

/// Reads the line `pid (name) state parent group session …`. The name may hold anything, so it is skipped from the end.
fn child_of(parent: Pid, stat: &str) -> Option<Child> {
    let (pid, _) = stat.split_once(' ')?;
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    let state = fields.next()?;
    let mut number = || fields.next()?.parse::<i32>().ok();
    let (parent_of_it, group, session) = (number()?, number()?, number()?);
    let pid = Pid::from_raw(pid.parse().ok()?)?;
    (parent_of_it == parent.as_raw_nonzero().get()).then_some(Child { pid, group, session, is_zombie: state == "Z" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_look_like_fields() {
        let parent = Pid::from_raw(7).unwrap();
        let child = child_of(parent, "42 (a) Z 1 (b) Z 7 42 41 0 -1").unwrap();
        assert_eq!((child.pid.as_raw_nonzero().get(), child.group, child.session, child.is_zombie), (42, 42, 41, true));
        assert!(child_of(parent, "42 (sh) S 8 42 41 0 -1").is_none());
        assert!(child_of(parent, "").is_none());
    }

    #[test]
    fn what_we_started_is_told_from_what_came_to_us() {
        let mut started = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = i32::try_from(started.id()).unwrap();
        let found = children().into_iter().find(|child| child.pid.as_raw_nonzero().get() == pid).unwrap();
        assert!(found.is_ours() && !found.is_zombie);
        assert!(!Child { session: found.session + 1, ..found }.is_ours(), "it has left our session");
        started.kill().unwrap();
        started.wait().unwrap();
    }
}
