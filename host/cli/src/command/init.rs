//! `oxide init`: a first pipeline.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use crate::{
    exit_code::Exit,
    failure::Failure,
    git_facts,
    terminal::{print, without_controls},
};

/// Arguments of `oxide init`.
#[derive(clap::Args)]
pub struct Arguments {
    /// The directory of the project.
    #[arg(default_value = ".")]
    directory: PathBuf,
}

/// What a project is built with, told by a file in its directory: file, stage commands.
const KINDS: [(&str, &[&str]); 5] = [
    ("Cargo.toml", &["cargo build --locked", "cargo test --locked"]),
    ("package.json", &["npm ci", "npm test"]),
    ("pyproject.toml", &["python3 -m pip install .", "python3 -m pytest"]),
    ("go.mod", &["go build ./...", "go test ./..."]),
    ("Makefile", &["make", "make test"]),
];

/// A name that long still fits on the screen.
const NAME_CHARACTERS_MAX: usize = 60;

/// Writes `oxide.yaml`; an existing one stays as it is.
pub fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    let file = arguments.directory.join("oxide.yaml");
    let kind = KINDS.iter().find(|(marker, _)| arguments.directory.join(marker).is_file());
    let commands = kind.map_or(&["echo \"hello from commit ${{ git.sha }}\""] as &[&str], |(_, commands)| commands);
    let place = arguments.directory.canonicalize().ok();
    let name = place.as_deref().and_then(|path| path.file_name()).map(|name| name.to_string_lossy());
    let text = text(&pipeline_name(name.as_deref().unwrap_or_default()), commands);
    let created = fs::File::create_new(&file).and_then(|mut out| out.write_all(text.as_bytes()));
    if let Err(error) = created {
        let failure = Failure::trouble(format!("could not write `{}`", file.display())).because(&error);
        return Err(match error.kind() {
            std::io::ErrorKind::AlreadyExists => failure.hint("it stays as it is; remove it to begin anew"),
            std::io::ErrorKind::NotFound => failure.hint("make the directory first"),
            _ => failure,
        });
    }
    let found = kind.map_or(String::new(), |(marker, _)| format!(" (found {marker})"));
    let shown = without_controls(&file.display().to_string());
    print(&format!("wrote {shown}{found}\n{}", next_steps(&arguments.directory)))?;
    Ok(Exit::Success)
}

/// What to type next. A run checks out a commit, so there must be one.
fn next_steps(directory: &Path) -> String {
    let facts = git_facts::read(directory);
    let directory = quoted(&directory.to_string_lossy());
    let run = format!("oxide run {directory}");
    let facts = match facts {
        Ok(facts) => facts,
        Err(refused) => {
            let trust = refused.command.as_deref().unwrap_or("git status");
            return format!("next, because {refused}: {trust}\nthen: {run}\n");
        }
    };
    if facts.contains_key("sha") {
        return format!("next: {run}\n");
    }
    let git = if directory == "." { "git".to_owned() } else { format!("git -C {directory}") };
    let begin = if facts.contains_key("repository") { String::new() } else { format!("{git} init && ") };
    format!("next, because a run checks out a commit: {begin}{git} add . && {git} commit -m first\nthen: {run}\n")
}

/// A word as a shell reads it.
pub(super) fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "-_./+=:@%,".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// The name of a directory as that of a pipeline, which is one line of at most 200 characters.
fn pipeline_name(directory: &str) -> String {
    let is_strange = |c: char| c.is_control() || matches!(c, '\u{fffd}' | '\u{feff}' | '\u{2028}' | '\u{2029}');
    let name: String =
        directory.chars().map(|c| if is_strange(c) { '-' } else { c }).take(NAME_CHARACTERS_MAX).collect();
    match name.trim() {
        "" => "build".to_owned(),
        name => name.to_owned(),
    }
}

/// The text of a pipeline with one stage that checks out the project and runs these commands.
fn text(name: &str, commands: &[&str]) -> String {
    let mut text = format!(
        "version: \"1\"\nname: {}\ntriggers:\n  push: {{ branches: [main] }}\n  pull_request: {{}}\n\nstages:\n  test:\n    \
         environment: host # or: {{ container: IMAGE }}\n    steps:\n      - uses: oxide/checkout@1\n",
        serde_json::Value::from(name)
    );
    for command in commands {
        text.push_str(&format!("      - run: {command}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_directory_gives_a_name() {
        let long = "x".repeat(255);
        for strange in ["", " ", "a\nb", "a\u{fffd}\u{1b}[31m", "\"quoted\"", "${{ git.sha }}", "naïve-日本", &long]
        {
            let text = text(&pipeline_name(strange), KINDS[0].1);
            let pipeline = oxide_core::pipeline::Pipeline::parse(&text);
            assert!(pipeline.is_ok(), "{strange:?}: {text}\n{:?}", pipeline.err());
        }
    }

    #[test]
    fn a_word_is_quoted_where_a_shell_needs_it() {
        assert_eq!(
            (quoted("a/b-1.x"), quoted("a b"), quoted("it's")),
            ("a/b-1.x".into(), "'a b'".into(), "'it'\\''s'".into())
        );
    }

    #[test]
    fn every_first_pipeline_is_valid() {
        for (marker, commands) in KINDS {
            let text = text("a \"strange\" name: x", commands);
            let pipeline = oxide_core::pipeline::Pipeline::parse(&text);
            assert!(pipeline.is_ok(), "{marker}: {text}");
        }
    }
}
