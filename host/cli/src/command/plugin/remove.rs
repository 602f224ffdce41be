//! `oxide plugin remove`: takes a plugin out of `oxide.lock`.

use crate::{exit_code::Exit, failure::Failure, registries, terminal::print};

/// Arguments of `oxide plugin remove`.
#[derive(clap::Args)]
pub struct Arguments {
    /// The plugin as `oxide plugin list` shows it.
    reference: String,
    /// Print what was removed as JSON.
    #[arg(long)]
    json: bool,
}

/// Removes the entry; what is stored on this machine stays.
pub fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    let reference = registries::parse(&arguments.reference)?;
    let project = registries::project()?;
    let lock = registries::read_lock(&project)?;
    if lock.get(&reference).is_none() {
        let all: Vec<String> = lock.plugins().map(|plugin| format!("`{}`", plugin.reference)).collect();
        let has = if all.is_empty() { "no plugin at all".to_owned() } else { all.join(", ") };
        return Err(Failure::usage(format!("oxide.lock does not have `{reference}`")).hint(format!("it has {has}")));
    }
    registries::change_lock(&project, |lock| drop(lock.remove(&reference)))?;
    print(&match arguments.json {
        true => format!("{}\n", serde_json::json!({ "removed": reference.to_string() })),
        false => format!("{reference} is not in oxide.lock any more\n"),
    })?;
    Ok(Exit::Success)
}
