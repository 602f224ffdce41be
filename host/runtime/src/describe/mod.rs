//! Reads what a component is without compiling it: imports, capabilities, the types of `run`, and help texts.
//!
//! Imports are read first, so that a plugin that cannot run here is refused in milliseconds and with the names.

mod docs;
mod types;

use std::{borrow::Cow, collections::HashMap};

use oxide_core::{
    plugin::{Capability, Field, Import, PluginDescription},
    quantity::hexadecimal,
    wit::Type,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use wit_component::DecodedWasm;
use wit_parser::{Function, Resolve, Type as WitType, TypeDefKind, WorldId, WorldItem, WorldKey};

use self::types::{TypeError, named_fields, real_type};

/// The version of `oxide:ci` that this host offers.
pub const CONTRACT_VERSION: &str = "0.1.0";

/// The package of the contract, as it stands before the `/` of an import.
const CONTRACT_PACKAGE: &str = "oxide:ci";

/// Why some bytes are no plugin that this host can run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum DescribeError {
    /// There are no bytes.
    #[error("the file is empty")]
    Empty,
    /// The bytes are no WebAssembly.
    #[error("this is not WebAssembly: it does not begin with `\\0asm`")]
    NotWasm,
    /// A core module.
    #[error("this is a WebAssembly core module, not a component")]
    CoreModule,
    /// A WIT package in its binary form.
    #[error("this is a WIT package, not a component: it holds types and no code")]
    WitPackage,
    /// Damaged, or of a version that is not known.
    #[error("the component cannot be read: {0}")]
    Damaged(String),
    /// Something is imported that no host of this contract has.
    #[error("the component imports {}, which this host does not offer", list(.0))]
    UnknownImports(Vec<String>),
    /// Built for another version of the contract.
    #[error(
        "the component was built for {CONTRACT_PACKAGE}@{0}; this host offers {CONTRACT_PACKAGE}@{CONTRACT_VERSION}"
    )]
    OtherContract(String),
    /// There is no function `run`.
    #[error("the component does not export the function `run`")]
    NoRun,
    /// `run` is there, but cannot be called.
    #[error("the function `run` cannot be called as a step: {0}")]
    Signature(String),
    /// A field of inputs or outputs has a type that cannot be written in YAML.
    #[error("the field `{field}` of the {record} has a type that a pipeline cannot write: {reason}")]
    Type {
        /// `inputs` or `outputs`.
        record: Cow<'static, str>,
        /// The field, with what is below it: `files.item`.
        field: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl DescribeError {
    /// What to type or change; none if there is nothing sure to say.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            DescribeError::Empty => Some("build the plugin again and look whether the build wrote the file"),
            DescribeError::NotWasm => Some("`uses:` wants the component itself, the `.wasm` file that the build wrote"),
            DescribeError::CoreModule => {
                Some("build it for the target `wasm32-wasip2`, or turn it into one with `wasm-tools component new`")
            }
            DescribeError::WitPackage => Some("build the code of the plugin; this file is only its interface"),
            DescribeError::Damaged(_) => Some("build the plugin again with a current toolchain"),
            DescribeError::UnknownImports(_) => {
                Some("import only interfaces of `oxide:ci` (see `wit/`) and of WASI 0.2 in the plugin's world")
            }
            DescribeError::OtherContract(_) => Some("rebuild the plugin against the WIT of this host, or update oxide"),
            DescribeError::NoRun | DescribeError::Signature(_) => Some(
                "let the plugin's world have `include oxide:ci/plugin@0.1.0;` and \
                 `export run: func(inputs: inputs) -> result<outputs, failure>;`",
            ),
            DescribeError::Type { .. } => {
                Some("use records, options, lists, tuples, enums, flags, variants, numbers, chars and strings")
            }
        }
    }
}

