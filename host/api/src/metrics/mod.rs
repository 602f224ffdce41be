//! Numbers about the server, in the text format 0.0.4 of Prometheus.
//!
//! [`work`] counts what ends and [`requests`] what is asked for, both since the process started. [`present`] is read when
//! somebody asks, [`process`] tells of the process itself, and [`total`] is how counters are written. Labels are names of ours,
//! patterns of routes, and agents: there are only so many of each.

pub mod present;
pub mod process;
pub mod requests;
pub mod total;
pub mod work;

use prometheus_client::{encoding::text::encode_registry, registry::Registry};

use crate::{error::ApiError, state::ServerState};
use present::Present;
use requests::Requests;
use work::Work;

/// What the text is, as it is said in `Content-Type`.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What this process has counted since it started.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Runs, jobs and steps.
    pub work: Work,
    /// HTTP requests.
    pub requests: Requests,
}

impl Default for Metrics {
    fn default() -> Metrics {
        let mut registry = Registry::default();
        let (work, requests) = (Work::default(), Requests::default());
        work.register(&mut registry);
        requests.register(&mut registry);
        Metrics { registry, work, requests }
    }
}

/// All numbers, as text.
///
/// # Errors
/// The store cannot be read.
pub async fn text(state: &ServerState) -> Result<String, ApiError> {
    let mut text = String::new();
    // Before the rest is read: what is counted as ended is not told as running.
    write(&mut text, &state.metrics.registry)?;
    let mut now = Registry::default();
    Present::read(state).await?.register(&mut now);
    process::register(&mut now);
    write(&mut text, &now)?;
    Ok(text)
}

/// Adds numbers to the text, without the `# EOF` that OpenMetrics has at its end.
fn write(text: &mut String, registry: &Registry) -> Result<(), ApiError> {
    encode_registry(text, registry).map_err(|error| ApiError::internal("write the numbers", error))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::{Method, StatusCode};

    use super::*;

    #[test]
    fn types_have_the_names_of_their_samples() {
        let metrics = Metrics::default();
        metrics.requests.answered(Some("/api/v1/runs"), &Method::GET, StatusCode::OK, Duration::from_millis(3));
        let mut text = String::new();
        encode_registry(&mut text, &metrics.registry).unwrap();
        for line in [
            "# TYPE oxide_runs_ended_total counter",
            "oxide_runs_ended_total{status=\"failure\"} 0",
            "# TYPE oxide_http_requests_total counter",
            "oxide_http_requests_total{route=\"/api/v1/runs\",method=\"GET\",status=\"2xx\"} 1",
            "# TYPE oxide_http_request_duration_seconds histogram",
            "oxide_http_request_duration_seconds_bucket{le=\"+Inf\",route=\"/api/v1/runs\"} 1",
        ] {
            assert!(text.lines().any(|have| have == line), "{line}\n{text}");
        }
        assert!(!text.contains("_total_total") && !text.contains("# EOF"), "{text}");
    }
}
