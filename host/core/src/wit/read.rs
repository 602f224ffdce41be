//! From YAML and JSON to values of WIT types.
//!
//! One walk serves both, and the check at planning too: there, scalars that hold expressions count as right.

use serde_json::Value as Json;

use super::{
    Case, MappingError, MappingErrors, NamedType, Type, Value,
    names::{means, snake_case},
    scalars::{float_text, kind_of, listed, listed_snake, scalar_of, text_of, whole_number},
    source::{Entries, Items, Source, View, shortened},
};
use crate::{
    diagnostic::nearest,
    plugin::Field,
    yaml::{Node, Span, is_null, parse_bool},
};

/// More mismatches than this are not collected.
const MAX_ERRORS: usize = 20;

impl Value {
    /// Reads a value of the type from YAML. A plain scalar is text, number or boolean as the type wants it.
    ///
    /// # Errors
    /// Every mismatch, with its place and its path below the value.
    pub fn from_node(node: &Node, ty: &Type) -> Result<Value, MappingErrors> {
        Reader::default().finish(|reader| reader.value(Source::Yaml(node), ty, &Path::Root))
    }

    /// Reads a value of the type from JSON.
    ///
    /// # Errors
    /// Every mismatch, with its path below the value.
    pub fn from_json(json: &Json, ty: &Type) -> Result<Value, MappingErrors> {
        Reader::default().finish(|reader| reader.value(Source::Json(json, Span::default()), ty, &Path::Root))
    }

    /// Reads the inputs record of a plugin from `with:`.
    ///
    /// # Errors
    /// Every mismatch, missing and extra inputs included; paths begin with `inputs`.
    pub fn inputs_from_node(with: &Node, fields: &[Field]) -> Result<Value, MappingErrors> {
        Reader::default().finish(|reader| reader.inputs(with, fields))
    }
}

/// Checks `with:` against the inputs of a plugin before anything runs. Where an expression stands, only the presence of
/// the value is checked.
///
/// # Errors
/// Every mismatch, missing and extra inputs included; paths begin with `inputs`.
pub fn check_inputs(with: &Node, fields: &[Field]) -> Result<(), MappingErrors> {
    let reader = Reader { expressions_are_right: true, errors: Vec::new() };
    reader.finish(|reader| reader.inputs(with, fields)).map(|_| ())
}

/// The way to a value, as a chain on the stack: nothing is allocated unless there is an error.
enum Path<'a> {
    Root,
    Inputs,
    Field(&'a Path<'a>, &'a str),
    Item(&'a Path<'a>, usize),
}

impl Path<'_> {
    fn text(&self) -> String {
        match self {
            Path::Root => String::new(),
            Path::Inputs => "inputs".to_owned(),
            Path::Field(parent, name) => match parent.text() {
                parent if parent.is_empty() => snake_case(name),
                parent => format!("{parent}.{}", snake_case(name)),
            },
            Path::Item(parent, index) => format!("{}[{index}]", parent.text()),
        }
    }
}

#[derive(Default)]
struct Reader {
    expressions_are_right: bool,
    errors: Vec<MappingError>,
}

impl Reader {
    fn finish(mut self, read: impl FnOnce(&mut Reader) -> Option<Value>) -> Result<Value, MappingErrors> {
        match read(&mut self) {
            Some(value) if self.errors.is_empty() => Ok(value),
            _ => Err(MappingErrors(self.errors)),
        }
    }

    fn inputs(&mut self, with: &Node, fields: &[Field]) -> Option<Value> {
        let types: Vec<NamedType> =
            fields.iter().map(|field| NamedType { name: field.name.clone(), ty: field.ty.clone() }).collect();
        match Source::Yaml(with).view() {
            View::Map(entries) => self.record(entries, with.span, &types, &Path::Inputs),
            View::Null => self.record(Entries::Yaml(&[]), with.span, &types, &Path::Inputs),
            View::Plain(text) if is_null(text) => self.record(Entries::Yaml(&[]), with.span, &types, &Path::Inputs),
            other => {
                let found = other.described();
                self.error(
                    with.span,
                    &Path::Inputs,
                    "a mapping",
                    format!("expected a mapping of inputs, found {found}"),
                )
            }
        }
    }

