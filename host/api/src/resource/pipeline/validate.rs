//! Checks texts of pipelines: before they are stored, or for whoever asks.

use axum::extract::{Request, State};
use oxide_core::{
    access::Role,
    api::{
        error::ErrorKind,
        pipeline::{Mistake, Validation},
        plugin::PluginRef,
    },
    cause::in_one_line,
    diagnostic::Diagnostics,
    pipeline::Pipeline,
};
use oxide_planner::{Accepted, PlanError, UsedPlugin, registry_references, stored::FILE};
use oxide_registry::Lock;

use super::upload;
use crate::{caller::Caller, error::ApiError, extract::Json, state::ServerState};

/// Checks a pipeline as a whole, and completes its lock.
///
/// # Errors
/// 422 with what is wrong and where.
pub async fn accept(state: &ServerState, source: &str, lock: Option<&str>) -> Result<Accepted, ApiError> {
    let accepted = state.engine.pipelines.accept(source, parse_lock(lock)?).await;
    accepted.map_err(|error| refused(error, source))
}

/// Why a pipeline cannot be planned.
pub fn refused(error: PlanError, source: &str) -> ApiError {
    match error {
        PlanError::Invalid(diagnostics) => {
            let first = diagnostics.0.first().map_or_else(String::new, ToString::to_string);
            let count = diagnostics.0.len();
            let message = match count {
                1 => format!("the pipeline cannot be used: {first}"),
                _ => format!("the pipeline cannot be used: {count} mistakes, the first at {first}"),
            };
            let hints: Vec<String> = diagnostics.0.iter().filter_map(|one| one.hint.clone()).take(5).collect();
            let error =
                ApiError::new(ErrorKind::Invalid, message).with_details(diagnostics.render(FILE, source, false));
            hints.into_iter().fold(error, ApiError::suggest)
        }
        error @ PlanError::NoStage { .. } => ApiError::invalid(error.to_string()),
        error @ PlanError::Stopped(_) => ApiError::internal("plan the pipeline", error),
    }
}

/// Reads a lock.
pub(crate) fn parse_lock(lock: Option<&str>) -> Result<Lock, ApiError> {
    match lock.map(Lock::parse) {
        None => Ok(Lock::default()),
        Some(lock) => lock.map_err(|error| ApiError::invalid(in_one_line(&error))),
    }
}

/// The lock of a stored version.
///
/// # Errors
/// It cannot be read: a newer server has written it.
pub fn lock_of(text: &oxide_store::PipelineText) -> Result<Lock, ApiError> {
    parse_lock(Some(&text.lock).filter(|lock| !lock.is_empty()).map(String::as_str))
}

pub(super) async fn validate(
    State(state): State<ServerState>,
    caller: Caller,
    request: Request,
) -> Result<Json<Validation>, ApiError> {
    let text = upload::text(request).await?;
    // Registries are asked from this server's place in the network: not for everybody.
    let uses_registries =
        Pipeline::parse(&text.source).is_ok_and(|pipeline| !registry_references(&pipeline).is_empty());
    if uses_registries && !caller.may_somewhere(Role::Runner) {
        return Err(ApiError::forbidden(
            "the pipeline uses plugins of registries, which are asked for runners of a project only",
        )
        .suggest(
            "ask an admin of a project to give you the role runner, or check it where it lies: `oxide validate`",
        ));
    }
    let lock = parse_lock(text.lock.as_deref())?;
    match state.engine.pipelines.accept(&text.source, lock).await {
        Ok(accepted) => Ok(Json(valid(&accepted))),
        Err(PlanError::Invalid(diagnostics)) => Ok(Json(invalid(&diagnostics, &text.source))),
        Err(error) => Err(refused(error, &text.source)),
    }
}

/// The answer for a text that could be stored.
fn valid(accepted: &Accepted) -> Validation {
    let plan = &accepted.planned.plan;
    Validation {
        valid: true,
        name: Some(accepted.name.clone()),
        stages: plan.stages.len() as u64,
        jobs: plan.jobs.len() as u64,
        steps: plan.jobs.iter().map(|job| job.steps.len() as u64).sum(),
        plugins: accepted.planned.plugins.iter().map(plugin).collect(),
        mistakes: Vec::new(),
        rendered: String::new(),
    }
}

/// The answer for a text with mistakes.
fn invalid(diagnostics: &Diagnostics, source: &str) -> Validation {
    let mistake = |one: &oxide_core::diagnostic::Diagnostic| Mistake {
        message: one.message.clone(),
        line: one.span.map(|span| span.line),
        column: one.span.map(|span| span.column),
        hint: one.hint.clone(),
    };
    Validation {
        valid: false,
        name: None,
        stages: 0,
        jobs: 0,
        steps: 0,
        plugins: Vec::new(),
        mistakes: diagnostics.0.iter().map(mistake).collect(),
        rendered: diagnostics.render(FILE, source, false),
    }
}

fn plugin(used: &UsedPlugin) -> PluginRef {
    PluginRef { reference: used.reference.clone(), digest: used.digest.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_told_with_their_places() {
        let source = "version: \"1\"\nstages:\n  test:\n    step: []\n";
        let diagnostics = Pipeline::parse(source).unwrap_err();
        let answer = invalid(&diagnostics, source);
        assert!(!answer.valid && answer.mistakes.iter().any(|mistake| mistake.line == Some(4)), "{answer:?}");
        assert!(answer.rendered.contains("oxide.yaml:4:5"), "{}", answer.rendered);
        let error = refused(PlanError::Invalid(diagnostics), source);
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.message().starts_with("the pipeline cannot be used"), "{}", error.message());
    }

    #[test]
    fn a_lock_that_is_none_is_told() {
        assert_eq!(parse_lock(None).unwrap(), Lock::default());
        assert!(parse_lock(Some("version = 99")).unwrap_err().message().contains("oxide.lock"));
    }
}
