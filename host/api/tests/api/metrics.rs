//! `/api/v1/metrics`: every line is read as Prometheus reads it, and the numbers follow what happens.

use std::{collections::BTreeMap, time::Duration};

use oxide_core::{
    access::Scope,
    event::{AgentStatus, StepRecord},
    id::{AgentId, StepIndex},
    outcome::Status,
    protocol::{Lease, Report, StepChange, StepChangeKind, SystemMetrics},
};
use oxide_store::{AgentRow, WriteBatch};
use serde_json::json;
use uuid::Uuid;

use crate::support::TestServer;

const PIPELINE: &str =
    "version: \"1\"\nname: web\nstages:\n  build:\n    environment: host\n    steps: [{ run: echo built }]\n";

type Labels = BTreeMap<String, String>;

/// A line with a number.
#[derive(Debug, PartialEq)]
struct Sample {
    name: String,
    labels: Labels,
    value: f64,
}

/// A whole answer.
#[derive(Debug, Default)]
struct Numbers {
    types: BTreeMap<String, String>,
    samples: Vec<Sample>,
}

impl Numbers {
    /// Reads every line.
    ///
    /// # Panics
    /// A line is none of the text format 0.0.4, or stands in the wrong place.
    fn read(text: &str) -> Numbers {
        let (mut numbers, mut family) = (Numbers::default(), String::new());
        assert!(text.ends_with('\n'), "the last line has its end");
        for line in text.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, words) = help.split_once(' ').unwrap();
                assert!(is_name(name) && !words.is_empty(), "{line}");
            } else if let Some(of) = line.strip_prefix("# TYPE ") {
                let (name, kind) = of.split_once(' ').unwrap();
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
                assert_eq!(
                    kind == "counter",
                    name.ends_with("_total"),
                    "counters end in _total, others do not: {line}"
                );
                assert_eq!(numbers.types.insert(name.to_owned(), kind.to_owned()), None, "named twice: {line}");
                family = name.to_owned();
            } else {
                let sample = read_sample(line);
                let suffix = sample.name.strip_prefix(&family).unwrap_or_else(|| panic!("below {family}: {line}"));
                let is_histogram = numbers.types.get(&family).unwrap() == "histogram";
                let wanted: &[&str] = if is_histogram { &["_bucket", "_sum", "_count"] } else { &[""] };
                assert!(wanted.contains(&suffix), "below {family}: {line}");
                let is_same = |other: &Sample| other.name == sample.name && other.labels == sample.labels;
                assert!(!numbers.samples.iter().any(is_same), "told twice: {line}");
                numbers.samples.push(sample);
            }
        }
        numbers.check_histograms();
        numbers
    }

    /// Buckets grow, and the last one holds everything.
    fn check_histograms(&self) {
        for (family, _) in self.types.iter().filter(|(_, kind)| *kind == "histogram") {
            for count in self.samples.iter().filter(|sample| sample.name == format!("{family}_count")) {
                let of_this = |sample: &&Sample| {
                    let mut labels = sample.labels.clone();
                    sample.name == format!("{family}_bucket") && labels.remove("le").is_some() && labels == count.labels
                };
                let bound = |sample: &Sample| (sample.labels["le"].parse::<f64>().unwrap(), sample.value);
                let buckets: Vec<(f64, f64)> = self.samples.iter().filter(of_this).map(bound).collect();
                assert!(buckets.len() > 2, "{count:?}");
                for pair in buckets.windows(2) {
                    assert!(pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1, "{count:?}: {buckets:?}");
                }
                assert_eq!(buckets.last(), Some(&(f64::INFINITY, count.value)), "{count:?}");
                let sum = self.samples.iter().find(|sample| {
                    sample.name == format!("{family}_sum") && sample.labels == count.labels && sample.value >= 0.0
                });
                assert!(sum.is_some(), "{count:?}");
            }
        }
    }

    /// The sum of the samples of a name with these labels among theirs; none if there is no such sample.
    fn find(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let has = |sample: &Sample, (key, value): &(&str, &str)| sample.labels.get(*key).is_some_and(|is| is == value);
        let fits = |sample: &&Sample| sample.name == name && labels.iter().all(|label| has(sample, label));
        self.samples.iter().filter(fits).map(|sample| sample.value).reduce(|a, b| a + b)
    }

    #[track_caller]
    fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.find(name, labels).unwrap_or_else(|| panic!("no {name} {labels:?} in {:?}", self.samples))
    }

    fn ended(&self, what: &str, status: Status) -> f64 {
        self.value(&format!("oxide_{what}_ended_total"), &[("status", status.as_str())])
    }
}

