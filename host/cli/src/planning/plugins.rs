//! The plugins of one plan: each is found and read once. Those of registries are fetched side by side before that, and are
//! used as far as `oxide.lock` and the trust policy of the project let them.
//!
//! With everything on this machine, nobody is asked anything over the network.

use std::{cell::RefCell, collections::HashMap, path::Path, sync::Arc};

use oxide_core::{
    cause::in_one_line,
    pipeline::{Action, Pipeline, Step, StepItem},
    plugin::PluginDescription,
};
use oxide_registry::{
    Catalog, LockedPlugin, PluginStore, Reference, ResolvedPlugin,
    oci::{MoveError, OciReference, layout::Promise, publication},
    policy::Policy,
    signature::KeptSignatures,
};
use tokio::task::JoinSet;

use super::PluginChoices;
use crate::{
    failure::Failure,
    local_engine, project,
    registries::{self, RegistryArguments},
    terminal::{Paint, Terminal},
};

/// What a plugin is and whether it is built in, or why it cannot be used.
type Described = Result<(PluginDescription, bool), String>;

/// The plugins of a plan.
pub(super) struct Plugins {
    catalog: Catalog,
    /// What the manifests of those of registries say of their code.
    promises: HashMap<String, Promise>,
    known: RefCell<HashMap<String, Described>>,
}

/// What fetching and verifying needs.
struct Supply {
    store: PluginStore,
    kept: KeptSignatures,
    policy: Policy,
    registries: RegistryArguments,
}

impl Plugins {
    /// Finds the plugins of registries that a pipeline uses. Why one cannot be used is told where it stands in the pipeline.
    pub fn find(
        pipeline: &Pipeline,
        directory: &Path,
        choices: &PluginChoices,
        data_dir: Option<&Path>,
    ) -> Result<Plugins, Failure> {
        let catalog = Catalog::new(directory);
        let references = references(pipeline);
        if references.is_empty() {
            return Ok(Plugins { catalog, promises: HashMap::new(), known: RefCell::default() });
        }
        let data = project::data_directory(data_dir)?;
        let supply = Supply {
            store: registries::store(&data),
            kept: registries::kept_signatures(&data),
            policy: registries::policy(directory)?,
            registries: choices.registries.clone(),
        };
        let catalog = catalog.with_store(supply.store.clone()).strictly_locked(choices.locked);
        let mut known = HashMap::new();
        let mut locked = Vec::new();
        for (text, reference) in references {
            match catalog.locked(&reference) {
                Ok(entry) => locked.push((text, entry)),
                Err(error) => drop(known.insert(text, Err(in_one_line(&error)))),
            }
        }
        let mut promises = HashMap::new();
        for (text, ready) in local_engine::in_runtime(async { Ok(Arc::new(supply).all(locked).await) })? {
            match ready {
                Ok(promise) => drop(promises.insert(text, promise)),
                Err(problem) => drop(known.insert(text, Err(problem))),
            }
        }
        Ok(Plugins { catalog, promises, known: RefCell::new(known) })
    }

    /// What a plugin asks for, takes and gives, and whether it is built in.
    pub fn describe(&self, reference: &str) -> Described {
        if let Some(known) = self.known.borrow().get(reference) {
            return known.clone();
        }
        let described = self.catalog.resolve(reference).map_err(|error| in_one_line(&error)).and_then(describe);
        let described =
            described.and_then(|known| match self.promises.get(reference).map(|one| one.differences(&known.0)) {
                Some(differences) if !differences.is_empty() => Err(format!(
                    "it is not what it promises: {}; do not use it, and tell whoever published it",
                    differences.join("; ")
                )),
                _ => Ok(known),
            });
        self.known.borrow_mut().insert(reference.to_owned(), described.clone());
        described
    }
}

impl Supply {
    /// Makes all of them ready, side by side; answers with what each promises, or why it cannot be used.
    async fn all(self: Arc<Self>, plugins: Vec<(String, LockedPlugin)>) -> Vec<(String, Result<Promise, String>)> {
        let mut tasks = JoinSet::new();
        for (text, locked) in plugins {
            let supply = Arc::clone(&self);
            tasks.spawn(async move {
                let ready = supply.one(&text, &locked).await;
                (text, ready)
            });
        }
        tasks.join_all().await
    }

    /// Makes one ready: the manifest that the lock names is accepted by the policy, holds the component that the lock names, and
    /// that is on this machine. Answers with what the manifest promises of it.
    async fn one(&self, text: &str, locked: &LockedPlugin) -> Result<Promise, String> {
        let by_digest = locked.by_digest();
        let verified = registries::verify(&self.policy, &by_digest, &self.kept, &self.registries).await;
        verified.map_err(|error| with_hint(in_one_line(&error), error.hint()))?;
        let told = |error: MoveError| with_hint(in_one_line(&error), error.hint());
        let stored = publication::find_stored(&self.store, &by_digest)
            .map_err(|cause| told(MoveError::Layout { reference: by_digest.clone(), cause }))?;
        let is_here = stored.is_some() && self.store.has(&locked.component);
        let (found, client) = match stored {
            Some(found) if is_here => (found, None),
            _ => {
                eprintln!("{}", Paint { colour: Terminal::stderr().colour }.dim(&format!("fetching {text}")));
                let client =
                    self.registries.new_client().map_err(|error| with_hint(in_one_line(&error), error.hint()))?;
                (publication::find(&client, &by_digest).await.map_err(told)?, Some(client))
            }
        };
        let component = &found.contents.component.digest;
        if *component != locked.component {
            return Err(format!(
                "oxide.lock says that {} holds the component {}, and it holds {component}: `oxide plugin add {text}` \
                 writes the entry again",
                locked.manifest, locked.component
            ));
        }
        if let Some(client) = client {
            let fetched = registries::fetch(&client, &by_digest, &found, &self.store).await;
            fetched.map_err(|failure| failure.in_one_line())?;
        }
        Ok(found.promise)
    }
}

/// What is planned with, if the lock allows all that the component asks for.
fn describe(plugin: ResolvedPlugin) -> Described {
    let description = oxide_runtime::describe(&plugin.bytes)
        .map_err(|error| with_hint(in_one_line(&error), error.hint().map(str::to_owned)))?;
    if let Some(locked) = &plugin.locked {
        locked.check(&description).map_err(|error| error.to_string())?;
    }
    Ok((description, plugin.built_in))
}

/// The references to registries, each once, in the order of the pipeline.
fn references(pipeline: &Pipeline) -> Vec<(String, OciReference)> {
    let steps = pipeline.stages.iter().flat_map(|stage| &stage.steps).flat_map(|item| match item {
        StepItem::One(step) => std::slice::from_ref::<Step>(step),
        StepItem::Parallel(steps) => steps.as_slice(),
    });
    let mut found: Vec<(String, OciReference)> = Vec::new();
    for step in steps {
        if let Action::Uses { reference: text, .. } = &step.action
            && let Ok(Reference::Oci(reference)) = Reference::parse(text)
            && found.iter().all(|(known, _)| known != text)
        {
            found.push((text.clone(), reference));
        }
    }
    found
}

fn with_hint(text: String, hint: Option<String>) -> String {
    match hint {
        Some(hint) => format!("{text}; {hint}"),
        None => text,
    }
}
