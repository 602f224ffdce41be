//! `oxide plugin check`: does a plugin fit this host, is it documented, and does its version rise as its changes ask for?

use std::path::{Path, PathBuf};

use oxide_core::plugin::{
    PluginDescription,
    compatibility::{self, Bump, Change, Effect},
};
use oxide_runtime::describe::CONTRACT_VERSION;
use serde::Serialize;

use super::{build::asked, inspect};
use crate::{
    command::init,
    exit_code::Exit,
    failure::Failure,
    plugin_case::subject::Subject,
    registries::RegistryArguments,
    terminal::{Paint, Terminal, print, without_controls},
};

/// Arguments of `oxide plugin check`.
#[derive(clap::Args)]
pub struct Arguments {
    /// The folder of the plugin, or a `.wasm` file.
    #[arg(default_value = ".")]
    plugin: PathBuf,
    /// The published version to compare with: a reference such as `ghcr.io/acme/greet:1.2.0`, of which only the description
    /// is read, or a `.wasm` file.
    #[arg(long, value_name = "REF|FILE")]
    against: Option<PathBuf>,
    #[command(flatten)]
    registries: RegistryArguments,
    /// Print what was found as JSON.
    #[arg(long)]
    json: bool,
}

/// What was found, as `--json` prints it.
#[derive(Serialize)]
struct Report {
    package: Option<String>,
    contract: Option<String>,
    host_contract: &'static str,
    capabilities: Vec<&'static str>,
    warnings: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    against: Option<Comparison>,
    ok: bool,
}

/// What changed from the published version.
#[derive(Serialize)]
struct Comparison {
    reference: String,
    old_version: Option<String>,
    new_version: Option<String>,
    changes: Vec<Difference>,
    required_bump: Option<Bump>,
    /// Why the version, or the name, cannot stay as it is.
    problem: Option<String>,
}

/// A change, in data and in words.
#[derive(Serialize)]
struct Difference {
    effect: Effect,
    text: String,
    #[serde(flatten)]
    change: Change,
}

/// Looks at the component and says what is wrong with it.
pub fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    let description = inspect::describe(&arguments.plugin)?;
    if let Some((source, folder)) = newer_source(&arguments.plugin) {
        let older = format!("plugin.wasm is older than {}", without_controls(&source.display().to_string()));
        let build = format!("`oxide plugin build {}`", init::quoted(&without_controls(&folder.to_string_lossy())));
        if arguments.against.is_some() {
            return Err(Failure::unusable(older).hint(format!("{build} builds it again")));
        }
        eprintln!("note: {older}: {build} builds it again");
    }
    let against = match &arguments.against {
        None => None,
        Some(published) => {
            let old = inspect::describe_by(published, &arguments.registries)?;
            Some(compare(published.display().to_string(), &old, &description))
        }
    };
    let problem = against.as_ref().and_then(|comparison| comparison.problem.clone());
    let report = Report {
        package: description.package.clone(),
        contract: description.contract.clone(),
        host_contract: CONTRACT_VERSION,
        capabilities: description.can_use().into_iter().map(|capability| capability.yaml_key()).collect(),
        warnings: warnings(&description),
        ok: problem.is_none(),
        against,
    };
    if arguments.json {
        let text = serde_json::to_string_pretty(&report);
        print(&(text.map_err(|error| Failure::trouble("could not write it as JSON").because(&error))? + "\n"))?;
    } else {
        let shown = without_controls(&arguments.plugin.display().to_string());
        print(&text(&shown, &description, &report, Paint { colour: Terminal::stdout().colour }))?;
    }
    match problem {
        None => Ok(Exit::Success),
        Some(problem) => Err(Failure::unusable(problem)),
    }
}

/// A source that is newer than the component of a folder, and the folder.
fn newer_source(plugin: &Path) -> Option<(PathBuf, PathBuf)> {
    // Another file beside the sources may be of any age.
    if !(plugin.is_dir() || plugin.is_file() && plugin.ends_with("plugin.wasm")) {
        return None;
    }
    let subject = Subject::find(plugin).ok()?;
    Some((subject.newer_source()?, subject.folder?))
}

/// What is not wrong, but makes the plugin harder to use.
fn warnings(plugin: &PluginDescription) -> Vec<String> {
    let mut warnings = Vec::new();
    if plugin.package.is_none() {
        warnings.push("it has no name, version and help: build it with `oxide plugin build`".to_owned());
        return warnings;
    }
    if plugin.docs.is_none() {
        warnings
            .push("nothing says what it does: write a `///` comment above `export run` in wit/world.wit".to_owned());
    }
    for (what, fields) in [("input", &plugin.inputs), ("output", &plugin.outputs)] {
        for field in fields.iter().filter(|field| field.docs.as_ref().is_none_or(|docs| docs.trim().is_empty())) {
            let name = &field.name;
            warnings.push(format!(
                "nothing says what the {what} `{name}` means: write a `///` comment above it in wit/world.wit"
            ));
        }
    }
    if plugin.license.is_none() {
        warnings.push("it has no licence: write `license` into its manifest, or into plugin.toml".to_owned());
    }
    warnings
}

