//! Two ways to tell time, and what becomes of deadlines when the clock on the wall is set.
//!
//! The wall clock says what time it is; people and other programs set it, and then it jumps. The steady clock only says how
//! much time has passed. What has to do with the calendar (events, schedules) goes by the wall; silence of agents goes by the
//! steady clock. Deadlines of a run are times that its state machine compares: a run keeps the wall time that it began with, so
//! that a jump neither ends it early nor keeps it for an hour too long ([`crate::active_run`] knows its lag). A jump while no
//! orchestrator looked, between two servers or during a restart, cannot be told from time that passed.

use std::{fmt, sync::Arc, time::Duration};

use oxide_core::time::Timestamp;
use tokio::time::Instant;

/// Wall and steady clocks may drift apart by this much between two looks without it being a jump, in milliseconds.
const JUMP_MS: i64 = 1_000;

/// Tells the present. Tests move time by hand.
#[derive(Clone)]
pub struct Clock {
    wall: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    steady: Arc<dyn Fn() -> Duration + Send + Sync>,
}

impl Clock {
    /// A clock with hands that are moved from outside: what time it is, and how much has passed since some fixed moment.
    pub fn by_hand(
        wall: impl Fn() -> Timestamp + Send + Sync + 'static,
        steady: impl Fn() -> Duration + Send + Sync + 'static,
    ) -> Clock {
        Clock { wall: Arc::new(wall), steady: Arc::new(steady) }
    }

    /// What time it is.
    pub fn now(&self) -> Timestamp {
        (self.wall)()
    }

    /// How much time has passed since some moment in the past. Never goes back, and never jumps.
    pub fn steady(&self) -> Duration {
        (self.steady)()
    }
}

impl From<Arc<dyn Fn() -> Timestamp + Send + Sync>> for Clock {
    /// This wall clock, beside the steady clock of the machine.
    fn from(wall: Arc<dyn Fn() -> Timestamp + Send + Sync>) -> Clock {
        let begin = Instant::now();
        Clock { wall, steady: Arc::new(move || begin.elapsed()) }
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

/// One look at both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    /// What time it is.
    pub now: Timestamp,
    /// How much time has passed.
    pub steady: Duration,
    /// How far the wall clock was set since the look before, in milliseconds; 0 almost always.
    pub jump_ms: i64,
}

/// Looks at the clocks, and notices jumps.
pub(crate) struct Watch {
    clock: Clock,
    last: Moment,
}

impl Watch {
    pub(crate) fn new(clock: Clock) -> Watch {
        let last = Moment { now: clock.now(), steady: clock.steady(), jump_ms: 0 };
        Watch { clock, last }
    }

    pub(crate) fn look(&mut self) -> Moment {
        let (now, steady) = (self.clock.now(), self.clock.steady());
        let passed = i64::try_from(steady.saturating_sub(self.last.steady).as_millis()).unwrap_or(i64::MAX);
        let difference = now.0.saturating_sub(self.last.now.0).saturating_sub(passed);
        let jump_ms = if difference.saturating_abs() < JUMP_MS { 0 } else { difference };
        self.last = Moment { now, steady, jump_ms };
        self.last
    }

    pub(crate) fn steady(&self) -> Duration {
        self.clock.steady()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

    use super::*;

    #[test]
    fn a_jump_of_the_wall_clock_is_noticed_and_a_slow_drift_is_not() {
        let (wall, steady) = (Arc::new(AtomicI64::new(1_000_000)), Arc::new(AtomicU64::new(0)));
        let clock = {
            let (wall, steady) = (wall.clone(), steady.clone());
            Clock::by_hand(
                move || Timestamp(wall.load(Ordering::SeqCst)),
                move || Duration::from_millis(steady.load(Ordering::SeqCst)),
            )
        };
        let mut watch = Watch::new(clock);
        let mut pass = |by_wall: i64, by_steady: u64| {
            wall.fetch_add(by_wall, Ordering::SeqCst);
            steady.fetch_add(by_steady, Ordering::SeqCst);
            watch.look().jump_ms
        };
        assert_eq!(pass(5_000, 5_000), 0);
        assert_eq!(pass(3_600_250, 250), 3_600_000);
        assert_eq!(pass(250, 250), 0, "once");
        assert_eq!(pass(-3_600_000, 1_000), -3_601_000);
        assert_eq!(pass(10_900, 10_000), 0);
        assert_eq!(pass(100, 3_000), -2_900, "a wall clock that stands still is set back all the time");
    }
}
