//! `oxide plugin pull`: fetches plugins of registries, so that they are there without a network.

use std::path::{Path, PathBuf};

use oxide_core::quantity;
use oxide_registry::oci::OciReference;
use serde_json::json;

use crate::{
    exit_code::Exit,
    failure::Failure,
    local_engine, project,
    registries::{self, RegistryArguments},
    terminal::print,
};

/// Arguments of `oxide plugin pull`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Plugins such as ghcr.io/acme/greet:1.2.0; none for all that `oxide.lock` of the project has. One that the lock has is
    /// fetched by the digest there.
    #[arg(value_name = "REF")]
    references: Vec<String>,
    /// Write the component into this file, too.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    registries: RegistryArguments,
    /// Print what was fetched as JSON.
    #[arg(long)]
    json: bool,
}

/// Fetches, verifies, and says what it was.
pub fn run(arguments: &Arguments, data_dir: Option<&Path>) -> Result<Exit, Failure> {
    let wanted = wanted(arguments)?;
    if arguments.output.is_some() && wanted.len() != 1 {
        return Err(Failure::usage(format!("`--output` takes one plugin, and these are {}", wanted.len())));
    }
    let project = project::of_current_directory().unwrap_or_else(|| PathBuf::from("."));
    let policy = registries::policy(&project)?;
    let data = project::data_directory(data_dir)?;
    let (store, kept) = (registries::store(&data), registries::kept_signatures(&data));
    let from = arguments.registries.registries();
    let client = registries::client(&from)?;
    let mut pulled = Vec::new();
    local_engine::in_runtime(async {
        for (name, reference) in &wanted {
            let publication = oxide_registry::oci::publication::find(&client, reference).await;
            let publication = publication.map_err(|error| registries::of_move(&error))?;
            registries::tell_notes(name, &publication);
            let by_digest = reference.repository.at(&publication.manifest.digest);
            let verified = registries::verify(&policy, &by_digest, &kept, &from).await;
            verified.map_err(|error| registries::of_verify(&error))?;
            let description = registries::fetch(&client, reference, &publication, &store).await?;
            pulled.push((name.clone(), publication, description));
        }
        Ok(())
    })?;
    if let (Some(file), Some((_, publication, _))) = (&arguments.output, pulled.first()) {
        let stored = store.path(&publication.contents.component.digest);
        std::fs::copy(&stored, file)
            .and_then(|_| std::fs::set_permissions(file, std::os::unix::fs::PermissionsExt::from_mode(0o644)))
            .map_err(|error| Failure::trouble(format!("could not write {}", file.display())).because(&error))?;
    }
    let entry = |(name, publication, description): &(OciReference, oxide_registry::oci::Publication, _)| {
        let oxide_core::plugin::PluginDescription { package, size_bytes, .. } = description;
        json!({
            "reference": name.to_string(),
            "package": package,
            "digest": publication.manifest.digest,
            "component": publication.contents.component.digest,
            "size_bytes": size_bytes,
            "file": arguments.output,
        })
    };
    print(&match arguments.json {
        true => format!("{}\n", json!(pulled.iter().map(entry).collect::<Vec<_>>())),
        false => {
            let line = |(name, publication, description): &(OciReference, oxide_registry::oci::Publication, _)| {
                let oxide_core::plugin::PluginDescription { size_bytes, .. } = description;
                let at = name.repository.at(&publication.manifest.digest);
                format!("{at}\n{name}: {}\n", quantity::bytes(*size_bytes))
            };
            pulled.iter().map(line).collect()
        }
    })?;
    Ok(Exit::Success)
}

/// What is wanted: as it was written, and what is asked for.
fn wanted(arguments: &Arguments) -> Result<Vec<(OciReference, OciReference)>, Failure> {
    let lock = project::of_current_directory().map(|project| registries::read_lock(&project)).transpose()?;
    if arguments.references.is_empty() {
        let lock = lock.ok_or_else(|| {
            Failure::usage("there is no project here whose `oxide.lock` says what to fetch")
                .hint("name a plugin: `oxide plugin pull REF`")
        })?;
        return Ok(lock.plugins().map(|plugin| (plugin.reference.clone(), plugin.by_digest())).collect());
    }
    let mut wanted = Vec::new();
    for text in &arguments.references {
        let reference = registries::parse(text)?;
        let locked = lock.as_ref().and_then(|lock| lock.get(&reference)).map(|locked| locked.by_digest());
        wanted.push((reference.clone(), locked.unwrap_or(reference)));
    }
    Ok(wanted)
}
