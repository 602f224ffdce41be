//! Mends what `componentize-qjs` 0.4.5 makes of a world whose types are made of other types of the world.
//!
//! For `enum bump { … } record outputs { bump: bump }` it imports `bump`, and then repeats the enum in `outputs` without its
//! name. A component may only import types that are made of named ones, so nobody can read it. Here the nameless type is
//! replaced by the named one of the same shape.

use std::{collections::HashMap, convert::Infallible};

use wasm_encoder::{
    Component, ComponentTypeSection, Encode, RawSection,
    reencode::{Reencode, ReencodeComponent},
};
use wasmparser::{
    BinaryReaderError, ComponentAlias, ComponentExternalKind, ComponentOuterAliasKind, ComponentType, ComponentTypeRef,
    Parser, Payload, TypeBounds,
};

use super::LanguageError;

/// Puts named types in the place of nameless ones. A component that needs none of it stays as it is.
pub(super) fn mend(component: &[u8]) -> Result<Vec<u8>, LanguageError> {
    Mender::default().mend(component).map_err(|error| LanguageError::Component(error.to_string()))
}

/// The types of the component, counted as it counts them.
#[derive(Default)]
struct Mender {
    /// How many there are until now.
    types: u32,
    /// Their shapes, of those that are defined here.
    shapes: HashMap<u32, Vec<u8>>,
    /// The first named type of each shape.
    named: HashMap<Vec<u8>, u32>,
    names: Names,
}

/// Writes types again, with the named one in the place of each nameless one.
#[derive(Default)]
struct Names {
    /// From the nameless to the named one.
    instead: HashMap<u32, u32>,
    /// Inside of a type that counts its own types.
    depth: u32,
}

impl Reencode for Names {
    type Error = Infallible;
}

impl ReencodeComponent for Names {
    fn component_type_index(&mut self, index: u32) -> u32 {
        if self.depth > 0 { index } else { self.instead.get(&index).copied().unwrap_or(index) }
    }

    fn push_depth(&mut self) {
        self.depth += 1;
    }

    fn pop_depth(&mut self) {
        self.depth -= 1;
    }
}

impl Mender {
    fn mend(mut self, component: &[u8]) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
        let mut mended = Component::new();
        let mut inside = 0_u32;
        for payload in Parser::new(0).parse_all(component) {
            let payload = payload?;
            if inside > 0 {
                match payload {
                    Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => inside += 1,
                    Payload::End(_) => inside -= 1,
                    _ => {}
                }
                continue;
            }
            match &payload {
                Payload::ComponentTypeSection(section) => {
                    mended.section(&self.types_of(section.clone())?);
                    continue;
                }
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => inside += 1,
                other => self.count(other)?,
            }
            if let Some((id, range)) = payload.as_section() {
                mended.section(&RawSection { id, data: &component[range] });
            }
        }
        Ok(mended.finish())
    }

    fn types_of(
        &mut self,
        section: wasmparser::ComponentTypeSectionReader<'_>,
    ) -> Result<ComponentTypeSection, Box<dyn std::error::Error>> {
        let mut types = ComponentTypeSection::new();
        for (ty, again) in section.clone().into_iter().zip(section) {
            let (ty, again) = (ty?, again?);
            if matches!(ty, ComponentType::Defined(_)) {
                let mut shape = ComponentTypeSection::new();
                self.names.parse_component_type(shape.ty(), ty)?;
                let mut bytes = Vec::new();
                shape.encode(&mut bytes);
                if let Some(named) = self.named.get(&bytes) {
                    self.names.instead.insert(self.types, *named);
                }
                self.shapes.insert(self.types, bytes);
            }
            self.names.parse_component_type(types.ty(), again)?;
            self.types += 1;
        }
        Ok(types)
    }

    /// Counts the types that a section brings, and learns names.
    fn count(&mut self, payload: &Payload<'_>) -> Result<(), BinaryReaderError> {
        match payload {
            Payload::ComponentImportSection(section) => {
                for import in section.clone() {
                    let ComponentTypeRef::Type(bounds) = import?.ty else { continue };
                    if let TypeBounds::Eq(of) = bounds
                        && let Some(shape) = self.shapes.get(&of)
                    {
                        self.named.entry(shape.clone()).or_insert(self.types);
                    }
                    self.types += 1;
                }
            }
            Payload::ComponentAliasSection(section) => {
                for alias in section.clone() {
                    self.types += u32::from(matches!(
                        alias?,
                        ComponentAlias::InstanceExport { kind: ComponentExternalKind::Type, .. }
                            | ComponentAlias::Outer { kind: ComponentOuterAliasKind::Type, .. }
                    ));
                }
            }
            Payload::ComponentExportSection(section) => {
                for export in section.clone() {
                    self.types += u32::from(export?.kind == ComponentExternalKind::Type);
                }
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use wasm_encoder::{ComponentImportSection, ComponentTypeRef, ComponentValType, PrimitiveValType, TypeBounds};
    use wasmparser::Validator;

    use super::*;

    type Definition = fn(&mut ComponentTypeSection);

    /// A component that defines types, and imports those with `name=index` under that name.
    fn component(types: &[(&str, Definition)]) -> Vec<u8> {
        let mut component = Component::new();
        for (name, define) in types {
            let mut section = ComponentTypeSection::new();
            define(&mut section);
            component.section(&section);
            if let Some((name, index)) = name.split_once('=') {
                let mut imports = ComponentImportSection::new();
                imports.import(name, ComponentTypeRef::Type(TypeBounds::Eq(index.parse().unwrap())));
                component.section(&imports);
            }
        }
        component.finish()
    }

    fn level(types: &mut ComponentTypeSection) {
        types.defined_type().enum_type(["low", "high"]);
    }

    #[test]
    fn a_nameless_type_is_replaced_by_the_named_one() {
        let broken = component(&[
            ("level=0", level),
            ("", level),
            ("", |types| types.defined_type().option(ComponentValType::Type(2))),
            ("outputs=4", |types| {
                types.defined_type().record([
                    ("level", ComponentValType::Type(2)),
                    ("other", ComponentValType::Type(3)),
                    ("text", ComponentValType::Primitive(PrimitiveValType::String)),
                ]);
            }),
            ("", level),
            ("nested=7", |types| types.defined_type().record([("level", ComponentValType::Type(6))])),
        ]);
        let error = Validator::new().validate_all(&broken).err().unwrap().to_string();
        assert!(error.contains("type not valid to be used as import"), "{error}");
        let mended = mend(&broken).unwrap();
        Validator::new().validate_all(&mended).unwrap();
    }

    #[test]
    fn a_sound_component_stays_as_it_is() {
        let sound = component(&[
            ("level=0", level),
            ("outputs=2", |types| types.defined_type().record([("level", ComponentValType::Type(1))])),
        ]);
        Validator::new().validate_all(&sound).unwrap();
        assert_eq!(mend(&sound).unwrap(), sound);
    }

    #[test]
    fn what_is_no_component_is_told() {
        assert!(mend(b"\0asm").is_err());
    }
}
