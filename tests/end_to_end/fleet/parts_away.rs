//! The database or the bus is away for a while.

use std::{
    thread,
    time::{Duration, Instant},
};

use async_nats::jetstream::{self, consumer::pull::OrderedConfig};
use futures_util::StreamExt as _;
use oxide_core::{
    event::{EventKind, NumberedEvent},
    id::RunId,
    outcome::Status,
};

use super::{
    counter::Counter,
    deployment::{Fleet, Shape},
    postgres::Postgres,
    process::Process,
};
use crate::oxide::free_port;

/// How long NATS is away.
const AWAY: Duration = Duration::from_secs(60);

/// NATS never was there: the server says where it should be, serves, and does not wait for it in the end.
#[test]
fn nats_never_comes() {
    let folder = tempfile::tempdir().unwrap();
    let (listen, data) = (format!("127.0.0.1:{}", free_port()), folder.path().join("data").display().to_string());
    let nats = format!("nats://127.0.0.1:{}", free_port());
    let arguments = ["server", "--listen", &listen, "--data-dir", &data, "--no-agent", "--nats", &nats];
    let mut server = Process::new(folder.path(), "server", arguments.map(str::to_owned).to_vec(), Vec::new());
    server.start();
    let deadline = Instant::now() + Duration::from_secs(60);
    while server.setup_code().is_none() || !server.log().contains("no connection to NATS") {
        assert!(Instant::now() < deadline, "{}", server.tail());
        thread::sleep(Duration::from_millis(50));
    }
    let begun = Instant::now();
    server.stop();
    assert!(begun.elapsed() < Duration::from_secs(5), "it took {:?} to end\n{}", begun.elapsed(), server.tail());
    let log = server.log();
    assert!(log.contains(&nats) && !log.contains("client error"), "{log}");
}

/// All connections to PostgreSQL are cut and no new ones can be made for some seconds: leadership is lost and won again.
#[test]
fn the_database_cannot_be_reached() {
    if !Shape::Postgres.is_available() {
        return;
    }
    let fleet = Fleet::start(Shape::Postgres);
    let (counter, text) = Counter::new(fleet.folder(), 150, "0.05");
    let pipeline = fleet.pipeline(&text);
    let run = fleet.run(pipeline);
    counter.wait_until(&fleet, 20);
    let gate = fleet.database_gate.as_ref().unwrap();
    gate.shut();
    thread::sleep(Duration::from_secs(5));
    gate.open();
    let kept = counter.nothing_is_lost(&fleet, run);
    assert_eq!(kept.attempts, 1, "the attempt was given up although its agent lived");
    fleet.says("the database cannot be reached for 5 s", &kept);
}

/// PostgreSQL ends at once, as in a crash, and recovers what it had promised to keep.
#[test]
fn the_database_restarts() {
    let Some(mut database) = Postgres::of_tests() else { return };
    let fleet = Fleet::on_database(database.url());
    let (counter, text) = Counter::new(fleet.folder(), 200, "0.05");
    let pipeline = fleet.pipeline(&text);
    let run = fleet.run(pipeline);
    for number in [20, 80] {
        counter.wait_until(&fleet, number);
        database.end_at_once();
        thread::sleep(Duration::from_secs(1));
        database.begin();
    }
    let kept = counter.nothing_is_lost(&fleet, run);
    assert_eq!(kept.attempts, 1, "the attempt was given up although its agent lived");
    fleet.says("the database crashes and recovers, twice", &kept);
}

