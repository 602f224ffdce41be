//! What changed between two versions of a plugin, and by how much its version must rise.
//!
//! Inputs and outputs are judged in opposite directions: what a pipeline writes for the old version must be read by the new
//! one, and what the new version returns must be what a pipeline that knows the old one expects. So a case that is added to an
//! enum is harmless among the inputs and breaks pipelines among the outputs.
//!
//! Pure: two descriptions come in, a list of changes goes out.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Capability, Field, PluginDescription};
use crate::wit::Type;

/// One difference that a pipeline may notice.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "change")]
pub enum Change {
    /// An input is new.
    InputAdded {
        /// Its name in WIT.
        name: String,
        /// Every pipeline must write it.
        required: bool,
    },
    /// An input is gone.
    InputRemoved {
        /// Its name in WIT.
        name: String,
        /// The new input of the same type that it may be called now.
        renamed_to: Option<String>,
    },
    /// An input has another type.
    InputRetyped {
        /// Its name in WIT.
        name: String,
        /// The type that it had.
        old: Type,
        /// The type that it has.
        new: Type,
        /// All that could be written for the old type can still be.
        widened: bool,
    },
    /// An output is new.
    OutputAdded {
        /// Its name in WIT.
        name: String,
    },
    /// An output is gone.
    OutputRemoved {
        /// Its name in WIT.
        name: String,
        /// The new output of the same type that it may be called now.
        renamed_to: Option<String>,
    },
    /// An output has another type.
    OutputRetyped {
        /// Its name in WIT.
        name: String,
        /// The type that it had.
        old: Type,
        /// The type that it has.
        new: Type,
        /// All that is returned is something that the old type has, too.
        narrowed: bool,
    },
    /// It can use one capability more: who locked the plugin must approve it.
    CapabilityAdded {
        /// Which one.
        capability: Capability,
    },
    /// It cannot use a capability any more; a pipeline that grants it is refused.
    CapabilityRemoved {
        /// Which one.
        capability: Capability,
    },
    /// It was built for another version of the contract.
    Contract {
        /// The version before.
        old: String,
        /// The version now.
        new: String,
    },
}

/// What a change means for pipelines that use the old version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// They run as before, and can do more.
    Addition,
    /// They run as before once somebody approved that the plugin may reach more.
    MoreRights,
    /// Some of them cannot be planned, or fail.
    Breaking,
}

/// By how much a version must rise at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bump {
    /// No pipeline notices.
    Patch,
    /// Something was added.
    Minor,
    /// Something breaks.
    Major,
}