fn is_name(text: &str) -> bool {
    let is_letter = |c: char| c.is_ascii_alphabetic() || c == '_';
    text.starts_with(is_letter) && text.chars().all(|c| is_letter(c) || c.is_ascii_digit())
}

/// Reads `name{label="value",…} number`.
fn read_sample(line: &str) -> Sample {
    let end = line.find(['{', ' ']).unwrap_or_else(|| panic!("{line}"));
    let (name, mut rest) = line.split_at(end);
    assert!(is_name(name), "{line}");
    let mut labels = Labels::new();
    if let Some(inner) = rest.strip_prefix('{') {
        let mut chars = inner.chars();
        loop {
            let key: String = chars.by_ref().take_while(|c| *c != '=').collect();
            assert!(is_name(&key) && chars.next() == Some('"'), "{line}");
            let mut value = String::new();
            loop {
                match chars.next().unwrap() {
                    '"' => break,
                    '\\' => value.push(match chars.next().unwrap() {
                        'n' => '\n',
                        escaped @ ('\\' | '"') => escaped,
                        other => panic!("\\{other} in {line}"),
                    }),
                    usual => value.push(usual),
                }
            }
            assert_eq!(labels.insert(key, value), None, "{line}");
            match chars.next().unwrap() {
                ',' => {}
                '}' => break,
                other => panic!("{other} in {line}"),
            }
        }
        rest = chars.as_str();
    }
    let value = rest.strip_prefix(' ').and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("{line}"));
    Sample { name: name.to_owned(), labels, value }
}

