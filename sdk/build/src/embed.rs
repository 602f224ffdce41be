//! Embeds a plugin's documented WIT and the facts of its manifest into its component, as custom sections.
//!
//! The finished component then tells its own help texts: a component's type holds no doc comments, so no toolchain
//! keeps them. The runtime reads both sections and works without them.

use std::{borrow::Cow, fs, ops::Range, path::Path};

use serde::{Deserialize, Serialize};
use wasm_encoder::{ComponentSection, CustomSection};
use wasmparser::BinaryReader;
use wit_parser::{Function, PackageId, Resolve, World, WorldId, WorldItem, WorldKey};

use crate::files::{FileError, read_bounded};

/// The custom section that holds the plugin's WIT package in its binary encoding, doc comments included.
pub const WIT_SECTION: &str = "oxide:wit";
/// The custom section that holds [`Metadata`] as JSON.
pub const PLUGIN_SECTION: &str = "oxide:plugin";

/// The name of the contract's WIT package, without version.
const CONTRACT: (&str, &str) = ("oxide", "ci");

/// What the manifest of its language says about a plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The name of the manifest, such as `Cargo.toml`.
    pub manifest: &'static str,
    /// The version in it.
    pub version: String,
    /// Its licence, an SPDX expression.
    pub license: Option<String>,
    /// Its repository.
    pub source: Option<String>,
}

/// What the section [`PLUGIN_SECTION`] says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// The name of the WIT package, such as `acme:greet`.
    pub name: String,
    /// The version, such as `0.1.0`.
    pub version: String,
    /// The licence, an SPDX expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
    /// Where the source is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The version of the contract `oxide:ci` that its world uses; none if it uses none of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contract: Option<String>,
    /// The name of its world.
    pub world: String,
}

/// Why nothing could be embedded.
#[derive(Debug, thiserror::Error)]
pub enum EmbedError {
    /// The WIT could not be parsed or resolved. The text is a compiler-like message.
    #[error("the WIT in {path} cannot be used: {message}")]
    Wit {
        /// The folder.
        path: String,
        /// What is wrong, with the place.
        message: String,
    },
    /// A file of the WIT is not read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The package has several worlds, and not exactly one of them exports `run`.
    #[error("the WIT package {package} has the worlds {worlds}: keep one that exports `run`")]
    World {
        /// The package.
        package: String,
        /// The names of the worlds; `none` if there are none.
        worlds: String,
    },
    /// The WIT package has no version, and nothing else has one.
    #[error("the WIT package {package} has no version: write `package {package}@0.1.0;`")]
    NoVersion {
        /// The package.
        package: String,
    },
    /// The manifest and the WIT package say different versions.
    #[error("{manifest} says version {version}, the WIT package {package} says {wit}: make them the same")]
    Version {
        /// The package.
        package: String,
        /// The name of the manifest.
        manifest: &'static str,
        /// The version in it.
        version: String,
        /// That of the WIT package.
        wit: String,
    },
    /// The bytes are not a component.
    #[error("the file is not a WebAssembly component: {0}")]
    NotAComponent(String),
    /// The WIT could not be encoded.
    #[error("the WIT could not be encoded: {0}")]
    Encode(String),
}

/// A plugin's WIT package, parsed together with the contract.
pub struct DocumentedWit {
    resolve: Resolve,
    package: PackageId,
    world: WorldId,
}

impl DocumentedWit {
    /// Reads the contract from one folder and the plugin's package, with its own `deps/` if there are any, from
    /// another.
    ///
    /// # Errors
    /// [`EmbedError::File`], [`EmbedError::Wit`] and [`EmbedError::World`].
    pub fn read(contract: &Path, plugin: &Path) -> Result<DocumentedWit, EmbedError> {
        let mut resolve = Resolve::default();
        push(&mut resolve, contract)?;
        let package = push(&mut resolve, plugin)?;
        let world = the_world(&resolve, package)?;
        Ok(DocumentedWit { resolve, package, world })
    }

    /// Reads the plugin's package from a folder that has the contract in `deps/`.
    ///
    /// # Errors
    /// [`EmbedError::File`], [`EmbedError::Wit`] and [`EmbedError::World`].
    pub fn read_with_dependencies(plugin: &Path) -> Result<DocumentedWit, EmbedError> {
        let mut resolve = Resolve::default();
        let package = push(&mut resolve, plugin)?;
        let world = the_world(&resolve, package)?;
        Ok(DocumentedWit { resolve, package, world })
    }

    /// The name of its world.
    pub fn world_name(&self) -> &str {
        &self.resolve.worlds[self.world].name
    }

