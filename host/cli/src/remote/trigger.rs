//! `oxide run --remote`: starts a run of a stored pipeline on a server.

use oxide_client::ClientError;
use oxide_core::{
    api::{
        pipeline::{NewPipeline, Pipeline, PipelineChange},
        run::{NewRun, Run},
    },
    pipeline::Pipeline as Parsed,
};
use serde_json::{Map, Value as Json};

use super::{Remote, RemoteArguments, connection::mistakes, find, refused, waiting::Waiting, watch};
use crate::{
    exit_code::Exit,
    failure::Failure,
    local_engine::in_runtime,
    project::Project,
    terminal::{print, without_controls},
};

/// How long is waited before a run is asked again how it stands.
const POLL: std::time::Duration = std::time::Duration::from_secs(1);

/// What the user chose about a run on a server.
#[derive(Debug, Default, clap::Args)]
pub struct TriggerArguments {
    /// Run it on the server, not on this machine.
    #[arg(long)]
    pub remote: bool,
    #[command(flatten)]
    pub connection: RemoteArguments,
    /// The branch that is built; else the default branch of the repository.
    #[arg(long, value_name = "NAME", requires = "remote")]
    pub branch: Option<String>,
    /// The commit that is built.
    #[arg(long, value_name = "SHA", requires = "remote")]
    pub sha: Option<String>,
    /// Runs of a higher priority take agents first; from -1000 to 1000.
    #[arg(long, value_name = "NUMBER", requires = "remote", allow_negative_numbers = true)]
    pub priority: Option<i64>,
    /// Store the pipeline as it is here on the server first.
    #[arg(long, requires = "remote")]
    pub upload: bool,
    /// The address of the repository that the pipeline builds, which the server keeps with it.
    #[arg(long, value_name = "URL", requires = "upload")]
    pub repository: Option<String>,
    /// Wait until the run has ended, and show what failed; the exit code says how it ended.
    #[arg(long, requires = "remote")]
    pub wait: bool,
    /// Show its log while it goes, and wait for its end. Not with `--json`.
    #[arg(long, requires = "remote")]
    pub watch: bool,
}

/// How the new run and its end are shown.
#[derive(Clone, Copy, Debug)]
pub struct Display {
    /// Print the new run as JSON.
    pub json: bool,
    /// Show all annotations and the summaries, too, when a run was waited for whose log was not shown.
    pub verbose: bool,
}

/// Starts the run; waits for it if that was asked.
pub fn trigger(
    arguments: &TriggerArguments,
    project: &Project,
    inputs: &[String],
    only: Option<&str>,
    display: Display,
) -> Result<Exit, Failure> {
    if display.json && arguments.watch {
        return Err(Failure::usage(
            "`--json` and `--watch` do not go together: both would write to the standard output",
        )
        .hint("`--json --wait` prints the new run and waits for its end; `oxide logs -f RUN` shows its log"));
    }
    let remote = arguments.connection.connect()?;
    let name = name_of(project)?;
    let run = NewRun {
        branch: arguments.branch.clone(),
        sha: arguments.sha.clone(),
        priority: arguments.priority,
        only: only.map(str::to_owned),
        inputs: read_inputs(inputs)?,
        ..NewRun::default()
    };
    in_runtime(async {
        let pipeline = stored(&remote, arguments, project, &name).await?;
        let started = remote.client.start_run(pipeline.id, &run).await;
        let run = started.map_err(|error| match mistakes(&error) {
            Some(_) if !arguments.upload => refused(&error).hint(format!(
                "this is what {} keeps; `--upload` stores the pipeline as it is here first",
                remote.server
            )),
            _ => refused_upload(&error, project),
        })?;
        if display.json {
            print(&format!("{}\n", serde_json::json!(run)))?;
        } else {
            eprintln!("{}#{} is on its way on {} ({})", run.pipeline_name, run.number, remote.server, run.id);
        }
        if arguments.watch {
            let style = watch::Style { plain: false, times: false };
            watch::watch(&remote.client, run.id, &Default::default(), style).await?;
        }
        if !arguments.wait && !arguments.watch {
            return Ok(Exit::Success);
        }
        let ended = until_ended(&remote, &run).await?;
        // Whoever asked for JSON reads nothing else from the standard output.
        if !arguments.watch && !display.json {
            let extent = if display.verbose { watch::Extent::Whole } else { watch::Extent::Short };
            watch::tell(&remote.client, run.id, extent).await?;
        }
        let reason = ended.reason.map_or(String::new(), |reason| format!(": {}", without_controls(&reason)));
        eprintln!("{}#{} {}{reason}", ended.pipeline_name, ended.number, ended.status.as_str());
        Ok(Exit::of_run(ended.status))
    })
}

