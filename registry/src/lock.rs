//! `oxide.lock`: which plugins of registries a project uses, by digest, and what was accepted for each.
//!
//! Pure: text in, text out. The text is sorted and always written in the same way, so that two who add plugins in two branches
//! get along.

pub mod file;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use oxide_core::plugin::{Capability, PluginDescription};
use serde::{Deserialize, Deserializer, de::Error as _};
use toml::Spanned;

use crate::oci::{Digest, OciReference};

/// The name of the file, beside the pipeline.
pub const LOCK_FILE: &str = "oxide.lock";
/// The largest lock that is read.
pub const LOCK_BYTES_MAX: u64 = 4 << 20;
/// The version of the format.
const VERSION: i64 = 1;

const HEAD: &str = "\
# The plugins that this project takes from registries, and what each may ask for.
# Written by `oxide plugin add`, `update` and `remove`; keep it in version control.
version = 1
";

/// The whole lock.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lock {
    plugins: BTreeMap<String, LockedPlugin>,
}

/// A plugin that was accepted.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedPlugin {
    /// As it stands behind `uses:`.
    #[serde(deserialize_with = "reference")]
    pub reference: OciReference,
    /// The digest of the manifest: what signatures are about.
    pub manifest: Digest,
    /// The digest of the component: what runs.
    pub component: Digest,
    /// Its name and version, such as `acme:lint@1.4.0`.
    #[serde(default)]
    pub package: Option<String>,
    /// The version of the contract that it was built for.
    #[serde(default)]
    pub contract: Option<String>,
    /// What it may ask for.
    #[serde(deserialize_with = "grants")]
    pub grants: BTreeSet<Capability>,
    /// The fingerprints of the keys that have signed it, as far as the project asked.
    #[serde(default)]
    pub signers: BTreeSet<String>,
}

/// Why a lock cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LockError {
    /// Two branches changed it.
    #[error(
        "{LOCK_FILE}, line {line}: two branches changed it and nobody has merged them: keep the `[[plugin]]` entries of \
         both sides, remove the lines with `<<<<<<<`, `=======` and `>>>>>>>`, then run `oxide plugin list`"
    )]
    Conflict {
        /// The line of the first marker, from 1.
        line: usize,
    },
    /// The text is no lock.
    #[error("{LOCK_FILE}, line {line}: {problem}")]
    Text {
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        problem: String,
    },
    /// A newer program wrote it.
    #[error("{LOCK_FILE} has the format {0}, and this version of oxide reads the format {VERSION}: use a newer oxide")]
    Version(i64),
    /// No program ever wrote it.
    #[error("{LOCK_FILE} says `version = {0}`, and {0} is no version of its format: write `version = {VERSION}`")]
    NoVersion(i64),
}

/// Why the lock does not let a plugin be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LockRefusal {
    /// It does not have it.
    #[error("{LOCK_FILE} does not have it: `oxide plugin add {0}` shows what it asks for, and adds it")]
    Missing(OciReference),
    /// It has it with another digest.
    #[error(
        "{LOCK_FILE} has `{locked}` for it, and the pipeline wants {wanted}: `oxide plugin add {reference}` shows what \
         that asks for, and adds it"
    )]
    Differs {
        /// As the pipeline has it.
        reference: String,
        /// What the lock has.
        locked: String,
        /// The digest in the pipeline.
        wanted: Digest,
    },
    /// It asks for more than was accepted.
    #[error(
        "it asks for {}, and {LOCK_FILE} allows it {}: `oxide plugin add {reference}` shows what it asks for",
        wanted(more),
        listed(allowed)
    )]
    MoreRights {
        /// The plugin.
        reference: String,
        /// What was not accepted.
        more: BTreeSet<Capability>,
        /// What was accepted.
        allowed: BTreeSet<Capability>,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: i64,
    #[serde(default, rename = "plugin")]
    plugins: Vec<Spanned<LockedPlugin>>,
}

impl Lock {
    /// Reads a lock.
    ///
    /// # Errors
    /// See [`LockError`].
    pub fn parse(text: &str) -> Result<Lock, LockError> {
        let line_of = |at: usize| text.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count() + 1;
        let marker = |line: &str| ["<<<<<<<", ">>>>>>>", "|||||||"].iter().any(|mark| line.starts_with(mark));
        if let Some(at) = text.lines().position(|line| marker(line) || line == "=======") {
            return Err(LockError::Conflict { line: at + 1 });
        }
        // What a newer program wrote may have keys that are not known here: the version is said first.
        if let Ok(table) = text.parse::<toml::Table>()
            && let Some(version) = table.get("version").and_then(toml::Value::as_integer)
            && version != VERSION
        {
            return Err(if version < 1 { LockError::NoVersion(version) } else { LockError::Version(version) });
        }
        let file: File = toml::from_str(text).map_err(|error| LockError::Text {
            line: line_of(error.span().map_or(0, |span| span.start)),
            problem: error.message().trim().replace('\n', " "),
        })?;
        debug_assert_eq!(file.version, VERSION, "another version was refused above");
        let mut lock = Lock::default();
        for entry in file.plugins {
            let line = line_of(entry.span().start);
            let plugin = entry.into_inner();
            let name = plugin.reference.to_string();
            if lock.plugins.insert(name.clone(), plugin).is_some() {
                let problem = format!("`{name}` is there twice: keep one entry");
                return Err(LockError::Text { line, problem });
            }
        }
        Ok(lock)
    }

