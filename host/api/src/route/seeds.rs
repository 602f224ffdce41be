//! The routes that the first documents of the project asked for, and where they are in this API. The README shows this list,
//! and a test asks whether every route is there.

use oxide_core::api::error::ErrorKind;

/// A route of such a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeedRoute {
    /// The route there: method and path.
    pub theirs: &'static str,
    /// The method and path here.
    pub ours: (&'static str, &'static str),
    /// What is different.
    pub note: &'static str,
}

/// A document with its routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed {
    /// The document.
    pub document: &'static str,
    /// Its routes.
    pub routes: &'static [SeedRoute],
}

const fn seed(theirs: &'static str, method: &'static str, path: &'static str, note: &'static str) -> SeedRoute {
    SeedRoute { theirs, ours: (method, path), note }
}

/// All of them.
pub const SEEDS: [Seed; 5] = [
    Seed {
        document: "A: AsyncAPI specification",
        routes: &[
            seed(
                "WS /ws/runs/{id}",
                "GET",
                "/api/v1/ws/runs/{run}",
                "a WebSocket for each run, from its first event on",
            ),
            seed("WebSocket", "GET", "/api/v1/ws", "with `subscribe` and `unsubscribe`"),
            seed("Server-sent events", "GET", "/api/v1/events", ""),
            seed("NATS", "GET", "/api/v1/asyncapi.json", "`--nats`: the same events in the stream `OXIDE_EVENTS`"),
            seed("asyncapi.yaml", "GET", "/api/v1/asyncapi.json", "AsyncAPI 3, in JSON"),
        ],
    },
    Seed {
        document: "B: Rust architecture",
        routes: &[
            seed("POST /api/v1/pipelines", "POST", "/api/v1/pipelines", ""),
            seed("GET /api/v1/pipelines", "GET", "/api/v1/pipelines", ""),
            seed("GET /api/v1/pipelines/{id}", "GET", "/api/v1/pipelines/{pipeline}", ""),
            seed("PUT /api/v1/pipelines/{id}", "PUT", "/api/v1/pipelines/{pipeline}", ""),
            seed("DELETE /api/v1/pipelines/{id}", "DELETE", "/api/v1/pipelines/{pipeline}", ""),
            seed("POST /api/v1/pipelines/{id}/runs", "POST", "/api/v1/pipelines/{pipeline}/runs", ""),
            seed("GET /api/v1/runs", "GET", "/api/v1/runs", ""),
            seed("GET /api/v1/runs/{id}", "GET", "/api/v1/runs/{run}", ""),
            seed("POST /api/v1/runs/{id}/cancel", "POST", "/api/v1/runs/{run}/cancel", ""),
            seed("GET /api/v1/runs/{id}/logs", "GET", "/api/v1/runs/{run}/logs", ""),
            seed("GET /api/v1/agents", "GET", "/api/v1/agents", ""),
            seed("GET /api/v1/agents/{id}", "GET", "/api/v1/agents/{agent}", ""),
            seed("DELETE /api/v1/agents/{id}", "DELETE", "/api/v1/agents/{agent}", ""),
            seed("POST /api/v1/secrets", "POST", "/api/v1/secrets", ""),
            seed("GET /api/v1/secrets", "GET", "/api/v1/secrets", "names only"),
            seed("DELETE /api/v1/secrets/{name}", "DELETE", "/api/v1/secrets/{name}", ""),
            seed("POST /api/v1/approvals/{id}/approve", "POST", "/api/v1/approvals/{approval}/approve", ""),
            seed("POST /api/v1/approvals/{id}/reject", "POST", "/api/v1/approvals/{approval}/reject", ""),
            seed("POST /api/v1/webhooks/github", "POST", "/api/v1/webhooks/github", ""),
            seed("POST /api/v1/webhooks/gitlab", "POST", "/api/v1/webhooks/gitlab", ""),
            seed("WS /api/v1/ws", "GET", "/api/v1/ws", ""),
        ],
    },
    Seed {
        document: "C: system design",
        routes: &[
            seed("POST /api/ci/pipelines", "POST", "/api/v1/pipelines", ""),
            seed("POST /api/ci/pipelines/upload", "POST", "/api/v1/pipelines", "multipart is one of its bodies"),
            seed("POST /api/ci/pipelines/{id}/trigger", "POST", "/api/v1/pipelines/{pipeline}/runs", ""),
            seed("/api/ci/executions", "GET", "/api/v1/runs", "an execution is a run"),
            seed("/api/ci/executions/{id}", "GET", "/api/v1/runs/{run}", ""),
            seed("/api/ci/executions/{id} cancel", "POST", "/api/v1/runs/{run}/cancel", ""),
            seed("/api/ci/pipelines", "GET", "/api/v1/pipelines", ""),
            seed("GET /api/ci/pipelines/{id}", "GET", "/api/v1/pipelines/{pipeline}", ""),
            seed("PUT /api/ci/pipelines/{id}", "PUT", "/api/v1/pipelines/{pipeline}", ""),
            seed("DELETE /api/ci/pipelines/{id}", "DELETE", "/api/v1/pipelines/{pipeline}", ""),
            seed("/api/sessions/oauth/github", "GET", "/api/v1/sign-in/{provider}", "with `github` as the provider"),
            seed("/api/sessions/oauth/github callback", "GET", "/api/v1/sign-in/{provider}/callback", ""),
            seed("/api/sessions/me", "GET", "/api/v1/user", ""),
            seed("/api/sessions/refresh", "POST", "/api/v1/sign-in/refresh", "a refresh token works once"),
            seed("/api/sessions/logout", "POST", "/api/v1/sign-out", ""),
            seed("GET /api/healthchecker", "GET", "/api/v1/health", ""),
            seed("Prometheus metrics", "GET", "/api/v1/metrics", ""),
        ],
    },
    Seed {
        document: "D: API services",
        routes: &[
            seed("POST /webhook/gitea", "POST", "/api/v1/webhooks/gitea", ""),
            seed("GET /jobs", "GET", "/api/v1/runs", "its jobs are our runs, with the same filters"),
            seed("GET /jobs/:id", "GET", "/api/v1/runs/{run}", "with stages, jobs, attempts and steps"),
            seed("GET /jobs/:id/logs", "GET", "/api/v1/runs/{run}/logs/stream", "server-sent events"),
            seed("GET /health", "GET", "/api/v1/health", ""),
            seed("GET /ready", "GET", "/api/v1/ready", ""),
            seed("Prometheus metrics", "GET", "/api/v1/metrics", ""),
        ],
    },
    Seed {
        document: "E: platform API",
        routes: &[
            seed("POST /webhooks/github", "POST", "/api/v1/webhooks/github", ""),
            seed("POST /pipelines", "POST", "/api/v1/pipelines", "`yaml_config` may be said for `source`"),
            seed("GET /pipelines", "GET", "/api/v1/pipelines", ""),
            seed("GET /pipelines/:id", "GET", "/api/v1/pipelines/{pipeline}", ""),
            seed("PUT /pipelines/:id", "PUT", "/api/v1/pipelines/{pipeline}", "`yaml_config`, too"),
            seed("DELETE /pipelines/:id", "DELETE", "/api/v1/pipelines/{pipeline}", ""),
            seed(
                "GET /runs",
                "GET",
                "/api/v1/runs",
                "filters: `status`, `pipeline` (or `pipeline_config_id`), `branch`, `since`, `until`",
            ),
            seed(
                "GET /runs/:id",
                "GET",
                "/api/v1/runs/{run}",
                "its log is at `/logs`, `/logs/text` and `/logs/stream` below it",
            ),
            seed("POST /runs/:id/retry", "POST", "/api/v1/runs/{run}/retry", ""),
        ],
    },
];

