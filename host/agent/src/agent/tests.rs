//! Whole agents with real jobs: cut off, stopped, drained, not wanted any more, and killed with -9. Only the orchestrator is one
//! in memory; a killed agent reaches it over HTTP from a process of its own.

use std::{
    env,
    path::Path,
    process::{Child, Command, Stdio},
    sync::atomic::Ordering::SeqCst,
};

use oxide_core::{
    id::{AttemptId, StepIndex},
    limit::Limits,
    outcome::{FailureCause, Status},
    plan::{EnvironmentSpec, PlannedStep},
    protocol::{HeartbeatAnswer, StepChangeKind},
};
use tokio::task::JoinHandle;

use super::*;
use crate::{
    docker,
    job::tests::{COMPILED, always, lease, run_step, runtime},
    link::{HttpsLink, Server},
    processes::{AGENT_COOKIE, Cookies, signal_by_cookies},
    report::Reporter,
    spool::SPOOL_BYTES_MAX,
    testing::{HttpServer, IMAGE, MemoryLink, agent_id, docker_host, need_test_image, until},
};

fn config(data: &Path, id: AgentId, docker_host: Option<String>, spool_bytes_max: u64) -> AgentConfig {
    AgentConfig {
        id,
        name: "box".to_owned(),
        labels: vec!["linux".to_owned()],
        slots: 2,
        capabilities: None,
        data_dir: data.to_owned(),
        docker_host,
        clock: crate::system_clock(),
        secrets: Secrets::new(),
        spool_bytes_max: Some(spool_bytes_max),
    }
}

/// An agent that runs, and its orchestrator.
struct Story {
    data: tempfile::TempDir,
    id: AgentId,
    link: Arc<MemoryLink>,
    wish: watch::Sender<Wish>,
    agent: JoinHandle<Result<Vec<String>, AgentError>>,
}

impl Story {
    fn begin() -> Story {
        Story::with(None, SPOOL_BYTES_MAX)
    }

    fn with(docker_host: Option<String>, spool_bytes_max: u64) -> Story {
        let (data, id, link) = (tempfile::tempdir().unwrap(), agent_id(), Arc::new(MemoryLink::default()));
        let session = Arc::new(Session::begin(data.path(), id).unwrap());
        let config = config(data.path(), id, docker_host, spool_bytes_max);
        let agent = Agent::new(config, session, link.clone(), runtime(), Arc::new(Catalog::new(data.path())));
        let (wish, wishes) = watch::channel(Wish::Work);
        Story { data, id, link, wish, agent: tokio::spawn(agent.run(wishes)) }
    }

    fn give(&self, lease: Lease) -> AttemptId {
        let attempt = lease.attempt;
        self.link.leases.lock().unwrap().push(lease);
        attempt
    }

    fn processes(&self) -> usize {
        processes_of(self.id)
    }

    /// What a script writes to wait for the test, and the file that the test makes when it may go on.
    fn wait_for_word(&self) -> (String, std::path::PathBuf) {
        let go = self.data.path().join("go");
        (format!("until [ -e '{}' ]; do sleep 0.02; done", go.display()), go)
    }

    async fn until_printed(&self, line: &str) {
        until(line, || self.link.text(StepIndex(0)).iter().any(|printed| printed == line)).await;
    }

    /// What the spool holds on the disk.
    fn spool_bytes(&self) -> u64 {
        bytes_below(&self.data.path().join("spool"))
    }

    async fn end(self) -> (Result<Vec<String>, AgentError>, tempfile::TempDir) {
        self.wish.send_if_modified(|wish| {
            *wish = (*wish).max(Wish::Drain);
            true
        });
        (self.agent.await.unwrap(), self.data)
    }
}

fn processes_of(agent: AgentId) -> usize {
    let cookies = Cookies::new([(AGENT_COOKIE, agent.to_string().as_str())]);
    signal_by_cookies(&cookies, rustix::process::Signal::CONT)
}

fn bytes_below(path: &Path) -> u64 {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    let of = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(found) if found.is_dir() => bytes_below(&entry.path()),
        Ok(found) => found.len(),
        Err(_) => 0,
    };
    entries.map(of).sum()
}

