//! Builds the plugin of a folder, whatever its language, and writes `plugin.wasm` there.

use std::{
    borrow::Cow,
    path::{Path, PathBuf},
};

use crate::{
    embed::{self, DocumentedWit, EmbedError, Facts, Metadata},
    embedded,
    files::{FileError, mirror, write},
    language::{self, Language, LanguageError},
    project::{Project, ProjectError},
};

/// The component that the build makes, in the folder of the project.
pub const COMPONENT_FILE: &str = "plugin.wasm";

/// A plugin that was built.
#[derive(Clone, Debug)]
pub struct BuiltProject {
    /// What was built.
    pub project: Project,
    /// Where the component was written.
    pub path: PathBuf,
    /// What was embedded about it.
    pub metadata: Metadata,
    /// The component.
    pub component: Vec<u8>,
}

/// Why a project was not built.
#[derive(Debug, thiserror::Error)]
pub enum ProjectBuildError {
    /// The folder is no project.
    #[error(transparent)]
    Project(#[from] ProjectError),
    /// Its WIT cannot be used.
    #[error(transparent)]
    Wit(#[from] EmbedError),
    /// The contract or the SDK could not be written into it.
    #[error(transparent)]
    File(#[from] FileError),
    /// Its code did not become a component.
    #[error("its code, which is written in {language}, did not become a component")]
    Language {
        /// Its language.
        language: Language,
        /// Why.
        #[source]
        cause: LanguageError,
    },
}

impl ProjectBuildError {
    /// What to type; none if there is nothing sure to say.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            ProjectBuildError::Project(error) => error.hint(),
            ProjectBuildError::Wit(EmbedError::World { .. } | EmbedError::Wit { .. }) => {
                Some("a world is like that in examples/changelog: `include oxide:ci/plugin@0.1.0;` and `export run`")
            }
            _ => None,
        }
    }
}

/// Builds the plugin in a folder and writes [`COMPONENT_FILE`] there. What tools print goes to the standard error.
/// `target_directory` is cargo's, for a plugin in Rust; the default is `target` in the folder.
///
/// # Errors
/// See [`ProjectBuildError`].
pub fn build_project(directory: &Path, target_directory: Option<&Path>) -> Result<BuiltProject, ProjectBuildError> {
    let project = Project::open(directory)?;
    let wit = sync(&project)?;
    let facts = facts(&project, &wit)?;
    let metadata = wit.metadata(&facts)?;
    let failed = |cause| ProjectBuildError::Language { language: project.language, cause };
    let raw = language::build(&project, &wit, target_directory).map_err(failed)?;
    let component = embed::embed(&raw, &wit, &facts)?;
    let path = directory.join(COMPONENT_FILE);
    // Also where nothing changed: its time tells that it is as new as its sources.
    write(&path, &component)?;
    Ok(BuiltProject { project, path, metadata, component })
}

/// Writes into the project what this program embeds: the contract as `wit/deps/oxide-ci/`, the SDK of its language and the
/// bindings of its world as `oxide-sdk/`. Files that would not change are left alone. Answers with the parsed WIT.
///
/// # Errors
/// See [`ProjectBuildError`].
pub fn sync(project: &Project) -> Result<DocumentedWit, ProjectBuildError> {
    let list = |files: &'static [embedded::EmbeddedFile]| {
        files.iter().map(|file| (file.path.to_owned(), Cow::Borrowed(file.contents))).collect()
    };
    mirror(&project.wit().join("deps/oxide-ci"), &list(embedded::contract()))?;
    let wit = DocumentedWit::read_with_dependencies(&project.wit())?;
    let mut sdk: language::Generated = list(embedded::sdk(project.language));
    if project.language == Language::Rust {
        // The SDK generates its own bindings of the contract.
        let contract = embedded::contract().iter();
        sdk.extend(contract.map(|file| (format!("wit/{}", file.path), Cow::Borrowed(file.contents))));
    }
    let bindings = language::bindings(project, &wit);
    sdk.extend(bindings.map_err(|cause| ProjectBuildError::Language { language: project.language, cause })?);
    mirror(&project.directory.join("oxide-sdk"), &sdk)?;
    Ok(wit)
}

/// The version is that of the WIT package, with which the manifest must agree if it has one.
fn facts(project: &Project, wit: &DocumentedWit) -> Result<Facts, EmbedError> {
    let own = wit.version()?;
    let manifest = &project.manifest;
    Ok(Facts {
        manifest: manifest.file.unwrap_or("the manifest"),
        version: manifest.version.clone().unwrap_or(own),
        license: manifest.license.clone(),
        source: manifest.source.clone(),
    })
}
