//! What `plugin run` and `plugin bench` share: inputs, grants, secrets and limits of a step from the command line.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use oxide_core::{
    diagnostic::{Diagnostic, Diagnostics},
    expression::{self, Part, Scope, StatusFacts},
    grant::{Grants, SecretGrant},
    limit::Limits,
    pipeline::{GrantList, LimitChanges, reader::Reader},
    plugin::{Capability, Field, PluginDescription},
    secret::{Masker, Placeholders, Secrets, is_secret_name},
    wit::{Type, Value, snake_case},
    yaml::{self, Content, Node, Span},
};
use oxide_plugin_build::files::read_bounded_text;
use serde_json::{Map, Value as Json};
use uuid::Uuid;

use crate::{failure::Failure, git_facts, plugin_case::subject::Subject, secrets, terminal::Terminal};

/// What a step is given by hand.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct StepArguments {
    /// An input, as in `with:` of a pipeline; may be given several times.
    #[arg(long = "with", value_name = "NAME=VALUE")]
    pub with: Vec<String>,
    /// A YAML file with inputs; those of `--with` go before them.
    #[arg(long, value_name = "FILE")]
    pub with_file: Option<PathBuf>,
    /// What the plugin may use, as in `grants:` of a pipeline: NAME, or NAME=VALUE such as `workspace=read` and
    /// `http=example.org`; `all` is what it can use. May be given several times.
    #[arg(long = "grant", value_name = "GRANT")]
    pub grants: Vec<String>,
    /// A secret that it may spend: NAME takes it from the environment, NAME=VALUE as it stands. In an input it is written
    /// `${{ secrets.NAME }}`.
    #[arg(long = "secret", value_name = "NAME[=VALUE]")]
    pub secrets: Vec<String>,
    /// What it may use up, as in `limits:` of a pipeline, such as `fuel=1e9,memory=64MiB,timeout=30s`.
    #[arg(long, value_name = "LIMITS", value_delimiter = ',')]
    pub limits: Vec<String>,
}

/// A step that can be called.
pub struct Step {
    /// The record `inputs`; none for a plugin without inputs.
    pub inputs: Option<Value>,
    /// What it may use.
    pub grants: Grants,
    /// What it may use up.
    pub limits: Limits,
    /// The secrets that it may spend.
    pub secrets: Placeholders,
    /// Finds them in what leaves the step.
    pub masker: Arc<Masker>,
    /// What git says of the workspace.
    pub git: Map<String, Json>,
}

impl StepArguments {
    /// Reads and checks everything that was given.
    pub fn read(&self, subject: &Subject, workspace: &Path) -> Result<Step, Failure> {
        let found = secrets::given_by_hand(&self.secrets)?;
        let grants = self.grants(subject, &found)?;
        let limits = self.limits()?;
        let reveal = |name: &String| grants.secrets.get(name) == Some(&SecretGrant::Reveal);
        let placeholders =
            Placeholders::new(found.iter().map(|(name, value)| (name.clone(), value.clone(), reveal(name))), || {
                Uuid::new_v4().as_u128()
            });
        // Without git, or in a directory that it refuses, there are no facts: a step by hand needs none.
        let git = git_facts::read(workspace).unwrap_or_default();
        let inputs = self.inputs(subject, &placeholders, &git)?;
        Ok(Step { inputs, grants, limits, masker: Arc::new(Masker::new(found.values())), secrets: placeholders, git })
    }

