//! `oxide plugin build`: from a plugin's folder to its component.

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use oxide_core::{plugin::PluginDescription, quantity};
use oxide_plugin_build::{BuiltProject, build_project};
use serde::Serialize;

use crate::{
    exit_code::Exit,
    failure::Failure,
    terminal::{Paint, Terminal, print, without_controls},
};

/// Arguments of `oxide plugin build`.
#[derive(clap::Args)]
pub struct Arguments {
    /// The folder of the plugin.
    #[arg(default_value = ".")]
    directory: PathBuf,
    /// Where cargo builds a plugin in Rust (default: `target` in the folder of the plugin).
    #[arg(long, value_name = "DIR")]
    target_dir: Option<PathBuf>,
    /// Print what was built as JSON.
    #[arg(long)]
    json: bool,
}

/// What was built, as `--json` prints it.
#[derive(Serialize)]
struct Report<'a> {
    name: &'a str,
    version: &'a str,
    language: oxide_plugin_build::language::Language,
    path: &'a Path,
    digest: &'a str,
    size_bytes: u64,
    duration_ms: u64,
    contract: Option<&'a str>,
    capabilities: Vec<&'static str>,
}

/// Builds the plugin, and checks that this host can run it.
pub fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    let begin = Instant::now();
    let built = build(&arguments.directory, arguments.target_dir.as_deref())?;
    let duration_ms = u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX);
    let description = describe(&built)?;
    if arguments.json {
        let report = Report {
            name: &built.metadata.name,
            version: &built.metadata.version,
            language: built.project.language,
            path: &built.path,
            digest: &description.digest,
            size_bytes: description.size_bytes,
            duration_ms,
            contract: description.contract.as_deref(),
            capabilities: description.can_use().into_iter().map(|capability| capability.yaml_key()).collect(),
        };
        let text = serde_json::to_string_pretty(&report);
        print(&(text.map_err(|error| Failure::trouble("could not write it as JSON").because(&error))? + "\n"))?;
    } else {
        print(&text(&built, &description, duration_ms, Paint { colour: Terminal::stdout().colour }))?;
    }
    Ok(Exit::Success)
}

/// Builds the plugin in a folder; a failure says what to type.
pub(super) fn build(directory: &Path, target_directory: Option<&Path>) -> Result<BuiltProject, Failure> {
    build_project(directory, target_directory).map_err(|error| {
        let shown = without_controls(&directory.display().to_string());
        let failure = Failure::unusable(format!("could not build the plugin in {shown}")).because(&error);
        match error.hint() {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    })
}

fn describe(built: &BuiltProject) -> Result<PluginDescription, Failure> {
    oxide_runtime::describe(&built.component).map_err(|error| {
        let shown = without_controls(&built.path.display().to_string());
        let failure = Failure::unusable(format!("{shown} was built, but this host cannot run it")).because(&error);
        match error.hint() {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    })
}

fn text(built: &BuiltProject, description: &PluginDescription, duration_ms: u64, paint: Paint) -> String {
    let name = format!("{}@{}", built.metadata.name, built.metadata.version);
    let language = match built.project.is_typescript() {
        true => "TypeScript".to_owned(),
        false => built.project.language.to_string(),
    };
    let mut text = format!("built {} from {language}\n", paint.bold(&name));
    let mut line = |what: &str, value: &str| {
        text.push_str(&format!("  {what:<9} {value}\n"));
    };
    line("file", &without_controls(&built.path.display().to_string()));
    line("size", &quantity::bytes(description.size_bytes));
    line("time", &quantity::duration_ms(duration_ms));
    line("digest", &description.digest);
    line("asks for", &asked(description));
    text
}

/// The capabilities that the plugin asks for, as they stand below `grants:`.
pub(super) fn asked(description: &PluginDescription) -> String {
    let names: Vec<&str> = description.asks_for().map(|capability| capability.yaml_key()).collect();
    if names.is_empty() {
        "nothing beyond its log, outputs and facts about the run".to_owned()
    } else {
        names.join(", ")
    }
}
