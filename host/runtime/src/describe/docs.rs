//! Help texts: `oxide plugin build` embeds the documented WIT of a plugin, because no toolchain keeps it by itself.
//!
//! Only texts come from here. Types and imports are those of the component itself, so that a section that does not fit
//! can mislead a reader, but not the host.

use std::collections::HashMap;

use serde::Deserialize;
use wasmparser::{Parser, Payload};
use wit_component::DecodedWasm;
use wit_parser::{Docs, Function, PackageId, Resolve, Type, TypeDefKind, WorldId, WorldItem, WorldKey};

use super::types::real_type;

/// The binary WIT package, made by `wit_component::encode`.
const WIT_SECTION: &str = "oxide:wit";

/// [`PluginSection`] as JSON.
const PLUGIN_SECTION: &str = "oxide:plugin";

/// The custom sections of a component that are meant for us.
#[derive(Default)]
pub(super) struct Sections<'a> {
    wit: Option<&'a [u8]>,
    plugin: Option<&'a [u8]>,
}

impl<'a> Sections<'a> {
    /// Finds the sections of the outermost component.
    pub fn read(bytes: &'a [u8]) -> Result<Self, wasmparser::BinaryReaderError> {
        let mut sections = Sections::default();
        let mut depth = 0_usize;
        for payload in Parser::new(0).parse_all(bytes) {
            match payload? {
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::CustomSection(section) if depth == 0 => match section.name() {
                    WIT_SECTION => sections.wit = Some(section.data()),
                    PLUGIN_SECTION => sections.plugin = Some(section.data()),
                    _ => {}
                },
                _ => {}
            }
        }
        Ok(sections)
    }
}

/// What stands in the section `oxide:plugin`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PluginSection {
    name: Option<String>,
    version: Option<String>,
    license: Option<String>,
    source: Option<String>,
    contract: Option<String>,
    world: Option<String>,
}

/// The texts about a plugin. All are absent for a component that was built without them.
#[derive(Debug, Default)]
pub(super) struct Help {
    pub package: Option<String>,
    pub docs: Option<String>,
    pub license: Option<String>,
    pub source: Option<String>,
    pub contract: Option<String>,
    pub inputs: HashMap<String, String>,
    pub outputs: HashMap<String, String>,
}

impl Help {
    /// Reads the sections. What cannot be read is left out: a damaged help text is no reason not to run.
    pub fn read(sections: &Sections<'_>) -> Help {
        let plugin: PluginSection =
            sections.plugin.and_then(|json| serde_json::from_slice(json).ok()).unwrap_or_default();
        let mut help = match sections.wit.map(wit_component::decode) {
            Some(Ok(DecodedWasm::WitPackage(resolve, package))) => from_wit(&resolve, package, plugin.world.as_deref()),
            _ => Help::default(),
        };
        let from_section = plugin.name.map(|name| match &plugin.version {
            Some(version) if !name.contains('@') => format!("{name}@{version}"),
            _ => name,
        });
        help.package = match help.package.take() {
            Some(package) if package.contains('@') => Some(package),
            Some(package) => match plugin.version {
                Some(version) => Some(format!("{package}@{version}")),
                None => Some(package),
            },
            None => from_section,
        };
        help.license = plugin.license;
        help.source = plugin.source;
        help.contract = plugin.contract;
        help
    }
}

fn from_wit(resolve: &Resolve, package: PackageId, world: Option<&str>) -> Help {
    let package = &resolve.packages[package];
    let named = world.and_then(|name| package.worlds.get(name).copied());
    let mut candidates = named.into_iter().chain(package.worlds.values().copied());
    let mut help = Help { package: Some(package.name.to_string()), ..Help::default() };
    let Some((world, run)) = candidates.find_map(|world| Some((world, run_of(resolve, world)?))) else {
        help.docs = text(&package.docs);
        return help;
    };
    help.docs = text(&run.docs).or_else(|| text(&resolve.worlds[world].docs)).or_else(|| text(&package.docs));
    if let Some(parameter) = run.params.first() {
        help.inputs = field_docs(resolve, &parameter.ty);
    }
    if let Some(Type::Id(id)) = run.result.map(|ty| real_type(resolve, &ty))
        && let TypeDefKind::Result(result) = &resolve.types[id].kind
        && let Some(ok) = &result.ok
    {
        help.outputs = field_docs(resolve, ok);
    }
    help
}

fn run_of(resolve: &Resolve, world: WorldId) -> Option<&Function> {
    match resolve.worlds[world].exports.get(&WorldKey::Name("run".to_owned()))? {
        WorldItem::Function(function) => Some(function),
        _ => None,
    }
}

fn field_docs(resolve: &Resolve, ty: &Type) -> HashMap<String, String> {
    let Type::Id(id) = real_type(resolve, ty) else { return HashMap::new() };
    let TypeDefKind::Record(record) = &resolve.types[id].kind else { return HashMap::new() };
    record.fields.iter().filter_map(|field| Some((field.name.clone(), text(&field.docs)?))).collect()
}

fn text(docs: &Docs) -> Option<String> {
    docs.contents.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
}
