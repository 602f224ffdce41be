//! Secrets come with the job, and only those that it may spend.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use async_trait::async_trait;
use oxide_core::{
    grant::SecretGrant,
    outcome::Status,
    plan::Plan,
    secret::{LeasedSecrets, SecretValue, Secrets},
};
use oxide_orchestrator::{AskedSecrets, SecretSource, SecretSourceError};
use oxide_store::OwnerId;
use uuid::Uuid;

use crate::support::{House, new_run, plan};

fn spending(name: &str) -> Arc<Plan> {
    let mut plan = (*plan(&[("test", &[])], 1)).clone();
    plan.jobs[0].steps[0].grants.secrets.insert(name.to_owned(), SecretGrant::Spend);
    Arc::new(plan)
}

fn values() -> Secrets {
    let value = |text: &str| SecretValue::new(text).unwrap();
    Secrets::from([("TOKEN".to_owned(), value("hunter22")), ("OTHER".to_owned(), value("correct horse"))])
}

#[tokio::test]
async fn a_lease_carries_what_the_job_may_spend_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let furnish = |orchestrator: oxide_orchestrator::Orchestrator| orchestrator.secrets(Arc::new(values()));
    let house = House::furnish(directory.path(), OwnerId(Uuid::now_v7()), furnish).await;
    let agent = house.agent("box").await;
    house.orchestrator.submit(new_run(spending("TOKEN"))).await.unwrap();
    let lease = agent.lease().await;
    assert_eq!(lease.secrets.values().keys().collect::<Vec<_>>(), ["TOKEN"]);
    assert!(!format!("{lease:?}").contains("hunter22"));
    let agent = house.agent("other").await;
    house.orchestrator.submit(new_run(spending("MISSING"))).await.unwrap();
    assert!(agent.lease().await.secrets.is_empty(), "the agent says what is missing");
    let bytes = std::fs::read(directory.path().join("oxide.db")).unwrap();
    assert!(!bytes.windows(8).any(|window| window == b"hunter22"), "nothing of it is stored");
}

/// Cannot be read at first.
struct Flaky(AtomicU32);

#[async_trait]
impl SecretSource for Flaky {
    async fn secrets(&self, asked: &AskedSecrets) -> Result<LeasedSecrets, SecretSourceError> {
        match self.0.fetch_add(1, Ordering::SeqCst) {
            0..3 => Err("the vault is closed".into()),
            _ => values().secrets(asked).await,
        }
    }
}

#[tokio::test]
async fn secrets_that_cannot_be_read_cost_an_attempt_and_not_the_run() {
    let directory = tempfile::tempdir().unwrap();
    let source = Arc::new(Flaky(AtomicU32::new(0)));
    let house = House::furnish(directory.path(), OwnerId(Uuid::now_v7()), |new| new.secrets(source)).await;
    let agent = house.agent("box").await;
    let run = new_run(spending("TOKEN"));
    let id = run.id;
    house.orchestrator.submit(run).await.unwrap();
    assert_eq!(oxide_core::protocol::OrchestratorLink::lease(&agent.link, agent.id).await.unwrap(), None);
    let lease = agent.work().await;
    assert_eq!((lease.attempt.number, lease.secrets.values().len()), (2, 1));
    assert_eq!(house.orchestrator.wait(id).await.unwrap().status, Status::Success);
    let attempts = house.store.attempts(id).await.unwrap();
    let reason = "the secrets of the job could not be read: the vault is closed";
    assert_eq!(attempts[0].reason.as_deref(), Some(reason));
}
