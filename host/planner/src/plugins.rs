//! The plugins of one plan: each is found and read once. Those of registries are made ready side by side before that, and are
//! used as far as the lock and the trust policy let them.
//!
//! With everything on this machine, nobody is asked anything over the network.

use std::{
    cell::RefCell,
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use oxide_core::{
    cause::in_one_line,
    pipeline::{Action, Pipeline, Step, StepItem},
    plan::Plan,
    plugin::{Capability, PluginDescription},
};
use oxide_registry::{
    Catalog, Reference, ResolvedPlugin,
    oci::{OciReference, layout::Promise},
};

use crate::supply::{Supply, with_hint};

/// What a plugin is and whether it is built in, or why it cannot be used.
type Described = Result<(PluginDescription, bool), String>;

/// A plugin that a plan calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsedPlugin {
    /// As it stands behind `uses:`.
    pub reference: String,
    /// `sha256:` and the digest of the component.
    pub digest: String,
    /// What it can ask for.
    pub capabilities: BTreeSet<Capability>,
    /// It is part of the program.
    pub built_in: bool,
}

/// The plugins of a plan.
pub(crate) struct Plugins {
    catalog: Catalog,
    /// What the manifests of those of registries say of their code.
    promises: HashMap<String, Promise>,
    known: RefCell<HashMap<String, Described>>,
}

impl Plugins {
    /// Finds the plugins of registries that a pipeline uses. Why one cannot be used is told where it stands in the pipeline.
    pub async fn find(pipeline: &Pipeline, catalog: Catalog, supply: Option<Supply>) -> Plugins {
        let references = registry_references(pipeline);
        let Some(supply) = supply.filter(|_| !references.is_empty()) else {
            return Plugins { catalog, promises: HashMap::new(), known: RefCell::default() };
        };
        let catalog = catalog.with_store(supply.store.clone());
        let mut known = HashMap::new();
        let mut locked = Vec::new();
        for (text, reference) in references {
            match catalog.locked(&reference) {
                Ok(entry) => locked.push((text, entry)),
                Err(error) => drop(known.insert(text, Err(in_one_line(&error)))),
            }
        }
        let mut promises = HashMap::new();
        for (text, ready) in Arc::new(supply).make_ready(locked).await {
            match ready {
                Ok(promise) => drop(promises.insert(text, promise)),
                Err(problem) => drop(known.insert(text, Err(problem))),
            }
        }
        Plugins { catalog, promises, known: RefCell::new(known) }
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

    /// The plugins that a plan calls.
    pub fn used_by(&self, plan: &Plan) -> Vec<UsedPlugin> {
        let mut used: Vec<UsedPlugin> = Vec::new();
        for step in plan.jobs.iter().flat_map(|job| &job.steps) {
            let pin = &step.plugin;
            if used.iter().any(|one| one.digest == pin.digest && one.reference == pin.reference) {
                continue;
            }
            let known = self.known.borrow();
            let known = known.get(&pin.reference).and_then(|known| known.as_ref().ok());
            used.push(UsedPlugin {
                reference: pin.reference.clone(),
                digest: pin.digest.clone(),
                capabilities: known.map(|(description, _)| description.can_use()).unwrap_or_default(),
                built_in: known.is_some_and(|(_, built_in)| *built_in),
            });
        }
        used
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

/// The references to registries in a pipeline, each once, in the order of the pipeline.
pub fn registry_references(pipeline: &Pipeline) -> Vec<(String, OciReference)> {
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