async fn numbers(server: &TestServer, token: &str) -> Numbers {
    let answer = server.get("/api/v1/metrics", token).await.expect(200);
    assert_eq!(answer.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    Numbers::read(&answer.text)
}

/// Waits until the numbers are as wanted.
async fn until(server: &TestServer, token: &str, what: &str, holds: impl Fn(&Numbers) -> bool) -> Numbers {
    for _ in 0..900 {
        let seen = numbers(server, token).await;
        if holds(&seen) {
            return seen;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{what} did not come within 90 s: {:?}", numbers(server, token).await.samples);
}

/// A token as README gives it to Prometheus.
async fn scraper(server: &TestServer) -> String {
    let user = server.user("prometheus", false).await;
    server.token(user, &[Scope::Read], None).await.0
}

#[tokio::test]
async fn requests_are_counted_by_route_whatever_became_of_them() {
    let server = TestServer::start().await;
    let token = scraper(&server).await;
    let of = |route: &'static str, status: &'static str| [("route", route), ("method", "GET"), ("status", status)];
    let count = |seen: &Numbers, labels: &[(&str, &str)]| seen.find("oxide_http_requests_total", labels).unwrap_or(0.0);
    let before = numbers(&server, &token).await;
    let nowhere = format!("/api/v1/nowhere-{}", Uuid::now_v7());
    server.get(&nowhere, &token).await.expect(404);
    server.get("/api/v1/runs", "").await.expect(401);
    let run = format!("/api/v1/runs/{}", Uuid::now_v7());
    server.get(&run, &token).await.expect(404);
    server.send(server.request("BREW".parse().unwrap(), "/api/v1/health")).await.expect(405);
    let after = numbers(&server, &token).await;
    for labels in [of("none", "4xx"), of("/api/v1/runs", "4xx"), of("/api/v1/runs/{run}", "4xx")] {
        assert_eq!(count(&after, &labels) - count(&before, &labels), 1.0, "{labels:?}");
    }
    let brewed = [("route", "/api/v1/health"), ("method", "other"), ("status", "4xx")];
    assert_eq!(count(&after, &brewed), 1.0);
    let scrapes = of("/api/v1/metrics", "2xx");
    assert_eq!(count(&after, &scrapes) - count(&before, &scrapes), 1.0);
    assert_eq!(after.value("oxide_http_request_duration_seconds_count", &[("route", "/api/v1/runs")]), 1.0);
    assert_eq!(after.find("oxide_http_server_errors_total", &[]), None);
    // No path, token or name of a guest becomes a label.
    let values: Vec<&String> = after.samples.iter().flat_map(|sample| sample.labels.values()).collect();
    assert!(!values.iter().any(|value| value.contains("nowhere") || value.contains("BREW")), "{values:?}");
    server.get("/api/v1/metrics", "").await.expect(401);
}

#[tokio::test]
async fn what_ends_is_counted_with_its_times() {
    let server = TestServer::start().await;
    let (admin, token) = (server.admin().await, scraper(&server).await);
    let project = server.project("web").await;
    let before = numbers(&server, &token).await;
    for what in ["runs", "jobs", "steps"] {
        assert_eq!(before.ended(what, Status::Success), 0.0);
    }
    assert_eq!(before.value("oxide_build_info", &[("version", env!("CARGO_PKG_VERSION"))]), 1.0);
    assert_eq!(before.value("oxide_leads", &[]), 1.0);

    let new = json!({ "project": project, "source": PIPELINE });
    let pipeline = server.post("/api/v1/pipelines", &admin, &new).await.expect(201).json();
    let runs = format!("/api/v1/pipelines/{}/runs", pipeline["id"].as_str().unwrap());
    server.post(&runs, &admin, &json!({})).await.expect(201);
    let open = |seen: &Numbers, status: &str| seen.value("oxide_jobs_open", &[("status", status)]);
    until(&server, &token, "a queued job", |seen| open(seen, "queued") == 1.0).await;

    let (credential, agent) = server.agent("lab").await;
    let register = json!({ "agent": agent, "name": "lab", "labels": [], "slots": 1, "capabilities": ["host"] });
    server.post("/api/v1/agent/register", &credential, &register).await.expect(204);
    let leased = server.post("/api/v1/agent/lease", &credential, &json!({ "agent": agent })).await.expect(200);
    let lease: Lease = serde_json::from_str(&leased.text).unwrap();
    let running = until(&server, &token, "a running job", |seen| {
        open(seen, "running") == 1.0 && seen.value("oxide_job_queue_duration_seconds_count", &[]) == 1.0
    })
    .await;
    // Runs go by the steady clock, which no hand of ours moves.
    let waited = running.value("oxide_job_queue_duration_seconds_sum", &[]);
    assert!((0.0..60.0).contains(&waited), "{waited} s");
    assert_eq!(open(&running, "queued"), 0.0);

    let report = Report { agent, attempt: lease.attempt, number: 1, changes: one_step(&server), logs: Vec::new() };
    let report = serde_json::to_value(&report).unwrap();
    server.post("/api/v1/agent/report", &credential, &report).await.expect(200);
    let complete = json!({
        "agent": agent, "attempt": lease.attempt, "at": server.now(),
        "outcome": { "status": "success", "reason": null, "failure": null, "outputs": {} },
    });
    server.post("/api/v1/agent/complete", &credential, &complete).await.expect(200);
    let ended = until(&server, &token, "the end", |seen| seen.ended("runs", Status::Success) == 1.0).await;
    assert_eq!((ended.ended("jobs", Status::Success), ended.ended("steps", Status::Success)), (1.0, 1.0));
    let took = ended.value("oxide_run_duration_seconds_sum", &[("status", "success")]);
    assert!((0.0..60.0).contains(&took), "{took} s");
    assert_eq!(ended.value("oxide_run_duration_seconds_count", &[("status", "success")]), 1.0);
    assert_eq!((open(&ended, "queued"), open(&ended, "running")), (0.0, 0.0));

    // One that nobody takes ends, too.
    let run = server.post(&runs, &admin, &json!({})).await.expect(201).json();
    let cancel = format!("/api/v1/runs/{}/cancel", run["id"].as_str().unwrap());
    let answer = server.post(&cancel, &admin, &json!({ "kill": true })).await;
    assert!(answer.status.is_success(), "{answer:?}");
    let cancelled = until(&server, &token, "the cancel", |seen| seen.ended("runs", Status::Cancelled) == 1.0).await;
    assert_eq!(cancelled.ended("runs", Status::Success), 1.0);
    assert_eq!(cancelled.value("oxide_job_queue_duration_seconds_count", &[]), 1.0);
    for events in ["oxide_events_written_total", "oxide_events_published_total"] {
        assert!(before.value(events, &[]) < ended.value(events, &[]), "{events}");
        assert!(ended.value(events, &[]) < cancelled.value(events, &[]), "{events}");
    }
}

/// A step that began and ended well.
fn one_step(server: &TestServer) -> Vec<StepChange> {
    let (step, at) = (StepIndex(0), server.now());
    let record = StepRecord::of_end(Status::Success, at, at);
    let started = StepChange { step, at, kind: StepChangeKind::Started { try_number: 1 } };
    vec![started, StepChange { step, at, kind: StepChangeKind::Completed(Box::new(record)) }]
}

#[tokio::test]
async fn machines_of_agents_are_told_by_name_whatever_it_is() {
    let server = TestServer::start().await;
    let token = scraper(&server).await;
    let machine = SystemMetrics {
        cpu_percent: 12.5,
        load_1m: 0.75,
        memory_used_bytes: 1 << 30,
        memory_total_bytes: 4 << 30,
        disk_used_bytes: 5,
        disk_total_bytes: 10,
    };
    let name = "rack \"7\"\\upper\nshelf";
    let row = AgentRow {
        id: AgentId(Uuid::now_v7()),
        name: name.to_owned(),
        labels: Vec::new(),
        capabilities: Vec::new(),
        slots: 3,
        version: String::new(),
        registered_at: server.now(),
        status: AgentStatus::Idle,
        last_heartbeat_at: Some(server.now()),
        metrics: Some(machine),
        draining: false,
        deregistered_at: None,
    };
    let mut batch = WriteBatch::default();
    batch.agent(row);
    let mut transaction = server.store.begin().await.unwrap();
    transaction.write(&batch).await.unwrap();
    transaction.commit().await.unwrap();

    let seen = numbers(&server, &token).await;
    let of = [("agent", name)];
    assert_eq!(seen.value("oxide_agent_cpu_ratio", &of), 0.125);
    assert_eq!(seen.value("oxide_agent_load_1m", &of), 0.75);
    assert_eq!(seen.value("oxide_agent_memory_used_bytes", &of), f64::from(1 << 30));
    assert_eq!(seen.value("oxide_agent_memory_size_bytes", &of), 4.0 * f64::from(1 << 30));
    assert_eq!(
        (seen.value("oxide_agent_disk_used_bytes", &of), seen.value("oxide_agent_disk_size_bytes", &of)),
        (5.0, 10.0)
    );
    assert_eq!((seen.value("oxide_agents", &[("status", "idle")]), seen.value("oxide_agent_slots", &[])), (1.0, 3.0));
    // Who is not heard of any more has no machine.
    server.pass(Duration::from_secs(60));
    let seen = numbers(&server, &token).await;
    assert_eq!(
        (seen.find("oxide_agent_cpu_ratio", &of), seen.value("oxide_agents", &[("status", "offline")])),
        (None, 1.0)
    );
}
