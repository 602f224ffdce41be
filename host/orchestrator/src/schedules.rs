//! Schedules: their times become runs.
//!
//! A task beside the orchestrator looks for schedules whose time has come, lets the server plan the run, and sends both to the
//! orchestrator, which stores the next time and the run in one transaction: of two that saw the same time, one runs it. Times
//! that passed while nobody looked become one run, which says so.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use oxide_core::{
    id::{PipelineId, ProjectId},
    schedule,
    time::Timestamp,
};
use oxide_store::{DueSchedule, ScheduleRow, Store};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

use crate::{
    Clock, NewRun, OrchestratorError,
    command::{Command, Fire, Fired},
};

/// How often schedules are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How many are taken at a time.
const AT_ONCE: u32 = 50;
/// A time that was reached later than this was missed, in milliseconds.
const LATE_MS: u64 = 60_000;
/// Missed times are not counted beyond this.
const COUNTED: u32 = 1_000;

/// Makes a run of a pipeline of the server whose time has come.
#[async_trait]
pub trait PlanSource: Send + Sync {
    /// The run: the newest version of the pipeline, planned. None if there is nothing to run, for instance because the
    /// pipeline is gone.
    ///
    /// # Errors
    /// The pipeline cannot be planned; the time passes without a run, and what went wrong is in the log of the server.
    async fn plan(&self, fired: &FiredSchedule) -> Result<Option<NewRun>, PlanSourceError>;
}

/// Why a run could not be planned.
pub type PlanSourceError = Box<dyn std::error::Error + Send + Sync>;

/// A time of a schedule that has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FiredSchedule {
    /// The pipeline.
    pub pipeline: PipelineId,
    /// Its project.
    pub project: ProjectId,
    /// Its newest version.
    pub version: u64,
    /// The place among the triggers of the pipeline.
    pub position: u32,
    /// Such as `0 3 * * *`.
    pub cron: String,
    /// In which time zone that is meant.
    pub timezone: String,
    /// The time that has come.
    pub at: Timestamp,
    /// How many times of the schedule passed, this one included, while no server ran; 0 if none was missed.
    pub missed: u32,
}

impl FiredSchedule {
    /// For people: `schedule 0 3 * * * (UTC), 3 times were missed`.
    pub fn describe(&self) -> String {
        let FiredSchedule { cron, timezone, missed, .. } = self;
        match missed {
            0 => format!("schedule {cron} ({timezone})"),
            1 => format!("schedule {cron} ({timezone}), one time was missed"),
            COUNTED.. => format!("schedule {cron} ({timezone}), {COUNTED} times or more were missed"),
            missed => format!("schedule {cron} ({timezone}), {missed} times were missed"),
        }
    }
}

/// What follows for a schedule whose time has come: what is run, and when the next time is. None if it has no next time.
fn decide(due: DueSchedule, now: Timestamp) -> Option<(FiredSchedule, ScheduleRow, Timestamp)> {
    let DueSchedule { schedule: row, project, latest_version: version } = due;
    let after = |time| schedule::next(&row.cron, &row.timezone, time).ok();
    let mut missed = 0;
    if now.millis_since(row.next_at) > LATE_MS {
        let mut time = row.next_at;
        while missed < COUNTED && time <= now {
            missed += 1;
            time = after(time)?;
        }
    }
    let next = after(now.max(row.next_at))?;
    let ScheduleRow { pipeline, position, cron, timezone, next_at: at } = row.clone();
    Some((FiredSchedule { pipeline, project, version, position, cron, timezone, at, missed }, row, next))
}

