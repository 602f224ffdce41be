//! `oxide plugin run`: one step by hand against a directory, with commands on this machine.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use oxide_agent::environment::ByHand;
use oxide_core::{limit::Limits, protocol::LogStream, quantity};
use oxide_runtime::{
    RunInfo, StepCall, StepResult,
    environment::{Bytes, LogLimitReached, LogSink, async_trait},
};
use serde_json::{Map, Value as Json, json};
use tokio::signal::unix::{SignalKind, signal};
use uuid::Uuid;

use super::by_hand::StepArguments;
use crate::{
    blobs::{self, BlobsArguments},
    exit_code::Exit,
    failure::Failure,
    git_facts, local_engine,
    plugin_case::subject::{self, Subject},
    progress::remarks,
    project,
    terminal::{Paint, Terminal, print, without_controls},
};

/// Arguments of `oxide plugin run`.
#[derive(clap::Args)]
pub struct Arguments {
    /// A `.wasm` file, a folder with `plugin.wasm`, or a built-in such as `oxide/run@1`.
    plugin: PathBuf,
    #[command(flatten)]
    step: StepArguments,
    /// The workspace: the directory that the plugin works in.
    #[arg(long, value_name = "DIR", default_value = ".")]
    workspace: PathBuf,
    /// Print the result as JSON; the log goes to the standard error.
    #[arg(long)]
    json: bool,
}

/// Calls the plugin once.
pub fn run(arguments: &Arguments, data_dir: Option<&Path>, blobs: &BlobsArguments) -> Result<Exit, Failure> {
    let subject = Subject::find(&arguments.plugin)?;
    if let Some(source) = subject.newer_source() {
        eprintln!("note: the plugin is older than {}: build it again to run what stands there", source.display());
    }
    let workspace = arguments.workspace.canonicalize().map_err(|error| {
        Failure::usage(format!("there is no directory `{}`", arguments.workspace.display())).because(&error)
    })?;
    if !workspace.is_dir() {
        return Err(Failure::usage(format!("`{}` is no directory", workspace.display())));
    }
    let step = arguments.step.read(&subject, &workspace)?;
    let data = project::data_directory(data_dir)?;
    let blobs = blobs::open(blobs, &data)?;
    let runtime = subject::runtime(data.join("compiled"), Some(blobs))?;
    let limits = step.limits.clone();
    let log = Arc::new(LiveLog::new(arguments.json));
    let ended = local_engine::in_runtime(async {
        let plugin = subject.load(&runtime, log.as_ref()).await?;
        let scratch = std::env::temp_dir().join(format!("oxide-run-{}", Uuid::now_v7()));
        let host = ByHand::begin(workspace.clone(), &scratch)
            .map_err(|error| Failure::trouble("could not make a home for the commands").because(&error))?;
        let call = StepCall {
            plugin_name: subject.name.clone(),
            inputs: step.inputs,
            grants: step.grants,
            limits: step.limits,
            run_info: run_info(&subject, &step.git),
            project: git_facts::project(&workspace),
            workspace,
            environment: host.environment(),
            containers: ByHand::containers(),
            responder: None,
            log: log.clone(),
            secrets: step.secrets,
            masker: step.masker,
        };
        let ended = tokio::select! {
            result = runtime.call(&plugin, call) => Some(result),
            () = told_to_end() => None,
        };
        host.end().await;
        Ok(ended)
    })?;
    log.finish();
    let Some(result) = ended else {
        eprintln!("cancelled");
        return Ok(Exit::Cancelled);
    };
    let text = match arguments.json {
        true => format!("{}\n", as_json(&subject, &result)),
        false => as_text(&result, &limits, Paint { colour: Terminal::stdout().colour }),
    };
    print(&text)?;
    Ok(if result.outcome.is_ok() { Exit::Success } else { Exit::RunFailed })
}

/// Waits for Ctrl-C, SIGTERM or SIGHUP: what the step has started ends with it.
async fn told_to_end() {
    match (signal(SignalKind::interrupt()), signal(SignalKind::terminate()), signal(SignalKind::hangup())) {
        (Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)) => {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = hangup.recv() => {}
            }
        }
        // Where signals cannot be heard, they end this process as they always did.
        _ => std::future::pending().await,
    }
}

