//! The language, on one pipeline that uses all of it and on many that are wrong.

use super::{Action, Pipeline, StageEnvironment, Step, StepItem};
use crate::{access::Role, approval::Approver, limit::Limits, plan::RetryOn, plugin::Capability};

const WHOLE: &str = r#"
version: "1"
name: build
triggers:
  push: { branches: [main, "release/*"], paths: ["src/**"] }
  pull_request: {}
  tag: ["v*"]
  schedule: ["0 3 * * *", { cron: "*/5 8-18 * * 1,3,5", timezone: Europe/Berlin }]
  manual: { inputs: { channel: { type: string, options: [beta, stable], default: beta }, dry: { type: boolean } } }
  upstream: [other-pipeline]
env: { RUST_BACKTRACE: 1, EMPTY: }
concurrency: { group: "build-${{ git.branch }}", limit: 1, cancel_in_progress: true }
timeout: 60m
stages:
  test:
    matrix: { rust: ["1.94", 1.95], os: [debian], n: [1, 2], include: [{ os: fedora }], exclude: [{ n: 2 }], max_parallel: 4 }
    runs_on: linux
    environment: { container: "rust:${{ matrix.rust }}", resources: { cpus: 2, memory: 4GiB, pids: 99 } }
    limits: { fuel: 20e9, memory: 512MiB }
    services:
      db:
        image: "postgres:${{ matrix.n }}"
        env: { POSTGRES_PASSWORD: "${{ secrets.DB }}" }
        healthcheck: { run: pg_isready, interval: 500ms, retries: 9, start_period: 2s }
        resources: { memory: 1GiB }
      queue: { image: nats }
    steps:
      - uses: oxide/checkout@1
      - id: unit
        name: unit tests
        run: cargo test --locked
        shell: bash
        env: { DATABASE_URL: "postgres://db/x" }
        timeout: 20m
        retry: { max_attempts: 2, on: [agent_lost, timeout, { exit_code: [101] }] }
        working_directory: crates
      - uses: ghcr.io/acme/coverage:1.4
        with: { files: ["lcov.info"], minimum: 80 }
        grants: { workspace: read, git: true, environment: false }
        if: ${{ success() && git.branch == 'main' }}
        allow_failure: true
      - parallel: [{ run: ./lint.sh }, { run: ./docs.sh }]
  release:
    depends_on: [test, { stage: extra, optional: true, allow_failure: true }]
    approval: { approvers: ["role:maintainer", "user:ann"], minimum: 2, timeout: 12h }
    environment: host
    steps: [{ run: ./release.sh }]
notifications:
  - uses: oxide/slack@1
    with: { channel: "\#ci" }
    on: [run.failed, run.recovered]
    secrets: [SLACK_WEBHOOK]
"#;

