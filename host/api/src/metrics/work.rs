//! Runs, jobs and steps that have ended, as their events tell.
//!
//! Every server of a database sees all events; the one that leads counts them, so that the sum over the servers is right.

use std::{collections::HashMap, time::Duration};

use oxide_bus::{Pattern, Received, Subscription};
use oxide_core::{
    event::{Event, EventKind},
    id::{JobIndex, RunId},
    outcome::Status,
    time::Timestamp,
};
use oxide_orchestrator::Leadership;
use prometheus_client::{
    metrics::{family::Family, histogram::Histogram},
    registry::Registry,
};
use tokio::sync::watch;

use super::total::Total;
use crate::state::ServerState;

/// How many events are read from the outbox at once.
const READ_AT_ONCE: u32 = 500;
/// The pause after the outbox could not be read.
const PAUSE: Duration = Duration::from_secs(1);

/// How something can end.
const ENDS: [Status; 6] =
    [Status::Success, Status::Warning, Status::Failure, Status::Cancelled, Status::Timeout, Status::Skipped];

/// Bounds in seconds: up to six hours.
const RUN_SECONDS: [f64; 12] = [1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 3600.0, 7200.0, 21600.0];
/// Bounds in seconds: up to an hour.
const QUEUE_SECONDS: [f64; 11] = [0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0];

type ByStatus = [(&'static str, &'static str); 1];

fn by(status: Status) -> ByStatus {
    [("status", status.as_str())]
}

/// What has ended.
#[derive(Debug)]
pub struct Work {
    runs: Family<ByStatus, Total>,
    jobs: Family<ByStatus, Total>,
    steps: Family<ByStatus, Total>,
    run_seconds: Family<ByStatus, Histogram, fn() -> Histogram>,
    queue_seconds: Histogram,
}

impl Default for Work {
    fn default() -> Work {
        Work {
            runs: all_at_zero(),
            jobs: all_at_zero(),
            steps: all_at_zero(),
            run_seconds: Family::<ByStatus, Histogram, fn() -> Histogram>::new_with_constructor(run_histogram),
            queue_seconds: Histogram::new(QUEUE_SECONDS),
        }
    }
}

/// A counter for each end: what is there from the beginning has a rate from its first one on.
fn all_at_zero() -> Family<ByStatus, Total> {
    let family = Family::<ByStatus, Total>::default();
    for status in ENDS {
        drop(family.get_or_create(&by(status)));
    }
    family
}

fn run_histogram() -> Histogram {
    Histogram::new(RUN_SECONDS)
}

impl Work {
    /// Names them.
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register("oxide_runs_ended_total", "Runs that have ended, by how", self.runs.clone());
        registry.register("oxide_jobs_ended_total", "Attempts of jobs that have ended, by how", self.jobs.clone());
        registry.register("oxide_steps_ended_total", "Steps that have ended, by how", self.steps.clone());
        registry.register(
            "oxide_run_duration_seconds",
            "Seconds from the start of a run to its end, by how it ended; 0 if it never started",
            self.run_seconds.clone(),
        );
        registry.register(
            "oxide_job_queue_duration_seconds",
            "Seconds that an attempt of a job waited for an agent",
            self.queue_seconds.clone(),
        );
    }

    /// Counts an event. `waited_ms` is how long the job that it tells of has waited, if an agent took it.
    fn count(&self, event: &EventKind, waited_ms: Option<u64>) {
        match event {
            EventKind::RunCompleted { status, duration_ms, .. } => {
                self.runs.get_or_create(&by(*status)).count();
                self.run_seconds.get_or_create(&by(*status)).observe(seconds(*duration_ms));
            }
            EventKind::JobCompleted { status, .. } => self.jobs.get_or_create(&by(*status)).count(),
            EventKind::StepCompleted { record, .. } => self.steps.get_or_create(&by(record.status)).count(),
            _ => {}
        }
        if let Some(waited_ms) = waited_ms {
            self.queue_seconds.observe(seconds(waited_ms));
        }
    }
}

fn seconds(millis: u64) -> f64 {
    Duration::from_millis(millis).as_secs_f64()
}

/// Attempts of jobs that wait for an agent, and since when. Those of a run are forgotten with its end.
#[derive(Debug, Default)]
struct Waiting {
    runs: HashMap<RunId, HashMap<(JobIndex, u32), Timestamp>>,
}

impl Waiting {
    /// Takes note of an event. Says for how many milliseconds the job had waited that an agent took.
    fn see(&mut self, event: &Event) -> Option<u64> {
        let run = event.run?;
        match &event.kind {
            EventKind::JobQueued { job, attempt } => {
                self.runs.entry(run).or_default().insert((*job, *attempt), event.at);
                None
            }
            EventKind::JobStarted { job, attempt, .. } => {
                let since = self.runs.get_mut(&run)?.remove(&(*job, *attempt))?;
                Some(event.at.millis_since(since))
            }
            EventKind::JobCompleted { job, attempt, .. } => {
                self.runs.get_mut(&run)?.remove(&(*job, *attempt));
                None
            }
            EventKind::RunCompleted { .. } => {
                self.runs.remove(&run);
                None
            }
            _ => None,
        }
    }
}