/// Runs of agents that speak HTTPS go on; the agent that speaks by NATS cannot be heard, and its run is done all the same. The
/// stream of events has all of them afterwards.
#[test]
fn nats_is_down_for_a_minute() {
    if !Shape::Postgres.is_available() {
        return;
    }
    let mut fleet = Fleet::start(Shape::Postgres);
    let of = |carrier: &str| format!("environment: host\n    runs_on: [{carrier}]");
    let (by_nats, text) = Counter::of_stage(&of("nats"), &fleet.folder_for("by-nats"), 650, "0.1");
    let cut_off = fleet.run(fleet.pipeline(&text));
    by_nats.wait_until(&fleet, 10);

    fleet.nats.as_mut().unwrap().end();
    let began = Instant::now();
    let (by_https, text) = Counter::of_stage(&of("https"), &fleet.folder_for("by-https"), 100, "0.05");
    let beside = fleet.run(fleet.pipeline(&text.replace("name: counter", "name: beside")));
    fleet.wait_for("a server to say that it lacks the bus", || {
        (0..fleet.servers.len()).any(|index| fleet.lacks(index).contains(&"bus".to_owned()))
    });
    let kept_beside = by_https.nothing_is_lost(&fleet, beside);
    assert_eq!(kept_beside.attempts, 1);
    thread::sleep(AWAY.saturating_sub(began.elapsed()));
    let seconds = began.elapsed().as_secs();
    fleet.nats.as_mut().unwrap().begin();

    // Its lease is lost before NATS is back.
    fleet.wait_for("a second attempt to come far", || {
        by_nats.counted().get(1).is_some_and(|counted| *counted >= 300)
            || fleet.details(cut_off).about.status.is_final()
    });
    let kept = by_nats.nothing_is_lost(&fleet, cut_off);
    assert!(kept.attempts <= 2, "{} attempts", kept.attempts);
    let (again, text) = Counter::of_stage(&of("nats"), &fleet.folder_for("again"), 5, "0.05");
    let last = fleet.run(fleet.pipeline(&text.replace("name: counter", "name: again")));
    assert_eq!(again.nothing_is_lost(&fleet, last).attempts, 1);
    fleet.wait_for("all servers to have their bus again", || {
        (0..fleet.servers.len()).all(|index| !fleet.lacks(index).contains(&"bus".to_owned()))
    });

    let url = fleet.nats.as_ref().unwrap().url();
    let mut published = Vec::new();
    fleet.wait_for("the last event in the stream", || {
        // One that is just back may not answer in time.
        published = fleet.runtime.block_on(stored_events(&url)).unwrap_or_default();
        published.iter().any(|(told, _)| told.event.run == Some(last) && is_end(told))
    });
    let in_order = published.windows(2).all(|pair| pair[0].0.seq < pair[1].0.seq);
    assert!(in_order, "an event is there twice, or too late");
    let mut events = 0;
    for run in [cut_off, beside, last] {
        events += has_all_events(&fleet, run, &published);
    }
    let found = format!(
        "away for {seconds} s; by NATS: {kept}; by HTTPS: {kept_beside}; all {events} events in the stream, each once"
    );
    fleet.tells("NATS is down for a minute", kept.missing + kept_beside.missing, &found);
}

fn is_end(told: &NumberedEvent) -> bool {
    matches!(told.event.kind, EventKind::RunCompleted { .. })
}

/// What was published of a run is what the API tells, up to its end: with the same numbers, by the same subjects. Answers with
/// how much that is.
fn has_all_events(fleet: &Fleet, run: RunId, published: &[(NumberedEvent, String)]) -> usize {
    assert_eq!(fleet.details(run).about.status, Status::Success);
    let told: Vec<_> =
        fleet.events(format!("run.{run}.>"), is_end).into_iter().map(|told| (told.seq, told.event.subject())).collect();
    let end = told.last().unwrap().0;
    let stored: Vec<_> = published
        .iter()
        .filter(|(event, _)| event.event.run == Some(run) && event.seq <= end)
        .map(|(event, subject)| (event.seq, subject.clone()))
        .collect();
    assert_eq!(stored, told);
    told.len()
}

/// All that the stream of events holds, in its order, with the subjects.
async fn stored_events(url: &str) -> Result<Vec<(NumberedEvent, String)>, async_nats::Error> {
    let client = async_nats::connect(url).await?;
    let stream = jetstream::new(client).get_stream("OXIDE_EVENTS").await?;
    let count = usize::try_from(stream.get_info().await?.state.messages)?;
    let consumer = stream.create_consumer(OrderedConfig::default()).await?;
    let messages: Vec<_> = consumer.messages().await?.take(count).collect().await;
    let read = messages.into_iter().map(|message| {
        let message = message?;
        let event: NumberedEvent = serde_json::from_slice(&message.payload).unwrap();
        Ok::<_, async_nats::Error>((event, message.subject.to_string()))
    });
    read.collect()
}