    fn error(&mut self, span: Span, path: &Path<'_>, expected: impl ToString, message: String) -> Option<Value> {
        self.error_with_hint(span, path, expected, message, None)
    }

    fn error_with_hint(
        &mut self,
        span: Span,
        path: &Path<'_>,
        expected: impl ToString,
        message: String,
        hint: Option<String>,
    ) -> Option<Value> {
        if self.errors.len() < MAX_ERRORS {
            let expected = shortened(&expected.to_string());
            self.errors.push(MappingError { span, path: path.text(), expected, message, hint });
        }
        None
    }

    fn mismatch(&mut self, source: Source<'_>, ty: &Type, path: &Path<'_>) -> Option<Value> {
        let found = source.view().described();
        let hint = match (ty, source.view()) {
            (Type::String, _) => None,
            (_, View::Quoted(text)) if scalar_of(text, ty) => Some("remove the quotes".to_owned()),
            (Type::Bool, View::Plain("yes" | "on" | "Yes" | "On")) => Some("write `true`".to_owned()),
            (Type::Bool, View::Plain("no" | "off" | "No" | "Off")) => Some("write `false`".to_owned()),
            (Type::List(_), View::Plain(text) | View::Quoted(text)) if !text.is_empty() => {
                Some(format!("a list with one item is written `[{}]`", shortened(text)))
            }
            _ => None,
        };
        let wanted = kind_of(ty);
        self.error_with_hint(source.span(), path, ty, format!("expected {wanted}, found {found}"), hint)
    }

    fn value(&mut self, source: Source<'_>, ty: &Type, path: &Path<'_>) -> Option<Value> {
        if self.expressions_are_right
            && let View::Plain(text) | View::Quoted(text) = source.view()
            && text.contains("${{")
        {
            return Some(Value::Bool(false));
        }
        match ty {
            Type::Bool => match source.view() {
                View::Bool(value) => Some(Value::Bool(value)),
                View::Plain(text) | View::Given(text) if parse_bool(text).is_some() => {
                    parse_bool(text).map(Value::Bool)
                }
                _ => self.mismatch(source, ty, path),
            },
            Type::S8 => self.integer(source, ty, path).map(|v| Value::S8(v as i8)),
            Type::U8 => self.integer(source, ty, path).map(|v| Value::U8(v as u8)),
            Type::S16 => self.integer(source, ty, path).map(|v| Value::S16(v as i16)),
            Type::U16 => self.integer(source, ty, path).map(|v| Value::U16(v as u16)),
            Type::S32 => self.integer(source, ty, path).map(|v| Value::S32(v as i32)),
            Type::U32 => self.integer(source, ty, path).map(|v| Value::U32(v as u32)),
            Type::S64 => self.integer(source, ty, path).map(|v| Value::S64(v as i64)),
            Type::U64 => self.integer(source, ty, path).map(|v| Value::U64(v as u64)),
            Type::F32 => self.float32(source, ty, path),
            Type::F64 => match float_text(source.view()).and_then(|text| text.parse::<f64>().ok()) {
                Some(value) => Some(Value::F64(value)),
                None => self.mismatch(source, ty, path),
            },
            Type::Char => {
                let text = text_of(source.view());
                let mut characters = text.as_deref().unwrap_or("").chars();
                match (characters.next(), characters.next()) {
                    (Some(character), None) => Some(Value::Char(character)),
                    _ => self.mismatch(source, ty, path),
                }
            }
            Type::String => match text_of(source.view()) {
                Some(text) => Some(Value::String(text)),
                None => self.mismatch(source, ty, path),
            },
            Type::List(item) => self.list(source, ty, item, path),
            Type::Option(inner) => self.option(source, ty, inner, path),
            Type::Tuple(types) => self.tuple(source, ty, types, path),
            Type::Record(fields) => match source.view() {
                View::Map(entries) => self.record(entries, source.span(), fields, path),
                _ => self.mismatch(source, ty, path),
            },
            Type::Variant(cases) => self.variant(source, ty, cases, path),
            Type::Enum(names) => match source.view() {
                View::Plain(text) | View::Quoted(text) | View::Given(text) => {
                    self.name(text, source.span(), names, "one of", ty, path).map(Value::Enum)
                }
                _ => self.mismatch(source, ty, path),
            },
            Type::Flags(names) => self.flags(source, ty, names, path),
            Type::Result { ok, err } => self.result(source, ty, ok.as_deref(), err.as_deref(), path),
        }
    }