    /// The version of its package.
    ///
    /// # Errors
    /// [`EmbedError::NoVersion`].
    pub fn version(&self) -> Result<String, EmbedError> {
        let name = &self.resolve.packages[self.package].name;
        let version = name.version.as_ref().map(ToString::to_string);
        version.ok_or_else(|| EmbedError::NoVersion { package: name.to_string() })
    }

    /// The WIT for a generator, which may change it, and the world in it.
    pub(crate) fn copy(&self) -> (Resolve, WorldId) {
        (self.resolve.clone(), self.world)
    }

    /// The function `run` of the world.
    pub(crate) fn run(&self) -> Option<&Function> {
        self.resolve.worlds[self.world].exports.iter().find_map(|(key, item)| match (key, item) {
            (WorldKey::Name(name), WorldItem::Function(function)) if name == "run" => Some(function),
            _ => None,
        })
    }

    /// All that was parsed.
    pub(crate) fn resolve(&self) -> &Resolve {
        &self.resolve
    }

    /// What is embedded about the plugin.
    ///
    /// # Errors
    /// [`EmbedError::Version`].
    pub fn metadata(&self, facts: &Facts) -> Result<Metadata, EmbedError> {
        let name = &self.resolve.packages[self.package].name;
        if let Some(wit) = name.version.as_ref().map(ToString::to_string).filter(|wit| *wit != facts.version) {
            let Facts { manifest, version, .. } = facts.clone();
            return Err(EmbedError::Version { package: name.to_string(), manifest, version, wit });
        }
        Ok(Metadata {
            name: format!("{}:{}", name.namespace, name.name),
            version: facts.version.clone(),
            license: facts.license.clone(),
            source: facts.source.clone(),
            contract: self.contract_version(),
            world: self.resolve.worlds[self.world].name.clone(),
        })
    }

    /// The version of the contract among what the world imports and exports.
    fn contract_version(&self) -> Option<String> {
        let World { imports, exports, .. } = &self.resolve.worlds[self.world];
        imports.keys().chain(exports.keys()).find_map(|key| {
            let WorldKey::Interface(id) = key else { return None };
            let name = &self.resolve.packages[self.resolve.interfaces[*id].package?].name;
            ((name.namespace.as_str(), name.name.as_str()) == CONTRACT)
                .then(|| name.version.as_ref().map(ToString::to_string))?
        })
    }

    fn encode(&self) -> Result<Vec<u8>, EmbedError> {
        wit_component::encode(&self.resolve, self.package).map_err(|error| EmbedError::Encode(format!("{error:#}")))
    }
}

fn push(resolve: &mut Resolve, path: &Path) -> Result<PackageId, EmbedError> {
    check_files(path, 0)?;
    match resolve.push_path(path) {
        Ok((package, _)) => Ok(package),
        Err(error) => Err(EmbedError::Wit { path: path.display().to_string(), message: resolve.render_error(&error) }),
    }
}

/// Refuses files that the parser would read whatever they are. It reads those of a folder, of `deps/`, and of the folders in that.
fn check_files(folder: &Path, depth: usize) -> Result<(), FileError> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            if depth < 2 {
                check_files(&path, depth + 1)?;
            }
        } else if path.extension().is_some_and(|ending| ["wit", "wat", "wasm"].iter().any(|known| ending == *known)) {
            read_bounded(&path).map_err(FileError::of("read", &path))?;
        }
    }
    Ok(())
}

fn the_world(resolve: &Resolve, package: PackageId) -> Result<WorldId, EmbedError> {
    let worlds = &resolve.packages[package].worlds;
    if worlds.len() == 1 {
        return Ok(worlds[0]);
    }
    let exports_run = |world: &&WorldId| {
        let mut exports = resolve.worlds[**world].exports.iter();
        exports.any(|(key, item)| *key == WorldKey::Name("run".to_owned()) && matches!(item, WorldItem::Function(_)))
    };
    let mut with_run = worlds.values().filter(exports_run);
    match (with_run.next(), with_run.next()) {
        (Some(world), None) => Ok(*world),
        _ => {
            let names: Vec<&str> = worlds.keys().map(String::as_str).collect();
            let worlds = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            Err(EmbedError::World { package: resolve.packages[package].name.to_string(), worlds })
        }
    }
}

