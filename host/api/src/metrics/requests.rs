//! HTTP requests: how many, how long, and what the server could not answer.

use std::{borrow::Cow, time::Duration};

use http::{Method, StatusCode};
use prometheus_client::{
    metrics::{family::Family, histogram::Histogram},
    registry::Registry,
};

use super::total::Total;

/// The route of requests whose path no route has.
pub const NO_ROUTE: &str = "none";

/// Bounds in seconds. Long polls of agents are held for half a minute.
const SECONDS: [f64; 12] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

type Label = (&'static str, Cow<'static, str>);

/// What was asked for.
#[derive(Debug)]
pub struct Requests {
    answered: Family<[Label; 3], Total>,
    seconds: Family<[Label; 1], Histogram, fn() -> Histogram>,
    server_errors: Family<[Label; 2], Total>,
}

impl Default for Requests {
    fn default() -> Requests {
        Requests {
            answered: Family::default(),
            seconds: Family::<[Label; 1], Histogram, fn() -> Histogram>::new_with_constructor(histogram),
            server_errors: Family::default(),
        }
    }
}

impl Requests {
    /// Names them.
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "oxide_http_requests_total",
            "HTTP requests by pattern of the route, method and class of status",
            self.answered.clone(),
        );
        registry.register(
            "oxide_http_request_duration_seconds",
            "Seconds until the head of the answer was there, by pattern of the route",
            self.seconds.clone(),
        );
        registry.register(
            "oxide_http_server_errors_total",
            "HTTP requests answered with 500 to 599, by pattern of the route and status",
            self.server_errors.clone(),
        );
    }

    /// Counts a request. `route` is the pattern of its path, such as `/api/v1/runs/{run}`, if a route has it.
    pub fn answered(&self, route: Option<&str>, method: &Method, status: StatusCode, took: Duration) {
        let route: Cow<'static, str> = route.map_or(Cow::Borrowed(NO_ROUTE), |route| Cow::Owned(route.to_owned()));
        let labels = [
            ("route", route.clone()),
            ("method", Cow::Borrowed(method_label(method))),
            ("status", Cow::Borrowed(class(status))),
        ];
        self.answered.get_or_create(&labels).count();
        self.seconds.get_or_create(&[("route", route.clone())]).observe(took.as_secs_f64());
        if status.is_server_error() {
            let status = Cow::Owned(status.as_u16().to_string());
            self.server_errors.get_or_create(&[("route", route), ("status", status)]).count();
        }
    }
}

fn histogram() -> Histogram {
    Histogram::new(SECONDS)
}

/// The method, if it is one of HTTP's: anybody can invent others.
fn method_label(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

fn class(status: StatusCode) -> &'static str {
    match status.as_u16() / 100 {
        1 => "1xx",
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        5 => "5xx",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(requests: &Requests, route: &'static str, method: &'static str, status: &'static str) -> Option<u64> {
        let labels = [("route", route.into()), ("method", method.into()), ("status", status.into())];
        requests.answered.get(&labels).map(|total| total.number())
    }

    #[test]
    fn labels_are_bounded_whatever_is_asked() {
        let requests = Requests::default();
        for method in ["BREW", "WHEN", "GET"] {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            requests.answered(None, &method, StatusCode::NOT_FOUND, Duration::from_millis(1));
        }
        assert_eq!(count(&requests, "none", "other", "4xx"), Some(2));
        assert_eq!(count(&requests, "none", "GET", "4xx"), Some(1));
    }

    #[test]
    fn errors_of_the_server_are_counted_by_status() {
        let requests = Requests::default();
        for status in [200, 404, 502, 503, 503] {
            let status = StatusCode::from_u16(status).unwrap();
            requests.answered(Some("/api/v1/runs"), &Method::POST, status, Duration::ZERO);
        }
        let errors = |status: &'static str| {
            let labels = [("route", "/api/v1/runs".into()), ("status", status.into())];
            requests.server_errors.get(&labels).map(|total| total.number())
        };
        assert_eq!((errors("502"), errors("503"), errors("404")), (Some(1), Some(2), None));
        assert_eq!(count(&requests, "/api/v1/runs", "POST", "5xx"), Some(3));
    }
}
