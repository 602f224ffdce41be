//! Does a value fit a schema of the document? It knows what the schemas of our types use, and takes anything else for a
//! mistake. It is stricter than JSON Schema: a field that no schema names is a mistake, too.

use std::collections::BTreeSet;

use serde_json::Value as Json;

/// The messages of a channel that a value fits.
pub fn fitting(document: &Json, channel: &str, value: &Json) -> Vec<String> {
    let messages = document["channels"][channel]["messages"].as_object();
    let messages = messages.unwrap_or_else(|| panic!("there is no channel `{channel}`"));
    let fits = |name: &&String| problems(document, &format!("#/components/schemas/{name}"), value).is_empty();
    messages.keys().filter(fits).cloned().collect()
}

/// What is wrong with a value that should be as this reference says.
pub fn problems(document: &Json, reference: &str, value: &Json) -> Vec<String> {
    let mut found = Vec::new();
    Check(document).value(&serde_json::json!({ "$ref": reference }), value, "", &mut found);
    found
}

struct Check<'a>(&'a Json);

impl Check<'_> {
    /// A value and all of its fields.
    fn value(&self, schema: &Json, value: &Json, at: &str, found: &mut Vec<String>) {
        self.rules(schema, value, at, found);
        let mut names = BTreeSet::new();
        if let Json::Object(fields) = value
            && !self.is_open(schema, &mut names)
            && !names.is_empty()
        {
            let unknown = fields.keys().filter(|name| !names.contains(*name));
            found.extend(unknown.map(|name| format!("{at}/{name}: no schema names it")));
        }
    }

    /// Collects the names of the fields. May there be any others?
    fn is_open(&self, schema: &Json, names: &mut BTreeSet<String>) -> bool {
        let Json::Object(rules) = schema else { return false };
        names.extend(rules.get("properties").and_then(Json::as_object).into_iter().flat_map(|all| all.keys().cloned()));
        let more = ["allOf", "anyOf", "oneOf"].into_iter().filter_map(|key| rules.get(key)?.as_array()).flatten();
        let named = rules.get("$ref").map(|reference| self.named(reference));
        let mut is_open = rules.get("additionalProperties").is_some_and(|more| *more != Json::Bool(false));
        for schema in more.chain(named) {
            is_open |= self.is_open(schema, names);
        }
        is_open
    }

    fn named(&self, reference: &Json) -> &Json {
        let pointer = reference.as_str().and_then(|text| text.strip_prefix('#'));
        let named = pointer.and_then(|pointer| self.0.pointer(pointer));
        named.unwrap_or_else(|| panic!("{reference} leads nowhere"))
    }

    fn fits(&self, schema: &Json, value: &Json) -> bool {
        let mut found = Vec::new();
        self.rules(schema, value, "", &mut found);
        found.is_empty()
    }

    fn rules(&self, schema: &Json, value: &Json, at: &str, found: &mut Vec<String>) {
        let Json::Object(rules) = schema else {
            assert!(*schema == Json::Bool(true), "{at}: {schema} is no schema");
            return;
        };
        for (rule, says) in rules {
            if !self.rule(rule, says, rules, (value, at), found) {
                found.push(format!("{at}: {value} is not as `{rule}` says: {says}"));
            }
        }
    }

    /// Does a rule hold? What is wrong within the value is added to `found`.
    fn rule(
        &self,
        rule: &str,
        says: &Json,
        rules: &serde_json::Map<String, Json>,
        (value, at): (&Json, &str),
        found: &mut Vec<String>,
    ) -> bool {
        let number = |value: &Json| value.as_f64().unwrap_or(f64::NAN);
        let choices = || says.as_array().into_iter().flatten().filter(|one| self.fits(one, value)).count();
        match (rule, value) {
            ("$ref", _) => {
                self.rules(self.named(says), value, at, found);
                true
            }
            ("type", _) => match says {
                Json::Array(types) => types.iter().any(|one| is_of(one, value)),
                one => is_of(one, value),
            },
            ("const", _) => says == value,
            ("enum", _) => says.as_array().is_some_and(|all| all.contains(value)),
            ("oneOf", _) => choices() == 1,
            ("anyOf", _) => choices() > 0,
            ("allOf", _) => choices() == says.as_array().map_or(0, Vec::len),
            ("properties", Json::Object(fields)) => {
                for (name, schema) in says.as_object().into_iter().flatten() {
                    if let Some(field) = fields.get(name) {
                        self.value(schema, field, &format!("{at}/{name}"), found);
                    }
                }
                true
            }
            ("required", Json::Object(fields)) => says
                .as_array()
                .into_iter()
                .flatten()
                .all(|name| name.as_str().is_some_and(|name| fields.contains_key(name))),
            ("additionalProperties", Json::Object(fields)) => {
                let named = |name: &str| rules.get("properties").is_some_and(|all| all.get(name).is_some());
                let others: Vec<_> = fields.iter().filter(|(name, _)| !named(name.as_str())).collect();
                match says {
                    Json::Bool(may) => *may || others.is_empty(),
                    schema => {
                        for (name, field) in others {
                            self.value(schema, field, &format!("{at}/{name}"), found);
                        }
                        true
                    }
                }
            }
            ("items", Json::Array(items)) => {
                for (index, item) in items.iter().enumerate() {
                    self.value(says, item, &format!("{at}/{index}"), found);
                }
                true
            }
            ("minItems", Json::Array(items)) => items.len() as f64 >= number(says),
            ("maxItems", Json::Array(items)) => items.len() as f64 <= number(says),
            ("minLength", Json::String(text)) => text.chars().count() as f64 >= number(says),
            ("maxLength", Json::String(text)) => text.chars().count() as f64 <= number(says),
            ("minimum", Json::Number(_)) => number(value) >= number(says),
            ("maximum", Json::Number(_)) => number(value) <= number(says),
            ("pattern", Json::String(text)) => matches(says.as_str().unwrap_or_default(), text),
            ("format", Json::String(text)) => match says.as_str() {
                Some("uuid") => text.len() == 36,
                Some("date-time") => text.len() > 19 && text.contains('T') && text.ends_with('Z'),
                _ => false,
            },
            (
                "description"
                | "title"
                | "default"
                | "examples"
                | "format"
                | "properties"
                | "required"
                | "items"
                | "additionalProperties"
                | "pattern"
                | "minimum"
                | "maximum"
                | "minItems"
                | "maxItems"
                | "minLength"
                | "maxLength",
                _,
            ) => true,
            _ => panic!("{at}: nobody knows the rule `{rule}`"),
        }
    }
}

fn is_of(kind: &Json, value: &Json) -> bool {
    match kind.as_str() {
        Some("null") => value.is_null(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        Some("string") => value.is_string(),
        Some("array") => value.is_array(),
        Some("object") => value.is_object(),
        _ => panic!("nobody knows the type {kind}"),
    }
}

/// Does a text match one of our patterns? Those of subjects are words, of which `[^.]+` stands for any; a pattern with
/// alternatives is passed over.
fn matches(pattern: &str, text: &str) -> bool {
    if pattern.contains('(') {
        return true;
    }
    let inner = pattern.strip_prefix('^').and_then(|rest| rest.strip_suffix('$'));
    let inner = inner.unwrap_or_else(|| panic!("`{pattern}` is open at an end"));
    let (words, text): (Vec<&str>, Vec<&str>) = (inner.split("\\.").collect(), text.split('.').collect());
    let is_word =
        |(pattern, word): (&&str, &&str)| if *pattern == "[^.]+" { !word.is_empty() } else { pattern == word };
    words.len() == text.len() && words.iter().zip(&text).all(is_word)
}
