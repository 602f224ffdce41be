//! How a plugin lies in a registry: one manifest, one layer with the component, and a config that says what the plugin asks for,
//! so that nobody needs the code to know it.
//!
//! Pure: bytes and descriptions in, bytes and descriptions out. The same component gives the same bytes every time.

use std::collections::{BTreeMap, BTreeSet};

use oxide_core::plugin::{Capability, Import, PluginDescription};
use serde::{Deserialize, Serialize};

use super::{
    client::{Descriptor, MANIFEST_BYTES_MAX, Manifest, media_type},
    digest::Digest,
};
use crate::catalog::PLUGIN_BYTES_MAX;

/// The media type of the config.
pub const WASM_CONFIG: &str = "application/vnd.wasm.config.v0+json";
/// The media type of the layer.
pub const WASM_LAYER: &str = "application/wasm";
/// The largest config that is read.
pub const CONFIG_BYTES_MAX: u64 = MANIFEST_BYTES_MAX;

const TITLE: &str = "org.opencontainers.image.title";
const VERSION: &str = "org.opencontainers.image.version";
const LICENSES: &str = "org.opencontainers.image.licenses";
const SOURCE: &str = "org.opencontainers.image.source";
const DESCRIPTION: &str = "org.opencontainers.image.description";

/// A plugin as it is pushed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed {
    /// The manifest.
    pub manifest: Vec<u8>,
    /// Its config.
    pub config: Vec<u8>,
}

impl Packed {
    /// The digest of the manifest: the identity of what is published.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.manifest)
    }
}

/// What a manifest holds, if it is that of a plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents {
    /// The component.
    pub component: Descriptor,
    /// The config, if it is one that we can read.
    pub config: Option<Descriptor>,
    /// What is unusual, in words for people.
    pub notes: Vec<String>,
}

/// What a config promises of a component.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Promise {
    /// The names of all imports; none if it does not say.
    pub imports: Option<Vec<String>>,
    /// Everything, if we wrote the config. Its imports are those above.
    pub description: Option<PluginDescription>,
}

