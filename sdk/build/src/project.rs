//! The folder of a plugin: which language it is written in, and what its files say about it.
//!
//! The name and the version come from the WIT package; the licence and the repository from the manifest of the language, else
//! from `plugin.toml`.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use crate::{
    compile::{self, CompileError},
    files::read_bounded_text,
    language::{Engine, Language},
};

/// The settings of a project, optional: `plugin.toml`.
pub const SETTINGS_FILE: &str = "plugin.toml";

/// The folder of a plugin.
#[derive(Clone, Debug)]
pub struct Project {
    /// Where it is.
    pub directory: PathBuf,
    /// What it is written in.
    pub language: Language,
    /// What runs JavaScript in it.
    pub engine: Engine,
    /// Does its JavaScript send requests with `fetch`?
    pub fetch: bool,
    /// What the manifest and `plugin.toml` say.
    pub manifest: Manifest,
    /// Where it is published, a reference without tag such as `ghcr.io/acme/greet`.
    pub publish: Option<String>,
}

/// What the manifest of the language says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    /// Its name, such as `Cargo.toml`; none where the language has no manifest.
    pub file: Option<&'static str>,
    /// The version in it.
    pub version: Option<String>,
    /// The licence, an SPDX expression.
    pub license: Option<String>,
    /// Where the source is.
    pub source: Option<String>,
}

/// Why a folder is no plugin that can be built.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// There is no such folder.
    #[error("{} is no directory", .0.display())]
    NoDirectory(PathBuf),
    /// Nothing tells its language.
    #[error(
        "{} is no plugin: it has no Cargo.toml, package.json, pyproject.toml, go.mod, src/*.c, nor a plugin.toml with \
         `language`",
        .0.display()
    )]
    NoLanguage(PathBuf),
    /// There is no world.
    #[error("{} has no wit/world.wit, which says what the plugin takes, returns and asks for", .0.display())]
    NoWorld(PathBuf),
    /// A file could not be read.
    #[error("could not read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// A file says something that cannot be used.
    #[error("{} cannot be used: {message}", path.display())]
    Text {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// Cargo could not read its manifest.
    #[error("cargo could not read {}", path.display())]
    Cargo {
        /// The manifest.
        path: PathBuf,
        /// Why.
        #[source]
        cause: CompileError,
    },
}

impl ProjectError {
    /// What to type; none if there is nothing sure to say.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            ProjectError::NoDirectory(_) | ProjectError::NoLanguage(_) | ProjectError::NoWorld(_) => {
                Some("`oxide plugin new DIR --lang LANGUAGE` makes a project")
            }
            ProjectError::Text { path, .. } if path.ends_with(SETTINGS_FILE) => {
                Some("it may have `language`, `engine`, `fetch`, `license`, `source` and `publish`")
            }
            _ => None,
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Settings {
    language: Option<Language>,
    engine: Option<Engine>,
    fetch: Option<bool>,
    license: Option<String>,
    source: Option<String>,
    publish: Option<String>,
}

impl Project {
    /// Looks at a folder; nothing is changed.
    ///
    /// # Errors
    /// See [`ProjectError`].
    pub fn open(directory: &Path) -> Result<Project, ProjectError> {
        if !directory.is_dir() {
            return Err(ProjectError::NoDirectory(directory.to_owned()));
        }
        let settings = settings(directory)?;
        let language = settings.language.or_else(|| detect(directory));
        let language = language.ok_or_else(|| ProjectError::NoLanguage(directory.to_owned()))?;
        if !has_world(directory) {
            return Err(ProjectError::NoWorld(directory.to_owned()));
        }
        let engine = settings.engine.unwrap_or_default();
        let fetch = settings.fetch.unwrap_or(false);
        let unusable =
            |message: &str| ProjectError::Text { path: directory.join(SETTINGS_FILE), message: message.to_owned() };
        if language != Language::JavaScript && (settings.engine.is_some() || settings.fetch.is_some()) {
            return Err(unusable("only JavaScript has `engine` and `fetch`"));
        }
        if fetch && engine == Engine::QuickJs {
            return Err(unusable("`fetch = true` needs `engine = \"starlingmonkey\"`: QuickJS has no `fetch`"));
        }
        let mut manifest = manifest(directory, language)?;
        manifest.license = manifest.license.or(settings.license);
        manifest.source = manifest.source.or(settings.source);
        let directory = directory.to_owned();
        Ok(Project { directory, language, engine, fetch, manifest, publish: settings.publish })
    }

    /// The folder of its world.
    pub fn wit(&self) -> PathBuf {
        self.directory.join("wit")
    }

    /// What the build makes in between.
    pub(crate) fn intermediate(&self) -> PathBuf {
        self.directory.join("target/oxide")
    }

