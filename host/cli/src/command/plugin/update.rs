//! `oxide plugin update`: follows tags that have moved, and shows what that changes.

use std::path::Path;

use oxide_core::plugin::{
    Capability, PluginDescription,
    compatibility::{self, Change, Effect},
};
use oxide_planner::accept;
use oxide_registry::{
    LockedPlugin, PluginStore,
    oci::{Client, OciReference},
};
use serde_json::json;

use super::add;
use crate::{
    exit_code::Exit,
    failure::Failure,
    local_engine, project,
    registries::{self, Published, RegistryArguments},
    terminal::{Paint, Terminal, on_one_line, print},
};

/// Arguments of `oxide plugin update`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Plugins as `oxide plugin list` shows them; none for all.
    #[arg(value_name = "REF")]
    references: Vec<String>,
    /// Accept versions that ask for more.
    #[arg(long)]
    accept: bool,
    #[command(flatten)]
    registries: RegistryArguments,
    /// Print what changed as JSON.
    #[arg(long)]
    json: bool,
}

/// What became of one plugin.
struct Update {
    old: LockedPlugin,
    new: LockedPlugin,
    /// None if what is locked is not in the registry any more.
    changes: Option<Vec<Change>>,
    more: Vec<Capability>,
    /// The tag stands for a plugin of another name now.
    is_another: bool,
    accepted: bool,
}

/// Writes what tags stand for now into `oxide.lock`; more rights only if they are accepted.
pub fn run(arguments: &Arguments, data_dir: Option<&Path>) -> Result<Exit, Failure> {
    let project = registries::project()?;
    let lock = registries::read_lock(&project)?;
    let policy = registries::policy(&project)?;
    let data = project::data_directory(data_dir)?;
    let (store, kept) = (registries::store(&data), registries::kept_signatures(&data));
    let from = arguments.registries.registries();
    let client = registries::client(&from)?;
    let entries = entries(arguments, lock.plugins())?;
    let updates = local_engine::in_runtime(async {
        let mut updates = Vec::new();
        for old in entries {
            let Some(published) = moved(&client, &old, &store).await? else { continue };
            let by_digest = old.reference.repository.at(&published.publication.manifest.digest);
            let signers = registries::verify(&policy, &by_digest, &kept, &from).await;
            let signers = signers.map_err(|error| registries::of_verify(&error))?;
            let before = described(&client, &old.by_digest(), &store).await;
            let new = accept::entry(&old.reference, &published.publication, &published.description, &signers);
            let changes = before.map(|before| compatibility::changes(&before, &published.description));
            let more: Vec<Capability> = new.grants.difference(&old.grants).copied().collect();
            let is_another = name(&old) != name(&new);
            let accepted = (more.is_empty() && !is_another) || arguments.accept;
            updates.push(Update { old, new, changes, more, is_another, accepted });
        }
        Ok(updates)
    })?;
    if updates.iter().any(|update| update.accepted) {
        registries::change_lock(&project, |lock| {
            for update in updates.iter().filter(|update| update.accepted) {
                lock.insert(update.new.clone());
            }
        })?;
    }
    print(&match arguments.json {
        true => format!("{}\n", json!(updates.iter().map(in_json).collect::<Vec<_>>())),
        false => text(&updates, Paint { colour: Terminal::stdout().colour }),
    })?;
    let refused: Vec<String> = updates.iter().filter(|update| !update.accepted).map(refusal).collect();
    match refused.is_empty() {
        true => Ok(Exit::Success),
        false => Err(Failure::unusable(refused.join("; ")).hint("if you accept that: `oxide plugin update --accept`")),
    }
}

