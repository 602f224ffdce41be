//! Agents that take jobs, do nothing, and say so: as many as one likes in one process. They speak HTTPS as real ones do.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use oxide_agent::link::{HttpsLink, Servers, join};
use oxide_client::Client;
use oxide_core::{
    api::agent::{JoinAgent, NewAgentToken},
    event::StepRecord,
    id::{AgentId, AttemptId, StepIndex},
    outcome::Status,
    protocol::{
        AgentCapability, Complete, Heartbeat, JobOutcome, Lease, LinkError, OrchestratorLink, Register, Report,
        StepChange, StepChangeKind,
    },
    time::Timestamp,
};

/// What the agents have done together.
#[derive(Default)]
pub struct Tally {
    /// When each attempt arrived at an agent; more than one time would be an attempt that was given out twice.
    pub taken: Mutex<HashMap<AttemptId, Vec<Timestamp>>>,
    /// How many attempts were completed, and acknowledged.
    pub completed: AtomicUsize,
}

/// An agent with one slot, which has joined.
pub struct Simulated {
    link: HttpsLink,
    id: AgentId,
    name: String,
}

impl Simulated {
    /// Joins at the server of the client.
    pub async fn join(client: &Client, name: String) -> Simulated {
        let token = client.create_agent_token(&NewAgentToken::default()).await.unwrap().token;
        let server = Servers::new(client.server(), None).unwrap();
        let (labels, capabilities) = (vec!["simulated".to_owned()], vec![AgentCapability::Host]);
        let wish = JoinAgent { token, name: name.clone(), labels, capabilities, slots: 1, version: "1".to_owned() };
        let identity = join::join(&server, &wish).await.unwrap();
        Simulated { link: HttpsLink::new(server, identity.credential), id: identity.id, name }
    }

    /// Works until it is dropped.
    pub async fn work(self, tally: Arc<Tally>) {
        let register = Register {
            agent: self.id,
            name: self.name.clone(),
            labels: vec!["simulated".to_owned()],
            slots: 1,
            capabilities: vec![AgentCapability::Host],
            version: "1".to_owned(),
        };
        insist(|| self.link.register(register.clone())).await;
        let present = Mutex::new(None);
        tokio::join!(self.live(&present), self.take(&present, &tally));
    }

    /// Says that it lives, as the server holds each word for a while.
    async fn live(&self, present: &Mutex<Option<AttemptId>>) {
        loop {
            let attempts = present.lock().unwrap().iter().copied().collect();
            let beat = Heartbeat { agent: self.id, attempts, metrics: None };
            insist(|| self.link.heartbeat(beat.clone())).await;
        }
    }

    async fn take(&self, present: &Mutex<Option<AttemptId>>, tally: &Tally) {
        loop {
            let Some(lease) = insist(|| self.link.lease(self.id)).await else { continue };
            *present.lock().unwrap() = Some(lease.attempt);
            tally.taken.lock().unwrap().entry(lease.attempt).or_default().push(now());
            self.pretend(*lease).await;
            *present.lock().unwrap() = None;
            tally.completed.fetch_add(1, Ordering::SeqCst);
        }
    }

    async fn pretend(&self, lease: Lease) {
        let (agent, attempt) = (self.id, lease.attempt);
        let steps = 0..lease.job.steps.len() as u32;
        let changes = steps.flat_map(|step| [started(StepIndex(step)), completed(StepIndex(step))]).collect();
        let report = Report { agent, attempt, number: 1, changes, logs: Vec::new() };
        insist(|| self.link.report(report.clone())).await;
        let outcome =
            JobOutcome { status: Status::Success, reason: None, failure: None, outputs: serde_json::Map::new() };
        let complete = Complete { agent, attempt, at: now(), outcome };
        insist(|| self.link.complete(complete.clone())).await;
    }
}

/// Says it again until the server has heard it.
async fn insist<T, F: Future<Output = Result<T, LinkError>>>(say: impl Fn() -> F) -> T {
    loop {
        match say().await {
            Ok(answer) => return answer,
            Err(LinkError::Unavailable(_)) => tokio::time::sleep(Duration::from_millis(200)).await,
            Err(error) => panic!("{error:?}"),
        }
    }
}

fn started(step: StepIndex) -> StepChange {
    StepChange { step, at: now(), kind: StepChangeKind::Started { try_number: 1 } }
}

fn completed(step: StepIndex) -> StepChange {
    let at = now();
    let record = StepRecord::of_end(Status::Success, at, at);
    StepChange { step, at, kind: StepChangeKind::Completed(Box::new(record)) }
}

fn now() -> Timestamp {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
    Timestamp(now.as_millis() as i64)
}
