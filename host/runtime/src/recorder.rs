//! The one place that every call of a capability passes: it learns the name, the arguments, how long it took, and whether
//! it failed.
//!
//! The engine tells when the guest enters the host and when it goes back ([`Recorder::hook`]); the function that was called
//! tells its name and arguments in its first line ([`Recorder::called`]); an `error` of the contract is seen where it is
//! converted ([`Recorder::failed`]). What belongs to no capability (WASI, growing a memory) has no name and is not recorded.

use std::{
    io,
    time::{Duration, Instant},
};

use oxide_core::{
    effects::{CallTally, StepEffects},
    quantity::hexadecimal,
};
use serde::Serialize;
use sha2::{Digest, Sha256};
use wasmtime::CallHook;

/// What was called so far.
pub(crate) struct Recorder {
    tallies: Vec<Tally>,
    digest: Option<Sha256>,
    entered: Option<Instant>,
    /// The position of the call that goes on.
    current: Option<usize>,
}

struct Tally {
    name: &'static str,
    count: u64,
    failed: u64,
    wall: Duration,
}

impl Recorder {
    /// Nothing was called. `with_digest` unless the arguments may hold the value of a secret.
    pub fn new(with_digest: bool) -> Recorder {
        Recorder { tallies: Vec::new(), digest: with_digest.then(Sha256::new), entered: None, current: None }
    }

    /// The guest enters the host, or goes back.
    pub fn hook(&mut self, hook: CallHook) {
        match hook {
            CallHook::CallingHost => self.entered = Some(Instant::now()),
            CallHook::ReturningFromHost => self.end_call(false),
            // The host asks the guest for room for a result.
            CallHook::CallingWasm | CallHook::ReturningFromWasm => {}
        }
    }

    /// This function was called: interface and function as in the contract. The digest takes the arguments as a JSON array, handles as
    /// their numbers and lists of bytes as their SHA-256.
    pub fn called(&mut self, name: &'static str, arguments: &impl Serialize) {
        let known = self.tallies.iter().position(|tally| std::ptr::eq(tally.name, name) || tally.name == name);
        let current = known.unwrap_or_else(|| {
            self.tallies.push(Tally { name, count: 0, failed: 0, wall: Duration::ZERO });
            self.tallies.len() - 1
        });
        self.tallies[current].count += 1;
        self.current = Some(current);
        if let Some(digest) = &mut self.digest {
            digest.update(name);
            // Writing to a digest cannot fail, and neither can texts and numbers be turned into JSON.
            serde_json::to_writer(Hashing(digest), arguments).ok();
        }
    }

    /// The call that goes on is answered with an error.
    pub fn failed(&mut self) {
        self.end_call(true);
    }

    fn end_call(&mut self, failed: bool) {
        let (Some(current), Some(entered)) = (self.current.take(), self.entered) else { return };
        let tally = &mut self.tallies[current];
        tally.wall += entered.elapsed();
        tally.failed += u64::from(failed);
    }

    /// The record of it all. A call that still goes on was cut off.
    pub fn finish(mut self) -> StepEffects {
        self.end_call(true);
        let tally = |tally: Tally| CallTally {
            name: tally.name.to_owned(),
            count: tally.count,
            failed: tally.failed,
            wall_us: u64::try_from(tally.wall.as_micros()).unwrap_or(u64::MAX),
        };
        let digest = self.digest.filter(|_| !self.tallies.is_empty()).map(|digest| hexadecimal(&digest.finalize()));
        StepEffects { calls: self.tallies.into_iter().map(tally).collect(), digest }
    }
}

/// A list of bytes as an argument: its SHA-256 stands for it.
pub(crate) fn bytes(contents: &[u8]) -> [u8; 32] {
    Sha256::digest(contents).into()
}

struct Hashing<'a>(&'a mut Sha256);

impl io::Write for Hashing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One call from the engine's entry to its return.
    fn call(recorder: &mut Recorder, name: &'static str, argument: &str, failed: bool) {
        recorder.hook(CallHook::CallingHost);
        recorder.called(name, &(argument,));
        if failed {
            recorder.failed();
        }
        recorder.hook(CallHook::ReturningFromHost);
    }

    fn after(calls: &[(&'static str, &str, bool)]) -> StepEffects {
        let mut recorder = Recorder::new(true);
        calls.iter().for_each(|(name, argument, failed)| call(&mut recorder, name, argument, *failed));
        recorder.finish()
    }

    #[test]
    fn calls_are_counted_by_function_in_the_order_of_the_first() {
        let effects =
            after(&[("workspace.read", "a", false), ("log.write", "b", false), ("workspace.read", "c", true)]);
        let counts: Vec<_> =
            effects.calls.iter().map(|tally| (tally.name.as_str(), tally.count, tally.failed)).collect();
        assert_eq!(counts, [("workspace.read", 2, 1), ("log.write", 1, 0)]);
        assert_eq!(effects.count(), 3);
    }

    #[test]
    fn the_digest_tells_other_arguments_and_another_order() {
        let digest = |calls: &[(&'static str, &str, bool)]| after(calls).digest.unwrap();
        let first = digest(&[("workspace.read", "a", false), ("workspace.stat", "b", false)]);
        assert_eq!(first, digest(&[("workspace.read", "a", true), ("workspace.stat", "b", false)]));
        assert_ne!(first, digest(&[("workspace.read", "ab", false), ("workspace.stat", "", false)]));
        assert_ne!(first, digest(&[("workspace.stat", "b", false), ("workspace.read", "a", false)]));
        assert_eq!(after(&[]).digest, None);
        let mut recorder = Recorder::new(false);
        call(&mut recorder, "secrets.reveal", "a", false);
        assert_eq!(recorder.finish().digest, None, "the arguments may hold a secret");
    }

    #[test]
    fn a_call_that_was_cut_off_has_failed_and_what_has_no_name_is_not_counted() {
        let mut recorder = Recorder::new(true);
        recorder.hook(CallHook::CallingHost);
        recorder.hook(CallHook::ReturningFromHost);
        recorder.hook(CallHook::CallingHost);
        recorder.called("environment.wait", &(0,));
        let effects = recorder.finish();
        assert_eq!(effects.calls.len(), 1);
        assert_eq!((effects.calls[0].count, effects.calls[0].failed), (1, 1));
    }
}
