//! Is a service ready? Decides from tries and times; [`super`] performs.

use oxide_core::pipeline::HealthCheck;

/// How one try of a health check ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Try {
    /// With exit code 0.
    Passed,
    /// With another exit code, after printing this.
    Failed { code: i64, printed: String },
    /// Not in time.
    TimedOut,
    /// It could not be started.
    Broken(String),
}

/// What follows from a try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The service is ready.
    Ready,
    /// Try again after the interval.
    Again,
    /// It will not get ready; a sentence says why.
    Never(String),
}

/// The tries of one service so far.
#[derive(Debug, Default)]
pub(super) struct Health {
    failed: u32,
}

impl Health {
    /// Takes one try, so many milliseconds after the start of the service.
    pub(super) fn take(&mut self, check: &HealthCheck, tried: &Try, since_start_ms: u64) -> Verdict {
        let how = match tried {
            Try::Passed => return Verdict::Ready,
            Try::Failed { code, printed } if printed.is_empty() => format!("with exit code {code}"),
            Try::Failed { code, printed } => format!("with exit code {code}: {printed}"),
            Try::TimedOut => format!("after {} ms, which is its timeout", check.timeout_ms),
            Try::Broken(why) => format!("because it could not be started: {why}"),
        };
        if since_start_ms < check.start_period_ms {
            return Verdict::Again;
        }
        self.failed += 1;
        if self.failed < check.retries {
            return Verdict::Again;
        }
        let times = if self.failed == 1 { "once".to_owned() } else { format!("{} times", self.failed) };
        Verdict::Never(format!("its health check `{}` failed {times}, at last {how}", check.run))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(retries: u32, start_period_ms: u64) -> HealthCheck {
        HealthCheck { run: "test".to_owned(), interval_ms: 1, timeout_ms: 7, retries, start_period_ms }
    }

    fn failed() -> Try {
        Try::Failed { code: 1, printed: "no".to_owned() }
    }

    #[test]
    fn it_is_tried_as_often_as_it_says_and_the_last_try_is_told() {
        let mut health = Health::default();
        assert_eq!(health.take(&check(2, 0), &Try::TimedOut, 1), Verdict::Again);
        let Verdict::Never(why) = health.take(&check(2, 0), &failed(), 2) else { panic!("two tries") };
        assert_eq!(why, "its health check `test` failed 2 times, at last with exit code 1: no");
        let Verdict::Never(why) = Health::default().take(&check(1, 0), &Try::TimedOut, 1) else { panic!("one try") };
        assert_eq!(why, "its health check `test` failed once, at last after 7 ms, which is its timeout");
    }

    proptest! {
        /// Failures in the start period never count; afterwards exactly so many are allowed.
        #[test]
        fn the_start_period_is_free(retries in 1_u32..6, period in 0_u64..50, times in prop::collection::vec(0_u64..100, 1..20)) {
            let (check, mut health) = (check(retries, period), Health::default());
            let mut times = times;
            times.sort_unstable();
            let mut counted = 0;
            for at in times {
                counted += u32::from(at >= period);
                let verdict = health.take(&check, &failed(), at);
                prop_assert_eq!(matches!(verdict, Verdict::Never(_)), counted >= retries && at >= period);
            }
            prop_assert_eq!(health.take(&check, &Try::Passed, 200), Verdict::Ready);
        }
    }
}