/// The pipeline as the server keeps it, stored first if that was asked.
async fn stored(
    remote: &Remote,
    arguments: &TriggerArguments,
    project: &Project,
    name: &str,
) -> Result<Pipeline, Failure> {
    let found = find::pipeline(&remote.client, remote.project.as_deref(), name).await?;
    let lock = std::fs::read_to_string(project.directory.join("oxide.lock")).ok();
    match (found, arguments.upload) {
        (Some(pipeline), false) => Ok(pipeline),
        (Some(pipeline), true) => {
            let change = PipelineChange {
                source: Some(project.source.clone()),
                lock,
                repository: arguments.repository.clone(),
                ..PipelineChange::default()
            };
            let changed = remote.client.change_pipeline(pipeline.id, &change).await;
            changed.map(|details| details.about).map_err(|error| refused_upload(&error, project))
        }
        (None, true) => {
            let new = NewPipeline {
                project: remote.project.clone(),
                source: project.source.clone(),
                lock,
                repository: arguments.repository.clone(),
                ..NewPipeline::default()
            };
            let created = remote.client.create_pipeline(&new).await;
            created.map(|details| details.about).map_err(|error| refused_upload(&error, project))
        }
        (None, false) => Err(Failure::usage(format!("{} has no pipeline `{name}`", remote.server))
            .hint("store it there first: `oxide run --remote --upload`")),
    }
}

/// A refusal of the pipeline that is here: its mistakes are told under the name of its own file.
fn refused_upload(error: &ClientError, project: &Project) -> Failure {
    match mistakes(error) {
        Some(mistakes) => Failure::invalid_pipeline(in_file(&mistakes, &project.file)),
        None => refused(error),
    }
}

/// Mistakes with their places in this file. A server does not know how a file is called that was sent to it.
fn in_file(mistakes: &str, file: &str) -> String {
    let file = without_controls(file);
    let named = |line: &str| match line.trim_start().strip_prefix("--> oxide.yaml") {
        Some(place) => format!("{}--> {file}{place}\n", &line[..line.len() - line.trim_start().len()]),
        None => format!("{line}\n"),
    };
    mistakes.lines().map(named).collect()
}

/// Waits for the end of a run, and says on the standard error what it waits for meanwhile.
async fn until_ended(remote: &Remote, run: &Run) -> Result<Run, Failure> {
    let mut waiting = Waiting::default();
    loop {
        let now = remote.client.run(run.id).await.map_err(|error| refused(&error))?.about;
        if now.status.is_final() {
            return Ok(now);
        }
        waiting.tell(&now);
        tokio::time::sleep(POLL).await;
    }
}

fn name_of(project: &Project) -> Result<String, Failure> {
    let colour = crate::terminal::Terminal::stderr().colour;
    Parsed::parse(&project.source)
        .map(|pipeline| pipeline.name)
        .map_err(|diagnostics| Failure::invalid_pipeline(diagnostics.render(&project.file, &project.source, colour)))
}

fn read_inputs(inputs: &[String]) -> Result<Map<String, Json>, Failure> {
    let read = |input: &String| {
        let (name, value) = input.split_once('=').ok_or_else(|| {
            Failure::usage(format!("`--input {input}` has no value")).hint("write `--input NAME=VALUE`")
        })?;
        Ok((name.to_owned(), Json::from(value)))
    };
    inputs.iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_told_under_the_name_of_the_file_that_was_sent() {
        let told = "error: no such field\n  --> oxide.yaml:12:5\n   |\n12 |     say: --> oxide.yaml\n   |     ^^^\n";
        let named = in_file(told, "./bad.yaml");
        assert_eq!(named, told.replacen("oxide.yaml", "./bad.yaml", 1));
        assert_eq!(in_file("error: one\n --> oxide.yaml\n", "a.yaml"), "error: one\n --> a.yaml\n");
    }
}
