//! `oxide run`: runs a pipeline on this machine, with the engine that the server uses; with `--remote`, on a server.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use oxide_blobs::Blobs;
use oxide_bus::Pattern;
use oxide_core::{id::RunId, plan::Plan, secret::Secrets};
use oxide_orchestrator::{Control, OrchestratorError};
use tokio::signal::unix::{SignalKind, signal};
use uuid::Uuid;

use crate::{
    blobs::{self, BlobsArguments},
    exit_code::Exit,
    failure::Failure,
    git_facts,
    local_engine::{self, LocalEngine},
    planning::{self, Choices},
    progress::{self, CANCELLED_BY_PRESS, PRESS_AGAIN, Style},
    project::{self, Project},
    remote::trigger::{Display, TriggerArguments, trigger},
    secrets::{self, Sources},
    terminal::{Paint, Terminal},
};

/// Arguments of `oxide run`.
#[derive(clap::Args)]
pub struct Arguments {
    /// A pipeline file, or the directory of a project.
    #[arg(default_value = ".")]
    path: PathBuf,
    #[command(flatten)]
    choices: Choices,
    #[command(flatten)]
    secrets: Sources,
    /// Show log and summary of every step, not only the logs of those that fail.
    #[arg(long, short)]
    verbose: bool,
    /// Print every event as one line of JSON; with `--remote`, the new run and nothing else.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: TriggerArguments,
}

/// Plans and runs; the exit code says how the run ended.
pub fn run(arguments: &Arguments, data_dir: Option<&Path>, blobs: &BlobsArguments) -> Result<Exit, Failure> {
    let project = Project::open(&arguments.path)?;
    if arguments.server.remote {
        let Choices { inputs, only, .. } = &arguments.choices;
        let display = Display { json: arguments.json, verbose: arguments.verbose };
        return trigger(&arguments.server, &project, inputs, only.as_deref(), display);
    }
    let plan = Arc::new(planning::plan(&project, arguments.choices.clone(), data_dir)?);
    refuse_other_machines(&plan)?;
    refuse_approvals(&plan)?;
    let secrets = secrets::find(&arguments.secrets, &plan, &project.directory)?;
    let data = project::data_directory(data_dir)?;
    let blobs = blobs::open(blobs, &data)?;
    let style = if arguments.json { Style::Json } else { Style::Lines { all_logs: arguments.verbose } };
    warn_of_uncommitted_changes(&plan, &project);
    local_engine::in_runtime(execute(&plan, &project, &data, (secrets, blobs), style))
}

async fn execute(
    plan: &Arc<Plan>,
    project: &Project,
    data: &Path,
    (secrets, blobs): (Secrets, Arc<Blobs>),
    style: Style,
) -> Result<Exit, Failure> {
    let engine = LocalEngine::start(data, project, secrets, blobs).await?;
    let run = RunId(Uuid::now_v7());
    let events = engine.bus.subscribe(Pattern::run(run));
    engine.submit(run, plan, project).await?;
    hear_signals(engine.orchestrator.clone(), run, style);
    let followed = progress::follow(plan, run, &engine.store, events, style).await;
    if followed.is_err() {
        // What shows the run is broken (a closed pipe, say); the run itself must not go on unseen.
        let _ = engine.orchestrator.cancel(run, "nobody could see it any more").await;
        engine.orchestrator.wait(run).await.ok();
    }
    engine.stop().await;
    followed.map(Exit::of_run)
}

/// One press of Ctrl-C may arrive twice (from the terminal, and from a program that passes it on).
const ONE_PRESS: Duration = Duration::from_secs(1);
/// How long after the second Ctrl-C the program ends at the latest, with a little left of a second for ending.
const LAST_MOMENTS: Duration = Duration::from_millis(900);

/// Hears signals in a thread of its own until this process ends: they are heard even when everything else hangs.
fn hear_signals(orchestrator: Control, run: RunId, style: Style) {
    std::thread::spawn(move || match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(cancel_on_signals(orchestrator, run, style)),
        Err(error) => Failure::trouble("this process cannot be told to end").because(&error).print(),
    });
}

