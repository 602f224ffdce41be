//! May a stage begin? By its `if:`, or by how the stages before it ended.

use serde_json::{Map, Value as Json};

use super::RunMachine;
use crate::{
    id::StageIndex,
    outcome::Status,
    plan::{Condition, Plan},
};

/// What the condition of a stage can see.
#[derive(Clone, Debug)]
pub struct ConditionFacts<'a> {
    /// The plan of the run.
    pub plan: &'a Plan,
    /// `success()`: nothing that the stage needs keeps it from running, and nobody cancelled the run.
    pub success: bool,
    /// `failure()`: something that the stage needs failed, or was skipped because of a failure.
    pub failure: bool,
    /// `cancelled()`: somebody asked to cancel the run.
    pub cancelled: bool,
    /// `stages`: see [`super::RunState::ended_stages`].
    pub stages: Map<String, Json>,
}

/// Evaluates the condition of a stage; an error is a sentence for people.
pub type DecideCondition = fn(&Condition, &ConditionFacts<'_>) -> Result<bool, String>;

/// What a stage does whose dependencies have all ended.
pub(super) enum Verdict {
    Run,
    /// Something that it needs did not succeed.
    Blocked(String),
    /// Its own condition was false.
    ConditionFalse(String),
    /// Its condition could not be evaluated.
    Broken(String),
}

impl RunMachine {
    pub(super) fn verdict(&self, index: StageIndex) -> Verdict {
        let stage = self.plan.stage(index);
        let obstacle = self.obstacle(index);
        let Some(condition) = &stage.condition else {
            return obstacle.map_or(Verdict::Run, Verdict::Blocked);
        };
        let cancelled = self.state.stop.is_some();
        if !names_a_status(&condition.expression) {
            if let Some(obstacle) = obstacle {
                return Verdict::Blocked(obstacle);
            }
            if let Some(stop) = &self.state.stop {
                return Verdict::Blocked(stop.reason.clone());
            }
        }
        let facts = ConditionFacts {
            plan: &self.plan,
            success: self.obstacle(index).is_none() && !cancelled,
            failure: self.a_dependency_failed(index),
            cancelled,
            stages: self.state.ended_stages(&self.plan),
        };
        match (self.decide)(condition, &facts) {
            Ok(true) => Verdict::Run,
            Ok(false) => Verdict::ConditionFalse(format!("its condition is false: `{}`", condition.expression)),
            Err(error) => Verdict::Broken(format!("its condition could not be evaluated: {error}")),
        }
    }

    /// What keeps a stage from running without a condition of its own, as a sentence.
    fn obstacle(&self, index: StageIndex) -> Option<String> {
        self.plan.stage(index).depends_on.iter().find_map(|dependency| {
            let state = &self.state.stages[dependency.stage.index()];
            let name = &self.plan.stage(dependency.stage).name;
            match state.status {
                Status::Skipped if state.blocked && !dependency.allow_failure => {
                    Some(state.reason.clone().unwrap_or_else(|| format!("stage `{name}` was skipped")))
                }
                status if status.lets_dependents_run() => None,
                status if status.is_failure() && dependency.allow_failure => None,
                Status::Failure => Some(format!("stage `{name}` failed")),
                Status::Timeout => Some(format!("stage `{name}` took longer than it may")),
                Status::Cancelled => Some(format!("stage `{name}` was cancelled")),
                other => Some(format!("stage `{name}` is {}", other.as_str())),
            }
        })
    }

    fn a_dependency_failed(&self, index: StageIndex) -> bool {
        self.plan.stage(index).depends_on.iter().any(|dependency| {
            let state = &self.state.stages[dependency.stage.index()];
            state.status.is_failure() || state.blocked
        })
    }
}

/// Does the expression ask how things went? One that does not means `success() && …`: who writes
/// `if: git.branch == 'main'` does not expect the stage to run after a failure.
fn names_a_status(expression: &str) -> bool {
    ["success", "failure", "always", "cancelled"].iter().any(|name| {
        expression.match_indices(name).any(|(at, _)| {
            let before = expression[..at].chars().next_back();
            let after = expression[at + name.len()..].trim_start();
            after.starts_with('(') && !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '.')
        })
    })
}

#[cfg(test)]
mod tests {
    use super::names_a_status;

    #[test]
    fn a_condition_asks_for_a_status_only_by_a_call() {
        assert!(names_a_status("always()"));
        assert!(names_a_status("git.branch == 'main' && failure ()"));
        assert!(!names_a_status("git.branch == 'failure'"));
        assert!(!names_a_status("my_always() || x.success()"));
    }
}
