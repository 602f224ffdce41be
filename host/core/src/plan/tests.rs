//! Plans of pipelines, right ones and wrong ones.

mod server;
mod size;

use std::{cell::RefCell, collections::BTreeMap};

use serde_json::{Map, Value as Json, json};

use super::{EnvironmentSpec, JobContext, Plan, build};
use crate::{
    grant::{SecretGrant, Trust},
    pipeline::Pipeline,
    plugin::{Capability, Field, Import, PluginDescription},
    wit::{Type, Value},
};

fn import(interface: &str) -> Import {
    if interface.starts_with("wasi:") {
        return Import { name: interface.to_owned(), capability: Capability::from_standard(interface) };
    }
    Import { name: format!("oxide:ci/{interface}@0.1.0"), capability: Capability::from_interface(interface) }
}

fn description(imports: &[&str], inputs: &[(&str, Type)], outputs: &[(&str, Type)]) -> PluginDescription {
    let fields = |fields: &[(&str, Type)]| {
        fields.iter().map(|(name, ty)| Field { name: (*name).to_owned(), ty: ty.clone(), docs: None }).collect()
    };
    PluginDescription {
        package: None,
        docs: None,
        license: None,
        source: None,
        contract: Some("0.1.0".to_owned()),
        imports: imports.iter().map(|name| import(name)).collect(),
        inputs: fields(inputs),
        outputs: fields(outputs),
        digest: format!("sha256:{}", "0".repeat(64)),
        size_bytes: 1,
        takes_inputs: !inputs.is_empty(),
    }
}

/// The plugins of these stories.
fn plugins(reference: &str) -> Result<(PluginDescription, bool), String> {
    let text = || Type::Option(Box::new(Type::String));
    Ok(match reference {
        "oxide/run@1" => {
            let inputs = [("script", Type::String), ("shell", text()), ("working-directory", text())];
            (description(&["log", "environment", "workspace"], &inputs, &[]), true)
        }
        "oxide/checkout@1" => {
            let inputs = [("ref", text()), ("depth", Type::Option(Box::new(Type::U32)))];
            (description(&["git"], &inputs, &[("commit", Type::String), ("author-name", Type::String)]), true)
        }
        "acme/greet" => (
            description(&["log"], &[("name", Type::String), ("times", Type::U8)], &[("greeting", Type::String)]),
            false,
        ),
        "acme/lint" => (description(&["workspace", "git"], &[], &[]), false),
        "acme/new" => {
            let mut new = description(&[], &[], &[]);
            new.contract = Some("0.2.0".to_owned());
            (new, false)
        }
        "acme/later" => (description(&["later"], &[], &[]), false),
        "acme/keeper" => (description(&["cache", "artifacts"], &[], &[]), false),
        "acme/poster" => (description(&["wasi:http/types@0.2.0", "wasi:http/outgoing-handler@0.2.0"], &[], &[]), false),
        "acme/dialer" => (description(&["wasi:sockets/tcp@0.2.0", "git"], &[], &[]), false),
        "acme/secret" => (description(&["secrets"], &[], &[]), false),
        other => return Err(format!("there is no plugin `{other}`")),
    })
}

fn context() -> JobContext {
    let object = |value: Json| -> Map<String, Json> { value.as_object().expect("an object").clone() };
    JobContext {
        git: object(json!({ "sha": "abc", "branch": "main" })),
        trigger: object(json!({ "kind": "manual" })),
        inputs: Map::new(),
        trust: Trust::Full,
        project: String::new(),
    }
}

fn plan_with(text: &str, context: &JobContext) -> Result<Plan, String> {
    let text = format!("version: \"1\"\nname: p\n{text}");
    let pipeline = Pipeline::parse(&text).unwrap_or_else(|errors| panic!("{}", errors.render("f", &text, false)));
    build(&pipeline, "oxide.yaml", context, &plugins).map_err(|errors| errors.to_string())
}

