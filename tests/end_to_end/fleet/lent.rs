//! What a server lends: its plugin registry to whatever runs its jobs, its machine to nobody until its operator says so.

use oxide_core::{
    api::{page::Page, plugin::UsedPlugin},
    outcome::Status,
};

use super::deployment::{Fleet, Shape};
use crate::oxide::{Ended, Project};

#[test]
fn a_plugin_of_the_server_runs_on_another_machine_without_an_account_there() {
    let mut fleet = Fleet::of_servers(Shape::Sqlite, &[]);
    fleet.join("agent", None);
    fleet.wait_for_agents(1);
    let address = fleet.server_address(0).to_string();
    let reference = format!("{address}/default/noop:1.0.0");
    // A user without Docker.
    let mut project = Project::new();
    for (variable, folder) in [("DOCKER_CONFIG", "docker"), ("OXIDE_CONFIG_DIR", "settings")] {
        let folder = project.path(folder);
        project.set(variable, folder.to_str().unwrap());
    }
    let arguments = ["plugin", "push", "plugins/noop.wasm", &reference, "--json"];
    let stranger = project.oxide(&arguments);
    assert_ne!(stranger.code, 0, "who shows no token pushes nothing: {}", stranger.stdout);
    assert!(stranger.stderr.contains("`oxide login URL`"), "{}", stranger.stderr);
    let url = format!("http://{address}");
    let mut login = project.command(&["login", &url]);
    Ended::of(login.env("OXIDE_TOKEN", fleet.token()).output().unwrap()).expect(0);
    let pushed: serde_json::Value = serde_json::from_str(&project.oxide(&arguments).expect(0).stdout).unwrap();
    let shown = project.oxide(&["plugin", "inspect", &reference]).expect(0).stdout;
    assert!(shown.contains("noop"), "{shown}");

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
    fleet.wait_for("the reason to wait", || {
        let job = fleet.details(run).stages.remove(0).jobs.remove(0);
        assert_eq!(job.status, Status::Queued, "{:?}", job.reason);
        job.reason.is_some_and(|reason| reason.contains("host"))
    });
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
