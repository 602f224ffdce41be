//! `oxide artifacts`: the files that runs have kept.

use std::path::{Path, PathBuf};

use oxide_blobs::{ArtifactEntry, BlobError, Unpack};
use oxide_core::{id::RunId, quantity};
use serde_json::json;

use crate::{
    blobs::{self, BlobsArguments},
    command::logs,
    exit_code::Exit,
    failure::Failure,
    local_engine, project,
    remote::usual_server,
    terminal::{Paint, Terminal, print, without_controls},
};

/// Arguments of `oxide artifacts`.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// List the artifacts of a run of this machine. Those of a run on a server: `GET /api/v1/runs/RUN/artifacts`.
    List {
        /// Which run: its number, PIPELINE#NUMBER, the beginning of its id, or `latest` (of this project, if it has run).
        #[arg(default_value = "latest")]
        run: String,
        /// Print them as a JSON list.
        #[arg(long)]
        json: bool,
    },
    /// Put the files of an artifact into a directory. Those of a run on a server: `GET /api/v1/runs/RUN/artifacts/NAME`.
    Get {
        /// The name of the artifact.
        name: String,
        /// Which run: its number, PIPELINE#NUMBER, the beginning of its id, or `latest` (of this project, if it has run).
        #[arg(long, default_value = "latest")]
        run: String,
        /// The directory; made if it is not there.
        #[arg(long, value_name = "DIR", default_value = ".")]
        to: PathBuf,
        /// Print what was got as JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Runs one of the subcommands.
pub fn run(arguments: &Arguments, data_dir: Option<&Path>, blobs: &BlobsArguments) -> Result<Exit, Failure> {
    let data = project::data_directory(data_dir)?;
    let blobs = blobs::open(blobs, &data)?;
    let (Command::List { run, json } | Command::Get { run, json, .. }) = &arguments.command;
    let text = local_engine::in_runtime(async {
        let store = local_engine::open_store(&data).await?;
        let run = logs::find(&store, run, || Some(on_server(&usual_server()?, &arguments.command))).await?;
        let (shown, id) = (format!("{} #{}", without_controls(&run.pipeline), run.number), run.id.to_string());
        match &arguments.command {
            Command::List { .. } => {
                let failed = |error: BlobError| {
                    Failure::trouble(format!("could not list the artifacts in `{}`", blobs.location())).because(&error)
                };
                let artifacts = blobs.artifacts(&id).await.map_err(failed)?;
                Ok(if *json { as_json(&artifacts) } else { lines(&artifacts, &shown) })
            }
            Command::Get { name, to, .. } => {
                // Is it the name that is wrong, or something around it?
                let found = blobs.artifact(&id, name).await;
                let failed =
                    |error: BlobError| Failure::trouble(format!("could not get `{name}` of {shown}")).because(&error);
                found.map_err(|error| match error {
                    BlobError::NotFound(_) | BlobError::Invalid(_) => {
                        let hint = format!("`oxide artifacts list {}` lists those of the run", run.id);
                        Failure::usage(format!("could not get `{name}` of {shown}")).because(&error).hint(hint)
                    }
                    other => failed(other),
                })?;
                let unpack = Unpack::into_directory(to).map_err(failed)?;
                let artifact = blobs.download(&id, name, unpack).await.map_err(|error| match error {
                    BlobError::Invalid(_) => failed(error).hint("name another directory with `--to DIR`"),
                    other => failed(other),
                })?;
                let files = quantity::how_many(artifact.contents.files, "file");
                Ok(match json {
                    true => format!("{}\n", described(&artifact)),
                    false => format!("put {files} of `{name}` ({shown}) into {}\n", to.display()),
                })
            }
        }
    })?;
    print(&text)?;
    Ok(Exit::Success)
}

/// What to type for a run of a server: its artifacts come by the API.
fn on_server(server: &str, command: &Command) -> String {
    let (Command::List { run, .. } | Command::Get { run, .. }) = command;
    let run = if run.parse::<RunId>().is_ok() { run.as_str() } else { "RUN" };
    let ask = |path: &str| {
        let token = "-H \"Authorization: Bearer $OXIDE_TOKEN\"";
        format!("curl -sSf {server}/api/v1/runs/{run}/artifacts{path} {token}")
    };
    let typed = match command {
        Command::List { .. } => ask(""),
        Command::Get { .. } => format!("{} | tar --zstd -x", ask("/NAME")),
    };
    format!("if it is one of {server}, by its id: `{typed}`")
}

fn lines(artifacts: &[ArtifactEntry], run: &str) -> String {
    if artifacts.is_empty() {
        return format!("{run} has no artifacts\n");
    }
    let paint = Paint { colour: Terminal::stdout().colour };
    let line = |artifact: &ArtifactEntry| {
        let contents = &artifact.contents;
        let facts = format!(
            "{}  {}  by {}  expires {}",
            quantity::how_many(contents.files, "file"),
            quantity::bytes(contents.size),
            without_controls(&artifact.uploader.job),
            artifact.expires_at.to_rfc3339()
        );
        format!("{}  {}\n", paint.bold(&artifact.name), paint.dim(&facts))
    };
    artifacts.iter().map(line).collect()
}

fn as_json(artifacts: &[ArtifactEntry]) -> String {
    format!("{}\n", serde_json::Value::from(artifacts.iter().map(described).collect::<Vec<_>>()))
}

fn described(artifact: &ArtifactEntry) -> serde_json::Value {
    json!({
        "name": artifact.name,
        "run": artifact.uploader.run,
        "job": artifact.uploader.job,
        "files": artifact.contents.files,
        "size": artifact.contents.size,
        "stored": artifact.contents.stored,
        "digest": artifact.contents.digest,
        "saved_at": artifact.saved_at.to_rfc3339(),
        "expires_at": artifact.expires_at.to_rfc3339(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_of_a_server_are_asked_for_by_what_is_known_of_the_run() {
        let (server, json) = ("https://ci.example.org", false);
        let list = |run: &str| on_server(server, &Command::List { run: run.to_owned(), json });
        let id = "019aa7f0-0000-7000-8000-000000000001";
        let whole =
            format!("`curl -sSf {server}/api/v1/runs/{id}/artifacts -H \"Authorization: Bearer $OXIDE_TOKEN\"`");
        assert!(list(id).ends_with(&whole), "{}", list(id));
        assert!(list("web#1").contains("/runs/RUN/artifacts -H"), "{}", list("web#1"));
        let get = Command::Get { name: "report".to_owned(), run: id.to_owned(), to: PathBuf::from("."), json };
        let told = on_server(server, &get);
        assert!(told.contains("/artifacts/NAME -H") && told.ends_with("| tar --zstd -x`"), "{told}");
    }
}