    fn integer(&mut self, source: Source<'_>, ty: &Type, path: &Path<'_>) -> Option<i128> {
        let Some(value) = whole_number(source.view()) else {
            self.mismatch(source, ty, path);
            return None;
        };
        let (low, high) = ty.integer_range().expect("asked for integer types only");
        if value < low || value > high {
            self.error(source.span(), path, ty, format!("{value} does not fit in {ty}, which holds {low} to {high}"));
            return None;
        }
        Some(value)
    }

    fn float32(&mut self, source: Source<'_>, ty: &Type, path: &Path<'_>) -> Option<Value> {
        let Some(text) = float_text(source.view()) else { return self.mismatch(source, ty, path) };
        let Ok(value) = text.parse::<f32>() else { return self.mismatch(source, ty, path) };
        if value.is_infinite() && !text.contains("inf") {
            return self.error(source.span(), path, ty, format!("{text} does not fit in f32"));
        }
        Some(Value::F32(value))
    }

    fn list(&mut self, source: Source<'_>, ty: &Type, item: &Type, path: &Path<'_>) -> Option<Value> {
        let mut values = Vec::new();
        let mut complete = true;
        match (source.view(), item.pair_value()) {
            (View::List(items), _) => {
                values.reserve(items.len());
                for (index, entry) in items.iter().enumerate() {
                    match self.value(entry, item, &Path::Item(path, index)) {
                        Some(value) => values.push(value),
                        None => complete = false,
                    }
                }
            }
            (View::Map(entries), Some(value_type)) => {
                for (key, _, value) in entries.iter() {
                    match self.value(value, value_type, &Path::Field(path, key)) {
                        Some(value) => values.push(Value::Tuple(vec![Value::String(key.to_owned()), value])),
                        None => complete = false,
                    }
                }
            }
            _ => return self.mismatch(source, ty, path),
        }
        complete.then_some(Value::List(values))
    }

    fn option(&mut self, source: Source<'_>, ty: &Type, inner: &Type, path: &Path<'_>) -> Option<Value> {
        match source.view() {
            View::Null => return Some(Value::Option(None)),
            View::Plain(text) if is_null(text) => return Some(Value::Option(None)),
            _ => {}
        }
        if inner.may_be_null() {
            let View::Map(entries) = source.view() else { return self.nested_option(source, ty, path) };
            let Some(("some", _, value)) = entries.single() else { return self.nested_option(source, ty, path) };
            return self.value(value, inner, &Path::Field(path, "some")).map(|v| Value::Option(Some(Box::new(v))));
        }
        self.value(source, inner, path).map(|value| Value::Option(Some(Box::new(value))))
    }

    fn nested_option(&mut self, source: Source<'_>, ty: &Type, path: &Path<'_>) -> Option<Value> {
        let found = source.view().described();
        let hint = Some("an option of an option is written `{ some: VALUE }`, `{ some: null }` or `null`".to_owned());
        self.error_with_hint(
            source.span(),
            path,
            ty,
            format!("expected `{{ some: … }}` or nothing, found {found}"),
            hint,
        )
    }

