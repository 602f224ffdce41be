//! Says what a run of a server waits for.

use oxide_core::api::run::Run;

use crate::terminal::on_one_line;

/// What was said last: each reason is said once, until something changes.
#[derive(Debug, Default)]
pub struct Waiting {
    told: Option<String>,
}

impl Waiting {
    /// Says on the standard error what the run waits for, if that is news. Answers whether it waits.
    pub fn tell(&mut self, run: &Run) -> bool {
        let reason = if run.status.is_final() { None } else { run.reason.as_deref() };
        if let Some(news) = self.news(reason) {
            eprintln!("{news}");
        }
        reason.is_some()
    }

    fn news(&mut self, reason: Option<&str>) -> Option<String> {
        if self.told.as_deref() == reason {
            return None;
        }
        self.told = reason.map(str::to_owned);
        reason.map(|reason| format!("waiting: {}", on_one_line(reason)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_said_once_per_change() {
        let mut waiting = Waiting::default();
        assert_eq!(waiting.news(None), None);
        assert_eq!(waiting.news(Some("no agent\nis free")).as_deref(), Some("waiting: no agent is free"));
        assert_eq!(waiting.news(Some("no agent\nis free")), None);
        assert_eq!(waiting.news(Some("its turn")).as_deref(), Some("waiting: its turn"));
        assert_eq!(waiting.news(None), None);
        assert_eq!(waiting.news(Some("its turn")).as_deref(), Some("waiting: its turn"), "it waits again");
    }
}
