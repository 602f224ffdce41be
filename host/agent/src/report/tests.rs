//! Reports to an orchestrator that is slow, away, or does not want them any more.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use bytes::Bytes;
use oxide_core::{
    id::StepIndex,
    protocol::{LinkError, StepChangeKind},
    time::Timestamp,
};

use super::*;
use crate::testing::{MemoryLink, agent_id, attempt_id, until};

fn started(step: u32) -> StepChange {
    StepChange { step: StepIndex(step), at: Timestamp(0), kind: StepChangeKind::Started { try_number: 1 } }
}

fn chunk(bytes: usize) -> LogChunk {
    let body = Bytes::from(vec![0; bytes]);
    LogChunk { step: StepIndex(0), first_line: 1, line_count: 1, raw_bytes: bytes as u32, marks: vec![], body }
}

fn steps_told(link: &MemoryLink) -> Vec<u32> {
    link.reports.lock().unwrap().iter().flat_map(|report| report.changes.iter().map(|change| change.step.0)).collect()
}

#[tokio::test]
async fn changes_travel_together_numbered_and_in_order() {
    let link = Arc::new(MemoryLink::default());
    let (reporter, _) = Reporter::start(link.clone(), agent_id(), attempt_id());
    // All of them are there before the first is carried.
    tokio::task::unconstrained(async {
        for step in 0..1000 {
            reporter.change(started(step)).await;
        }
    })
    .await;
    reporter.flush().await;
    assert_eq!(steps_told(&link), (0..1000).collect::<Vec<_>>());
    let reports = link.reports.lock().unwrap();
    assert!(reports.len() <= 8, "{} reports", reports.len());
    assert!(reports.iter().all(|report| report.changes.len() <= CHANGES_MAX));
    assert!(reports.iter().map(|report| report.number).eq(1..=reports.len() as u64));
}

#[tokio::test]
async fn a_change_leaves_by_itself_after_a_moment() {
    let link = Arc::new(MemoryLink::default());
    let (reporter, _) = Reporter::start(link.clone(), agent_id(), attempt_id());
    reporter.change(started(7)).await;
    assert!(steps_told(&link).is_empty());
    until("it leaves", || !steps_told(&link).is_empty()).await;
    assert_eq!(steps_told(&link), [7]);
}

#[tokio::test]
async fn a_step_does_not_wait_for_a_store_that_takes_nothing_but_a_flood_does() {
    let link = Arc::new(MemoryLink::default());
    link.is_away.store(true, SeqCst);
    let (reporter, _lost) = Reporter::start(link.clone(), agent_id(), attempt_id());
    let changes = async {
        for step in 0..100 {
            reporter.change(started(step)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), changes).await.expect("it does not wait");
    assert!(steps_told(&link).is_empty());
    let taken = Arc::new(AtomicUsize::new(0));
    let flood = tokio::spawn({
        let (reporter, taken) = (reporter.clone(), Arc::clone(&taken));
        async move {
            for _ in 0..20 {
                reporter.log(chunk(1 << 20)).await;
                taken.fetch_add(1, SeqCst);
            }
        }
    });
    let room = WAITING_LOG_BYTES_MAX >> 20;
    until("there is no more room", || taken.load(SeqCst) >= room).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(taken.load(SeqCst), room, "the flood waits");
    link.is_away.store(false, SeqCst);
    flood.await.unwrap();
    reporter.flush().await;
    assert_eq!(steps_told(&link), (0..100).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_report_is_sent_again_until_it_gets_through() {
    let link = Arc::new(MemoryLink::default());
    let away = || Err(LinkError::Unavailable("busy".into()));
    *link.script.lock().unwrap() = vec![away(), away(), Ok(Acknowledgement::Stored)];
    let (reporter, lost) = Reporter::start(link.clone(), agent_id(), attempt_id());
    reporter.change(started(1)).await;
    reporter.flush().await;
    assert_eq!(steps_told(&link), [1]);
    assert_eq!(link.reports.lock().unwrap()[0].number, 1);
    assert_eq!(*lost.borrow(), None);
}

#[tokio::test]
async fn a_stale_attempt_is_told_and_nothing_waits_any_more() {
    let link = Arc::new(MemoryLink::default());
    *link.script.lock().unwrap() = vec![Ok(Acknowledgement::Stale)];
    let (reporter, mut lost) = Reporter::start(link.clone(), agent_id(), attempt_id());
    reporter.change(started(1)).await;
    lost.wait_for(|lost| *lost == Some(Loss::Gone)).await.unwrap();
    for _ in 0..40 {
        reporter.log(chunk(1 << 20)).await;
    }
    reporter.flush().await;
    assert!(link.reports.lock().unwrap().is_empty());
}
