//! Steps that do nothing, through the server, beside the same run without one.

use std::{
    fs,
    process::{Command, Stdio},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};

use crate::{row, server::BenchServer};

/// Jobs of a run, all at once.
const JOBS: usize = 2;
/// Steps of each job.
const STEPS: usize = 1_500;
const RUNS: usize = 3;

/// The plugin comes from the server's own registry, as plugins do.
pub async fn measure(server: &BenchServer, plugin: &str) {
    let account = BASE64_STANDARD.encode(format!("token:{}", server.token));
    server.file("config.json", &format!(r#"{{"auths": {{"{}": {{"auth": "{account}"}}}}}}"#, server.address));
    let reference = format!("{}/default/noop:1.0.0", server.address);
    let file = fs::canonicalize(plugin).unwrap().display().to_string();
    oxide(server, &["plugin", "push", &file, &reference]);
    let pipeline = server.pipeline(text(&reference)).await;
    // The first one compiles.
    server.ended(server.run(pipeline).await).await;
    let mut rates = Vec::new();
    for _ in 0..RUNS {
        let details = server.ended(server.run(pipeline).await).await;
        rates.push(rate(details.about.duration_ms.unwrap()));
    }
    let served = median(rates);
    let local = median((0..RUNS + 1).map(|_| locally(server, plugin)).skip(1).collect());
    let (ours, floor) = (format!("{served:.0} a second"), format!("`oxide run`: {local:.0} a second"));
    row("no-op steps through the server, all stored", ours, floor, Some(served / local), "≥ 1,000", served >= 1000.0);
}

fn text(reference: &str) -> String {
    let steps = format!("      - uses: {reference}\n").repeat(STEPS);
    let cells: Vec<String> = (0..JOBS).map(|cell| cell.to_string()).collect();
    let head = "version: \"1\"\nname: noop\nstages:\n  a:\n    environment: host\n    matrix: { cell: [";
    format!("{head}{}] }}\n    steps:\n{steps}", cells.join(", "))
}

/// The same without a server.
fn locally(server: &BenchServer, plugin: &str) -> f64 {
    let project = server.folder().join("local");
    fs::create_dir_all(&project).unwrap();
    fs::write(project.join("oxide.yaml"), text("./noop.wasm")).unwrap();
    fs::copy(plugin, project.join("noop.wasm")).unwrap();
    let project = project.display().to_string();
    oxide(server, &["run", &project]);
    let runs: serde_json::Value = serde_json::from_str(&oxide(server, &["runs", "--json", "--limit", "1"])).unwrap();
    rate(runs[0]["duration_ms"].as_u64().unwrap())
}

fn rate(millis: u64) -> f64 {
    (JOBS * STEPS) as f64 * 1e3 / millis as f64
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

/// Runs the program, which must succeed; what it prints.
fn oxide(server: &BenchServer, arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_oxide"))
        .args(arguments)
        .current_dir(server.folder())
        .env("DOCKER_CONFIG", server.folder())
        .env("OXIDE_DATA_DIR", server.folder().join("local-data"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
