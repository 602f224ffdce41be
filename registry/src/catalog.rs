//! Finds plugins: by reference when a run is planned, by pin when a step runs.
//!
//! A file is read and hashed at both times, so that a step runs what was planned or fails; built-in plugins are trusted
//! as part of the program. A plugin of a registry is found by way of `oxide.lock` in the store of this machine; only
//! [`Catalog::supply`] talks to a registry.

mod supply;

use std::{
    borrow::Cow,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use oxide_core::{plan::PluginPin, quantity::hexadecimal};
use sha2::{Digest, Sha256};

use crate::{
    built_in::{BUILT_IN, BuiltIn},
    lock::{self, Lock, LockRefusal, LockedPlugin, file::LockFileError},
    oci::{Client, Digest as OciDigest, OciReference},
    reference::{Reference, ReferenceError},
    store::{PluginStore, StoreError},
};

/// The largest plugin file, in bytes: 64 MiB.
pub const PLUGIN_BYTES_MAX: u64 = 64 << 20;

/// Where the plugins of one project come from.
#[derive(Clone, Debug)]
pub struct Catalog {
    project: Project,
    store: Option<PluginStore>,
    registries: Option<Client>,
    strict: bool,
}

/// What plugins are looked for in.
#[derive(Clone, Debug)]
enum Project {
    /// A folder with the pipeline and its `oxide.lock`.
    Folder(PathBuf),
    /// No folder: a pipeline that is kept with its lock, such as those of a server.
    Stored(Box<Lock>),
}

/// A plugin that was found.
#[derive(Clone, PartialEq, Eq)]
pub struct ResolvedPlugin {
    /// As it stands behind `uses:`.
    pub reference: String,
    /// `sha256:` and the digest of the bytes as 64 hexadecimal digits.
    pub digest: String,
    /// The component.
    pub bytes: Cow<'static, [u8]>,
    /// It is part of the program, and so needs no grants.
    pub built_in: bool,
    /// What `oxide.lock` says of it, if it is in a registry.
    pub locked: Option<LockedPlugin>,
}

impl ResolvedPlugin {
    /// The reference with the digest, as the plan holds it.
    pub fn pin(&self) -> PluginPin {
        PluginPin { reference: self.reference.clone(), digest: self.digest.clone() }
    }
}

/// Why a reference leads to no plugin.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// The text names no plugin.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// There is no such built-in plugin, or not in this version.
    #[error("there is no built-in plugin `{reference}`{}; built in are: {all}", did_you_mean(suggestion))]
    UnknownBuiltIn {
        /// As it was written.
        reference: String,
        /// The one that was probably meant.
        suggestion: Option<String>,
        /// All of them, separated by commas.
        all: String,
    },
    /// It names no plugin as plugins are named here, but its last word is that of a built-in one.
    #[error("`{reference}` is not the name of a plugin (did you mean `{suggestion}`?)")]
    Foreign {
        /// As it was written.
        reference: String,
        /// The built-in plugin.
        suggestion: String,
    },
    /// `oxide.lock` cannot be used.
    #[error(transparent)]
    LockFile(#[from] LockFileError),
    /// `oxide.lock` does not let it be used.
    #[error(transparent)]
    Lock(#[from] LockRefusal),
    /// It is in a registry, and not as it should be on this machine.
    #[error("{cause}: `oxide plugin pull {by_digest}` fetches it{}", if matches!(**cause, StoreError::Changed { .. }) { " again" } else { "" })]
    Stored {
        /// It by the digest of its manifest.
        by_digest: OciReference,
        /// What is wrong.
        cause: Box<StoreError>,
    },
    /// It is in a registry, and nobody said where this machine keeps such plugins.
    #[error("`{0}` is in a registry: `oxide plugin pull {0} -o plugin.wasm` fetches it as a file")]
    NoStore(OciReference),
    /// It is a path, and there is no folder that it could be relative to.
    #[error(
        "`{0}` is a path, and a stored pipeline has no files: `oxide plugin push` puts the plugin into a registry, whose \
         reference can stand here"
    )]
    NoFolder(String),
    /// There is neither a file nor a folder.
    #[error("`{reference}` is not there: no file or folder {}", path.display())]
    Missing {
        /// As it was written.
        reference: String,
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The folder holds no component yet.
    #[error("`{reference}` has no plugin.wasm yet: `oxide plugin build {}` makes it", folder.display())]
    NotBuilt {
        /// As it was written.
        reference: String,
        /// The folder.
        folder: PathBuf,
    },
    /// The file is empty.
    #[error("{} is empty: build the plugin again", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The file is too large.
    #[error("{} is larger than {} MiB, the most that a plugin may have", path.display(), PLUGIN_BYTES_MAX >> 20)]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// The file could not be read.
    #[error("could not read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
}

/// Why a pinned plugin could not be had.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The reference leads to no plugin any more.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// It leads to another plugin than the one that was planned.
    #[error(
        "plugin `{reference}` has changed since the run was planned (planned {planned}, found {found}): start a new run"
    )]
    Changed {
        /// As it stands behind `uses:`.
        reference: String,
        /// The pinned digest.
        planned: String,
        /// The digest of what is there.
        found: String,
    },
}

