//! What a report must be like before the task takes it in: its logs unpack to what they say. Agents are not believed, and the
//! task is not to wait for the unpacking.

use oxide_core::protocol::{LogChunk, Report};
use oxide_store::{BadChunk, check_chunk};
use tokio::sync::Semaphore;

use crate::OrchestratorError;

/// How many changes and chunks a report has at most. Agents send far less.
const PARTS_MAX: usize = 16 << 10;
/// How many bytes all its logs have before compression, at most.
const LOG_BYTES_MAX: u64 = 32 << 20;
/// More is unpacked where nobody waits, and not many at a time.
const AT_ONCE_BYTES: u64 = 256 << 10;
static LARGE: Semaphore = Semaphore::const_new(2);

/// Looks at a report.
///
/// # Errors
/// [`OrchestratorError::BadReport`]: it can never be taken.
pub(crate) async fn check(report: &Report) -> Result<(), OrchestratorError> {
    let parts = report.changes.len() + report.logs.len();
    if parts > PARTS_MAX {
        return Err(bad(format!("it has {parts} changes and chunks of logs, and {PARTS_MAX} are the most")));
    }
    let bytes: u64 = report.logs.iter().map(|chunk| u64::from(chunk.raw_bytes)).sum();
    if bytes > LOG_BYTES_MAX {
        return Err(bad(format!("its logs have {bytes} bytes, and {LOG_BYTES_MAX} are the most")));
    }
    if bytes <= AT_ONCE_BYTES {
        return check_chunks(&report.logs);
    }
    let place = LARGE.acquire().await;
    let chunks = report.logs.clone();
    let checked = tokio::task::spawn_blocking(move || {
        // The work goes on when nobody waits for it any more, and so the place stays taken.
        let _place = place;
        check_chunks(&chunks)
    });
    checked.await.unwrap_or(Err(OrchestratorError::Closed))
}

fn check_chunks(chunks: &[LogChunk]) -> Result<(), OrchestratorError> {
    let wrong = |chunk: &LogChunk, why: BadChunk| {
        bad(format!("the chunk of step {} from line {} on cannot be stored: {why}", chunk.step, chunk.first_line))
    };
    chunks.iter().try_for_each(|chunk| check_chunk(chunk).map_err(|why| wrong(chunk, why)))
}

fn bad(why: String) -> OrchestratorError {
    OrchestratorError::BadReport(why)
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, time::Duration};

    use bytes::Bytes;
    use oxide_core::id::{AgentId, AttemptId, JobIndex, RunId, StepIndex};
    use tokio::{runtime::Builder, task::spawn_blocking, time::timeout};
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_place_is_free_again_when_the_work_is_done_not_when_nobody_waits_for_it() {
        let one_thread = Builder::new_current_thread().max_blocking_threads(1).enable_all().build().unwrap();
        one_thread.block_on(async {
            let (go_on, halt) = mpsc::channel::<()>();
            let before = spawn_blocking(move || halt.recv());
            let attempt = AttemptId { run: RunId(Uuid::nil()), job: JobIndex(0), number: 1 };
            let large = LogChunk {
                step: StepIndex(0),
                first_line: 1,
                line_count: 1,
                raw_bytes: 1 << 20,
                marks: Vec::new(),
                body: Bytes::new(),
            };
            let (changes, logs) = (Vec::new(), vec![large]);
            let report = Report { agent: AgentId(Uuid::nil()), attempt, number: 1, changes, logs };
            assert!(timeout(Duration::ZERO, check(&report)).await.is_err());
            assert_eq!(LARGE.available_permits(), 1);
            go_on.send(()).unwrap();
            before.await.unwrap().unwrap();
            // The thread takes one after the other.
            spawn_blocking(|| ()).await.unwrap();
            assert_eq!(LARGE.available_permits(), 2);
        });
    }
}
