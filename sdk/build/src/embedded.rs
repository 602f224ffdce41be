//! What the program holds of the contract, of the SDKs and of the templates.
//!
//! | in the repository | embedded as | in a project |
//! | --- | --- | --- |
//! | `wit/*.wit` | [`contract`] | `wit/deps/oxide-ci/` |
//! | `sdk/<language>/` without `template*/`, `tests/`, `README.md` | [`sdk`] | `oxide-sdk/` |
//! | `sdk/<language>/template/` | [`template`] | the project itself, names replaced |
//! | `sdk/javascript/template-typescript/` | [`template`] | the same |
//!
//! The build script lists the files; what tools make (`target`, `node_modules`, …) is left out.

use crate::language::{Language, TemplateKind};

/// A file of the repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EmbeddedFile {
    /// Relative to its folder, with `/`.
    pub path: &'static str,
    /// What is in it.
    pub contents: &'static [u8],
}

include!(concat!(env!("OUT_DIR"), "/embedded.rs"));

/// The WIT package `oxide:ci`.
pub fn contract() -> &'static [EmbeddedFile] {
    CONTRACT
}

/// The SDK of a language.
pub fn sdk(language: Language) -> &'static [EmbeddedFile] {
    match language {
        Language::Rust => RUST,
        Language::JavaScript => JAVASCRIPT,
        Language::Python => PYTHON,
        Language::C => C,
        Language::Go => GO,
    }
}

/// A project to begin with.
pub fn template(kind: TemplateKind) -> &'static [EmbeddedFile] {
    match kind {
        TemplateKind::Rust => RUST_TEMPLATE,
        TemplateKind::JavaScript => JAVASCRIPT_TEMPLATE,
        TemplateKind::TypeScript => JAVASCRIPT_TEMPLATE_TYPESCRIPT,
        TemplateKind::Python => PYTHON_TEMPLATE,
        TemplateKind::C => C_TEMPLATE,
        TemplateKind::Go => GO_TEMPLATE,
    }
}