    fn inputs(
        &self,
        subject: &Subject,
        secrets: &Placeholders,
        git: &Map<String, Json>,
    ) -> Result<Option<Value>, Failure> {
        let mut file = ("--with".to_owned(), String::new());
        let mut entries = Vec::new();
        if let Some(path) = &self.with_file {
            let text = read_bounded_text(path).map_err(|error| {
                Failure::usage(format!("could not read the inputs in `{}`", path.display())).because(&error)
            })?;
            file = (path.display().to_string(), text);
            let refused = |diagnostic: Diagnostic| rendered(diagnostic.into(), &file);
            match yaml::parse(&file.1).map_err(refused)?.content {
                Content::Map(read) => entries = read,
                _ => {
                    return Err(Failure::usage(format!("`{}` holds no mapping", file.0))
                        .hint("write one input in a line: `name: value`"));
                }
            }
        }
        for option in &self.with {
            let (name, value) = option.split_once('=').ok_or_else(|| {
                Failure::usage(format!("`--with {option}` has no value")).hint("write `--with NAME=VALUE`")
            })?;
            let node = input(name, value, &subject.description)?;
            entries.retain(|(key, _)| key.as_text().map(snake_case) != Some(snake_case(name)));
            entries.push((Node::text(name), node));
        }
        let with = Node { span: Span::default(), content: Content::Map(entries) };
        let refused = |diagnostics: Diagnostics| {
            rendered(diagnostics, &file).hint(format!("`oxide plugin inspect {}` shows its inputs", subject.name))
        };
        let how_to_set =
            |name: &str| format!("add `--secret {name}`, which takes it from the environment variable {name}");
        let with = evaluate(&with, secrets, git, &how_to_set).map_err(|diagnostic| refused(diagnostic.into()))?;
        typed_inputs(&with, &subject.description).map_err(refused)
    }

    fn grants(&self, subject: &Subject, secrets: &Secrets) -> Result<Grants, Failure> {
        let can_use = subject.description.can_use();
        let is_all = |option: &&String| option.as_str() == "all";
        let mut written: Vec<(String, Node)> = Vec::new();
        for option in self.grants.iter().filter(|option| !is_all(option)) {
            grant(option, &mut written)?;
        }
        let mut reader = Reader::default();
        let list = GrantList::read(&Node::map(written), &mut reader);
        let mut grants = match list {
            Some(list) if reader.errors.is_empty() => list.grants,
            _ => {
                let texts: Vec<String> = reader.errors.iter().map(|error| error.message.clone()).collect();
                let failure = Failure::usage(format!("`--grant` cannot be used: {}", texts.join("; ")));
                let hints = reader.errors.into_iter().filter_map(|error| error.hint);
                return Err(hints.fold(failure, Failure::hint));
            }
        };
        if let Some(extra) = grants.capabilities.iter().find(|capability| !can_use.contains(capability)) {
            let key = extra.yaml_key();
            return Err(Failure::usage(format!("the plugin `{}` does not ask for `{key}`", subject.name))
                .hint(format!("remove `--grant {key}`")));
        }
        if self.grants.iter().any(|option| is_all(&option)) {
            grants.capabilities.extend(can_use.iter().copied());
        }
        for name in secrets.keys() {
            grants.spend(name);
        }
        // A secret may also be spent by name in an input, which needs no capability.
        if !secrets.is_empty() && can_use.contains(&Capability::Secrets) {
            grants.capabilities.insert(Capability::Secrets);
        }
        if let Some(unset) = grants.secrets.keys().find(|name| !secrets.contains_key(*name)) {
            return Err(Failure::usage(format!("the secret `{unset}` is granted and has no value"))
                .hint(format!("add `--secret {unset}`, which takes it from the environment variable {unset}")));
        }
        let missing: Vec<Capability> =
            subject.description.asks_for().filter(|capability| !grants.allows(*capability)).collect();
        match missing.is_empty() {
            true => Ok(grants),
            false => Err(not_granted(subject, &missing)),
        }
    }

    fn limits(&self) -> Result<Limits, Failure> {
        let mut written = Vec::new();
        for option in &self.limits {
            let (name, value) = option.split_once('=').ok_or_else(|| {
                Failure::usage(format!("`--limits {option}` has no value"))
                    .hint("write it as `--limits fuel=1e9,memory=64MiB`")
            })?;
            written.push((name.trim().to_owned(), plain(value.trim())));
        }
        let mut reader = Reader::default();
        let changes = LimitChanges::read(&Node::map(written), &mut reader);
        match reader.errors.into_iter().next() {
            None => Ok(changes.apply(Limits::default())),
            Some(error) => {
                let failure = Failure::usage(format!("`--limits` cannot be used: {}", error.message));
                Err(error.hint.into_iter().fold(failure, Failure::hint))
            }
        }
    }
}

