//! `oxide retry`: runs what a run of a server did once more.

use oxide_core::api::run::RetryRun;

use crate::{
    exit_code::Exit,
    failure::Failure,
    local_engine::in_runtime,
    remote::{RemoteArguments, find, refused},
    terminal::print,
};

/// Arguments of `oxide retry`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Which run: its id or the beginning of it, PIPELINE#NUMBER, its number, or `latest`.
    run: String,
    #[command(flatten)]
    remote: RemoteArguments,
    /// Only the jobs that did not succeed, and what depends on them.
    #[arg(long)]
    failed: bool,
    /// Print the new run as JSON.
    #[arg(long)]
    json: bool,
}

/// Retries.
pub fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    let remote = arguments.remote.connect()?;
    let run = in_runtime(async {
        let id = find::run(&remote.client, remote.project.as_deref(), &arguments.run).await?;
        let retry = RetryRun { failed_only: arguments.failed };
        remote.client.retry_run(id, &retry).await.map_err(|error| refused(&error))
    })?;
    if arguments.json {
        print(&format!("{}\n", serde_json::json!(run)))?;
    } else {
        print(&format!("{}#{} is on its way: `oxide logs -f {}`\n", run.pipeline_name, run.number, run.id))?;
    }
    Ok(Exit::Success)
}
