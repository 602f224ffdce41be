//! Whether the server can do its work, and numbers about it.

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
};
use oxide_orchestrator::Leadership;

use crate::{
    error::ApiError,
    extract::json_response,
    metrics,
    route::{Access, Rate, Route, Tag},
    state::ServerState,
};

/// The check that does not count: the outbox keeps all events until the bus is back.
const BUS: &str = "bus";

/// The routes of this topic.
pub fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/ready", "get_readiness", ready)
            .tag(Tag::Server)
            .access(Access::Public)
            .rate(Rate::Unbounded)
            .summary("Says whether the server can do its work: database, bus, blobs and leader, each named.")
            .description(
                "While NATS is away runs go on, and who listens there gets all events afterwards: the check `bus` may have a \
                 problem while the server is ready. On the server that leads `database` has one, too, while what happens cannot be \
                 stored, as with a full disk.",
            )
            .answer::<Readiness>(200, "It can. The checks say whether the bus is away.")
            .answer::<Readiness>(503, "It cannot; the checks say what is missing.")
            .errors(&[ErrorKind::Unavailable]),
        Route::get("/api/v1/metrics", "get_metrics", numbers)
            .tag(Tag::Server)
            .access(Access::Organization(Role::Viewer))
            .summary("Numbers about the server, as Prometheus reads them.")
            .description(
                "The text format 0.0.4 of Prometheus. Counters begin with the process. A scraper needs a token with the scope \
                 `read` that is not bound to a project, and asks each server.",
            )
            .answer_of(200, "The numbers.", "text/plain"),
    ]
}

async fn ready(State(state): State<ServerState>) -> Response {
    let engine = &state.engine;
    let unread = state.store.last_event().await.err().map(|error| crate::error::chain(&error));
    let blobs = engine.blobs.artifacts("readiness").await.err().map(|error| crate::error::chain(&error));
    let (leader, unstored) = match engine.election.leadership() {
        Leadership::Nobody => (Some("no server leads at the moment".to_owned()), None),
        Leadership::Here(orchestrator) => (None, orchestrator.storing_problem()),
        Leadership::Elsewhere(_) => (None, None),
    };
    let database = database(unread, unstored);
    let bus = engine.bus_check.as_ref().and_then(|check| check());
    let checks = [("database", database), (BUS, bus), ("blobs", blobs), ("leader", leader)];
    let readiness = readiness(checks);
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    json_response(status, &readiness)
}

/// What is wrong with the database: it cannot be read, or the orchestrator here could not store what happened last.
fn database(unread: Option<String>, unstored: Option<String>) -> Option<String> {
    unread.or_else(|| unstored.map(|why| format!("what happens cannot be stored: {why}")))
}

/// Ready is who has no problem, or none but a bus that is away.
fn readiness<const N: usize>(problems: [(&str, Option<String>); N]) -> Readiness {
    let check =
        |(name, problem): (&str, Option<String>)| Check { name: name.to_owned(), ok: problem.is_none(), problem };
    let checks: Vec<Check> = problems.into_iter().map(check).collect();
    Readiness { ready: checks.iter().all(|check| check.ok || check.name == BUS), checks }
}

async fn numbers(State(state): State<ServerState>) -> Result<Response, ApiError> {
    let text = metrics::text(&state).await?;
    Ok(([(header::CONTENT_TYPE, HeaderValue::from_static(metrics::CONTENT_TYPE))], text).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_problem_is_enough_not_to_be_ready() {
        let good = readiness([("database", None), ("bus", None)]);
        assert!(good.ready);
        let bad = readiness([("database", Some("gone".to_owned())), ("bus", None)]);
        assert!(!bad.ready && bad.checks[1].ok && bad.checks[0].problem.as_deref() == Some("gone"));
    }

    #[test]
    fn a_database_that_takes_nothing_counts_as_one_that_is_away() {
        let full = || Some("database or disk is full".to_owned());
        assert_eq!(database(None, None), None);
        assert_eq!(database(Some("gone".to_owned()), full()).as_deref(), Some("gone"));
        let problem = database(None, full());
        assert_eq!(problem.as_deref(), Some("what happens cannot be stored: database or disk is full"));
        assert!(!readiness([("database", problem), ("leader", None)]).ready);
    }

    #[test]
    fn a_bus_that_is_away_is_told_and_does_not_count() {
        let all = readiness([("database", None), (BUS, Some("gone".to_owned()))]);
        assert!(all.ready && !all.checks[1].ok && all.checks[1].problem.as_deref() == Some("gone"));
        assert!(!readiness([("leader", Some("nobody".to_owned())), (BUS, Some("gone".to_owned()))]).ready);
    }
}