fn plan(text: &str) -> Plan {
    plan_with(text, &context()).unwrap_or_else(|errors| panic!("{errors}\n{text}"))
}

fn mistakes(text: &str) -> String {
    plan_with(text, &context()).expect_err(text)
}

/// The mistakes of one stage on the host with these steps.
fn of_steps(steps: &str) -> String {
    mistakes(&format!("stages:\n  s:\n    environment: host\n    steps:\n{steps}"))
}

#[test]
fn a_run_line_becomes_its_plugin() {
    let plan = plan(
        "env: { A: 1 }
stages:
  s:
    environment: host
    env: { B: 2 }
    matrix: { os: [debian] }
    steps:
      - run: |
          # say it
          echo \"on ${{ matrix.os }} at ${{ git.sha }}\"
        shell: bash
        working_directory: sub
        env: { C: \"${{ env.A }}\" }
",
    );
    let job = &plan.jobs[0];
    assert_eq!(job.name, "s (os=debian)");
    assert_eq!(job.env.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["A", "B"]);
    let step = &job.steps[0];
    assert_eq!(step.plugin.reference, "oxide/run@1");
    assert_eq!(step.name, "echo \"on ${{ matrix.os }} at ${{ git.sha }}\"");
    let script = step.with.get("script").and_then(|node| node.as_text());
    assert_eq!(script, Some("# say it\necho \"on ${OXIDE_EXPR_1} at ${OXIDE_EXPR_2}\"\n"));
    assert_eq!(step.with.get("shell").and_then(|node| node.as_text()), Some("bash"));
    let env: Vec<_> = step.env.iter().map(|(name, node)| (name.as_str(), node.as_text().unwrap())).collect();
    assert_eq!(env, [("C", "${{ env.A }}"), ("OXIDE_EXPR_1", "${{ matrix.os }}"), ("OXIDE_EXPR_2", "${{ git.sha }}")]);
    let asked = [Capability::Workspace, Capability::Environment];
    assert_eq!(step.grants.capabilities, asked.into_iter().collect());
    let inputs = Value::inputs_from_node(&step.with, &plugins("oxide/run@1").unwrap().0.inputs);
    assert!(inputs.is_ok(), "{inputs:?}");
}

#[test]
fn a_plan_survives_its_json() {
    let plan = plan(
        "timeout: 2h
stages:
  a: { matrix: { n: [1, x, true] }, environment: { container: \"img:${{ matrix.n }}\", resources: { cpus: 0.1 } }, steps: [{ run: 'echo ${{ matrix.n }}' }] }
  b: { depends_on: a, environment: host, if: failure(), steps: [{ parallel: [{ run: x }, { run: y }] }] }
",
    );
    let text = serde_json::to_string(&plan).unwrap();
    assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan);
    assert_eq!(plan.timeout_ms, 7_200_000);
    assert_eq!(plan.jobs.len(), 4);
    let EnvironmentSpec::Container { image, .. } = &plan.jobs[1].environment else { panic!("a container") };
    assert_eq!(image, "img:x");
    assert_eq!(plan.jobs[3].steps[1].parallel_group, Some(0));
}

#[test]
fn stages_stand_after_those_that_they_need_and_else_as_written() {
    let stage = |name: &str, needs: &str| {
        format!("  {name}: {{ environment: host, depends_on: {needs}, steps: [{{ run: x }}] }}\n")
    };
    let text = format!(
        "stages:\n{}{}{}{}",
        stage("deploy", "[build, test]"),
        stage("test", "[build]"),
        stage("lint", "[{ stage: gone, optional: true }]"),
        stage("build", "[]")
    );
    let plan = plan(&text);
    let names: Vec<&str> = plan.stages.iter().map(|stage| stage.name.as_str()).collect();
    assert_eq!(names, ["lint", "build", "test", "deploy"]);
    assert_eq!(plan.stages[3].depends_on.len(), 2);
    assert!(plan.stages[0].depends_on.is_empty());
}

#[test]
fn a_circle_is_named() {
    let stage = |name: &str, needs: &str| {
        format!("  {name}: {{ environment: host, depends_on: [{needs}], steps: [{{ run: x }}] }}\n")
    };
    let text = format!("stages:\n{}{}{}{}", stage("a", "c"), stage("b", "a"), stage("c", "b"), stage("d", "a"));
    assert_eq!(
        mistakes(&text),
        "4:40: the stages depend on each other in a circle: a → c → b → a (remove one of these dependencies)"
    );
    let error = mistakes(&format!("stages:\n{}{}", stage("build", ""), stage("test", "biuld")));
    assert!(error.contains("depends on `biuld`, which does not exist (did you mean `build`?)"), "{error}");
}

#[test]
fn a_matrix_is_multiplied_within_bounds() {
    let cells = |matrix: &str| -> Vec<String> {
        let text = format!("stages: {{ s: {{ environment: host, matrix: {matrix}, steps: [{{ run: x }}] }} }}\n");
        plan(&text).jobs.iter().map(|job| job.name.clone()).collect()
    };
    assert_eq!(
        cells("{ a: [1, 2], b: [x, y], exclude: [{ a: 2, b: x }], include: [{ a: 1, extra: e }, { a: 3 }] }"),
        ["s (a=1, b=x, extra=e)", "s (a=1, b=y, extra=e)", "s (a=2, b=y)", "s (a=3)"]
    );
    assert_eq!(cells("{ include: [{ a: 1 }, { a: 2 }] }"), ["s (a=1)", "s (a=2)"]);
    let hundred: Vec<String> = (0..100).map(|n| n.to_string()).collect();
    let text = |more: &str| {
        let axis = hundred.join(", ");
        format!(
            "stages: {{ s: {{ environment: host, matrix: {{ a: [{axis}], b: [{axis}]{more} }}, steps: [{{ run: x }}] }} }}\n"
        )
    };
    let error = mistakes(&text(""));
    assert!(error.contains("makes 10000 jobs (100 × 100); a stage may have 256"), "{error}");
    assert!(mistakes(&text(", exclude: [{ a: 1 }]")).contains("10000 jobs"));
    let more: String = (0..20).map(|n| format!(", c{n}: [{}]", hundred.join(", "))).collect();
    let error = mistakes(&text(&more));
    assert!(error.contains("makes more than 1,000,000 jobs (100 × 100"), "{error}");
    let error = mistakes(
        "stages: { s: { environment: host, matrix: { a: [1], exclude: [{ a: 1 }] }, steps: [{ run: x }] } }\n",
    );
    assert!(error.contains("leaves nothing"), "{error}");
}

#[test]
fn a_matrix_value_that_a_job_lacks_is_found() {
    let error = mistakes(
        "stages: { s: { environment: host, matrix: { a: [1], include: [{ b: 2, a: 5 }] }, steps: [{ run: 'echo ${{ matrix.b }}' }] } }\n",
    );
    assert!(error.contains("`matrix.b` has no value in the job with a=1"), "{error}");
}

#[test]
fn inputs_are_checked_before_anything_runs() {
    let error = of_steps("      - uses: acme/greet\n        with: { nmae: x, times: 300 }\n");
    assert!(error.contains("8:17: `inputs`: there is no input `nmae` (did you mean `name`?)"), "{error}");
    assert!(error.contains("`inputs.times`: 300 does not fit in u8"), "{error}");
    assert!(error.contains("the input `name` is missing"), "{error}");
    plan("stages: { s: { steps: [{ uses: acme/greet, with: { name: x, times: '${{ git.sha }}' } }] } }\n");
    assert!(of_steps("      - uses: oxide/chekout@1\n").contains("there is no plugin `oxide/chekout@1`"));
}

#[test]
fn caches_and_artifacts_are_granted_to_read_or_to_write() {
    let error = of_steps("      - uses: acme/keeper\n        grants: { cache: read }\n");
    assert!(
        error.contains("asks for `artifacts` (keep files of the run for later stages and for people)")
            && error.contains("change the line to: grants: { cache: read, artifacts: write }"),
        "{error}"
    );
    let plan = plan(
        "stages: { s: { steps: [{ uses: acme/keeper, grants: { cache: read, artifacts: write } }, { uses: acme/keeper, grants: { artifacts: read, cache: write } }] } }\n",
    );
    let [first, second] = [0, 1].map(|step| plan.jobs[0].steps[step].grants.clone());
    assert!(first.is_read_only(Capability::Cache) && !first.is_read_only(Capability::Artifacts));
    assert!(second.is_read_only(Capability::Artifacts) && !second.is_read_only(Capability::Cache));
    assert_eq!(first.shown(Capability::Cache), "cache (read only)");
    assert_eq!(second.shown(Capability::Cache), "cache");
}

#[test]
fn grants_are_what_the_plugin_asks_for() {
    let error = of_steps("      - uses: acme/lint\n");
    assert!(
        error.contains("plugin `acme/lint` asks for `workspace` (read and write the files of the job) and `git` (fetch commits from git remotes), which this step does not grant (add to the step: grants: { workspace: write, git: true })"),
        "{error}"
    );
    let error = of_steps("      - uses: acme/lint\n        grants: { workspace: read, environment: true }\n");
    assert!(
        error.contains("asks for `git`")
            && error.contains("change the line to: grants: { workspace: read, git: true }"),
        "{error}"
    );
    assert!(
        error.contains("plugin `acme/lint` does not ask for `environment` (remove `environment` from `grants`)"),
        "{error}"
    );
    let plan = plan(
        "stages: { s: { steps: [{ uses: acme/lint, grants: { workspace: read, git: true } }, { uses: oxide/checkout@1 }] } }\n",
    );
    assert!(plan.jobs[0].steps[0].grants.workspace_read_only);
    assert!(plan.jobs[0].steps[1].grants.allows(Capability::Git));
    assert!(!plan.jobs[0].steps[1].grants.allows(Capability::Environment));
}

#[test]
fn a_step_says_to_which_hosts_its_plugin_may_connect() {
    let error = of_steps("      - uses: acme/poster\n");
    assert!(
        error.contains("plugin `acme/poster` asks for `http` (send HTTP requests to the hosts that are named), which this step does not grant (add to the step: grants: { http: [HOST] })"),
        "{error}"
    );
    let error = of_steps("      - uses: acme/poster\n        grants: { http: [a.example], tcp: ['a.example:1'] }\n");
    assert!(error.contains("plugin `acme/poster` does not ask for `tcp` (remove `tcp` from `grants`)"), "{error}");
    // Toolchains import sockets for plugins that use none: they are granted, and not asked for.
    let error = of_steps("      - uses: acme/dialer\n        grants: { tcp: ['a.example:1'] }\n");
    assert!(error.contains("change the line to: grants: { git: true, tcp: [\"a.example:1\"] }"), "{error}");
    let error = of_steps("      - uses: acme/dialer\n");
    assert!(error.contains("add to the step: grants: { git: true }"), "{error}");

    let plan = plan(
        "stages: { s: { steps: [
            { uses: acme/poster, grants: { http: [] } },
            { uses: acme/poster, grants: { http: [codecov.io, { host: 'git.corp:8443', private: true }] } },
            { uses: acme/dialer, grants: { git: true } }] } }\n",
    );
    let shown = |step: usize, capability| plan.jobs[0].steps[step].grants.shown(capability);
    assert_eq!(shown(0, Capability::Http), "http: no host");
    assert_eq!(shown(1, Capability::Http), "http: codecov.io and git.corp:8443 (may be private)");
    assert!(!plan.jobs[0].steps[2].grants.allows(Capability::Tcp));
}