impl Change {
    /// What it means for pipelines that use the old version.
    pub fn effect(&self) -> Effect {
        match self {
            Change::InputAdded { required: true, .. }
            | Change::InputRemoved { .. }
            | Change::InputRetyped { widened: false, .. }
            | Change::OutputRemoved { .. }
            | Change::OutputRetyped { narrowed: false, .. }
            | Change::CapabilityRemoved { .. } => Effect::Breaking,
            Change::CapabilityAdded { .. } => Effect::MoreRights,
            Change::InputAdded { required: false, .. }
            | Change::InputRetyped { widened: true, .. }
            | Change::OutputAdded { .. }
            | Change::OutputRetyped { narrowed: true, .. }
            | Change::Contract { .. } => Effect::Addition,
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let yaml = |name: &String| name.replace('-', "_");
        let renamed =
            |to: &Option<String>| to.as_ref().map_or(String::new(), |to| format!(" (is it `{}` now?)", yaml(to)));
        match self {
            Change::InputAdded { name, required: true } => {
                write!(f, "the input `{}` is new and must be written: make it an `option`", yaml(name))
            }
            Change::InputAdded { name, required: false } => write!(f, "the input `{}` is new and optional", yaml(name)),
            Change::InputRemoved { name, renamed_to } => {
                write!(f, "the input `{}` is gone{}", yaml(name), renamed(renamed_to))
            }
            Change::InputRetyped { name, old, new, widened } => {
                let what = if *widened { "takes more" } else { "does not take all that it took" };
                write!(f, "the input `{}` {what}: it was {old}, it is {new}", yaml(name))
            }
            Change::OutputAdded { name } => write!(f, "the output `{}` is new", yaml(name)),
            Change::OutputRemoved { name, renamed_to } => {
                write!(f, "the output `{}` is gone{}", yaml(name), renamed(renamed_to))
            }
            Change::OutputRetyped { name, old, new, narrowed } => {
                let what = if *narrowed { "says less" } else { "may be what it never was" };
                write!(f, "the output `{}` {what}: it was {old}, it is {new}", yaml(name))
            }
            Change::CapabilityAdded { capability } => {
                write!(f, "it asks for `{}` ({})", capability.yaml_key(), capability.summary())
            }
            Change::CapabilityRemoved { capability } => {
                let key = capability.yaml_key();
                write!(f, "it does not ask for `{key}` any more: a pipeline that grants it is refused")
            }
            Change::Contract { old, new } => write!(f, "it is built for oxide:ci@{new}, it was for oxide:ci@{old}"),
        }
    }
}

/// All differences that a pipeline may notice: inputs, outputs, capabilities, contract, in this order.
pub fn changes(old: &PluginDescription, new: &PluginDescription) -> Vec<Change> {
    let mut changes = Vec::new();
    compare_inputs(&old.inputs, &new.inputs, &mut changes);
    compare_outputs(&old.outputs, &new.outputs, &mut changes);
    let (could, can) = (old.can_use(), new.can_use());
    changes.extend(can.difference(&could).map(|capability| Change::CapabilityAdded { capability: *capability }));
    changes.extend(could.difference(&can).map(|capability| Change::CapabilityRemoved { capability: *capability }));
    if let (Some(old), Some(new)) = (&old.contract, &new.contract)
        && old != new
    {
        changes.push(Change::Contract { old: old.clone(), new: new.clone() });
    }
    changes
}

/// By how much the version must rise for these changes, the code being another one.
pub fn required_bump(changes: &[Change]) -> Bump {
    match changes.iter().map(Change::effect).max() {
        None => Bump::Patch,
        Some(Effect::Addition | Effect::MoreRights) => Bump::Minor,
        Some(Effect::Breaking) => Bump::Major,
    }
}

/// Does the version rise enough? By the rules of semantic versioning: as long as the first number is 0, the second one is for
/// what breaks and the third one for everything else, and below 0.1 every version may break. None if one of them is no version.
pub fn rises_enough(old: &str, new: &str, bump: Bump) -> Option<bool> {
    let (old, new) = (Version::parse(old)?, Version::parse(new)?);
    Some(new > old && new.numbers >= old.least(bump))
}

/// The lowest version that rises enough; none if the old one is no version.
pub fn least_version(old: &str, bump: Bump) -> Option<String> {
    let [major, minor, patch] = Version::parse(old)?.least(bump);
    Some(format!("{major}.{minor}.{patch}"))
}

/// A version as semantic versioning orders it, but that what stands behind `-` is compared as text.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Version {
    numbers: [u64; 3],
    /// A finished version is above those before it, which have something behind `-`.
    finished: bool,
    before: String,
}

impl Version {
    fn parse(text: &str) -> Option<Version> {
        let text = text.split('+').next().unwrap_or(text);
        let (numbers, before) = text.split_once('-').unwrap_or((text, ""));
        let numbers: Vec<u64> = numbers.split('.').map(|number| number.parse().ok()).collect::<Option<_>>()?;
        Some(Version { numbers: numbers.try_into().ok()?, finished: before.is_empty(), before: before.to_owned() })
    }

    /// The numbers that a version must have after this one.
    fn least(&self, bump: Bump) -> [u64; 3] {
        let [major, minor, patch] = self.numbers;
        // 1.0.0 after 1.0.0-rc.1 is no rise of numbers.
        let next_patch = if self.finished { patch + 1 } else { patch };
        match (major, minor, bump) {
            (0, 0, _) | (0, _, Bump::Patch | Bump::Minor) | (_, _, Bump::Patch) => [major, minor, next_patch],
            (0, _, Bump::Major) => [0, minor + 1, 0],
            (_, _, Bump::Minor) => [major, minor + 1, 0],
            (_, _, Bump::Major) => [major + 1, 0, 0],
        }
    }
}

fn find<'a>(fields: &'a [Field], name: &str) -> Option<&'a Field> {
    fields.iter().find(|field| field.name == name)
}

/// A field that only the new version has, of the type of one that only the old one has: if there is one such, it may be
/// the same under another name.
fn renamed(gone: &Field, old: &[Field], new: &[Field]) -> Option<String> {
    let mut candidates = new.iter().filter(|field| find(old, &field.name).is_none() && field.ty == gone.ty);
    match (candidates.next(), candidates.next()) {
        (Some(only), None) => Some(only.name.clone()),
        _ => None,
    }
}

fn compare_inputs(old: &[Field], new: &[Field], changes: &mut Vec<Change>) {
    for field in old {
        let name = field.name.clone();
        match find(new, &name) {
            None => changes.push(Change::InputRemoved { renamed_to: renamed(field, old, new), name }),
            Some(now) if now.ty != field.ty => changes.push(Change::InputRetyped {
                widened: reads_as(&field.ty, &now.ty, Reader::Host),
                old: field.ty.clone(),
                new: now.ty.clone(),
                name,
            }),
            Some(_) => {}
        }
    }
    let added = new.iter().filter(|field| find(old, &field.name).is_none());
    changes.extend(
        added.map(|field| Change::InputAdded {
            name: field.name.clone(),
            required: !matches!(field.ty, Type::Option(_)),
        }),
    );
}

