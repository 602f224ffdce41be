//! Stories of stores, each in a file and in PostgreSQL.

mod agents;
mod approvals;
pub(crate) mod databases;
mod events;
mod files;
mod keeping;
mod leading;
mod migrating;
mod people;
mod pipelines;
mod records;
mod runs;
mod secrets;

use std::sync::Arc;

use oxide_core::{
    id::RunId,
    plan::{JobContext, Plan},
    time::Timestamp,
};
use uuid::Uuid;

use crate::{NewRun, OwnerId, RunOrigin, Store};

const OWNER: OwnerId = OwnerId(Uuid::from_u128(1));

/// Ids whose first digits differ.
const FIRST: u128 = 0x1111_aaaa << 96;
const SECOND: u128 = 0x1111_bbbb << 96;
const THIRD: u128 = 0x2222_cccc << 96;
const FOURTH: u128 = 0x3333_dddd << 96;

pub(crate) fn run(id: u128, pipeline: &str) -> NewRun {
    let plan = Plan {
        pipeline: pipeline.into(),
        file: "oxide.yaml".into(),
        timeout_ms: 1000,
        stages: Vec::new(),
        jobs: Vec::new(),
        context: JobContext::default(),
        concurrency: None,
    };
    NewRun {
        id: RunId(Uuid::from_u128(id)),
        plan: Arc::new(plan),
        source_text: "version: \"1\"\n".into(),
        project_dir: "project".into(),
        origin: RunOrigin::default(),
    }
}

async fn insert(store: &Store, run: &NewRun) -> u64 {
    let mut transaction = store.begin().await.unwrap();
    let number = transaction.insert_run(run, OWNER, Timestamp(5)).await.unwrap();
    transaction.commit().await.unwrap();
    number
}
