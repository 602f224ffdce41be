//! Runs one attempt of a job: performs what the [`JobMachine`] decides and reports what happens.

mod record;
mod secrets;
mod step;

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use oxide_core::{
    cause::in_one_line,
    grant::SecretGrant,
    id::{AgentId, StepIndex},
    job::{JobAction, JobEvent, JobMachine, JobProgress},
    outcome::{Failure, FailureCause, Status},
    protocol::{Cancellation, Complete, JobOutcome, Lease, OrchestratorLink, StepChange, StepChangeKind},
    quantity::duration_ms,
    secret::Secrets,
};
use oxide_registry::Catalog;
use oxide_runtime::{Runtime, UploadedArtifact, containers::ContainerEngine};
use tokio::{
    sync::{oneshot, watch},
    task::JoinSet,
    time::Instant,
};

use crate::{
    Clock, Session,
    docker::containers::{Containers, Removals},
    environment::{self, JobEnvironment},
    log::LogWriter,
    orphans::{self, AttemptRuns},
    report::{Lost, Reporter},
    restart,
    scope::{Facts, Moment, has_expression},
    services::{ReadyToStart, Services},
    spool::Spool,
    workspace::JobDirectory,
};
use record::StepMemory;
use secrets::JobSecrets;
use step::{StepCallContext, StepEnd};

/// How long steps that run after a cancellation (`always()`, `cancelled()`) may take together.
const GRACE: Duration = Duration::from_secs(5 * 60);

/// How long a job waits at its end until its containers are removed. Docker takes 10 seconds at most to kill one, or says that
/// it cannot.
const REMOVAL_PATIENCE: Duration = Duration::from_secs(20);

/// What the jobs of one agent share.
pub(crate) struct Tools {
    pub(crate) agent: AgentId,
    pub(crate) data_dir: PathBuf,
    pub(crate) docker_host: Option<String>,
    pub(crate) containers: Arc<dyn ContainerEngine>,
    pub(crate) clock: Clock,
    pub(crate) secrets: Secrets,
    pub(crate) session: Arc<Session>,
    pub(crate) link: Arc<dyn OrchestratorLink>,
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) catalog: Arc<Catalog>,
    /// Where reports are kept that do not get through; none in the process of the orchestrator.
    pub(crate) spool: Option<Spool>,
    /// Turns true when all jobs shall stop at once.
    pub(crate) stop: watch::Sender<bool>,
    pub(crate) left_behind: Mutex<Vec<String>>,
}

impl Tools {
    pub(crate) fn leave_behind(&self, what: String) {
        self.left_behind.lock().unwrap_or_else(PoisonError::into_inner).push(what);
    }

