//! Answers agents that come over NATS, through the link to the orchestrator that this server has.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_nats::{Client, HeaderMap, Message, SubscribeError, Subscriber};
use bytes::Bytes;
use futures_util::{StreamExt, stream::SelectAll};
use oxide_core::{
    id::AgentId,
    protocol::{Complete, Heartbeat, LinkError, OrchestratorLink, Register, Report},
};
use serde::{Serialize, de::DeserializeOwned};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch},
    task::JoinSet,
};

use super::{
    parts::{self, Offer},
    wire::{self, CREDENTIAL, REQUEST, Status, message},
};
use crate::nats::Nats;

/// The queue group of all servers of an installation.
pub const QUEUE_GROUP: &str = "oxide-servers";
/// How many requests, long polls among them, a server holds at the same time.
const UNDER_WAY_MAX: usize = 8192;
/// How long what is not a long poll may take to end when the server shuts down.
const LAST_ANSWERS: Duration = Duration::from_secs(5);

/// Finds out whose a credential is. [`LinkError::Refused`] if nobody's, or not any more.
pub type CredentialCheck =
    Arc<dyn Fn(String) -> Pin<Box<dyn Future<Output = Result<AgentId, LinkError>> + Send>> + Send + Sync>;

/// Answers agents. See the module.
pub struct CarrierServer {
    nats: Nats,
    link: Arc<dyn OrchestratorLink>,
    check: CredentialCheck,
    under_way_max: usize,
}

impl CarrierServer {
    /// A server that answers through this link. It does nothing before [`CarrierServer::serve`].
    pub fn new(nats: Nats, link: Arc<dyn OrchestratorLink>, check: CredentialCheck) -> CarrierServer {
        CarrierServer { nats, link, check, under_way_max: UNDER_WAY_MAX }
    }

    /// Holds at most this many requests, long polls among them; agents try again with what is more.
    #[must_use]
    pub fn with_under_way_max(mut self, count: usize) -> CarrierServer {
        self.under_way_max = count.max(1);
        self
    }

    /// Answers until `shutdown` turns true, then lets other servers take what comes, answers what it has and ends. Long polls
    /// are answered with a word that makes the agent ask again. Without a connection it ends at once.
    ///
    /// # Errors
    /// If it cannot subscribe, which happens only when the connection was closed for good.
    pub async fn serve(self, mut shutdown: watch::Receiver<bool>) -> Result<(), SubscribeError> {
        let client = self.nats.client().clone();
        let mut requests = SelectAll::new();
        for message in message::ALL {
            let subscriber =
                client.queue_subscribe(self.nats.subjects().agent(message), QUEUE_GROUP.to_owned()).await?;
            requests.push(Named { message, subscriber });
        }
        let mut forgotten = client.subscribe(self.nats.subjects().agent(message::FORGET)).await?;
        let mut interruptions = self.nats.interruptions();
        let room = Arc::new(Semaphore::new(self.under_way_max));
        let desk = Arc::new(Desk {
            client,
            nats: self.nats,
            link: self.link,
            check: self.check,
            awaited: Mutex::default(),
            ending: watch::Sender::new(false),
        });
        let mut answers = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                () = turns_true(&mut shutdown) => break,
                // Agents do not wait any more for what they have asked; they ask again.
                _ = interruptions.changed() => desk.forget_all(),
                // Requests before those that call them off.
                Some((message, request)) = requests.next() => match Arc::clone(&room).try_acquire_owned() {
                    Ok(place) => desk.take(message, request, place, &mut answers),
                    Err(_) => desk.turn_away(request).await,
                },
                Some(id) = forgotten.next() => desk.forget(&String::from_utf8_lossy(&id.payload)),
                Some(_) = answers.join_next() => {}
                else => break,
            }
        }
        interruptions.mark_unchanged();
        // Without a connection nobody hears of it, and the client would wait for one.
        if desk.nats.is_connected() {
            tokio::select! {
                () = desk.farewell(requests, &mut answers) => {}
                _ = interruptions.changed() => {}
            }
        }
        Ok(())
    }
}

/// A subscription that tells its name with each message.
struct Named {
    message: &'static str,
    subscriber: Subscriber,
}

impl futures_util::Stream for Named {
    type Item = (&'static str, Message);

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        let message = self.message;
        self.subscriber.poll_next_unpin(context).map(|next| next.map(|request| (message, request)))
    }
}

/// What answering needs.
struct Desk {
    client: Client,
    nats: Nats,
    link: Arc<dyn OrchestratorLink>,
    check: CredentialCheck,
    /// Requests whose agents wait, by id.
    awaited: Mutex<HashMap<String, oneshot::Sender<()>>>,
    /// Turns true when long polls are to end.
    ending: watch::Sender<bool>,
}

/// Removes a request from those that are awaited.
struct Awaited<'a> {
    desk: &'a Desk,
    id: String,
}

impl Drop for Awaited<'_> {
    fn drop(&mut self) {
        self.desk.lock().remove(&self.id);
    }
}

impl Desk {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, oneshot::Sender<()>>> {
        self.awaited.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The agent does not wait any more.
    fn forget(&self, id: &str) {
        // Dropping the sender is the word.
        self.lock().remove(id);
    }

    fn forget_all(&self) {
        self.lock().clear();
    }

