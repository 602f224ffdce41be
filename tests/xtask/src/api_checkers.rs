//! Programs of others that read the descriptions of our API: schemathesis asks a server everything that its OpenAPI document
//! says, and the official parser of AsyncAPI reads that of the events.

use std::path::PathBuf;

use crate::{
    packages,
    tools::{Outcome, root, target},
};

/// The parser of AsyncAPI documents.
const PARSER: &str = "@asyncapi/parser@3.6.3";

/// Installs what is not there in its version. Answers with the folder of the Python packages (`python`) and of those of
/// JavaScript (`npm/node_modules`).
pub fn ensure() -> Outcome<PathBuf> {
    let folder = target().join("tools/api-checkers");
    let file = root().join("tests/end_to_end/api_conformance.txt");
    let packages =
        std::fs::read_to_string(&file).map_err(|error| format!("could not read {}: {error}", file.display()))?;
    packages::install_once(&folder.join("python"), &packages, |folder| packages::pip_file(folder, &file))?;
    packages::install_once(&folder.join("npm"), PARSER, |folder| packages::npm(folder, &[PARSER]))?;
    Ok(folder)
}
