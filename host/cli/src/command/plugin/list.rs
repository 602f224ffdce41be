//! `oxide plugin list`: the plugins that the project takes from registries.

use std::path::Path;

use oxide_registry::{LockedPlugin, PLUGIN_BYTES_MAX, oci::Digest, store::StoreError};

use super::add;
use crate::{
    exit_code::Exit,
    failure::Failure,
    project, registries,
    terminal::{Paint, Terminal, on_one_line, print},
};

/// Arguments of `oxide plugin list`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Print them as JSON.
    #[arg(long)]
    json: bool,
}

/// Lists what `oxide.lock` has, and whether it is on this machine.
pub fn run(arguments: &Arguments, data_dir: Option<&Path>) -> Result<Exit, Failure> {
    let project = registries::project()?;
    let lock = registries::read_lock(&project)?;
    let store = registries::store(&project::data_directory(data_dir)?);
    let stored = |component: &Digest| match store.load(component, PLUGIN_BYTES_MAX) {
        Ok(_) => "stored",
        Err(StoreError::Missing(_)) => "not fetched",
        Err(_) => "damaged",
    };
    if arguments.json {
        let entry = |plugin: &LockedPlugin| {
            let mut entry = add::in_json(plugin);
            entry["stored"] = (stored(&plugin.component) == "stored").into();
            entry
        };
        let entries: Vec<_> = lock.plugins().map(entry).collect();
        print(&format!("{}\n", serde_json::Value::from(entries)))?;
        return Ok(Exit::Success);
    }
    let paint = Paint { colour: Terminal::stdout().colour };
    let mut text = String::new();
    for plugin in lock.plugins() {
        let package = plugin.package.as_deref().map(on_one_line).unwrap_or_default();
        let facts = [plugin.manifest.short().to_owned(), stored(&plugin.component).to_owned(), add::rights(plugin)];
        text.push_str(&format!(
            "{}  {package}\n  {}\n",
            paint.bold(&plugin.reference.to_string()),
            paint.dim(&facts.join(" · "))
        ));
    }
    if text.is_empty() {
        text = "the project takes no plugins from registries; `oxide plugin add REF` adds one\n".to_owned();
    }
    print(&text)?;
    Ok(Exit::Success)
}