#[test]
fn the_whole_language_is_read() {
    let pipeline =
        Pipeline::parse(&WHOLE.replace("\\#", "#")).unwrap_or_else(|e| panic!("{}", e.render("f", WHOLE, false)));
    assert_eq!((pipeline.name.as_str(), pipeline.timeout_ms), ("build", Some(3_600_000)));
    assert_eq!(pipeline.env[1].1.as_text(), Some(""));
    assert_eq!(pipeline.triggers.schedule.len(), 2);
    assert_eq!(pipeline.triggers.manual.as_ref().unwrap().len(), 2);
    let test = &pipeline.stages[0];
    let matrix = test.matrix.as_ref().unwrap();
    assert_eq!(matrix.axes[0].values, ["1.94", "1.95"]);
    assert_eq!(matrix.axes[2].values, [1, 2]);
    assert!(matrix.fail_fast);
    let Some(StageEnvironment::Container { image, resources }) = &test.environment else { panic!("a container") };
    assert_eq!(image.as_text(), Some("rust:${{ matrix.rust }}"));
    assert_eq!((resources.cpus, resources.memory_bytes, resources.pids), (Some(2.0), Some(4 << 30), Some(99)));
    let release = pipeline.stages[1].approval.as_ref().unwrap();
    assert_eq!((release.approvers.len(), release.minimum, release.timeout_ms), (2, 2, 12 * 3_600_000));
    let db = &test.services[0];
    let check = db.healthcheck.as_ref().unwrap();
    assert_eq!((db.name.as_str(), db.resources.memory_bytes, check.run.as_str()), ("db", Some(1 << 30), "pg_isready"));
    let times = (check.interval_ms, check.timeout_ms, check.retries, check.start_period_ms);
    assert_eq!((times, &test.services[1].healthcheck), ((500, 5000, 9, 2000), &None));
    assert_eq!(test.limits.apply(Limits::default()).memory_bytes, 512 << 20);
    let StepItem::One(unit) = &test.steps[1] else { panic!("one step") };
    assert_eq!(unit.retry.as_ref().unwrap().on[2], RetryOn::ExitCode(vec![101]));
    assert!(matches!(&unit.action, Action::Run { shell: Some(shell), .. } if shell == "bash"));
    let StepItem::One(coverage) = &test.steps[2] else { panic!("one step") };
    assert_eq!(coverage.condition.as_ref().unwrap().expression, "success() && git.branch == 'main'");
    let grants = &coverage.grants.as_ref().unwrap().grants;
    assert!(grants.workspace_read_only && grants.allows(Capability::Git) && !grants.allows(Capability::Environment));
    assert!(matches!(&test.steps[3], StepItem::Parallel(steps) if steps.len() == 2));
    assert!(pipeline.stages[1].depends_on[1].optional);
}

/// The mistakes of a stage `s` with these lines, as `line:column message (hint)`.
fn mistakes(lines: &str) -> Vec<String> {
    let text = format!("version: \"1\"\nname: x\nstages:\n  s:\n{lines}\n");
    Pipeline::parse(&text).expect_err(&text).0.iter().map(ToString::to_string).collect()
}

#[test]
fn every_mistake_is_found_in_one_go() {
    assert_eq!(
        mistakes("    environment: host\n    step: []\n    timeout: 5\n    dependsOn: [a]\n"),
        [
            "6:5: unknown key `step` (did you mean `steps`?)",
            "7:14: `5` is no duration (it needs a unit: `5s` or `5m`)",
            "8:5: unknown key `dependsOn` (did you mean `depends_on`?)",
        ]
    );
}