/// Puts the values of expressions in their places: those of `secrets` and `git`. `how_to_set` is what to do for a secret that
/// has no value.
///
/// # Errors
/// The first expression that has no value.
pub fn evaluate(
    with: &Node,
    secrets: &Placeholders,
    git: &Map<String, Json>,
    how_to_set: &dyn Fn(&str) -> String,
) -> Result<Node, Diagnostic> {
    check_secrets(with, secrets, how_to_set)?;
    let nothing = Map::new();
    let no_files = |_: &[String]| Err("a step by hand has no `hash_files`".to_owned());
    let secrets = secrets.iter().map(|secret| (secret.name.clone(), Json::from(secret.placeholder.as_str()))).collect();
    let scope = Scope {
        git,
        trigger: &nothing,
        inputs: &nothing,
        matrix: &nothing,
        env: &nothing,
        steps: &nothing,
        stages: &nothing,
        secrets: &secrets,
        status: StatusFacts::SUCCESS,
        hash_files: &no_files,
    };
    expression::interpolate(with, &scope)
}

/// Refuses an expression that names a secret without a value, which would be nothing.
fn check_secrets(with: &Node, secrets: &Placeholders, how_to_set: &dyn Fn(&str) -> String) -> Result<(), Diagnostic> {
    let below = |node: &Node| check_secrets(node, secrets, how_to_set);
    match &with.content {
        Content::List(items) => items.iter().try_for_each(below),
        Content::Map(entries) => entries.iter().try_for_each(|(_, value)| below(value)),
        Content::Evaluated(_) => Ok(()),
        Content::Scalar { text, .. } => {
            for part in expression::parts(text, with.span)? {
                let Part::Expression { text: written, offset } = part else { continue };
                let name = written.trim().strip_prefix("secrets.").filter(|name| is_secret_name(name));
                let Some(name) = name.filter(|name| secrets.get(name).is_none()) else { continue };
                let span = expression::span_of(text, offset, written.chars().count(), with.span);
                let error = Diagnostic::at(span, format!("the secret `{name}` is not set"));
                let error = error.did_you_mean(name, secrets.iter().map(|secret| secret.name.as_str()));
                return Err(if error.hint.is_some() { error } else { error.hint(how_to_set(name)) });
            }
            Ok(())
        }
    }
}

/// The inputs with the types of the plugin; none if it takes none.
pub fn typed_inputs(with: &Node, plugin: &PluginDescription) -> Result<Option<Value>, Diagnostics> {
    let read = Value::inputs_from_node(with, &plugin.inputs);
    let value =
        read.map_err(|errors| Diagnostics(errors.0.into_iter().map(|error| error.into_diagnostic()).collect()))?;
    Ok(plugin.takes_inputs.then_some(value))
}

/// A value of `--with`: as it stands where a text is wanted, else as YAML.
fn input(name: &str, value: &str, plugin: &PluginDescription) -> Result<Node, Failure> {
    let wanted = |field: &&Field| snake_case(&field.name) == snake_case(name);
    let is_text = plugin.inputs.iter().find(wanted).is_none_or(|field| takes_text(&field.ty));
    if is_text || value.is_empty() {
        return Ok(Node::text(value));
    }
    match yaml::parse(value) {
        Ok(mut node) => {
            without_places(&mut node);
            Ok(node)
        }
        Err(error) => Err(Failure::usage(format!("the value of `--with {name}=…` cannot be read: {}", error.message))
            .hint("write it as in YAML on one line, such as `[a, b]` or `{ key: value }`")),
    }
}

fn takes_text(ty: &Type) -> bool {
    match ty {
        Type::String => true,
        Type::Option(inner) => takes_text(inner),
        _ => false,
    }
}

/// What was not written in a file has no line.
fn without_places(node: &mut Node) {
    node.span = Span::default();
    match &mut node.content {
        Content::List(items) => items.iter_mut().for_each(without_places),
        Content::Map(entries) => entries.iter_mut().for_each(|(key, value)| {
            without_places(key);
            without_places(value);
        }),
        Content::Scalar { .. } | Content::Evaluated(_) => {}
    }
}

