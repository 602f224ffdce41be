//! Every list comes in pages.

use std::{collections::BTreeSet, fs, time::Duration};

use oxide_api::route::table;
use oxide_core::{
    event::{Annotation, Severity, StepRecord},
    id::{AttemptId, JobIndex, RunId, StepIndex},
    outcome::Status,
    time::Timestamp,
};
use oxide_store::{StepRow, WriteBatch};
use serde_json::{Map, Value as Json, json};

use crate::support::TestServer;

const STEPS: u32 = 5;

#[tokio::test]
async fn every_list_of_the_document_is_paged() {
    let server = TestServer::start().await;
    let document = server.get("/api/v1/openapi.json", "").await.expect(200).json();
    let mut lists = 0;
    for about in table::all().into_iter().map(|route| route.about).filter(|about| about.name.starts_with("list_")) {
        let operation = &document["paths"][about.path]["get"];
        let schema = &operation["responses"]["200"]["content"]["application/json"]["schema"];
        if about.name == "list_sign_in_providers" {
            // As many as the configuration of the server has.
            continue;
        }
        let name = schema["$ref"].as_str().unwrap_or_default();
        assert!(name.starts_with("#/components/schemas/PageOf"), "{} answers {schema}", about.name);
        let parameters = operation["parameters"].as_array().unwrap();
        let names: BTreeSet<_> = parameters.iter().filter_map(|parameter| parameter["name"].as_str()).collect();
        assert!(names.contains("limit") && names.contains("cursor"), "{} has {names:?}", about.name);
        lists += 1;
    }
    assert!(lists > 15, "only {lists} lists");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_run_found_comes_in_pages() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let run = a_run_with_findings(&server, &admin).await;
    for (list, count) in [("annotations", 2 * STEPS), ("summaries", STEPS), ("tests", STEPS), ("artifacts", STEPS)] {
        let path = format!("/api/v1/runs/{run}/{list}");
        let whole = server.get(&path, &admin).await.expect(200).json();
        let all = whole["items"].as_array().unwrap().clone();
        assert_eq!((all.len(), &whole["next_cursor"]), (count as usize, &Json::Null), "{list}");
        let (mut read, mut cursor) = (Vec::new(), String::new());
        for page in 1_usize.. {
            let asked = format!("{path}?limit=3&cursor={cursor}");
            let mut answer = server.get(&asked, &admin).await.expect(200).json();
            let mut items = std::mem::take(answer["items"].as_array_mut().unwrap());
            assert!((1..=3).contains(&items.len()), "{list}: {items:?}");
            read.append(&mut items);
            match answer["next_cursor"].as_str() {
                Some(next) => next.clone_into(&mut cursor),
                None => {
                    assert_eq!(page, all.len().div_ceil(3), "{list}");
                    break;
                }
            }
        }
        assert_eq!(read, all, "{list}");
        for wrong in ["limit=0", "limit=201", "cursor=nonsense", "page=2"] {
            server.get(&format!("{path}?{wrong}"), &admin).await.expect(400);
        }
    }
}

/// A run in which every step remarked two things, has a summary and counted tests, and as many artifacts.
async fn a_run_with_findings(server: &TestServer, admin: &str) -> RunId {
    server.project("default").await;
    let steps: Vec<String> = (0..STEPS).map(|number| format!("{{ run: echo {number} }}")).collect();
    let all = steps.join(", ");
    let source = format!("version: \"1\"\nname: web\nstages:\n  build:\n    environment: host\n    steps: [{all}]\n");
    let made = server.post("/api/v1/pipelines", admin, &json!({ "source": source })).await.expect(201).json();
    let runs = format!("/api/v1/pipelines/{}/runs", made["id"].as_str().unwrap());
    let run = server.post(&runs, admin, &json!({})).await.expect(201).json();
    let run: RunId = run["id"].as_str().unwrap().parse().unwrap();
    let mut found = 0;
    for _ in 0..1_800 {
        found = server.store.jobs(run).await.unwrap().len();
        if found > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(found, 1, "the run has no job after 90 s");
    let mut batch = WriteBatch::default();
    for step in 0..STEPS {
        batch.step(step_with_findings(AttemptId { run, job: JobIndex(0), number: 1 }, step, server.now()));
        keep_artifact(server, run, step);
    }
    let mut transaction = server.store.begin().await.unwrap();
    transaction.write(&batch).await.unwrap();
    transaction.commit().await.unwrap();
    run
}

fn step_with_findings(attempt: AttemptId, step: u32, now: Timestamp) -> StepRow {
    let annotation = |line| Annotation {
        file: Some("main.rs".to_owned()),
        line: Some(line),
        severity: Severity::Notice,
        message: format!("step {step}, line {line}"),
    };
    let outputs = Map::from_iter([("tests".to_owned(), json!(step)), ("failed".to_owned(), json!(0))]);
    let record = StepRecord {
        outputs,
        annotations: vec![annotation(1), annotation(2)],
        summary: format!("summary {step}"),
        ..StepRecord::of_end(Status::Success, now, now)
    };
    StepRow {
        attempt,
        step: StepIndex(step),
        name: format!("step {step}"),
        status: Status::Success,
        reason: None,
        try_number: 1,
        started_at: now,
        ended_at: Some(now),
        record: Some(Box::new(record)),
    }
}

/// Keeps an artifact without files, as an agent does.
fn keep_artifact(server: &TestServer, run: RunId, number: u32) {
    let folder = server.blobs.join("artifacts").join(run.to_string());
    fs::create_dir_all(&folder).unwrap();
    let name = format!("files-{number}");
    let entry = json!({
        "name": name, "run": run, "job": "build",
        "saved_at": server.now(), "expires_at": server.now().plus_millis(1_000_000),
        "files": 0, "size": 0, "stored": 0, "digest": format!("sha256:{}", "0".repeat(64)), "archive_bytes": 0, "chunks": [],
    });
    fs::write(folder.join(format!("{name}.json")), entry.to_string()).unwrap();
}
