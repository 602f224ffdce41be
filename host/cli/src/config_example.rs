//! The settings of a process that serves, each with what it means, and the file that `--print-config` prints of them.

/// One setting: its key, a value (the default, or an example where there is none), and what it means.
pub struct Setting {
    /// Its place in the file: words with dots between them.
    pub key: &'static str,
    /// A value as TOML.
    pub value: &'static str,
    /// What it means, in one or more lines.
    pub help: &'static str,
}

/// A setting.
pub const fn setting(key: &'static str, value: &'static str, help: &'static str) -> Setting {
    Setting { key, value, help }
}

/// A file with every setting, commented out, with what it means; `head` stands before all.
pub fn example(head: &str, settings: &[Setting]) -> String {
    let mut text = String::from(head);
    let mut section = "";
    for setting in settings {
        let (here, name) = setting.key.rsplit_once('.').unwrap_or(("", setting.key));
        if here != section {
            text.push_str(&format!("\n#[{here}]\n"));
            section = here;
        }
        text.push('\n');
        for line in setting.help.lines() {
            text.push_str(&format!("# {line}\n"));
        }
        text.push_str(&format!("#{name} = {}\n", setting.value));
    }
    text
}

/// An example without the `#` before settings and headings.
#[cfg(test)]
pub fn uncommented(example: &str) -> String {
    let lines = example.lines().map(|line| match line.strip_prefix('#') {
        Some(rest) if !rest.starts_with(' ') => rest.to_owned(),
        _ => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_example_says_what_each_setting_means_and_sets_none() {
        let settings =
            [setting("slots", "4", "How many.\nOf jobs."), setting("log.level", r#""info""#, "What is told.")];
        let text = example("# Settings.\n", &settings);
        let expected =
            "# Settings.\n\n# How many.\n# Of jobs.\n#slots = 4\n\n#[log]\n\n# What is told.\n#level = \"info\"\n";
        assert_eq!(text, expected);
        assert!(text.parse::<toml::Table>().unwrap().is_empty());
        let all: toml::Table = uncommented(&text).parse().unwrap();
        assert_eq!((all["slots"].as_integer(), all["log"]["level"].as_str()), (Some(4), Some("info")));
    }
}
