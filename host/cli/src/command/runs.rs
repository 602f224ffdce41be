//! `oxide runs`: what ran here or on a server, newest first.

use std::path::Path;

use oxide_client::Client;
use oxide_core::{
    api::run::{Run, RunQuery},
    outcome::Status,
    quantity,
    time::Timestamp,
};
use oxide_store::RunRow;
use serde_json::json;

use crate::{
    exit_code::Exit,
    failure::Failure,
    local_engine, project,
    remote::{RemoteArguments, refused},
    terminal::{Paint, Terminal, on_one_line, print, without_controls},
};

/// How many runs a server gives at once.
const PAGE_MAX: u32 = 200;
/// Of how many runs that wait it is asked why.
const ASKED_MAX: usize = 10;
/// How wide the column of the states is at least: most states fit.
const STATUS_WIDTH: usize = 9;

/// Arguments of `oxide runs`.
#[derive(clap::Args)]
pub struct Arguments {
    /// How many to list.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Print them as a JSON list.
    #[arg(long)]
    json: bool,
    /// Those of the server.
    #[arg(long)]
    remote: bool,
    #[command(flatten)]
    connection: RemoteArguments,
}

/// Lists the runs.
pub fn run(arguments: &Arguments, data_dir: Option<&Path>) -> Result<Exit, Failure> {
    if arguments.remote {
        return of_server(arguments);
    }
    let data = project::data_directory(data_dir)?;
    let runs = local_engine::in_runtime(async {
        let store = local_engine::open_store(&data).await?;
        let runs = store.list_runs(None, arguments.limit).await;
        runs.map_err(|error| Failure::trouble("could not list the runs").because(&error))
    })?;
    let now = local_engine::now();
    if arguments.json {
        let list: Vec<_> = runs.iter().map(|run| as_json(run, now)).collect();
        print(&format!("{}\n", serde_json::Value::from(list)))?;
    } else if runs.is_empty() {
        print("nothing has run yet; `oxide run` runs the pipeline of this directory\n")?;
    } else {
        let paint = Paint { colour: Terminal::stdout().colour };
        print(&lines(&runs.iter().map(Shown::of).collect::<Vec<_>>(), now, paint))?;
    }
    Ok(Exit::Success)
}

/// The newest runs of the server.
fn of_server(arguments: &Arguments) -> Result<Exit, Failure> {
    let remote = arguments.connection.connect()?;
    let wanted = arguments.limit as usize;
    let runs = local_engine::in_runtime(async {
        let mut query = RunQuery { project: remote.project.clone(), ..RunQuery::default() };
        let mut runs: Vec<Run> = Vec::new();
        loop {
            query.limit = Some(PAGE_MAX.min((wanted - runs.len()) as u32));
            let page = remote.client.runs(&query).await.map_err(|error| refused(&error))?;
            runs.extend(page.items);
            match page.next_cursor {
                Some(cursor) if runs.len() < wanted => query.cursor = Some(cursor),
                _ => break,
            }
        }
        tell_what_they_wait_for(&remote.client, &mut runs).await;
        Ok(runs)
    })?;
    if arguments.json {
        print(&format!("{}\n", json!(runs)))?;
    } else if runs.is_empty() {
        print("nothing has run there yet; `oxide run --remote` starts a run\n")?;
    } else {
        let (now, paint) = (local_engine::now(), Paint { colour: Terminal::stdout().colour });
        print(&lines(&runs.iter().map(Shown::of_server).collect::<Vec<_>>(), now, paint))?;
    }
    Ok(Exit::Success)
}

/// Lists do not say why a run waits; the run itself does.
async fn tell_what_they_wait_for(client: &Client, runs: &mut [Run]) {
    let waits = |run: &&mut Run| !run.status.is_final() && run.started_at.is_none() && run.reason.is_none();
    for run in runs.iter_mut().filter(waits).take(ASKED_MAX) {
        // The list is worth more than a reason in it.
        if let Ok(details) = client.run(run.id).await {
            run.reason = details.about.reason;
        }
    }
}