#[test]
fn services_are_planned_for_each_cell_and_name_their_secrets() {
    let plan = plan(
        "stages: { s: { environment: host, matrix: { v: [16, 17] }, steps: [{ run: x }], services: { db: {
            image: 'postgres:${{ matrix.v }}', env: { A: '${{ secrets.PASSWORD }}', B: '${{ matrix.v }}' } } } } }\n",
    );
    let images: Vec<&str> = plan.jobs.iter().map(|job| job.services[0].image.as_str()).collect();
    assert_eq!(images, ["postgres:16", "postgres:17"]);
    let db = &plan.jobs[0].services[0];
    assert_eq!(db.secrets.iter().map(String::as_str).collect::<Vec<_>>(), ["PASSWORD"]);
    assert!(db.env[0].1.as_text().is_some_and(|text| text.contains("secrets.PASSWORD")));
    let stage = |service: &str| {
        mistakes(&format!(
            "stages: {{ s: {{ environment: host, steps: [{{ run: x }}], services: {{ db: {service} }} }} }}\n"
        ))
    };
    assert!(stage("{ image: '${{ matrix.x }}' }").contains("there is no value of the matrix `x`"));
    assert!(stage("{ image: 'a b' }").contains("the image `a b` is no name of an image"));
    assert!(stage("{ image: '${{ secrets.X }}' }").contains("and in `env` of a service"));
    assert!(stage("{ image: a, env: { A: 'x ${{ steps.a.outputs.b }}' } }").contains("`steps` is not known here"));
}