fn plain(text: &str) -> Node {
    Node { span: Span::default(), content: Content::Scalar { text: text.to_owned(), plain: true } }
}

/// Adds one `--grant` to what `grants:` would hold.
fn grant(option: &str, written: &mut Vec<(String, Node)>) -> Result<(), Failure> {
    let (name, value) = match option.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (option, None),
    };
    let capability = Capability::ALL.into_iter().find(|capability| capability.yaml_key() == name);
    let is_list = matches!(capability, Some(Capability::Http | Capability::Tcp | Capability::Secrets));
    let value = match value {
        None if is_list => {
            let what = if capability == Some(Capability::Secrets) { "NAME" } else { "HOST" };
            return Err(Failure::usage(format!("`--grant {name}` does not say which"))
                .hint(format!("write `--grant {name}={what}`")));
        }
        None if capability.is_some_and(Capability::has_access) => plain("write"),
        None => plain("true"),
        Some(value) if is_list && !value.trim_start().starts_with(['[', '{']) => Node::text(value),
        Some(value) => {
            let mut node = yaml::parse(value).map_err(|error| {
                Failure::usage(format!("the value of `--grant {name}=…` cannot be read: {}", error.message))
            })?;
            without_places(&mut node);
            node
        }
    };
    let items = match value.content {
        Content::List(items) => items,
        _ if is_list => vec![value],
        _ => {
            written.retain(|(known, _)| known != name);
            written.push((name.to_owned(), value));
            return Ok(());
        }
    };
    match written.iter_mut().find(|(known, _)| known == name) {
        Some((_, Node { content: Content::List(known), .. })) => known.extend(items),
        _ => written.push((name.to_owned(), Node { span: Span::default(), content: Content::List(items) })),
    }
    Ok(())
}

fn not_granted(subject: &Subject, missing: &[Capability]) -> Failure {
    let wants: Vec<String> = missing.iter().map(|one| format!("`{}` ({})", one.yaml_key(), one.summary())).collect();
    let flag = |capability: &Capability| match capability {
        Capability::Secrets => "--secret NAME".to_owned(),
        Capability::Http => "--grant http=HOST".to_owned(),
        Capability::Tcp => "--grant tcp=HOST:PORT".to_owned(),
        other => format!("--grant {}", other.yaml_key()),
    };
    let flags: Vec<String> = missing.iter().map(flag).collect();
    Failure::unusable(format!("the plugin `{}` asks for {}, which was not granted", subject.name, wants.join(" and ")))
        .hint(format!("add `{}`, or `--grant all`, if you trust it", flags.join(" ")))
}

fn rendered(diagnostics: Diagnostics, file: &(String, String)) -> Failure {
    Failure::invalid_pipeline(diagnostics.sorted().render(&file.0, &file.1, Terminal::stderr().colour))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(options: &[&str]) -> Result<Vec<(String, Node)>, Failure> {
        let mut written = Vec::new();
        options.iter().try_for_each(|option| grant(option, &mut written))?;
        Ok(written)
    }

    #[test]
    fn grants_are_those_of_a_pipeline() {
        let options = ["workspace=read", "environment", "cache", "http=a.io", "http=[b.io, \"c.io:8443\"]"];
        let mut reader = Reader::default();
        let list = GrantList::read(&Node::map(written(&options).unwrap()), &mut reader).unwrap();
        assert!(reader.errors.is_empty(), "{:?}", reader.errors);
        let grants = list.grants;
        assert!(grants.workspace_read_only && !grants.cache_read_only);
        assert!(grants.allows(Capability::Environment) && !grants.allows(Capability::Git));
        let hosts: Vec<String> = grants.http.iter().map(ToString::to_string).collect();
        assert_eq!(hosts, ["a.io", "b.io", "c.io:8443"]);
    }

    #[test]
    fn a_grant_that_names_nothing_is_told_what_to_name() {
        assert!(written(&["http"]).is_err() && written(&["secrets"]).is_err());
    }
}