/// The component with both sections at its end; sections of those names that it had are replaced. The same component,
/// WIT and facts give the same bytes.
///
/// # Errors
/// See [`EmbedError`].
pub fn embed(component: &[u8], wit: &DocumentedWit, facts: &Facts) -> Result<Vec<u8>, EmbedError> {
    let metadata = serde_json::to_vec(&wit.metadata(facts)?).map_err(|error| EmbedError::Encode(error.to_string()))?;
    let mut finished = without_our_sections(component)?;
    for (name, data) in [(WIT_SECTION, wit.encode()?), (PLUGIN_SECTION, metadata)] {
        CustomSection { name: Cow::Borrowed(name), data: Cow::Owned(data) }.append_to_component(&mut finished);
    }
    Ok(finished)
}

/// The contents of a custom section at the top of a component; none if it has no such section.
///
/// # Errors
/// [`EmbedError::NotAComponent`].
pub fn section<'a>(component: &'a [u8], name: &str) -> Result<Option<&'a [u8]>, EmbedError> {
    let sections = top_sections(component)?;
    Ok(sections.iter().find(|section| section.custom == Some(name)).map(|section| &component[section.data.clone()]))
}

fn without_our_sections(component: &[u8]) -> Result<Vec<u8>, EmbedError> {
    let sections = top_sections(component)?;
    let mut kept = Vec::with_capacity(component.len());
    kept.extend_from_slice(&component[..HEADER_BYTES]);
    for section in sections {
        if !matches!(section.custom, Some(WIT_SECTION | PLUGIN_SECTION)) {
            kept.extend_from_slice(&component[section.whole]);
        }
    }
    Ok(kept)
}

/// The magic number and the version that a component begins with.
const HEADER_BYTES: usize = 8;

struct TopSection<'a> {
    /// All bytes of the section.
    whole: Range<usize>,
    /// Its name, if it is a custom section.
    custom: Option<&'a str>,
    /// The bytes after its size and name.
    data: Range<usize>,
}

/// The sections of the component itself, not those of the modules and components in it.
fn top_sections(component: &[u8]) -> Result<Vec<TopSection<'_>>, EmbedError> {
    if !wasmparser::Parser::is_component(component) {
        return Err(EmbedError::NotAComponent("it does not begin as one".to_owned()));
    }
    let cut_short = |error: wasmparser::BinaryReaderError| EmbedError::NotAComponent(error.to_string());
    let mut reader = BinaryReader::new(&component[HEADER_BYTES..], HEADER_BYTES);
    let mut sections = Vec::new();
    while !reader.eof() {
        let start = reader.original_position();
        let id = reader.read_u8().map_err(cut_short)?;
        let size = reader.read_var_u32().map_err(cut_short)? as usize;
        let body = reader.original_position();
        let bytes = reader.read_bytes(size).map_err(cut_short)?;
        let mut custom = None;
        let mut data = body..body + size;
        if id == 0 {
            let mut inside = BinaryReader::new(bytes, body);
            custom = Some(inside.read_string().map_err(cut_short)?);
            data.start = inside.original_position();
        }
        sections.push(TopSection { whole: start..body + size, custom, data });
    }
    Ok(sections)
}

#[cfg(test)]
mod tests {
    use wit_parser::decoding::{DecodedWasm, decode};

    use super::*;

    /// The smallest component: its magic number and version.
    const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0";

