//! `oxide runs`: what ran here, newest first.

use std::path::Path;

use oxide_core::{outcome::Status, quantity, time::Timestamp};
use oxide_store::RunRow;
use serde_json::json;

use crate::{
    exit_code::Exit,
    failure::Failure,
    local_engine, project,
    terminal::{Paint, Terminal, print, without_controls},
};

/// Arguments of `oxide runs`.
#[derive(clap::Args)]
pub struct Arguments {
    /// How many to list.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Print them as a JSON list.
    #[arg(long)]
    json: bool,
}

/// Lists the runs.
pub fn run(arguments: &Arguments, data_dir: Option<&Path>) -> Result<Exit, Failure> {
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
        let lines: String = runs.iter().map(|run| line(run, now, paint) + "\n").collect();
        print(&lines)?;
    }
    Ok(Exit::Success)
}

fn line(run: &RunRow, now: Timestamp, paint: Paint) -> String {
    let padded = format!("{:<9}", run.status.as_str());
    let status = match run.status {
        Status::Success => paint.green(&padded),
        Status::Failure | Status::Timeout => paint.red(&padded),
        Status::Warning | Status::Cancelled => paint.yellow(&padded),
        _ => paint.cyan(&padded),
    };
    let id: String = run.id.to_string().chars().take(18).collect();
    let took = duration_ms(run, now).map_or(String::new(), |millis| quantity::measured_us(millis * 1000));
    let reason = run.reason.as_deref().map_or(String::new(), |reason| format!("  {reason}"));
    let name = format!("{}#{}", without_controls(&run.pipeline), run.number);
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
        "duration_ms": duration_ms(run, now),
    })
}

/// From its start to its end, or until now.
fn duration_ms(run: &RunRow, now: Timestamp) -> Option<u64> {
    run.started_at.map(|started| run.ended_at.unwrap_or(now).millis_since(started))
}