    /// The text of the lock.
    pub fn to_text(&self) -> String {
        let mut text = HEAD.to_owned();
        let quoted = |text: &str| toml::Value::from(text).to_string();
        for (name, plugin) in &self.plugins {
            let mut line = |key: &str, value: String| {
                // Writing to a string cannot fail.
                let _ = writeln!(text, "{key} = {value}");
            };
            line("\n[[plugin]]\nreference", quoted(name));
            line("manifest", quoted(plugin.manifest.as_str()));
            line("component", quoted(plugin.component.as_str()));
            if let Some(package) = &plugin.package {
                line("package", quoted(package));
            }
            if let Some(contract) = &plugin.contract {
                line("contract", quoted(contract));
            }
            let list = |entries: &mut dyn Iterator<Item = &str>| {
                format!("[{}]", entries.map(quoted).collect::<Vec<_>>().join(", "))
            };
            line("grants", list(&mut plugin.grants.iter().map(|grant| grant.yaml_key())));
            if !plugin.signers.is_empty() {
                line("signers", list(&mut plugin.signers.iter().map(String::as_str)));
            }
        }
        text
    }

    /// The plugins, sorted by reference.
    pub fn plugins(&self) -> impl Iterator<Item = &LockedPlugin> {
        self.plugins.values()
    }

    /// The entry of exactly this reference.
    pub fn get(&self, reference: &OciReference) -> Option<&LockedPlugin> {
        self.plugins.get(&reference.to_string())
    }

    /// Adds an entry, or puts it in the place of the one that was there.
    pub fn insert(&mut self, plugin: LockedPlugin) -> Option<LockedPlugin> {
        self.plugins.insert(plugin.reference.to_string(), plugin)
    }

    /// Removes an entry.
    pub fn remove(&mut self, reference: &OciReference) -> Option<LockedPlugin> {
        self.plugins.remove(&reference.to_string())
    }

    /// The entry under which a pipeline may use a reference. If it is not `strict`, a reference with a digest may use the entry
    /// of another tag of the repository that has the same manifest: what was accepted is the same.
    ///
    /// # Errors
    /// See [`LockRefusal`].
    pub fn find(&self, reference: &OciReference, strict: bool) -> Result<&LockedPlugin, LockRefusal> {
        let differs = |locked: &LockedPlugin, wanted: &Digest| LockRefusal::Differs {
            reference: reference.to_string(),
            locked: format!("{}@{}", locked.reference.repository, locked.manifest),
            wanted: wanted.clone(),
        };
        if let Some(entry) = self.get(reference) {
            return match &reference.digest {
                Some(wanted) if *wanted != entry.manifest => Err(differs(entry, wanted)),
                _ => Ok(entry),
            };
        }
        let Some(wanted) = &reference.digest else { return Err(LockRefusal::Missing(reference.clone())) };
        let of_repository = || self.plugins.values().filter(|entry| entry.reference.repository == reference.repository);
        if !strict && let Some(entry) = of_repository().find(|entry| entry.manifest == *wanted) {
            return Ok(entry);
        }
        let same_tag = |entry: &&LockedPlugin| reference.tag.is_some() && entry.reference.tag == reference.tag;
        match of_repository().find(same_tag) {
            Some(entry) if entry.manifest != *wanted => Err(differs(entry, wanted)),
            _ => Err(LockRefusal::Missing(reference.clone())),
        }
    }
}

impl LockedPlugin {
    /// The manifest by its digest.
    pub fn by_digest(&self) -> OciReference {
        self.reference.repository.at(&self.manifest)
    }

    /// Says if the component asks for more than was accepted.
    ///
    /// # Errors
    /// [`LockRefusal::MoreRights`] with the difference.
    pub fn check(&self, description: &PluginDescription) -> Result<(), LockRefusal> {
        self.check_rights(&description.can_use())
    }

    /// The same for a set of capabilities, such as those that a step grants.
    ///
    /// # Errors
    /// [`LockRefusal::MoreRights`] with the difference.
    pub fn check_rights(&self, asked: &BTreeSet<Capability>) -> Result<(), LockRefusal> {
        let more: BTreeSet<Capability> = asked.difference(&self.grants).copied().collect();
        if more.is_empty() {
            return Ok(());
        }
        Err(LockRefusal::MoreRights { reference: self.reference.to_string(), more, allowed: self.grants.clone() })
    }
}

fn reference<'de, D: Deserializer<'de>>(deserializer: D) -> Result<OciReference, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
}

fn grants<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeSet<Capability>, D::Error> {
    let names = Vec::<String>::deserialize(deserializer)?;
    let can_be_granted = || Capability::ALL.into_iter().filter(|capability| !capability.is_always_granted());
    let read = |name: &String| {
        can_be_granted().find(|capability| capability.yaml_key() == name).ok_or_else(|| {
            let all: Vec<&str> = can_be_granted().map(Capability::yaml_key).collect();
            D::Error::custom(format!("`{name}` cannot be granted; these can: {}", all.join(", ")))
        })
    };
    names.iter().map(read).collect()
}

fn wanted(capabilities: &BTreeSet<Capability>) -> String {
    let each = |capability: &Capability| format!("`{}` ({})", capability.yaml_key(), capability.summary());
    capabilities.iter().map(each).collect::<Vec<_>>().join(" and ")
}

fn listed(capabilities: &BTreeSet<Capability>) -> String {
    match capabilities.is_empty() {
        true => "nothing".to_owned(),
        false => {
            let names: Vec<String> = capabilities.iter().map(|name| format!("`{}`", name.yaml_key())).collect();
            format!("only {}", names.join(", "))
        }
    }
}

#[cfg(test)]
mod tests;