/// Why something in a registry is no plugin.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// No JSON, or not that of a manifest.
    #[error("its manifest cannot be read")]
    Manifest(#[source] serde_json::Error),
    /// A list of manifests, or something else that is no manifest.
    #[error("it is no plugin: its manifest has the type `{0}`")]
    Kind(String),
    /// Layers of a container image.
    #[error("it is a container image, not a plugin (its layer has the type `{0}`)")]
    Image(String),
    /// No layer, or several that could be meant.
    #[error("it is no plugin: a plugin has one layer with the component, and this has {0}")]
    Layers(String),
    /// The component is too large.
    #[error("its component has {} MiB; a plugin has at most {} MiB", .0 >> 20, PLUGIN_BYTES_MAX >> 20)]
    TooLarge(u64),
    /// The config is no JSON, or not that of a component.
    #[error("its config cannot be read")]
    Config(#[source] serde_json::Error),
    /// The config contradicts itself or the manifest.
    #[error("its config contradicts itself: {0}")]
    Contradiction(String),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ManifestText {
    schema_version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    media_type: Option<String>,
    config: Descriptor,
    layers: Vec<Descriptor>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ConfigText {
    created: String,
    architecture: String,
    os: String,
    layer_digests: Vec<Digest>,
    #[serde(default)]
    component: Option<ComponentText>,
    /// What only we write and read.
    #[serde(default, rename = "ci.oxide.plugin", skip_serializing_if = "Option::is_none")]
    plugin: Option<serde_json::Value>,
}

#[derive(Serialize, Deserialize)]
struct ComponentText {
    #[serde(default)]
    exports: Vec<String>,
    #[serde(default)]
    imports: Vec<String>,
    #[serde(default)]
    target: Option<String>,
}

/// The time that stands in the config: `SOURCE_DATE_EPOCH` if it is a number of seconds, else the beginning of 1970, so that
/// the same component is the same bytes in the registry.
pub fn created(source_date_epoch: Option<&str>) -> Option<String> {
    let seconds = source_date_epoch.map_or(Some(0), |text| text.trim().parse().ok())?;
    Some(jiff::Timestamp::from_second(seconds).ok()?.to_string())
}

/// The manifest and config of a component.
pub fn pack(component: &[u8], description: &PluginDescription, created: &str) -> Packed {
    let layer = Descriptor::of(WASM_LAYER, component);
    let imports = description.imports.iter().map(|import| import.name.clone()).collect();
    let config = ConfigText {
        created: created.to_owned(),
        architecture: "wasm".to_owned(),
        os: "wasip2".to_owned(),
        layer_digests: vec![layer.digest.clone()],
        component: Some(ComponentText { exports: vec!["run".to_owned()], imports, target: None }),
        plugin: serde_json::to_value(description).ok(),
    };
    let config = serde_json::to_vec(&config).expect("texts, lists and maps with text keys are JSON");
    let manifest = ManifestText {
        schema_version: 2,
        media_type: Some(media_type::MANIFEST.to_owned()),
        config: Descriptor::of(WASM_CONFIG, &config),
        layers: vec![layer],
        annotations: annotations(description),
    };
    let manifest = serde_json::to_vec(&manifest).expect("texts, lists and maps with text keys are JSON");
    Packed { manifest, config }
}

fn annotations(description: &PluginDescription) -> BTreeMap<String, String> {
    let (title, version) = match description.package.as_deref().map(|package| package.split_once('@')) {
        Some(Some((name, version))) => (Some(name), Some(version)),
        Some(None) => (description.package.as_deref(), None),
        None => (None, None),
    };
    let docs = description.docs.as_deref().map(|docs| docs.split("\n\n").next().unwrap_or(docs).trim());
    let all = [
        (TITLE, title),
        (VERSION, version),
        (LICENSES, description.license.as_deref()),
        (SOURCE, description.source.as_deref()),
        (DESCRIPTION, docs),
    ];
    let written = all.into_iter().filter_map(|(key, value)| Some((key, value?)));
    written.filter(|(_, value)| !value.is_empty()).map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// Finds the component in a manifest: ours, that of other tools for components, or that of tools that push any file.
///
/// # Errors
/// If it is no plugin; see [`LayoutError`].
pub fn contents(manifest: &Manifest) -> Result<Contents, LayoutError> {
    if !matches!(manifest.media_type.as_str(), media_type::MANIFEST | media_type::DOCKER_MANIFEST) {
        return Err(LayoutError::Kind(manifest.media_type.clone()));
    }
    let text: ManifestText = serde_json::from_slice(&manifest.bytes).map_err(LayoutError::Manifest)?;
    let is_wasm = |layer: &Descriptor| {
        let title = layer.annotations.get(TITLE);
        layer.media_type.contains("wasm") || title.is_some_and(|title| title.ends_with(".wasm"))
    };
    let component = match text.layers.as_slice() {
        [] => return Err(LayoutError::Layers("none".to_owned())),
        [one] if one.media_type.contains(".image.layer.") || one.media_type.contains(".rootfs.") => {
            return Err(LayoutError::Image(one.media_type.clone()));
        }
        [one] => one,
        several => match several.iter().filter(|layer| is_wasm(layer)).collect::<Vec<_>>().as_slice() {
            [one] => one,
            _ => return Err(LayoutError::Layers(format!("{} layers", several.len()))),
        },
    };
    if component.size > PLUGIN_BYTES_MAX {
        return Err(LayoutError::TooLarge(component.size));
    }
    let mut notes = Vec::new();
    if text.layers.len() > 1 {
        notes.push(format!("it has {} layers; the one with the component is used", text.layers.len()));
    }
    if component.media_type != WASM_LAYER {
        notes.push(format!("its layer has the type `{}` in the place of `{WASM_LAYER}`", component.media_type));
    }
    let config = (text.config.media_type == WASM_CONFIG).then_some(text.config.clone());
    if config.is_none() {
        notes.push(format!(
            "its config has the type `{}`, so only its code says what it asks for: `oxide plugin push` writes it down",
            text.config.media_type
        ));
    }
    Ok(Contents { component: component.clone(), config, notes })
}

/// Reads what a config promises of this component.
///
/// # Errors
/// If it is no config, or contradicts itself: then it would show other rights than it has.
pub fn promise(config: &[u8], component: &Descriptor) -> Result<Promise, LayoutError> {
    let text: ConfigText = serde_json::from_slice(config).map_err(LayoutError::Config)?;
    let contradiction = |what: String| Err(LayoutError::Contradiction(what));
    if text.architecture != "wasm" {
        return contradiction(format!("it is for the architecture `{}`", text.architecture));
    }
    if !text.layer_digests.is_empty() && !text.layer_digests.contains(&component.digest) {
        return contradiction("it is about another component".to_owned());
    }
    let imports = text.component.map(|component| component.imports);
    // One that we cannot read is from another version of this program: the imports are enough.
    let description = text.plugin.and_then(|plugin| serde_json::from_value::<PluginDescription>(plugin).ok());
    let Some(mut description) = description else { return Ok(Promise { imports, description: None }) };
    if description.digest != component.digest.as_str() || description.size_bytes != component.size {
        return contradiction("it describes another component".to_owned());
    }
    let described: BTreeSet<&str> = description.imports.iter().map(|import| import.name.as_str()).collect();
    if imports.as_ref().is_some_and(|imports| imports.iter().map(String::as_str).collect::<BTreeSet<_>>() != described)
    {
        return contradiction("it lists other imports than it describes".to_owned());
    }
    // Which capability an import belongs to is for this program to say, not for whoever wrote the config.
    for import in &mut description.imports {
        import.capability = capability(&import.name);
    }
    let imports = description.imports.iter().map(|import| import.name.clone()).collect();
    Ok(Promise { imports: Some(imports), description: Some(description) })
}

impl Promise {
    /// Where the component is not what its config promised, a sentence each; empty if it is.
    pub fn differences(&self, real: &PluginDescription) -> Vec<String> {
        let mut differences = Vec::new();
        if let Some(promised) = &self.imports {
            let promised: BTreeSet<&str> = promised.iter().map(String::as_str).collect();
            let real: BTreeSet<&str> = real.imports.iter().map(|import| import.name.as_str()).collect();
            let hidden = real.difference(&promised).filter(|name| is_of_weight(name));
            differences.extend(hidden.map(|name| format!("it imports `{name}`, which its config does not list")));
            let made_up = promised.difference(&real).filter(|name| is_of_weight(name));
            differences.extend(made_up.map(|name| format!("it does not import `{name}`, which its config lists")));
        }
        if let Some(promised) = &self.description {
            for (what, promised, real) in
                [("inputs", &promised.inputs, &real.inputs), ("outputs", &promised.outputs, &real.outputs)]
            {
                if promised != real {
                    differences.push(format!("its {what} are not those that its config describes"));
                }
            }
        }
        differences
    }
}

/// Is it something that must be granted, or that we do not know? Other tools name the rest in different ways.
fn is_of_weight(import: &str) -> bool {
    import.starts_with("oxide:ci/") || capability(import).is_some()
}

/// The capability that an import belongs to.
fn capability(import: &str) -> Option<Capability> {
    match import.strip_prefix("oxide:ci/") {
        Some(interface) => Capability::from_interface(interface.split('@').next().unwrap_or(interface)),
        None => Capability::from_standard(import),
    }
}

/// Imports with the capabilities that they belong to.
pub fn imports(names: &[String]) -> Vec<Import> {
    names.iter().map(|name| Import { name: name.clone(), capability: capability(name) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn description(imports: &[&str], component: &[u8]) -> PluginDescription {
        let names: Vec<String> = imports.iter().map(|name| (*name).to_owned()).collect();
        PluginDescription {
            package: Some("acme:lint@1.4.0".to_owned()),
            docs: Some("Finds mistakes.\n\nMore words.".to_owned()),
            license: Some("MIT".to_owned()),
            source: None,
            contract: Some("0.1.0".to_owned()),
            imports: super::imports(&names),
            inputs: Vec::new(),
            outputs: Vec::new(),
            digest: Digest::of(component).to_string(),
            size_bytes: component.len() as u64,
            takes_inputs: false,
        }
    }

    fn manifest(bytes: Vec<u8>) -> Manifest {
        Manifest { digest: Digest::of(&bytes), bytes: bytes.into(), media_type: media_type::MANIFEST.to_owned() }
    }

    const IMPORTS: [&str; 2] = ["oxide:ci/workspace@0.1.0", "wasi:cli/stdout@0.2.6"];

    #[test]
    fn what_is_packed_is_read_again_and_is_the_same_every_time() {
        let description = description(&IMPORTS, b"code");
        let packed = pack(b"code", &description, &created(None).unwrap());
        assert_eq!(packed, pack(b"code", &description, "1970-01-01T00:00:00Z"));
        let contents = contents(&manifest(packed.manifest.clone())).unwrap();
        assert_eq!(contents.notes, Vec::<String>::new());
        assert_eq!(contents.component, Descriptor::of(WASM_LAYER, b"code"));
        let promise = promise(&packed.config, &contents.component).unwrap();
        assert_eq!(promise.description.as_ref(), Some(&description));
        assert_eq!(promise.differences(&description), Vec::<String>::new());
        let text = String::from_utf8(packed.manifest).unwrap();
        assert!(text.contains(r#""org.opencontainers.image.title":"acme:lint""#), "{text}");
        assert!(text.contains(r#""org.opencontainers.image.version":"1.4.0""#) && text.contains("Finds mistakes.\""));
        assert_eq!(created(Some("1700000000")).unwrap(), "2023-11-14T22:13:20Z");
        assert_eq!((created(Some("yesterday")), created(Some("99999999999999999"))), (None, None));
    }

    #[test]
    fn a_config_cannot_hide_what_an_import_means() {
        let honest = description(&["oxide:ci/secrets@0.1.0"], b"code");
        let mut liar = honest.clone();
        liar.imports[0].capability = None;
        let packed = pack(b"code", &liar, "1970-01-01T00:00:00Z");
        let promise = promise(&packed.config, &Descriptor::of(WASM_LAYER, b"code")).unwrap();
        let shown: Vec<_> = promise.description.unwrap().asks_for().collect();
        assert_eq!(shown, [Capability::Secrets]);
    }

    #[test]
    fn a_component_that_is_not_what_its_config_promised_is_told_apart() {
        let promised = description(&IMPORTS, b"code");
        let packed = pack(b"code", &promised, "1970-01-01T00:00:00Z");
        let promise = promise(&packed.config, &Descriptor::of(WASM_LAYER, b"code")).unwrap();
        let real = description(&["oxide:ci/secrets@0.1.0", "wasi:cli/stdin@0.2.6"], b"code");
        assert_eq!(
            promise.differences(&real),
            [
                "it imports `oxide:ci/secrets@0.1.0`, which its config does not list",
                "it does not import `oxide:ci/workspace@0.1.0`, which its config lists",
            ]
        );
    }

    #[test]
    fn a_config_that_contradicts_itself_is_refused() {
        let layer = Descriptor::of(WASM_LAYER, b"code");
        let packed = pack(b"code", &description(&IMPORTS, b"code"), "1970-01-01T00:00:00Z");
        let text = String::from_utf8(packed.config).unwrap();
        let refused = |text: String| {
            let refused = promise(text.as_bytes(), &layer).err().map(|error| error.to_string());
            refused.unwrap_or_else(|| panic!("accepted: {text}"))
        };
        let other = Descriptor::of(WASM_LAYER, b"other");
        assert!(promise(text.as_bytes(), &other).is_err());
        assert!(refused(text.replacen("oxide:ci/workspace", "oxide:ci/git", 1)).contains("other imports"));
        assert!(refused(text.replace(r#""architecture":"wasm""#, r#""architecture":"amd64""#)).contains("amd64"));
        assert!(refused("[]".to_owned()).contains("cannot be read"));
    }

    /// As the tools of the Bytecode Alliance write it: `created` and `author`, no description of ours.
    #[test]
    fn a_component_of_another_tool_for_components_is_taken() {
        let config = format!(
            r#"{{"created":"2026-01-02T03:04:05.678901234Z","author":"Ada","architecture":"wasm","os":"wasip2",
                "layerDigests":["{}"],"component":{{"exports":["run"],"imports":["oxide:ci/log@0.1.0"],"target":null}}}}"#,
            Digest::of(b"code")
        );
        let text = ManifestText {
            schema_version: 2,
            media_type: Some(media_type::MANIFEST.to_owned()),
            config: Descriptor::of(WASM_CONFIG, config.as_bytes()),
            layers: vec![Descriptor::of(WASM_LAYER, b"code")],
            annotations: BTreeMap::new(),
        };
        let contents = contents(&manifest(serde_json::to_vec(&text).unwrap())).unwrap();
        assert!(contents.notes.is_empty() && contents.config.is_some());
        let promise = promise(config.as_bytes(), &contents.component).unwrap();
        assert_eq!((promise.imports.unwrap().len(), promise.description), (1, None));
    }

    #[test]
    fn a_file_that_was_pushed_plainly_is_taken_with_a_note_and_an_image_is_not() {
        let with = |layers: &[(&str, &str)]| {
            let layer = |(media_type, title): &(&str, &str)| Descriptor {
                annotations: BTreeMap::from([(TITLE.to_owned(), (*title).to_owned())]),
                ..Descriptor::of(media_type, title.as_bytes())
            };
            let text = ManifestText {
                schema_version: 2,
                media_type: None,
                config: Descriptor::of(media_type::EMPTY, b"{}"),
                layers: layers.iter().map(layer).collect(),
                annotations: BTreeMap::new(),
            };
            contents(&manifest(serde_json::to_vec(&text).unwrap()))
        };
        let plain = with(&[("application/vnd.oci.image.layer.v1.tar", "lint.wasm")]);
        assert!(matches!(plain, Err(LayoutError::Image(_))));
        let plain = with(&[("application/octet-stream", "lint.wasm")]).unwrap();
        assert_eq!((plain.notes.len(), plain.config), (2, None));
        let typed = with(&[("application/wasm", "lint.wasm"), ("text/plain", "README.md")]).unwrap();
        assert_eq!(typed.component.media_type, "application/wasm");
        assert!(matches!(with(&[]), Err(LayoutError::Layers(_))));
        assert!(matches!(with(&[("a", "b"), ("c", "d")]), Err(LayoutError::Layers(_))));
        let index = Manifest { media_type: media_type::INDEX.to_owned(), ..manifest(b"{}".to_vec()) };
        assert!(matches!(contents(&index), Err(LayoutError::Kind(_))));
    }
}
