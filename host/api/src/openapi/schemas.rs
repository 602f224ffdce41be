//! The schemas of the document: read from the types, once as they are sent and once as they are taken, under one roof.

use std::collections::BTreeMap;

use schemars::{
    Schema, SchemaGenerator,
    generate::SchemaSettings,
    transform::{RecursiveTransform, Transform as _},
};
use serde_json::{Map, Value as Json};

use crate::route::SchemaOf;

const PLACE: &str = "/components/schemas";

/// Collects schemas.
pub struct Schemas {
    taken: SchemaGenerator,
    sent: SchemaGenerator,
}

impl Schemas {
    /// None yet.
    pub fn new() -> Schemas {
        let settings = || {
            SchemaSettings::draft2020_12().with(|settings| {
                settings.definitions_path = PLACE.into();
                settings.meta_schema = None;
                settings.transforms.push(Box::new(RecursiveTransform(bounded)));
            })
        };
        let taken = settings().for_deserialize().into_generator();
        let sent = settings().for_serialize().into_generator();
        Schemas { taken, sent }
    }

    /// What a request looks like.
    pub fn of_request(&mut self, schema: SchemaOf) -> Json {
        let schema = schema(&mut self.taken);
        mark(schema.to_value())
    }

    /// What an answer looks like.
    pub fn of_answer(&mut self, schema: SchemaOf) -> Json {
        schema(&mut self.sent).to_value()
    }

    /// The parameters of a query: name, schema, and whether it must be there.
    pub fn of_query(&mut self, schema: SchemaOf) -> Vec<(String, Json, bool)> {
        let mut inline = SchemaSettings::draft2020_12()
            .with(|settings| {
                settings.inline_subschemas = true;
                settings.meta_schema = None;
            })
            .into_generator();
        let mut schema = schema(&mut inline);
        // What is inline is no definition, which the generator transforms by itself.
        RecursiveTransform(bounded).transform(&mut schema);
        let schema = schema.to_value();
        let required: Vec<&str> =
            schema["required"].as_array().into_iter().flatten().filter_map(Json::as_str).collect();
        let properties = schema["properties"].as_object().into_iter().flatten();
        properties
            .map(|(name, schema)| (name.clone(), without_null(schema.clone()), required.contains(&name.as_str())))
            .collect()
    }

    /// All schemas that others refer to. Where a type looks different as it is taken, that form has a name of its own.
    pub fn into_components(mut self, document: &mut Json) -> Map<String, Json> {
        let sent = self.sent.take_definitions(true);
        let taken = self.taken.take_definitions(true);
        let taken: BTreeMap<String, Json> = taken.into_iter().map(|(name, schema)| (name, mark(schema))).collect();
        // A form differs if it, or anything that it refers to, does; comparing marked texts finds the first, following
        // references the second.
        let mut different: Vec<String> = Vec::new();
        loop {
            let refers = |schema: &Json| different.iter().any(|name| schema.to_string().contains(&reference(name)));
            let found: Vec<String> = taken
                .iter()
                .filter(|(name, _)| !different.contains(name))
                .filter(|(name, schema)| match sent.get(*name) {
                    Some(other) => mark(other.clone()) != **schema || refers(schema),
                    None => false,
                })
                .map(|(name, _)| name.clone())
                .collect();
            if found.is_empty() {
                break;
            }
            different.extend(found);
        }
        let name_of = |name: &str| match different.iter().any(|different| different == name) {
            true => format!("{name}Input"),
            false => name.to_owned(),
        };
        let mut components = sent;
        for (name, schema) in taken {
            components.entry(name_of(&name)).or_insert(schema);
        }
        let mut all = Json::Object(components);
        rename(&mut all, &name_of);
        rename(document, &name_of);
        match all {
            Json::Object(components) => {
                let sorted: BTreeMap<String, Json> = components.into_iter().collect();
                sorted.into_iter().collect()
            }
            _ => Map::new(),
        }
    }
}

/// A number of so many bits has a largest one; its format alone tells nobody but us.
fn bounded(schema: &mut Schema) {
    let most: Json = match schema.get("format").and_then(Json::as_str) {
        Some("uint32") => u32::MAX.into(),
        Some("uint64") => u64::MAX.into(),
        _ => return,
    };
    schema.ensure_object().entry("maximum").or_insert(most);
}

const MARK: &str = "#taken/";

fn reference(name: &str) -> String {
    format!("\"{MARK}{name}\"")
}

/// Marks references within schemas of requests, so that they can be told from the others until all names are known.
fn mark(mut schema: Json) -> Json {
    each_reference(&mut schema, &|text| text.strip_prefix(&format!("#{PLACE}/")).map(|name| format!("{MARK}{name}")));
    schema
}

fn rename(value: &mut Json, name_of: &dyn Fn(&str) -> String) {
    each_reference(value, &|text| text.strip_prefix(MARK).map(|name| format!("#{PLACE}/{}", name_of(name))));
}

fn each_reference(value: &mut Json, change: &dyn Fn(&str) -> Option<String>) {
    match value {
        Json::Object(fields) => {
            for (key, value) in fields {
                match value {
                    Json::String(text) if key == "$ref" => {
                        if let Some(changed) = change(text) {
                            *text = changed;
                        }
                    }
                    value => each_reference(value, change),
                }
            }
        }
        Json::Array(items) => items.iter_mut().for_each(|item| each_reference(item, change)),
        _ => {}
    }
}

/// A parameter that may be left out is never null.
fn without_null(mut schema: Json) -> Json {
    if let Some(fields) = schema.as_object_mut() {
        if let Some(Json::Array(types)) = fields.get_mut("type") {
            types.retain(|word| word != "null");
            if let [only] = types.as_slice() {
                let only = only.clone();
                fields.insert("type".into(), only);
            }
        }
        if let Some(Json::Array(any)) = fields.get_mut("anyOf") {
            any.retain(|schema| schema["type"] != "null");
        }
        if let Some(Json::Array(words)) = fields.get_mut("enum") {
            words.retain(|word| !word.is_null());
        }
        if fields.get("default").is_some_and(Json::is_null) {
            fields.remove("default");
        }
    }
    schema
}
