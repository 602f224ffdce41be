//! A message is said again and again until it gets through.

use std::time::Duration;

use oxide_core::protocol::LinkError;

/// The pause before a message is said for the second time.
const PAUSE_MIN: Duration = Duration::from_millis(20);
/// The longest pause. After a server has come back, all its agents are back within this time, and not all at once.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Why a message will never get through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unheard {
    /// The orchestrator has shut down.
    Closed,
    /// The orchestrator does not want this agent any more, for this reason.
    Refused(String),
    /// The message is not taken as it is, for this reason.
    Rejected(String),
}

/// Pauses that grow, each a little different from those of others.
pub(crate) struct Pauses {
    next: Duration,
}

impl Pauses {
    pub(crate) fn new() -> Pauses {
        Pauses { next: PAUSE_MIN }
    }

    /// Waits before the next try.
    pub(crate) async fn pause(&mut self) {
        tokio::time::sleep(spread(self.next, uuid::Uuid::new_v4().as_u128())).await;
        self.next = (self.next * 2).min(PAUSE_MAX);
    }
}

/// Something between half of the pause and all of it.
fn spread(pause: Duration, random: u128) -> Duration {
    let share = u32::try_from(random % 1000).expect("a number below 1000 fits");
    pause / 2 + pause / 2 * share / 1000
}

/// Says a message again and again until it gets through.
pub(crate) async fn insist<T, F>(mut send: impl FnMut() -> F) -> Result<T, Unheard>
where
    F: Future<Output = Result<T, LinkError>>,
{
    let mut pauses = Pauses::new();
    loop {
        match send().await {
            Ok(answer) => return Ok(answer),
            Err(LinkError::Closed) => return Err(Unheard::Closed),
            Err(LinkError::Refused { reason }) => return Err(Unheard::Refused(reason)),
            Err(LinkError::Rejected { reason }) => return Err(Unheard::Rejected(reason)),
            Err(LinkError::Unavailable(_)) => pauses.pause().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_are_spread_and_never_longer() {
        let pause = Duration::from_secs(2);
        assert_eq!(spread(pause, 0), Duration::from_secs(1));
        let longest = spread(pause, 999);
        assert!(longest < pause && longest > Duration::from_millis(1990), "{longest:?}");
        assert_eq!(spread(pause, 1000 * 77 + 500), Duration::from_millis(1500));
    }

    #[tokio::test]
    async fn what_is_refused_is_not_said_again() {
        let mut said = 0;
        let refused = insist(|| {
            said += 1;
            let answer = match said {
                1 | 2 => LinkError::Unavailable("busy".into()),
                _ => LinkError::Refused { reason: "revoked".to_owned() },
            };
            std::future::ready(Err::<(), _>(answer))
        });
        assert_eq!(refused.await, Err(Unheard::Refused("revoked".to_owned())));
        assert_eq!(said, 3);
    }
}
