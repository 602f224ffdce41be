//! `oxide cancel`: asks a run of a server to end.

use oxide_core::api::run::CancelRun;

use crate::{
    exit_code::Exit,
    failure::Failure,
    local_engine::in_runtime,
    remote::{RemoteArguments, find, refused},
    terminal::print,
};

/// Arguments of `oxide cancel`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Which run: its id or the beginning of it, PIPELINE#NUMBER, its number, or `latest`.
    run: String,
    #[command(flatten)]
    remote: RemoteArguments,
    /// Why, for people.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Kill at once. Without it the commands of a step get SIGTERM, and what has not ended 2 seconds later is killed; then steps
    /// with `if: always()` or `cancelled()` run, for 5 minutes at most.
    #[arg(long)]
    kill: bool,
}

/// Cancels.
pub fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    let remote = arguments.remote.connect()?;
    let run = in_runtime(async {
        let id = find::run(&remote.client, remote.project.as_deref(), &arguments.run).await?;
        let cancel = CancelRun { reason: arguments.reason.clone(), kill: arguments.kill };
        remote.client.cancel_run(id, &cancel).await.map_err(|error| refused(&error))
    })?;
    let state = if run.status.is_final() { "has ended" } else { "is being cancelled" };
    print(&format!("{}#{} {state}: {}\n", run.pipeline_name, run.number, run.status.as_str()))?;
    Ok(Exit::Success)
}
