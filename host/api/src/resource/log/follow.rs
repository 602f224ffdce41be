//! Follows a log: server-sent events in the order of time.
//!
//! The order is that of the events `step.output` in the outbox, which were written with their lines. So a position is the
//! number of an event and a line of it, and means the same on every server, now and after a restart. The events of runs that
//! ended long ago are forgotten: their logs are sent in the order of the run.

use std::{collections::VecDeque, convert::Infallible, sync::Arc, time::Duration};

use axum::{
    extract::State,
    http::HeaderMap,
    response::{
        IntoResponse as _, Response, Sse,
        sse::{Event as SseEvent, KeepAlive},
    },
};
use futures_util::stream;
use oxide_bus::{Pattern, Subscription};
use oxide_core::{
    api::log::{LogEnd, LogLines, LogStreamQuery, LogText},
    event::EventKind,
    id::{AttemptId, RunId, StepIndex},
    plan::Plan,
};
use oxide_store::StoredEvent;

use super::{
    READ_AT_ONCE, Reader, came_with,
    position::{Moment, Position},
    select::{Selection, StepLog, log_of},
};
use crate::{
    caller::Caller,
    error::ApiError,
    extract::{NoContent, Path, Query},
    resource::run,
    standing::Standing,
    state::ServerState,
};

/// How many lines one event of the stream has at most.
const LINES_MAX: usize = 500;
/// How many bytes of lines one event of the stream has at most, unless it is one line.
const BYTES_MAX: usize = 256 << 10;
/// How many events are read at once.
const EVENTS_AT_ONCE: u32 = 200;
/// How often the outbox is looked at without being told.
const LOOK: Duration = Duration::from_secs(5);
/// How often a silent stream shows that it lives.
const ALIVE: Duration = Duration::from_secs(15);

pub(super) async fn follow(
    State(state): State<ServerState>,
    caller: Caller,
    Path(run): Path<String>,
    headers: HeaderMap,
    Query(query): Query<LogStreamQuery>,
) -> Result<Response, ApiError> {
    let row = run::find(&state, &caller, &run).await?;
    let position = came_with(&headers, &query).map(|id| id.parse::<Position>()).transpose()?;
    if position == Some(Position::End) {
        return Ok(NoContent.into_response());
    }
    let standing = Standing::open(&state, caller, row.origin.project)?;
    // Whatever happens from here on is heard of.
    let subscription = state.engine.bus.subscribe(Pattern::run(row.id));
    let plan = Arc::new(state.store.plan(row.id).await?);
    let first = state.store.run_events_after(row.id, 0, 1).await?;
    let has_events = first.first().is_some_and(|first| matches!(first.event.kind, EventKind::RunQueued { .. }));
    let source = match position {
        Some(Position::Place(place)) => Source::Stored(Some(place)),
        // A moment of the future is of a database that was restored since: then the log is new.
        Some(Position::Moment(moment)) if has_events && moment.seq <= state.store.last_event().await? => {
            Source::Events(moment)
        }
        _ if has_events => Source::Events(Moment::default()),
        // The events are gone. Whoever has seen some of them begins again: nobody knows what is missing.
        None | Some(_) => Source::Stored(None),
    };
    let selection = Selection::new(query.selection())?;
    let follower = Follower {
        state,
        standing,
        run: row.id,
        plan,
        selection,
        source,
        subscription,
        unsent: VecDeque::new(),
        ready: VecDeque::new(),
        ended: false,
    };
    let events = stream::unfold(follower, |mut follower| async move {
        let event = follower.next().await?;
        Some((Ok::<_, Infallible>(event), follower))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(ALIVE).text("alive")).into_response())
}

/// Where the lines come from.
#[derive(Clone, Copy, Debug)]
enum Source {
    /// From events, behind this moment.
    Events(Moment),
    /// From the store, in the order of the run, from this line on.
    Stored(Option<super::Place>),
}

struct Follower {
    state: ServerState,
    standing: Standing,
    run: RunId,
    plan: Arc<Plan>,
    selection: Selection,
    source: Source,
    subscription: Subscription,
    /// Events that were read. Their lines are read one event after the other, when the client has taken those before: a
    /// client that reads nothing costs the lines of one.
    unsent: VecDeque<StoredEvent>,
    ready: VecDeque<SseEvent>,
    ended: bool,
}

