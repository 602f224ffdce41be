//! What a person is told: mistakes of a pipeline, what a run waits for, which attempt was lost, and where else to look.

use std::fs::{self, File};

use super::{Served, says};

/// Both steps have a wrong input, which only whoever knows the plugin can see.
const WRONG: &str = r#"
version: "1"
name: wrong
stages:
  one:
    environment: host
    steps:
      - uses: oxide/junit@1
        with: { files: [a.xml], fail_on_failur: false }
      - uses: oxide/junit@1
        with: { fils: [a.xml] }
"#;

/// No agent has this label.
const ELSEWHERE: &str = r#"
version: "1"
name: elsewhere
stages:
  one:
    runs_on: [gpuu]
    environment: host
    steps: [{ run: echo here }]
"#;

/// The first attempt waits for the end of its agent.
const LOST: &str = r#"
version: "1"
name: lost
stages:
  one:
    environment: host
    steps:
      - name: work
        run: number="${OXIDE_ATTEMPT##*/}"; echo "this is $number"; test "$number" != 1 || sleep 600
"#;

#[test]
fn all_mistakes_of_a_pipeline_are_told_as_if_it_was_checked_here() {
    let served = Served::signed_in();
    fs::write(served.project.path("wrong.yaml"), WRONG).unwrap();
    let here = served.oxide(&["validate", "wrong.yaml"]).expect(3).stderr;
    says(&here, &["--> wrong.yaml:9:", "--> wrong.yaml:11:", "`fail_on_failur`", "`fils`", "^^^"]);
    let there = served.oxide(&["run", "wrong.yaml", "--remote", "--upload"]).expect(3);
    assert_eq!((there.stderr, there.stdout.as_str()), (here, ""));
}

#[test]
fn a_run_that_waits_says_why_beside_its_log() {
    let served = Served::signed_in();
    let run = served.begin("elsewhere.yaml", ELSEWHERE);
    let (log, errors) = (served.path("followed.out"), served.path("followed.err"));
    let mut follower = served.project.command(&["logs", "--follow", &run]);
    follower.stdout(File::create(&log).unwrap()).stderr(File::create(&errors).unwrap());
    let mut follower = follower.spawn().unwrap();
    let told = || fs::read_to_string(&errors).unwrap();
    served.wait_for("a reason to wait", || told().contains("waiting: no agent with labels [gpuu]"));

    let json = ["run", "elsewhere.yaml", "--remote", "--json", "--watch"];
    says(&served.refusal(2, &json), &["`--json` and `--watch` do not go together", "`oxide logs -f RUN`"]);
    let elsewhere = served.refusal(2, &["logs", &run]);
    says(&elsewhere, &[&format!("there is no run `{run}` on this machine"), &format!("`oxide logs --remote {run}`")]);
    let artifacts = served.refusal(2, &["artifacts", "list", &run]);
    says(&artifacts, &["on this machine", &format!("`curl -sSf {}/api/v1/runs/{run}/artifacts -H ", served.url)]);

    served.oxide(&["cancel", &run]).expect(0);
    assert_eq!(follower.wait().unwrap().code(), Some(130), "{}", told());
    assert_eq!(fs::read_to_string(&log).unwrap(), "", "the reason is not part of the log");
    let told = told();
    let reasons: Vec<&str> = told.lines().filter(|line| line.starts_with("waiting: ")).collect();
    assert!(reasons.windows(2).all(|two| two[0] != two[1]), "each is said once: {told}");
}

#[test]
fn an_attempt_that_was_lost_is_told_by_its_number_where_it_ended() {
    let mut served = Served::signed_in();
    let run = served.begin("lost.yaml", LOST);
    served.wait_for("the first attempt", || served.text(&run).contains("this is 1"));
    served.server.kill();
    served.server.start();
    served.wait_until_ready();
    let shown = served.followed(&run, 0).stdout;
    let (first, second) = shown.split_once("attempt 1 of one was lost: ").unwrap_or_else(|| panic!("{shown}"));
    assert_eq!(first, "one › work\n  this is 1\n");
    let (reason, second) = second.split_once('\n').unwrap();
    assert!(reason.contains("agent"), "{reason}");
    assert_eq!(second, "one › work (attempt 2)\n  this is 2\n");
    assert_eq!(served.oxide(&["logs", "--remote", &run]).expect(0).stdout, shown);
}