#[test]
fn a_step_spends_the_secrets_that_it_names_and_no_others() {
    let plan = plan(
        "stages: { s: { environment: host, steps: [
            { run: 'deploy ${{ secrets.KEY }}', env: { T: '${{ secrets.TOKEN }}' }, secrets: [EXTRA] },
            { run: 'true' },
            { uses: oxide/checkout@1, with: { ref: '${{ secrets.REF }}' } },
            { uses: acme/secret, grants: { secrets: [A, { name: B, reveal: true }] } },
            { uses: acme/secret, secrets: [C] }] } }\n",
    );
    let of_step = |step: usize| plan.jobs[0].steps[step].grants.secrets.clone();
    let spend =
        |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), SecretGrant::Spend)).collect::<BTreeMap<_, _>>();
    assert_eq!(of_step(0), spend(&["EXTRA", "KEY", "TOKEN"]));
    let names: Vec<&str> = plan.jobs[0].steps[0].env.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["T", "OXIDE_EXPR_1", "EXTRA"], "a script has them as variables");
    assert_eq!(of_step(1), BTreeMap::new());
    assert_eq!(of_step(2), spend(&["REF"]));
    assert_eq!(of_step(3), [("A".to_owned(), SecretGrant::Spend), ("B".to_owned(), SecretGrant::Reveal)].into());
    assert_eq!(of_step(4), spend(&["C"]));
}

