//! A job that prints at a steady pace, somebody who looks on, and somebody who asks how runs stand meanwhile.

use std::{
    io::{Write as _, stdout},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use oxide_core::{
    api::{log::LogQuery, run::RunQuery},
    id::RunId,
};

use crate::{Times, millis, row, server::BenchServer};

/// The word by which this program is told to print.
pub const PRINT: &str = "--print-lines";
/// Lines a second, for so many seconds.
const PACE: u64 = 100_000;
const SECONDS: u64 = 10;
/// How often a second lines are printed.
const BEATS: u64 = 50;

/// Prints lines at a steady pace, each with its time in microseconds.
pub fn print(pace: u64, seconds: u64) {
    let begin = Instant::now();
    let mut out = stdout().lock();
    for beat in 0..seconds * BEATS {
        let due = Duration::from_micros(beat * 1_000_000 / BEATS);
        std::thread::sleep(due.saturating_sub(begin.elapsed()));
        let now = micros();
        let mut text = String::new();
        (0..pace / BEATS)
            .for_each(|_| text.push_str(&format!("{now} a line of a build, as long as they often are, say\n")));
        out.write_all(text.as_bytes()).unwrap();
        out.flush().unwrap();
    }
}

/// Measures the delay of live lines, and of questions under that load.
pub async fn measure(server: &BenchServer) {
    let program = std::env::current_exe().unwrap().display().to_string();
    let head = "version: \"1\"\nname: lines\nstages:\n  a:\n    environment: host\n    steps:\n";
    let step = format!("      - run: \"{program} {PRINT} {PACE} {SECONDS}\"\n");
    let pipeline = server.pipeline(format!("{head}{step}")).await;
    let run = server.run(pipeline).await;
    let (delays, asked) = tokio::join!(follow(server, run), ask(server, run));
    let details = server.ended(run).await;
    let took = details.about.duration_ms.unwrap() as f64 / 1e3;
    assert_eq!(delays.len() as u64, PACE * SECONDS, "every line came");
    let rate = delays.len() as f64 / took;
    let delays = Times::new(delays);
    let quiet = Times::new(server.round_trips(500).await);
    let what = format!("live delay of {PACE} log lines a second, for {SECONDS} s: p99");
    let floor = format!("p50: {}; {rate:.0} lines a second came", millis(delays.at(0.5)));
    // The start of the job is in its time, too.
    let is_met = delays.at(0.99) < Duration::from_millis(500) && rate > 0.95 * PACE as f64;
    row(&what, millis(delays.at(0.99)), floor, None, "< 500 ms", is_met);
    let asked = Times::new(asked);
    let floor = format!("round trip without load, p99: {}", millis(quiet.at(0.99)));
    let ratio = asked.at(0.99).as_secs_f64() / quiet.at(0.99).as_secs_f64();
    let what = "questions for a run and for a list of runs under that load: p99";
    row(what, millis(asked.at(0.99)), floor, Some(ratio), "< 100 ms", asked.at(0.99) < Duration::from_millis(100));
}

/// The delay of each line, from the job to who follows.
async fn follow(server: &BenchServer, run: RunId) -> Vec<Duration> {
    let mut stream = server.client().follow_logs(run, &LogQuery::default());
    let mut delays = Vec::new();
    while let Some(part) = stream.next().await.unwrap() {
        let oxide_client::LogPart::Lines(lines) = part else { break };
        let now = micros();
        for line in &lines.lines {
            let printed: u64 = line.text.split(' ').next().unwrap().parse().unwrap();
            delays.push(Duration::from_micros(now.saturating_sub(printed)));
        }
    }
    delays
}

/// How long questions take, one after the other, until the run has ended.
async fn ask(server: &BenchServer, run: RunId) -> Vec<Duration> {
    let client = server.client();
    let mut times = Vec::new();
    loop {
        let begin = Instant::now();
        let details = client.run(run).await.unwrap();
        times.push(begin.elapsed());
        if details.about.status.is_final() {
            return times;
        }
        let begin = Instant::now();
        client.runs(&RunQuery::default()).await.unwrap();
        times.push(begin.elapsed());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn micros() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as u64
}