fn run_info(subject: &Subject, git: &Map<String, Json>) -> RunInfo {
    let fact = |name: &str| git.get(name).and_then(Json::as_str).map(str::to_owned);
    RunInfo {
        pipeline: "by-hand".to_owned(),
        run: Uuid::now_v7().to_string(),
        run_number: 1,
        stage: "by-hand".to_owned(),
        job: "by-hand".to_owned(),
        step: subject.name.clone(),
        attempt: 1,
        matrix: Vec::new(),
        commit: fact("sha"),
        git_ref: fact("ref"),
        repository: fact("repository"),
        trigger: "manual".to_owned(),
    }
}

/// The result for programs.
pub fn as_json(subject: &Subject, result: &StepResult) -> Json {
    let (outputs, failure) = match &result.outcome {
        Ok(outputs) => (Json::Object(outputs.clone()), Json::Null),
        Err(failure) => (Json::Null, json!(failure)),
    };
    json!({
        "plugin": subject.name,
        "digest": subject.description.digest,
        "status": if result.outcome.is_ok() { "success" } else { "failure" },
        "outputs": outputs,
        "failure": failure,
        "annotations": result.annotations,
        "summary": result.summary,
        "usage": result.usage,
        "effects": result.effects,
    })
}

fn as_text(result: &StepResult, limits: &Limits, paint: Paint) -> String {
    let mut lines = remarks::annotations(&result.annotations, "    ", None, paint);
    let summary = remarks::summary(&result.summary, "    ");
    if !summary.is_empty() {
        lines.push(format!("{}:", paint.bold("summary")));
        lines.extend(summary);
    }
    match &result.outcome {
        Ok(outputs) if outputs.is_empty() => {}
        Ok(outputs) => {
            lines.push(format!("{}:", paint.bold("outputs")));
            lines.extend(outputs.iter().map(|(name, value)| format!("    {name}: {}", shown(value))));
        }
        Err(failure) => {
            lines.push(format!("{} {}", paint.red("failure:"), without_controls(&failure.message)));
            lines.extend(failure.hint.iter().map(|hint| format!("  {} {hint}", paint.cyan("hint:"))));
        }
    }
    let usage = &result.usage;
    let used = format!(
        "{}, fuel {} of {}, memory {} of {}",
        quantity::measured_us(usage.wall_us),
        quantity::count(usage.fuel),
        quantity::count(limits.fuel),
        quantity::bytes(usage.memory_bytes),
        quantity::bytes(limits.memory_bytes),
    );
    let word = if result.outcome.is_ok() { paint.green("success") } else { paint.red("failure") };
    lines.push(format!("{word} {}", paint.dim(&format!("({used})"))));
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// A value of an output on one line, or as a block of text.
fn shown(value: &Json) -> String {
    match value.as_str() {
        Some(text) if text.contains('\n') => {
            without_controls(text.trim_end()).lines().map(|line| format!("\n        {line}")).collect()
        }
        _ => without_controls(&value.to_string()),
    }
}

/// Shows the log while it is written.
pub struct LiveLog {
    to_stderr: bool,
    paint: Paint,
    /// Has the last line of the log no end?
    open: Mutex<bool>,
}

impl LiveLog {
    /// On the standard output, or on the standard error.
    pub fn new(to_stderr: bool) -> LiveLog {
        let terminal = if to_stderr { Terminal::stderr() } else { Terminal::stdout() };
        LiveLog { to_stderr, paint: Paint { colour: terminal.colour }, open: Mutex::new(false) }
    }

    /// Ends the last line: what follows is no log.
    pub fn finish(&self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::take(&mut *open) {
            self.show(b"\n");
        }
    }

    fn show(&self, bytes: &[u8]) {
        // Whoever reads has gone away: the step goes on.
        let _ = match self.to_stderr {
            true => std::io::stderr().write_all(bytes),
            false => std::io::stdout().write_all(bytes).and_then(|()| std::io::stdout().flush()),
        };
    }
}

#[async_trait]
impl LogSink for LiveLog {
    async fn write(&self, stream: LogStream, bytes: Bytes) -> Result<(), LogLimitReached> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if bytes.is_empty() {
            return Ok(());
        }
        *open = !bytes.ends_with(b"\n");
        match stream {
            LogStream::Host if self.paint.colour => {
                let text = String::from_utf8_lossy(&bytes);
                let lines: String = text
                    .split_inclusive('\n')
                    .map(|line| match line.strip_suffix('\n') {
                        Some(line) => format!("{}\n", self.paint.cyan(line)),
                        None => self.paint.cyan(line),
                    })
                    .collect();
                self.show(lines.as_bytes());
            }
            _ => self.show(&bytes),
        }
        Ok(())
    }
}