fn compare(reference: String, old: &PluginDescription, new: &PluginDescription) -> Comparison {
    let changes = compatibility::changes(old, new);
    // The same component may keep its version.
    let required_bump = (old.digest != new.digest).then(|| compatibility::required_bump(&changes));
    let (old_name, old_version) = name_and_version(old);
    let (new_name, new_version) = name_and_version(new);
    let problem = if old_name.is_some() && new_name.is_some() && old_name != new_name {
        Some(format!("{} is another plugin than {}", new_name.unwrap_or_default(), old_name.unwrap_or_default()))
    } else {
        required_bump.and_then(|bump| version_problem(old_version.as_deref(), new_version.as_deref(), bump))
    };
    let difference = |change: Change| Difference { effect: change.effect(), text: change.to_string(), change };
    Comparison {
        reference,
        old_version,
        new_version,
        changes: changes.into_iter().map(difference).collect(),
        required_bump,
        problem,
    }
}

/// Why the version does not do, if it does not.
fn version_problem(old: Option<&str>, new: Option<&str>, bump: Bump) -> Option<String> {
    let (Some(old), Some(new)) = (old, new) else {
        return Some("the versions cannot be compared: build both with `oxide plugin build`".to_owned());
    };
    let least = compatibility::least_version(old, bump).unwrap_or_default();
    let why = match bump {
        Bump::Major => "what changed breaks pipelines",
        Bump::Minor => "something was added",
        Bump::Patch => "it is another component",
    };
    match compatibility::rises_enough(old, new, bump) {
        Some(true) => None,
        Some(false) => Some(format!("version {new} is too low after {old}: {why}, so write at least {least}")),
        None => Some(format!("{old} and {new} cannot be compared: write versions such as 1.2.3")),
    }
}

fn name_and_version(plugin: &PluginDescription) -> (Option<String>, Option<String>) {
    match plugin.package.as_deref().map(|package| package.split_once('@').unwrap_or((package, ""))) {
        None => (None, None),
        Some((name, version)) => {
            (Some(name.to_owned()), Some(version.to_owned()).filter(|version| !version.is_empty()))
        }
    }
}

fn text(name: &str, plugin: &PluginDescription, report: &Report, paint: Paint) -> String {
    let name = plugin.package.as_deref().unwrap_or(name);
    let contract =
        plugin.contract.as_ref().map_or("no part of oxide:ci".to_owned(), |version| format!("oxide:ci@{version}"));
    let mut text = format!(
        "{} {} fits this host ({contract}; offered: {CONTRACT_VERSION})\n",
        paint.green("ok"),
        paint.bold(name)
    );
    let mut line = |line: String| {
        text.push_str(&line);
        text.push('\n');
    };
    line(format!("  asks for {}", asked(plugin)));
    for warning in &report.warnings {
        line(format!("{} {warning}", paint.yellow("warning:")));
    }
    if let Some(Comparison { reference, old_version, changes, .. }) = &report.against {
        let version = old_version.as_ref().map_or(String::new(), |version| format!(" ({version})"));
        line(format!("compared with {}{version}", without_controls(reference)));
        if changes.is_empty() {
            line("  nothing that a pipeline could notice has changed".to_owned());
        }
        for Difference { effect, text, .. } in changes {
            let (word, colour): (&str, fn(Paint, &str) -> String) = match effect {
                Effect::Breaking => ("breaks", Paint::red),
                Effect::MoreRights => ("rights", Paint::yellow),
                Effect::Addition => ("adds", Paint::green),
            };
            line(format!("  {} {text}", colour(paint, &format!("{word:<6}"))));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_that_is_too_low_is_told_with_the_one_to_write() {
        assert_eq!(version_problem(Some("1.2.0"), Some("1.3.0"), Bump::Minor), None);
        assert_eq!(
            version_problem(Some("1.2.0"), Some("1.2.1"), Bump::Major).unwrap(),
            "version 1.2.1 is too low after 1.2.0: what changed breaks pipelines, so write at least 2.0.0"
        );
        assert!(version_problem(Some("1.2.0"), Some("1.2.0"), Bump::Patch).unwrap().contains("at least 1.2.1"));
        assert!(version_problem(None, Some("1.2.0"), Bump::Patch).unwrap().contains("oxide plugin build"));
    }
}
