//! Whose signatures a project wants: `.oxide/trust.toml`.
//!
//! ```toml
//! [[rule]]
//! plugins = "ghcr.io/acme/*"      # a whole name, or one that ends in `/*`
//! any_of = ["keys/acme.pub"]      # one of these keys must have signed; paths are relative to this file
//! all_of = ["keys/security.pub"]  # and each of these
//!
//! [[rule]]
//! plugins = "127.0.0.1:5000/*"
//! signed = false                  # needs no signature
//!
//! [default]
//! signed = true                   # what no rule names is refused; `false`, the default, lets it in
//! ```
//!
//! The first rule that matches decides. [`Policy::decide`] is a pure function; [`verify_by_policy`] is what everybody calls who
//! adds, updates, pulls or plans a plugin from a registry. Built-in plugins and files of the project are not asked for.

use std::{
    collections::BTreeSet,
    fmt, fs, io,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use toml::Spanned;

use crate::{
    oci::{Client, Digest, OciError, Repository},
    signature::{KeptSignatures, KeyError, Mismatch, PublicKey, Signature, published},
};

/// Where the policy of a project is, relative to the project.
pub const FILE: &str = ".oxide/trust.toml";

const FILE_BYTES_MAX: u64 = 1 << 20;
const KEY_BYTES_MAX: u64 = 64 << 10;

/// The policy of a project.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    rules: Vec<Rule>,
    default_signed: bool,
}

#[derive(Clone, Debug)]
struct Rule {
    plugins: Pattern,
    wants: Wanted,
}

#[derive(Clone, Debug)]
enum Wanted {
    Nothing,
    Keys { all_of: Vec<TrustedKey>, any_of: Vec<TrustedKey> },
}

/// A key that a rule names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedKey {
    /// As the rule writes it, such as `keys/acme.pub`.
    pub name: String,
    /// The key.
    pub key: PublicKey,
}

/// Which names a rule is about.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Pattern {
    /// This one.
    Whole(String),
    /// Those that begin so; it ends in a slash.
    Below(String),
}

/// Whose signature of a plugin was good and is trusted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Signer {
    /// The key as the rule writes it.
    pub key: String,
    /// The fingerprint of the key, which does not change with its file.
    pub fingerprint: String,
}

/// What a policy says about a plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It may be used.
    Allowed {
        /// Who signed it, as far as the policy asks; empty if no signature is needed.
        signers: Vec<Signer>,
    },
    /// It may not.
    Refused(Refusal),
}

/// Why a policy refuses a plugin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Unnamed plugins are refused.
    #[error("no rule of `{FILE}` names it, and `[default] signed = true` refuses what no rule names")]
    NoRule,
    /// A key that must have signed has not.
    #[error("it is not signed by {}, as the rule for `{pattern}` in `{FILE}` wants", listed(keys, "and"))]
    Missing {
        /// The pattern of the rule.
        pattern: String,
        /// The keys.
        keys: Vec<String>,
    },
    /// One of several keys must have signed, and none has.
    #[error("it is not signed by {}, as the rule for `{pattern}` in `{FILE}` wants", listed(keys, "or"))]
    NoneOf {
        /// The pattern of the rule.
        pattern: String,
        /// The keys.
        keys: Vec<String>,
    },
}

