//! Tells a collector of OpenTelemetry about runs that have ended: one trace for each, [`spans`].
//!
//! Runs are found in the outbox; how far it was told stands in the store, so that a collector that was away, and a server that
//! was killed, leave no gap as long as events are kept (`retention.events_days`). A run may be told twice, with the same ids;
//! one that cannot be read, or that the collector does not take, is left out.

pub mod spans;

use std::time::Duration;

use http::{HeaderMap, StatusCode};
use oxide_core::{event::EventKind, id::RunId};

use crate::{error::ApiError, resource::run::view, state::ServerState};

/// How far runs are told, as the store calls it.
const CURSOR: &str = "traces";
/// How many events are looked at together.
const EVENTS: u32 = 500;
/// How often it is tried to read a run.
const READ_TRIES: u32 = 6;
/// How long a collector may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// The pause after a failure; doubled up to [`PAUSE_MAX`].
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// Where traces go.
#[derive(Clone, Debug)]
pub struct Collector {
    /// The full address, such as `http://collector:4318/v1/traces`.
    pub url: reqwest::Url,
    /// Sent with each request, such as credentials.
    pub headers: HeaderMap,
}

/// Why a run could not be told.
enum Untold {
    /// It may go well later.
    Passing(String),
    /// It cannot be read: the store is away for a moment, or what it holds of it is broken.
    Unreadable(String),
    /// The collector will never take it.
    Refused(String),
}

/// How often the run of an event could not be read.
#[derive(Default)]
struct Tries {
    event: u64,
    count: u32,
}

impl Tries {
    /// It could not be read once more. Is it time to leave it out?
    fn are_used_up(&mut self, event: u64) -> bool {
        self.count = if self.event == event { self.count + 1 } else { 1 };
        self.event = event;
        self.count >= READ_TRIES
    }
}

/// Tells for ever. To run on one server at a time: the one that leads.
pub async fn tell(state: ServerState, collector: Collector) {
    let mut changed = state.store.events_changed();
    let (mut pause, mut tries) = (PAUSE, Tries::default());
    loop {
        match round(&state, &collector, &mut tries).await {
            Ok(true) => pause = PAUSE,
            Ok(false) => {
                pause = PAUSE;
                changed.wait().await;
            }
            Err(problem) => {
                tracing::warn!("traces wait: {problem}");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSE_MAX);
            }
        }
    }
}

/// Looks at the next events. False if there are none.
async fn round(state: &ServerState, collector: &Collector, tries: &mut Tries) -> Result<bool, String> {
    let failed = |error: oxide_store::StoreError| oxide_core::cause::in_one_line(&error);
    let mut seen = state.store.cursor(CURSOR).await.map_err(failed)?;
    if seen == 0 {
        // What was before anybody asked for traces is not told.
        seen = state.store.last_event().await.map_err(failed)?;
        return keep(state, seen).await.map(|()| false);
    }
    let events = state.store.events_after(seen, EVENTS).await.map_err(failed)?;
    let Some(last) = events.last().map(|event| event.seq) else { return Ok(false) };
    for event in events {
        let (EventKind::RunCompleted { .. }, Some(run)) = (&event.event.kind, event.event.run) else { continue };
        match tell_run(state, collector, run).await {
            Ok(()) => {}
            Err(Untold::Refused(problem)) => tracing::warn!(%run, "the collector does not take a trace: {problem}"),
            Err(Untold::Unreadable(problem)) if tries.are_used_up(event.seq) => {
                tracing::warn!(%run, "a run is left out of the traces, for it cannot be read: {problem}");
            }
            Err(Untold::Passing(problem) | Untold::Unreadable(problem)) => {
                keep(state, event.seq - 1).await?;
                return Err(problem);
            }
        }
    }
    keep(state, last).await.map(|()| true)
}

async fn keep(state: &ServerState, seq: u64) -> Result<(), String> {
    let kept = async {
        let mut transaction = state.store.begin().await?;
        transaction.put_cursor(CURSOR, seq).await?;
        transaction.commit().await
    };
    kept.await.map_err(|error| oxide_core::cause::in_one_line(&error))
}

async fn tell_run(state: &ServerState, collector: &Collector, run: RunId) -> Result<(), Untold> {
    let unreadable = |error: ApiError| Untold::Unreadable(error.message().to_owned());
    let row = state.store.run(run).await.map_err(|error| unreadable(error.into()))?;
    // It was deleted meanwhile.
    let Some(row) = row else { return Ok(()) };
    let details = view::of_row(state, row).await.map_err(unreadable)?;
    let request = state.http.post(collector.url.clone()).headers(collector.headers.clone()).timeout(PATIENCE);
    let request = request.header(http::header::CONTENT_TYPE, "application/json");
    let sent = request.body(spans::of_run(&details).to_string()).send().await;
    let status = sent.map_err(|error| Untold::Passing(oxide_core::cause::in_one_line(&error)))?.status();
    match status {
        status if status.is_success() => Ok(()),
        // What OTLP calls retryable.
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => Err(Untold::Passing(format!("the collector answers {status}"))),
        status => Err(Untold::Refused(format!("it answers {status}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_cannot_be_read_is_left_out_after_some_tries() {
        let mut tries = Tries::default();
        for event in [7, 9] {
            for _ in 1..READ_TRIES {
                assert!(!tries.are_used_up(event));
            }
        }
        assert!(tries.are_used_up(9));
        assert!(!tries.are_used_up(10));
    }
}