fn list(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// Reads a component. Nothing is compiled or executed.
///
/// # Errors
/// A [`DescribeError`] that says why the bytes are no plugin; [`DescribeError::hint`] says what to do.
pub fn describe(bytes: &[u8]) -> Result<PluginDescription, DescribeError> {
    check_is_component(bytes)?;
    let damaged = |error: &dyn std::fmt::Display| DescribeError::Damaged(error.to_string());
    let sections = docs::Sections::read(bytes).map_err(|error| damaged(&error))?;
    let (resolve, world) = match wit_component::decode(bytes) {
        Ok(DecodedWasm::Component(resolve, world)) => (resolve, world),
        Ok(DecodedWasm::WitPackage(..)) => return Err(DescribeError::WitPackage),
        Err(error) => return Err(damaged(&format!("{error:#}"))),
    };
    let imports = imports(&resolve, world)?;
    let run = run_function(&resolve, world)?;
    let help = docs::Help::read(&sections);
    let (takes_inputs, inputs) = inputs(&resolve, run, &help.inputs)?;
    let outputs = outputs(&resolve, run, &help.outputs)?;
    let contract = help.contract.or_else(|| contract_of(&imports));
    Ok(PluginDescription {
        package: help.package,
        docs: help.docs,
        license: help.license,
        source: help.source,
        contract,
        imports,
        inputs,
        outputs,
        digest: digest(bytes),
        size_bytes: bytes.len() as u64,
        takes_inputs,
    })
}

/// The digest of a component: `sha256:` and 64 hexadecimal digits.
pub fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hexadecimal(&Sha256::digest(bytes)))
}

fn check_is_component(bytes: &[u8]) -> Result<(), DescribeError> {
    if bytes.is_empty() {
        Err(DescribeError::Empty)
    } else if wasmparser::Parser::is_component(bytes) {
        Ok(())
    } else if wasmparser::Parser::is_core_wasm(bytes) {
        Err(DescribeError::CoreModule)
    } else if bytes.starts_with(b"\0asm") {
        Err(DescribeError::Damaged("its version is not known".into()))
    } else {
        Err(DescribeError::NotWasm)
    }
}

fn imports(resolve: &Resolve, world: WorldId) -> Result<Vec<Import>, DescribeError> {
    let mut imports = Vec::new();
    let mut unknown = Vec::new();
    for (key, item) in &resolve.worlds[world].imports {
        // Types stand among the imports, but are nothing that a host gives.
        if matches!(item, WorldItem::Type { .. }) {
            continue;
        }
        let name = match key {
            WorldKey::Interface(id) => resolve.id_of(*id).unwrap_or_default(),
            WorldKey::Name(name) => name.clone(),
        };
        let (path, version) = name.split_once('@').unwrap_or((&name, ""));
        match path.split_once('/') {
            Some((CONTRACT_PACKAGE, _)) if !is_compatible(version) => {
                return Err(DescribeError::OtherContract(version.to_owned()));
            }
            Some((CONTRACT_PACKAGE, interface)) => match Capability::from_interface(interface) {
                Some(capability) => imports.push(Import { capability: Some(capability), name }),
                None => unknown.push(name),
            },
            Some((package, _)) if package.starts_with("wasi:") => {
                imports.push(Import { capability: Capability::from_standard(&name), name });
            }
            _ => unknown.push(name),
        }
    }
    if unknown.is_empty() { Ok(imports) } else { Err(DescribeError::UnknownImports(unknown)) }
}

/// Does this host offer this version of the contract? While the major version is 0, each minor version is its own.
fn is_compatible(version: &str) -> bool {
    let parts = |text: &str| -> Option<(u64, u64, u64)> {
        let mut numbers = text.split('.').map(|number| number.parse().ok());
        Some((numbers.next()??, numbers.next()??, numbers.next()??))
    };
    match (parts(version), parts(CONTRACT_VERSION)) {
        (Some(theirs), Some(ours)) => (theirs.0, theirs.1) == (ours.0, ours.1) && theirs.2 <= ours.2,
        _ => false,
    }
}

