//! Completes the lock of a pipeline: what a tag stands for now, verified by the policy, with what the plugin can ask for.

use std::sync::Arc;

use oxide_core::{
    cause::in_one_line,
    diagnostic::{Diagnostic, Diagnostics},
    pipeline::{Action, Pipeline, Step, StepItem},
    plugin::PluginDescription,
    yaml::Span,
};
use oxide_registry::{
    Lock, LockedPlugin,
    oci::{OciReference, Publication, publication},
    policy::Signer,
};
use tokio::{sync::Semaphore, task::JoinSet};

use crate::{
    plugins::registry_references,
    supply::{Supply, fetch, verify, with_hint},
};

/// About so many plugins registries are asked at the same time.
const ASKED_AT_ONCE: usize = 8;

/// Adds an entry for every plugin of a registry that the pipeline uses and the lock does not have.
///
/// # Errors
/// Why plugins cannot be used, at the places where they stand.
pub async fn complete(pipeline: &Pipeline, mut lock: Lock, supply: &Arc<Supply>) -> Result<Lock, Diagnostics> {
    let missing =
        registry_references(pipeline).into_iter().filter(|(_, reference)| lock.find(reference, false).is_err());
    let places = Arc::new(Semaphore::new(ASKED_AT_ONCE));
    let mut tasks = JoinSet::new();
    for (text, reference) in missing {
        let (supply, places) = (Arc::clone(supply), Arc::clone(&places));
        tasks.spawn(async move {
            let _place = places.acquire().await;
            let accepted = accept(&reference, &supply).await;
            (text, accepted)
        });
    }
    let mut problems = Vec::new();
    for (text, accepted) in tasks.join_all().await {
        match accepted {
            Ok(entry) => drop(lock.insert(entry)),
            Err(problem) => {
                let message = format!("could not use `{text}`: {problem}");
                problems.push(match place(pipeline, &text) {
                    Some(span) => Diagnostic::at(span, message),
                    None => Diagnostic::new(message),
                });
            }
        }
    }
    if problems.is_empty() { Ok(lock) } else { Err(Diagnostics(problems).sorted()) }
}

/// What the lock will say of a plugin.
pub fn entry(
    reference: &OciReference,
    publication: &Publication,
    description: &PluginDescription,
    signers: &[Signer],
) -> LockedPlugin {
    LockedPlugin {
        reference: reference.clone(),
        manifest: publication.manifest.digest.clone(),
        component: publication.contents.component.digest.clone(),
        package: description.package.clone(),
        contract: description.contract.clone(),
        grants: description.can_use(),
        signers: signers.iter().map(|signer| signer.fingerprint.clone()).collect(),
    }
}

/// Finds out what a reference stands for, and whether it may be used; brings it to this machine.
async fn accept(reference: &OciReference, supply: &Supply) -> Result<LockedPlugin, String> {
    let client = supply.registries.client().map_err(|error| with_hint(in_one_line(&error), error.hint()))?;
    (supply.on_fetch)(&reference.to_string());
    let found = publication::find(&client, reference).await;
    let found = found.map_err(|error| with_hint(in_one_line(&error), error.hint()))?;
    let by_digest = reference.repository.at(&found.manifest.digest);
    let signers = verify(&supply.policy, &by_digest, &supply.kept, &supply.registries).await;
    let signers = signers.map_err(|error| with_hint(in_one_line(&error), error.hint()))?;
    let description = fetch(&client, &by_digest, &found, &supply.store).await;
    let description = description.map_err(|error| with_hint(in_one_line(&error), error.hint()))?;
    Ok(entry(reference, &found, &description, &signers))
}

/// Where a reference stands first.
fn place(pipeline: &Pipeline, text: &str) -> Option<Span> {
    let steps = pipeline.stages.iter().flat_map(|stage| &stage.steps).flat_map(|item| match item {
        StepItem::One(step) => std::slice::from_ref::<Step>(step),
        StepItem::Parallel(steps) => steps.as_slice(),
    });
    steps.into_iter().find_map(|step| match &step.action {
        Action::Uses { reference, reference_span, .. } if reference == text => Some(*reference_span),
        _ => None,
    })
}
