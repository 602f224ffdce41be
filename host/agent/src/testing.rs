//! Real but small parts for the tests of this crate: an orchestrator that keeps what it is told, and a way to it over HTTP.

mod http;

use std::{
    collections::HashMap,
    process::{Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

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

pub(crate) use http::HttpServer;

use crate::{Clock, report::Reporter};

/// What a step printed, line by line, with the stream of each.
pub(crate) type Lines = Vec<(LogStream, String)>;

/// An orchestrator that keeps reports in memory, as slowly and as often as the test wants. Like the real one it refuses a gap
/// in the numbers of reports, and knows what it had before.
#[derive(Default)]
pub(crate) struct MemoryLink {
    pub(crate) reports: Mutex<Vec<Report>>,
    /// Answers for the next reports; afterwards all are stored.
    pub(crate) script: Mutex<Vec<Result<Acknowledgement, LinkError>>>,
    pub(crate) delay: Mutex<Duration>,
    pub(crate) completes: Mutex<Vec<Complete>>,
    pub(crate) leases: Mutex<Vec<Lease>>,
    pub(crate) registers: Mutex<Vec<Register>>,
    pub(crate) heartbeats: Mutex<Vec<Heartbeat>>,
    /// What the next heartbeat is answered.
    pub(crate) answers: Mutex<Vec<HeartbeatAnswer>>,
    /// Nothing gets through.
    pub(crate) is_away: AtomicBool,
    /// No attempt is anybody's any more.
    pub(crate) gave_up: AtomicBool,
    /// No agent is wanted any more.
    pub(crate) refuses: AtomicBool,
    last_numbers: Mutex<HashMap<AttemptId, u64>>,
    /// How many requests are held back. Those of a dead program are until its connection is seen to be closed.
    pub(crate) held: AtomicUsize,
}

/// A request that is held back.
struct Held<'a>(&'a AtomicUsize);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

impl MemoryLink {
    /// The moment at which a message arrives, if it does.
    async fn arrive(&self) -> Result<(), LinkError> {
        let delay = *self.delay.lock().unwrap();
        tokio::time::sleep(delay).await;
        if self.refuses.load(SeqCst) {
            return Err(LinkError::Refused { reason: "it was removed".to_owned() });
        }
        if self.is_away.load(SeqCst) { Err(LinkError::Unavailable("nobody is there".into())) } else { Ok(()) }
    }

    /// Waits until there is something to answer, as long as the link holds.
    async fn hold<T>(&self, mut answer: impl FnMut() -> Option<T>) -> Result<T, LinkError> {
        self.held.fetch_add(1, SeqCst);
        let _held = Held(&self.held);
        loop {
            self.arrive().await?;
            match answer() {
                Some(answer) => return Ok(answer),
                None => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    }
}

#[async_trait]
impl OrchestratorLink for MemoryLink {
    async fn register(&self, message: Register) -> Result<(), LinkError> {
        self.arrive().await?;
        self.registers.lock().unwrap().push(message);
        Ok(())
    }

    async fn lease(&self, _: AgentId) -> Result<Option<Box<Lease>>, LinkError> {
        self.hold(|| self.leases.lock().unwrap().pop()).await.map(|lease| Some(Box::new(lease)))
    }

    async fn report(&self, message: Report) -> Result<Acknowledgement, LinkError> {
        self.arrive().await?;
        if self.gave_up.load(SeqCst) {
            return Ok(Acknowledgement::Stale);
        }
        let mut script = self.script.lock().unwrap();
        let answer = if script.is_empty() { Ok(Acknowledgement::Stored) } else { script.remove(0) };
        if !matches!(answer, Ok(Acknowledgement::Stored)) {
            return answer;
        }
        let mut last_numbers = self.last_numbers.lock().unwrap();
        let last = last_numbers.entry(message.attempt).or_default();
        match message.number {
            number if number <= *last => Ok(Acknowledgement::Duplicate),
            number if number > *last + 1 => {
                Err(LinkError::Rejected { reason: format!("report {number} follows report {last}") })
            }
            number => {
                *last = number;
                self.reports.lock().unwrap().push(message);
                Ok(Acknowledgement::Stored)
            }
        }
    }

    async fn heartbeat(&self, message: Heartbeat) -> Result<HeartbeatAnswer, LinkError> {
        self.heartbeats.lock().unwrap().push(message);
        self.hold(|| self.answers.lock().unwrap().pop()).await
    }

    async fn complete(&self, message: Complete) -> Result<Acknowledgement, LinkError> {
        self.arrive().await?;
        if self.gave_up.load(SeqCst) {
            return Ok(Acknowledgement::Stale);
        }
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

/// The address of Docker, where the tests have one.
pub(crate) fn docker_host() -> Option<String> {
    let host = std::env::var("OXIDE_TEST_DOCKER_HOST").ok().filter(|host| !host.is_empty());
    let is_needed = std::env::var("CI").as_deref() == Ok("true");
    assert!(host.is_some() || !is_needed, "nothing is skipped in CI, and OXIDE_TEST_DOCKER_HOST is not set");
    host
}

/// An image that is made from busybox, for none can be counted on.
pub(crate) const IMAGE: &str = "oxide-agent-test:busybox";

/// Makes the image once, from a static busybox of this machine.
pub(crate) fn need_test_image(host: &str) {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let script = r#"
            set -e
            root=$(mktemp -d); mkdir "$root/bin" "$root/tmp"
            cp "$(command -v busybox)" "$root/bin/busybox"
            for applet in $("$root/bin/busybox" --list); do
                [ "$applet" = busybox ] || ln -s busybox "$root/bin/$applet"
            done
            tar -C "$root" -c . | docker -H "$1" import - "$2"
            rm -r "$root"
        "#;
        let made = Command::new("sh").args(["-c", script, "sh", host, IMAGE]).stdout(Stdio::null()).status().unwrap();
        assert!(made.success(), "the test image needs `docker` and a static `busybox`");
    });
}

/// Waits until something is true, but not for ever.
pub(crate) async fn until(what: &str, mut is_true: impl FnMut() -> bool) {
    let began = std::time::Instant::now();
    while !is_true() {
        assert!(began.elapsed() < Duration::from_secs(120), "it does not happen: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