#[test]
fn a_run_of_a_fork_does_the_same_with_less_right() {
    let pipeline = |forks: &str, environment: &str| {
        format!(
            "{forks}stages: {{ s: {{ environment: {environment}, steps: [{{ run: deploy, secrets: [KEY] }}] }} }}\n"
        )
    };
    let fork = JobContext { trust: Trust::Fork, ..context() };
    let error = plan_with(&pipeline("", "host"), &fork).unwrap_err().to_string();
    assert!(error.contains("runs commands on the host, which the run of a fork may not"), "{error}");
    let plan = plan_with(&pipeline("", "{ container: debian }"), &fork).unwrap();
    assert!(plan.jobs[0].steps[0].grants.secrets.is_empty());
    assert!(matches!(plan.jobs[0].environment, EnvironmentSpec::Container { network: false, .. }));
    let rights = "forks: { network: true, host: true }\n";
    let plan = plan_with(&pipeline(rights, "{ container: debian }"), &fork).unwrap();
    assert!(matches!(plan.jobs[0].environment, EnvironmentSpec::Container { network: true, .. }));
    assert!(plan_with(&pipeline(rights, "host"), &fork).is_ok());
}

#[test]
fn services_of_a_fork_reach_no_network_that_it_was_not_given() {
    let fork = JobContext { trust: Trust::Fork, ..context() };
    let plan_of = |forks: &str, stage: &str| {
        let text = format!("{forks}stages: {{ s: {{ {stage}, services: {{ db: {{ image: postgres }} }} }} }}\n");
        plan_with(&text, &fork).map_err(|error| error.to_string())
    };
    let in_container = "environment: { container: debian }, steps: [{ run: x }]";
    let plan = plan_of("", in_container).unwrap();
    assert!(matches!(plan.jobs[0].environment, EnvironmentSpec::Container { network: false, .. }), "which they share");
    let on_the_host = "environment: host, steps: [{ run: x }]";
    let without_commands = "steps: [{ uses: acme/greet, with: { name: Ada, times: 1 } }]";
    assert!(plan_of("", on_the_host).unwrap_err().contains("runs commands on the host"));
    assert!(plan_of("", without_commands).unwrap_err().contains("runs services on the host"));
    for stage in [on_the_host, without_commands] {
        let error = plan_of("forks: { host: true }\n", stage).unwrap_err();
        assert!(error.contains("share the network of the host") && error.contains("network: true"), "{error}");
        plan_of("forks: { host: true, network: true }\n", stage).unwrap();
    }
}