impl Follower {
    /// The next event of the stream; none behind the end, if the client may no longer read it, or if the store cannot be
    /// read: then the client comes again.
    async fn next(&mut self) -> Option<SseEvent> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            if self.ended {
                return None;
            }
            if let Err(error) = self.standing.check().await {
                tracing::debug!("a stream of a log ends: {error}");
                return None;
            }
            let read = match self.source {
                Source::Events(moment) => self.read_events(moment).await,
                Source::Stored(from) => self.read_stored(from).await,
            };
            match read {
                Ok(true) => {}
                // Nothing new: wait until there is.
                Ok(false) => tokio::select! {
                    heard = tokio::time::timeout(LOOK, self.subscription.next()) => {
                        if matches!(heard, Ok(None)) {
                            return None;
                        }
                    }
                    () = self.standing.due() => {}
                },
                Err(error) => {
                    tracing::warn!("a stream of a log ends early: {error}");
                    return None;
                }
            }
        }
    }

    /// Reads what is behind a moment. Answers whether there was something.
    async fn read_events(&mut self, behind: Moment) -> Result<bool, ApiError> {
        if self.unsent.is_empty() {
            // An event of which only some lines were sent is read again.
            let after = if behind.line > 0 { behind.seq.saturating_sub(1) } else { behind.seq };
            self.unsent = self.state.store.run_events_after(self.run, after, EVENTS_AT_ONCE).await?.into();
        }
        let mut moment = behind;
        while self.ready.is_empty()
            && let Some(StoredEvent { seq, event }) = self.unsent.pop_front()
        {
            let sent_to = if seq == behind.seq { behind.line } else { 0 };
            match &event.kind {
                EventKind::StepOutput { job, attempt, step, first_line, line_count } => {
                    let attempt = AttemptId { run: self.run, job: *job, number: *attempt };
                    let last = first_line.saturating_add((*line_count).into()).saturating_sub(1);
                    if self.selection.holds(&self.plan, attempt, *step) && sent_to < last {
                        self.send_lines(seq, (attempt, *step), (*first_line).max(sent_to + 1), last).await?;
                    }
                    moment = Moment { seq, line: last };
                }
                EventKind::RunCompleted { status, reason, .. } => {
                    self.send_end(LogEnd { status: *status, reason: reason.clone() });
                    return Ok(true);
                }
                _ => moment = Moment { seq, line: 0 },
            }
        }
        let is_new = moment != behind;
        self.source = Source::Events(moment);
        Ok(is_new)
    }

    async fn send_lines(
        &mut self,
        seq: u64,
        (attempt, step): (AttemptId, StepIndex),
        first: u64,
        last: u64,
    ) -> Result<(), ApiError> {
        let log = log_of(&self.plan, attempt, step, None);
        let mut next = first;
        while next <= last {
            let limit = usize::try_from(last - next + 1).unwrap_or(READ_AT_ONCE).min(READ_AT_ONCE);
            let page = self.state.store.log_page(attempt, step, next, limit).await?;
            let Some(end) = page.lines.last().map(|line| line.number) else { break };
            for lines in pieces(&log, page.lines) {
                let line = lines.first_line + lines.lines.len() as u64 - 1;
                self.ready.push_back(event("lines", Position::Moment(Moment { seq, line }), &lines));
            }
            next = end + 1;
        }
        Ok(())
    }

    /// Reads the next lines in the order of the run; at their end, the run has ended.
    async fn read_stored(&mut self, from: Option<super::Place>) -> Result<bool, ApiError> {
        let logs = self.selection.find(&self.state, self.run).await?;
        let mut reader = Reader { state: &self.state, logs: &logs, at: from };
        if let Some((log, lines)) = reader.next(READ_AT_ONCE).await? {
            self.source = Source::Stored(reader.at);
            for lines in pieces(log, lines) {
                let next = lines.first_line + lines.lines.len() as u64;
                self.ready.push_back(event("lines", Position::Place(log.place(next)), &lines));
            }
            return Ok(true);
        }
        match self.state.store.run(self.run).await? {
            Some(row) if !row.status.is_final() => Ok(false),
            Some(row) => {
                self.send_end(LogEnd { status: row.status, reason: row.reason });
                Ok(true)
            }
            // The run is older than what is kept.
            None => Err(ApiError::not_found("run", self.run)),
        }
    }

    fn send_end(&mut self, end: LogEnd) {
        self.ready.push_back(event("end", Position::End, &end));
        self.ended = true;
    }
}

/// Neighbouring lines in pieces that are not too large.
fn pieces(log: &StepLog, lines: Vec<oxide_store::LogLine>) -> Vec<LogLines> {
    let mut pieces: Vec<LogLines> = Vec::new();
    let mut bytes = 0;
    for line in lines {
        let text = String::from_utf8_lossy(&line.text).into_owned();
        let is_full =
            pieces.last().is_none_or(|piece| piece.lines.len() >= LINES_MAX) || bytes + text.len() > BYTES_MAX;
        if is_full {
            bytes = 0;
            pieces.push(LogLines {
                stage: log.stage.clone(),
                job: log.attempt.job,
                attempt: log.attempt.number,
                step: log.step,
                name: log.name.clone(),
                first_line: line.number,
                lines: Vec::new(),
            });
        }
        bytes += text.len();
        let piece = pieces.last_mut().expect("there is one: the first line has made it");
        piece.lines.push(LogText { at: line.at, stream: line.stream, text });
    }
    pieces
}

fn event(name: &str, position: Position, data: &impl serde::Serialize) -> SseEvent {
    // JSON has no line breaks of its own, which an event could not hold.
    let data = serde_json::to_string(data).expect("our types have text keys and no failing serializers");
    SseEvent::default().event(name).id(position.to_string()).data(data)
}

#[cfg(test)]
mod tests {
    use oxide_core::{id::JobIndex, protocol::LogStream, time::Timestamp};
    use uuid::Uuid;

    use super::*;

    #[test]
    fn pieces_are_bounded_by_lines_and_bytes_and_lose_nothing() {
        let attempt = AttemptId { run: RunId(Uuid::nil()), job: JobIndex(0), number: 1 };
        let log = StepLog { attempt, step: StepIndex(0), stage: "test".into(), name: "run".into() };
        let line = |number: u64, size: usize| oxide_store::LogLine {
            number,
            at: Timestamp(0),
            stream: LogStream::Stdout,
            text: vec![b'x'; size],
        };
        let many: Vec<_> = (1..=1_201).map(|number| line(number, 1)).collect();
        let found = pieces(&log, many);
        assert_eq!(found.iter().map(|piece| piece.lines.len()).collect::<Vec<_>>(), [500, 500, 201]);
        assert_eq!(found.iter().map(|piece| piece.first_line).collect::<Vec<_>>(), [1, 501, 1_001]);
        let large: Vec<_> = (1..=3).map(|number| line(number, BYTES_MAX)).collect();
        assert_eq!(pieces(&log, large).len(), 3);
        assert!(pieces(&log, Vec::new()).is_empty());
    }
}
