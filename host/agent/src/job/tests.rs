//! Whole jobs: the real runtime, the built-in `run` plugin and real commands; only the orchestrator is one in memory.

use std::sync::OnceLock;

use oxide_core::{
    event::StepRecord,
    grant::Grants,
    id::StageIndex,
    limit::{LimitKind, Limits},
    outcome::Status,
    plan::{Condition, EnvironmentSpec, JobContext, PlannedJob, PlannedStep, PluginPin, RetryOn, RetryPolicy},
    plugin::Capability,
    protocol::Acknowledgement,
    secret::SecretValue,
    yaml::{Content, Node, Span},
};
use oxide_registry::BuiltIn;
use oxide_runtime::{RuntimeConfig, compile::Compiler};
use serde_json::Map;

use super::*;
use crate::{
    docker::images::DockerEngine,
    testing::{MemoryLink, agent_id, attempt_id, until},
};

fn secrets() -> Secrets {
    [("TOKEN".to_owned(), SecretValue::new("hunter22").unwrap())].into()
}

/// The variable that names a directory of compiled plugins for several processes.
pub(crate) const COMPILED: &str = "OXIDE_TEST_AGENT_COMPILED";

/// One engine for all tests, so that the plugin is compiled once.
pub(crate) fn runtime() -> Arc<Runtime> {
    static RUNTIME: OnceLock<Arc<Runtime>> = OnceLock::new();
    let start = || {
        // Kept: the engine lives as long as the process.
        let given = std::env::var_os(COMPILED).map(PathBuf::from);
        let cache_dir = given.unwrap_or_else(|| tempfile::tempdir().unwrap().keep());
        Arc::new(Runtime::new(RuntimeConfig { cache_dir, compiler: Compiler::InProcess, blobs: None }).unwrap())
    };
    Arc::clone(RUNTIME.get_or_init(start))
}

fn run_plugin() -> &'static BuiltIn {
    let plugins = oxide_registry::built_in::BUILT_IN;
    plugins.iter().find(|plugin| plugin.name == "run").expect("`run` is built in")
}

pub(crate) fn run_step(script: &str) -> PlannedStep {
    PlannedStep {
        id: None,
        name: script.to_owned(),
        plugin: PluginPin { reference: run_plugin().reference(), digest: run_plugin().digest.to_owned() },
        with: Node::map(vec![("script".to_owned(), Node::text(script)), ("shell".to_owned(), Node::text("sh"))]),
        env: vec![],
        condition: None,
        limits: Limits::default(),
        grants: Grants { capabilities: Capability::ALL.into(), ..Grants::default() },
        retry: RetryPolicy::never(),
        allow_failure: false,
        parallel_group: None,
        span: Span::default(),
    }
}

pub(crate) fn always(step: PlannedStep) -> PlannedStep {
    when("always()", step)
}

fn when(expression: &str, step: PlannedStep) -> PlannedStep {
    let condition = Condition { expression: expression.to_owned(), span: Span::default() };
    PlannedStep { condition: Some(condition), ..step }
}

pub(crate) fn lease(steps: Vec<PlannedStep>) -> Lease {
    let job = PlannedJob {
        stage: StageIndex(0),
        name: "test (rust=1.95)".to_owned(),
        matrix: Map::from_iter([("rust".to_owned(), "1.95".into())]),
        runs_on: vec![],
        environment: EnvironmentSpec::Host,
        services: Vec::new(),
        env: vec![("GREETING".to_owned(), Node::text("hello"))],
        timeout_ms: 600_000,
        steps,
        kept: None,
    };
    Lease {
        attempt: attempt_id(),
        run_number: 1,
        pipeline: "build".to_owned(),
        stage: "test".to_owned(),
        job,
        context: JobContext::default(),
        stages: Map::new(),
        secrets: oxide_core::secret::LeasedSecrets::default(),
        artifacts_of: Vec::new(),
    }
}

