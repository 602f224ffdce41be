//! People decide: which stages begin, which runs end, and which machines take part.

use oxide_core::outcome::Status;

use super::{Served, json, says};
use crate::fleet::process::Process;

const DEPLOY: &str = r#"
version: "1"
name: deploy
stages:
  release:
    approval: { timeout: 10m }
    environment: host
    steps: [{ run: echo released }]
"#;

const HELLO: &str = r#"
version: "1"
name: hello
stages:
  one:
    environment: host
    steps: [{ run: echo hello }]
"#;

pub(super) const SLOW: &str = r#"
version: "1"
name: slow
stages:
  one:
    environment: host
    steps: [{ run: "echo begun; sleep 600" }]
"#;

#[test]
fn a_stage_waits_for_people_and_a_run_ends_when_they_say_so() {
    let served = Served::signed_in();
    assert_eq!(served.oxide(&["approvals", "list"]).expect(0).stdout, "nothing waits for people\n");
    let run = served.begin("deploy.yaml", DEPLOY);
    let approval = asked(&served);
    let waiting = format!("{approval}  waiting   deploy › release  0 of 1 from role:maintainer, until ");
    says(&served.oxide(&["approvals", "list"]).expect(0).stdout, &[&waiting]);
    let none = served.refusal(2, &["approvals", "approve", "ffff"]);
    says(&none, &["no approval that waits begins with `ffff`", "`oxide approvals list`"]);
    let approved = served.oxide(&["approvals", "approve", &approval[..13], "--comment", "fine"]).expect(0).stdout;
    says(&approved, &[&approval, "approved", "1 of 1"]);
    says(&served.followed(&run, 0).stdout, &["\n  released\n"]);

    let run = served.begin("deploy.yaml", DEPLOY);
    let approval = asked(&served);
    let rejected = served.oxide(&["approvals", "reject", &approval, "--comment", "not on a Friday"]).expect(0).stdout;
    says(&rejected, &["rejected", "0 of 1"]);
    says(&served.followed(&run, 1).stderr, &["failure: ", "rejected by admin: not on a Friday"]);
    let late = served.oxide(&["approvals", "approve", &approval]).expect(4).stderr;
    says(&late, &[&format!("the approval {approval} has ended: it is rejected")]);
    let all = json(&served.oxide(&["approvals", "list", "--all", "--json"]).expect(0));
    assert_eq!(all.as_array().unwrap().len(), 2);

    let slow = served.begin("slow.yaml", SLOW);
    served.wait_for("the job to begin", || served.text(&slow).contains("begun"));
    let cancelled = served.oxide(&["cancel", "slow#1", "--reason", "enough"]).expect(0).stdout;
    // It may have ended by then.
    says(&cancelled, &["slow#1 ", "cancelled"]);
    says(&served.followed(&slow, 130).stderr, &["cancelled: cancelled by admin: enough"]);
}

/// The id of the only approval that waits, once it does.
fn asked(served: &Served) -> String {
    let mut waiting = serde_json::Value::Null;
    served.wait_for("somebody to be asked", || {
        waiting = json(&served.oxide(&["approvals", "list", "--json"]).expect(0));
        waiting.as_array().is_some_and(|approvals| approvals.len() == 1)
    });
    waiting[0]["id"].as_str().unwrap().to_owned()
}

#[test]
fn agents_are_drained_joined_and_removed() {
    let served = Served::signed_in();
    served.wait_for("the agent of the server", || online(&served).len() == 1);
    let own = online(&served).remove(0);
    let drained = served.oxide(&["agents", "drain", &own]).expect(0).stdout;
    assert_eq!(drained, format!("{own} finishes its jobs and takes no more; `--undo` gives it jobs again\n"));
    let run = served.begin("hello.yaml", HELLO);
    let job = || served.details(&run).stages.remove(0).jobs.remove(0);
    let reason = format!("agent `{own}` drains");
    served.wait_for("the reason to wait", || {
        let job = job();
        assert_eq!(job.status, Status::Queued, "{:?}", job.reason);
        job.reason.as_ref() == Some(&reason)
    });
    let undone = served.oxide(&["agents", "drain", "--undo", &own]).expect(0).stdout;
    assert_eq!(undone, format!("{own} takes jobs again\n"));
    says(&served.followed(&run, 0).stdout, &["\n  hello\n"]);

    let token = served.oxide(&["agents", "token", "--name", "a spare machine", "--labels", "gpu"]).expect(0);
    says(&token.stderr, &["for one agent, until ", &format!("oxide agent --server {} --token …", served.url)]);
    let token = token.stdout.trim().to_owned();
    assert!(token.starts_with("oxide_reg_"), "{token}");
    let data = served.path("spare").display().to_string();
    let arguments = ["agent", "--server", &served.url, "--name", "spare", "--data-dir", &data].map(str::to_owned);
    let environment = vec![("OXIDE_AGENT_TOKEN".to_owned(), token)];
    let mut spare = Process::new(served.folder.path(), "spare", arguments.to_vec(), environment);
    spare.start();
    served.wait_for("another agent", || online(&served).iter().any(|name| name == "spare"));
    let listed = served.oxide(&["agents", "list"]).expect(0).stdout;
    says(listed.lines().find(|line| line.contains(" spare ")).unwrap(), &["[gpu]", " slots "]);

    let removed = served.oxide(&["agents", "remove", "spare"]).expect(0).stdout;
    assert_eq!(removed, format!("spare is no agent of {} any more\n", served.url));
    assert_eq!(online(&served), [own]);
    let gone = served.refusal(2, &["agents", "remove", "spare"]);
    says(&gone, &["there is no agent `spare`", "`oxide agents list`"]);
}

/// The names of the agents that are there.
fn online(served: &Served) -> Vec<String> {
    let agents = json(&served.oxide(&["agents", "list", "--json"]).expect(0));
    let there = agents.as_array().unwrap().iter().filter(|agent| agent["status"] != "offline");
    there.map(|agent| agent["name"].as_str().unwrap().to_owned()).collect()
}
