//! One call of one plugin: a fresh store, the limits of the step, `run`, and what came of it.

use std::{
    io,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use oxide_core::{
    effects::StepEffects,
    event::Annotation,
    grant::Grants,
    limit::{LimitKind, Limits, Usage},
    outcome::Failure,
    protocol::LogStream,
    secret::{Masker, Placeholders},
    wit::Value,
};
use serde_json::{Map, Value as Json};
use wasmtime::{Engine, Store, component::Val};

use crate::{
    Runtime,
    capability::run_info::RunInfo,
    containers::ContainerEngine,
    engine::FUEL_YIELD_INTERVAL,
    environment::{Environment, LogSink},
    failure::{Ending, GuestFailure, Trapped, ending, failure},
    plugin::Plugin,
    state::State,
    step_log::StepLog,
    stored::UploadedArtifact,
    value::{from_val, to_val},
    web::Responder,
};

/// Everything that a call needs beside the plugin.
pub struct StepCall {
    /// How the pipeline names the plugin, for messages.
    pub plugin_name: String,
    /// The record `inputs`; none for a plugin without inputs.
    pub inputs: Option<Value>,
    /// What the pipeline lets the step do.
    pub grants: Grants,
    /// What the step may use.
    pub limits: Limits,
    /// What the plugin may know of the run.
    pub run_info: RunInfo,
    /// The project that the run belongs to: its cache is used.
    pub project: String,
    /// The workspace of the job on the machine of the agent.
    pub workspace: PathBuf,
    /// Where the step's commands run.
    pub environment: Arc<dyn Environment>,
    /// What builds and pushes images for the step.
    pub containers: Arc<dyn ContainerEngine>,
    /// Who answers HTTP requests; none is the network.
    pub responder: Option<Arc<dyn Responder>>,
    /// Where the step's log goes.
    pub log: Arc<dyn LogSink>,
    /// The secrets that the step may spend.
    pub secrets: Placeholders,
    /// Finds the secrets of the whole run in what leaves the step.
    pub masker: Arc<Masker>,
}

/// What came of a call.
#[derive(Clone, Debug, PartialEq)]
pub struct StepResult {
    /// The typed outputs, names in snake_case; or why there are none.
    pub outcome: Result<Map<String, Json>, Failure>,
    /// What the call used, whatever came of it.
    pub usage: Usage,
    /// What it did through its capabilities.
    pub effects: StepEffects,
    /// The annotations of the step.
    pub annotations: Vec<Annotation>,
    /// The summary of the step in markdown.
    pub summary: String,
    /// The artifacts that it uploaded, in their order.
    pub artifacts: Vec<UploadedArtifact>,
}

impl Runtime {
    /// Calls a plugin. Dropping the future stops the guest and kills its processes.
    pub async fn call(&self, plugin: &Plugin, call: StepCall) -> StepResult {
        let started = Instant::now();
        let limits = call.limits.clone();
        let log = Arc::new(StepLog::new(call.log.clone(), limits.log_bytes, call.masker.clone()));
        let name = call.plugin_name.clone();
        let masker = call.masker.clone();
        let refused = |ending| StepResult {
            outcome: Err(masked(failure(ending, &name, &limits, String::new()), &masker)),
            usage: Usage { wall_us: micros(started.elapsed()), ..Usage::default() },
            effects: StepEffects::default(),
            annotations: Vec::new(),
            summary: String::new(),
            artifacts: Vec::new(),
        };
        if let Err(missing) = plugin.check_grants(&call.grants) {
            return refused(Ending::Load { message: missing.to_string(), hint: Some(missing.hint()) });
        }
        let arguments = match arguments(plugin, call.inputs.as_ref()) {
            Ok(arguments) => arguments,
            Err(ending) => return refused(ending),
        };
        let Ok(_slot) = self.slots.acquire().await else {
            return refused(Ending::Load { message: "the runtime has been shut down".into(), hint: None });
        };

        let mut store = new_store(plugin.instance.engine(), State::new(call, log.clone(), self.blobs.clone()), &limits);
        let timeout = Duration::from_millis(limits.timeout_ms);
        let returned = tokio::select! {
            biased;
            // Processes write to the log without the guest, which would not notice.
            () = log.limit_reached() => Err(Ending::Limit(LimitKind::Log, log.written())),
            returned = tokio::time::timeout(timeout, run(plugin, &mut store, &arguments)) => match returned {
                Ok(Ok(val)) => Ok(val),
                Ok(Err(error)) => {
                    let log_limit = log.is_limit_reached().then(|| log.written());
                    Err(ending(&error, &store.data().limiter, log_limit, &limits))
                }
                Err(_) => Err(Ending::Limit(LimitKind::Timeout, millis(started.elapsed()))),
            },
        };
        let outcome = returned.and_then(|val| outputs(plugin, val, &limits));

        let fuel_left = store.get_fuel().unwrap_or_default();
        let state = store.into_data();
        // Kills processes that still run: the log must not grow after the step has ended.
        drop(state.table);
        if log.end().await.is_ok() && state.collected.dropped > 0 {
            let text =
                format!("warning: {} annotations were dropped; a step may record 1,000\n", state.collected.dropped);
            log.write(LogStream::Host, text.into()).await.ok();
        }
        let output_bytes = match &outcome {
            Ok((_, bytes)) => *bytes,
            Err(Ending::Limit(LimitKind::Output, bytes)) => *bytes,
            Err(_) => 0,
        };
        StepResult {
            outcome: outcome
                .map(|(outputs, _)| masked_outputs(outputs, &masker))
                .map_err(|ending| masked(failure(ending, &name, &limits, log.stderr_tail()), &masker)),
            usage: Usage {
                fuel: limits.fuel.saturating_sub(fuel_left),
                memory_bytes: state.limiter.peak(),
                wall_us: micros(started.elapsed()),
                log_bytes: log.written(),
                output_bytes,
                impure: state.impure,
            },
            effects: state.recorder.finish(),
            annotations: state.collected.annotations.into_iter().map(|one| masked_annotation(one, &masker)).collect(),
            summary: masker.text(&state.collected.summary).into_owned(),
            artifacts: state.stored.uploaded,
        }
    }
}

fn new_store(engine: &Engine, state: State, limits: &Limits) -> Store<State> {
    let mut store = Store::new(engine, state);
    store.limiter(|state| &mut state.limiter);
    store.set_fuel(limits.fuel).expect("the engine counts fuel");
    store.fuel_async_yield_interval(Some(FUEL_YIELD_INTERVAL)).expect("the engine counts fuel, and it is not zero");
    store.set_hostcall_fuel(usize::try_from(limits.host_call_bytes).unwrap_or(usize::MAX));
    store.call_hook(|mut store, hook| {
        store.data_mut().crosses(hook);
        Ok(())
    });
    store
}

/// The arguments of `run`.
fn arguments(plugin: &Plugin, inputs: Option<&Value>) -> Result<Vec<Val>, Ending> {
    let none = Value::Record(Vec::new());
    match (plugin.description().takes_inputs, inputs) {
        (true, inputs) => match to_val(inputs.unwrap_or(&none), &plugin.inputs) {
            Ok(val) => Ok(vec![val]),
            Err(mismatch) => Err(Ending::InvalidInput(mismatch.to_string())),
        },
        (false, Some(Value::Record(fields))) if !fields.is_empty() => {
            Err(Ending::InvalidInput(format!("it takes none, but was given `{}`", fields[0].0)))
        }
        (false, _) => Ok(Vec::new()),
    }
}

async fn run(plugin: &Plugin, store: &mut Store<State>, arguments: &[Val]) -> wasmtime::Result<Val> {
    let instance = plugin.instance.instantiate_async(&mut *store).await?;
    let run = instance
        .get_func(&mut *store, plugin.run)
        .ok_or_else(|| wasmtime::Error::msg("the component does not export the function `run`"))?;
    let mut results = [Val::Bool(false)];
    run.call_async(&mut *store, arguments, &mut results).await?;
    store.data().log.clone().flush().await?;
    let [result] = results;
    Ok(result)
}

/// Takes what `run` returned: the outputs and their size as JSON.
fn outputs(plugin: &Plugin, returned: Val, limits: &Limits) -> Result<(Map<String, Json>, u64), Ending> {
    // The type of `run` was checked when the plugin was described.
    let strange = || Ending::Trap(Trapped::Other("`run` returned a value that is not of its type".into()));
    let record = match returned {
        Val::Result(Ok(None)) => return Ok((Map::new(), 2)),
        Val::Result(Ok(Some(record))) => from_val(*record).ok_or_else(strange)?,
        Val::Result(Err(Some(error))) => return Err(Ending::Guest(guest_failure(*error).ok_or_else(strange)?)),
        _ => return Err(strange()),
    };
    let Json::Object(outputs) = record.to_json(&plugin.outputs) else { return Err(strange()) };
    let mut size = Size(0);
    serde_json::to_writer(&mut size, &outputs).map_err(|_| strange())?;
    if size.0 > limits.output_bytes {
        return Err(Ending::Limit(LimitKind::Output, size.0));
    }
    Ok((outputs, size.0))
}

fn guest_failure(error: Val) -> Option<GuestFailure> {
    let Val::Variant(case, Some(payload)) = error else { return None };
    match (case.as_str(), *payload) {
        ("exit-code", Val::S32(code)) => Some(GuestFailure::ExitCode(code)),
        ("invalid-input", Val::String(text)) => Some(GuestFailure::InvalidInput(text)),
        ("other", Val::String(text)) => Some(GuestFailure::Other(text)),
        _ => None,
    }
}

fn masked(failure: Failure, masker: &Masker) -> Failure {
    let text = |text: String| masker.text(&text).into_owned();
    Failure {
        cause: failure.cause,
        message: text(failure.message),
        hint: failure.hint.map(text),
        stderr_tail: text(failure.stderr_tail),
    }
}

fn masked_outputs(outputs: Map<String, Json>, masker: &Masker) -> Map<String, Json> {
    match masker.json(Json::Object(outputs)) {
        Json::Object(outputs) => outputs,
        _ => Map::new(),
    }
}

fn masked_annotation(annotation: Annotation, masker: &Masker) -> Annotation {
    let text = |text: String| masker.text(&text).into_owned();
    Annotation { file: annotation.file.map(text), message: text(annotation.message), ..annotation }
}

/// Counts what is written to it.
struct Size(u64);

impl io::Write for Size {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[path = "call_tests.rs"]
mod tests;