/// The entries that are meant. What is named by digest cannot move.
fn entries<'a>(
    arguments: &Arguments,
    plugins: impl Iterator<Item = &'a LockedPlugin>,
) -> Result<Vec<LockedPlugin>, Failure> {
    let all: Vec<LockedPlugin> = plugins.cloned().collect();
    if arguments.references.is_empty() {
        return Ok(all.into_iter().filter(|plugin| plugin.reference.digest.is_none()).collect());
    }
    let mut chosen = Vec::new();
    for text in &arguments.references {
        let reference = registries::parse(text)?;
        let found = all.iter().find(|plugin| plugin.reference == reference);
        let found = found.ok_or_else(|| {
            Failure::usage(format!("oxide.lock does not have `{reference}`"))
                .hint(format!("add it: `oxide plugin add {reference}`"))
        })?;
        if reference.digest.is_some() {
            return Err(Failure::usage(format!("`{reference}` is named by its digest, which never changes"))
                .hint("change the reference in the pipeline, then `oxide plugin add REF`"));
        }
        chosen.push(found.clone());
    }
    Ok(chosen)
}

/// What a tag stands for now, if it has moved.
async fn moved(client: &Client, old: &LockedPlugin, store: &PluginStore) -> Result<Option<Published>, Failure> {
    let digest = client.resolve(&old.reference).await.map_err(|error| registries::of_registry(&error))?;
    if digest == old.manifest {
        return Ok(None);
    }
    let by_digest = old.reference.repository.at(&digest);
    registries::find(client, &by_digest, store).await.map(Some)
}

/// The description of what is locked now; none if the registry does not have it any more.
async fn described(client: &Client, by_digest: &OciReference, store: &PluginStore) -> Option<PluginDescription> {
    registries::find(client, by_digest, store).await.ok().map(|published| published.description)
}

/// The name of the package, without its version.
fn name(plugin: &LockedPlugin) -> Option<&str> {
    plugin.package.as_deref().map(|package| package.split('@').next().unwrap_or(package))
}

fn refusal(update: &Update) -> String {
    let mut reasons = Vec::new();
    if update.is_another {
        let name = |plugin| name(plugin).map_or_else(|| "a plugin without a name".to_owned(), on_one_line);
        reasons.push(format!("is another plugin than before: {} -> {}", name(&update.old), name(&update.new)));
    }
    if !update.more.is_empty() {
        let more: Vec<String> =
            update.more.iter().map(|more| format!("`{}` ({})", more.yaml_key(), more.summary())).collect();
        reasons.push(format!("asks for more than before: {}", more.join(" and ")));
    }
    format!("`{}` {}", update.old.reference, reasons.join(", and "))
}

fn in_json(update: &Update) -> serde_json::Value {
    let more: Vec<&str> = update.more.iter().map(|more| more.yaml_key()).collect();
    json!({
        "reference": update.old.reference.to_string(),
        "old": add::in_json(&update.old),
        "new": add::in_json(&update.new),
        "changes": update.changes,
        "more_rights": more,
        "updated": update.accepted,
    })
}

fn text(updates: &[Update], paint: Paint) -> String {
    if updates.is_empty() {
        return "no tag has moved: oxide.lock is current\n".to_owned();
    }
    let mut text = String::new();
    for update in updates {
        let Update { old, new, changes, accepted, .. } = update;
        let heading = if *accepted { paint.green("updated") } else { paint.red("refused") };
        text.push_str(&format!("{heading} {}\n", paint.bold(&old.reference.to_string())));
        let version = |plugin: &LockedPlugin| {
            let name = plugin.package.as_deref().map_or("without a version".to_owned(), on_one_line);
            format!("{name} {}", plugin.manifest.short())
        };
        text.push_str(&format!("  {} -> {}\n", version(old), version(new)));
        for change in changes.iter().flatten() {
            let (word, colour): (&str, fn(Paint, &str) -> String) = match change.effect() {
                Effect::Breaking => ("breaks", Paint::red),
                Effect::MoreRights => ("rights", Paint::yellow),
                Effect::Addition => ("adds", Paint::green),
            };
            text.push_str(&format!(
                "  {} {}\n",
                colour(paint, &format!("{word:<6}")),
                on_one_line(&change.to_string())
            ));
        }
        match changes {
            None => text.push_str("  what it was before is not in the registry any more, so nobody can compare\n"),
            Some(changes) if changes.is_empty() => {
                text.push_str("  nothing that a pipeline could notice has changed\n");
            }
            Some(_) => {}
        }
        text.push_str(&format!("  {}\n", paint.dim(&add::rights(new))));
    }
    text
}