    fn tuple(&mut self, source: Source<'_>, ty: &Type, types: &[Type], path: &Path<'_>) -> Option<Value> {
        let View::List(items) = source.view() else { return self.mismatch(source, ty, path) };
        if items.len() != types.len() {
            let message = format!("expected a list of {} items, found one of {}", types.len(), Items::len(items));
            return self.error(source.span(), path, ty, message);
        }
        let values: Vec<Option<Value>> = types
            .iter()
            .enumerate()
            .map(|(index, ty)| self.value(items.get(index), ty, &Path::Item(path, index)))
            .collect();
        values.into_iter().collect::<Option<Vec<Value>>>().map(Value::Tuple)
    }

    fn record(&mut self, entries: Entries<'_>, span: Span, fields: &[NamedType], path: &Path<'_>) -> Option<Value> {
        let mut values: Vec<Option<Value>> = vec![None; fields.len()];
        let mut written = vec![false; fields.len()];
        let mut complete = true;
        let noun = if matches!(path, Path::Inputs) { "input" } else { "field" };
        for (key, key_span, source) in entries.iter() {
            let Some(index) = fields.iter().position(|field| means(key, &field.name)) else {
                complete = false;
                let names: Vec<String> = fields.iter().map(|field| snake_case(&field.name)).collect();
                let hint = match nearest(key, names.iter().map(String::as_str)) {
                    Some(name) => format!("did you mean `{name}`?"),
                    None if names.is_empty() => format!("there are no {noun}s"),
                    None => format!("the {noun}s are: {}", names.join(", ")),
                };
                let message = format!("there is no {noun} `{}`", shortened(key));
                self.error_with_hint(key_span, path, "", message, Some(hint));
                continue;
            };
            let field = &fields[index];
            let here = Path::Field(path, &field.name);
            if std::mem::replace(&mut written[index], true) {
                complete = false;
                self.error(key_span, &here, &field.ty, format!("the {noun} `{key}` is written twice"));
                continue;
            }
            values[index] = self.value(source, &field.ty, &here);
            complete &= values[index].is_some();
        }
        for (index, field) in fields.iter().enumerate().filter(|(index, _)| !written[*index]) {
            if field.ty.may_be_null() {
                values[index] = Some(Value::Option(None));
                continue;
            }
            complete = false;
            let name = snake_case(&field.name);
            let message = format!("the {noun} `{name}` is missing");
            let hint = Some(format!("add `{name}: …`, which is {}", kind_of(&field.ty)));
            self.error_with_hint(span, &Path::Field(path, &field.name), &field.ty, message, hint);
        }
        if !complete {
            return None;
        }
        let named = fields.iter().zip(values).map(|(field, value)| Some((field.name.clone(), value?)));
        named.collect::<Option<Vec<_>>>().map(Value::Record)
    }

    /// Finds the name in WIT of a case or flag.
    fn name(
        &mut self,
        text: &str,
        span: Span,
        names: &[String],
        wanted: &str,
        ty: &Type,
        path: &Path<'_>,
    ) -> Option<String> {
        if let Some(name) = names.iter().find(|name| means(text, name)) {
            return Some(name.clone());
        }
        let names: Vec<String> = names.iter().map(|name| snake_case(name)).collect();
        let hint = nearest(text, names.iter().map(String::as_str)).map(|name| format!("did you mean `{name}`?"));
        let message = format!("expected {wanted} {}; found `{}`", listed(&names), shortened(text));
        self.error_with_hint(span, path, ty, message, hint);
        None
    }

