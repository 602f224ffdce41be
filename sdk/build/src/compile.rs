//! Runs cargo on a workspace of plugins and tells which file is whose component.
//!
//! The environment of an outer cargo is taken away first, so that a build script and a terminal build the same.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde::Deserialize;

use crate::toolchain::{TARGET, Toolchain, clean_environment};

/// A plugin that was compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compiled {
    /// The name of the Cargo package.
    pub package: String,
    /// Its version.
    pub version: String,
    /// Its licence, if it has one.
    pub license: Option<String>,
    /// Its repository, if it has one.
    pub source: Option<String>,
    /// The folder of its `Cargo.toml`.
    pub directory: PathBuf,
    /// The component as cargo made it.
    pub wasm_path: PathBuf,
}

/// Why the workspace was not compiled.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// Cargo could not be started.
    #[error("could not run `cargo`: install Rust from https://rustup.rs")]
    NoCargo(#[source] std::io::Error),
    /// Cargo ended with an error.
    #[error("`cargo {subcommand}` failed: {message}")]
    Cargo {
        /// `metadata` or `build`.
        subcommand: &'static str,
        /// What it said, or where it said it.
        message: String,
    },
    /// Cargo answered in a form that is not known.
    #[error("`cargo {subcommand}` answered something unexpected")]
    Answer {
        /// `metadata` or `build`.
        subcommand: &'static str,
        /// Why it could not be read.
        #[source]
        cause: serde_json::Error,
    },
    /// No package makes a component.
    #[error("no package makes a component: write `[lib] crate-type = [\"cdylib\"]` into its Cargo.toml")]
    NoPlugin,
}

#[derive(Deserialize)]
struct Workspace {
    packages: Vec<Package>,
}

/// What cargo says of a package.
#[derive(Deserialize)]
pub(crate) struct Package {
    name: String,
    pub(crate) version: String,
    pub(crate) license: Option<String>,
    pub(crate) repository: Option<String>,
    manifest_path: PathBuf,
    targets: Vec<PackageTarget>,
}

#[derive(Deserialize)]
struct PackageTarget {
    crate_types: Vec<String>,
}

/// One line of `cargo build --message-format json`; other reasons lack these fields.
#[derive(Deserialize)]
struct Message {
    reason: String,
    #[serde(default)]
    manifest_path: PathBuf,
    #[serde(default)]
    filenames: Vec<PathBuf>,
}

/// Which packages are built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All of the workspace that the folder belongs to.
    Workspace,
    /// That of the folder alone.
    Package,
}

/// The package whose `Cargo.toml` lies in this folder; none if there is only a workspace.
pub(crate) fn package_at(directory: &Path) -> Result<Option<Package>, CompileError> {
    let Ok(manifest) = directory.join("Cargo.toml").canonicalize() else { return Ok(None) };
    Ok(packages(directory)?.into_iter().find(|package| package.manifest_path == manifest))
}

/// Builds the packages of `directory` for the target in release mode and returns those that are plugins, sorted by
/// package.
///
/// # Errors
/// See [`CompileError`]. The compiler's own messages go to the standard error.
pub fn compile(
    toolchain: &Toolchain,
    directory: &Path,
    target_directory: &Path,
    scope: Scope,
) -> Result<Vec<Compiled>, CompileError> {
    let mut plugins = match scope {
        Scope::Workspace => packages(directory)?,
        Scope::Package => package_at(directory)?.into_iter().collect(),
    };
    plugins.retain(|package| {
        let mut crate_types = package.targets.iter().flat_map(|target| &target.crate_types);
        crate_types.any(|crate_type| crate_type == "cdylib")
    });
    let messages = build(toolchain, directory, target_directory, scope)?;
    let mut compiled: Vec<Compiled> =
        plugins.into_iter().filter_map(|package| with_component(package, &messages)).collect();
    if compiled.is_empty() {
        return Err(CompileError::NoPlugin);
    }
    compiled.sort_by(|a, b| a.package.cmp(&b.package));
    Ok(compiled)
}

fn with_component(package: Package, messages: &[Message]) -> Option<Compiled> {
    let mut files = messages
        .iter()
        .filter(|message| message.manifest_path == package.manifest_path)
        .flat_map(|made| &made.filenames);
    let wasm_path = files.find(|file| file.extension().is_some_and(|ending| ending == "wasm"))?.clone();
    Some(Compiled {
        directory: package.manifest_path.parent()?.to_owned(),
        package: package.name,
        version: package.version,
        license: package.license,
        source: package.repository,
        wasm_path,
    })
}

fn packages(directory: &Path) -> Result<Vec<Package>, CompileError> {
    let mut cargo = cargo(directory);
    cargo.args(["metadata", "--no-deps", "--format-version", "1"]);
    let output = cargo.output().map_err(CompileError::NoCargo)?;
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(CompileError::Cargo { subcommand: "metadata", message });
    }
    let workspace: Workspace = serde_json::from_slice(&output.stdout)
        .map_err(|cause| CompileError::Answer { subcommand: "metadata", cause })?;
    Ok(workspace.packages)
}

fn build(
    toolchain: &Toolchain,
    directory: &Path,
    target_directory: &Path,
    scope: Scope,
) -> Result<Vec<Message>, CompileError> {
    // Cargo runs in another folder than we do.
    let target_directory = std::path::absolute(target_directory).map_err(CompileError::NoCargo)?;
    let mut cargo = cargo(directory);
    cargo.args(["build", "--release", "--lib", "--target", TARGET]);
    if scope == Scope::Workspace {
        cargo.arg("--workspace");
    }
    cargo.args(["--message-format", "json-render-diagnostics"]);
    cargo.arg("--target-dir").arg(target_directory).stderr(Stdio::inherit());
    toolchain.prepare(&mut cargo, &path_flags());
    let output = cargo.output().map_err(CompileError::NoCargo)?;
    if !output.status.success() {
        let message = "its messages are above".to_owned();
        return Err(CompileError::Cargo { subcommand: "build", message });
    }
    let lines = output.stdout.split(|byte| *byte == b'\n').filter(|line| line.starts_with(b"{"));
    let messages: Result<Vec<Message>, _> = lines.map(serde_json::from_slice).collect();
    let mut messages = messages.map_err(|cause| CompileError::Answer { subcommand: "build", cause })?;
    messages.retain(|message| message.reason == "compiler-artifact");
    Ok(messages)
}

fn cargo(directory: &Path) -> Command {
    let mut cargo = Command::new("cargo");
    clean_environment(&mut cargo);
    cargo.current_dir(directory);
    cargo
}

/// Panic messages name source files: those of dependencies shall not tell where somebody's home is, and the same source
/// shall give the same component there and here.
fn path_flags() -> Vec<String> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    home.map(|home| format!("--remap-path-prefix={}=/cargo", home.display())).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_plugins_are_packages_with_a_component() {
        let plugins = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins");
        let names: Vec<String> = packages(&plugins).unwrap().into_iter().map(|package| package.name).collect();
        assert!(names.contains(&"run".to_owned()) && names.contains(&"checkout".to_owned()), "{names:?}");
    }

    #[test]
    fn a_folder_without_cargo_toml_is_told_in_cargos_words() {
        let folder = tempfile::tempdir().unwrap();
        let error = packages(folder.path()).err().unwrap().to_string();
        assert!(error.contains("Cargo.toml"), "{error}");
    }
}