    /// Lets other servers take what comes, and answers what is there.
    async fn farewell(&self, requests: SelectAll<Named>, answers: &mut JoinSet<()>) {
        for mut named in requests {
            // What it has received already is answered below.
            let _ = named.subscriber.unsubscribe().await;
            while let Some(request) = named.subscriber.next().await {
                self.turn_away(request).await;
            }
        }
        self.ending.send_replace(true);
        let ended = async { while answers.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(LAST_ANSWERS, ended).await;
        let _ = self.client.flush().await;
    }

    async fn turn_away(&self, request: Message) {
        if let Some(reply) = request.reply {
            self.reply(reply, Status::Unavailable, "the server has too much to do, or is shutting down".into()).await;
        }
    }

    /// Begins to answer a request.
    fn take(
        self: &Arc<Self>,
        message: &'static str,
        request: Message,
        place: OwnedSemaphorePermit,
        answers: &mut JoinSet<()>,
    ) {
        // Without one nobody waits for an answer, and without that nothing may be given away.
        let Some(reply) = request.reply.clone() else { return };
        let id = request.headers.as_ref().and_then(|headers| headers.get(REQUEST));
        let id = id.map_or_else(|| reply.to_string(), ToString::to_string);
        let (sender, forgotten) = oneshot::channel();
        self.lock().insert(id.clone(), sender);
        let desk = Arc::clone(self);
        answers.spawn(async move {
            let _place = place;
            let _awaited = Awaited { desk: &desk, id };
            desk.answer(message, request, reply, forgotten).await;
        });
    }

    async fn answer(
        &self,
        message: &'static str,
        request: Message,
        reply: async_nats::Subject,
        forgotten: oneshot::Receiver<()>,
    ) {
        let is_poll = matches!(message, message::LEASE | message::HEARTBEAT);
        let mut ending = self.ending.subscribe();
        let (status, payload) = tokio::select! {
            biased;
            // Dropping what waits takes it back from the orchestrator.
            _ = forgotten => return,
            handled = self.handle(message, request) => match handled {
                Ok(payload) => (Status::Ok, payload),
                Err(error) => {
                    let (status, text) = wire::of_error(&error);
                    (status, text.into())
                }
            },
            () = turns_true(&mut ending), if is_poll => {
                let (status, text) = wire::of_error(&LinkError::Closed);
                (status, text.into())
            }
        };
        self.reply(reply, status, payload).await;
    }

    /// Sends an answer, in parts if it is large.
    async fn reply(&self, reply: async_nats::Subject, status: Status, payload: Bytes) {
        let mut headers = HeaderMap::new();
        status.write(&mut headers);
        let payload = if payload.len() <= parts::room(&self.client) {
            payload
        } else {
            let id = self.client.new_inbox();
            let id = id.rsplit('.').next().unwrap_or_default();
            let subject = self.nats.subjects().agent(&format!("part.{id}"));
            match Offer::make(&self.client, subject, payload, &mut headers).await {
                Ok(offer) => drop(tokio::spawn(offer.serve())),
                // The agent asks again.
                Err(_) => return,
            }
            Bytes::new()
        };
        // An agent that does not get it asks again.
        let _ = self.client.publish_with_headers(reply, headers, payload).await;
    }

    async fn handle(&self, message: &'static str, request: Message) -> Result<Bytes, LinkError> {
        let credential = request.headers.as_ref().and_then(|headers| headers.get(CREDENTIAL));
        let credential = credential.ok_or_else(|| refused("the message has no credential"))?;
        let agent = (self.check)(credential.to_string()).await?;
        // Inboxes belong to those who ask.
        let is_inbox = |subject: &str| subject.starts_with("_INBOX.");
        let payload = parts::whole(&self.client, request.headers.as_ref(), request.payload, is_inbox).await;
        let payload = payload.map_err(|error| match error.may_pass() {
            true => LinkError::Unavailable(Box::new(error)),
            false => LinkError::Rejected { reason: error.to_string() },
        })?;
        match message {
            message::REGISTER => {
                let body: Register = read(message, &payload)?;
                own(agent, body.agent)?;
                self.link.register(body).await.map(|answer| write(&answer))
            }
            message::LEASE => {
                let asking: AgentId = read(message, &payload)?;
                own(agent, asking)?;
                self.link.lease(asking).await.map(|answer| write(&answer))
            }
            message::REPORT => {
                let body: Report = read(message, &payload)?;
                own(agent, body.agent)?;
                self.link.report(body).await.map(|answer| write(&answer))
            }
            message::HEARTBEAT => {
                let body: Heartbeat = read(message, &payload)?;
                own(agent, body.agent)?;
                self.link.heartbeat(body).await.map(|answer| write(&answer))
            }
            _ => {
                let body: Complete = read(message, &payload)?;
                own(agent, body.agent)?;
                self.link.complete(body).await.map(|answer| write(&answer))
            }
        }
    }
}

async fn turns_true(flag: &mut watch::Receiver<bool>) {
    // A sender that is gone counts as true: nobody is left who could say so.
    let _ = flag.wait_for(|value| *value).await;
}

fn refused(reason: &str) -> LinkError {
    LinkError::Refused { reason: reason.to_owned() }
}

fn read<T: DeserializeOwned>(message: &'static str, payload: &[u8]) -> Result<T, LinkError> {
    serde_json::from_slice(payload).map_err(|cause| {
        let what = "could not be read; are agent and server of the same version?";
        LinkError::Rejected { reason: format!("the message `{message}` {what} ({cause})") }
    })
}

/// An agent speaks for itself only.
fn own(holder: AgentId, named: AgentId) -> Result<(), LinkError> {
    match holder == named {
        true => Ok(()),
        false => Err(refused("the credential belongs to another agent")),
    }
}

fn write(answer: &impl Serialize) -> Bytes {
    serde_json::to_vec(answer).expect("answers are plain data").into()
}
