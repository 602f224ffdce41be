//! Runs of a git repository: started, watched, looked at and repeated.

use std::fs;

use super::{Served, id, json, says};
use crate::oxide::Project;

const PIPELINE: &str = r#"
version: "1"
name: shop
stages:
  report:
    environment: host
    steps:
      - uses: oxide/checkout@1
      - name: read the report
        uses: oxide/junit@1
        with: { files: [report.xml], fail_on_failure: false }
  test:
    depends_on: [report]
    environment: host
    steps:
      - uses: oxide/checkout@1
      - name: spend
        run: echo "it is $TOKEN" && test "$TOKEN" = s3cret-value
        secrets: [TOKEN]
      - name: check
        run: sh check.sh
"#;

const REPORT: &str = r#"<testsuite name="pytest">
<testcase classname="tests.test_sum" name="test_sum" time="0.001">
<failure message="assert 1 + 1 == 3">tests/test_sum.py:5: AssertionError</failure></testcase>
<testcase classname="tests.test_sum" name="test_zero" time="0.020"/>
</testsuite>
"#;

/// What the report leaves for people.
const SUMMARY: &str = "\n  ### ❌ 2 tests: 1 passed, 1 failed";
const ANNOTATION: &str = "\n  tests/test_sum.py:5 error: tests.test_sum › test_sum failed: assert 1 + 1 == 3\n";

/// Makes the project a repository, whose branch `broken` fails. Answers with its address.
fn repository(project: &Project) -> String {
    fs::write(project.path("oxide.yaml"), PIPELINE).unwrap();
    fs::write(project.path("report.xml"), REPORT).unwrap();
    project.shell(
        "mkdir tests && echo > tests/test_sum.py && echo 'echo all is well' > check.sh
         git init -q -b main . && git add report.xml tests check.sh && git commit -q -m 'a shop'
         git checkout -q -b broken && echo 'echo on the branch; exit 3' > check.sh && git commit -q -a -m 'break it'
         git checkout -q main",
    );
    project.path("").display().to_string()
}

#[test]
fn a_run_of_a_repository_is_started_watched_and_repeated() {
    let served = Served::signed_in();
    let repository = repository(&served.project);
    says(&served.refusal(2, &["run", "--remote"]), &["has no pipeline `shop`", "`oxide run --remote --upload`"]);
    served.keep_secret("TOKEN", "a-wrong-value");

    let first = ["run", "--remote", "--upload", "--repository", &repository, "--watch"];
    let first = served.oxide(&first).expect(1);
    says(&first.stdout, &["report › read the report\n", SUMMARY, ANNOTATION, "test › spend\n", "\n  it is ***\n"]);
    assert!(first.stdout.ends_with("\n  the command ended with exit code 1\n"), "{}", first.stdout);
    let end = "shop#1 failure: stage `test` failed: step `spend` failed";
    says(&first.stderr, &[&format!("shop#1 is on its way on {}", served.url), end]);

    served.keep_secret("TOKEN", "s3cret-value");
    let listed = served.oxide(&["secrets", "list"]).expect(0).stdout;
    assert!(listed.starts_with("TOKEN ") && listed.contains(" project "), "{listed}");
    let second = served.oxide(&["retry", "--failed", "shop#1", "--json"]).expect(0);
    let (second, of) = (id(&second), json(&second)["retry_of"].as_str().unwrap().to_owned());
    let shown = served.followed(&second, 0);
    says(&shown.stdout, &["test › spend\n", "\n  it is ***\n", "\n  all is well\n"]);
    assert!(!shown.stdout.contains("read the report"), "what went well is kept: {}", shown.stdout);
    assert!(shown.stderr.ends_with("success\n"), "{}", shown.stderr);

    a_branch_is_waited_for(&served);
    runs_and_logs_are_shown(&served, [&of, &second]);

    let told = served.oxide(&["retry", "shop#2"]).expect(0).stdout;
    let fourth = told.strip_prefix("shop#4 is on its way: `oxide logs -f ").unwrap_or_else(|| panic!("{told}"));
    let shown = served.followed(fourth.trim_end().trim_end_matches('`'), 0).stdout;
    says(&shown, &[SUMMARY, ANNOTATION, "\n  all is well\n"]);

    mistakes_are_told(&served, &second);
    let forgotten = served.oxide(&["secrets", "delete", "TOKEN"]).expect(0).stdout;
    assert_eq!(forgotten, "TOKEN is forgotten\n");
    says(&served.oxide(&["secrets", "list"]).expect(0).stdout, &["there are no secrets"]);
    says(&served.refusal(4, &["secrets", "delete", "TOKEN"]), &["no secret `TOKEN`", "`oxide secrets list`"]);
}

