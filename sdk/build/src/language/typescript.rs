//! The types of a world for TypeScript and for editors of JavaScript: `oxide-sdk/world.d.ts`, and what the SDK checks of the
//! outputs: `oxide-sdk/world.js`.
//!
//! The engines take any object, and tell in their own words what they cannot use of it.

use std::{borrow::Cow, fmt::Write};

use wit_parser::{Docs, Resolve, Type, TypeDef, TypeDefKind, TypeId};

use super::{Engine, Generated};
use crate::embed::DocumentedWit;

/// Writes both files for the function `run` of a world.
pub(super) fn bindings(wit: &DocumentedWit, engine: Engine) -> Generated {
    let mut types = Types { resolve: wit.resolve(), engine, written: Vec::new(), text: HEADING.to_owned() };
    let mut outputs = None;
    if let Some(run) = wit.run() {
        for param in &run.params {
            types.name(&param.ty);
        }
        outputs = run.result.and_then(|result| types.success(&result));
        if let Some(outputs) = outputs {
            types.name(&outputs);
        }
    }
    let fields = outputs.and_then(|outputs| types.fields(&outputs)).unwrap_or_else(|| "null".to_owned());
    let script = format!("{HEADING}\nexport const outputs = {fields};\n");
    let declarations = types.text;
    [("world.d.ts", declarations), ("world.js", script)]
        .map(|(name, text)| (name.to_owned(), Cow::Owned(text.into_bytes())))
        .into()
}

const HEADING: &str = "// Made of wit/world.wit by `oxide plugin build`.\n";

/// The declarations, as they are asked for.
struct Types<'a> {
    resolve: &'a Resolve,
    engine: Engine,
    /// The types that have a declaration, each with its name.
    written: Vec<(TypeId, String)>,
    text: String,
}

