//! One try of one step: its inputs are evaluated, its plugin is called, and it is stopped if it must.

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use oxide_core::{
    cause::in_one_line,
    effects::StepEffects,
    event::Annotation,
    id::StepIndex,
    job::StepResult,
    limit::{Limits, Usage},
    outcome::{Failure, FailureCause},
    plan::{PlannedJob, PlannedStep},
    protocol::Lease,
    secret::Placeholders,
    wit::{NamedType, Type, Value},
};
use oxide_registry::Catalog;
use oxide_runtime::{Plugin, PluginToLoad, RunInfo, StepCall, UploadedArtifact};
use serde_json::Value as Json;
use tokio::{
    sync::{oneshot, watch},
    time::Instant,
};

use super::{Tools, secrets::JobSecrets};
use crate::{
    environment::{JobEnvironment, StepEnvironment},
    log::LogWriter,
    scope::{Facts, Moment},
};

/// How long the commands of a step that is stopped have to end by themselves.
const STOP_GRACE: Duration = Duration::from_secs(2);

/// Everything that a try of a step needs.
pub(super) struct StepCallContext {
    pub(super) tools: Arc<Tools>,
    pub(super) lease: Arc<Lease>,
    pub(super) secrets: Arc<JobSecrets>,
    pub(super) facts: Arc<Facts>,
    pub(super) moment: Moment,
    pub(super) environment: Arc<dyn JobEnvironment>,
    pub(super) workspace: PathBuf,
    pub(super) log: LogWriter,
    pub(super) step: StepIndex,
}

/// How a try ended.
pub(super) struct StepEnd {
    pub(super) step: StepIndex,
    pub(super) result: StepResult,
    pub(super) usage: Usage,
    pub(super) effects: StepEffects,
    pub(super) annotations: Vec<Annotation>,
    pub(super) summary: String,
    pub(super) artifacts: Vec<UploadedArtifact>,
}

impl StepEnd {
    /// A try that failed before its plugin was called.
    pub(super) fn failed(step: StepIndex, failure: Failure) -> Self {
        StepEnd {
            step,
            result: Err(failure),
            usage: Usage::default(),
            effects: StepEffects::default(),
            annotations: Vec::new(),
            summary: String::new(),
            artifacts: Vec::new(),
        }
    }
}

impl StepCallContext {
    /// Runs the try. `stopped` ends it early: its commands get SIGTERM, and SIGKILL if that does not help. When `killed`
    /// turns true they get SIGKILL at once.
    pub(super) async fn run(self, stopped: oneshot::Receiver<()>, mut killed: watch::Receiver<bool>) -> StepEnd {
        let began = Instant::now();
        let ended = tokio::select! {
            biased;
            ended = self.until_stopped(stopped) => ended,
            () = super::turns_true(&mut killed) => None,
        };
        // Dropping the call has killed what it had started.
        match ended {
            Some(end) => end,
            None => self.stopped(began).await,
        }
    }

    /// Runs the try to its end; none if it is stopped and does not end by itself.
    async fn until_stopped(&self, stopped: oneshot::Receiver<()>) -> Option<StepEnd> {
        let stopped = heard(stopped);
        tokio::pin!(stopped);
        // Compiling a plugin may take its time.
        let prepared = tokio::select! {
            prepared = self.prepare() => prepared,
            () = &mut stopped => return None,
        };
        let prepared = match prepared {
            Ok(prepared) => prepared,
            Err(failure) => return Some(StepEnd::failed(self.step, failure)),
        };
        let environment = Arc::clone(&prepared.environment);
        let mut call = Box::pin(self.call(prepared));
        tokio::select! {
            end = &mut call => return Some(end),
            () = &mut stopped => {}
        }
        // Plugin and commands get the same moment: a plugin that waits for its command ends when that one does.
        match environment.terminate().await {
            true => tokio::time::timeout(STOP_GRACE, &mut call).await.ok(),
            false => None,
        }
    }

    /// The end of a try that did not end by itself. What its plugin used went with it; the rest can be told from outside.
    async fn stopped(&self, began: Instant) -> StepEnd {
        let wall_us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        let usage = Usage { wall_us, log_bytes: self.log.bytes_written().await, ..Usage::default() };
        let failure = Failure::new(FailureCause::Environment, "the step was stopped");
        StepEnd { usage, ..StepEnd::failed(self.step, failure) }
    }

    fn planned(&self) -> &PlannedStep {
        &self.lease.job.steps[self.step.index()]
    }

