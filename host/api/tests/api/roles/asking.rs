//! How each route is asked about real things: a row for every route that needs to know who comes.

use oxide_api::route::{About, Access};
use oxide_core::access::Role;
use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::{
    comer::Guest,
    world::{PIPELINE, World},
};

/// A request that whoever may is answered as `answers` says.
pub struct Asking {
    pub path: String,
    pub body: Option<Json>,
    /// Who may, where the route leaves it to its handler.
    pub access: Access,
    /// What whoever may gets: 2xx, unless something else than rights stands against it.
    pub answers: &'static [u16],
}

impl Asking {
    fn at(mut self, name: &str, value: &str) -> Asking {
        // The path was filled in with the usual thing of this name.
        self.path = self.path.replace(name, value);
        self
    }

    fn with(self, body: Json) -> Asking {
        Asking { body: Some(body), ..self }
    }

    fn query(mut self, query: &str) -> Asking {
        self.path = format!("{}?{query}", self.path);
        self
    }

    fn needs(self, access: Access) -> Asking {
        Asking { access, ..self }
    }

    fn answered(self, answers: &'static [u16]) -> Asking {
        Asking { answers, ..self }
    }
}

/// How a guest asks this route.
///
/// # Panics
/// The route has no row: a new route gets one below.
pub fn asking(about: &About, world: &World, guest: &Guest) -> Asking {
    let usual = || {
        let mut path = about.path.to_owned();
        for name in about.path_parameters() {
            let thing = world.things.get(name).unwrap_or_else(|| {
                panic!("{} names a `{name}`: make a real one in world.rs", about.path);
            });
            path = path.replace(&format!("{{{name}}}"), thing);
        }
        Asking { path, body: None, access: about.access, answers: &[200, 201, 204] }
    };
    let project = world.project;
    let in_project = || usual().query(&format!("project={project}"));
    let new_name = || format!("n{}", Uuid::now_v7().simple());
    let of_agent = |mut message: Json| {
        message["agent"] = json!(guest.agent);
        usual().with(message)
    };
    let attempt = json!({ "run": world.things["run"], "job": 0, "number": 1 });
    match about.name {
        // What the path names is enough.
        "get_me"
        | "list_users"
        | "get_user"
        | "list_tokens"
        | "list_tokens_of_user"
        | "list_projects"
        | "get_project"
        | "delete_project"
        | "list_members"
        | "remove_member"
        | "get_pipeline"
        | "delete_pipeline"
        | "list_pipeline_versions"
        | "get_pipeline_version"
        | "create_run"
        | "get_run"
        | "cancel_run"
        | "get_run_source"
        | "get_run_plan"
        | "list_run_annotations"
        | "list_run_summaries"
        | "list_run_tests"
        | "get_logs"
        | "get_log_text"
        | "list_artifacts"
        | "download_artifact"
        | "get_approval"
        | "list_agents"
        | "get_agent"
        | "drain_agent"
        | "delete_agent"
        | "create_agent_token"
        | "list_agent_tokens"
        | "list_plugins"
        | "get_plugin"
        | "list_deliveries"
        | "get_delivery"
        | "stream_events"
        | "get_metrics" => usual(),
        // Lists that look into the projects of the caller, and here into this one.
        "list_pipelines" | "list_runs" | "list_approvals" | "list_secrets" | "delete_secret" => in_project(),
        // Administrators, and an admin of the project that it names.
        "list_audit" => in_project().needs(Access::Project(Role::Admin)),
        // A token is no session, and has none to end.
        "sign_out" => usual().answered(&[409]),
        "create_user" => usual().with(json!({ "name": new_name() })),
        "update_user" => usual().with(json!({ "email": "somebody@example.com" })),
        "create_token" | "create_token_of_user" => usual().with(json!({ "name": "new" })),
        // Somebody else's: only administrators know of it.
        "revoke_token" => usual().needs(Access::Organization(Role::Admin)),
        "create_project" => usual().with(json!({ "name": new_name() })),
        "update_project" => usual().with(json!({ "description": "new" })),
        "put_member" => usual().with(json!({ "role": "runner" })),
        "create_pipeline" => usual().with(json!({ "project": project, "name": new_name(), "source": PIPELINE })),
        "validate_pipeline" => usual().with(json!({ "source": PIPELINE })),
        "update_pipeline" => usual().with(json!({ "description": "new" })),
        "retry_run" => usual().at(&world.things["run"], &world.ended),
        // A log that grows has no end.
        "follow_logs" => usual().at(&world.things["run"], &world.ended),
        // The pipeline names whoever is a maintainer.
        "approve" | "reject" => usual().needs(Access::Project(Role::Maintainer)),
        "put_secret" => usual().with(json!({ "project": project, "name": "OTHER", "value": "another value" })),
        "delete_agent_token" => usual().at(&world.things["token"], &world.agent_token),
        "put_webhook_secret" => usual().with(json!({ "secret": "a new one of some length" })),
        "redeliver" => usual(),
        // They switch to another protocol.
        "open_socket" | "open_run_socket" => usual().answered(&[101]),
        "register_agent" => of_agent(json!({ "name": "here", "labels": [], "slots": 1, "capabilities": ["host"] })),
        "lease_job" => of_agent(json!({})),
        "report_job" => of_agent(json!({ "attempt": attempt, "number": 1, "changes": [], "logs": [] })),
        "beat_heart" => of_agent(json!({ "attempts": [attempt] })),
        "complete_job" => of_agent(json!({
            "attempt": attempt, "at": "2027-01-15T08:00:00.000Z",
            "outcome": { "status": "success", "reason": null, "failure": null, "outputs": {} },
        })),
        name => {
            panic!("the route `{name}` has no row: say above with which real things it is asked, and what it takes")
        }
    }
}