#[test]
fn wrong_types_say_what_is_expected_and_what_was_found() {
    let of_step = |keys: &str| mistakes(&format!("    environment: host\n    steps: [{{ {keys} }}]")).join("; ");
    assert!(
        of_step("run: x, allow_failure: maybe")
            .contains("`allow_failure` must be `true` or `false`, and this is `maybe`")
    );
    assert!(of_step("run: x, env: [A]").contains("`env` must be a mapping, and this is a list"));
    assert!(of_step("run: [a]").contains("`run` must be a text, and this is a list"));
    assert!(of_step("run: ").contains("`run` must be a text, and this is empty"));
    assert!(of_step("run: x, uses: y").contains("a step has `run` or `uses`, not both"));
    assert!(of_step("name: x").contains("neither `run` nor `uses`"));
    assert!(of_step("run: x, with: { a: b }").contains("`with` belongs to `uses`"));
    assert!(of_step("uses: x, shell: sh").contains("`shell` belongs to `run`"));
    assert!(of_step("uses: x, with: [a]").contains("`with` must be a mapping, and this is a list"));
    assert!(of_step("run: x, retry: { max_attempts: 2 }").contains("does not say for which causes"));
    assert!(of_step("run: x, retry: { max_attempts: 2, on: [failed] }").contains("there is no cause `failed`"));
    assert!(of_step("run: x, limits: { memory: 5 }").contains("`5` is no size (it needs a unit: `5MiB` or `5GiB`)"));
    assert!(of_step("run: x, id: 1a").contains("`1a` cannot be the id of a step"));
    assert!(of_step("run: x, env: { 'A B': x }").contains("`A B` cannot be the name of an environment variable"));
    assert!(of_step("run: x, env: { A: '${{ b' }").contains("has no end"));
    assert!(of_step("run: x, if: '${{ a }} b'").contains("a condition is one expression"));
    assert!(of_step("uses: x, grants: { workspace: true }").contains("must be `read` or `write`"));
    assert!(of_step("uses: x, grants: { cache: true }").contains("must be `read` or `write`"));
    assert!(of_step("uses: x, grants: { artifacts: [a] }").contains("must be `read` or `write`"));
    assert!(of_step("uses: x, grants: { wrokspace: read }").contains("did you mean `workspace`?"));
    assert!(
        of_step("uses: x, grants: { http: ['https://a'] }").contains("`https://a` is not a host: write the host alone")
    );
    assert!(
        of_step("uses: x, grants: { http: codecov.io }")
            .contains("must be a list of hosts, and this is `codecov.io` (write `http: [\"codecov.io\"]`)")
    );
    assert!(of_step("uses: x, grants: { http: true }").contains("and this is `true` (write `http: [example.org]`)"));
    assert!(
        of_step("uses: x, grants: { tcp: [db.example.org] }")
            .contains("`db.example.org` has no port: write `db.example.org:PORT`")
    );
    assert!(
        of_step("uses: x, grants: { tcp: { a: b } }")
            .contains("and this is a mapping (write `tcp: [\"example.org:5432\"]`)")
    );
    assert!(of_step("uses: x, grants: { http: [{ private: true }] }").contains("the granted host has no `host`"));
    assert!(of_step("uses: x, grants: { http: [{ host: a, privat: true }] }").contains("did you mean `private`?"));
    assert!(of_step("uses: x, grants: { secrets: [a-b] }").contains("`a-b` cannot be the name of a secret"));
    assert!(of_step("uses: x, grants: { secrets: true }").contains("the grant `secrets` must be a list"));
    assert!(of_step("run: x, secrets: A").contains("`secrets` must be a list"));
    assert!(of_step("uses: x, grants: { log: true }").contains("every plugin has `log`"));
    assert!(of_step("parallel: [{ parallel: [] }], name: x").contains("`parallel` cannot stand within `parallel`"));
    assert!(of_step("run: a, id: b }, { run: c, id: b").contains("two steps of this stage have the id `b`"));
}

#[test]
fn services_say_what_is_missing_or_too_much() {
    let of_service = |text: &str| {
        mistakes(&format!("    environment: host\n    steps: [{{ run: x }}]\n    services: {{ {text} }}\n")).join(";")
    };
    assert!(of_service("db: { env: {} }").contains("service `db` has no `image` (add `image:"));
    assert!(of_service("db: { image: a, ports: [80] }").contains("a service needs no `ports`"));
    assert!(of_service("db: { image: a, healthcheck: {} }").contains("the health check has no `run`"));
    assert!(
        of_service("db: { image: a, healthcheck: { run: a, retries: 0 } }").contains("`retries` must be 1 to 10000")
    );
    assert!(of_service("db: { image: a, healthcheck: { run: a, timeout: 5 } }").contains("it needs a unit"));
    assert!(of_service("localhost: { image: a }").contains("`localhost` cannot be the name of a service"));
    assert!(of_service("db: { image: a, command: x }").contains("unknown key `command`"));
    assert!(of_service("db: postgres").contains("a service must be a mapping"));
}