    async fn prepare(&self) -> Result<Prepared, Failure> {
        let plugin = self.load().await?;
        let granted = self.planned().grants.secrets.iter().map(|(name, grant)| (name, *grant));
        let secrets = self.secrets.placeholders(granted)?;
        let moment = self.moment.with_secrets(&secrets);
        let planned = self.planned();
        let written = self.lease.job.env.iter().chain(&planned.env);
        let mut warnings = Vec::new();
        let variables = self.facts.variables(written, &moment, &mut warnings);
        let with = variables.and_then(|variables| {
            let with = self.facts.inputs(&planned.with, &variables, &moment, &mut warnings)?;
            Ok((variables, with))
        });
        for warning in &warnings {
            self.log.host_line(warning).await;
        }
        let (variables, with) = with?;
        let description = plugin.description();
        let inputs = match description.takes_inputs {
            false => None,
            true => {
                let fields = description.inputs.iter();
                let fields = fields.map(|field| NamedType { name: field.name.clone(), ty: field.ty.clone() }).collect();
                let value = Value::from_node(&with, &Type::Record(fields));
                Some(value.map_err(|error| Failure::new(FailureCause::InvalidInput, error.to_string()))?)
            }
        };
        let filled = variables.list.into_iter().map(|(name, value)| (name, secrets.fill(&value).into_owned()));
        let environment = self.environment.for_step(filled.collect());
        Ok(Prepared { plugin, inputs, environment, secrets })
    }

    async fn load(&self) -> Result<Arc<Plugin>, Failure> {
        let pin = &self.planned().plugin;
        self.tools.catalog.supply(pin).await.map_err(|error| {
            let message = format!("could not fetch plugin `{}`: {}", pin.reference, in_one_line(&error));
            Failure { hint: error.hint(), ..Failure::new(FailureCause::Load, message) }
        })?;
        let fetch = || self.tools.catalog.fetch(pin).map_err(io::Error::other);
        let is_built_in = Catalog::is_built_in(pin);
        let plugin = PluginToLoad { name: &pin.reference, digest: &pin.digest, is_built_in };
        let loaded = self.tools.runtime.load(plugin, fetch, &self.log).await;
        loaded.map_err(|error| {
            let message = format!("could not load plugin `{}`: {}", pin.reference, in_one_line(&error));
            Failure { hint: error.hint().map(str::to_owned), ..Failure::new(FailureCause::Load, message) }
        })
    }

    async fn call(&self, prepared: Prepared) -> StepEnd {
        let planned = self.planned();
        let call = StepCall {
            plugin_name: planned.plugin.reference.clone(),
            inputs: prepared.inputs,
            grants: planned.grants.clone(),
            limits: own_limits(planned, &self.lease.job),
            run_info: self.run_info(),
            project: self.lease.context.project.clone(),
            workspace: self.workspace.clone(),
            environment: prepared.environment,
            containers: Arc::clone(&self.tools.containers),
            responder: None,
            log: Arc::new(self.log.clone()),
            secrets: prepared.secrets,
            masker: Arc::clone(&self.secrets.masker),
        };
        let result = self.tools.runtime.call(&prepared.plugin, call).await;
        StepEnd {
            step: self.step,
            result: result.outcome,
            usage: result.usage,
            effects: result.effects,
            annotations: result.annotations,
            summary: result.summary,
            artifacts: result.artifacts,
        }
    }

    fn run_info(&self) -> RunInfo {
        let (lease, planned) = (&self.lease, self.planned());
        let fact = |name: &str| lease.context.git.get(name).and_then(Json::as_str).map(str::to_owned);
        let trigger = lease.context.trigger.get("kind").and_then(Json::as_str).unwrap_or("manual");
        RunInfo {
            pipeline: lease.pipeline.clone(),
            run: lease.attempt.run.to_string(),
            run_number: lease.run_number,
            stage: lease.stage.clone(),
            job: lease.job.name.clone(),
            step: planned.id.clone().unwrap_or_else(|| planned.name.clone()),
            attempt: lease.attempt.number,
            matrix: lease.job.matrix.iter().map(|(name, value)| (name.clone(), crate::scope::text_of(value))).collect(),
            commit: fact("sha"),
            git_ref: fact("ref"),
            repository: fact("repository"),
            trigger: trigger.to_owned(),
        }
    }
}

/// The limits that the call itself holds. A timeout as long as the job's is not the step's own: the job ends in time, and
/// whoever ends it says whose time was up.
fn own_limits(step: &PlannedStep, job: &PlannedJob) -> Limits {
    let mut limits = step.limits.clone();
    if limits.timeout_ms >= job.timeout_ms {
        limits.timeout_ms = u64::MAX / 2;
    }
    limits
}

/// What a call needs beside the plan.
struct Prepared {
    plugin: Arc<Plugin>,
    inputs: Option<Value>,
    environment: Arc<dyn StepEnvironment>,
    secrets: Placeholders,
}

/// Waits for the word; for ever, if nobody can say it any more.
async fn heard(stopped: oneshot::Receiver<()>) {
    if stopped.await.is_err() {
        std::future::pending::<()>().await;
    }
}