impl Types<'_> {
    /// What a result holds if all went well; a type that is no result is that itself.
    fn success(&self, ty: &Type) -> Option<Type> {
        match ty {
            Type::Id(id) => match &self.resolve.types[*id].kind {
                TypeDefKind::Result(result) => result.ok,
                TypeDefKind::Type(alias) => self.success(alias),
                _ => Some(*ty),
            },
            _ => Some(*ty),
        }
    }

    /// How a type is written. Declares it first, if it has a name.
    fn name(&mut self, ty: &Type) -> String {
        match ty {
            Type::Bool => "boolean".to_owned(),
            Type::U64 | Type::S64 => self.wide().to_owned(),
            Type::U8 | Type::U16 | Type::U32 | Type::S8 | Type::S16 | Type::S32 | Type::F32 | Type::F64 => {
                "number".to_owned()
            }
            Type::Char | Type::String => "string".to_owned(),
            Type::ErrorContext => "unknown".to_owned(),
            Type::Id(id) => self.named(*id),
        }
    }

    fn wide(&self) -> &'static str {
        match self.engine {
            Engine::QuickJs => "number",
            Engine::StarlingMonkey => "bigint",
        }
    }

    fn named(&mut self, id: TypeId) -> String {
        let resolve = self.resolve;
        let definition = &resolve.types[id];
        // What `use` brings is the type itself, under its own name there.
        if let (TypeDefKind::Type(of @ Type::Id(_)), true) = (&definition.kind, definition.docs.is_empty()) {
            return self.name(of);
        }
        if let Some((_, name)) = self.written.iter().find(|(written, _)| *written == id) {
            return name.clone();
        }
        let Some(wit_name) = &definition.name else { return self.shape(definition) };
        let name = self.free_name(wit_name);
        self.written.push((id, name.clone()));
        let shape = self.shape(definition);
        let docs = comment(&definition.docs, "");
        let declaration = match &definition.kind {
            TypeDefKind::Record(_) | TypeDefKind::Flags(_) => format!("export interface {name} {shape}\n"),
            _ => format!("export type {name} ={}{shape};\n", if shape.starts_with('\n') { "" } else { " " }),
        };
        self.text.push_str(&format!("\n{docs}{declaration}"));
        name
    }

    /// Two interfaces may have types of the same name.
    fn free_name(&self, wit_name: &str) -> String {
        let name = pascal_case(wit_name);
        let is_taken = |name: &String| self.written.iter().any(|(_, taken)| taken == name);
        (1..)
            .map(|n| if n == 1 { name.clone() } else { format!("{name}{n}") })
            .find(|name| !is_taken(name))
            .unwrap_or(name)
    }

    fn shape(&mut self, definition: &TypeDef) -> String {
        match &definition.kind {
            TypeDefKind::Record(record) => {
                let fields = record.fields.iter().map(|field| {
                    let (mark, ty) = match self.optional(&field.ty) {
                        Some(ty) => ("?", ty),
                        None => ("", field.ty),
                    };
                    let ty = self.name(&ty);
                    format!("{}  {}{mark}: {ty};\n", comment(&field.docs, "  "), camel_case(&field.name))
                });
                format!("{{\n{}}}", fields.collect::<String>())
            }
            TypeDefKind::Flags(flags) => {
                let flag = |flag: &wit_parser::Flag| {
                    format!("{}  {}?: boolean;\n", comment(&flag.docs, "  "), camel_case(&flag.name))
                };
                format!("{{\n{}}}", flags.flags.iter().map(flag).collect::<String>())
            }
            TypeDefKind::Enum(cases) => {
                let case =
                    |case: &wit_parser::EnumCase| format!("\n{}  | \"{}\"", comment(&case.docs, "  "), case.name);
                cases.cases.iter().map(case).collect()
            }
            TypeDefKind::Variant(variant) => {
                let cases = variant.cases.iter().map(|case| {
                    let value = case.ty.map(|ty| format!("; val: {}", self.name(&ty))).unwrap_or_default();
                    format!("\n{}  | {{ tag: \"{}\"{value} }}", comment(&case.docs, "  "), case.name)
                });
                cases.collect()
            }
            TypeDefKind::Result(result) => {
                let mut case = |tag: &str, ty: Option<Type>| {
                    let value = ty.map(|ty| format!("; val: {}", self.name(&ty))).unwrap_or_default();
                    format!("{{ tag: \"{tag}\"{value} }}")
                };
                format!("{} | {}", case("ok", result.ok), case("err", result.err))
            }
            TypeDefKind::Tuple(tuple) => {
                let types: Vec<String> = tuple.types.iter().map(|ty| self.name(ty)).collect();
                format!("[{}]", types.join(", "))
            }
            TypeDefKind::Option(ty) => format!("{} | undefined", self.name(ty)),
            TypeDefKind::List(Type::U8) => "Uint8Array".to_owned(),
            TypeDefKind::List(ty) | TypeDefKind::FixedLengthList(ty, _) => {
                let ty = self.name(ty);
                if ty.contains([' ', '\n']) { format!("Array<{ty}>") } else { format!("{ty}[]") }
            }
            TypeDefKind::Map(key, value) => format!("Map<{}, {}>", self.name(key), self.name(value)),
            TypeDefKind::Type(ty) => self.name(ty),
            // The host refuses a plugin with these in its inputs or outputs.
            TypeDefKind::Resource
            | TypeDefKind::Handle(_)
            | TypeDefKind::Future(_)
            | TypeDefKind::Stream(_)
            | TypeDefKind::Unknown => "never".to_owned(),
        }
    }

    /// What an option is of.
    fn optional(&self, ty: &Type) -> Option<Type> {
        let Type::Id(id) = ty else { return None };
        match &self.resolve.types[*id].kind {
            TypeDefKind::Option(ty) => Some(*ty),
            TypeDefKind::Type(alias) => self.optional(alias),
            _ => None,
        }
    }

    /// The fields of the outputs with what `typeof` says of each, as JavaScript; none if they are no record.
    fn fields(&self, outputs: &Type) -> Option<String> {
        let Type::Id(id) = outputs else { return None };
        match &self.resolve.types[*id].kind {
            TypeDefKind::Type(alias) => self.fields(alias),
            TypeDefKind::Record(record) => {
                let mut text = "{\n".to_owned();
                for field in &record.fields {
                    let inner = self.optional(&field.ty);
                    let optional = if inner.is_some() { ", optional: true" } else { "" };
                    let (kind, cases) = self.kind(&inner.unwrap_or(field.ty));
                    let cases = cases.map(|cases| format!(", cases: {cases}")).unwrap_or_default();
                    let name = camel_case(&field.name);
                    let _ = writeln!(text, "  {name}: {{ type: \"{kind}\"{cases}{optional} }},");
                }
                Some(text + "}")
            }
            _ => None,
        }
    }

    fn kind(&self, ty: &Type) -> (&'static str, Option<String>) {
        match ty {
            Type::Bool => ("boolean", None),
            Type::U64 | Type::S64 => (self.wide(), None),
            Type::Char | Type::String => ("string", None),
            Type::ErrorContext => ("object", None),
            Type::Id(id) => match &self.resolve.types[*id].kind {
                TypeDefKind::Type(alias) => self.kind(alias),
                TypeDefKind::Enum(cases) => {
                    let cases: Vec<String> = cases.cases.iter().map(|case| format!("\"{}\"", case.name)).collect();
                    ("string", Some(format!("[{}]", cases.join(", "))))
                }
                _ => ("object", None),
            },
            _ => ("number", None),
        }
    }
}