    fn variant(&mut self, source: Source<'_>, ty: &Type, cases: &[Case], path: &Path<'_>) -> Option<Value> {
        let names: Vec<String> = cases.iter().map(|case| case.name.clone()).collect();
        let (written, span, payload) = match source.view() {
            View::Plain(text) | View::Quoted(text) | View::Given(text) => (text, source.span(), None),
            View::Map(entries) => match entries.single() {
                Some((key, span, value)) => (key, span, Some(value)),
                None => {
                    let message = format!("expected one case of {}, as `{{ case: value }}`", listed_snake(&names));
                    return self.error(source.span(), path, ty, message);
                }
            },
            _ => return self.mismatch(source, ty, path),
        };
        let name = self.name(written, span, &names, "one of", ty, path)?;
        let case = cases.iter().find(|case| case.name == name).expect("the name is one of the cases");
        let payload = self.payload(source, payload, case.ty.as_ref(), &case.name, ty, path)?;
        Some(Value::Variant(name, payload))
    }

    fn result(
        &mut self,
        source: Source<'_>,
        ty: &Type,
        ok: Option<&Type>,
        err: Option<&Type>,
        path: &Path<'_>,
    ) -> Option<Value> {
        let (written, payload) = match source.view() {
            View::Plain(text) | View::Quoted(text) | View::Given(text) => (text, None),
            View::Map(entries) => match entries.single() {
                Some((key, _, value)) => (key, Some(value)),
                None => return self.mismatch(source, ty, path),
            },
            _ => return self.mismatch(source, ty, path),
        };
        match written {
            "ok" => Some(Value::Result(Ok(self.payload(source, payload, ok, "ok", ty, path)?))),
            "err" => Some(Value::Result(Err(self.payload(source, payload, err, "err", ty, path)?))),
            _ => self.mismatch(source, ty, path),
        }
    }

    /// The payload of a case: there if and only if the case has one.
    #[expect(clippy::option_option, reason = "outside: is it right? inside: is there a payload?")]
    fn payload(
        &mut self,
        source: Source<'_>,
        payload: Option<Source<'_>>,
        wanted: Option<&Type>,
        case: &str,
        ty: &Type,
        path: &Path<'_>,
    ) -> Option<Option<Box<Value>>> {
        let case = snake_case(case);
        match (payload, wanted) {
            (Some(payload), Some(wanted)) => {
                self.value(payload, wanted, &Path::Field(path, &case)).map(|value| Some(Box::new(value)))
            }
            (None, None) => Some(None),
            (Some(payload), None) => match payload.view() {
                View::Null => Some(None),
                View::Plain(text) if is_null(text) => Some(None),
                _ => {
                    self.error(payload.span(), path, ty, format!("`{case}` takes no value; write only `{case}`"));
                    None
                }
            },
            (None, Some(wanted)) => {
                let message = format!("`{case}` takes a value, {}; write `{{ {case}: … }}`", kind_of(wanted));
                self.error(source.span(), path, ty, message);
                None
            }
        }
    }

    fn flags(&mut self, source: Source<'_>, ty: &Type, names: &[String], path: &Path<'_>) -> Option<Value> {
        let View::List(items) = source.view() else { return self.mismatch(source, ty, path) };
        let mut set = vec![false; names.len()];
        let mut complete = true;
        for (index, item) in items.iter().enumerate() {
            let here = Path::Item(path, index);
            if self.expressions_are_right
                && let View::Plain(text) | View::Quoted(text) = item.view()
                && text.contains("${{")
            {
                continue;
            }
            let name = match item.view() {
                View::Plain(text) | View::Quoted(text) | View::Given(text) => {
                    self.name(text, item.span(), names, "one of", ty, &here)
                }
                other => {
                    let message = format!("expected a name of {}, found {}", listed_snake(names), other.described());
                    self.error(item.span(), &here, ty, message);
                    None
                }
            };
            match name.and_then(|name| names.iter().position(|known| *known == name)) {
                Some(position) => set[position] = true,
                None => complete = false,
            }
        }
        let chosen = names.iter().zip(set).filter(|(_, set)| *set).map(|(name, _)| name.clone());
        complete.then(|| Value::Flags(chosen.collect()))
    }
}
