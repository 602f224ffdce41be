//! Runs that are repeated.

use oxide_core::{id::RunId, outcome::Status};
use oxide_orchestrator::{OrchestratorError, Retry};
use oxide_store::OwnerId;
use uuid::Uuid;

use crate::support::{House, databases::databases, new_run, outcome, plan};

fn retry(run: RunId, failed_only: bool) -> Retry {
    Retry { run, id: RunId(Uuid::now_v7()), failed_only, by: None }
}

#[tokio::test]
async fn only_what_failed_is_executed_again_and_sees_what_was_there() {
    for database in databases() {
        let house = House::of(database.open().await, OwnerId::SERVER, Default::default(), |new| new).await;
        let agent = house.agent("box").await;
        let run = new_run(plan(&[("test", &[]), ("release", &[0])], 1));
        let id = run.id;
        house.orchestrator.submit(run).await.unwrap();
        assert_eq!(house.orchestrator.retry(retry(id, false)).await, Err(OrchestratorError::NotEnded(id)));
        agent.work().await;
        let lease = agent.lease().await;
        agent.complete(lease.attempt, outcome(Status::Failure)).await;
        house.orchestrator.wait(id).await.unwrap();

        let failed = retry(id, true);
        assert_eq!(house.orchestrator.retry(failed.clone()).await.unwrap(), 2);
        let again = agent.work().await;
        assert_eq!((again.stage.as_str(), again.run_number), ("release", 2));
        assert_eq!(again.stages["test"]["status"], "success");
        assert_eq!(again.artifacts_of, [id]);
        let summary = house.orchestrator.wait(failed.id).await.unwrap();
        assert_eq!((summary.status, summary.number), (Status::Success, 2));
        let stored = house.store.run(failed.id).await.unwrap().unwrap();
        assert_eq!(stored.origin.retry_of, Some(id));
        let nothing = house.orchestrator.retry(retry(failed.id, true)).await;
        assert_eq!(nothing, Err(OrchestratorError::NothingFailed(failed.id)));

        let all = retry(failed.id, false);
        assert_eq!(house.orchestrator.retry(all.clone()).await.unwrap(), 3);
        let first = agent.work().await;
        assert_eq!((first.stage.as_str(), first.artifacts_of), ("test", vec![failed.id, id]));
        agent.work().await;
        assert_eq!(house.orchestrator.wait(all.id).await.unwrap().status, Status::Success);
    }
}