/// An agent's tools with a data directory of their own.
struct Workshop {
    data: tempfile::TempDir,
    link: Arc<MemoryLink>,
    tools: Arc<Tools>,
    cancel: watch::Sender<Option<Cancellation>>,
}

impl Workshop {
    fn new() -> Workshop {
        let data = tempfile::tempdir().unwrap();
        let link = Arc::new(MemoryLink::default());
        let agent = agent_id();
        let session = Arc::new(Session::begin(data.path(), agent).unwrap());
        let tools = Arc::new(Tools {
            agent,
            data_dir: data.path().to_owned(),
            docker_host: None,
            containers: Arc::new(DockerEngine::new(None)),
            clock: crate::system_clock(),
            link: link.clone(),
            runtime: runtime(),
            catalog: Arc::new(Catalog::new(data.path())),
            secrets: secrets(),
            spool: None,
            stop: watch::channel(false).0,
            session,
            left_behind: Mutex::default(),
        });
        Workshop { data, link, tools, cancel: watch::channel(None).0 }
    }

    /// Runs the job and checks that nothing of it is left.
    async fn run(&self, lease: Lease) {
        run(Arc::clone(&self.tools), lease, self.cancel.subscribe()).await;
        let work = crate::workspace::work_directory(self.data.path(), self.tools.agent);
        assert_eq!(std::fs::read_dir(work).unwrap().count(), 0, "the directories of the job are gone");
        assert_eq!(self.processes(), 0, "the processes of the job are gone");
    }

    fn processes(&self) -> usize {
        let agent = self.tools.agent.to_string();
        let cookies = crate::processes::Cookies::new([(crate::processes::AGENT_COOKIE, agent.as_str())]);
        crate::processes::signal_by_cookies(&cookies, rustix::process::Signal::CONT)
    }

    async fn wait_for_processes(&self, count: usize) {
        until("the command starts", || self.processes() >= count).await;
    }

    fn cancel(&self, attempt: oxide_core::id::AttemptId) {
        self.end(attempt, false);
    }

    fn end(&self, attempt: oxide_core::id::AttemptId, at_once: bool) {
        let reason = "cancelled by Ctrl-C".to_owned();
        self.cancel.send_replace(Some(Cancellation { attempt, status: Status::Cancelled, reason, at_once }));
    }

    fn outcome(&self) -> JobOutcome {
        let completes = self.link.completes.lock().unwrap();
        assert_eq!(completes.len(), 1, "a job is completed once");
        completes[0].outcome.clone()
    }

    fn records(&self) -> Vec<(u32, StepRecord)> {
        let reports = self.link.reports.lock().unwrap();
        let changes = reports.iter().flat_map(|report| &report.changes);
        changes
            .filter_map(|change| match &change.kind {
                StepChangeKind::Completed(record) => Some((change.step.0, (**record).clone())),
                _ => None,
            })
            .collect()
    }

    fn statuses(&self) -> Vec<(u32, Status)> {
        self.records().into_iter().map(|(step, record)| (step, record.status)).collect()
    }

