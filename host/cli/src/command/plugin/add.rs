//! `oxide plugin add`: lets the project use a plugin of a registry, after showing what it asks for.

use std::{
    io::{BufRead as _, IsTerminal as _, Write as _, stdin},
    path::Path,
};

use oxide_core::plugin::PluginDescription;
use oxide_planner::accept;
use oxide_registry::{
    LockedPlugin,
    oci::{OciReference, Publication},
    policy::Signer,
};
use serde_json::json;

use super::inspect;
use crate::{
    exit_code::Exit,
    failure::Failure,
    local_engine, project,
    registries::{self, Published, RegistryArguments},
    terminal::{Paint, Terminal, print, without_controls},
};

/// Arguments of `oxide plugin add`.
#[derive(clap::Args)]
pub struct Arguments {
    /// The plugin, such as ghcr.io/acme/greet:1.2.0.
    reference: String,
    /// Accept what it asks for without being asked.
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    registries: RegistryArguments,
    /// Print what was added as JSON.
    #[arg(long)]
    json: bool,
}

/// Shows what the plugin asks for, asks, and writes digest and rights into `oxide.lock`.
pub fn run(arguments: &Arguments, data_dir: Option<&Path>) -> Result<Exit, Failure> {
    let reference = registries::parse(&arguments.reference)?;
    let project = registries::project()?;
    let lock = registries::read_lock(&project)?;
    let policy = registries::policy(&project)?;
    let data = project::data_directory(data_dir)?;
    let (store, kept) = (registries::store(&data), registries::kept_signatures(&data));
    let from = arguments.registries.registries();
    let client = registries::client(&from)?;
    let (published, signers) = local_engine::in_runtime(async {
        let published = registries::find(&client, &reference, &store).await?;
        let by_digest = reference.repository.at(&published.publication.manifest.digest);
        let signers = registries::verify(&policy, &by_digest, &kept, &from).await;
        Ok((published, signers.map_err(|error| registries::of_verify(&error))?))
    })?;
    let Published { publication, description } = &published;
    let entry = accept::entry(&reference, publication, description, &signers);
    if lock.get(&reference) != Some(&entry) {
        if !arguments.json {
            show(&reference, publication, description, &signers)?;
        }
        if !arguments.yes {
            ask(&reference)?;
        }
        registries::change_lock(&project, |lock| drop(lock.insert(entry.clone())))?;
    }
    print(&match arguments.json {
        true => format!("{}\n", in_json(&entry)),
        false => format!("{reference} is in oxide.lock: {}\n", rights(&entry)),
    })?;
    Ok(Exit::Success)
}

/// An entry of the lock as `--json` prints it.
pub(super) fn in_json(entry: &LockedPlugin) -> serde_json::Value {
    let grants: Vec<&str> = entry.grants.iter().map(|grant| grant.yaml_key()).collect();
    json!({
        "reference": entry.reference.to_string(),
        "manifest": entry.manifest,
        "component": entry.component,
        "package": entry.package,
        "contract": entry.contract,
        "grants": grants,
        "signers": entry.signers,
    })
}

/// What an entry allows, in a few words.
pub(super) fn rights(entry: &LockedPlugin) -> String {
    match entry.grants.is_empty() {
        true => "it asks for nothing".to_owned(),
        false => {
            let grants: Vec<&str> = entry.grants.iter().map(|grant| grant.yaml_key()).collect();
            format!("a pipeline may grant it {}", grants.join(", "))
        }
    }
}

fn show(
    reference: &OciReference,
    publication: &Publication,
    description: &PluginDescription,
    signers: &[Signer],
) -> Result<(), Failure> {
    let paint = Paint { colour: Terminal::stdout().colour };
    let mut text = inspect::text(&reference.to_string(), description, paint);
    text.push_str(&format!("\n{}\n  {reference}\n  {}\n", paint.bold("published as"), publication.manifest.digest));
    for Signer { key, fingerprint } in signers {
        text.push_str(&format!("  signed by {} ({fingerprint})\n", without_controls(key)));
    }
    print(&(text + "\n"))
}

fn ask(reference: &OciReference) -> Result<(), Failure> {
    if !stdin().is_terminal() {
        return Err(Failure::usage("there is no terminal to ask whether you accept what the plugin asks for")
            .hint(format!("if you do: `oxide plugin add {reference} --yes`")));
    }
    eprint!("accept this and write it into oxide.lock? [y/N] ");
    let mut answer = String::new();
    let read = std::io::stderr().flush().and_then(|()| stdin().lock().read_line(&mut answer));
    read.map_err(|error| Failure::trouble("could not read the answer").because(&error))?;
    match answer.trim().to_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Failure::trouble(format!("`{reference}` was not added"))),
    }
}