    /// What could not be removed since this was asked last, as the parts of a sentence.
    pub(crate) fn left_behind(&self) -> Vec<String> {
        std::mem::take(&mut *self.left_behind.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Runs an attempt to its end and tells how it ended. Nothing of it is left on this machine afterwards, but what could not be
/// told.
pub(crate) async fn run(tools: Arc<Tools>, mut lease: Lease, cancelled: watch::Receiver<Option<Cancellation>>) {
    // First of all, so that an agent that is killed knows that it had it.
    let spool = tools.spool.as_ref().map(|spool| {
        let (spool, made) = spool.begin(lease.attempt);
        if let Err(error) = made {
            tracing::warn!("attempt {}: {}", lease.attempt, in_one_line(&error));
        }
        spool
    });
    let secrets = Arc::new(JobSecrets::of(&mut lease, &tools.secrets));
    let runs = orphans::attempt_begins().await;
    let (reporter, lost) = Reporter::start_with(Arc::clone(&tools.link), tools.agent, lease.attempt, spool);
    let signals = Signals {
        cancelled,
        asked: Asked::Nothing,
        lost,
        agent_stops: tools.stop.subscribe(),
        timeout: Some(Instant::now() + Duration::from_millis(lease.job.timeout_ms) + ORCHESTRATOR_FIRST),
        grace: None,
        timeout_ms: lease.job.timeout_ms,
    };
    let mut attempt = Attempt::new(tools, lease, secrets, reporter, signals);
    let outcome = attempt.run().await;
    let (tools, reporter) = (Arc::clone(&attempt.tools), attempt.reporter.clone());
    let outcome = if attempt.agent_stops { restart::lost(STOPPED) } else { outcome };
    let complete = Complete { agent: tools.agent, attempt: attempt.lease.attempt, at: (tools.clock)(), outcome };
    let tell = async {
        tokio::select! {
            () = reporter.complete(complete) => {}
            () = last_moments(tools.stop.subscribe()) => {}
        }
    };
    tokio::join!(attempt.clean_up(runs), tell);
}

/// Why a job ended that its agent has stopped.
const STOPPED: &str = "the agent was stopped";

/// How long an agent that stops waits until what it says is heard. What was not heard is told by the next process.
const LAST_MOMENTS: Duration = Duration::from_secs(5);

async fn last_moments(mut stop: watch::Receiver<bool>) {
    turns_true(&mut stop).await;
    tokio::time::sleep(LAST_MOMENTS).await;
}

/// What can end an attempt from outside.
struct Signals {
    cancelled: watch::Receiver<Option<Cancellation>>,
    asked: Asked,
    lost: Lost,
    agent_stops: watch::Receiver<bool>,
    timeout: Option<Instant>,
    grace: Option<Instant>,
    timeout_ms: u64,
}

/// What was asked of the attempt so far.
#[derive(Clone, Copy, PartialEq)]
enum Asked {
    Nothing,
    ToStop,
    ToEndAtOnce,
}

/// What came from outside.
enum Outside {
    Event(JobEvent),
    /// Stop, and do not wait for what runs.
    AtOnce(Cancellation),
    /// The attempt is not ours any more: stop everything, tidy up, report nothing.
    Lost,
    /// The same, because this agent stops; the orchestrator is told.
    AgentStops,
}

impl Signals {
    async fn next(&mut self) -> Outside {
        let timeout = self.timeout.unwrap_or_else(far_away);
        let grace = self.grace.unwrap_or_else(far_away);
        tokio::select! {
            biased;
            () = is_lost(&mut self.lost) => Outside::Lost,
            () = turns_true(&mut self.agent_stops) => Outside::AgentStops,
            cancellation = next_cancellation(&mut self.cancelled, self.asked) => {
                self.begin_grace();
                if cancellation.at_once {
                    self.asked = Asked::ToEndAtOnce;
                    return Outside::AtOnce(cancellation);
                }
                Outside::Event(JobEvent::CancelRequested { status: cancellation.status, reason: cancellation.reason })
            }
            () = tokio::time::sleep_until(timeout) => {
                self.begin_grace();
                Outside::Event(JobEvent::JobTimedOut { reason: timeout_reason(self.timeout_ms) })
            }
            () = tokio::time::sleep_until(grace) => {
                self.grace = None;
                Outside::Event(JobEvent::GraceEnded)
            }
        }
    }

    fn begin_grace(&mut self) {
        self.asked = Asked::ToStop;
        self.timeout = None;
        self.grace = Some(Instant::now() + GRACE);
    }
}

fn far_away() -> Instant {
    Instant::now() + Duration::from_secs(365 * 24 * 60 * 60)
}

/// Waits for a flag whose sender lives as long as the attempt.
async fn turns_true(flag: &mut watch::Receiver<bool>) {
    let _ = flag.wait_for(|flag| *flag).await;
}

/// The same for the word that the attempt is not ours any more.
async fn is_lost(lost: &mut Lost) {
    let _ = lost.wait_for(Option::is_some).await;
}

/// Waits for a cancellation that asks for more than was asked before; for ever, if none can come any more.
async fn next_cancellation(receiver: &mut watch::Receiver<Option<Cancellation>>, asked: Asked) -> Cancellation {
    let asks_for_more = |said: &Option<Cancellation>| match (asked, said) {
        (Asked::Nothing, Some(_)) => true,
        (Asked::ToStop, Some(cancellation)) => cancellation.at_once,
        _ => false,
    };
    if let Ok(cancellation) = receiver.wait_for(asks_for_more).await
        && let Some(cancellation) = cancellation.clone()
    {
        return cancellation;
    }
    std::future::pending().await
}

/// The orchestrator ends an attempt in time and says whose time was up, that of the stage or of the run. The agent's own
/// clock is for the case that the orchestrator cannot be heard.
const ORCHESTRATOR_FIRST: Duration = Duration::from_secs(5);

fn timeout_reason(timeout_ms: u64) -> String {
    format!("the job took longer than {}", duration_ms(timeout_ms))
}

/// One attempt on its way.
struct Attempt {
    tools: Arc<Tools>,
    lease: Arc<Lease>,
    secrets: Arc<JobSecrets>,
    facts: Arc<Facts>,
    reporter: Reporter,
    signals: Signals,
    machine: JobMachine,
    directory: JobDirectory,
    containers: Containers,
    removals: Removals,
    environment: Option<Arc<dyn JobEnvironment>>,
    services: Option<Arc<Services>>,
    steps: Vec<StepMemory>,
    running: JoinSet<StepEnd>,
    stops: HashMap<StepIndex, oneshot::Sender<()>>,
    /// Turns true when the running steps shall end at once.
    kill: watch::Sender<bool>,
    /// Nothing more may run, not even what runs after a cancellation.
    at_once: bool,
    /// Whatever comes from outside, there is nothing more to be stopped.
    deaf: bool,
    agent_stops: bool,
}

impl Attempt {
    fn new(tools: Arc<Tools>, lease: Lease, secrets: Arc<JobSecrets>, reporter: Reporter, signals: Signals) -> Self {
        let machine = JobMachine::new(&lease.job);
        let steps = lease.job.steps.iter().map(|_| StepMemory::default()).collect();
        let directory = JobDirectory::of(&tools.data_dir, tools.agent, lease.attempt);
        let (docker_host, session) = (tools.docker_host.clone(), Arc::clone(&tools.session));
        let (containers, removals) = Containers::of(tools.agent, lease.attempt, docker_host, session);
        Attempt {
            facts: Arc::new(Facts::new(&lease, directory.workspace())),
            tools,
            lease: Arc::new(lease),
            secrets,
            reporter,
            signals,
            machine,
            directory,
            containers,
            removals,
            environment: None,
            services: None,
            steps,
            running: JoinSet::new(),
            stops: HashMap::new(),
            kill: watch::channel(false).0,
            at_once: false,
            deaf: false,
            agent_stops: false,
        }
    }

    async fn run(&mut self) -> JobOutcome {
        let mut event = self.prepare().await;
        loop {
            let mut actions = self.decide(event);
            if self.at_once {
                actions.extend(self.decide(JobEvent::GraceEnded));
            }
            for action in actions {
                if let Some(outcome) = self.perform(action).await {
                    return outcome;
                }
            }
            event = self.next_event().await;
        }
    }

    /// Makes directories and environment, unless the job is stopped meanwhile.
    async fn prepare(&mut self) -> JobEvent {
        let directory = self.directory.clone();
        if let Err(error) = directory.create() {
            let message = format!("could not make the directory {} of the job: {error}", directory.root().display());
            let hint = "move away what is in its way, or keep data elsewhere with `--data-dir DIR`";
            return JobEvent::PrepareFailed(environment::failure(message).with_hint(hint));
        }
        let (masker, lease) = (Arc::clone(&self.secrets.masker), Arc::clone(&self.lease));
        let containers = self.containers.clone();
        let services = match self.services_to_start() {
            Ok(services) => services,
            Err(failure) => return JobEvent::PrepareFailed(failure),
        };
        // Dropped when it is not waited for any more, and with it the containers that it has made so far.
        let preparing = async move {
            let names: Vec<&str> = lease.job.services.iter().map(|service| service.name.as_str()).collect();
            let environment = environment::prepare(&lease.job.environment, &names, &containers, &directory).await?;
            let services = Services::start(services, &environment.network(), &containers, masker).await?;
            Ok((environment, services))
        };
        tokio::select! {
            prepared = preparing => match prepared {
                Ok((environment, services)) => {
                    self.environment = Some(environment);
                    self.services = Some(Arc::new(services));
                    JobEvent::Prepared
                }
                Err(failure) => JobEvent::PrepareFailed(failure),
            },
            outside = self.signals.next() => self.on_outside(outside),
        }
    }

    /// The services of the job with the values of their variables.
    fn services_to_start(&self) -> Result<Vec<ReadyToStart>, Failure> {
        let services = self.lease.job.services.iter().map(|planned| {
            let granted = planned.secrets.iter().map(|name| (name, SecretGrant::Spend));
            let secrets = self.secrets.placeholders(granted)?;
            let moment = Moment::unseen().with_secrets(&secrets);
            let written = self.lease.job.env.iter().chain(&planned.env);
            // There is no file before the steps, and no log that could tell of it.
            let mut env = self.facts.variables(written, &moment, &mut Vec::new())?.list;
            // What stands before them is the job's own, which a service does not get.
            env.drain(..env.len() - planned.env.len());
            env.iter_mut().for_each(|(_, value)| *value = secrets.fill(value).into_owned());
            Ok(ReadyToStart { planned: planned.clone(), env })
        });
        services.collect()
    }

    fn on_outside(&mut self, outside: Outside) -> JobEvent {
        match outside {
            Outside::Event(event) => event,
            Outside::AtOnce(Cancellation { status, reason, .. }) => {
                self.at_once = true;
                self.kill.send_replace(true);
                JobEvent::CancelRequested { status, reason }
            }
            Outside::Lost => self.break_off("the attempt is not this agent's any more"),
            Outside::AgentStops => {
                self.agent_stops = true;
                self.break_off(STOPPED)
            }
        }
    }

    /// Not even `always()` runs: another attempt of the job may be under way elsewhere soon.
    fn break_off(&mut self, reason: &str) -> JobEvent {
        (self.deaf, self.at_once) = (true, true);
        self.running.abort_all();
        JobEvent::CancelRequested { status: Status::Cancelled, reason: reason.to_owned() }
    }

    fn decide(&mut self, event: JobEvent) -> Vec<JobAction> {
        let (facts, lease) = (&self.facts, &self.lease);
        let condition = |step: StepIndex, progress: &JobProgress| {
            let planned = &lease.job.steps[step.index()];
            let Some(condition) = &planned.condition else { return Ok(true) };
            let moment = Moment::of(progress);
            // As in `env:` of the job; that of the step itself is not evaluated for a step that may not run.
            let variables = facts.variables(lease.job.env.iter(), &moment, &mut Vec::new())?;
            facts.condition(condition, &variables, &moment)
        };
        self.machine.apply(event, &condition)
    }

    async fn next_event(&mut self) -> JobEvent {
        tokio::select! {
            biased;
            Some(ended) = self.running.join_next_with_id() => {
                let end = match ended {
                    Ok((_, end)) => end,
                    Err(error) => self.end_of_broken_task(&error),
                };
                self.remember(end).await
            }
            outside = self.signals.next(), if !self.deaf => self.on_outside(outside),
        }
    }

    /// A task that was aborted, or that panicked: the step is the one that runs under its id.
    fn end_of_broken_task(&self, error: &tokio::task::JoinError) -> StepEnd {
        let task = error.id();
        let broken = self.steps.iter().position(|memory| memory.task == Some(task));
        let step = StepIndex(u32::try_from(broken.unwrap_or_default()).expect("a plan holds fewer than 2^32 steps"));
        let failure = Failure::new(FailureCause::Trap, format!("the agent could not run the step: {error}"));
        StepEnd::failed(step, failure)
    }

    async fn remember(&mut self, end: StepEnd) -> JobEvent {
        for UploadedArtifact { name, files, bytes, expires_at } in end.artifacts {
            let at = (self.tools.clock)();
            self.tell(end.step, at, StepChangeKind::ArtifactUploaded { name, files, bytes, expires_at }).await;
        }
        self.stops.remove(&end.step);
        let memory = &mut self.steps[end.step.index()];
        memory.task = None;
        memory.usage = end.usage;
        memory.effects = end.effects;
        memory.annotations = end.annotations;
        memory.summary = end.summary;
        if let Ok(outputs) = &end.result {
            memory.outputs.clone_from(outputs);
        }
        if let (Some(log), Err(failure)) = (&memory.log, &end.result) {
            if let Some(services) = &self.services {
                for line in services.report().await {
                    log.host_line(&line).await;
                }
            }
            log.close_if_full(failure).await;
        }
        JobEvent::StepFinished { step: end.step, result: end.result }
    }

    async fn perform(&mut self, action: JobAction) -> Option<JobOutcome> {
        match action {
            JobAction::StartStep { step, try_number } => self.start_step(step, try_number).await,
            JobAction::StopStep { step } => {
                if let Some(stop) = self.stops.remove(&step) {
                    // A step that has just ended is not there to hear it.
                    let _ = stop.send(());
                }
            }
            JobAction::EndStep { step, status, reason, failure, try_number } => {
                let memory = &mut self.steps[step.index()];
                if let Some(log) = memory.log.take() {
                    log.finish().await;
                }
                let limits = self.lease.job.steps[step.index()].limits.clone();
                let at = (self.tools.clock)();
                let record = memory.record(status, reason, failure, try_number, limits, at);
                self.tell(step, at, StepChangeKind::Completed(Box::new(record))).await;
            }
            JobAction::Finish(outcome) => return Some(outcome),
        }
        None
    }

    async fn start_step(&mut self, step: StepIndex, try_number: u32) {
        let environment = self.environment.as_ref().expect("steps start only after the environment was prepared");
        let planned = &self.lease.job.steps[step.index()];
        let at = (self.tools.clock)();
        let memory = &mut self.steps[step.index()];
        memory.started_at.get_or_insert(at);
        let log = memory.log.get_or_insert_with(|| {
            LogWriter::new(step, planned.limits.log_bytes, self.reporter.clone(), Arc::clone(&self.tools.clock))
        });
        if try_number > 1 {
            log.begin_try(try_number, planned.retry.max_attempts).await;
        }
        // A long job need not tell each step of all the others, for most hold no expressions.
        let variables = self.lease.job.env.iter().chain(&planned.env);
        let sees = variables.map(|(_, value)| value).chain([&planned.with]).any(has_expression);
        let moment = if sees { Moment::of(self.machine.progress()) } else { Moment::unseen() };
        let (stop, stopped) = oneshot::channel();
        self.stops.insert(step, stop);
        let context = StepCallContext {
            tools: Arc::clone(&self.tools),
            lease: Arc::clone(&self.lease),
            secrets: Arc::clone(&self.secrets),
            facts: Arc::clone(&self.facts),
            moment,
            environment: Arc::clone(environment),
            workspace: self.directory.workspace(),
            log: log.clone(),
            step,
        };
        let task = self.running.spawn(context.run(stopped, self.kill.subscribe()));
        memory.task = Some(task.id());
        self.tell(step, at, StepChangeKind::Started { try_number }).await;
    }

    async fn tell(&self, step: StepIndex, at: oxide_core::time::Timestamp, kind: StepChangeKind) {
        self.reporter.change(StepChange { step, at, kind }).await;
    }

    /// Removes what the attempt made on this machine.
    async fn clean_up(mut self, runs: AttemptRuns) {
        self.running.shutdown().await;
        if let Some(services) = self.services.take() {
            services.end();
        }
        if let Some(environment) = self.environment.take() {
            environment.end().await;
        }
        drop(self.containers);
        let left = self.removals.wait(REMOVAL_PATIENCE).await;
        left.into_iter().for_each(|what| self.tools.leave_behind(what));
        orphans::attempt_ends(runs).await;
        let (tools, directory) = (Arc::clone(&self.tools), self.directory.clone());
        let removed = tokio::task::spawn_blocking(move || directory.remove()).await;
        if let Ok(Err(error)) = removed {
            tools.leave_behind(format!("{}: {error}", self.directory.root().display()));
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
