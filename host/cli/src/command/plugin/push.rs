//! `oxide plugin push`: publishes a component in a registry.

use std::path::Path;

use oxide_core::quantity;
use oxide_registry::oci::{layout, publication};
use serde_json::json;

use crate::{
    exit_code::Exit,
    failure::Failure,
    local_engine,
    plugin_case::subject::Subject,
    registries::{self, RegistryArguments},
    terminal::print,
};

/// Arguments of `oxide plugin push`.
#[derive(clap::Args)]
#[command(override_usage = "oxide plugin push [OPTIONS] [DIR|FILE] REF")]
pub struct Arguments {
    /// The folder of the plugin or a `.wasm` file (default: this folder), and where it goes, such as ghcr.io/acme/greet:1.2.0.
    #[arg(num_args = 1..=2, required = true, value_name = "DIR|FILE|REF")]
    words: Vec<String>,
    #[command(flatten)]
    registries: RegistryArguments,
    /// Print what was pushed as JSON.
    #[arg(long)]
    json: bool,
}

/// Pushes, and prints the digest.
pub fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    let (place, reference) = match arguments.words.as_slice() {
        [place, reference] => (place.as_str(), reference),
        [reference] => (".", reference),
        _ => return Err(Failure::usage("write where the plugin goes: `oxide plugin push [DIR|FILE] REF`")),
    };
    let reference = registries::parse(reference)?;
    let (Some(tag), None) = (&reference.tag, &reference.digest) else {
        return Err(Failure::usage(format!("`{reference}` names a digest, and a digest comes from what is pushed"))
            .hint(format!("write a tag: `{}:1.0.0`", reference.repository)));
    };
    let subject = Subject::find(Path::new(place))?;
    if let Some(source) = subject.newer_source() {
        eprintln!("note: {} is newer than plugin.wasm: `oxide plugin build` builds it again", source.display());
    }
    let description = &subject.description;
    match description.package.as_deref().map(|package| package.split_once('@')) {
        Some(Some((_, version))) if !fits(tag, version) => {
            eprintln!("note: the tag is `{tag}`, and the plugin says that it is version {version}");
        }
        Some(_) => {}
        None => {
            eprintln!("note: it has no name, version and help: `oxide plugin build` writes them into the component")
        }
    }
    let epoch = std::env::var("SOURCE_DATE_EPOCH").ok();
    let created = layout::created(epoch.as_deref()).ok_or_else(|| {
        Failure::usage(format!("SOURCE_DATE_EPOCH is `{}`", epoch.unwrap_or_default().escape_debug()))
            .hint("write a number of seconds since 1970, or leave it away")
    })?;
    let client = arguments.registries.client()?;
    let component = subject.bytes.clone().into_owned().into();
    let pushed = local_engine::in_runtime(async {
        let pushed = publication::push(&client, &reference, component, description, &created).await;
        pushed.map_err(|error| registries::of_move(&error))
    })?;
    let at = reference.repository.at(&pushed.digest);
    if let Some(before) = pushed.before.as_ref().filter(|before| **before != pushed.digest) {
        eprintln!("note: `{tag}` stood for {before} before; who has that in oxide.lock stays with it");
    }
    print(&match arguments.json {
        true => format!(
            "{}\n",
            json!({
                "reference": reference.to_string(),
                "digest": pushed.digest,
                "component": pushed.component,
                "sent_bytes": pushed.sent_bytes,
                "was_there": pushed.before.as_ref() == Some(&pushed.digest),
            })
        ),
        false => {
            let sent = match pushed.sent_bytes {
                0 => "the registry had all of it".to_owned(),
                sent => format!("sent {}", quantity::bytes(sent)),
            };
            format!("{at}\n{reference}: {sent}\n")
        }
    })?;
    Ok(Exit::Success)
}

/// Does a tag fit a version? `1`, `1.4`, `v1.4.2` and words such as `latest` fit 1.4.2.
fn fits(tag: &str, version: &str) -> bool {
    let number = tag.strip_prefix('v').unwrap_or(tag);
    if !number.starts_with(|sign: char| sign.is_ascii_digit()) {
        return true;
    }
    version.strip_prefix(number).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '-', '+']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_fits_the_versions_that_it_begins() {
        for tag in ["1", "1.4", "1.4.2", "v1.4.2", "latest", "main"] {
            assert!(fits(tag, "1.4.2"), "{tag}");
        }
        for tag in ["2", "1.5", "1.4.20", "v2", "1.4.2-beta"] {
            assert!(!fits(tag, "1.4.2"), "{tag}");
        }
    }
}
