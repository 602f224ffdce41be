//! The plugin that is tested, run by hand or measured: found, described, made ready to be called.

use std::{
    borrow::Cow,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use oxide_blobs::Blobs;
use oxide_core::plugin::PluginDescription;
use oxide_registry::{Catalog, ResolveError, read_component};
use oxide_runtime::{Plugin, PluginToLoad, Runtime, RuntimeConfig, environment::LogSink};

use crate::{compiling, failure::Failure};

/// A plugin as somebody named it.
pub struct Subject {
    /// As it was named.
    pub name: String,
    /// The component.
    pub bytes: Cow<'static, [u8]>,
    /// What is known of it.
    pub description: PluginDescription,
    /// It is part of the program.
    pub is_built_in: bool,
    /// The folder of the component; none for what is built in.
    pub folder: Option<PathBuf>,
}

/// What is no source of a plugin, wherever it lies.
const NOT_SOURCES: [&str; 12] = [
    "target",
    "node_modules",
    "deps",
    "cases",
    "oxide-sdk",
    "dist",
    "build",
    "__pycache__",
    "venv",
    "generated",
    "out",
    "tests",
];

/// The files that a plugin is made of have one of these endings.
const SOURCE_ENDINGS: [&str; 12] = ["wit", "rs", "toml", "js", "mjs", "ts", "json", "py", "go", "c", "h", "mod"];

impl Subject {
    /// Finds a `.wasm` file, a folder with `plugin.wasm`, or a built-in plugin.
    pub fn find(place: &Path) -> Result<Subject, Failure> {
        let name = place.display().to_string();
        let (bytes, folder) = if name.starts_with("oxide/") && !place.exists() {
            let found = Catalog::new(".").resolve(&name);
            (found.map_err(|error| Failure::usage(format!("could not find `{name}`")).because(&error))?.bytes, None)
        } else {
            let file = if place.is_dir() { place.join("plugin.wasm") } else { place.to_path_buf() };
            let bytes = read_component(&file).map_err(|error| unreadable(place, &file, &error))?;
            let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            (bytes.into(), Some(folder.to_path_buf()))
        };
        let description = oxide_runtime::describe(&bytes).map_err(|error| {
            let failure = Failure::unusable(format!("`{name}` is not a plugin")).because(&error);
            match error.hint() {
                Some(hint) => failure.hint(hint),
                None => failure,
            }
        })?;
        let is_built_in = folder.is_none();
        Ok(Subject { name, bytes, description, is_built_in, folder })
    }

    /// A source that is newer than the component, if there is one.
    pub fn newer_source(&self) -> Option<PathBuf> {
        let folder = self.folder.as_deref()?;
        // A component alone, such as one that was pulled, has no sources.
        let built = fs::metadata(folder.join("plugin.wasm")).and_then(|found| found.modified()).ok()?;
        if !folder.join("wit").is_dir() {
            return None;
        }
        newer_in(folder, built, 0)
    }

    /// Makes it ready to be called.
    pub async fn load(&self, runtime: &Runtime, log: &dyn LogSink) -> Result<Arc<Plugin>, Failure> {
        let plugin = PluginToLoad { name: &self.name, digest: &self.description.digest, is_built_in: self.is_built_in };
        let bytes = self.bytes.clone();
        runtime.load(plugin, move || Ok(bytes), log).await.map_err(|error| {
            let failure = Failure::unusable(format!("could not load plugin `{}`", self.name)).because(&error);
            match error.hint() {
                Some(hint) => failure.hint(hint),
                None => failure,
            }
        })
    }
}

/// A runtime whose compiled code is kept in this directory.
pub fn runtime(compiled: PathBuf, blobs: Option<Arc<Blobs>>) -> Result<Runtime, Failure> {
    let config = RuntimeConfig { cache_dir: compiled, compiler: compiling::compiler()?, blobs };
    Runtime::new(config).map_err(|error| {
        Failure::trouble("could not start the component runtime")
            .because(&error)
            .hint("name another data directory with `--data-dir DIR`")
    })
}

fn unreadable(place: &Path, file: &Path, error: &ResolveError) -> Failure {
    let failure = Failure::usage(format!("could not read `{}`", file.display()));
    let failure = match error {
        ResolveError::Read { cause, .. } => failure.because(cause),
        error => failure.because(error),
    };
    let text = place.display();
    match place.is_dir() {
        true => failure.hint(format!("build it first: `oxide plugin build {text}`")),
        false if place.exists() => failure.hint("name a `.wasm` file, or a folder with `plugin.wasm`"),
        false if place.extension().is_none_or(|extension| extension != "wasm") && text.to_string().contains('/') => {
            failure.hint(format!("if it is in a registry: `oxide plugin pull {text}` gets it as a file"))
        }
        false => failure.hint("name a `.wasm` file, a folder with `plugin.wasm`, or a built-in such as `oxide/run@1`"),
    }
}

fn newer_in(folder: &Path, built: SystemTime, depth: usize) -> Option<PathBuf> {
    let mut entries: Vec<_> = fs::read_dir(folder).ok()?.flatten().collect();
    entries.sort_by_key(|entry| entry.file_name());
    entries.into_iter().find_map(|entry| {
        let (name, path) = (entry.file_name(), entry.path());
        let name = name.to_string_lossy();
        let kind = entry.file_type().ok()?;
        if kind.is_dir() {
            let is_source = depth < 8 && !name.starts_with('.') && !NOT_SOURCES.contains(&&*name);
            return is_source.then(|| newer_in(&path, built, depth + 1)).flatten();
        }
        let is_source = path.extension().is_some_and(|ending| SOURCE_ENDINGS.iter().any(|known| ending == *known));
        let is_newer = || entry.metadata().and_then(|found| found.modified()).is_ok_and(|changed| changed > built);
        (is_source && !name.contains("lock") && is_newer()).then_some(path)
    })
}