/// The kinds of errors that document C names, and what they are here. Its body of errors is ours.
pub const SEED_ERRORS: [(&str, &[ErrorKind]); 5] = [
    ("validation", &[ErrorKind::BadRequest, ErrorKind::Invalid, ErrorKind::UnsupportedMediaType, ErrorKind::TooLarge]),
    ("authentication", &[ErrorKind::Unauthorized, ErrorKind::Forbidden]),
    ("external service", &[ErrorKind::BadGateway]),
    ("internal", &[ErrorKind::Internal, ErrorKind::Unavailable]),
    ("timeout", &[ErrorKind::RequestTimeout, ErrorKind::Unavailable]),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::table;

    #[test]
    fn everything_that_was_asked_for_is_there() {
        let table: Vec<_> = table::all().into_iter().map(|route| route.about).collect();
        let is_there =
            |(method, path): (&str, &str)| table.iter().any(|about| about.method == method && about.path == path);
        let missing: Vec<_> = SEEDS
            .iter()
            .flat_map(|seed| seed.routes)
            .filter(|route| !is_there(route.ours))
            .map(|route| format!("{} (here {} {})", route.theirs, route.ours.0, route.ours.1))
            .collect();
        assert!(missing.is_empty(), "{missing:#?}");
    }

    #[test]
    fn every_error_that_was_asked_for_is_an_answer() {
        let table: Vec<_> = table::all().into_iter().map(|route| route.about).collect();
        for kind in SEED_ERRORS.iter().flat_map(|(_, kinds)| *kinds) {
            assert!(table.iter().any(|about| about.all_errors().contains(kind)), "nothing answers {kind:?}");
        }
    }
}
