//! What is wrong with a file of settings: its place, its key, and what was probably meant.

use oxide_core::diagnostic::nearest;

use crate::config_example::Setting;

/// The line of a mistake, from 1; none if it has no place of its own.
pub fn line(text: &str, error: &toml::de::Error) -> Option<usize> {
    let start = error.span()?.start;
    Some(text.as_bytes().iter().take(start).filter(|byte| **byte == b'\n').count() + 1)
}

/// A mistake in one line, with the key that it is about; of a key that nobody knows with the one of the settings that was
/// probably meant. The line itself, which may hold a secret, is not shown.
pub fn problem(error: &toml::de::Error, settings: &[Setting]) -> String {
    let message = without_value(&error.message().trim().replace('\n', " "));
    let place = place(error);
    let unknown = message.strip_prefix("unknown field `").and_then(|rest| rest.split_once('`'));
    let Some((key, rest)) = unknown else {
        return place.map_or(message.clone(), |place| format!("`{place}`: {message}"));
    };
    // What is expected stands there, each between two of these.
    let siblings = rest.split('`').skip(1).step_by(2);
    let elsewhere = || settings.iter().map(|setting| setting.key).find(|known| known.rsplit('.').next() == Some(key));
    let place = place.map_or(String::new(), |place| format!(" in `{place}`"));
    match nearest(key, siblings).or_else(elsewhere) {
        Some(meant) => format!("unknown field `{key}`{place} (did you mean `{meant}`?)"),
        None => format!("unknown field `{key}`{place}{rest}"),
    }
}

/// The same without a value that is of the wrong kind, which may be a secret: the kind that it is of is told.
fn without_value(message: &str) -> String {
    let parts = ["invalid type: ", "invalid value: "].iter().find_map(|what| {
        let (found, expected) = message.strip_prefix(what)?.rsplit_once(", expected ")?;
        let kind = found.split(['`', '"']).next()?.trim_end();
        Some(format!("{what}{kind}, expected {expected}"))
    });
    parts.unwrap_or_else(|| message.to_owned())
}

/// The key that a mistake is about, words with dots between them; none if it is about the file as a whole.
fn place(error: &toml::de::Error) -> Option<String> {
    // It is told only where the text is not shown.
    let mut alone = error.clone();
    alone.set_input(None);
    let told = alone.to_string();
    let place = told.strip_prefix(error.message())?.trim().strip_prefix("in `")?.strip_suffix('`')?;
    Some(place.to_owned())
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::config_example::setting;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct File {
        listen: String,
        agent: Agent,
    }

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Agent {
        slots: u32,
        labels: Vec<String>,
    }

    const SETTINGS: [Setting; 3] =
        [setting("listen", "\"\"", ""), setting("agent.slots", "1", ""), setting("agent.labels", "[]", "")];

    fn told(text: &str) -> (Option<usize>, String) {
        let error = toml::from_str::<File>(text).unwrap_err();
        (line(text, &error), problem(&error, &SETTINGS))
    }

    #[test]
    fn a_key_that_nobody_knows_is_told_with_the_one_that_was_meant() {
        for (text, at, problem) in [
            ("lisen = \"a\"", 1, "unknown field `lisen` (did you mean `listen`?)"),
            ("\n[agent]\nslot = 3", 3, "unknown field `slot` in `agent` (did you mean `slots`?)"),
            ("slots = 3", 1, "unknown field `slots` (did you mean `agent.slots`?)"),
            ("zzz = 3", 1, "unknown field `zzz`, expected `listen` or `agent`"),
        ] {
            assert_eq!(told(text), (Some(at), problem.to_owned()));
        }
    }

    #[test]
    fn a_value_of_another_kind_is_told_with_its_key() {
        for (text, at, problem) in [
            ("listen = 5", 1, "`listen`: invalid type: integer, expected a string"),
            ("listen = \"a\"\n[agent]\nslots = true", 3, "`agent.slots`: invalid type: boolean, expected u32"),
            ("agent.labels = [\n\"a\",\n7]", 3, "`agent.labels`: invalid type: integer, expected a string"),
        ] {
            assert_eq!(told(text), (Some(at), problem.to_owned()));
        }
        for (message, shown) in [
            ("invalid type: string \"a, expected b\", expected u32", "invalid type: string, expected u32"),
            ("invalid value: floating point `1.5`, expected u8", "invalid value: floating point, expected u8"),
            ("missing field `a`", "missing field `a`"),
        ] {
            assert_eq!(without_value(message), shown);
        }
        let (_, problem) = told("listen = \"secret");
        assert!(!problem.contains("secret"), "{problem}");
        // Without a text there is a key, and no line.
        let table: toml::Table = "listen = 5".parse().unwrap();
        let error = toml::Value::Table(table).try_into::<File>().unwrap_err();
        assert_eq!(line("", &error), None);
        assert!(super::problem(&error, &SETTINGS).starts_with("`listen`: invalid type"));
    }
}
