//! From a plugin's source folder to a finished component.
//!
//! [`build_project`] builds a plugin in any language: [`project`] tells what the folder is, [`embedded`] holds the contract
//! and the SDKs that are written into it, [`language`] has a file for each language, and [`embed`] puts the documented WIT and
//! the facts of the manifest into the component, because no toolchain does. [`new_project`] makes a folder to begin with.
//!
//! [`build_workspace`] builds many plugins in Rust at once: [`toolchain`] finds a compiler for `wasm32-wasip2`, [`compile`]
//! runs cargo. The registry's build script makes the built-in plugins with it, `cargo xtask` the guests of the tests.

pub mod compile;
pub mod embed;
pub mod embedded;
pub mod files;
pub mod language;
pub mod new_project;
pub mod project;
mod project_build;
mod tool;
pub mod toolchain;

use std::path::{Path, PathBuf};

pub use embed::{EmbedError, Metadata, PLUGIN_SECTION, WIT_SECTION};
pub use files::FileError;
pub use project::{Project, ProjectError};
pub use project_build::{BuiltProject, ProjectBuildError, build_project, sync};
pub use tool::ToolError;
pub use toolchain::{ToolchainError, ensure_target};

/// A finished plugin.
#[derive(Clone, Debug)]
pub struct BuiltPlugin {
    /// The name of its Cargo package.
    pub package: String,
    /// The folder of its `Cargo.toml`.
    pub directory: PathBuf,
    /// The file that cargo made, without the embedded sections.
    pub wasm_path: PathBuf,
    /// What was embedded as [`PLUGIN_SECTION`].
    pub metadata: Metadata,
    /// The finished component, with the embedded sections.
    pub component: Vec<u8>,
}

/// Why a plugin could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// There is no compiler for the target.
    #[error("could not find a compiler for plugins")]
    Toolchain(#[from] toolchain::ToolchainError),
    /// Cargo did not build it.
    #[error("could not compile the plugins in {}", directory.display())]
    Compile {
        /// The folder of the workspace.
        directory: PathBuf,
        /// Why.
        #[source]
        cause: compile::CompileError,
    },
    /// Its WIT or its component could not be used.
    #[error("could not embed the documented WIT into plugin `{package}`")]
    Embed {
        /// The Cargo package.
        package: String,
        /// Why.
        #[source]
        cause: EmbedError,
    },
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
}

/// Builds every plugin (a package with a `cdylib`) of the Cargo workspace in `directory`, in release mode, below
/// `target_directory`. `contract` is the folder of the WIT package `oxide:ci`; the plugin's own world is in `wit/`
/// beside its `Cargo.toml`. The result is sorted by package. Cargo's progress and errors go to the standard error.
///
/// The same target directory may serve several workspaces: what they share is built once.
///
/// # Errors
/// See [`BuildError`].
pub fn build_workspace(
    directory: &Path,
    contract: &Path,
    target_directory: &Path,
) -> Result<Vec<BuiltPlugin>, BuildError> {
    let toolchain = toolchain::find()?;
    let compiled = compile::compile(&toolchain, directory, target_directory, compile::Scope::Workspace)
        .map_err(|cause| BuildError::Compile { directory: directory.to_owned(), cause })?;
    compiled.into_iter().map(|plugin| finish(plugin, contract)).collect()
}

/// Builds as [`build_workspace`] does and writes each finished component as `plugin.wasm` beside the plugin's
/// `Cargo.toml`, where `uses: ./folder` finds it. A file that would not change is left alone.
///
/// # Errors
/// See [`BuildError`].
pub fn build_and_write(
    directory: &Path,
    contract: &Path,
    target_directory: &Path,
) -> Result<Vec<BuiltPlugin>, BuildError> {
    let built = build_workspace(directory, contract, target_directory)?;
    for plugin in &built {
        files::write_if_changed(&plugin.directory.join("plugin.wasm"), &plugin.component)?;
    }
    Ok(built)
}

fn finish(plugin: compile::Compiled, contract: &Path) -> Result<BuiltPlugin, BuildError> {
    let raw = std::fs::read(&plugin.wasm_path).map_err(FileError::of("read", &plugin.wasm_path))?;
    let facts = embed::Facts {
        manifest: "Cargo.toml",
        version: plugin.version,
        license: plugin.license,
        source: plugin.source,
    };
    let embedded = embed::DocumentedWit::read(contract, &plugin.directory.join("wit"))
        .and_then(|wit| Ok((embed::embed(&raw, &wit, &facts)?, wit.metadata(&facts)?)));
    let (component, metadata) =
        embedded.map_err(|cause| BuildError::Embed { package: plugin.package.clone(), cause })?;
    Ok(BuiltPlugin {
        package: plugin.package,
        directory: plugin.directory,
        wasm_path: plugin.wasm_path,
        metadata,
        component,
    })
}