    fn contract() -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit")
    }

    fn lint_world() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let text = "package acme:lint@0.2.0;\n\
                    /// Lints things.\n\
                    world lint {\n\
                      include oxide:ci/plugin@0.1.0;\n\
                      use oxide:ci/types@0.1.0.{failure};\n\
                      /// What to lint.\n\
                      record inputs {\n\
                        /// The files to lint.\n\
                        files: list<string>,\n\
                      }\n\
                      /// Lints them.\n\
                      export run: func(inputs: inputs) -> result<_, failure>;\n\
                    }\n";
        std::fs::write(folder.path().join("world.wit"), text).unwrap();
        folder
    }

    fn facts() -> Facts {
        Facts {
            manifest: "Cargo.toml",
            version: "0.2.0".to_owned(),
            license: Some("Apache-2.0".to_owned()),
            source: None,
        }
    }

    #[test]
    fn doc_comments_survive_in_the_component_alone() {
        let folder = lint_world();
        let wit = DocumentedWit::read(&contract(), folder.path()).unwrap();
        let finished = embed(EMPTY, &wit, &facts()).unwrap();
        drop(folder);

        let DecodedWasm::WitPackage(resolve, package) =
            decode(section(&finished, WIT_SECTION).unwrap().unwrap()).unwrap()
        else {
            panic!("not a WIT package");
        };
        assert_eq!(resolve.packages[package].name.to_string(), "acme:lint@0.2.0");
        let world = &resolve.worlds[resolve.packages[package].worlds["lint"]];
        assert_eq!(world.docs.contents.as_deref(), Some("Lints things."));
        let WorldItem::Function(run) = &world.exports[&WorldKey::Name("run".to_owned())] else { panic!("no run") };
        assert_eq!(run.docs.contents.as_deref(), Some("Lints them."));
        let WorldItem::Type { id, .. } = &world.imports[&WorldKey::Name("inputs".to_owned())] else {
            panic!("no inputs")
        };
        let inputs = &resolve.types[*id];
        assert_eq!(inputs.docs.contents.as_deref(), Some("What to lint."));
        let wit_parser::TypeDefKind::Record(record) = &inputs.kind else { panic!("no record") };
        assert_eq!(record.fields[0].docs.contents.as_deref(), Some("The files to lint."));
    }

    #[test]
    fn embedding_twice_gives_the_same_bytes_and_replaces_what_was_there() {
        let folder = lint_world();
        let wit = DocumentedWit::read(&contract(), folder.path()).unwrap();
        let once = embed(EMPTY, &wit, &facts()).unwrap();
        let again = DocumentedWit::read(&contract(), folder.path()).unwrap();
        assert_eq!(once, embed(EMPTY, &again, &facts()).unwrap());
        assert_eq!(once, embed(&once, &wit, &facts()).unwrap());

        let other = Facts { license: Some("MIT".to_owned()), ..facts() };
        let replaced = embed(&once, &wit, &other).unwrap();
        let metadata: Metadata = serde_json::from_slice(section(&replaced, PLUGIN_SECTION).unwrap().unwrap()).unwrap();
        assert_eq!(metadata.license.as_deref(), Some("MIT"));
        assert_eq!(top_sections(&replaced).unwrap().len(), 2);
    }

    #[test]
    fn wit_without_end_is_not_read() {
        for place in ["", "deps", "deps/other"] {
            let folder = tempfile::tempdir().unwrap();
            fs::create_dir_all(folder.path().join(place)).unwrap();
            std::os::unix::fs::symlink("/dev/zero", folder.path().join(place).join("a.wit")).unwrap();
            let error = DocumentedWit::read_with_dependencies(folder.path()).err().unwrap();
            assert!(matches!(error, EmbedError::File(_)), "{place}: {error}");
        }
    }

    #[test]
    fn the_metadata_names_package_world_and_contract() {
        let folder = lint_world();
        let wit = DocumentedWit::read(&contract(), folder.path()).unwrap();
        let finished = embed(EMPTY, &wit, &facts()).unwrap();
        let json = std::str::from_utf8(section(&finished, PLUGIN_SECTION).unwrap().unwrap()).unwrap();
        assert_eq!(
            json,
            r#"{"name":"acme:lint","version":"0.2.0","license":"Apache-2.0","contract":"0.1.0","world":"lint"}"#
        );
    }

    #[test]
    fn versions_that_differ_are_told() {
        let folder = lint_world();
        let wit = DocumentedWit::read(&contract(), folder.path()).unwrap();
        let error = embed(EMPTY, &wit, &Facts { version: "0.3.0".to_owned(), ..facts() }).unwrap_err();
        assert_eq!(
            error.to_string(),
            "Cargo.toml says version 0.3.0, the WIT package acme:lint@0.2.0 says 0.2.0: make them the same"
        );
    }

    #[test]
    fn what_is_not_a_component_is_refused() {
        let folder = lint_world();
        let wit = DocumentedWit::read(&contract(), folder.path()).unwrap();
        for bytes in [&b"hello"[..], b"", b"\0asm\x01\0\0\0", b"\0asm\x0d\0\x01\0\x00\x7fabc"] {
            let error = embed(bytes, &wit, &facts()).unwrap_err();
            assert!(matches!(error, EmbedError::NotAComponent(_)), "{error}");
        }
    }

    #[test]
    fn bad_wit_names_the_folder_and_the_place() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("world.wit"), "package acme:lint;\nworld lint { include nowhere; }\n")
            .unwrap();
        let error = DocumentedWit::read(&contract(), folder.path()).err().unwrap().to_string();
        assert!(error.contains("world.wit:2"), "{error}");

        std::fs::write(folder.path().join("world.wit"), "package acme:lint;\nworld a {}\nworld b {}\n").unwrap();
        let error = DocumentedWit::read(&contract(), folder.path()).err().unwrap().to_string();
        assert!(error.contains("has the worlds a, b: keep one that exports `run`"), "{error}");
    }
}
