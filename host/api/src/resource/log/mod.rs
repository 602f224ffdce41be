//! Logs: by page, as text, or followed from line 1.

mod follow;
mod position;
mod select;

use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderValue, header},
    response::Response,
};
use bytes::Bytes;
use futures_util::stream;
use oxide_core::{
    access::Role,
    api::{
        log::{LogLine, LogQuery, LogSelection, LogStreamQuery},
        page::Page,
    },
};

use self::{
    position::Place,
    select::{Selection, StepLog},
};
use crate::{
    caller::Caller,
    error::ApiError,
    extract::{Json, Path, Query},
    resource::run,
    route::{Access, Route, Tag},
    state::ServerState,
};

/// How many lines a page has if nothing else is said, and at most.
const LINES: (u32, u32) = (1_000, 10_000);
/// How many lines a search looks at for one page.
const SEARCHED_MAX: usize = 100_000;
/// The longest text that is searched for, in characters.
const SEARCH_MAX: usize = 500;
/// How many lines are read at once.
const READ_AT_ONCE: usize = 2_000;

/// The routes of this topic.
pub fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/runs/{run}/logs", "get_logs", page)
            .tag(Tag::Logs)
            .access(Access::Project(Role::Viewer))
            .summary("Reads lines of the log of a run, or of one of its steps.")
            .description("Jobs stand in the order of the run, each with its attempts, each with its steps.")
            .query::<LogQuery>()
            .answer::<Page<LogLine>>(200, "Lines."),
        Route::get("/api/v1/runs/{run}/logs/text", "get_log_text", text)
            .tag(Tag::Logs)
            .access(Access::Project(Role::Viewer))
            .summary("Reads the log of a run, or of one of its steps, as text, byte by byte as it was printed.")
            .query::<LogSelection>()
            .answer_of(200, "The lines, each with a line feed.", "text/plain")
            .streams(),
        Route::get("/api/v1/runs/{run}/logs/stream", "follow_logs", follow::follow)
            .tag(Tag::Logs)
            .access(Access::Project(Role::Viewer))
            .summary("Follows the log of a run, or of one of its steps, from line 1 on.")
            .description(
                "Server-sent events: `lines` with neighbouring lines of one step, and `end` when the run has ended. The id \
                 of an event is a position: whoever comes again with `Last-Event-ID` goes on behind it, without a gap and \
                 without a line twice, from whichever server. After `end` the answer is 204, so that browsers stay away.",
            )
            .query::<LogStreamQuery>()
            .answer_of(200, "The stream.", "text/event-stream")
            .answer_empty(204, "Everything was sent before.")
            .streams(),
    ]
}

async fn page(
    State(state): State<ServerState>,
    caller: Caller,
    Path(run): Path<String>,
    Query(query): Query<LogQuery>,
) -> Result<Json<Page<LogLine>>, ApiError> {
    let row = run::find(&state, &caller, &run).await?;
    let limit = query.limit.unwrap_or(LINES.0);
    if !(1..=LINES.1).contains(&limit) {
        return Err(ApiError::bad_request(format!("`limit` is 1 to {}, and not {limit}", LINES.1)));
    }
    if query.search.as_ref().is_some_and(|text| !(1..=SEARCH_MAX).contains(&text.chars().count())) {
        return Err(ApiError::bad_request(format!("`search` has 1 to {SEARCH_MAX} characters")));
    }
    let from = query.cursor.as_deref().filter(|cursor| !cursor.is_empty()).map(Place::parse).transpose()?;
    let logs = Selection::new(query.selection())?.find(&state, row.id).await?;
    let mut reader = Reader { state: &state, logs: &logs, at: from };
    let (mut items, mut looked_at) = (Vec::new(), 0);
    while items.len() < limit as usize && looked_at < SEARCHED_MAX {
        let wanted = match query.search {
            Some(_) => READ_AT_ONCE,
            None => limit as usize - items.len(),
        };
        let Some((log, lines)) = reader.next(wanted).await? else {
            return Ok(Json(Page { items, next_cursor: None }));
        };
        looked_at += lines.len();
        for line in lines {
            let number = line.number;
            let text = String::from_utf8_lossy(&line.text).into_owned();
            if query.search.as_ref().is_none_or(|wanted| text.contains(wanted.as_str())) {
                items.push(shown(log, number, line.at, line.stream, text));
            }
            if items.len() == limit as usize {
                // What was read behind this line is read again with the next page.
                reader.at = Some(log.place(number + 1));
                break;
            }
        }
    }
    let next_cursor = reader.at.map(|place| place.to_string());
    Ok(Json(Page { items, next_cursor }))
}

fn shown(
    log: &StepLog,
    line: u64,
    at: oxide_core::time::Timestamp,
    stream: oxide_core::protocol::LogStream,
    text: String,
) -> LogLine {
    let attempt = log.attempt;
    LogLine {
        stage: log.stage.clone(),
        job: attempt.job,
        attempt: attempt.number,
        step: log.step,
        line,
        at,
        stream,
        text,
    }
}

/// Reads logs one after the other, piece by piece.
struct Reader<'a> {
    state: &'a ServerState,
    logs: &'a [StepLog],
    /// Where it goes on; none at the beginning.
    at: Option<Place>,
}

impl<'a> Reader<'a> {
    /// The next lines, of one step; none at the end.
    async fn next(&mut self, limit: usize) -> Result<Option<(&'a StepLog, Vec<oxide_store::LogLine>)>, ApiError> {
        let first = match self.at {
            None => 0,
            Some(place) => self.logs.partition_point(|log| log.place(u64::MAX) < place),
        };
        for log in &self.logs[first..] {
            let from = self.at.filter(|place| place.is_in(log)).map_or(1, |place| place.line);
            let page = self.state.store.log_page(log.attempt, log.step, from, limit.clamp(1, READ_AT_ONCE)).await?;
            if let Some(last) = page.lines.last() {
                self.at = Some(log.place(last.number + 1));
                return Ok(Some((log, page.lines)));
            }
        }
        Ok(None)
    }
}

async fn text(
    State(state): State<ServerState>,
    caller: Caller,
    Path(run): Path<String>,
    Query(selection): Query<LogSelection>,
) -> Result<Response, ApiError> {
    let row = run::find(&state, &caller, &run).await?;
    let logs = Selection::new(selection)?.find(&state, row.id).await?;
    let lines = stream::try_unfold((state, logs, None), |(state, logs, at)| async move {
        let mut reader = Reader { state: &state, logs: &logs, at };
        let Some((_, lines)) =
            reader.next(READ_AT_ONCE).await.map_err(|error| std::io::Error::other(error.to_string()))?
        else {
            return Ok::<_, std::io::Error>(None);
        };
        let at = reader.at;
        let mut bytes = Vec::with_capacity(lines.iter().map(|line| line.text.len() + 1).sum());
        for line in &lines {
            bytes.extend_from_slice(&line.text);
            bytes.push(b'\n');
        }
        Ok(Some((Bytes::from(bytes), (state, logs, at))))
    });
    let mut response = Response::new(Body::from_stream(lines));
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, plain);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    Ok(response)
}

/// The position that a client comes with: `Last-Event-ID`, else `?cursor=`.
fn came_with(headers: &HeaderMap, query: &LogStreamQuery) -> Option<String> {
    let of_header = headers.get("last-event-id").and_then(|value| value.to_str().ok()).map(str::to_owned);
    of_header.or_else(|| query.cursor.clone()).filter(|id| !id.is_empty())
}
