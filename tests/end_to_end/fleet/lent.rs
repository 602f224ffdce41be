//! What a server lends: its plugin registry to whatever runs its jobs, its machine to nobody until its operator says so.

use oxide_core::{
    api::{page::Page, plugin::UsedPlugin},
    outcome::Status,
};

use super::deployment::{Fleet, Shape};
use crate::{oxide::Project, registry::Registry};

#[test]
fn a_plugin_of_the_server_runs_on_another_machine_without_an_account_there() {
    let mut fleet = Fleet::of_servers(Shape::Sqlite, &[]);
    fleet.join("agent", None);
    fleet.wait_for_agents(1);
    let address = fleet.server_address(0).to_string();
    let reference = format!("{address}/default/noop:1.0.0");
    let mut project = Project::new();
    let arguments = ["plugin", "push", "plugins/noop.wasm", &reference, "--json"];
    let stranger = project.oxide(&arguments);
    assert_ne!(stranger.code, 0, "who shows no token pushes nothing: {}", stranger.stdout);
    let password = fleet.token().to_owned();
    let registry = Registry { address: address.clone(), username: "ada".to_owned(), password };
    registry.let_in(&mut project, &[&address], &registry.password);
    let pushed: serde_json::Value = serde_json::from_str(&project.oxide(&arguments).expect(0).stdout).unwrap();

    let source = format!(
        "version: \"1\"\nname: own\nstages:\n  one:\n    environment: host\n    steps:\n      - uses: {reference}\n"
    );
    let run = fleet.run(fleet.pipeline(&source));
    let details = fleet.ended(run);
    assert_eq!(details.about.status, Status::Success, "{:?}\n{}", details.about.reason, fleet.logs());
    let used = plugins(&fleet);
    let used: Vec<_> = used.iter().map(|plugin| (&*plugin.reference, &*plugin.digest, plugin.uses)).collect();
    assert_eq!(used, [(&*reference, pushed["component"].as_str().unwrap(), 1)]);
}

#[test]
fn a_server_that_others_reach_lends_its_machine_only_if_its_operator_says_so() {
    // As one behind a proxy of its own machine.
    let settings = [("OXIDE_SERVER_AGENT_ENABLED", "true"), ("OXIDE_SERVER_TRUSTED_PROXIES", "127.0.0.1")];
    let mut fleet = Fleet::of_servers(Shape::Sqlite, &settings);
    fleet.wait_for_agents(1);
    let steps = "steps:\n      - run: echo here";
    let source = format!("version: \"1\"\nname: host\nstages:\n  one:\n    environment: host\n    {steps}\n");
    let run = fleet.run(fleet.pipeline(&source));
    fleet.wait_for("a reason to wait", || fleet.details(run).stages[0].jobs[0].reason.is_some());
    let job = fleet.details(run).stages.remove(0).jobs.remove(0);
    let reason = job.reason.unwrap();
    assert!(job.status == Status::Queued && reason.contains("host"), "{:?}: {reason}", job.status);
    assert!(fleet.logs().contains("agent.host_jobs = true"), "{}", fleet.logs());

    fleet.servers[0].stop();
    fleet.servers[0].set("OXIDE_SERVER_AGENT_HOST_JOBS", "true");
    fleet.servers[0].start();
    assert_eq!(fleet.ended(run).about.status, Status::Success, "{}", fleet.logs());
    assert_eq!(fleet.lines(run, 1), ["here"]);
}

/// The plugins that runs have used.
fn plugins(fleet: &Fleet) -> Vec<UsedPlugin> {
    let url = format!("http://{}/api/v1/plugins", fleet.server_address(0));
    let answer = fleet.runtime.block_on(async {
        reqwest::Client::new().get(url).bearer_auth(fleet.token()).send().await.unwrap().text().await.unwrap()
    });
    serde_json::from_str::<Page<UsedPlugin>>(&answer).unwrap_or_else(|error| panic!("{error}: {answer}")).items
}