    fn text(&self, step: u32) -> Vec<String> {
        self.link.text(StepIndex(step))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_share_a_workspace_and_leave_nothing() {
    let shop = Workshop::new();
    let first = run_step("echo \"$GREETING\" > file; (setsid sleep 300 >/dev/null 2>&1 &)");
    shop.run(lease(vec![first, run_step("cat file; echo $CI")])).await;
    assert_eq!(
        shop.outcome(),
        JobOutcome { status: Status::Success, reason: None, failure: None, outputs: Map::new() }
    );
    assert_eq!(shop.statuses(), [(0, Status::Success), (1, Status::Success)]);
    assert_eq!(shop.text(1), ["hello", "true"]);
    let (_, record) = shop.records().remove(1);
    assert!(record.try_number == 1 && record.usage.fuel > 0 && record.usage.log_bytes == 11, "{record:?}");
    assert!(record.started_at <= record.ended_at);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_skips_what_follows_and_says_why() {
    let shop = Workshop::new();
    shop.run(lease(vec![run_step("echo no >&2; exit 3"), run_step("true"), always(run_step("echo tidy"))])).await;
    let outcome = shop.outcome();
    assert_eq!(outcome.status, Status::Failure);
    assert_eq!(outcome.failure.unwrap().cause, FailureCause::ExitCode { code: 3 });
    assert_eq!(shop.statuses(), [(0, Status::Failure), (1, Status::Skipped), (2, Status::Success)]);
    assert_eq!(shop.records()[1].1.reason.as_deref(), Some("an earlier step failed"));
    assert_eq!(shop.text(2), ["tidy"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_is_tried_again_in_the_same_workspace() {
    let shop = Workshop::new();
    let retry = RetryPolicy { max_attempts: 3, on: vec![RetryOn::ExitCode(vec![7])] };
    let flaky = PlannedStep { retry, ..run_step("echo x >> tries; [ $(wc -l < tries) = 2 ] || exit 7") };
    shop.run(lease(vec![flaky])).await;
    assert_eq!(shop.outcome().status, Status::Success);
    assert_eq!(shop.records()[0].1.try_number, 2);
    assert!(shop.text(0).contains(&"try 2 of 3".to_owned()), "{:?}", shop.text(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_job_stops_its_command_and_tidies_up() {
    let shop = Workshop::new();
    let script = "trap 'echo asked to stop; exit 0' TERM; echo ready; while :; do sleep 0.02; done";
    let job = lease(vec![run_step(script), run_step("true"), always(run_step("echo tidy"))]);
    let attempt = job.attempt;
    let cancelling = async {
        until("it is ready", || shop.text(0).contains(&"ready".to_owned())).await;
        shop.cancel(attempt);
    };
    tokio::join!(shop.run(job), cancelling);
    let outcome = shop.outcome();
    assert_eq!((outcome.status, outcome.reason.as_deref()), (Status::Cancelled, Some("cancelled by Ctrl-C")));
    assert!(shop.text(0).contains(&"asked to stop".to_owned()));
    assert_eq!(shop.statuses()[1..], [(1, Status::Skipped), (2, Status::Success)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_does_not_listen_is_killed() {
    let shop = Workshop::new();
    let job = lease(vec![run_step("trap '' TERM; echo hi; while :; do sleep 1; done")]);
    let attempt = job.attempt;
    let cancelling = async {
        shop.wait_for_processes(2).await;
        shop.cancel(attempt);
        Instant::now()
    };
    let ((), cancelled) = tokio::join!(shop.run(job), cancelling);
    assert!(cancelled.elapsed() < STOP_AT_MOST, "{:?}", cancelled.elapsed());
    assert_eq!(shop.statuses(), [(0, Status::Cancelled)]);
    let (_, record) = shop.records().remove(0);
    assert!(record.usage.wall_us > 1_000_000 && record.usage.log_bytes == 3, "{:?}", record.usage);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_waits_neither_for_a_command_nor_for_what_runs_always() {
    let shop = Workshop::new();
    // Whoever only asks it to end is heard long before the moment that it gets for that is over.
    let stubborn = "trap 'echo asked to stop' TERM; echo ready; while :; do sleep 0.02; done";
    let job = lease(vec![run_step("sleep 60"), always(run_step(stubborn)), always(run_step("echo tidy"))]);
    let attempt = job.attempt;
    let ending = async {
        shop.wait_for_processes(1).await;
        shop.cancel(attempt);
        until("what runs always is ready", || shop.text(1).contains(&"ready".to_owned())).await;
        shop.end(attempt, true);
        Instant::now()
    };
    let ((), killed) = tokio::join!(shop.run(job), ending);
    assert!(killed.elapsed() < STOP_AT_MOST, "{:?}", killed.elapsed());
    assert!(!shop.text(1).contains(&"asked to stop".to_owned()), "it was not asked, but killed");
    assert_eq!(shop.outcome().status, Status::Cancelled);
    assert_eq!(shop.statuses(), [(0, Status::Cancelled), (1, Status::Cancelled), (2, Status::Skipped)]);
}

/// Far less than the job may take, and than what runs always may take after a cancellation.
const STOP_AT_MOST: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn a_step_and_a_job_that_take_too_long_time_out() {
    let shop = Workshop::new();
    let limits = Limits { timeout_ms: 300, ..Limits::default() };
    shop.run(lease(vec![PlannedStep { limits, ..run_step("echo begun; sleep 60") }])).await;
    assert_eq!(shop.outcome().status, Status::Timeout);
    let failure = shop.records()[0].1.failure.clone().unwrap();
    assert!(matches!(failure.cause, FailureCause::Limit { limit: LimitKind::Timeout, .. }), "{failure:?}");

    let shop = Workshop::new();
    let mut job = lease(vec![run_step("sleep 60")]);
    job.job.timeout_ms = 400;
    shop.run(job).await;
    assert_eq!(shop.outcome().reason.as_deref(), Some("the job took longer than 400 ms"));
    assert_eq!(shop.statuses(), [(0, Status::Timeout)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_fails_the_step_and_its_beginning_is_kept() {
    let shop = Workshop::new();
    let limits = Limits { log_bytes: 100_000, ..Limits::default() };
    shop.run(lease(vec![PlannedStep { limits, ..run_step("yes") }])).await;
    let failure = shop.outcome().failure.unwrap();
    assert!(matches!(failure.cause, FailureCause::Limit { limit: LimitKind::Log, .. }), "{failure:?}");
    let text = shop.text(0);
    assert_eq!((text[0].as_str(), text.len()), ("y", 50_001));
    assert_eq!(text.last().unwrap(), "log limit of 97.7 KiB reached; the rest was dropped");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_attempt_is_dropped_without_a_word() {
    let shop = Workshop::new();
    *shop.link.script.lock().unwrap() = vec![Ok(Acknowledgement::Stale)];
    shop.run(lease(vec![run_step("sleep 60"), always(run_step("sleep 60"))])).await;
    assert!(shop.link.completes.lock().unwrap().is_empty());
    assert!(shop.records().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_of_a_group_run_at_the_same_time() {
    let shop = Workshop::new();
    let beside = |script| PlannedStep { parallel_group: Some(1), ..run_step(script) };
    let wait = |mine: &str, other: &str| format!("touch {mine}; until [ -e {other} ]; do sleep 0.01; done; echo met");
    shop.run(lease(vec![beside(&wait("a", "b")), beside(&wait("b", "a"))])).await;
    assert_eq!(shop.outcome().status, Status::Success);
    assert_eq!((shop.text(0), shop.text(1)), (vec!["met".to_owned()], vec!["met".to_owned()]));
}

#[tokio::test(flavor = "multi_thread")]
async fn unusable_inputs_and_plugins_fail_the_step_alone() {
    let shop = Workshop::new();
    let missing = PluginPin { reference: "./gone.wasm".to_owned(), digest: "sha256:00".to_owned() };
    let gone = PlannedStep { plugin: missing, allow_failure: true, ..run_step("gone") };
    let wrong = PlannedStep { with: Node::map(vec![]), allow_failure: true, ..run_step("wrong") };
    shop.run(lease(vec![gone, wrong, run_step("true")])).await;
    assert_eq!(shop.outcome().status, Status::Warning);
    let causes: Vec<_> = shop.records().into_iter().filter_map(|(_, record)| Some(record.failure?.cause)).collect();
    assert_eq!(causes, [FailureCause::Load, FailureCause::InvalidInput]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workspace_that_a_step_removed_is_missed_by_its_name() {
    let shop = Workshop::new();
    shop.run(lease(vec![run_step("cd / && rm -r \"$OXIDE_WORKSPACE\""), run_step("true")])).await;
    let failure = shop.outcome().failure.unwrap();
    assert!(failure.message.contains("the workspace is gone"), "{failure:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_takes_jobs_until_it_is_told_to_stop() {
    let shop = Workshop::new();
    let go = shop.data.path().join("go");
    let script = format!("echo hi; until [ -e '{}' ]; do sleep 0.02; done", go.display());
    shop.link.leases.lock().unwrap().push(lease(vec![run_step(&script)]));
    let config = crate::AgentConfig {
        id: shop.tools.agent,
        name: "test".to_owned(),
        labels: vec![],
        slots: 2,
        data_dir: shop.data.path().to_owned(),
        capabilities: Some(vec![]),
        docker_host: None,
        clock: crate::system_clock(),
        secrets: Secrets::new(),
        spool_bytes_max: None,
    };
    let (session, catalog) = (Arc::clone(&shop.tools.session), Arc::clone(&shop.tools.catalog));
    let agent = crate::Agent::new(config, session, shop.link.clone(), runtime(), catalog);
    let (shutdown, told) = watch::channel(crate::Wish::Work);
    let stopping = async {
        shop.wait_for_processes(1).await;
        shutdown.send_replace(crate::Wish::Drain);
        std::fs::write(&go, "").unwrap();
    };
    let (ran, ()) = tokio::join!(agent.run(told), stopping);
    assert!(ran.unwrap().is_empty(), "everything could be removed");
    assert_eq!(shop.outcome().status, Status::Success, "the job that ran was not cut short");
    assert_eq!(shop.text(0), ["hi"]);
    assert!(crate::sweep(shop.data.path()).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_job_had_made_that_broke_off_is_left_to_the_sweep() {
    let shop = Workshop::new();
    shop.link.leases.lock().unwrap().push(lease(vec![run_step("true")]));
    let config = crate::AgentConfig {
        id: shop.tools.agent,
        name: "test".to_owned(),
        labels: vec![],
        slots: 1,
        data_dir: shop.data.path().to_owned(),
        capabilities: Some(vec![]),
        docker_host: None,
        clock: Arc::new(|| panic!("there is no time")),
        secrets: Secrets::new(),
        spool_bytes_max: None,
    };
    let (session, catalog) = (Arc::clone(&shop.tools.session), Arc::clone(&shop.tools.catalog));
    let agent = crate::Agent::new(config, session, shop.link.clone(), runtime(), catalog);
    let (shutdown, told) = watch::channel(crate::Wish::Work);
    let stopping = async {
        until("the job is taken", || shop.link.leases.lock().unwrap().is_empty()).await;
        shutdown.send_replace(crate::Wish::Drain);
    };
    let (ran, ()) = tokio::join!(agent.run(told), stopping);
    let left = ran.unwrap();
    assert!(matches!(&left[..], [job] if job.starts_with("all that a job had made when it broke off: ")), "{left:?}");
    let Workshop { data, tools, .. } = shop;
    let work = crate::workspace::work_directory(data.path(), tools.agent);
    assert!(work.exists(), "the test is wrong: nothing was left");
    drop(tools);
    assert_eq!(crate::sweep(data.path()).await.len(), 1);
    assert!(!work.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn many_small_steps_are_quick() {
    let shop = Workshop::new();
    let began = Instant::now();
    shop.run(lease((0..200).map(|_| run_step("true")).collect())).await;
    println!("one `run: true` takes {:?}", began.elapsed() / 200);
    assert_eq!(shop.outcome().status, Status::Success);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_reaches_the_command_and_nothing_else() {
    let shop = Workshop::new();
    let text = |text: &str| Node { content: Content::Scalar { text: text.to_owned(), plain: false }, ..Node::text("") };
    let mut step = run_step(
        "test \"$IT\" = \"key: hunter\"22; echo \"it is $IT\"; printf %s \"$IT\" | base64; printf hunter; sleep 0.1; echo 22",
    );
    step.env.push(("IT".to_owned(), text("key: ${{ secrets.TOKEN }}")));
    step.grants.spend("TOKEN");
    let not_granted = PlannedStep { env: step.env.clone(), ..run_step("test -z \"${IT#key: }\"") };
    let mut unknown = always(run_step("true"));
    unknown.grants.spend("NOPE");
    shop.run(lease(vec![step, not_granted, unknown])).await;
    assert_eq!(shop.text(0), ["it is key: ***", "a2V5OiB***g==", "***"]);
    assert_eq!(shop.statuses(), [(0, Status::Success), (1, Status::Success), (2, Status::Failure)]);
    let failure = shop.outcome().failure.unwrap();
    assert_eq!(failure.message, "the secret `NOPE` is not set");
    let hint = failure.hint.unwrap();
    assert!(hint.starts_with("on a server: `oxide secrets set NOPE`; here: "), "{hint}");
    assert!(hint.ends_with("write `--secret NOPE=…`"), "{hint}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_secrets_of_a_job_come_with_it_and_are_masked_in_it() {
    let shop = Workshop::new();
    let text = |text: &str| Node { content: Content::Scalar { text: text.to_owned(), plain: false }, ..Node::text("") };
    let mut step = run_step("test \"$IT\" = correct\"-horse\"; echo \"$IT\"; echo hunter22");
    step.env.push(("IT".to_owned(), text("${{ secrets.TOKEN }}")));
    step.grants.spend("TOKEN");
    let mut job = lease(vec![step]);
    let of_job: Secrets = [("TOKEN".to_owned(), SecretValue::new("correct-horse").unwrap())].into();
    job.secrets = of_job.into();
    shop.run(job).await;
    assert_eq!(shop.outcome().status, Status::Success);
    assert_eq!(shop.text(0), ["***", "hunter22"], "what the agent has under the same name is not of this job");
}

#[tokio::test(flavor = "multi_thread")]
async fn expressions_see_the_run_the_matrix_and_earlier_steps() {
    let shop = Workshop::new();
    let mut job = lease(vec![
        PlannedStep { id: Some("first".to_owned()), ..run_step("echo a > Cargo.lock") },
        PlannedStep {
            env: vec![
                ("RUST".to_owned(), Node::text("${{ matrix.rust }} on ${{ git.branch }}")),
                ("STATUS".to_owned(), Node::text("${{ steps.first.status }}")),
                ("BOTH".to_owned(), Node::text("${{ env.GREETING + ' ' + env.STATUS }}")),
                ("HASH".to_owned(), Node::text("${{ hash_files('Cargo.lock') }}")),
            ],
            ..run_step("echo \"$RUST, $STATUS, $BOTH\"; echo ${#HASH}")
        },
        when("git.branch == 'release'", run_step("echo not here")),
        PlannedStep { env: vec![("X".to_owned(), Node::text("${{ matrix.nothing }}"))], ..run_step("true") },
        when("failure() && matrix.rust == '1.95'", run_step("echo failed")),
        when("cancelled()", run_step("echo cancelled")),
    ]);
    job.context.git.insert("branch".to_owned(), "main".into());
    shop.run(job).await;
    assert_eq!(shop.text(1), ["1.95 on main, success, hello success", "64"]);
    let statuses: Vec<_> = shop.statuses().into_iter().map(|(_, status)| status).collect();
    use Status::{Failure, Skipped, Success};
    assert_eq!(statuses, [Success, Success, Skipped, Failure, Success, Skipped]);
    let failure = shop.records()[3].1.failure.clone().unwrap();
    assert_eq!(failure.cause, FailureCause::Expression);
    assert!(failure.message.starts_with("could not evaluate the environment variable `X`: "), "{}", failure.message);
}