/// Counts what is published from now on, until the bus is closed.
pub fn follow(state: ServerState) -> impl Future<Output = ()> + Send {
    let subscription = state.engine.bus.subscribe(Pattern::all());
    follow_from(state, subscription)
}

async fn follow_from(state: ServerState, mut subscription: Subscription) {
    let leadership = state.engine.election.watch();
    let (mut waiting, mut seen) = (Waiting::default(), 0);
    while let Some(received) = subscription.next().await {
        match received {
            Received::Message(message) if message.seq > seen => {
                seen = message.seq;
                see(&state, &leadership, &mut waiting, &message.event);
            }
            Received::Message(_) => {}
            Received::Lagged { after } => {
                seen = catch_up(&state, &leadership, &mut waiting, seen.max(after)).await;
            }
        }
    }
}

fn see(state: &ServerState, leadership: &watch::Receiver<Leadership>, waiting: &mut Waiting, event: &Event) {
    // Noted by all: who comes to lead knows since when jobs wait.
    let waited_ms = waiting.see(event);
    if matches!(*leadership.borrow(), Leadership::Here(_)) {
        state.metrics.work.count(&event.kind, waited_ms);
    }
}

/// Reads from the outbox what was too quick for the bus. Answers with the number of the last event.
async fn catch_up(
    state: &ServerState,
    leadership: &watch::Receiver<Leadership>,
    waiting: &mut Waiting,
    mut seen: u64,
) -> u64 {
    loop {
        match state.store.events_after(seen, READ_AT_ONCE).await {
            Ok(events) if events.is_empty() => return seen,
            Ok(events) => {
                for event in events {
                    seen = event.seq;
                    see(state, leadership, waiting, &event.event);
                }
            }
            Err(error) => {
                tracing::warn!("metrics wait: {}", oxide_core::cause::in_one_line(&error));
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use oxide_core::id::AgentId;
    use prometheus_client::encoding::text::encode_registry;
    use uuid::Uuid;

    use super::*;

    const JOB: JobIndex = JobIndex(0);

    fn event(run: u128, at: i64, kind: EventKind) -> Event {
        Event::of_run(RunId(Uuid::from_u128(run)), None, Timestamp(at), kind)
    }

    fn queued(attempt: u32) -> EventKind {
        EventKind::JobQueued { job: JOB, attempt }
    }

    fn started(attempt: u32) -> EventKind {
        EventKind::JobStarted { job: JOB, attempt, agent: AgentId(Uuid::nil()) }
    }

    fn run_ended(duration_ms: u64) -> EventKind {
        EventKind::RunCompleted { status: Status::Failure, reason: None, duration_ms }
    }

    #[test]
    fn a_job_has_waited_from_its_own_queue_to_its_start() {
        let mut waiting = Waiting::default();
        assert_eq!(waiting.see(&event(1, 1_000, queued(1))), None);
        assert_eq!(waiting.see(&event(2, 3_000, queued(1))), None);
        assert_eq!(waiting.see(&event(2, 4_000, started(1))), Some(1_000));
        assert_eq!(waiting.see(&event(1, 8_000, started(1))), Some(7_000));
        // A second attempt waits anew; what was queued before anybody looked is not known.
        assert_eq!(waiting.see(&event(1, 9_000, queued(2))), None);
        assert_eq!(waiting.see(&event(1, 9_500, started(2))), Some(500));
        assert_eq!(waiting.see(&event(3, 9_500, started(1))), None);
    }

    #[test]
    fn what_will_never_start_is_forgotten() {
        let mut waiting = Waiting::default();
        waiting.see(&event(1, 0, queued(1)));
        waiting.see(&event(1, 1, run_ended(0)));
        assert!(waiting.runs.is_empty());
        waiting.see(&event(2, 0, queued(1)));
        let stopped = EventKind::JobCompleted { job: JOB, attempt: 1, status: Status::Cancelled, reason: None };
        waiting.see(&event(2, 1, stopped));
        assert_eq!(waiting.see(&event(2, 2, started(1))), None);
    }

    #[test]
    fn ends_are_counted_with_their_seconds() {
        let work = Work::default();
        work.count(&run_ended(2_500), None);
        work.count(&run_ended(90_000), None);
        work.count(&started(1), Some(300));
        assert_eq!(work.runs.get_or_create(&by(Status::Failure)).number(), 2);
        assert_eq!(work.runs.get_or_create(&by(Status::Success)).number(), 0);
        let (mut registry, mut text) = (Registry::default(), String::new());
        work.register(&mut registry);
        encode_registry(&mut text, &registry).unwrap();
        for line in [
            "oxide_run_duration_seconds_sum{status=\"failure\"} 92.5",
            "oxide_run_duration_seconds_bucket{le=\"1.0\",status=\"failure\"} 0",
            "oxide_run_duration_seconds_bucket{le=\"5.0\",status=\"failure\"} 1",
            "oxide_run_duration_seconds_bucket{le=\"+Inf\",status=\"failure\"} 2",
            "oxide_job_queue_duration_seconds_bucket{le=\"0.25\"} 0",
            "oxide_job_queue_duration_seconds_bucket{le=\"0.5\"} 1",
            "oxide_job_queue_duration_seconds_count 1",
        ] {
            assert!(text.lines().any(|have| have == line), "{line}\n{text}");
        }
    }
}