fn contract_of(imports: &[Import]) -> Option<String> {
    let import = imports.iter().find(|import| import.name.starts_with(CONTRACT_PACKAGE))?;
    import.name.split_once('@').map(|(_, version)| version.to_owned())
}

fn run_function(resolve: &Resolve, world: WorldId) -> Result<&Function, DescribeError> {
    resolve.worlds[world]
        .exports
        .iter()
        .find_map(|(key, item)| match (key, item) {
            (WorldKey::Name(name), WorldItem::Function(function)) if name == "run" => Some(function),
            _ => None,
        })
        .ok_or(DescribeError::NoRun)
}

fn inputs(
    resolve: &Resolve,
    run: &Function,
    docs: &HashMap<String, String>,
) -> Result<(bool, Vec<Field>), DescribeError> {
    match run.params.as_slice() {
        [] => Ok((false, Vec::new())),
        [parameter] => {
            let fields = record_fields(resolve, &parameter.ty, "inputs", docs)?;
            let fields = fields.ok_or_else(|| DescribeError::Signature("its parameter is not a record".into()))?;
            Ok((true, fields))
        }
        more => Err(DescribeError::Signature(format!("it has {} parameters, not one record `inputs`", more.len()))),
    }
}

fn outputs(resolve: &Resolve, run: &Function, docs: &HashMap<String, String>) -> Result<Vec<Field>, DescribeError> {
    let signature = |text: &str| DescribeError::Signature(text.to_owned());
    let result = run.result.as_ref().ok_or_else(|| signature("it returns nothing, not `result<outputs, failure>`"))?;
    let WitType::Id(id) = real_type(resolve, result) else {
        return Err(signature("it does not return `result<outputs, failure>`"));
    };
    let TypeDefKind::Result(result) = &resolve.types[id].kind else {
        return Err(signature("it does not return `result<outputs, failure>`"));
    };
    if !result.err.as_ref().is_some_and(|err| is_failure(resolve, err)) {
        return Err(signature("its error is not the variant `failure` of `oxide:ci/types`"));
    }
    match &result.ok {
        None => Ok(Vec::new()),
        Some(ok) => record_fields(resolve, ok, "outputs", docs)?
            .ok_or_else(|| signature("its result is not a record `outputs`")),
    }
}

/// Is it the variant `failure` of `oxide:ci/types`, by its cases?
fn is_failure(resolve: &Resolve, ty: &WitType) -> bool {
    let WitType::Id(id) = real_type(resolve, ty) else { return false };
    let TypeDefKind::Variant(variant) = &resolve.types[id].kind else { return false };
    let expected = [("exit-code", WitType::S32), ("invalid-input", WitType::String), ("other", WitType::String)];
    variant.cases.len() == expected.len()
        && variant.cases.iter().zip(&expected).all(|(case, (name, ty))| case.name == *name && case.ty == Some(*ty))
}

/// The fields of a record with their docs; none if the type is no record.
fn record_fields(
    resolve: &Resolve,
    ty: &WitType,
    record: &'static str,
    docs: &HashMap<String, String>,
) -> Result<Option<Vec<Field>>, DescribeError> {
    let fields = match named_fields(resolve, ty) {
        Ok(Some(fields)) => fields,
        Ok(None) => return Ok(None),
        Err(TypeError { field, reason }) => {
            return Err(DescribeError::Type { record: record.into(), field, reason });
        }
    };
    Ok(Some(fields.into_iter().map(|(name, ty)| Field { docs: docs.get(&name).cloned(), name, ty }).collect()))
}

/// The type of the outputs record of a described plugin; none where `run` returns none.
pub(crate) fn record_type(fields: &[Field]) -> Type {
    Type::Record(
        fields
            .iter()
            .map(|field| oxide_core::wit::NamedType { name: field.name.clone(), ty: field.ty.clone() })
            .collect(),
    )
}

#[cfg(test)]
mod tests;
