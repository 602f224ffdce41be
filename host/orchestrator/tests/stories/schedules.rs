//! Times of schedules become runs, once each.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use oxide_core::{
    id::{PipelineId, ProjectId},
    time::Timestamp,
};
use oxide_orchestrator::{FiredSchedule, NewRun, Orchestrator, PlanSource, PlanSourceError};
use oxide_store::{NewPipeline, OwnerId, PipelineText, ProjectRow, RunOrigin, ScheduleRow, Store};
use uuid::Uuid;

use crate::support::{Hands, House, databases::databases, new_run, plan, until};

const HOUR: u32 = 3_600_000;
/// The first full hour of the clock with hands.
const FIRST: Timestamp = Timestamp(1_700_002_800_000);

/// Plans what is asked, and remembers it.
#[derive(Default)]
struct Plans(Mutex<Vec<FiredSchedule>>);

#[async_trait]
impl PlanSource for Plans {
    async fn plan(&self, fired: &FiredSchedule) -> Result<Option<NewRun>, PlanSourceError> {
        self.0.lock().unwrap().push(fired.clone());
        if fired.position == 1 {
            return Err("its file is broken".into());
        }
        let origin = RunOrigin {
            project: Some(fired.project),
            pipeline: Some(fired.pipeline),
            version: Some(fired.version),
            trigger: Some(serde_json::json!({ "kind": "schedule", "missed": fired.missed })),
            ..RunOrigin::default()
        };
        Ok(Some(NewRun { origin, ..new_run(plan(&[("test", &[])], 1)) }))
    }
}

impl Plans {
    fn fired(&self) -> Vec<(u32, Timestamp, u32)> {
        self.0.lock().unwrap().iter().map(|fired| (fired.position, fired.at, fired.missed)).collect()
    }
}

async fn pipeline(store: &Store, schedules: u32) -> PipelineId {
    let (project, pipeline) = (ProjectId(Uuid::now_v7()), PipelineId(Uuid::now_v7()));
    let created_at = Timestamp(1);
    let mut transaction = store.begin().await.unwrap();
    let row = ProjectRow { id: project, name: "house".into(), description: None, repository: None, created_at };
    transaction.insert_project(&row).await.unwrap();
    let new = NewPipeline {
        id: pipeline,
        project,
        name: "build".into(),
        description: None,
        repository: None,
        text: PipelineText { source: "version: \"1\"\n".into(), lock: String::new() },
        created_by: None,
        created_at,
    };
    transaction.create_pipeline(&new).await.unwrap();
    let schedule = |position| {
        let (cron, timezone) = ("0 * * * *".to_owned(), "UTC".to_owned());
        ScheduleRow { pipeline, position, cron, timezone, next_at: FIRST }
    };
    transaction.set_schedules(pipeline, &(0..schedules).map(schedule).collect::<Vec<_>>()).await.unwrap();
    transaction.commit().await.unwrap();
    pipeline
}

async fn next_at(store: &Store, pipeline: PipelineId) -> Vec<Timestamp> {
    store.schedules(pipeline).await.unwrap().into_iter().map(|schedule| schedule.next_at).collect()
}

#[tokio::test]
async fn a_time_becomes_a_run_and_missed_ones_become_one() {
    for database in databases() {
        let store = database.open().await;
        let pipeline = pipeline(&store, 2).await;
        let (plans, hands) = (Arc::new(Plans::default()), Hands::default());
        let furnish = |new: Orchestrator| new.plans(plans.clone());
        let house = House::of(store.clone(), OwnerId::SERVER, hands.clone(), furnish).await;
        let runs = async || store.list_runs(None, 10).await.unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
        assert!(plans.fired().is_empty() && runs().await.is_empty());

        hands.pass(HOUR);
        let second = FIRST.plus_millis(HOUR.into());
        until(async || next_at(&store, pipeline).await == [second, second]).await;
        let mut fired = plans.fired();
        fired.sort_unstable();
        let missed = u32::from(hands.now().millis_since(FIRST) > 60_000);
        assert_eq!(fired, [(0, FIRST, missed), (1, FIRST, missed)], "one that cannot be planned goes on, too");
        assert_eq!(runs().await.len(), 1);
        assert_eq!(runs().await[0].origin.pipeline, Some(pipeline));

        house.handle.shutdown().await;
        hands.pass(5 * HOUR);
        let house = House::of(store.clone(), OwnerId::SERVER, hands.clone(), furnish).await;
        let next = FIRST.plus_millis(u64::from(HOUR) * 6);
        until(async || next_at(&store, pipeline).await == [next, next]).await;
        assert_eq!(runs().await.len(), 2, "five times became one run");
        assert!(plans.fired().contains(&(0, second, 5)));
        assert_eq!(house.agent("box").await.work().await.run_number, 1);
    }
}

#[tokio::test]
async fn two_that_see_the_same_time_store_one_run() {
    for database in databases() {
        let store = database.open().await;
        let pipeline = pipeline(&store, 1).await;
        let (plans, hands) = (Arc::new(Plans::default()), Hands::default());
        let furnish = |new: Orchestrator| new.plans(plans.clone());
        // No lock keeps these two apart: only what they store does.
        let _one = House::of(store.clone(), OwnerId::SERVER, hands.clone(), furnish).await;
        let _two = House::of(database.open().await, OwnerId(Uuid::now_v7()), hands.clone(), furnish).await;
        for hour in 1..=3u64 {
            hands.pass(HOUR);
            let next = FIRST.plus_millis(u64::from(HOUR) * hour);
            until(async || next_at(&store, pipeline).await == [next]).await;
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            assert_eq!(store.list_runs(None, 10).await.unwrap().len() as u64, hour);
        }
    }
}