/// The steps of stage `s` of a pipeline: names, and ids in brackets.
fn steps_of(pipeline: &str) -> Vec<String> {
    let text = format!("version: \"1\"\nname: x\n{pipeline}");
    let pipeline = Pipeline::parse(&text).unwrap_or_else(|errors| panic!("{}", errors.render("f", &text, false)));
    let shown = |step: &Step| match (&step.action, &step.name, &step.id) {
        (_, Some(name), id) => {
            format!("{}{}", name.as_text().unwrap(), id.as_ref().map_or(String::new(), |id| format!(" [{id}]")))
        }
        (Action::Run { script, .. }, ..) => script.as_text().unwrap().to_owned(),
        (Action::Uses { reference, .. }, ..) => reference.clone(),
    };
    let items = pipeline.stages[0].steps.iter().flat_map(|item| match item {
        StepItem::One(step) => vec![shown(step)],
        StepItem::Parallel(steps) => steps.iter().map(|step| format!("|{}", shown(step))).collect(),
    });
    items.collect()
}

#[test]
fn a_cache_becomes_steps_around_those_of_the_stage_and_behind_its_checkouts() {
    let cache = "{ key: k, paths: target }";
    let steps = "[{ uses: oxide/checkout@1 }, { uses: oxide/checkout@1 }, { run: make }]";
    assert_eq!(
        steps_of(&format!("cache: {cache}\nstages: {{ s: {{ steps: {steps} }} }}\n")),
        ["oxide/checkout@1", "oxide/checkout@1", "restore cache [cache]", "make", "save cache"]
    );
    // That of the stage goes before that of the pipeline, and an empty list is none.
    let of_stage = |own: &str| {
        steps_of(&format!("cache: {cache}\nstages: {{ s: {{ cache: {own}, steps: [{{ run: make }}] }} }}\n"))
    };
    assert_eq!(of_stage("[]"), ["make"]);
    assert_eq!(
        of_stage("[{ key: a, paths: [a] }, { id: npm, key: b, paths: [b] }, { key: c, paths: [c] }]"),
        [
            "restore cache [cache]",
            "restore cache (npm) [npm]",
            "restore cache (cache_3) [cache_3]",
            "make",
            "save cache (cache_3)",
            "save cache (npm)",
            "save cache"
        ],
    );
    let error = mistakes("    cache: { key: k, paths: [a] }\n    steps: [{ run: x, id: cache }]").join("; ");
    assert!(error.contains("a cache of this stage has the id `cache`, and so has a step"), "{error}");
    let error = mistakes("    cache: { key: k, restore-keys: [a] }\n    steps: [{ run: x }]").join("; ");
    assert!(error.contains("did you mean `restore_keys`?") && error.contains("has no `paths`"), "{error}");
}

#[test]
fn artifacts_become_steps_behind_the_step_and_behind_all_that_run_beside_it() {
    let artifact = |name: &str| format!("artifacts: {{ name: {name}, paths: [dist] }}");
    assert_eq!(
        steps_of(&format!(
            "stages: {{ s: {{ steps: [{{ run: a, {} }}, {{ parallel: [{{ run: b, {} }}, {{ run: c }}] }}] }} }}\n",
            artifact("one"),
            artifact("two")
        )),
        ["a", "upload one", "|b", "|c", "upload two"]
    );
    let error = mistakes("    steps: [{ run: x, artifacts: [dist] }]").join("; ");
    assert!(error.contains("write `artifacts: { name: app, paths: [dist] }`"), "{error}");
    let of = |more: &str| {
        mistakes(&format!("    environment: host\n    steps: [{{ run: x, artifacts: {{ paths: [a], {more} }} }}]"))
            .join("; ")
    };
    assert!(of("name: reports/unit").contains("`reports/unit` cannot be the name of an artifact"));
    assert!(of("name: a, retention_days: 0").contains("`retention_days` must be 1 to 400"));
    assert!(of("name: a, retention_days: 401").contains("`retention_days` must be 1 to 400"));
    let error = Pipeline::parse("version: '1'\nname: x\nartifacts: {}\nstages: { s: { steps: [{ run: x }] } }\n");
    assert!(error.unwrap_err().to_string().contains("`artifacts` belongs to a step"));
}

