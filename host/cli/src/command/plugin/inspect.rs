//! `oxide plugin inspect`: what a component asks for, takes and gives, from its bytes alone, or from what a registry says of it.

use std::path::{Path, PathBuf};

use oxide_core::{
    plugin::{Field, PluginDescription},
    quantity,
    wit::Type,
};
use oxide_registry::{Reference, ResolveError, read_component};
use serde_json::Value as Json;

use crate::{
    exit_code::Exit,
    failure::Failure,
    local_engine, project,
    registries::{self, RegistryArguments},
    terminal::{Paint, Terminal, on_one_line, print, without_controls},
};

/// Arguments of `oxide plugin inspect`.
#[derive(clap::Args)]
pub struct Arguments {
    /// A `.wasm` file, a directory with `plugin.wasm`, a built-in such as `oxide/run@1`, or one in a registry such as
    /// `ghcr.io/acme/greet:1.2.0`, of which only the description is fetched.
    plugin: PathBuf,
    #[command(flatten)]
    registries: RegistryArguments,
    /// Print it as JSON.
    #[arg(long)]
    json: bool,
}

/// Shows what a plugin is.
pub fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    let Arguments { plugin, registries, json } = arguments;
    let description = describe_by(plugin, registries)?;
    if *json {
        let text = serde_json::to_string_pretty(&description);
        print(&(text.map_err(|error| Failure::trouble("could not write it as JSON").because(&error))? + "\n"))?;
    } else {
        print(&text(&plugin.display().to_string(), &description, Paint { colour: Terminal::stdout().colour }))?;
    }
    Ok(Exit::Success)
}

/// Reads a component, whatever names it.
pub(super) fn describe(plugin: &Path) -> Result<PluginDescription, Failure> {
    describe_by(plugin, &RegistryArguments::default())
}

/// The same, and of a registry with these settings.
pub(super) fn describe_by(plugin: &Path, registries: &RegistryArguments) -> Result<PluginDescription, Failure> {
    let name = plugin.display().to_string();
    if !plugin.exists()
        && let Ok(Reference::Oci(reference)) = Reference::parse(&name)
    {
        let client = registries.client()?;
        let store = registries::store(&project::data_directory(None)?);
        let found = local_engine::in_runtime(registries::find(&client, &reference, &store));
        return found.map(|published| published.description);
    }
    let bytes = if name.starts_with("oxide/") && !plugin.exists() {
        let catalog = oxide_registry::Catalog::new(".");
        catalog
            .resolve(&name)
            .map_err(|error| Failure::usage(format!("could not find `{name}`")).because(&error))?
            .bytes
    } else {
        let file = if plugin.is_dir() { plugin.join("plugin.wasm") } else { plugin.to_path_buf() };
        let bytes = read_component(&file).map_err(|error| {
            let failure = Failure::usage(format!("could not read `{}`", file.display()));
            let failure = match &error {
                ResolveError::Read { cause, .. } => failure.because(cause),
                error => failure.because(error),
            };
            match plugin.is_dir() {
                true => failure.hint("build the plugin first with `oxide plugin build`, or name a `.wasm` file"),
                false => failure.hint(
                    "name a `.wasm` file, a directory with `plugin.wasm`, a built-in such as `oxide/run@1`, or one in a \
                     registry such as `ghcr.io/acme/greet:1.2.0`",
                ),
            }
        })?;
        bytes.into()
    };
    oxide_runtime::describe(&bytes).map_err(|error| {
        let failure = Failure::unusable(format!("`{name}` is not a plugin")).because(&error);
        match error.hint() {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    })
}

/// All of it, for people.
pub(super) fn text(name: &str, plugin: &PluginDescription, paint: Paint) -> String {
    let plugin = &without_controls_anywhere(plugin);
    let mut text = format!("{}\n", paint.bold(plugin.package.as_deref().unwrap_or(name)));
    let mut line = |line: String| {
        text.push_str(line.trim_end());
        text.push('\n');
    };
    for docs in plugin.docs.iter().flat_map(|docs| docs.lines()) {
        line(format!("  {docs}"));
    }
    line(String::new());
    line(format!("digest    {}", plugin.digest));
    line(format!("size      {}", quantity::bytes(plugin.size_bytes)));
    for (what, value) in [("contract", &plugin.contract), ("licence", &plugin.license), ("source", &plugin.source)] {
        if let Some(value) = value {
            line(format!("{what:<9} {value}"));
        }
    }
    line(format!("\n{}", paint.bold("asks for")));
    let asked: Vec<_> = plugin.asks_for().collect();
    if asked.is_empty() {
        line("  nothing beyond its log, outputs and facts about the run".to_owned());
    }
    for capability in asked {
        line(format!("  {:<12} {}", capability.yaml_key(), paint.dim(capability.summary())));
    }
    let by_habit: Vec<_> =
        plugin.can_use().into_iter().filter(|capability| capability.is_imported_by_habit()).collect();
    if !by_habit.is_empty() {
        line(format!("\n{}", paint.bold("runs without, and can use if granted")));
    }
    for capability in by_habit {
        line(format!("  {:<12} {}", capability.yaml_key(), paint.dim(capability.summary())));
    }
    for (heading, fields) in [("inputs", &plugin.inputs), ("outputs", &plugin.outputs)] {
        line(format!("\n{}", paint.bold(heading)));
        if fields.is_empty() {
            line("  none".to_owned());
        }
        for field in fields {
            line(format!("  {}", signature(field, paint)));
            for docs in field.docs.iter().flat_map(|docs| docs.lines()) {
                line(format!("      {}", paint.dim(docs)));
            }
        }
    }
    line(format!("\n{}", paint.bold("imports")));
    for import in &plugin.imports {
        line(format!("  {}", paint.dim(&import.name)));
    }
    text
}

/// The same without anything that steers a terminal, and with line breaks in its documentation only: a stranger wrote it.
fn without_controls_anywhere(plugin: &PluginDescription) -> PluginDescription {
    fn clean(value: &mut Json, cleaned: fn(&str) -> String) {
        match value {
            Json::String(text) => *text = cleaned(text),
            Json::Array(values) => values.iter_mut().for_each(|value| clean(value, cleaned)),
            Json::Object(entries) => {
                for (name, value) in entries {
                    clean(value, if name == "docs" { without_controls } else { on_one_line });
                }
            }
            _ => {}
        }
    }
    let mut value = serde_json::to_value(plugin).expect("a description is JSON, as `--json` prints it");
    clean(&mut value, on_one_line);
    serde_json::from_value(value).expect("texts were replaced by texts")
}

/// The name as it is written in the pipeline, the type, and whether it may be left out.
fn signature(field: &Field, paint: Paint) -> String {
    let name = field.name.replace('-', "_");
    match &field.ty {
        Type::Option(inner) => format!("{name}: {inner} {}", paint.dim("(optional)")),
        ty => format!("{name}: {ty}"),
    }
}