fn compare_outputs(old: &[Field], new: &[Field], changes: &mut Vec<Change>) {
    for field in old {
        let name = field.name.clone();
        match find(new, &name) {
            None => changes.push(Change::OutputRemoved { renamed_to: renamed(field, old, new), name }),
            Some(now) if now.ty != field.ty => changes.push(Change::OutputRetyped {
                narrowed: reads_as(&now.ty, &field.ty, Reader::Expression),
                old: field.ty.clone(),
                new: now.ty.clone(),
                name,
            }),
            Some(_) => {}
        }
    }
    let added = new.iter().filter(|field| find(old, &field.name).is_none());
    changes.extend(added.map(|field| Change::OutputAdded { name: field.name.clone() }));
}

/// Who reads a value that was made for another type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reader {
    /// The host, which refuses fields that it does not know and fills in options that are left out.
    Host,
    /// An expression, which never looks at fields that it does not know.
    Expression,
}

/// Is every value of the type `from`, as it is written in YAML, also one of the type `to`?
fn reads_as(from: &Type, to: &Type, reader: Reader) -> bool {
    if from == to {
        return true;
    }
    if let (Some(from), Some(to)) = (number(from), number(to)) {
        return from.fits(to);
    }
    match (from, to) {
        (Type::Char | Type::Enum(_), Type::String) => true,
        (Type::Enum(from), Type::Enum(to)) | (Type::Flags(from), Type::Flags(to)) => {
            from.iter().all(|name| to.contains(name))
        }
        (Type::Enum(from), Type::Variant(to)) => {
            from.iter().all(|name| to.iter().any(|case| case.name == *name && case.ty.is_none()))
        }
        (Type::Variant(from), Type::Variant(to)) => from.iter().all(|case| {
            let same = to.iter().find(|other| other.name == case.name);
            same.is_some_and(|other| payload_reads_as(case.ty.as_ref(), other.ty.as_ref(), reader))
        }),
        (Type::Result { ok, err }, Type::Result { ok: to_ok, err: to_err }) => {
            payload_reads_as(ok.as_deref(), to_ok.as_deref(), reader)
                && payload_reads_as(err.as_deref(), to_err.as_deref(), reader)
        }
        // An option in an option is written in another way.
        (Type::Option(from), Type::Option(to)) => is_option(from) == is_option(to) && reads_as(from, to, reader),
        (from, Type::Option(to)) => !is_option(from) && !is_option(to) && reads_as(from, to, reader),
        // A list of pairs with a text is written as a map.
        (Type::List(from), Type::List(to)) => is_map_entry(from) == is_map_entry(to) && reads_as(from, to, reader),
        (Type::Tuple(from), Type::Tuple(to)) => {
            from.len() == to.len() && from.iter().zip(to).all(|(from, to)| reads_as(from, to, reader))
        }
        (Type::Record(from), Type::Record(to)) => {
            let known = from.iter().all(|field| to.iter().any(|other| other.name == field.name));
            let complete = to.iter().all(|field| match from.iter().find(|other| other.name == field.name) {
                Some(other) => reads_as(&other.ty, &field.ty, reader),
                None => reader == Reader::Host && is_option(&field.ty),
            });
            complete && (known || reader == Reader::Expression)
        }
        _ => false,
    }
}

fn payload_reads_as(from: Option<&Type>, to: Option<&Type>, reader: Reader) -> bool {
    match (from, to) {
        (None, None) => true,
        (Some(from), Some(to)) => reads_as(from, to, reader),
        _ => false,
    }
}

fn is_option(ty: &Type) -> bool {
    matches!(ty, Type::Option(_))
}

fn is_map_entry(ty: &Type) -> bool {
    matches!(ty, Type::Tuple(items) if items.len() == 2 && items[0] == Type::String)
}

/// What numbers a type has.
#[derive(Clone, Copy)]
struct Number {
    signed: bool,
    float: bool,
    /// The bits that hold whole numbers exactly, without the sign.
    bits: u32,
}

impl Number {
    fn fits(self, to: Number) -> bool {
        match (self.float, to.float) {
            (true, false) => false,
            _ => self.bits <= to.bits && (to.signed || !self.signed),
        }
    }
}

fn number(ty: &Type) -> Option<Number> {
    let (signed, float, bits) = match ty {
        Type::U8 => (false, false, 8),
        Type::U16 => (false, false, 16),
        Type::U32 => (false, false, 32),
        Type::U64 => (false, false, 64),
        Type::S8 => (true, false, 7),
        Type::S16 => (true, false, 15),
        Type::S32 => (true, false, 31),
        Type::S64 => (true, false, 63),
        Type::F32 => (true, true, 24),
        Type::F64 => (true, true, 53),
        _ => return None,
    };
    Some(Number { signed, float, bits })
}

#[cfg(test)]
mod tests;
