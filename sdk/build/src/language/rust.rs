//! Rust: cargo makes the component.

use std::path::Path;

use super::LanguageError;
use crate::{
    compile::{self, Scope},
    files::FileError,
    project::Project,
    toolchain,
};

/// Builds the package of the project, and no other of its workspace.
pub(super) fn build(project: &Project, target_directory: Option<&Path>) -> Result<Vec<u8>, LanguageError> {
    let toolchain = toolchain::find()?;
    let own = project.directory.join("target");
    let target_directory = target_directory.unwrap_or(&own);
    let compiled = compile::compile(&toolchain, &project.directory, target_directory, Scope::Package)?;
    let [plugin] = compiled.as_slice() else { return Err(compile::CompileError::NoPlugin.into()) };
    std::fs::read(&plugin.wasm_path).map_err(|cause| FileError::of("read", &plugin.wasm_path)(cause).into())
}