/// Why a policy cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// The file cannot be read.
    #[error("could not read `{}`", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// The text is no policy.
    #[error("`{FILE}`, line {line}: {problem}")]
    Text {
        /// The line, from 1.
        line: usize,
        /// What is wrong, and what to write.
        problem: String,
    },
    /// A key that a rule names cannot be used.
    #[error("`{FILE}`, line {line}: could not read the key `{key}`")]
    Key {
        /// The line, from 1.
        line: usize,
        /// As the rule writes it.
        key: String,
        /// Why.
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    #[serde(default)]
    rule: Vec<Spanned<RuleText>>,
    #[serde(default)]
    default: DefaultText,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleText {
    plugins: Spanned<String>,
    signed: Option<bool>,
    #[serde(default)]
    all_of: Vec<Spanned<String>>,
    #[serde(default)]
    any_of: Vec<Spanned<String>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct DefaultText {
    #[serde(default)]
    signed: bool,
}

impl Policy {
    /// The policy of the project in this directory. A project without one lets in what nobody signed.
    ///
    /// # Errors
    /// See [`PolicyError`].
    pub fn of_project(project: &Path) -> Result<Policy, PolicyError> {
        let path = project.join(FILE);
        let folder = path.parent().unwrap_or(project);
        if is_absent(folder) || (folder.is_dir() && is_absent(&path)) {
            return Ok(Policy::default());
        }
        let text = match read(&path, FILE_BYTES_MAX) {
            Ok(text) => text,
            Err(cause) => return Err(PolicyError::File { path, cause }),
        };
        Policy::parse(&text, |key| read(&folder.join(key), KEY_BYTES_MAX))
    }

    /// Reads the text of a policy; `read_key` gets the text of a key by the name that a rule has for it.
    ///
    /// # Errors
    /// See [`PolicyError`].
    pub fn parse(text: &str, read_key: impl Fn(&str) -> io::Result<String>) -> Result<Policy, PolicyError> {
        let line = |at: usize| text.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count() + 1;
        let wrong = |at: usize, problem: String| PolicyError::Text { line: line(at), problem };
        let parsed: Text = toml::from_str(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            wrong(at, error.message().trim().replace('\n', " "))
        })?;
        let keys = |names: &[Spanned<String>]| {
            let key = |name: &Spanned<String>| {
                let failed =
                    |cause| PolicyError::Key { line: line(name.span().start), key: name.get_ref().clone(), cause };
                let pem = read_key(name.get_ref()).map_err(|error| failed(error.into()))?;
                let key = PublicKey::from_pem(&pem).map_err(|error: KeyError| failed(error.into()))?;
                Ok(TrustedKey { name: name.get_ref().clone(), key })
            };
            names.iter().map(key).collect::<Result<Vec<_>, PolicyError>>()
        };
        let mut rules = Vec::new();
        for spanned in &parsed.rule {
            let rule = spanned.get_ref();
            let plugins =
                Pattern::parse(rule.plugins.get_ref()).map_err(|problem| wrong(rule.plugins.span().start, problem))?;
            let has_keys = !rule.all_of.is_empty() || !rule.any_of.is_empty();
            let wants = match (rule.signed, has_keys) {
                (Some(false), false) => Wanted::Nothing,
                (Some(false), true) => {
                    let problem = "the rule names keys and says `signed = false`: remove one of the two";
                    return Err(wrong(spanned.span().start, problem.to_owned()));
                }
                (None | Some(true), true) => Wanted::Keys { all_of: keys(&rule.all_of)?, any_of: keys(&rule.any_of)? },
                (None | Some(true), false) => {
                    let problem = "the rule names no keys: write `any_of = [\"keys/NAME.pub\"]`, or `signed = false`";
                    return Err(wrong(spanned.span().start, problem.to_owned()));
                }
            };
            rules.push(Rule { plugins, wants });
        }
        Ok(Policy { rules, default_signed: parsed.default.signed })
    }

    /// Decides about a plugin by the name of its repository (without tag and digest) and the fingerprints of the keys whose
    /// signatures of it are good.
    pub fn decide(&self, name: &str, verified: &BTreeSet<String>) -> Decision {
        let Some(rule) = self.rule(name) else {
            return match self.default_signed {
                true => Decision::Refused(Refusal::NoRule),
                false => Decision::Allowed { signers: Vec::new() },
            };
        };
        let Wanted::Keys { all_of, any_of } = &rule.wants else { return Decision::Allowed { signers: Vec::new() } };
        let has_signed = |key: &&TrustedKey| verified.contains(&key.key.fingerprint());
        let names = |keys: Vec<&TrustedKey>| keys.iter().map(|key| key.name.clone()).collect::<Vec<_>>();
        let missing: Vec<&TrustedKey> = all_of.iter().filter(|key| !has_signed(key)).collect();
        if !missing.is_empty() {
            return Decision::Refused(Refusal::Missing { pattern: rule.plugins.to_string(), keys: names(missing) });
        }
        if !any_of.is_empty() && !any_of.iter().any(|key| has_signed(&key)) {
            let keys = names(any_of.iter().collect());
            return Decision::Refused(Refusal::NoneOf { pattern: rule.plugins.to_string(), keys });
        }
        let mut signers: Vec<Signer> = all_of
            .iter()
            .chain(any_of)
            .filter(has_signed)
            .map(|key| Signer { key: key.name.clone(), fingerprint: key.key.fingerprint() })
            .collect();
        signers.sort();
        signers.dedup_by(|a, b| a.fingerprint == b.fingerprint);
        Decision::Allowed { signers }
    }

    /// The keys that the rule for this name knows; none if it needs no signature, or there is no rule.
    pub fn keys(&self, name: &str) -> Vec<&TrustedKey> {
        match self.rule(name).map(|rule| &rule.wants) {
            Some(Wanted::Keys { all_of, any_of }) => all_of.iter().chain(any_of).collect(),
            Some(Wanted::Nothing) | None => Vec::new(),
        }
    }

    /// Decides by signatures that were found, each verified against the keys that count for this name.
    pub fn decide_by(&self, name: &str, digest: &Digest, signatures: &[Signature]) -> Decision {
        let is_good = |key: &&TrustedKey| signatures.iter().any(|signature| signature.verify(&key.key, digest).is_ok());
        let verified = self.keys(name).into_iter().filter(is_good).map(|key| key.key.fingerprint()).collect();
        self.decide(name, &verified)
    }

    fn rule(&self, name: &str) -> Option<&Rule> {
        let name = usual_name(name);
        self.rules.iter().find(|rule| rule.plugins.matches(&name))
    }
}

impl Pattern {
    fn parse(text: &str) -> Result<Pattern, String> {
        let wrong = || {
            format!(
                "`{}` is no pattern for plugins: write a whole name such as `ghcr.io/acme/lint`, or `ghcr.io/acme/*` for all \
                 below",
                text.escape_debug()
            )
        };
        let (below, whole) = match text.strip_suffix("/*") {
            Some(prefix) => (true, format!("{prefix}/x")),
            None => (false, text.to_owned()),
        };
        if Repository::parse(&whole).is_err() {
            return Err(wrong());
        }
        Ok(match text.strip_suffix('*').and_then(|prefix| prefix.split_once('/')) {
            Some((host, path)) if below => Pattern::Below(format!("{}/{path}", Repository::usual_host(host))),
            _ => Pattern::Whole(usual_name(&whole)),
        })
    }

    fn matches(&self, name: &str) -> bool {
        match self {
            Pattern::Whole(whole) => name == whole,
            Pattern::Below(prefix) => name.strip_prefix(prefix.as_str()).is_some_and(|rest| !rest.is_empty()),
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pattern::Whole(name) => f.write_str(name),
            Pattern::Below(prefix) => write!(f, "{prefix}*"),
        }
    }
}

/// A registry is the same under each of its names, and Docker's has a place for names of one part: none leads past a rule.
fn usual_name(name: &str) -> String {
    let (host, path) = name.split_once('/').unwrap_or((name, ""));
    match Repository::usual_host(host).as_str() {
        "docker.io" if !path.is_empty() && !path.contains('/') => format!("docker.io/library/{path}"),
        host => format!("{host}/{path}"),
    }
}

/// Is there nothing of this name? A symbolic link to nothing is something.
fn is_absent(path: &Path) -> bool {
    fs::symlink_metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

/// Why a plugin may not be used, or it cannot be found out.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The policy refuses it.
    #[error("the signatures of `{name}` at {digest} do not satisfy the project: {reason}")]
    Refused {
        /// The repository.
        name: Repository,
        /// The manifest.
        digest: Digest,
        /// What the policy says.
        reason: Refusal,
        /// What was found, a sentence for each signature.
        found: Vec<String>,
    },
    /// The signatures are needed and could not be fetched.
    #[error("could not fetch the signatures of `{name}`")]
    Fetch {
        /// The repository.
        name: Repository,
        /// Why.
        #[source]
        cause: OciError,
    },
    /// They are not kept here, and nobody may be asked.
    #[error("the signatures of `{name}` are not on this machine, and the network is not used")]
    Offline {
        /// The repository.
        name: Repository,
    },
    /// They could not be kept.
    #[error("could not keep the signatures of `{name}`")]
    Keep {
        /// The repository.
        name: Repository,
        /// Why.
        #[source]
        cause: io::Error,
    },
}

impl VerifyError {
    /// What to type or change.
    pub fn hint(&self) -> Option<String> {
        match self {
            VerifyError::Refused { name, digest, reason, .. } => Some(match reason {
                Refusal::NoRule => format!("add a rule for `{name}` to `{FILE}`, or remove `signed = true`"),
                Refusal::Missing { .. } | Refusal::NoneOf { .. } => format!(
                    "whoever has the key signs it: `oxide plugin sign --key NAME.key {name}@{digest}`; or change `{FILE}`"
                ),
            }),
            VerifyError::Fetch { cause, .. } => cause.hint(),
            VerifyError::Offline { name } => Some(format!("fetch them with the network: `oxide plugin pull {name}`")),
            VerifyError::Keep { .. } => None,
        }
    }
}

/// May this manifest of a plugin be used, and who signed it? To be called wherever a plugin from a registry is added, updated,
/// pulled or planned, with the digest of the manifest that is meant to run.
///
/// A plugin that needs no signature has no signers, and nothing is read. Signatures that are kept on this machine are verified
/// first, so that a plan needs no network; only if they do not suffice, and `client` is given, the registry is asked, and what
/// it has is kept if it suffices. The answer itself is never kept: a key that is taken out of the policy counts no longer at
/// the next call.
///
/// # Errors
/// See [`VerifyError`]; [`VerifyError::hint`] says what to type.
pub async fn verify_by_policy(
    policy: &Policy,
    name: &Repository,
    digest: &Digest,
    kept: &KeptSignatures,
    client: Option<&Client>,
) -> Result<Vec<Signer>, VerifyError> {
    let needs_none = policy.keys(&name.to_string()).is_empty();
    let known = if needs_none { Vec::new() } else { kept.of(digest) };
    let refused = |reason: Refusal, signatures: &[Signature]| VerifyError::Refused {
        name: name.clone(),
        digest: digest.clone(),
        reason,
        found: findings(signatures, &policy.keys(&name.to_string()), digest),
    };
    let decide = |signatures: &[Signature]| policy.decide_by(&name.to_string(), digest, signatures);
    match (decide(&known), client) {
        (Decision::Allowed { signers }, _) => return Ok(signers),
        (Decision::Refused(Refusal::NoRule), _) => return Err(refused(Refusal::NoRule, &[])),
        (Decision::Refused(_), None) if known.is_empty() => return Err(VerifyError::Offline { name: name.clone() }),
        (Decision::Refused(reason), None) => return Err(refused(reason, &known)),
        (Decision::Refused(_), Some(_)) => {}
    }
    let Some(client) = client else { return Err(VerifyError::Offline { name: name.clone() }) };
    let fetched = published::find(client, name, digest).await;
    let mut all = fetched.map_err(|cause| VerifyError::Fetch { name: name.clone(), cause })?;
    let fetched = all.clone();
    all.extend(known.into_iter().filter(|signature| !fetched.contains(signature)));
    match decide(&all) {
        Decision::Allowed { signers } => {
            // Only what counts: anybody who may push can put signatures there.
            let keys = policy.keys(&name.to_string());
            all.retain(|signature| keys.iter().any(|key| signature.verify(&key.key, digest).is_ok()));
            kept.keep(digest, &all).map_err(|cause| VerifyError::Keep { name: name.clone(), cause })?;
            Ok(signers)
        }
        Decision::Refused(reason) => Err(refused(reason, &all)),
    }
}

/// What is to be said about signatures that do not suffice.
pub fn findings(signatures: &[Signature], keys: &[&TrustedKey], digest: &Digest) -> Vec<String> {
    if signatures.is_empty() {
        return vec!["it has no signature".to_owned()];
    }
    let of_one = |signature: &Signature| {
        let mut answers = keys.iter().map(|key| (key, signature.verify(&key.key, digest)));
        match answers.find(|(_, answer)| !matches!(answer, Err(Mismatch::Key))) {
            Some((key, Ok(()))) => format!("`{}` signed it", key.name),
            Some((key, Err(mismatch))) => format!("a signature by `{}` does not count: {mismatch}", key.name),
            None => "a signature was not made with any of these keys, or was changed since".to_owned(),
        }
    };
    let mut found: Vec<String> = signatures.iter().map(of_one).collect();
    found.sort();
    found.dedup();
    found
}

fn listed(keys: &[String], word: &str) -> String {
    let keys: Vec<String> = keys.iter().map(|key| format!("`{key}`")).collect();
    match keys.as_slice() {
        [before @ .., last] if !before.is_empty() => format!("{} {word} {last}", before.join(", ")),
        _ => keys.concat(),
    }
}

fn read(path: &Path, bytes_max: u64) -> io::Result<String> {
    let found = fs::metadata(path)?;
    if !found.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    if found.len() > bytes_max {
        return Err(io::Error::other(format!("it has more than {bytes_max} bytes")));
    }
    fs::read_to_string(path)
}

#[cfg(test)]
mod names_and_links {
    use super::*;

    fn is_allowed(policy: &Policy, name: &str) -> bool {
        matches!(policy.decide(name, &BTreeSet::new()), Decision::Allowed { .. })
    }

    /// A policy that lets in what this pattern names, and nothing else.
    fn only(pattern: &str) -> Policy {
        let text = format!("[[rule]]\nplugins = \"{pattern}\"\nsigned = false\n[default]\nsigned = true\n");
        Policy::parse(&text, |_| Err(io::ErrorKind::NotFound.into())).unwrap()
    }

    #[test]
    fn a_rule_is_about_its_registry_under_every_name() {
        for (pattern, same, others) in [
            ("ghcr.io/a/*", &["GHCR.io:443/a/b"][..], &["ghcr.io:80/a/b", "ghcr.io:444/a/b"][..]),
            ("127.0.0.1:443/a/*", &["127.0.0.1:443/a/b"], &["127.0.0.1/a/b", "127.0.0.1:80/a/b"]),
            ("localhost/a", &["LOCALHOST:80/a"], &["localhost:443/a"]),
            (
                "index.docker.io/a/*",
                &["docker.io/a/b", "Registry-1.docker.io:443/a/b"],
                &["docker.io/b", "docker.io/b/a"],
            ),
            ("docker.io/*", &["registry-1.docker.io/a/b", "docker.io/a"], &["docker.io.evil.example/a"]),
            ("docker.io/library/*", &["docker.io/a", "index.docker.io/library/a"], &["docker.io/a/b"]),
            ("docker.io/a", &["registry-1.docker.io/library/a"], &["docker.io/a/b", "docker.io/b"]),
            ("[::1]:5000/a", &["[0:0::1]:5000/a"], &["[::2]:5000/a"]),
        ] {
            let policy = only(pattern);
            same.iter().for_each(|name| assert!(is_allowed(&policy, name), "{pattern}: {name}"));
            others.iter().for_each(|name| assert!(!is_allowed(&policy, name), "{pattern}: {name}"));
        }
    }

    #[test]
    fn a_link_to_nothing_is_no_missing_policy() {
        let folder = tempfile::tempdir().unwrap();
        let of = |project: &str| Policy::of_project(&folder.path().join(project));
        for project in ["none", "empty/.oxide", "file/.oxide", "folder"] {
            fs::create_dir_all(folder.path().join(project)).unwrap();
        }
        let link = |at: &str| std::os::unix::fs::symlink("gone", folder.path().join(at)).unwrap();
        link("file/.oxide/trust.toml");
        link("folder/.oxide");
        assert!(of("none").is_ok() && of("empty").is_ok());
        for project in ["file", "folder"] {
            assert!(matches!(of(project), Err(PolicyError::File { .. })), "{project}");
        }
        fs::write(folder.path().join("file/.oxide/gone"), "[default]\nsigned = true\n").unwrap();
        assert!(!is_allowed(&of("file").unwrap(), "ghcr.io/a/b"), "a link to a policy is one");
    }
}

#[cfg(test)]
mod tests;