#[test]
fn a_secret_has_no_place_where_it_would_be_looked_at_or_shared() {
    let error = of_steps("      - uses: acme/secret\n");
    assert!(
        error.contains("asks for `secrets` (spend the secrets that are named), which this step does not grant"),
        "{error}"
    );
    assert!(error.contains("add to the step: grants: { secrets: [NAME] }"), "{error}");
    for text in [
        "env: { T: '${{ secrets.T }}' }\nstages: { s: { environment: host, steps: [{ run: x }] } }\n",
        "stages: { s: { environment: host, steps: [{ run: x, if: \"secrets.T == 'a'\" }] } }\n",
        "stages: { s: { environment: host, steps: [{ run: x, name: '${{ secrets.T }}' }] } }\n",
        "stages: { s: { environment: { container: '${{ secrets.T }}' }, steps: [{ run: x }] } }\n",
    ] {
        let error = mistakes(text);
        assert!(error.contains("`secrets` can be used only in `run`, `with` and `env` of a step"), "{text}: {error}");
    }
}

#[test]
fn a_plugin_that_needs_more_than_there_is_is_refused() {
    let error = of_steps("      - uses: acme/new\n");
    assert!(error.contains("it needs oxide:ci@0.2.0, and this version offers oxide:ci@0.1.0"), "{error}");
    let error = of_steps("      - uses: acme/later\n");
    assert!(error.contains("it asks for `oxide:ci/later@0.1.0`, which this version does not offer"), "{error}");
}

#[test]
fn a_stage_that_runs_commands_says_where() {
    let error = mistakes("stages: { s: { steps: [{ run: x }] } }\n");
    assert!(error.contains("stage `s` does not say where its commands run (write `environment: host` or"), "{error}");
    let plan = plan("stages: { s: { steps: [{ uses: acme/greet, with: { name: x, times: 1 } }] } }\n");
    assert_eq!(plan.jobs[0].environment, EnvironmentSpec::Host);
}

