//! WebSockets: a client says what it wants, and gets it.

use std::time::Duration;

use axum::{
    extract::{
        State, WebSocketUpgrade,
        ws::{CloseFrame, Message, WebSocket, close_code, rejection::WebSocketUpgradeRejection},
    },
    response::Response,
};
use futures_util::SinkExt as _;
use oxide_bus::Pattern;
use oxide_core::api::event::{ChannelMessage, ClientMessage, EventQuery, ServerMessage};

use super::{
    CHANNELS_MAX,
    feed::{End, Feed},
    patterns, patterns_of,
};
use crate::{
    caller::Caller,
    error::ApiError,
    extract::{Path, Query},
    resource::run,
    standing::Standing,
    state::ServerState,
};

/// The longest message of a client.
const MESSAGE_BYTES_MAX: usize = 64 << 10;
/// How long a client may take to accept a message.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often a silent socket shows that it lives.
const ALIVE: Duration = Duration::from_secs(20);

pub(super) async fn all(
    State(state): State<ServerState>,
    caller: Caller,
    Query(query): Query<EventQuery>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    let upgrade = upgraded(upgrade)?;
    // Nothing comes before it is asked for.
    let wanted = match query.channels {
        Some(_) => patterns_of(&query)?,
        None => Vec::new(),
    };
    let standing = Standing::open(&state, caller, None)?;
    let feed = Feed::open(state, standing, wanted, query.since).await?;
    Ok(upgrade.on_upgrade(move |socket| serve(socket, feed)))
}

pub(super) async fn of_run(
    State(state): State<ServerState>,
    caller: Caller,
    Path(run): Path<String>,
    Query(query): Query<EventQuery>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    let row = run::find(&state, &caller, &run).await?;
    let upgrade = upgraded(upgrade)?;
    let since = match query.since {
        Some(since) => since,
        // Just before the first one of the run.
        None => {
            let first = state.store.run_events_after(row.id, 0, 1).await?;
            first.first().map_or(0, |first| first.seq - 1)
        }
    };
    let standing = Standing::open(&state, caller, row.origin.project)?;
    let feed = Feed::open(state, standing, vec![Pattern::run(row.id)], Some(since)).await?;
    Ok(upgrade.on_upgrade(move |socket| serve(socket, feed)))
}

fn upgraded(upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>) -> Result<WebSocketUpgrade, ApiError> {
    let upgrade = upgrade.map_err(|error| {
        ApiError::bad_request("this is a WebSocket, and the request does not ask for one")
            .with_details(error.body_text())
            .suggest("connect with a WebSocket client: `websocat ws://…/api/v1/ws -H 'Authorization: Bearer …'`")
    })?;
    Ok(upgrade.max_message_size(MESSAGE_BYTES_MAX).max_frame_size(MESSAGE_BYTES_MAX))
}

/// Serves one client until it goes or the server ends.
async fn serve(mut socket: WebSocket, mut feed: Feed) {
    let mut alive = tokio::time::interval(ALIVE);
    alive.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    alive.tick().await;
    loop {
        tokio::select! {
            said = socket.recv() => {
                let Some(Ok(said)) = said else { return };
                let text = match said {
                    Message::Text(text) => text,
                    Message::Binary(_) => {
                        let error = failed("send text, not bytes", &["{\"action\":\"ping\"}"]);
                        if !send(&mut socket, &error).await { return }
                        continue;
                    }
                    Message::Ping(_) | Message::Pong(_) => continue,
                    Message::Close(_) => {
                        // The answer was put in line when this was read.
                        let _ = socket.flush().await;
                        return;
                    }
                };
                let answer = answer(&mut feed, text.as_str()).await;
                if !send(&mut socket, &answer).await {
                    return;
                }
            }
            events = feed.next() => {
                let events = match events {
                    Ok(events) => events,
                    Err(end) => {
                        let (code, reason) = match end {
                            End::Server => (close_code::AWAY, "come again with `since`"),
                            End::Refused => (close_code::POLICY, "you may no longer see this: sign in again"),
                        };
                        sent(&mut socket, Message::Close(Some(CloseFrame { code, reason: reason.into() }))).await;
                        return;
                    }
                };
                for (channel, payload) in events {
                    if !send(&mut socket, &ChannelMessage { channel, payload }).await {
                        return;
                    }
                }
            }
            _ = alive.tick() => {
                if !sent(&mut socket, Message::Ping(Vec::new().into())).await {
                    return;
                }
            }
        }
    }
}

async fn send(socket: &mut WebSocket, message: &impl serde::Serialize) -> bool {
    let text = serde_json::to_string(message).expect("our types have text keys and no failing serializers");
    sent(socket, Message::Text(text.into())).await
}

/// Sends a message. `false` if the client has gone, or does not read.
async fn sent(socket: &mut WebSocket, message: Message) -> bool {
    matches!(tokio::time::timeout(PATIENCE, socket.send(message)).await, Ok(Ok(())))
}

/// Does what a client says, and answers.
async fn answer(feed: &mut Feed, text: &str) -> ServerMessage {
    let said: ClientMessage = match serde_json::from_str(text) {
        Ok(said) => said,
        Err(error) => {
            let hints = [
                "{\"action\":\"subscribe\",\"channels\":[\"run.*.started\"]}",
                "{\"action\":\"unsubscribe\",\"channels\":[\"run.*.started\"]}",
            ];
            return failed(&format!("the message cannot be read: {error}"), &hints);
        }
    };
    match said {
        ClientMessage::Ping => ServerMessage::Pong,
        ClientMessage::Subscribe { channels, since } => {
            let added = match patterns(channels.iter().map(String::as_str)) {
                Ok(added) => added,
                Err(error) => return failed(error.message(), &["run.*.started", "run.ID.>", ">"]),
            };
            let is_new = |pattern: &Pattern, feed: &mut Feed| {
                !feed.patterns().iter().any(|known| known.to_string() == pattern.to_string())
            };
            let added: Vec<Pattern> = added.into_iter().filter(|pattern| is_new(pattern, feed)).collect();
            if feed.patterns().len() + added.len() > CHANNELS_MAX {
                return failed(
                    &format!("these are more than {CHANNELS_MAX} channels"),
                    &["unsubscribe from some of them"],
                );
            }
            if let Some(since) = since
                && let Err(error) = feed.go_to(since).await
            {
                return failed(error.message(), &["leave `since` out"]);
            }
            feed.patterns().extend(added);
            subscribed(feed)
        }
        ClientMessage::Unsubscribe { channels } => {
            feed.patterns().retain(|known| !channels.contains(&known.to_string()));
            subscribed(feed)
        }
    }
}

fn subscribed(feed: &mut Feed) -> ServerMessage {
    let since = feed.seq();
    ServerMessage::Subscribed { channels: feed.patterns().iter().map(ToString::to_string).collect(), since }
}

fn failed(message: &str, suggestions: &[&str]) -> ServerMessage {
    let suggestions = suggestions.iter().map(|text| (*text).to_owned()).collect();
    ServerMessage::Error { message: message.to_owned(), suggestions }
}
