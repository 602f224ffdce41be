//! Real but small parts for the tests of this crate: an orchestrator that keeps what it is told.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use oxide_core::{
    id::{AgentId, AttemptId, JobIndex, RunId, StepIndex},
    protocol::{
        Acknowledgement, Complete, Heartbeat, HeartbeatAnswer, Lease, LinkError, LogChunk, LogStream, OrchestratorLink,
        Register, Report,
    },
    time::Timestamp,
};
use uuid::Uuid;

use crate::{Clock, report::Reporter};

/// What a step printed, line by line, with the stream of each.
pub(crate) type Lines = Vec<(LogStream, String)>;

/// An orchestrator that keeps reports in memory, as slowly and as often as the test wants.
#[derive(Default)]
pub(crate) struct MemoryLink {
    pub(crate) reports: Mutex<Vec<Report>>,
    /// Answers for the next reports; afterwards all are stored.
    pub(crate) script: Mutex<Vec<Result<Acknowledgement, LinkError>>>,
    pub(crate) delay: Mutex<std::time::Duration>,
    pub(crate) completes: Mutex<Vec<Complete>>,
    pub(crate) leases: Mutex<Vec<Lease>>,
}

#[async_trait]
impl OrchestratorLink for MemoryLink {
    async fn register(&self, _: Register) -> Result<(), LinkError> {
        Ok(())
    }

    async fn lease(&self, _: AgentId) -> Result<Option<Box<Lease>>, LinkError> {
        let next = self.leases.lock().unwrap().pop();
        match next {
            Some(lease) => Ok(Some(Box::new(lease))),
            None => std::future::pending().await,
        }
    }

    async fn report(&self, message: Report) -> Result<Acknowledgement, LinkError> {
        let delay = *self.delay.lock().unwrap();
        tokio::time::sleep(delay).await;
        let mut script = self.script.lock().unwrap();
        let answer = if script.is_empty() { Ok(Acknowledgement::Stored) } else { script.remove(0) };
        if matches!(answer, Ok(Acknowledgement::Stored)) {
            self.reports.lock().unwrap().push(message);
        }
        answer
    }

    async fn heartbeat(&self, _: Heartbeat) -> Result<HeartbeatAnswer, LinkError> {
        std::future::pending().await
    }

    async fn complete(&self, message: Complete) -> Result<Acknowledgement, LinkError> {
        self.completes.lock().unwrap().push(message);
        Ok(Acknowledgement::Stored)
    }
}

impl MemoryLink {
    /// All chunks in the order in which they were stored.
    pub(crate) fn chunks(&self) -> Vec<LogChunk> {
        self.reports.lock().unwrap().iter().flat_map(|report| report.logs.clone()).collect()
    }

    /// The log of a step as it was stored, checked to be numbered without gaps.
    pub(crate) fn lines(&self, step: StepIndex) -> Lines {
        let mut lines = Vec::new();
        for chunk in self.chunks().into_iter().filter(|chunk| chunk.step == step) {
            assert_eq!(chunk.first_line, lines.len() as u64 + 1, "lines are numbered without gaps");
            assert_eq!(chunk.marks[0].line, 0, "the first mark is at the first line");
            let raw = zstd::stream::decode_all(&chunk.body[..]).unwrap();
            assert_eq!(raw.len(), chunk.raw_bytes as usize);
            assert_eq!(raw.last(), Some(&b'\n'));
            let mut count = 0;
            for (index, line) in raw[..raw.len() - 1].split(|byte| *byte == b'\n').enumerate() {
                let mark = chunk.marks.iter().rfind(|mark| mark.line as usize <= index).unwrap();
                lines.push((mark.stream, String::from_utf8_lossy(line).into_owned()));
                count += 1;
            }
            assert_eq!(count, chunk.line_count);
        }
        lines
    }

    /// The text of the log of a step, without streams.
    pub(crate) fn text(&self, step: StepIndex) -> Vec<String> {
        self.lines(step).into_iter().map(|(_, line)| line).collect()
    }
}

pub(crate) fn agent_id() -> AgentId {
    AgentId(Uuid::now_v7())
}

pub(crate) fn attempt_id() -> AttemptId {
    AttemptId { run: RunId(Uuid::now_v7()), job: JobIndex(0), number: 1 }
}

/// A clock that stands still.
pub(crate) fn still_clock() -> Clock {
    Arc::new(|| Timestamp(1000))
}

pub(crate) fn reporter(link: &Arc<MemoryLink>) -> Reporter {
    let link: Arc<MemoryLink> = Arc::clone(link);
    Reporter::start(link, agent_id(), attempt_id()).0
}
