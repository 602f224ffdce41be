//! The secrets that travel to an agent with one job.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::{SecretValue, Secrets, is_secret_name};

/// The values of the secrets of one job, by name. They are written out where they must be, in the one message that gives
/// an agent the job, and nowhere else: not by `Debug`, and a job is never stored with them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct LeasedSecrets(Secrets);

impl LeasedSecrets {
    /// Those of these secrets that are named.
    pub fn of<'a>(secrets: &Secrets, names: impl IntoIterator<Item = &'a str>) -> LeasedSecrets {
        let named = |name: &'a str| Some((name.to_owned(), secrets.get(name)?.clone()));
        LeasedSecrets(names.into_iter().filter_map(named).collect())
    }

    /// The values by name.
    pub fn values(&self) -> &Secrets {
        &self.0
    }

    /// The values by name, taken out.
    pub fn into_values(self) -> Secrets {
        self.0
    }

    /// Are there none?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<Secrets> for LeasedSecrets {
    fn from(secrets: Secrets) -> LeasedSecrets {
        LeasedSecrets(secrets)
    }
}

impl fmt::Debug for LeasedSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.0.iter()).finish()
    }
}

impl Serialize for LeasedSecrets {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value.expose())))
    }
}

impl<'de> Deserialize<'de> for LeasedSecrets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // No error may tell a value, so none comes from reading the texts themselves.
        let texts = BTreeMap::<String, String>::deserialize(deserializer)
            .map_err(|_| D::Error::custom("secrets must be texts by name"))?;
        let mut secrets = Secrets::new();
        for (name, text) in texts {
            if !is_secret_name(&name) {
                return Err(D::Error::custom(format!("`{}` cannot be the name of a secret", name.escape_debug())));
            }
            let value = SecretValue::new(text)
                .map_err(|problem| D::Error::custom(format!("the secret `{name}` cannot be used: {problem}")))?;
            secrets.insert(name, value);
        }
        Ok(LeasedSecrets(secrets))
    }
}

impl JsonSchema for LeasedSecrets {
    fn schema_name() -> Cow<'static, str> {
        "LeasedSecrets".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "additionalProperties": { "type": "string" },
            "description": "The values of the secrets of one job, by name.",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets() -> Secrets {
        let value = |text: &str| SecretValue::new(text).unwrap();
        Secrets::from([("TOKEN".to_owned(), value("hunter22")), ("OTHER".to_owned(), value("correct horse"))])
    }

    #[test]
    fn only_the_named_ones_travel_and_nobody_sees_them_by_accident() {
        let leased = LeasedSecrets::of(&secrets(), ["TOKEN", "UNKNOWN"]);
        assert_eq!(format!("{leased:?}"), r#"{"TOKEN": SecretValue(***)}"#);
        let json = serde_json::to_string(&leased).unwrap();
        assert_eq!(json, r#"{"TOKEN":"hunter22"}"#);
        assert_eq!(serde_json::from_str::<LeasedSecrets>(&json).unwrap(), leased);
    }

    #[test]
    fn a_bad_message_is_refused_without_showing_a_value() {
        for bad in [r#"{"TOKEN":"abc"}"#, r#"{"a-b":"hunter22"}"#, r#"{"TOKEN":123456789}"#, r#"["hunter22"]"#] {
            let error = serde_json::from_str::<LeasedSecrets>(bad).unwrap_err().to_string();
            assert!(!error.contains("hunter22") && !error.contains("abc") && !error.contains("123456789"), "{error}");
        }
    }
}
