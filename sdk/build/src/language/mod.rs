//! The languages that plugins are written in, a file for each.
//!
//! | language | sources | tools | made in between |
//! | --- | --- | --- | --- |
//! | Rust | a crate with `crate-type = ["cdylib"]` | cargo | `target/` |
//! | JavaScript, TypeScript | `src/plugin.js` or `src/plugin.ts` with what it imports | esbuild, then `componentize-qjs` or `componentize-js`, of `node_modules` | `target/oxide/plugin.js` |
//! | Python | `src/plugin.py` with what it imports | `componentize-py` | |
//! | C | `src/*.c` | `zig cc` | `oxide-sdk/bindings/`, `target/oxide/` |
//! | Go | a module, `package main` at its top | `go` | `oxide-sdk/{bindings,plugin,wit}/`, `target/oxide/` |
//!
//! The same source gives the same component with the same tools in Rust, C and Go. It does not in JavaScript and Python, whose
//! tools keep an interpreter that has started, with what it drew by chance.

pub mod c;
pub mod go;
pub mod javascript;
mod javascript_imports;
pub mod python;
mod quickjs_types;
pub mod rust;
mod typescript;

use std::{borrow::Cow, collections::BTreeMap, fmt, path::Path};

use serde::{Deserialize, Serialize};

use crate::{
    compile::CompileError,
    embed::{DocumentedWit, EmbedError},
    files::FileError,
    project::Project,
    tool::ToolError,
    toolchain::ToolchainError,
};

/// What a plugin is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// Rust.
    Rust,
    /// JavaScript, and TypeScript.
    #[serde(alias = "typescript")]
    JavaScript,
    /// Python.
    Python,
    /// C.
    C,
    /// Go.
    Go,
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Language::Rust => "Rust",
            Language::JavaScript => "JavaScript",
            Language::Python => "Python",
            Language::C => "C",
            Language::Go => "Go",
        })
    }
}

/// What runs JavaScript in a component.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// Small: 1.6 MB.
    #[default]
    QuickJs,
    /// With the interfaces of the web, such as `fetch`: 12 MB.
    StarlingMonkey,
}

/// A project to begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the languages")]
pub enum TemplateKind {
    Rust,
    JavaScript,
    TypeScript,
    Python,
    C,
    Go,
}

/// Why the code of a plugin did not become a component.
#[derive(Debug, thiserror::Error)]
pub enum LanguageError {
    /// There is no Rust for the target.
    #[error(transparent)]
    Rust(#[from] ToolchainError),
    /// Cargo did not build it.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// A program of the language is missing, too old, or failed.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// A file could not be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// Its WIT could not be used.
    #[error(transparent)]
    Wit(#[from] EmbedError),
    /// The source lacks something.
    #[error("{0}")]
    Source(String),
    /// The generator of bindings refused the world.
    #[error("no bindings can be made for the world: {0}")]
    Bindings(String),
    /// What the compiler made does not fit the world.
    #[error("what was compiled is no component of the world: {0}")]
    Component(String),
}

/// Files that the build makes of the world for a language, below `oxide-sdk/`.
pub(crate) type Generated = BTreeMap<String, Cow<'static, [u8]>>;

/// Makes the bindings of the languages whose compilers do not make them.
pub(crate) fn bindings(project: &Project, wit: &DocumentedWit) -> Result<Generated, LanguageError> {
    match project.language {
        Language::C => c::bindings(wit),
        Language::Go => go::bindings(wit),
        Language::JavaScript => Ok(typescript::bindings(wit, project.engine)),
        Language::Rust | Language::Python => Ok(Generated::new()),
    }
}

/// Builds the component, without what is embedded into it afterwards. `target_directory` is cargo's; the default is
/// `target` in the project.
pub(crate) fn build(
    project: &Project,
    wit: &DocumentedWit,
    target_directory: Option<&Path>,
) -> Result<Vec<u8>, LanguageError> {
    match project.language {
        Language::Rust => rust::build(project, target_directory),
        Language::JavaScript => javascript::build(project, wit),
        Language::Python => python::build(project, wit),
        Language::C => c::build(project, wit),
        Language::Go => go::build(project, wit),
    }
}

/// Turns a core module with the world's metadata into a component. What it uses of the older WASI becomes WASI 0.2.
fn component_of(module: &[u8]) -> Result<Vec<u8>, LanguageError> {
    use wasi_preview1_component_adapter_provider::{
        WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
    };
    let encode = || {
        wit_component::ComponentEncoder::default()
            .validate(true)
            .module(module)?
            .adapter(WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER)?
            .encode()
    };
    encode().map_err(|error| LanguageError::Component(format!("{error:#}")))
}

/// The files of a bindings generator.
fn generate(
    mut generator: Box<dyn wit_bindgen_core::WorldGenerator>,
    wit: &DocumentedWit,
) -> Result<Vec<(String, Vec<u8>)>, LanguageError> {
    let (mut resolve, world) = wit.copy();
    let mut files = wit_bindgen_core::Files::default();
    generator
        .generate(&mut resolve, world, &mut files)
        .map_err(|error| LanguageError::Bindings(format!("{error:#}")))?;
    Ok(files.iter().map(|(name, contents)| (name.to_owned(), contents.to_vec())).collect())
}