fn comment(docs: &Docs, indent: &str) -> String {
    let Some(text) = docs.contents.as_deref().map(str::trim).filter(|text| !text.is_empty()) else {
        return String::new();
    };
    let text = text.replace("*/", "* /");
    if let [line] = text.lines().collect::<Vec<_>>()[..] {
        return format!("{indent}/** {line} */\n");
    }
    let lines: String = text.lines().map(|line| format!("{}\n", format!("{indent} * {line}").trim_end())).collect();
    format!("{indent}/**\n{lines}{indent} */\n")
}

fn pascal_case(name: &str) -> String {
    name.split('-').map(capitalised).collect()
}

fn camel_case(name: &str) -> String {
    let mut words = name.split('-');
    let first = words.next().unwrap_or_default().to_lowercase();
    first + &words.map(capitalised).collect::<String>()
}

fn capitalised(word: &str) -> String {
    let word = word.to_lowercase();
    let mut letters = word.chars();
    letters.next().map_or(String::new(), |first| first.to_ascii_uppercase().to_string() + letters.as_str())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn files(world: &str, engine: Engine) -> (String, String) {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("world.wit"), world).unwrap();
        let wit = DocumentedWit::read_with_dependencies(folder.path()).unwrap();
        let files = bindings(&wit, engine);
        let text = |name: &str| String::from_utf8(files[name].to_vec()).unwrap();
        (text("world.d.ts"), text("world.js"))
    }

    const WORLD: &str = "package a:b@0.1.0;
        interface shapes {
          /// Ends a comment: */
          record inputs { x: f32 }
        }
        world w {
          use shapes.{inputs as shape};
          /// How much.
          enum level { not-at-all,
            /// All of it.
            all }
          variant choice { nothing, number(u32), pair(tuple<s8, string>) }
          flags rights { read-it, write-it }
          /// What comes in.
          ///
          /// Two lines.
          record inputs {
            /// The first one.
            dry-run: option<bool>,
            bytes: list<u8>,
            names: list<string>,
            levels: list<option<level>>,
            pairs: list<tuple<string, u64>>,
            shape: option<shape>,
            choice: choice,
            rights: rights,
            answer: result<_, string>,
          }
          record outputs { level: level, big: u64, notes: option<list<string>>, letter: char }
          variant failure { other(string) }
          export run: func(inputs: inputs) -> result<outputs, failure>;
        }";

    #[test]
    fn every_kind_of_type_is_declared() {
        let (declarations, _) = files(WORLD, Engine::QuickJs);
        let expected = r#"// Made of wit/world.wit by `oxide plugin build`.

/** How much. */
export type Level =
  | "not-at-all"
  /** All of it. */
  | "all";

/** Ends a comment: * / */
export interface Inputs2 {
  x: number;
}

export type Choice =
  | { tag: "nothing" }
  | { tag: "number"; val: number }
  | { tag: "pair"; val: [number, string] };

export interface Rights {
  readIt?: boolean;
  writeIt?: boolean;
}

/**
 * What comes in.
 *
 * Two lines.
 */
export interface Inputs {
  /** The first one. */
  dryRun?: boolean;
  bytes: Uint8Array;
  names: string[];
  levels: Array<Level | undefined>;
  pairs: Array<[string, number]>;
  shape?: Inputs2;
  choice: Choice;
  rights: Rights;
  answer: { tag: "ok" } | { tag: "err"; val: string };
}

export interface Outputs {
  level: Level;
  big: number;
  notes?: string[];
  letter: string;
}
"#;
        assert_eq!(declarations, expected);
    }

    #[test]
    fn what_is_checked_of_the_outputs() {
        let (declarations, script) = files(WORLD, Engine::StarlingMonkey);
        assert!(declarations.contains("  big: bigint;\n"), "{declarations}");
        let expected = r#"// Made of wit/world.wit by `oxide plugin build`.

export const outputs = {
  level: { type: "string", cases: ["not-at-all", "all"] },
  big: { type: "bigint" },
  notes: { type: "object", optional: true },
  letter: { type: "string" },
};
"#;
        assert_eq!(script, expected);
    }

    #[test]
    fn a_world_may_take_and_give_nothing() {
        let world = "package a:b@0.1.0; world w { variant failure { other(string) } export run: func() -> result<_, failure>; }";
        let (declarations, script) = files(world, Engine::QuickJs);
        assert_eq!(declarations, HEADING);
        assert_eq!(script, format!("{HEADING}\nexport const outputs = null;\n"));
    }
}