/// Without its log, what failed and what the steps left is told all the same.
fn a_branch_is_waited_for(served: &Served) {
    let ended = served.oxide(&["run", "--remote", "--branch", "broken", "--wait"]).expect(1);
    says(&ended.stdout, &["report › read the report\n", ANNOTATION]);
    assert!(ended.stdout.ends_with("test › check\n  the command ended with exit code 3\n"), "{}", ended.stdout);
    assert!(!ended.stdout.contains("###") && !ended.stdout.contains("on the branch"), "{}", ended.stdout);
    says(&ended.stderr, &["shop#3 failure: stage `test` failed: step `check` failed"]);
}

fn runs_and_logs_are_shown(served: &Served, [first, second]: [&str; 2]) {
    let runs = served.oxide(&["runs", "--remote"]).expect(0).stdout;
    let numbers: Vec<&str> = runs.split_whitespace().filter(|word| word.starts_with("shop#")).collect();
    assert_eq!(numbers, ["shop#3", "shop#2", "shop#1"], "{runs}");
    let runs = json(&served.oxide(&["runs", "--remote", "--json", "--limit", "3"]).expect(0));
    assert_eq!([&runs[1]["id"], &runs[2]["id"]], [second, first]);
    assert_eq!([&runs[0]["git"]["branch"], &runs[1]["git"]["branch"]], ["broken", "main"]);

    let plain = served.oxide(&["logs", "shop#3", "--remote", "--plain"]).expect(0).stdout;
    assert_eq!(plain, served.text(runs[0]["id"].as_str().unwrap()));
    says(&plain, &["it is ***\n", "on the branch\n"]);
    let shown = served.oxide(&["logs", "--remote"]).expect(0).stdout;
    says(&shown, &["\n  on the branch\n", SUMMARY, ANNOTATION, "\n  the command ended with exit code 3\n"]);
    let part = served.oxide(&["logs", "--remote", "--job", "test"]).expect(0).stdout;
    assert!(part.contains("exit code 3") && !part.contains("###"), "{part}");
}

fn mistakes_are_told(served: &Served, succeeded: &str) {
    let stranger = "019aa7f0-0000-7000-8000-000000000001";
    let listed = "`oxide runs --remote` lists";
    for command in ["logs", "cancel", "retry"] {
        let remote: &[&str] = if command == "logs" { &["--remote"] } else { &[] };
        let refusal = |code, run| served.refusal(code, &[&[command, run][..], remote].concat());
        says(&refusal(2, "nonsense"), &["there is no run `nonsense`", listed]);
        says(&refusal(2, "shop#99"), &["there is no run `shop#99`", listed]);
        says(&refusal(2, &succeeded[..4]), &["may be any of: ", "(shop#4), ", "(shop#1)", "write more of the id"]);
        says(&refusal(4, stranger), &[&format!("there is no run `{stranger}`"), listed]);
    }
    let nothing = served.refusal(4, &["retry", "--failed", succeeded]);
    says(&nothing, &[&format!("nothing of run {succeeded} failed"), &format!("`oxide retry {succeeded}`")]);
    let nowhere = served.oxide(&["run", "--remote", "--branch", "nowhere"]).expect(4).stderr;
    says(&nowhere, &["has no branch `nowhere`"]);
}
