//! `if:` of stages, as expressions of the run's facts.

use oxide_core::{
    expression::{self, Scope, StatusFacts},
    plan::Condition,
    run::ConditionFacts,
};
use serde_json::Map;

/// Evaluates a condition. A stage is no job yet: it has no matrix, no steps and no workspace.
pub(crate) fn decide(condition: &Condition, facts: &ConditionFacts<'_>) -> Result<bool, String> {
    let nothing = Map::new();
    let context = &facts.plan.context;
    let scope = Scope {
        git: &context.git,
        trigger: &context.trigger,
        inputs: &context.inputs,
        matrix: &nothing,
        env: &nothing,
        steps: &nothing,
        stages: &facts.stages,
        secrets: &nothing,
        status: StatusFacts { success: facts.success, failure: facts.failure, cancelled: facts.cancelled },
        hash_files: &|_| Err("a stage has no workspace to hash files of; ask in the `if` of a step".to_owned()),
    };
    expression::condition(condition, &scope).map_err(|diagnostic| match diagnostic.hint {
        Some(hint) => format!("{} ({hint})", diagnostic.message),
        None => diagnostic.message,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use oxide_core::{
        plan::{JobContext, Plan},
        yaml::Span,
    };
    use serde_json::json;

    use super::*;

    fn decided(expression: &str, success: bool) -> Result<bool, String> {
        let mut context = JobContext::default();
        context.git.insert("branch".into(), json!("main"));
        let plan = Arc::new(Plan {
            pipeline: "build".into(),
            file: "oxide.yaml".into(),
            timeout_ms: 1,
            stages: Vec::new(),
            jobs: Vec::new(),
            context,
            concurrency: None,
        });
        let mut stages = Map::new();
        stages.insert("test".into(), json!({ "status": "success", "outputs": { "v": { "tag": "1.2" } } }));
        let facts = ConditionFacts { plan: &plan, success, failure: !success, cancelled: false, stages };
        decide(&Condition { expression: expression.into(), span: Span::default() }, &facts)
    }

    #[test]
    fn a_stage_sees_the_run_and_the_stages_before_it() {
        assert_eq!(decided("git.branch == 'main'", true), Ok(true));
        assert_eq!(decided("git.branch == 'next'", true), Ok(false));
        assert_eq!(decided("stages.test.outputs.v.tag == '1.2'", true), Ok(true));
        assert_eq!(decided("failure() && git.branch == 'main'", false), Ok(true));
        assert_eq!(decided("git.branch == 'main'", false), Ok(false), "a condition without a status means success");
    }

    #[test]
    fn an_expression_without_a_value_says_why() {
        assert!(decided("hash_files('a') == 'b'", true).unwrap_err().contains("no workspace"));
        assert!(decided("nonsense.x", true).unwrap_err().contains("nonsense"));
    }
}
