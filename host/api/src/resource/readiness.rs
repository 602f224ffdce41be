//! Whether the server can do its work, and numbers about it.

use std::fmt::Write as _;

use axum::{
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use oxide_core::{
    access::Role,
    api::{
        error::ErrorKind,
        metrics::{Check, Readiness},
    },
    event::AgentStatus,
};
use oxide_orchestrator::Leadership;

use crate::{
    error::ApiError,
    extract::json_response,
    route::{Access, Rate, Route, Tag},
    state::ServerState,
};

/// The routes of this topic.
pub fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/ready", "get_readiness", ready)
            .tag(Tag::Server)
            .access(Access::Public)
            .rate(Rate::Unbounded)
            .summary("Says whether the server can do its work: database, bus, blobs and leader, each named.")
            .answer::<Readiness>(200, "It can.")
            .answer::<Readiness>(503, "It cannot; the checks say what is missing.")
            .errors(&[ErrorKind::Unavailable]),
        Route::get("/api/v1/metrics", "get_metrics", metrics)
            .tag(Tag::Server)
            .access(Access::Organization(Role::Viewer))
            .summary("Numbers about the server, as Prometheus reads them.")
            .answer_of(200, "The numbers.", "text/plain"),
    ]
}

async fn ready(State(state): State<ServerState>) -> Response {
    let engine = &state.engine;
    let database = state.store.last_event().await.err().map(|error| crate::error::chain(&error));
    let blobs = engine.blobs.artifacts("readiness").await.err().map(|error| crate::error::chain(&error));
    let leader = match engine.election.leadership() {
        Leadership::Nobody => Some("no server leads at the moment".to_owned()),
        Leadership::Here(_) | Leadership::Elsewhere(_) => None,
    };
    let bus = engine.bus_check.as_ref().and_then(|check| check());
    let checks = [("database", database), ("bus", bus), ("blobs", blobs), ("leader", leader)];
    let readiness = readiness(checks);
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    json_response(status, &readiness)
}

/// Ready is who has no problem.
fn readiness<const N: usize>(problems: [(&str, Option<String>); N]) -> Readiness {
    let check =
        |(name, problem): (&str, Option<String>)| Check { name: name.to_owned(), ok: problem.is_none(), problem };
    let checks: Vec<Check> = problems.into_iter().map(check).collect();
    Readiness { ready: checks.iter().all(|check| check.ok), checks }
}

async fn metrics(State(state): State<ServerState>) -> Result<Response, ApiError> {
    let now = state.now();
    let runs = state.store.open_run_counts().await?;
    let agents = state.store.agents().await?;
    let mut text = String::new();
    let mut family = |name: &str, help: &str, values: &[(String, u64)]| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
        for (labels, value) in values {
            let _ = writeln!(text, "{name}{labels} {value}");
        }
    };
    let of_runs: Vec<_> =
        runs.iter().map(|(status, count)| (format!("{{status=\"{}\"}}", status.as_str()), *count)).collect();
    family("oxide_runs_open", "Runs that have not ended, by their state.", &of_runs);
    let states = [
        ("idle", AgentStatus::Idle),
        ("busy", AgentStatus::Busy),
        ("draining", AgentStatus::Draining),
        ("offline", AgentStatus::Offline),
    ];
    let of_agents: Vec<_> = states
        .into_iter()
        .map(|(word, status)| {
            let count = agents.iter().filter(|agent| agent.status_at(now) == status).count();
            (format!("{{status=\"{word}\"}}"), count as u64)
        })
        .collect();
    family("oxide_agents", "Agents, by what they do.", &of_agents);
    let slots =
        agents.iter().filter(|agent| agent.status_at(now) != AgentStatus::Offline).map(|agent| u64::from(agent.slots));
    family(
        "oxide_agent_slots",
        "Jobs that the agents that are there can run at the same time.",
        &[(String::new(), slots.sum())],
    );
    let leads = matches!(state.engine.election.leadership(), Leadership::Here(_));
    family(
        "oxide_leads",
        "1 if this server decides what runs, 0 if another one does.",
        &[(String::new(), leads.into())],
    );
    let last = state.store.last_event().await?;
    family("oxide_events_written", "The number of the last event that was written.", &[(String::new(), last)]);
    family(
        "oxide_events_published",
        "The number of the last event that followers of this server got.",
        &[(String::new(), state.engine.bus.last_seq())],
    );
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_problem_is_enough_not_to_be_ready() {
        let good = readiness([("database", None), ("bus", None)]);
        assert!(good.ready);
        let bad = readiness([("database", None), ("bus", Some("gone".to_owned()))]);
        assert!(!bad.ready && bad.checks[0].ok && bad.checks[1].problem.as_deref() == Some("gone"));
    }
}
