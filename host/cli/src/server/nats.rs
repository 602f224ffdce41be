//! NATS: events go out to JetStream while this server leads, and agents may come in by it.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use oxide_api::{agent_door::AgentDoor, state::ServerState};
use oxide_bus::nats::{
    Nats, NatsSettings,
    carrier::CarrierServer,
    publish::{Outbox, OutboxError, Publisher},
};
use oxide_core::{event::NumberedEvent, protocol::LinkError};
use oxide_orchestrator::Election;
use oxide_store::{CredentialHash, EventsChanged, Store};
use tokio::{
    sync::{Mutex, watch},
    task::JoinHandle,
};

use super::leading::Leading;
use crate::failure::Failure;

/// How long NATS has to hear that this server answers no more.
const FAREWELL: Duration = Duration::from_secs(6);

/// How far events are published, as the store calls it.
const CURSOR: &str = "nats";

/// Connects, if NATS is named. That it is away is no error: it may come.
pub async fn connect(settings: Option<NatsSettings>) -> Result<Option<Nats>, Failure> {
    let Some(settings) = settings else { return Ok(None) };
    let nats =
        Nats::connect(settings).await.map_err(|error| Failure::usage("could not use `--nats`").because(&error))?;
    Ok(Some(nats))
}

/// Publishes whenever this server leads.
pub fn publish(nats: &Nats, store: &Store, election: &Election) -> Leading {
    let (connection, store) = (nats.clone(), store.clone());
    Leading::begin(election, move || {
        let outbox = StoreOutbox { changed: Mutex::new(store.events_changed()), store: store.clone() };
        let (publisher, _) = Publisher::new(connection.clone(), Arc::new(outbox));
        publisher.run()
    })
}

/// The outbox of the store.
struct StoreOutbox {
    store: Store,
    changed: Mutex<EventsChanged>,
}

#[async_trait]
impl Outbox for StoreOutbox {
    async fn events_after(&self, number: u64, limit: usize) -> Result<Vec<NumberedEvent>, OutboxError> {
        let found = self.store.events_after(number, u32::try_from(limit).unwrap_or(u32::MAX)).await?;
        Ok(found.into_iter().map(|found| NumberedEvent { seq: found.seq, event: found.event }).collect())
    }

    async fn last_number(&self) -> Result<u64, OutboxError> {
        Ok(self.store.last_event().await?)
    }

    async fn cursor(&self) -> Result<Option<u64>, OutboxError> {
        Ok(Some(self.store.cursor(CURSOR).await?).filter(|number| *number > 0))
    }

    async fn store_cursor(&self, number: u64) -> Result<(), OutboxError> {
        let mut transaction = self.store.begin().await?;
        transaction.put_cursor(CURSOR, number).await?;
        Ok(transaction.commit().await?)
    }

    async fn changed(&self) {
        self.changed.lock().await.wait().await;
    }
}

/// Agents that come in by NATS.
pub struct Answering {
    task: JoinHandle<()>,
    stop: watch::Sender<bool>,
}

/// Answers agents.
pub fn answer(nats: Nats, state: &ServerState) -> Answering {
    let (stop, stopped) = watch::channel(false);
    let store = state.store.clone();
    let check = Arc::new(move |credential: String| {
        let store = store.clone();
        let found = async move {
            let found = store.agent_by_credential(&CredentialHash::of(&credential)).await;
            let agent = found.map_err(|error| LinkError::Unavailable(Box::new(error)))?;
            let refused = |reason: &str| LinkError::Refused { reason: reason.to_owned() };
            let agent = agent.ok_or_else(|| refused("the credential of the agent is not known"))?;
            match agent.deregistered_at {
                None => Ok(agent.id),
                Some(_) => Err(refused("the agent was deregistered")),
            }
        };
        Box::pin(found) as std::pin::Pin<Box<dyn Future<Output = _> + Send>>
    });
    let server = CarrierServer::new(nats, Arc::new(AgentDoor(state.clone())), check);
    let task = tokio::spawn(async move {
        if let Err(error) = server.serve(stopped).await {
            tracing::error!("agents can no longer come in by NATS: {error}");
        }
    });
    Answering { task, stop }
}

impl Answering {
    /// Lets other servers answer, and ends.
    pub async fn end(self) {
        self.stop.send_replace(true);
        // NATS may be away, and is not waited for.
        let mut task = self.task;
        if tokio::time::timeout(FAREWELL, &mut task).await.is_err() {
            task.abort();
        }
    }
}