fn attempts_left(data: &Path, agent: AgentId) -> usize {
    Spool::of(data, agent, SPOOL_BYTES_MAX).left().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_says_who_it_is_and_what_it_works_on() {
    let story = Story::begin();
    let (wait, go) = story.wait_for_word();
    let attempt = story.give(lease(vec![run_step(&format!("echo ready; {wait}"))]));
    story.until_printed("ready").await;
    let registers = story.link.registers.lock().unwrap().clone();
    assert_eq!((registers[0].agent, registers[0].version.as_str()), (story.id, env!("CARGO_PKG_VERSION")));
    // The heartbeat that waited was answered; the next one tells more.
    story.link.answers.lock().unwrap().push(HeartbeatAnswer::default());
    let names = |attempt| story.link.heartbeats.lock().unwrap().last().is_some_and(|beat| beat.attempts == [attempt]);
    until("a heartbeat names the attempt", || names(attempt)).await;
    let metrics = story.link.heartbeats.lock().unwrap().last().unwrap().metrics.unwrap();
    assert!(metrics.memory_total_bytes > 0, "{metrics:?}");
    std::fs::write(go, "").unwrap();
    let link = Arc::clone(&story.link);
    assert!(story.end().await.0.unwrap().is_empty());
    assert_eq!(link.completes.lock().unwrap()[0].outcome.status, Status::Success);
}

async fn cut_off_and_given_up(story: Story, lease: Lease, containers: impl AsyncFn(AgentId) -> usize) {
    let attempt = story.give(lease);
    story.until_printed("ready").await;
    assert!(story.processes() > 0 || containers(story.id).await == 1);
    story.link.is_away.store(true, SeqCst);
    until("it keeps what happens meanwhile", || story.spool_bytes() > 2000).await;
    assert!(!story.agent.is_finished() && attempts_left(story.data.path(), story.id) == 1);
    // Meanwhile the attempt is given to somebody else.
    story.link.gave_up.store(true, SeqCst);
    let stored = story.link.reports.lock().unwrap().len();
    story.link.is_away.store(false, SeqCst);
    until("the spool is gone", || attempts_left(story.data.path(), story.id) == 0).await;
    let began = std::time::Instant::now();
    while story.processes() > 0 || containers(story.id).await > 0 {
        assert!(began.elapsed() < Duration::from_secs(120), "what runs for it does not end");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let work = crate::workspace::work_directory(story.data.path(), story.id);
    until("its directory is gone", || std::fs::read_dir(&work).is_ok_and(|mut left| left.next().is_none())).await;
    assert_eq!(story.link.reports.lock().unwrap().len(), stored, "nothing more of {attempt} was taken");
    // The next job is an ordinary one.
    story.link.gave_up.store(false, SeqCst);
    let next = story.give(self::lease(vec![run_step("echo again")]));
    let is_done = || story.link.completes.lock().unwrap().iter().any(|complete| complete.attempt == next);
    until("the next job is done", is_done).await;
    let link = Arc::clone(&story.link);
    assert!(story.end().await.0.unwrap().is_empty());
    let completes = link.completes.lock().unwrap();
    assert!(completes.iter().all(|complete| complete.attempt != attempt), "nothing was told of its end");
}

const CHATTY: &str =
    "echo ready; i=0; while :; do i=$((i+1)); echo \"line $i of a job that nobody hears\"; sleep 0.01; done";

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_was_cut_off_for_too_long_stops_what_is_not_its_any_more() {
    let job = lease(vec![run_step(CHATTY), always(run_step("touch /nonexistent/never"))]);
    cut_off_and_given_up(Story::begin(), job, async |_| 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_container_of_an_attempt_that_is_not_its_any_more_goes() {
    let Some(host) = docker_host() else {
        println!("skipped: OXIDE_TEST_DOCKER_HOST does not say where Docker is");
        return;
    };
    need_test_image(&host);
    let mut job = lease(vec![run_step(CHATTY)]);
    let image = IMAGE.to_owned();
    job.job.environment =
        EnvironmentSpec::Container { image, cpus: None, memory_bytes: None, pids: 100, network: false };
    let containers = async |agent| docker::count_containers_of(&host, agent).await;
    cut_off_and_given_up(Story::with(Some(host.clone()), SPOOL_BYTES_MAX), job, containers).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_while_the_server_is_away_is_told_in_order_when_it_is_back() {
    let story = Story::begin();
    let (wait, go) = story.wait_for_word();
    let script = format!("echo ready; {wait}; for i in $(seq 1 60); do echo \"line $i\"; sleep 0.02; done; echo done");
    story.give(lease(vec![run_step(&script), run_step("echo second")]));
    story.until_printed("ready").await;
    story.link.is_away.store(true, SeqCst);
    std::fs::write(go, "").unwrap();
    let spool = story.data.path().join("spool");
    let kept = || {
        let bytes = std::fs::read(find_first_file(&spool)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    until("the end of the job is kept, too", || kept().contains("{\"complete\":")).await;
    assert!(story.link.completes.lock().unwrap().is_empty());
    story.link.is_away.store(false, SeqCst);
    until("its end is told", || !story.link.completes.lock().unwrap().is_empty()).await;
    let expected: Vec<String> = (1..=60).map(|i| format!("line {i}")).collect();
    let text = story.link.text(StepIndex(0));
    assert_eq!(text[1..61], expected[..]);
    assert_eq!((text[0].as_str(), text[61].as_str(), text.len()), ("ready", "done", 62));
    assert_eq!(story.link.text(StepIndex(1)), ["second"]);
    assert_eq!(story.link.completes.lock().unwrap()[0].outcome.status, Status::Success);
    until("nothing is left on disk", || attempts_left(story.data.path(), story.id) == 0).await;
    assert!(story.end().await.0.unwrap().is_empty());
}

fn find_first_file(directory: &Path) -> std::path::PathBuf {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path());
    match entries.min() {
        Some(path) if path.is_dir() => find_first_file(&path),
        Some(path) => path,
        None => directory.to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_spool_slows_the_job_down_and_loses_nothing() {
    let limit = 8 << 20;
    let story = Story::with(None, limit);
    let limits = Limits { log_bytes: 1 << 30, ..Limits::default() };
    // What does not compress: far more than spool and memory take together.
    let script =
        "echo ready; head -c 60000000 /dev/urandom | base64 | tee copy | cat; echo; cksum < copy; touch written";
    let check = run_step("cksum < copy");
    story.give(lease(vec![PlannedStep { limits, ..run_step(script) }, check]));
    story.until_printed("ready").await;
    story.link.is_away.store(true, SeqCst);
    until("the spool is full", || story.spool_bytes() > limit / 2).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let work = crate::workspace::work_directory(story.data.path(), story.id);
    let attempt = std::fs::read_dir(&work).unwrap().flatten().next().unwrap().path();
    assert!(!attempt.join("workspace").join("written").exists(), "the job was not slowed down");
    assert!(story.spool_bytes() <= limit, "{}", story.spool_bytes());
    story.link.is_away.store(false, SeqCst);
    until("its end is told", || !story.link.completes.lock().unwrap().is_empty()).await;
    let text = story.link.text(StepIndex(0));
    let bytes: usize = text[1..text.len() - 2].iter().map(|line| line.len() + 1).sum();
    let expected = 60_000_000usize.div_ceil(3) * 4;
    assert_eq!(bytes, expected + expected.div_ceil(76), "every byte of it came");
    assert_eq!(text.last(), story.link.text(StepIndex(1)).first());
    assert!(story.end().await.0.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_drains_waits_for_jobs_and_whoever_stops_does_not() {
    let story = Story::begin();
    story.give(lease(vec![run_step("trap '' TERM; echo ready; sleep 300"), always(run_step("sleep 300"))]));
    story.until_printed("ready").await;
    story.wish.send_replace(Wish::Drain);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(!story.agent.is_finished() && story.processes() > 0);
    story.wish.send_replace(Wish::Stop);
    let (id, link) = (story.id, Arc::clone(&story.link));
    let (ended, data) = story.end().await;
    assert!(ended.unwrap().is_empty());
    assert_eq!((processes_of(id), attempts_left(data.path(), id)), (0, 0));
    let outcome = link.completes.lock().unwrap()[0].outcome.clone();
    assert_eq!((outcome.status, outcome.reason.as_deref()), (Status::Failure, Some("the agent was stopped")));
    assert_eq!(outcome.failure.unwrap().cause, FailureCause::AgentLost);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_stops_while_the_server_is_away_leaves_it_to_the_next_process() {
    let story = Story::begin();
    let attempt = story.give(lease(vec![run_step("echo ready; sleep 300")]));
    story.until_printed("ready").await;
    story.link.is_away.store(true, SeqCst);
    story.wish.send_replace(Wish::Stop);
    let (id, link) = (story.id, Arc::clone(&story.link));
    let (ended, data) = story.end().await;
    assert!(ended.unwrap().is_empty());
    assert_eq!((processes_of(id), attempts_left(data.path(), id)), (0, 1));
    link.is_away.store(false, SeqCst);
    let session = Arc::new(crate::resume(data.path(), id).await.unwrap());
    let config = config(data.path(), id, None, SPOOL_BYTES_MAX);
    let agent = Agent::new(config, session, link.clone(), runtime(), Arc::new(Catalog::new(data.path())));
    let (wish, wishes) = watch::channel(Wish::Work);
    let agent = tokio::spawn(agent.run(wishes));
    until("its end is told", || !link.completes.lock().unwrap().is_empty()).await;
    let complete = link.completes.lock().unwrap()[0].clone();
    assert_eq!((complete.attempt, complete.outcome.reason.as_deref()), (attempt, Some("the agent was stopped")));
    wish.send_replace(Wish::Drain);
    agent.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_is_not_wanted_any_more_stops_all_and_ends() {
    let story = Story::begin();
    story.give(lease(vec![run_step("echo ready; sleep 300")]));
    story.until_printed("ready").await;
    story.link.refuses.store(true, SeqCst);
    let id = story.id;
    let ended = tokio::time::timeout(Duration::from_secs(120), story.agent).await.unwrap().unwrap();
    assert!(matches!(ended, Err(AgentError::Refused { reason, .. }) if reason == "it was removed"));
    assert_eq!(processes_of(id), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_is_drained_stays_and_takes_jobs_when_it_gets_some_again() {
    let story = Story::begin();
    story.give(lease(vec![run_step("echo ready; sleep 1; echo done")]));
    story.until_printed("ready").await;
    let says = |drain| story.link.answers.lock().unwrap().push(HeartbeatAnswer { cancel: vec![], drain });
    let beats = || story.link.heartbeats.lock().unwrap().len();
    says(true);
    until("the job has ended", || story.link.completes.lock().unwrap().len() == 1).await;
    assert_eq!(story.link.text(StepIndex(0)), ["ready", "done"]);
    let before = beats();
    says(true);
    until("it lives, though it has nothing to do", || beats() > before).await;
    assert!(!story.agent.is_finished());
    says(false);
    story.give(lease(vec![run_step("echo again")]));
    until("the next job has ended", || story.link.completes.lock().unwrap().len() == 2).await;
    // Whoever started it lets it end.
    assert!(story.end().await.0.unwrap().is_empty());
}

#[tokio::test]
async fn a_report_that_can_never_be_taken_ends_its_attempt_and_not_the_agent() {
    let data = tempfile::tempdir().unwrap();
    let (link, attempt) = (Arc::new(MemoryLink::default()), crate::testing::attempt_id());
    let rejected = Err(LinkError::Rejected { reason: "it has 1 step and no step 7".to_owned() });
    *link.script.lock().unwrap() = vec![rejected];
    let (spool, _) = Spool::of(data.path(), agent_id(), SPOOL_BYTES_MAX).begin(attempt);
    let (reporter, mut lost) = Reporter::start_with(link.clone(), agent_id(), attempt, Some(spool));
    let kind = StepChangeKind::Started { try_number: 1 };
    let change = oxide_core::protocol::StepChange { step: StepIndex(7), at: oxide_core::time::Timestamp(1), kind };
    reporter.change(change).await;
    lost.wait_for(Option::is_some).await.unwrap();
    let outcome = crate::restart::lost("whatever the job made of it");
    let at = oxide_core::time::Timestamp(2);
    reporter.complete(oxide_core::protocol::Complete { agent: agent_id(), attempt, at, outcome }).await;
    let completes = link.completes.lock().unwrap();
    let told = completes[0].outcome.reason.as_deref();
    assert_eq!(told, Some("the server does not take a report of it: it has 1 step and no step 7"));
    assert_eq!(bytes_below(data.path()), 0);
}

const HELPER_DATA: &str = "OXIDE_TEST_AGENT_DATA";
const HELPER_AGENT: &str = "OXIDE_TEST_AGENT_ID";
const HELPER_SERVER: &str = "OXIDE_TEST_AGENT_SERVER";

/// Not a test by itself: the agent that is killed.
#[tokio::test(flavor = "multi_thread")]
async fn helper_that_is_an_agent() {
    let (Ok(data), Ok(id), Ok(server)) = (env::var(HELPER_DATA), env::var(HELPER_AGENT), env::var(HELPER_SERVER))
    else {
        return;
    };
    let (data, id) = (Path::new(&data), id.parse().unwrap());
    let session = Arc::new(crate::resume(data, id).await.unwrap());
    let link = Arc::new(HttpsLink::new(Server::new(&server, None).unwrap(), "oxide_agt_good"));
    let config = config(data, id, None, SPOOL_BYTES_MAX);
    let agent = Agent::new(config, session, link, runtime(), Arc::new(Catalog::new(data)));
    let (_wish, wishes) = watch::channel(Wish::Work);
    agent.run(wishes).await.unwrap();
}

fn start_helper(data: &Path, id: AgentId, server: &HttpServer) -> Child {
    // Each process compiles the plugin, unless another has.
    let cache = data.join("compiled");
    Command::new(env::current_exe().unwrap())
        .env(COMPILED, cache)
        .args(["agent::tests::helper_that_is_an_agent", "--exact", "--nocapture"])
        .env(HELPER_DATA, data)
        .env(HELPER_AGENT, id.to_string())
        .env(HELPER_SERVER, server.url())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// The agent is killed again and again, in the middle of whatever it does: with the server there, with the server away, while it
/// starts and while it tells what it kept. Each time the next process tells of the attempt that it is lost, and goes on.
#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_is_killed_goes_on_from_wherever_it_was() {
    let (data, id, link) = (tempfile::tempdir().unwrap(), agent_id(), Arc::new(MemoryLink::default()));
    let server = HttpServer::start(Arc::clone(&link), id).await;
    let mut kept_bytes = 0;
    for round in 0..5 {
        let job = lease(vec![run_step(&format!("(setsid sleep 300 &); {CHATTY}"))]);
        let attempt = job.attempt;
        until("the dead ask for nothing", || link.held.load(SeqCst) == 0).await;
        link.leases.lock().unwrap().push(job);
        let mut helper = start_helper(data.path(), id, &server);
        let heard = || link.reports.lock().unwrap().iter().any(|report| report.attempt == attempt);
        until("the agent works", heard).await;
        // The shell, and at least one of what it starts.
        until("its command runs", || processes_of(id) > 1).await;
        let is_away = round % 2 == 1;
        link.is_away.store(is_away, SeqCst);
        if is_away {
            until("it keeps what it cannot tell", || bytes_below(&data.path().join("spool")) > 0).await;
        }
        tokio::time::sleep(Duration::from_millis(400 + 170 * round)).await;
        helper.kill().unwrap();
        helper.wait().unwrap();
        kept_bytes += bytes_below(&data.path().join("spool"));
        until("what it had started outlives it", || processes_of(id) > 0).await;
        if round == 3 {
            // One that is killed while it goes on.
            let mut again = start_helper(data.path(), id, &server);
            tokio::time::sleep(Duration::from_millis(150)).await;
            again.kill().unwrap();
            again.wait().unwrap();
        }
        link.is_away.store(false, SeqCst);
        let mut next = start_helper(data.path(), id, &server);
        let told = || link.completes.lock().unwrap().iter().any(|complete| complete.attempt == attempt);
        until("it is told that the attempt is lost", told).await;
        assert_eq!(processes_of(id), 0, "what it had started is gone before");
        let complete = link.completes.lock().unwrap().last().cloned().unwrap();
        assert_eq!((complete.attempt, complete.outcome.reason.as_deref()), (attempt, Some("the agent was restarted")));
        assert_eq!(complete.outcome.failure.unwrap().cause, FailureCause::AgentLost);
        until("nothing is kept any more", || attempts_left(data.path(), id) == 0).await;
        let named = || link.heartbeats.lock().unwrap().iter().any(|beat| beat.attempts.contains(&attempt));
        until("the heartbeat that named it until then arrives", named).await;
        // And it takes jobs.
        let job = lease(vec![run_step("true")]);
        let ordinary = job.attempt;
        link.leases.lock().unwrap().push(job);
        let done = || link.completes.lock().unwrap().iter().any(|complete| complete.attempt == ordinary);
        until("an ordinary job runs", done).await;
        assert_eq!(link.completes.lock().unwrap().last().unwrap().outcome.status, Status::Success);
        next.kill().unwrap();
        next.wait().unwrap();
        // The numbers of its lines had no gap; the link refuses those of reports that have one.
        let mine = |report: &&oxide_core::protocol::Report| report.attempt == attempt;
        let mut next_line = 1;
        for chunk in link.reports.lock().unwrap().iter().filter(mine).flat_map(|report| &report.logs) {
            assert_eq!(chunk.first_line, next_line);
            next_line += u64::from(chunk.line_count);
        }
    }
    assert!(kept_bytes > 0, "the test is wrong: nothing was ever kept on disk");
}
