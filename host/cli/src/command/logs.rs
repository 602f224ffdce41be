//! `oxide logs`: what the steps of a run printed, from line 1.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufWriter, IsTerminal, Write, stdout},
    path::Path,
};

use oxide_core::{
    api::log::LogQuery,
    id::{AttemptId, JobIndex, StageIndex},
    outcome::Status,
    plan::Plan,
};
use oxide_store::{RunRow, StageRow, StepRow, Store, StoreError};

use crate::{
    exit_code::Exit,
    failure::Failure,
    local_engine,
    progress::{LogText, remarks},
    project,
    remote::{self, RemoteArguments, watch},
    terminal::{Paint, Terminal, without_controls},
};

/// How many names of jobs a hint holds at most.
const NAMES_MAX: usize = 20;

/// Arguments of `oxide logs`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Which run: its number (of this project, if it has one), PIPELINE#NUMBER, the beginning of its id, or `latest` (of
    /// this project, if it has run).
    #[arg(default_value = "latest")]
    run: String,
    /// Only jobs with this name, or of the stage with this name.
    #[arg(long, value_name = "JOB")]
    job: Option<String>,
    /// Only steps with this id or name.
    #[arg(long, value_name = "STEP")]
    step: Option<String>,
    /// Put the time before each line.
    #[arg(long)]
    times: bool,
    /// Only the lines themselves, without headings and indentation; byte for byte unless they are shown on a terminal.
    #[arg(long)]
    plain: bool,
    /// Of a run on the server.
    #[arg(long)]
    remote: bool,
    #[command(flatten)]
    connection: RemoteArguments,
    /// Go on until the run on the server has ended.
    #[arg(long, short)]
    follow: bool,
}

/// Prints the logs.
pub fn run(arguments: &Arguments, data_dir: Option<&Path>) -> Result<Exit, Failure> {
    if arguments.remote || arguments.follow {
        return of_server(arguments);
    }
    let data = project::data_directory(data_dir)?;
    local_engine::in_runtime(async {
        let store = local_engine::open_store(&data).await?;
        print(arguments, &store).await
    })
}

/// The log of a run on the server, as it is now or while it grows.
fn of_server(arguments: &Arguments) -> Result<Exit, Failure> {
    let remote = arguments.connection.connect()?;
    let style = watch::Style { plain: arguments.plain, times: arguments.times };
    local_engine::in_runtime(async {
        let id = remote::find::run(&remote.client, remote.project.as_deref(), &arguments.run).await?;
        let query = LogQuery { stage: arguments.job.clone(), step: arguments.step.clone(), ..LogQuery::default() };
        if !arguments.follow {
            return watch::show(&remote.client, id, &query, style).await.map(|()| Exit::Success);
        }
        let end = watch::watch(&remote.client, id, &query, style).await?;
        if let (Some(end), false) = (&end, arguments.plain) {
            let reason =
                end.reason.as_deref().map_or(String::new(), |reason| format!(": {}", without_controls(reason)));
            eprintln!("{}{reason}", end.status.as_str());
        }
        Ok(end.map_or(Exit::Success, |end| Exit::of_run(end.status)))
    })
}