impl Catalog {
    /// The catalog of the project in this folder, to which paths behind `uses:` are relative.
    pub fn new(project: impl Into<PathBuf>) -> Catalog {
        Catalog { project: Project::Folder(project.into()), store: None, registries: None, strict: false }
    }

    /// The catalog of a pipeline that is kept with its lock and without a folder: paths behind `uses:` lead nowhere.
    pub fn of_lock(lock: Lock) -> Catalog {
        Catalog { project: Project::Stored(Box::new(lock)), store: None, registries: None, strict: false }
    }

    /// The same with the store that plugins of registries are taken from.
    pub fn with_store(self, store: PluginStore) -> Catalog {
        Catalog { store: Some(store), ..self }
    }

    /// The same, and a reference must stand in `oxide.lock` exactly as it is written.
    pub fn strictly_locked(self, strict: bool) -> Catalog {
        Catalog { strict, ..self }
    }

    /// The lock of the project.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn lock(&self) -> Result<Lock, LockFileError> {
        match &self.project {
            Project::Folder(folder) => lock::file::read(folder),
            Project::Stored(lock) => Ok((**lock).clone()),
        }
    }

    /// What the lock says of a reference.
    ///
    /// # Errors
    /// If the lock cannot be used, or does not have it.
    pub fn locked(&self, reference: &OciReference) -> Result<LockedPlugin, ResolveError> {
        Ok(self.lock()?.find(reference, self.strict)?.clone())
    }

    /// The plugins that are part of the program, sorted by name.
    pub fn built_in() -> &'static [BuiltIn] {
        BUILT_IN
    }

    /// Is it part of the program?
    pub fn is_built_in(pin: &PluginPin) -> bool {
        BUILT_IN.iter().any(|plugin| plugin.digest == pin.digest)
    }

    /// Finds the plugin that a `uses:` names, and its digest.
    ///
    /// # Errors
    /// See [`ResolveError`].
    pub fn resolve(&self, reference: &str) -> Result<ResolvedPlugin, ResolveError> {
        let reference = reference.trim();
        let parsed = Reference::parse(reference).map_err(|error| foreign(&error).unwrap_or(error.into()))?;
        let found = |digest: String, bytes| ResolvedPlugin {
            reference: reference.to_owned(),
            digest,
            bytes,
            built_in: false,
            locked: None,
        };
        match parsed {
            Reference::BuiltIn { name, major } => {
                let plugin = find_built_in(reference, &name, major)?;
                let found = found(plugin.digest.to_owned(), Cow::Borrowed(plugin.bytes));
                Ok(ResolvedPlugin { built_in: true, ..found })
            }
            Reference::File(path) => {
                let bytes = read_component(&self.component_path(reference, &path)?)?;
                Ok(found(digest_of(&bytes), Cow::Owned(bytes)))
            }
            Reference::Oci(oci) => {
                let locked = self.locked(&oci)?;
                let bytes = self.stored(&locked.component, &oci, &locked.by_digest())?;
                let found = found(locked.component.to_string(), Cow::Owned(bytes));
                Ok(ResolvedPlugin { locked: Some(locked), ..found })
            }
        }
    }

    fn stored(
        &self,
        component: &OciDigest,
        reference: &OciReference,
        by_digest: &OciReference,
    ) -> Result<Vec<u8>, ResolveError> {
        let store = self.store.as_ref().ok_or_else(|| ResolveError::NoStore(reference.clone()))?;
        let loaded = store.load(component, PLUGIN_BYTES_MAX);
        loaded.map_err(|cause| ResolveError::Stored { by_digest: by_digest.clone(), cause: Box::new(cause) })
    }

    /// The bytes of a pinned plugin.
    ///
    /// # Errors
    /// [`FetchError::Changed`] if the bytes are not those that were pinned.
    pub fn fetch(&self, pin: &PluginPin) -> Result<Cow<'static, [u8]>, FetchError> {
        if let Some(plugin) = BUILT_IN.iter().find(|plugin| plugin.digest == pin.digest) {
            return Ok(Cow::Borrowed(plugin.bytes));
        }
        if let (Ok(Reference::Oci(reference)), Ok(component)) = (Reference::parse(&pin.reference), pin.digest.parse()) {
            // What was planned is run, even if the lock has changed since.
            let locked = self.locked(&reference).ok().filter(|locked| locked.component == component);
            let by_digest = locked.map_or_else(|| reference.clone(), |locked| locked.by_digest());
            return Ok(Cow::Owned(self.stored(&component, &reference, &by_digest)?));
        }
        let found = self.resolve(&pin.reference)?;
        if found.digest != pin.digest {
            return Err(FetchError::Changed {
                reference: pin.reference.clone(),
                planned: pin.digest.clone(),
                found: found.digest,
            });
        }
        Ok(found.bytes)
    }

    /// The file of a component: the path itself, or `plugin.wasm` in the folder that it names.
    fn component_path(&self, reference: &str, path: &str) -> Result<PathBuf, ResolveError> {
        let Project::Folder(folder) = &self.project else { return Err(ResolveError::NoFolder(reference.to_owned())) };
        let path = folder.join(path);
        if path.is_dir() {
            let component = path.join("plugin.wasm");
            if !component.exists() {
                return Err(ResolveError::NotBuilt { reference: reference.to_owned(), folder: tidy(&path) });
            }
            return Ok(tidy(&component));
        }
        if !path.exists() {
            return Err(ResolveError::Missing { reference: reference.to_owned(), path: tidy(&path) });
        }
        Ok(tidy(&path))
    }
}