#[test]
fn words_of_other_systems_lead_to_ours() {
    let error = Pipeline::parse("on: push\njobs: {}\n").unwrap_err();
    let shown = error.to_string();
    assert!(shown.contains("what other systems call jobs are `stages` here"), "{shown}");
    assert!(shown.contains("written below `triggers`"), "{shown}");
    assert!(
        mistakes("    image: debian\n    steps: [{ run: x }]").join(";").contains("environment: { container: IMAGE }")
    );
    assert!(
        mistakes("    environment: debian:12\n    steps: [{ run: x }]")
            .join(";")
            .contains("{ container: \"debian:12\" }")
    );
}

#[test]
fn the_top_level_is_checked() {
    let of = |text: &str| Pipeline::parse(text).expect_err(text).to_string();
    assert!(of("name: x\n").contains("no `version`"));
    assert!(of("version: 2\nname: x\nstages: {}\n").contains("version 1 only"));
    assert!(of("[]").contains("a pipeline must be a mapping, and this is a list"));
    let base = "version: \"1\"\nname: x\nstages: { s: { environment: host, steps: [{ run: x }] } }\n";
    assert!(Pipeline::parse(base).is_ok());
    for (more, expected) in [
        ("triggers: { schedule: [\"61 * * * *\"] }", "the minute `61` is not right"),
        ("triggers: { schedule: [\"* * * *\"] }", "it has 4 fields, not 5"),
        ("triggers: { schedule: [\"0 0 31 2 *\"] }", "no day is like that"),
        ("triggers: { schedule: [{ cron: \"0 3 * * *\", timezone: Europe/Berln }] }", "did you mean `Europe/Berlin`?"),
        ("triggers: { schedule: [{ cron: \"0 3 * * *\", timezone: Nowhere }] }", "there is no time zone `Nowhere`"),
        ("triggers: { pusch: {} }", "did you mean `push`?"),
        ("triggers: { manual: { inputs: { a: { type: bool } } } }", "did you mean `boolean`?"),
        ("triggers: { manual: { inputs: { a: { options: [x], default: y } } } }", "must be one of x, and is `y`"),
        ("cache: { key: a }", "the cache has no `paths` (add `paths: [target]`)"),
        ("concurrency: { limit: 1 }", "`concurrency` has no `group`"),
        ("notifications: [{ uses: a, on: [run.faild] }]", "did you mean `run.failed`?"),
        ("env: { OXIDE_X: 1 }", "belongs to Oxide"),
        ("timeout: 0s", "more than nothing"),
    ] {
        let found = of(&format!("{base}{more}\n"));
        assert!(found.contains(expected), "{more}: {found}");
    }
}

#[test]
fn an_approval_is_read_with_what_people_mean() {
    let of = |approval: &str| {
        let stage = format!("{{ environment: host, approval: {approval}, steps: [{{ run: x }}] }}");
        let text = format!("version: \"1\"\nname: x\nstages:\n  s: {stage}\n");
        Pipeline::parse(&text)
            .map(|mut pipeline| pipeline.stages.remove(0).approval.unwrap())
            .map_err(|e| e.to_string())
    };
    let approval = of("{}").unwrap();
    assert_eq!(approval.approvers, [Approver::Role(Role::Maintainer)]);
    assert_eq!((approval.minimum, approval.timeout_ms), (1, 24 * 3_600_000));
    let approval = of("{ approvers: user:ann, timeout: 30m }").unwrap();
    assert_eq!((approval.approvers, approval.timeout_ms), (vec![Approver::User("ann".into())], 1_800_000));
    for (wrong, expected) in [
        ("{ approvers: [maintainer] }", "`maintainer` names no approver (did you mean `role:maintainer`?)"),
        ("{ approvers: [role:maintaner] }", "did you mean `role:maintainer`?"),
        ("{ approvers: [everybody] }", "or `user:NAME`"),
        ("{ approvers: [] }", "names nobody"),
        ("{ approvers: [user:a, user:a] }", "names `user:a` twice"),
        ("{ approvers: [user:a], minimum: 2 }", "2 people must agree, and 1 can"),
        ("{ minimum: 0 }", "must be 1 to 100"),
        ("{ approver: [user:a] }", "did you mean `approvers`?"),
        ("yes", "an approval must be a mapping"),
    ] {
        let found = of(wrong).expect_err(wrong);
        assert!(found.contains(expected), "{wrong}: {found}");
    }
}

