//! The events that one client wants and may see, in order and without gaps: first those of the outbox behind a number, then
//! those of the bus; and again those of the outbox if the client was too slow for the bus.

use oxide_bus::{Pattern, Received, Subscription};
use oxide_core::{
    access::{Area, Rights, Role},
    api::{event::EventPayload, log::LogText},
    event::{Event, EventKind, NumberedEvent},
    id::AttemptId,
};
use oxide_store::StoredEvent;

use crate::{
    error::{ApiError, ErrorKind},
    standing::Standing,
    state::ServerState,
};

/// How many events are read from the outbox at once.
const READ_AT_ONCE: u32 = 500;
/// How many lines of a log an event carries at most; the log has all of them.
const LINES_MAX: usize = 200;
/// How many bytes of lines an event carries at most.
const BYTES_MAX: usize = 64 << 10;

/// Why no more events come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The server ends, or cannot read them: the client may come again.
    Server,
    /// The client may no longer see them.
    Refused,
}

/// What comes to one client.
pub(super) struct Feed {
    state: ServerState,
    standing: Standing,
    patterns: Vec<Pattern>,
    subscription: Subscription,
    /// Everything up to this number was looked at.
    seq: u64,
    /// The outbox may have more behind that number.
    is_behind: bool,
}

impl Feed {
    /// Begins behind an event, or with what happens from now on.
    ///
    /// # Errors
    /// 410 if events behind that number have been forgotten, or there is no such number yet.
    pub async fn open(
        state: ServerState,
        standing: Standing,
        patterns: Vec<Pattern>,
        since: Option<u64>,
    ) -> Result<Feed, ApiError> {
        // Subscribed before anything is read: what is in neither does not exist.
        let subscription = state.engine.bus.subscribe(Pattern::all());
        let seq = match since {
            Some(since) => {
                check_since(&state, since).await?;
                since
            }
            None => state.store.last_event().await?,
        };
        Ok(Feed { state, standing, patterns, subscription, seq, is_behind: true })
    }

    /// The number behind which the next events come.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// The patterns, to be changed.
    pub fn patterns(&mut self) -> &mut Vec<Pattern> {
        &mut self.patterns
    }

    /// Goes back to an earlier number, or forward to a later one.
    ///
    /// # Errors
    /// As [`Feed::open`].
    pub async fn go_to(&mut self, since: u64) -> Result<(), ApiError> {
        check_since(&self.state, since).await?;
        (self.seq, self.is_behind) = (since, true);
        Ok(())
    }

    /// The next events with their subjects. May be dropped while it waits; nothing is lost.
    ///
    /// # Errors
    /// There are no more, and why.
    pub async fn next(&mut self) -> Result<Vec<(String, EventPayload)>, End> {
        loop {
            if let Err(error) = self.standing.check().await {
                tracing::debug!("a stream of events ends: {error}");
                let is_refused =
                    matches!(error.kind(), ErrorKind::Unauthorized | ErrorKind::Forbidden | ErrorKind::NotFound);
                return Err(if is_refused { End::Refused } else { End::Server });
            }
            if self.is_behind {
                let found = match self.state.store.events_after(self.seq, READ_AT_ONCE).await {
                    Ok(found) => found,
                    Err(error) => {
                        tracing::warn!("a stream of events ends early: {error}");
                        return Err(End::Server);
                    }
                };
                let mut wanted = Vec::new();
                let (last, is_behind) = (found.last().map(|last| last.seq), found.len() == READ_AT_ONCE as usize);
                for StoredEvent { seq, event } in found {
                    wanted.extend(self.wanted(NumberedEvent { seq, event }).await);
                }
                // Only now: whoever stops waiting before has lost nothing.
                self.seq = last.unwrap_or(self.seq);
                self.is_behind = is_behind;
                if !wanted.is_empty() {
                    return Ok(wanted);
                }
                continue;
            }
            let received = tokio::select! {
                received = self.subscription.next() => received.ok_or(End::Server)?,
                () = self.standing.due() => continue,
            };
            match received {
                Received::Message(message) if message.seq > self.seq => {
                    let seq = message.seq;
                    // Read again from the outbox if this is dropped while lines are read.
                    self.is_behind = true;
                    let wanted = self.wanted(message).await;
                    (self.seq, self.is_behind) = (seq, false);
                    if let Some(wanted) = wanted {
                        return Ok(vec![wanted]);
                    }
                }
                Received::Message(_) => {}
                Received::Lagged { .. } => self.is_behind = true,
            }
        }
    }

