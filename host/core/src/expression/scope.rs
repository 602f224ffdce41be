//! What expressions can see.

use serde_json::{Map, Value as Json};

/// How the run, or the job, stands: what the status functions answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusFacts {
    /// `success()`.
    pub success: bool,
    /// `failure()`.
    pub failure: bool,
    /// `cancelled()`.
    pub cancelled: bool,
}

impl StatusFacts {
    /// Nothing has failed yet.
    pub const SUCCESS: StatusFacts = StatusFacts { success: true, failure: false, cancelled: false };
    /// Something has failed.
    pub const FAILURE: StatusFacts = StatusFacts { success: false, failure: true, cancelled: false };
    /// Somebody cancelled.
    pub const CANCELLED: StatusFacts = StatusFacts { success: false, failure: false, cancelled: true };
}

/// `hash_files(pattern, …)`: one digest over the files that match, or a sentence why there is none.
pub type HashFiles<'a> = dyn Fn(&[String]) -> Result<String, String> + 'a;

/// What an expression can see. A root that does not apply in its place stays empty.
pub struct Scope<'a> {
    /// `git`: facts of [`crate::plan::JobContext::git`].
    pub git: &'a Map<String, Json>,
    /// `trigger`: facts of [`crate::plan::JobContext::trigger`].
    pub trigger: &'a Map<String, Json>,
    /// `inputs` of the run.
    pub inputs: &'a Map<String, Json>,
    /// `matrix`: the cell of the job.
    pub matrix: &'a Map<String, Json>,
    /// `env`: names and texts.
    pub env: &'a Map<String, Json>,
    /// `steps.<id>`: `status` and `outputs`.
    pub steps: &'a Map<String, Json>,
    /// `stages.<name>`: `status`, and `outputs.<step id>`.
    pub stages: &'a Map<String, Json>,
    /// `secrets`: names, and the placeholders that stand for values.
    pub secrets: &'a Map<String, Json>,
    /// The answers of the status functions.
    pub status: StatusFacts,
    /// `hash_files()`.
    pub hash_files: &'a HashFiles<'a>,
}

/// Facts that may be absent and are then null, so that `git.branch == 'main'` is false on a tag.
pub(crate) const GIT_FACTS: [&str; 5] = ["sha", "ref", "branch", "tag", "repository"];

impl<'a> Scope<'a> {
    /// The names of the roots, in the order of the documentation.
    pub const ROOTS: [&'static str; 8] = ["git", "trigger", "matrix", "env", "inputs", "steps", "stages", "secrets"];

    /// The values below one root.
    pub(super) fn root(&self, name: &str) -> Option<&'a Map<String, Json>> {
        Some(match name {
            "git" => self.git,
            "trigger" => self.trigger,
            "matrix" => self.matrix,
            "env" => self.env,
            "inputs" => self.inputs,
            "steps" => self.steps,
            "stages" => self.stages,
            "secrets" => self.secrets,
            _ => return None,
        })
    }
}