/// What a line shows of a run.
struct Shown<'a> {
    id: String,
    pipeline: &'a str,
    number: u64,
    status: Status,
    reason: Option<&'a str>,
    created_at: Timestamp,
    started_at: Option<Timestamp>,
    ended_at: Option<Timestamp>,
}

impl<'a> Shown<'a> {
    fn of(run: &'a RunRow) -> Shown<'a> {
        Shown {
            id: run.id.to_string(),
            pipeline: &run.pipeline,
            number: run.number,
            status: run.status,
            reason: run.reason.as_deref(),
            created_at: run.created_at,
            started_at: run.started_at,
            ended_at: run.ended_at,
        }
    }

    fn of_server(run: &'a Run) -> Shown<'a> {
        Shown {
            id: run.id.to_string(),
            pipeline: &run.pipeline_name,
            number: run.number,
            status: run.status,
            reason: run.reason.as_deref(),
            created_at: run.created_at,
            started_at: run.started_at,
            ended_at: run.ended_at,
        }
    }
}

/// One line for each run; their columns begin below each other.
fn lines(runs: &[Shown<'_>], now: Timestamp, paint: Paint) -> String {
    let width = runs.iter().map(|run| run.status.as_str().len()).max().unwrap_or(0).max(STATUS_WIDTH);
    runs.iter().map(|run| line(run, width, now, paint) + "\n").collect()
}

fn line(run: &Shown<'_>, width: usize, now: Timestamp, paint: Paint) -> String {
    let padded = format!("{:<width$}", run.status.as_str());
    let status = match run.status {
        Status::Success => paint.green(&padded),
        Status::Failure | Status::Timeout => paint.red(&padded),
        Status::Warning | Status::Cancelled => paint.yellow(&padded),
        _ => paint.cyan(&padded),
    };
    let id: String = run.id.chars().take(18).collect();
    let took = duration_ms(run.started_at, run.ended_at, now)
        .map_or(String::new(), |millis| quantity::measured_us(millis * 1000));
    let reason = run.reason.map_or(String::new(), |reason| format!("  {}", on_one_line(reason)));
    let name = format!("{}#{}", without_controls(run.pipeline), run.number);
    let began = run.created_at.to_rfc3339();
    format!("{status} {name:<20} {} {took:>9}  {}{reason}", paint.dim(&id), paint.dim(&began))
}

fn as_json(run: &RunRow, now: Timestamp) -> serde_json::Value {
    json!({
        "id": run.id,
        "pipeline": run.pipeline,
        "number": run.number,
        "status": run.status,
        "reason": run.reason,
        "project": run.project_dir,
        "created_at": run.created_at.to_rfc3339(),
        "started_at": run.started_at.map(Timestamp::to_rfc3339),
        "ended_at": run.ended_at.map(Timestamp::to_rfc3339),
        "duration_ms": duration_ms(run.started_at, run.ended_at, now),
    })
}

/// From its start to its end, or until now.
fn duration_ms(started: Option<Timestamp>, ended: Option<Timestamp>, now: Timestamp) -> Option<u64> {
    started.map(|started| ended.unwrap_or(now).millis_since(started))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(status: Status) -> Shown<'static> {
        let id = "01920000-0000-7000-8000-000000000000".to_owned();
        let (created_at, reason) = (Timestamp(0), None);
        Shown { id, pipeline: "web", number: 1, status, reason, created_at, started_at: None, ended_at: None }
    }

    #[test]
    fn columns_begin_below_each_other_whatever_the_states_are() {
        let columns = |states: &[Status]| {
            let runs: Vec<_> = states.iter().copied().map(shown).collect();
            let text = lines(&runs, Timestamp(0), Paint { colour: false });
            text.lines().map(|line| line.find("web#1").unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(columns(&[Status::Success, Status::Running]), [10, 10]);
        assert_eq!(columns(&[Status::Success, Status::WaitingApproval, Status::Cancelled]), [17, 17, 17]);
    }
}