    /// Is it JavaScript with types?
    pub fn is_typescript(&self) -> bool {
        self.language == Language::JavaScript && self.directory.join("src/plugin.ts").is_file()
    }
}

fn settings(directory: &Path) -> Result<Settings, ProjectError> {
    let path = directory.join(SETTINGS_FILE);
    match read(&path)? {
        None => Ok(Settings::default()),
        Some(text) => toml::from_str(&text).map_err(|error| unusable(path, &error)),
    }
}

/// The language that a file in the folder tells.
fn detect(directory: &Path) -> Option<Language> {
    let markers = [
        ("Cargo.toml", Language::Rust),
        ("package.json", Language::JavaScript),
        ("pyproject.toml", Language::Python),
        ("go.mod", Language::Go),
    ];
    let by_manifest = markers.into_iter().find(|(file, _)| directory.join(file).is_file());
    by_manifest.map(|(_, language)| language).or_else(|| has_c(directory).then_some(Language::C))
}

fn has_c(directory: &Path) -> bool {
    has_file_with_ending(&directory.join("src"), "c")
}

fn has_world(directory: &Path) -> bool {
    has_file_with_ending(&directory.join("wit"), "wit")
}

fn has_file_with_ending(folder: &Path, ending: &str) -> bool {
    let Ok(entries) = fs::read_dir(folder) else { return false };
    entries.flatten().any(|entry| entry.path().extension().is_some_and(|found| found == ending))
}

fn manifest(directory: &Path, language: Language) -> Result<Manifest, ProjectError> {
    match language {
        Language::Rust => cargo_manifest(directory),
        Language::JavaScript => package_json(directory),
        Language::Python => pyproject(directory),
        Language::C | Language::Go => Ok(Manifest::default()),
    }
}

fn cargo_manifest(directory: &Path) -> Result<Manifest, ProjectError> {
    let path = directory.join("Cargo.toml");
    // Cargo would read it whatever it is.
    read(&path)?;
    let package = compile::package_at(directory).map_err(|cause| ProjectError::Cargo { path: path.clone(), cause })?;
    let Some(package) = package else {
        let message = "it has no package in this folder: build the folder of one plugin".to_owned();
        return Err(ProjectError::Text { path, message });
    };
    Ok(Manifest {
        file: Some("Cargo.toml"),
        version: Some(package.version),
        license: package.license,
        source: package.repository,
    })
}

fn package_json(directory: &Path) -> Result<Manifest, ProjectError> {
    #[derive(Deserialize)]
    struct Package {
        version: Option<String>,
        license: Option<String>,
        repository: Option<Repository>,
    }
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Repository {
        Text(String),
        Table { url: String },
    }
    let path = directory.join("package.json");
    let text = read(&path)?.unwrap_or_else(|| "{}".to_owned());
    let package: Package = serde_json::from_str(&text).map_err(|error| unusable(path, &error))?;
    let source = package.repository.map(|repository| match repository {
        Repository::Text(url) | Repository::Table { url } => {
            let url = url.strip_prefix("git+").unwrap_or(&url);
            url.strip_suffix(".git").unwrap_or(url).to_owned()
        }
    });
    Ok(Manifest { file: Some("package.json"), version: package.version, license: package.license, source })
}

fn pyproject(directory: &Path) -> Result<Manifest, ProjectError> {
    #[derive(Deserialize, Default)]
    struct File {
        #[serde(default)]
        project: Table,
    }
    #[derive(Deserialize, Default)]
    struct Table {
        version: Option<String>,
        license: Option<License>,
        #[serde(default)]
        urls: std::collections::BTreeMap<String, String>,
    }
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum License {
        Expression(String),
        /// The form of old; the text of a file is no SPDX expression.
        Table {
            text: Option<String>,
        },
    }
    let path = directory.join("pyproject.toml");
    let text = read(&path)?.unwrap_or_default();
    let File { project } = toml::from_str(&text).map_err(|error| unusable(path, &error))?;
    let is_source = |label: &str| matches!(label.to_lowercase().as_str(), "repository" | "source" | "source code");
    let source = project.urls.into_iter().find(|(label, _)| is_source(label)).map(|(_, url)| url);
    let license = project.license.and_then(|license| match license {
        License::Expression(text) => Some(text),
        License::Table { text } => text,
    });
    Ok(Manifest { file: Some("pyproject.toml"), version: project.version, license, source })
}

/// The text of a file; none if it is not there.
fn read(path: &Path) -> Result<Option<String>, ProjectError> {
    match read_bounded_text(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(ProjectError::Read { path: path.to_owned(), cause }),
    }
}

fn unusable(path: PathBuf, error: &dyn std::fmt::Display) -> ProjectError {
    ProjectError::Text { path, message: error.to_string().trim_end().to_owned() }
}

#[cfg(test)]
mod tests;
