//! Servers of one database that listen on all addresses of their machine, behind one name for all of them.

use std::time::{Duration, Instant};

use oxide_client::ClientError;
use oxide_core::{
    api::run::{CancelRun, NewRun, Run},
    id::PipelineId,
    outcome::Status,
};

use super::deployment::{Fleet, Shape};

const LONG: &str =
    "version: \"1\"\nname: long\nstages:\n  a:\n    environment: host\n    steps: [{ run: sleep 300 }]\n";

/// Starts a run by asking this server, whoever leads.
fn start(fleet: &Fleet, index: usize, pipeline: PipelineId) -> Result<Run, ClientError> {
    fleet.runtime.block_on(fleet.client(index).start_run(pipeline, &NewRun::default()))
}

/// Nobody is at the shared address (RFC 5737): the servers reach each other at addresses of their own, found by themselves.
#[test]
fn servers_with_one_shared_address_reach_their_leader() {
    if !Shape::Postgres.is_available() {
        return;
    }
    let mut fleet = Fleet::of_servers(Shape::Postgres, &[("OXIDE_SERVER_URL", "http://198.51.100.1")]);
    fleet.servers.iter_mut().for_each(|server| server.stop());
    for index in 0..fleet.servers.len() {
        let everywhere = format!("0.0.0.0:{}", fleet.server_address(index).port());
        fleet.servers[index].set_option("--listen", &everywhere);
        fleet.servers[index].start();
    }
    for index in 0..fleet.servers.len() {
        fleet.wait_until_ready(index);
    }
    fleet.join("agent-0", None);
    fleet.wait_for_agents(1);
    let pipeline = fleet.pipeline(LONG);
    // One of them follows: it passes on the start of one run, and the cancellation of the other.
    for (starts, cancels) in [(0, 1), (1, 0)] {
        let run = start(&fleet, starts, pipeline).unwrap_or_else(|error| panic!("{error:?}\n{}", fleet.logs())).id;
        fleet.wait_for("the run to begin", || fleet.details(run).about.status == Status::Running);
        let cancelled = fleet.runtime.block_on(fleet.client(cancels).cancel_run(run, &CancelRun::default()));
        cancelled.unwrap_or_else(|error| panic!("{error:?}\n{}", fleet.logs()));
        assert_eq!(fleet.ended(run).about.status, Status::Cancelled, "{}", fleet.logs());
    }
}

/// The follower does not try for ever: whoever asked it hears within seconds what is wrong. The leader works as always.
#[test]
fn a_leader_with_a_wrong_address_is_named_to_who_asks() {
    if !Shape::Postgres.is_available() {
        return;
    }
    let wrong = "http://127.0.0.1:1";
    let fleet = Fleet::of_servers(Shape::Postgres, &[("OXIDE_SERVER_CLUSTER_URL", wrong)]);
    let pipeline = fleet.pipeline(LONG);
    let began = Instant::now();
    let asked: Vec<_> = (0..fleet.servers.len()).map(|index| start(&fleet, index, pipeline)).collect();
    assert!(began.elapsed() < Duration::from_secs(120), "asking two servers took {:?}", began.elapsed());
    let told: Vec<&ClientError> = asked.iter().filter_map(|answer| answer.as_ref().err()).collect();
    let [told] = told[..] else { panic!("one of two servers leads: {asked:?}\n{}", fleet.logs()) };
    assert!(told.is_passing() && told.to_string().contains(wrong), "{told:?}");
    assert!(format!("{told:?}").contains("`cluster_url`"), "{told:?}");
}