async fn print(arguments: &Arguments, store: &Store) -> Result<Exit, Failure> {
    let on_server = || {
        let server = arguments.connection.known_server().ok().flatten()?;
        Some(format!("if it is one of {server}: `oxide logs --remote {}`", arguments.run))
    };
    let run = find(store, &arguments.run, on_server).await?;
    let unreadable = |error: StoreError| Failure::trouble("could not read the run").because(&error);
    let plan = store.plan(run.id).await.map_err(unreadable)?;
    let jobs = wanted_jobs(arguments, &run, &plan)?;
    let mut steps: BTreeMap<JobIndex, Vec<StepRow>> = BTreeMap::new();
    for row in store.steps(run.id).await.map_err(unreadable)? {
        steps.entry(row.attempt.job).or_default().push(row);
    }
    let paint = Paint { colour: Terminal::stdout().colour };
    let indent = if arguments.plain { "" } else { "  " };
    // A copy for a program is what the steps wrote; a terminal would do what they say.
    let as_it_is = arguments.plain && !stdout().is_terminal();
    let text = LogText { indent, paint, times: arguments.times, as_it_is };
    let mut out = BufWriter::new(stdout());
    let mut found = arguments.step.is_none();
    let job_rows = store.jobs(run.id).await.map_err(unreadable)?;
    // A stage of which no job began is told once, with its own state and reason; the others are told by their jobs.
    let mut untold: BTreeMap<StageIndex, StageRow> =
        store.stages(run.id).await.map_err(unreadable)?.into_iter().map(|row| (row.stage, row)).collect();
    untold.retain(|_, row| row.state.status.is_final());
    job_rows.iter().filter(|job| job.state.attempt > 0).for_each(|job| drop(untold.remove(&plan.job(job.job).stage)));
    let never_began: BTreeSet<StageIndex> = untold.keys().copied().collect();
    for job in job_rows.iter().filter(|job| jobs.contains(&job.job)) {
        let planned = plan.job(job.job);
        let rows = steps.remove(&job.job).unwrap_or_default();
        for row in &rows {
            let step = &planned.steps[row.step.index()];
            let names = [step.id.as_deref().unwrap_or(&step.name), &step.name];
            if arguments.step.as_deref().is_some_and(|wanted| !names.contains(&wanted)) {
                continue;
            }
            found = true;
            if !arguments.plain {
                let attempt = match row.attempt.number {
                    1 => String::new(),
                    number => format!(" (attempt {number})"),
                };
                let heading = without_controls(&format!("{} › {}{attempt}", planned.name, step.name));
                writeln!(out, "{}  {}", paint.bold(&heading), paint.dim(row.status.as_str())).map_err(unwritable)?;
            }
            let attempt = AttemptId { run: run.id, ..row.attempt };
            text.write(store, attempt, row.step, &mut out).await?;
            if let (Some(record), false) = (&row.record, arguments.plain) {
                for line in remarks::of_step(record, "  ", None, paint) {
                    writeln!(out, "{line}").map_err(unwritable)?;
                }
            }
        }
        if never_began.contains(&planned.stage) {
            let stage = untold.remove(&planned.stage).filter(|_| !arguments.plain && arguments.step.is_none());
            if let Some(StageRow { name, state, .. }) = stage {
                writeln!(out, "{}", ending(&name, state.status, state.reason.as_deref(), paint)).map_err(unwritable)?;
            }
            continue;
        }
        // A failure of a step has just said it.
        let is_told = job.state.status == Status::Success || rows.iter().any(|row| failure_of(row).is_some());
        if !is_told && !arguments.plain && arguments.step.is_none() {
            let line = ending(&planned.name, job.state.status, job.state.reason.as_deref(), paint);
            writeln!(out, "{line}").map_err(unwritable)?;
        }
    }
    if !arguments.plain && arguments.job.is_none() && arguments.step.is_none() && run.status != Status::Success {
        let name = format!("{} #{}", run.pipeline, run.number);
        writeln!(out, "{}", ending(&name, run.status, run.reason.as_deref(), paint)).map_err(unwritable)?;
    }
    out.flush().map_err(unwritable)?;
    if found {
        Ok(Exit::Success)
    } else {
        Err(Failure::usage(format!("no such step has run in {} #{}", run.pipeline, run.number))
            .hint(format!("`oxide logs {}` shows them all", run.id)))
    }
}

/// The jobs that were asked for: all, or those with this name or of the stage with this name.
fn wanted_jobs(arguments: &Arguments, run: &RunRow, plan: &Plan) -> Result<BTreeSet<JobIndex>, Failure> {
    let all = plan.stages.iter().flat_map(|stage| stage.jobs.iter().map(move |job| (*job, stage.name.as_str())));
    let Some(wanted) = &arguments.job else { return Ok(all.map(|(job, _)| job).collect()) };
    let is_wanted = |(job, stage): &(JobIndex, &str)| plan.job(*job).name == *wanted || stage == wanted;
    let jobs: BTreeSet<_> = all.filter(is_wanted).map(|(job, _)| job).collect();
    if jobs.is_empty() {
        let names: Vec<_> = plan.jobs.iter().map(|job| job.name.as_str()).take(NAMES_MAX).collect();
        let more = if plan.jobs.len() > NAMES_MAX { ", …" } else { "" };
        return Err(Failure::usage(format!("there is no job `{wanted}` in {} #{}", run.pipeline, run.number))
            .hint(format!("its jobs are: {}{more}", names.join(", "))));
    }
    Ok(jobs)
}

fn failure_of(row: &StepRow) -> Option<&oxide_core::outcome::Failure> {
    row.record.as_ref().and_then(|record| record.failure.as_ref())
}

/// How a job or run stands, and why.
fn ending(name: &str, status: Status, reason: Option<&str>, paint: Paint) -> String {
    let reason = reason.map_or(String::new(), |reason| format!(": {}", without_controls(reason)));
    format!("{}  {}{reason}", paint.bold(&without_controls(name)), status.as_str())
}

/// The run of this machine that a person means. If there is none, `on_server` says how to ask a server that is known.
pub async fn find(
    store: &Store,
    reference: &str,
    on_server: impl FnOnce() -> Option<String>,
) -> Result<RunRow, Failure> {
    let (pipeline, number) = match reference.split_once('#') {
        Some((pipeline, number)) if !pipeline.is_empty() => (Some(pipeline), number),
        _ => (None, reference),
    };
    let project = project::of_current_directory().map(|directory| directory.display().to_string());
    store.find_run(number, pipeline, project.as_deref()).await.map_err(|error| match error {
        StoreError::NoSuchRun { .. } => {
            let failure = Failure::usage(format!("there is no run `{reference}` on this machine"));
            let failure = failure.hint("`oxide runs` lists them");
            match on_server() {
                Some(hint) => failure.hint(hint),
                None => failure,
            }
        }
        StoreError::AmbiguousRun { ref candidates, .. } => {
            Failure::usage(format!("`{reference}` may be any of: {}", candidates.join(", ")))
                .hint("write more of the id")
        }
        other => Failure::trouble("could not look for the run").because(&other),
    })
}

fn unwritable(error: std::io::Error) -> Failure {
    Failure::unwritable(&error)
}