/// Looks for due schedules until the orchestrator is gone.
pub(crate) fn run(
    store: Store,
    clock: Clock,
    plans: Arc<dyn PlanSource>,
    commands: mpsc::WeakSender<Command>,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(LOOK).await;
            if commands.strong_count() == 0 {
                return;
            }
            let due = match store.due_schedules(clock.now(), AT_ONCE).await {
                Ok(due) => due,
                Err(error) => {
                    tracing::warn!(error = %crate::error::Cause::of(&error), "could not look for due schedules");
                    continue;
                }
            };
            for due in due {
                let pipeline = due.schedule.pipeline;
                let Some((fired, row, next)) = decide(due, clock.now()) else {
                    tracing::warn!(%pipeline, "a schedule has no next time");
                    continue;
                };
                if fire(&*plans, fired, row, next, &commands).await.is_err() {
                    return;
                }
            }
        }
    })
}

/// Plans the run of one time and sends it on. An error says that the orchestrator is gone.
async fn fire(
    plans: &dyn PlanSource,
    fired: FiredSchedule,
    schedule: ScheduleRow,
    next: Timestamp,
    commands: &mpsc::WeakSender<Command>,
) -> Result<(), OrchestratorError> {
    let run = plans.plan(&fired).await.unwrap_or_else(|error| {
        let cause = crate::error::Cause::of(&*error).chain();
        tracing::warn!(pipeline = %fired.pipeline, schedule = fired.describe(), cause, "could not plan a scheduled run");
        None
    });
    let (answer, answered) = oneshot::channel();
    let fire = Fire { schedule, next, run };
    let commands = commands.upgrade().ok_or(OrchestratorError::Closed)?;
    commands.send(Command::Fire(Box::new(fire), answer)).await.map_err(|_| OrchestratorError::Closed)?;
    drop(commands);
    match answered.await {
        Ok(Ok(Fired::Stored(Some(number)))) => {
            tracing::info!(pipeline = %fired.pipeline, number, schedule = fired.describe(), "a scheduled run");
            Ok(())
        }
        Ok(Ok(Fired::Stored(None) | Fired::Before)) => Ok(()),
        // It is due as before, and is tried again.
        Ok(Err(error)) => {
            tracing::warn!(pipeline = %fired.pipeline, %error, "could not store a scheduled run");
            Ok(())
        }
        Err(_) => Err(OrchestratorError::Closed),
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const HOUR: i64 = 3_600_000;

    fn due(next_at: i64) -> DueSchedule {
        let pipeline = PipelineId(Uuid::from_u128(1));
        let (cron, timezone) = ("0 * * * *".to_owned(), "UTC".to_owned());
        let schedule = ScheduleRow { pipeline, position: 0, cron, timezone, next_at: Timestamp(next_at) };
        DueSchedule { schedule, project: ProjectId(Uuid::from_u128(2)), latest_version: 3 }
    }

    #[test]
    fn a_time_that_has_come_is_run_and_the_next_one_waits() {
        let (fired, _, next) = decide(due(HOUR), Timestamp(HOUR + 500)).unwrap();
        assert_eq!((fired.at, fired.missed, next), (Timestamp(HOUR), 0, Timestamp(2 * HOUR)));
        assert_eq!(fired.describe(), "schedule 0 * * * * (UTC)");
    }

    #[test]
    fn times_that_were_missed_become_one_run_that_says_so() {
        let (fired, _, next) = decide(due(HOUR), Timestamp(5 * HOUR + 10)).unwrap();
        assert_eq!((fired.at, fired.missed, next), (Timestamp(HOUR), 5, Timestamp(6 * HOUR)));
        assert_eq!(fired.describe(), "schedule 0 * * * * (UTC), 5 times were missed");
        let (fired, _, next) = decide(due(HOUR), Timestamp(2 * HOUR - 1)).unwrap();
        assert_eq!((fired.missed, next), (1, Timestamp(2 * HOUR)));
        let (fired, ..) = decide(due(HOUR), Timestamp(24 * 365 * HOUR)).unwrap();
        assert!(fired.describe().ends_with("1000 times or more were missed"));
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_fire_the_same_time_again() {
        let (.., next) = decide(due(3 * HOUR), Timestamp(HOUR)).unwrap();
        assert_eq!(next, Timestamp(4 * HOUR));
    }
}
