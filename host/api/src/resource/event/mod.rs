//! Events as they happen: server-sent events, and WebSockets.

mod feed;
mod socket;

use std::{collections::VecDeque, convert::Infallible, time::Duration};

use axum::{
    extract::State,
    http::HeaderMap,
    response::{
        IntoResponse as _, Response, Sse,
        sse::{Event as SseEvent, KeepAlive},
    },
};
use futures_util::stream;
use oxide_bus::Pattern;
use oxide_core::{
    access::Role,
    api::{error::ErrorKind, event::EventQuery},
};

use self::feed::Feed;
use crate::{
    caller::Caller,
    error::ApiError,
    extract::Query,
    route::{Access, Route, Tag},
    standing::Standing,
    state::ServerState,
};

/// How often a silent stream shows that it lives.
const ALIVE: Duration = Duration::from_secs(15);
/// How many channels one client has at most.
const CHANNELS_MAX: usize = 100;

/// The routes of this topic.
pub fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/events", "stream_events", sse)
            .tag(Tag::Events)
            .access(Access::SignedIn)
            .summary("Streams events as server-sent events.")
            .description(
                "The kind of each is its type, the data is the event, the id its number: whoever comes again with \
                 `Last-Event-ID` misses nothing. Only events of projects that the caller may view.",
            )
            .query::<EventQuery>()
            .answer_of(200, "The stream.", "text/event-stream")
            .errors(&[ErrorKind::Gone])
            .streams(),
        Route::get("/api/v1/ws", "open_socket", socket::all)
            .tag(Tag::Events)
            .access(Access::SignedIn)
            .summary("Opens a WebSocket for events.")
            .description(
                "`{\"action\": \"subscribe\", \"channels\": [\"run.*.started\"]}` begins and `unsubscribe` ends; events come as \
                 `{\"channel\": …, \"payload\": …}`. With `since` the events behind that number come first.",
            )
            .query::<EventQuery>()
            .answer_empty(101, "The socket is open.")
            .errors(&[ErrorKind::Gone])
            .streams(),
        Route::get("/api/v1/ws/runs/{run}", "open_run_socket", socket::of_run)
            .tag(Tag::Events)
            .access(Access::Project(Role::Viewer))
            .summary("Opens a WebSocket for the events of one run, from its first one on.")
            .query::<EventQuery>()
            .answer_empty(101, "The socket is open.")
            .errors(&[ErrorKind::Gone])
            .streams(),
    ]
}

/// Reads patterns of channels.
fn patterns<'a>(channels: impl IntoIterator<Item = &'a str>) -> Result<Vec<Pattern>, ApiError> {
    let mut patterns = Vec::new();
    for channel in channels {
        let pattern: Pattern = channel.trim().parse().map_err(|error: oxide_bus::PatternError| {
            ApiError::bad_request(error.to_string()).suggest("write `run.*.started`, `run.ID.>` or `>`")
        })?;
        if patterns.len() == CHANNELS_MAX {
            return Err(ApiError::bad_request(format!("these are more than {CHANNELS_MAX} channels")));
        }
        patterns.push(pattern);
    }
    Ok(patterns)
}

/// The patterns of a query: everything, if it names none.
fn patterns_of(query: &EventQuery) -> Result<Vec<Pattern>, ApiError> {
    match query.channels.as_deref().filter(|channels| !channels.is_empty()) {
        Some(channels) => patterns(channels.split(',')),
        None => Ok(vec![Pattern::all()]),
    }
}

async fn sse(
    State(state): State<ServerState>,
    caller: Caller,
    headers: HeaderMap,
    Query(query): Query<EventQuery>,
) -> Result<Response, ApiError> {
    let came_with = headers.get("last-event-id").map(|value| {
        let number = value.to_str().ok().and_then(|text| text.trim().parse::<u64>().ok());
        number.ok_or_else(|| ApiError::bad_request("`Last-Event-ID` is no number of an event"))
    });
    let since = came_with.transpose()?.or(query.since);
    let standing = Standing::open(&state, caller, None)?;
    let feed = Feed::open(state, standing, patterns_of(&query)?, since).await?;
    let events = stream::unfold((feed, VecDeque::new()), |(mut feed, mut ready)| async move {
        loop {
            if let Some(event) = ready.pop_front() {
                return Some((Ok::<_, Infallible>(event), (feed, ready)));
            }
            for (_, payload) in feed.next().await.ok()? {
                let data = serde_json::to_value(&payload).expect("our types have text keys and no failing serializers");
                let kind = data.get("type").and_then(|kind| kind.as_str()).unwrap_or("message").to_owned();
                let id = payload.event.seq.to_string();
                ready.push_back(SseEvent::default().event(kind).id(id).data(data.to_string()));
            }
        }
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(ALIVE).text("alive")).into_response())
}