    /// The event as it is sent, if it is wanted and may be seen.
    async fn wanted(&self, numbered: NumberedEvent) -> Option<(String, EventPayload)> {
        let subject = numbered.event.subject();
        if !self.patterns.iter().any(|pattern| pattern.matches(&subject))
            || !may_see(self.standing.rights(), &numbered.event)
        {
            return None;
        }
        let lines = self.lines(&numbered.event).await;
        Some((subject, EventPayload { event: numbered, lines }))
    }

    /// The lines that an event tells of, as far as they are few.
    async fn lines(&self, event: &Event) -> Option<Vec<LogText>> {
        let (Some(run), EventKind::StepOutput { job, attempt, step, first_line, line_count }) =
            (event.run, &event.kind)
        else {
            return None;
        };
        let attempt = AttemptId { run, job: *job, number: *attempt };
        let limit = (*line_count as usize).min(LINES_MAX);
        let page = self.state.store.log_page(attempt, *step, *first_line, limit).await.ok()?;
        let mut bytes = 0;
        let within = page.lines.into_iter().take_while(|line| {
            bytes += line.text.len();
            bytes <= BYTES_MAX
        });
        let text = |line: oxide_store::LogLine| LogText {
            at: line.at,
            stream: line.stream,
            text: String::from_utf8_lossy(&line.text).into_owned(),
        };
        Some(within.map(text).collect())
    }
}

/// May this event be seen? What belongs to a project, by those who may view it; the rest by every user.
fn may_see(rights: &Rights, event: &Event) -> bool {
    match event.project {
        Some(project) => rights.check(Area::Api, project, Role::Viewer).is_ok(),
        None if event.run.is_some() => rights.check_organization(Area::Api, Role::Admin).is_ok(),
        None => rights.check_organization(Area::Api, Role::Viewer).is_ok(),
    }
}

async fn check_since(state: &ServerState, since: u64) -> Result<(), ApiError> {
    // In this order: what is written meanwhile makes no number too great.
    let first = state.store.first_event().await?;
    check_kept(since, first, state.store.last_event().await?)
}

/// Are all events behind this number still there, or yet to come?
fn check_kept(since: u64, first: Option<u64>, last: u64) -> Result<(), ApiError> {
    let problem = match first {
        _ if since > last => {
            format!("the newest event is {last}: {since} is of another database, or one from before a restore")
        }
        Some(first) if since > 0 && since < first.saturating_sub(1) => {
            format!("events up to {} have been forgotten", first - 1)
        }
        _ => return Ok(()),
    };
    Err(ApiError::new(ErrorKind::Gone, problem)
        .suggest("read the runs again, then follow what happens from now on: leave `since` out"))
}

#[cfg(test)]
mod tests {
    use oxide_core::{
        id::{ProjectId, RunId},
        time::Timestamp,
    };
    use uuid::Uuid;

    use super::*;

    #[test]
    fn events_are_for_those_who_may_view_their_project() {
        let (mine, other) = (ProjectId(Uuid::from_u128(1)), ProjectId(Uuid::from_u128(2)));
        let rights = Rights { roles: [(mine, Role::Viewer)].into(), ..Rights::default() };
        let run = RunId(Uuid::from_u128(3));
        let of = |project| Event::of_run(run, project, Timestamp(0), EventKind::RunStarted);
        assert!(
            may_see(&rights, &of(Some(mine))) && !may_see(&rights, &of(Some(other))) && !may_see(&rights, &of(None))
        );
        let admin = Rights { is_admin: true, ..Rights::default() };
        assert!(may_see(&admin, &of(Some(other))) && may_see(&admin, &of(None)));
        let kind = EventKind::PluginUnloaded {
            digest: String::new(),
            reference: String::new(),
            agent: None,
            reason: String::new(),
        };
        assert!(may_see(&rights, &Event::of_server(Timestamp(0), kind)));
    }

    #[test]
    fn what_is_forgotten_is_told() {
        let kept = |since, first| check_kept(since, first, 200);
        assert!(kept(0, Some(100)).is_ok() && kept(99, Some(100)).is_ok() && kept(5, None).is_ok());
        for since in [98, 201, u64::MAX] {
            assert_eq!(kept(since, Some(100)).unwrap_err().kind(), ErrorKind::Gone);
        }
        assert!(check_kept(0, None, 0).is_ok());
    }
}