#[test]
fn expressions_are_checked_against_what_they_will_see() {
    let steps = |expression: &str| {
        of_steps(&format!(
            "      - {{ id: src, uses: oxide/checkout@1 }}\n      - {{ id: it, run: 'echo ${{{{ {expression} }}}}' }}\n      - {{ id: later, run: x }}\n"
        ))
    };
    assert!(steps("git.brnch").contains("there is no fact of `git` `brnch` (did you mean `branch`?)"));
    assert!(steps("steps.scr.outputs.commit").contains("did you mean `src`?"));
    assert!(
        steps("steps.src.outputs.comit")
            .contains("there is no output of `steps.src`: `comit` (did you mean `commit`?)")
    );
    assert!(steps("steps.src.output").contains("did you mean `outputs`?"));
    assert!(steps("steps.later.outputs.x").contains("that step runs later"));
    assert!(steps("steps.it.outputs.x").contains("that step is this one"));
    assert!(steps("matrix.x").contains("there is no value of the matrix `x` (there are none)"));
    assert!(steps("env.NOPE").contains("there is no variable in `env` `NOPE`"));
    assert!(steps("inputs.x").contains("there is no input of the pipeline `x`"));
    assert!(steps("stages.other.status").contains("there is no stage `other`"));
    assert!(steps("secrets.X + secrets.Y").contains("a secret stands alone in `${{ }}`"));
    assert!(steps("size(secrets.X)").contains("a secret stands alone in `${{ }}`"));
    assert!(steps("upper(git.sha)").contains("there is no function `upper`"));
    assert!(steps("git.sha ==").contains("is not finished (it ends behind `==`: write what follows)"));
    // Line 8 is that of the second step; the column is that of the wrong name.
    assert!(steps("git.brnch").starts_with("8:34: "), "{}", steps("git.brnch"));
    let fine = "stages: { s: { environment: host, env: { A: b }, steps: [{ id: src, uses: oxide/checkout@1 }, { run: 'echo ${{ steps.src.outputs.author_name + env.A }} ${{ steps.src.status }} ${{ hash_files(\"a\") }}', if: 'has(matrix.x) || steps.src.outputs[\"commit\"] == git.tag' }] } }\n";
    plan(fine);
}