#[test]
fn every_environment_is_read() {
    let of = |environment: &str| {
        let text =
            format!("version: \"1\"\nname: x\nstages:\n  s: {{ environment: {environment}, steps: [{{ run: x }}] }}\n");
        let parsed = Pipeline::parse(&text);
        parsed.map(|mut pipeline| pipeline.stages.remove(0).environment.unwrap()).map_err(|errors| errors.to_string())
    };
    let Ok(StageEnvironment::Nix { flake }) = of("{ nix: \".#${{ git.branch }}\" }") else { panic!("nix") };
    assert_eq!(flake.as_text(), Some(".#${{ git.branch }}"));
    let machine = "{ firecracker: { kernel: /k, rootfs: /r }, resources: { cpus: 2, memory: 1GiB } }";
    let Ok(StageEnvironment::Firecracker { vcpus, memory_bytes, .. }) = of(machine) else { panic!("firecracker") };
    assert_eq!((vcpus, memory_bytes), (2, 1 << 30));
    for (wrong, expected) in [
        ("nix", "write `environment: { nix: \".\" }`"),
        ("firecracker", "kernel: PATH, rootfs: PATH"),
        ("{ nix: \"\" }", "the flake is empty"),
        ("{ nix: ., container: debian }", "two kinds"),
        ("{ nix: ., resources: { cpus: 1 } }", "bounds no resources"),
        ("{ firecracker: { kernel: /k } }", "`firecracker` has no `rootfs`"),
        ("{ firecracker: { kernel: /k, rootfs: /r }, resources: { cpus: 1.5 } }", "whole processors"),
        ("{ firecracker: { kernel: /k, rootfs: /r }, resources: { memory: 1MiB } }", "at least 64MiB"),
        ("{ firecracker: { kernel: /k, rootfs: /r }, resources: { pids: 10 } }", "remove `pids`"),
        ("{ resources: { cpus: 1 } }", "the environment has no `container`"),
    ] {
        let found = of(wrong).expect_err(wrong);
        assert!(found.contains(expected), "{wrong}: {found}");
    }
}

#[test]
fn a_matrix_is_checked() {
    let of = |matrix: &str| {
        mistakes(&format!("    matrix: {matrix}\n    environment: host\n    steps: [{{ run: x }}]")).join("; ")
    };
    assert!(of("{ a: [] }").contains("the matrix axis `a` has no values"));
    assert!(of("{ a: x }").contains("the matrix axis `a` must be a list, and this is `x`"));
    assert!(of("{ a: [x, x] }").contains("has this value twice"));
    assert!(of("{ a: [[x]] }").contains("a value of a matrix must be a text"));
    assert!(of("{}").contains("the matrix has no values"));
    assert!(of("{ rust: [x], exclude: [{ rsut: x }] }").contains("did you mean `rust`?"));
    assert!(of("{ a: ['${{ git.sha }}'] }").contains("cannot hold expressions"));
    let error = of("{ a: [x, 1], exclude: [{ a: \"1\" }] }");
    assert!(error.contains("names the value `\"1\"` of `a`") && error.contains("are: `\"x\"`, `1`"), "{error}");
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config { failure_persistence: None, cases: 300, ..Default::default() })]

    /// Any value in place of any other is an answer.
    #[test]
    fn a_line_that_is_lost_or_changed_is_no_reason_to_panic(at in 0usize..60, with in r"|  x: \[|- |\{ a: b \}|'|\[1, 2\]|~|: ") {
        let mut lines: Vec<&str> = WHOLE.lines().collect();
        let at = at % lines.len();
        lines[at] = &with;
        if let Err(errors) = Pipeline::parse(&lines.join("\n")) {
            errors.render("f", &lines.join("\n"), true);
        }
    }
}
