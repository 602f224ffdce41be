//! A collector of OpenTelemetry hears of each run, also of those that ended while it was away.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use oxide_core::{id::RunId, outcome::Status};
use serde_json::Value as Json;

use super::deployment::{Fleet, Shape};
use crate::web_server::{Answers, WebServer};

const PIPELINE: &str = r#"
version: "1"
name: traced
stages:
  one:
    environment: host
    steps:
      - name: goes well
        run: "true"
      - name: goes wrong
        run: "false"
"#;

#[test]
fn a_collector_hears_of_each_run_once_it_is_there() {
    let is_there = Arc::new(AtomicBool::new(false));
    let taken = Arc::new(Mutex::new(Vec::new()));
    let (answers, takes) = (is_there.clone(), taken.clone());
    let collector = WebServer::start_with(Answers::of(move |request| {
        if !answers.load(Ordering::SeqCst) {
            return (503, "{}".to_owned());
        }
        takes.lock().unwrap().push(request.to_owned());
        (200, "{}".to_owned())
    }));
    let endpoint = format!("http://127.0.0.1:{}", collector.port);
    let settings = [("OXIDE_SERVER_TRACES_ENDPOINT", endpoint.as_str()), ("OXIDE_SERVER_TRACES_HEADERS", "x-team=ci")];
    let mut fleet = Fleet::of_servers(Shape::Sqlite, &settings);
    fleet.join("agent", None);
    fleet.wait_for_agents(1);
    let pipeline = fleet.pipeline(PIPELINE);
    let first = fleet.run(pipeline);
    assert_eq!(fleet.ended(first).about.status, Status::Failure);
    fleet.wait_for("the collector to be asked", || collector.seen().contains("POST /v1/traces"));
    // What it was not told is not forgotten.
    fleet.servers[0].kill();
    fleet.servers[0].start();
    is_there.store(true, Ordering::SeqCst);
    let spans = |run: RunId| spans(&taken.lock().unwrap(), run);
    let second = fleet.run(pipeline);
    fleet.wait_for("both traces", || !spans(first).is_empty() && !spans(second).is_empty());

    let untold = [first, second].into_iter().filter(|run| spans(*run).is_empty()).count();
    assert!(collector.seen().to_lowercase().contains("x-team: ci"));
    let spans = spans(first);
    let text = |span: &Json, key: &str| span[key].as_str().unwrap().to_owned();
    let names: Vec<String> = spans.iter().map(|span| text(span, "name")).collect();
    assert_eq!(names, ["traced", "one", "one", "goes well", "goes wrong"], "run, stage, job, steps");
    let parents: Vec<String> = spans.iter().map(|span| text(span, "parentSpanId")).collect();
    let ids: Vec<String> = spans.iter().map(|span| text(span, "spanId")).collect();
    assert_eq!(parents, ["", &ids[0], &ids[1], &ids[2], &ids[2]]);
    for span in &spans {
        let time = |key: &str| text(span, key).parse::<u64>().unwrap();
        assert!(time("startTimeUnixNano") > 1_600_000_000_000_000_000);
        assert!(time("startTimeUnixNano") <= time("endTimeUnixNano"));
        let is_failure = span["status"]["code"] == 2;
        assert_eq!(is_failure, text(span, "name") != "goes well", "{span}");
    }
    fleet.tells("a server is killed while its collector of traces is away", untold, "2 runs, all of them traced");
}

/// The spans of the newest telling of a run among these requests.
fn spans(requests: &[String], run: RunId) -> Vec<Json> {
    let trace = run.to_string().replace('-', "");
    let told = requests.iter().rev().find_map(|request| {
        let body: Json = serde_json::from_str(&request[request.find('{')?..]).ok()?;
        let spans = body["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array()?.clone();
        (spans[0]["traceId"] == trace.as_str()).then_some(spans)
    });
    told.unwrap_or_default()
}