#[test]
fn other_stages_are_visible_when_they_are_depended_on() {
    let text = |needs: &str, expression: &str| {
        format!(
            "stages:
  one: {{ steps: [{{ id: src, uses: oxide/checkout@1 }}] }}
  two: {{ depends_on: one, steps: [{{ uses: oxide/checkout@1 }}] }}
  three: {{ depends_on: {needs}, if: \"{expression}\", steps: [{{ uses: oxide/checkout@1 }}] }}
"
        )
    };
    plan(&text("two", "stages.one.outputs.src.commit == 'a' && stages.two.status == 'success'"));
    plan(&text("[{ stage: gone, optional: true }]", "stages.gone.outputs.a.b == null"));
    let error = mistakes(&text("[]", "stages.one.status == 'success'"));
    assert!(error.contains("does not depend on stage `one` (add `one` to `depends_on`)"), "{error}");
    let error = mistakes(&text("one", "stages.one.outputs.src.comit == 'a'"));
    assert!(error.contains("did you mean `commit`?"), "{error}");
    let error = mistakes(&text("one", "stages.one.outputs.scr.commit == 'a'"));
    assert!(error.contains("did you mean `src`?"), "{error}");
    let error = mistakes(&text("one", "matrix.x == 1"));
    assert!(error.contains("`matrix` is not known here"), "{error}");
}

#[test]
fn outputs_of_a_stage_of_several_jobs_cannot_be_read() {
    let text = |cells: &str, expression: &str| {
        format!(
            "stages:
  one: {{ matrix: {{ os: {cells} }}, steps: [{{ id: src, uses: oxide/checkout@1 }}] }}
  two: {{ depends_on: one, if: \"{expression}\", steps: [{{ uses: oxide/checkout@1 }}] }}
"
        )
    };
    plan(&text("[a]", "stages.one.outputs.src.commit == 'a'"));
    plan(&text("[a, b]", "stages.one.status == 'success'"));
    for expression in
        ["stages.one.outputs.src.commit == 'a'", "has(stages.one.outputs.src)", "size(stages['one'].outputs) > 0"]
    {
        let error = mistakes(&text("[a, b]", expression));
        assert!(error.contains("stage `one` has 2 jobs, and each of them has outputs of its own"), "{error}");
    }
}

#[test]
fn steps_side_by_side_do_not_see_each_other() {
    let error = of_steps(
        "      - parallel: [{ id: a, run: x }, { run: 'echo ${{ steps.a.status }}' }]\n      - run: echo ${{ steps.a.status }}\n",
    );
    assert!(error.contains("that step runs at the same time"), "{error}");
    assert_eq!(error.matches("not known yet").count(), 1, "{error}");
}

#[test]
fn names_and_labels_are_decided_at_planning() {
    let plan = plan(
        "stages: { s: { environment: host, matrix: { os: [a, b] }, runs_on: ['linux-${{ matrix.os }}'], steps: [{ name: 'on ${{ matrix.os }}', run: x }] } }\n",
    );
    assert_eq!(plan.jobs[1].runs_on, ["linux-b"]);
    assert_eq!(plan.jobs[1].steps[0].name, "on b");
    let error = mistakes("stages: { s: { environment: host, steps: [{ name: '${{ env.A }}', run: x }] } }\n");
    assert!(error.contains("`env` is not known here"), "{error}");
    let error = mistakes("stages: { s: { environment: { container: 'a b' }, steps: [{ run: x }] } }\n");
    assert!(error.contains("no name of an image"), "{error}");
}

#[test]
fn limits_and_timeouts_are_the_closest_ones() {
    let plan = plan(
        "stages: { s: { environment: host, timeout: 10m, limits: { memory: 1GiB, fuel: 5 }, steps: [{ run: a, limits: { memory: 2GiB } }, { run: b, timeout: 1m }, { run: c, timeout: 1h, limits: { timeout: 5m } }] } }\n",
    );
    let limits: Vec<_> = plan.jobs[0].steps.iter().map(|step| &step.limits).collect();
    assert_eq!((limits[0].memory_bytes, limits[0].fuel, limits[0].timeout_ms), (2 << 30, 5, 600_000));
    assert_eq!((limits[1].memory_bytes, limits[1].timeout_ms), (1 << 30, 60_000));
    assert_eq!(limits[2].timeout_ms, 300_000);
}

#[test]
fn inputs_of_the_run_are_completed_and_checked() {
    let text = "triggers: { manual: { inputs: { channel: { options: [beta, stable], default: beta }, count: { type: number }, must: { required: true } } } }
stages: { s: { environment: host, steps: [{ run: 'echo ${{ inputs.channel }}' }] } }
";
    let with = |inputs: Json| {
        let inputs = inputs.as_object().unwrap().clone();
        plan_with(text, &JobContext { inputs, ..context() })
    };
    let plan = with(json!({ "count": "3", "must": "x" })).unwrap();
    assert_eq!(Json::Object(plan.context.inputs), json!({ "channel": "beta", "count": 3, "must": "x" }));
    assert!(with(json!({})).unwrap_err().contains("the input `must` needs a value (add `--input must=VALUE`)"));
    assert!(with(json!({ "must": 1, "chanel": "x" })).unwrap_err().contains("did you mean `channel`?"));
    assert!(
        with(json!({ "must": 1, "channel": "alpha" }))
            .unwrap_err()
            .contains("must be one of beta, stable, and is `alpha`")
    );
    assert!(with(json!({ "must": 1, "count": "many" })).unwrap_err().contains("must be a number"));
}

#[test]
fn each_plugin_is_asked_for_once() {
    let asked = RefCell::new(0);
    let count = |reference: &str| {
        *asked.borrow_mut() += 1;
        plugins(reference)
    };
    let text = "version: \"1\"\nname: p\nstages: { s: { environment: host, matrix: { n: [1, 2, 3] }, steps: [{ run: a }, { run: b }] } }\n";
    build(&Pipeline::parse(text).unwrap(), "f", &context(), &count).unwrap();
    assert_eq!(*asked.borrow(), 1);
}