/// The first Ctrl-C, SIGTERM, SIGHUP or SIGQUIT (`Ctrl-\`) cancels the run and waits for it to end. A second Ctrl-C kills
/// what the steps have started, and ends this process within a second, whatever hangs: the session of the agent stays where
/// it did not get to clean up, so the next command does it.
async fn cancel_on_signals(orchestrator: Control, run: RunId, style: Style) {
    let (Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup), Ok(mut quit)) = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
        signal(SignalKind::hangup()),
        signal(SignalKind::quit()),
    ) else {
        return Failure::trouble("this process cannot be told to end").print();
    };
    let mut first: Option<Instant> = None;
    loop {
        let (reason, is_press) = tokio::select! {
            _ = interrupt.recv() => (CANCELLED_BY_PRESS, true),
            _ = terminate.recv() => ("cancelled by SIGTERM", false),
            _ = hangup.recv() => ("cancelled by SIGHUP", false),
            _ = quit.recv() => ("cancelled by SIGQUIT", false),
        };
        match first {
            None => {
                first = Some(Instant::now());
                // All of it beside the loop: whoever presses again must be heard, even if nobody answers or reads.
                if style == Style::Json && is_press {
                    std::thread::spawn(move || eprintln!("stopping: {reason}; {PRESS_AGAIN}"));
                }
                let orchestrator = orchestrator.clone();
                tokio::spawn(async move {
                    let asked = answered(orchestrator.cancel(run, reason)).await;
                    std::thread::spawn(move || say_what_is_wrong(asked));
                });
            }
            Some(at) if !is_press || at.elapsed() < ONE_PRESS => {}
            Some(_) => {
                leave_within_a_second();
                eprintln!("killing what the steps have started");
                return say_what_is_wrong(answered(orchestrator.kill(run, reason)).await);
            }
        }
    }
}

/// What became of the wish to end.
fn say_what_is_wrong(asked: Option<Result<(), OrchestratorError>>) {
    match asked {
        None => eprintln!("the engine does not answer (is the disk full?): {PRESS_AGAIN}"),
        // The run has ended, and the rest of the engine is ending.
        Some(Ok(()) | Err(OrchestratorError::Closed)) => {}
        Some(Err(error)) => Failure::trouble("could not cancel the run").because(&error).print(),
    }
}

/// Waits for an answer, but not for ever.
async fn answered<T>(question: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(Duration::from_secs(2), question).await.ok()
}

/// Ends this process soon, unless it ends by itself before. Needs nothing that may hang: neither the runtime nor a terminal
/// that takes what is written.
fn leave_within_a_second() {
    std::thread::spawn(|| {
        std::thread::sleep(LAST_MOMENTS);
        let (said, is_said) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            eprintln!("left without cleaning up: the next `oxide` command does it");
            // Nobody hears it if that took too long.
            let _ = said.send(());
        });
        let _ = is_said.recv_timeout(Duration::from_millis(90));
        std::process::exit(130);
    });
}

/// A job for another kind of machine would wait for ever.
fn refuse_other_machines(plan: &Plan) -> Result<(), Failure> {
    let missing = plan.jobs.iter().find_map(|job| {
        let label = job.runs_on.iter().find(|label| !local_engine::LABELS.contains(&label.as_str()))?;
        Some((job, label))
    });
    match missing {
        None => Ok(()),
        Some((job, label)) => Err(Failure::unusable(format!(
            "job `{}` runs on `{label}`, and this machine has the labels {}",
            job.name,
            local_engine::LABELS.join(", ")
        ))
        .hint("run another stage with `--only STAGE`, or change `runs_on`")),
    }
}

/// People answer on a server only: here a stage that asks them would wait until it is too late.
fn refuse_approvals(plan: &Plan) -> Result<(), Failure> {
    match plan.stages.iter().find(|stage| stage.approval.is_some()) {
        None => Ok(()),
        Some(stage) => {
            let message = format!("stage `{}` asks people before it begins, and here is nobody to ask", stage.name);
            let hint = "run it on a server with `--remote`, or the stages before it with `--only STAGE`";
            Err(Failure::unusable(message).hint(hint))
        }
    }
}

/// `checkout` takes a commit: whoever changed files without committing wonders otherwise.
fn warn_of_uncommitted_changes(plan: &Plan, project: &Project) {
    let checks_out = |reference: &str| reference.split_once('@').is_some_and(|(name, _)| name == "oxide/checkout");
    if !plan.jobs.iter().flat_map(|job| &job.steps).any(|step| checks_out(&step.plugin.reference)) {
        return;
    }
    let changes = git_facts::uncommitted_changes(&project.directory);
    if changes > 0 {
        let paint = Paint { colour: Terminal::stderr().colour };
        let files = if changes == 1 { "1 file differs".to_owned() } else { format!("{changes} files differ") };
        eprintln!("{} {files} from the commit that is checked out; the run sees the commit", paint.yellow("note:"));
    }
}