/// The digest of a component as it is pinned: `sha256:` and 64 hexadecimal digits.
pub fn digest_of(bytes: &[u8]) -> String {
    format!("sha256:{}", hexadecimal(&Sha256::digest(bytes)))
}

fn find_built_in(reference: &str, name: &str, major: Option<u32>) -> Result<&'static BuiltIn, ResolveError> {
    if let Some(plugin) = BUILT_IN.iter().find(|plugin| plugin.name == name && Some(plugin.major) == major) {
        return Ok(plugin);
    }
    let same_name = BUILT_IN.iter().find(|plugin| plugin.name == name);
    let suggestion = same_name.or_else(|| {
        let closest = BUILT_IN.iter().map(|plugin| (strsim::damerau_levenshtein(plugin.name, name), plugin));
        closest.min_by_key(|(distance, _)| *distance).filter(|(distance, _)| *distance <= 3).map(|(_, plugin)| plugin)
    });
    Err(ResolveError::UnknownBuiltIn {
        reference: reference.to_owned(),
        suggestion: suggestion.map(BuiltIn::reference),
        all: BUILT_IN.iter().map(BuiltIn::reference).collect::<Vec<_>>().join(", "),
    })
}

/// Other systems name the same things in their own way: `somebody/checkout@v4`.
fn foreign(error: &ReferenceError) -> Option<ResolveError> {
    let ReferenceError::Unknown(reference) = error else { return None };
    let path = reference.split('@').next().unwrap_or(reference);
    let name = path.rsplit('/').next().unwrap_or(path).to_lowercase();
    let meant = BUILT_IN.iter().find(|plugin| plugin.name == name)?;
    Some(ResolveError::Foreign { reference: reference.clone(), suggestion: meant.reference() })
}

fn did_you_mean(suggestion: &Option<String>) -> String {
    suggestion.as_ref().map_or(String::new(), |reference| format!(" (did you mean `{reference}`?)"))
}

/// Reads a component, and no more than it may have: the file may be a device or grow while it is read.
///
/// # Errors
/// If it is not a regular file, is empty, has more than [`PLUGIN_BYTES_MAX`] bytes, or cannot be read.
pub fn read_component(path: &Path) -> Result<Vec<u8>, ResolveError> {
    let failed = |cause| ResolveError::Read { path: path.to_owned(), cause };
    let metadata = std::fs::metadata(path).map_err(failed)?;
    if !metadata.is_file() {
        return Err(failed(io::Error::other("it is not a regular file")));
    }
    if metadata.len() > PLUGIN_BYTES_MAX {
        return Err(ResolveError::TooLarge { path: path.to_owned() });
    }
    let mut bytes = Vec::with_capacity(metadata.len() as usize);
    File::open(path).and_then(|file| file.take(PLUGIN_BYTES_MAX + 1).read_to_end(&mut bytes)).map_err(failed)?;
    match bytes.len() as u64 {
        0 => Err(ResolveError::Empty { path: path.to_owned() }),
        length if length > PLUGIN_BYTES_MAX => Err(ResolveError::TooLarge { path: path.to_owned() }),
        _ => Ok(bytes),
    }
}

/// The path without `.` in its middle, as one would write it.
fn tidy(path: &Path) -> PathBuf {
    path.components().collect()
}

#[cfg(test)]
mod tests;
