//! Where the secrets of a local run come from: `--secret`, the environment of this process, a `.env` file. Only those are
//! looked up that the plan names.

use std::{
    collections::{BTreeMap, BTreeSet},
    env::{self, VarError},
    fs,
    path::{Path, PathBuf},
};

use oxide_core::{
    diagnostic,
    plan::Plan,
    secret::{SecretValue, Secrets, how_to_set, is_secret_name},
};

use crate::{
    failure::Failure,
    terminal::{Paint, Terminal},
};

/// Options that say where secrets come from.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Sources {
    /// A secret that steps may name: NAME takes it from the environment, NAME=VALUE as it stands (other users of this machine
    /// can see it); may be given several times.
    #[arg(long = "secret", value_name = "NAME[=VALUE]")]
    secrets: Vec<String>,
    /// A file with NAME=VALUE lines for secrets that are not in the environment; `.env` of the project if it is there.
    #[arg(long, value_name = "FILE")]
    env_file: Option<PathBuf>,
}

/// Finds the secrets that the plan names.
///
/// # Errors
/// If one is nowhere, or cannot be used; the values of none are in the error.
pub fn find(sources: &Sources, plan: &Plan, project: &Path) -> Result<Secrets, Failure> {
    let given = given(&sources.secrets)?;
    let steps = plan.jobs.iter().flat_map(|job| &job.steps);
    let services = plan.jobs.iter().flat_map(|job| &job.services);
    let of_services = services.flat_map(|service| service.secrets.iter().map(String::as_str));
    let of_steps = steps.flat_map(|step| step.grants.secrets.keys().map(String::as_str));
    let wanted: BTreeSet<&str> = of_steps.chain(of_services).collect();
    tell_of_unused(given.keys(), &wanted);
    // A file that was asked for must be there; the usual one is only looked at for a reason.
    let file = match sources.env_file {
        None if wanted.is_empty() => BTreeMap::new(),
        _ => file(sources, project)?,
    };
    let mut secrets = Secrets::new();
    let mut missing = Vec::new();
    for name in wanted {
        let value = match given.get(name) {
            Some(value) => Some(value.clone()),
            None => from_environment(name)?.or_else(|| file.get(name).cloned()),
        };
        match value.map(SecretValue::new) {
            None => missing.push(name),
            Some(Ok(value)) => drop(secrets.insert(name.to_owned(), value)),
            Some(Err(error)) => {
                return Err(Failure::usage(format!("the secret `{name}` cannot be used")).because(&error));
            }
        }
    }
    match missing.as_slice() {
        [] => Ok(secrets),
        [first, ..] => {
            let names: Vec<String> = missing.iter().map(|name| format!("`{name}`")).collect();
            let (word, verb) = if missing.len() == 1 { ("secret", "is") } else { ("secrets", "are") };
            Err(Failure::usage(format!("the {word} {} {verb} not set", names.join(", "))).hint(how_to_set(first)))
        }
    }
}

/// Says which of the secrets that `--secret` gives nothing of the run uses: most likely they are misspelt.
fn tell_of_unused<'a>(given: impl Iterator<Item = &'a String>, wanted: &BTreeSet<&str>) {
    let paint = Paint { colour: Terminal::stderr().colour };
    for name in given.filter(|name| !wanted.contains(name.as_str())) {
        let meant = match diagnostic::nearest(name, wanted.iter().copied()) {
            Some(meant) => format!("; did you mean `{meant}`?"),
            None => String::new(),
        };
        eprintln!("{} nothing in this run uses the secret `{name}`{meant}", paint.yellow("note:"));
    }
}

/// The secrets of a step that is run by hand: those that `--secret` says, and no others.
///
/// # Errors
/// If one has no value, or one that cannot be used.
pub fn given_by_hand(options: &[String]) -> Result<Secrets, Failure> {
    let read = |(name, value): (String, String)| match SecretValue::new(value) {
        Ok(value) => Ok((name, value)),
        Err(error) => Err(Failure::usage(format!("the secret `{name}` cannot be used")).because(&error)),
    };
    given(options)?.into_iter().map(read).collect()
}

/// What `--secret` says.
fn given(options: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    let mut given = BTreeMap::new();
    for option in options {
        let (name, value) = match option.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (option.as_str(), None),
        };
        if !is_secret_name(name) {
            return Err(Failure::usage("`--secret` was given something that is no name")
                .hint("write `--secret NAME` or `--secret NAME=VALUE`; names are letters, digits and `_`"));
        }
        let value = match value {
            Some(value) => Some(value),
            None => from_environment(name)?,
        };
        let value = value.ok_or_else(|| {
            Failure::usage(format!("`--secret {name}` takes the environment variable {name}, which is not set"))
                .hint(format!("set it, or write `--secret {name}=VALUE`"))
        })?;
        given.insert(name.to_owned(), value);
    }
    Ok(given)
}

/// The variable of this process, if it is set.
fn from_environment(name: &str) -> Result<Option<String>, Failure> {
    match env::var(name) {
        Ok(value) => Ok(Some(value)),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(_)) => {
            let failure = Failure::usage(format!("the environment variable {name} is not UTF-8, and a secret must be"));
            Err(failure.hint("encode it, for example with `base64`, and let the step decode it"))
        }
    }
}

/// The lines of `--env-file`, or of `.env`.
fn file(sources: &Sources, project: &Path) -> Result<BTreeMap<String, String>, Failure> {
    let usual = project.join(".env");
    let path = match &sources.env_file {
        Some(path) => path,
        None if usual.is_file() => &usual,
        None => return Ok(BTreeMap::new()),
    };
    let refused = || Failure::usage(format!("could not read secrets from `{}`", path.display()));
    let size = fs::metadata(path).map_err(|error| refused().because(&error))?;
    if !size.is_file() || size.len() > FILE_BYTES_MAX {
        return Err(refused().hint(format!("name a file of at most {FILE_BYTES_MAX} bytes")));
    }
    let text = fs::read_to_string(path).map_err(|error| refused().because(&error))?;
    parse(&text).map_err(|line| refused().hint(format!("line {line} is not NAME=VALUE")))
}

/// The largest file of secrets that is read.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Lines with NAME=VALUE. Values are taken as they stand, without anything put in for `$`; quotes around a whole value are taken
/// off. Empty lines, lines that begin with `#`, and `export` before a name are fine. The error is the number of a line: its
/// text may be a secret.
fn parse(text: &str) -> Result<BTreeMap<String, String>, usize> {
    let mut values = BTreeMap::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, value) = line.split_once('=').ok_or(index + 1)?;
        let name = name.strip_prefix("export ").unwrap_or(name).trim();
        if !is_secret_name(name) {
            return Err(index + 1);
        }
        let value = value.trim();
        let quoted = |quote: char| value.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
        let value = quoted('"').or_else(|| quoted('\'')).unwrap_or(value);
        values.insert(name.to_owned(), value.to_owned());
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn values_are_taken_as_they_stand() {
        let text = "# comment\n\nA=pa$word-#1\nexport B = \"two words\" \nC='$HOME'\nD=\"half\nE=a=b\n";
        let values = parse(text).unwrap();
        let value = |name: &str| values[name].as_str();
        assert_eq!(["A", "B", "C", "D", "E"].map(value), ["pa$word-#1", "two words", "$HOME", "\"half", "a=b"]);
        assert_eq!(parse("A=b\nhunter22\n"), Err(2));
        assert_eq!(parse("a-b=c\n"), Err(1));
    }
}
