//! `oxide plugin test`, `run` and `bench` as an author meets them: real components, scripts in the place of the world.

use std::fs;

use serde_json::Value as Json;

use crate::oxide::{Ended, Project};

/// Writes `cases/<name>/case.yaml` and, if there are any, files below `cases/<name>/`.
fn write_case(project: &Project, name: &str, text: &str, files: &[(&str, &[u8])]) {
    let folder = project.path("cases").join(name);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("case.yaml"), text).unwrap();
    for (path, bytes) in files {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

/// Runs the cases of a guest.
fn test(project: &Project, guest: &str, more: &[&str]) -> Ended {
    let plugin = format!("plugins/{guest}.wasm");
    let arguments = [&["plugin", "test", &plugin, "--cases", "cases"], more].concat();
    project.oxide(&arguments)
}

/// Runs one case of a guest, which must end so; answers with all that was printed.
fn one(guest: &str, text: &str, files: &[(&str, &[u8])], code: i32) -> String {
    let project = Project::new();
    write_case(&project, "one", text, files);
    let ended = test(&project, guest, &[]).expect(code);
    ended.stdout + &ended.stderr
}

fn expect_in(shown: &str, all: &[&str]) {
    for expected in all {
        assert!(shown.contains(expected), "`{expected}` is not in\n{shown}");
    }
}

const SPEND: &str = "with: { act: environment }\nsecrets: { TOKEN: hunter22 }\n";

#[test]
fn commands_are_scripted_and_get_the_values_of_secrets() {
    let shown = one(
        "spender",
        &format!(
            "{SPEND}environment:\n  commands:\n    - run: [sh, -c, 'test -n \"$IT\" && echo \"$IT\"']\n      env: {{ IT: \
             <hunter22> }}\n      stdout: it is hunter22, and more\nexpect:\n  outputs: {{ text: \"it is ***, and more\" }}\n"
        ),
        &[],
        0,
    );
    expect_in(&shown, &["ok", "one", "fuel", "ok: 1 case"]);
    assert!(!shown.contains("hunter22"), "{shown}");
}

#[test]
fn a_command_that_is_not_scripted_is_told_with_what_was_expected_next() {
    let shown = one(
        "spender",
        &format!("{SPEND}environment:\n  commands:\n    - run: [sh, -c, cat]\nexpect: {{ failure: \"\" }}\n"),
        &[],
        1,
    );
    expect_in(
        &shown,
        &[
            "FAILED",
            "the script expects another command",
            "case.yaml:5",
            "- cat",
            "+ test -n \"$IT\" && echo \"$IT\"",
            "`sh -c cat` was not run",
        ],
    );
    let shown = one("spender", &format!("{SPEND}expect: {{ failure: \"\" }}\n"), &[], 1);
    expect_in(&shown, &["was run, and the case has no `environment.commands`"]);
}

#[test]
fn a_command_that_is_not_run_fails_the_case() {
    let commands = "environment: { commands: [{ run: [git, push] }] }\n";
    let shown = one("hostile", &format!("with: {{ act: ok }}\n{commands}"), &[], 1);
    expect_in(&shown, &["`git push` was not run", "case.yaml:2"]);
}

#[test]
fn what_a_command_prints_need_not_be_text() {
    let case = "with: { act: capture, text: \"tool\" }\nenvironment:\n  commands:\n    - run: [tool]\n      stdout: { file: out.bin }\n      \
                writes: { made.txt: \"by the command\\n\" }\n";
    let project = Project::new();
    write_case(&project, "one", case, &[("out.bin", b"\xff\x00\xfe")]);
    test(&project, "hostile", &["--accept"]).expect(0);
    let accepted = fs::read_to_string(project.path("cases/one/case.yaml")).unwrap();
    expect_in(&accepted, &["expect:\n  outputs:\n", "made.txt: |\n      by the command\n"]);
    test(&project, "hostile", &[]).expect(0);
}

#[test]
fn files_come_from_the_case_and_are_looked_at_afterwards() {
    let files: &[(&str, &[u8])] = &[("files/sub/old.txt", b"old")];
    let case = "with: { act: write, path: sub/new.txt, text: written }\nexpect:\n  files:\n    sub/new.txt: written\n    \
                sub/old.txt: old\n    gone.txt: null\n";
    one("hostile", case, files, 0);
    let shown = one("hostile", &case.replace("sub/new.txt: written\n", "sub/new.txt: other\n"), files, 1);
    expect_in(
        &shown,
        &["`sub/new.txt` differs", "case.yaml:4", "- other (no line break)", "+ written (no line break)"],
    );
    let shown =
        one("hostile", &case.replace("gone.txt", "sub/old.txt").replace("    sub/old.txt: old\n", ""), files, 1);
    expect_in(&shown, &["`sub/old.txt` is there (3 bytes), and must not be"]);
}

#[test]
fn a_large_file_that_differs_stays_readable() {
    let lines = |word: &str| (0..300_000).map(|line| format!("{word} {line:010}\n")).collect::<String>();
    let (old, expected) = (lines("line"), lines("other"));
    assert!(old.len() > 4_500_000);
    let files: &[(&str, &[u8])] = &[("files/big.txt", old.as_bytes()), ("expected.txt", expected.as_bytes())];
    let case = "with: { act: ok }\nexpect:\n  files: { big.txt: { file: expected.txt } }\n";
    let shown = one("hostile", case, files, 1);
    expect_in(&shown, &["- other 0000000000", "+ line 0000000000", "more lines that differ"]);
    assert!(shown.lines().count() < 80, "{}", shown.lines().count());
}

#[test]
fn requests_are_answered_without_a_network() {
    let case = "with:\n  url: \"https://api.example/x?t=${{ secrets.TOKEN }}\"\n  method: POST\n  headers: { authorization: \
                \"Bearer ${{ secrets.TOKEN }}\" }\n  body: \"it is ${{ secrets.TOKEN }}\"\nsecrets: { TOKEN: s3cret-value }\n\
                http:\n  - request:\n      method: POST\n      url: \"https://api.example/x?t=s3cret-value\"\n      headers: { \
                Authorization: Bearer s3cret-value }\n      body: it is s3cret-value\n    response: { status: 201, headers: { \
                x-echo: s3cret-value }, body: yes }\nexpect:\n  outputs: { status: 201, echo: \"* * *\", letters: y e s, \
                held_placeholder: true }\n";
    one("poster", case, &[], 0);
    let shown = one("poster", &case.replace("body: it is s3cret-value", "body: it was"), &[], 1);
    expect_in(&shown, &["the body of `POST https://api.example/x?t=s3cret-value` is another", "was not sent"]);
    let shown = one("poster", &case.replace("method: POST\n      url", "url"), &[], 1);
    expect_in(
        &shown,
        &["the script expects another request", "- GET https://api.example", "+ POST https://api.example"],
    );
    let other = "grants: { http: [other.example] }\n";
    let shown = one("poster", &format!("{other}{case}"), &[], 1);
    expect_in(&shown, &["the step may not reach `api.example`", "was not sent"]);
}

#[test]
fn an_error_in_the_place_of_an_answer_reaches_the_plugin() {
    let case = "with: { url: \"https://api.example\" }\nhttp:\n  - { request: { url: \"https://api.example\" }, error: the \
                server is down }\nexpect: { failure: the server is down }\n";
    one("poster", case, &[], 0);
}

#[test]
fn a_loop_and_a_trap_are_failures_like_others() {
    let case = "with: { act: loop }\nlimits: { fuel: 10000000 }\nexpect: { failure: used up its fuel }\n";
    one("hostile", case, &[], 0);
    let shown = one("hostile", "with: { act: loop }\nlimits: { timeout: 300ms, fuel: 1e18 }\n", &[], 1);
    expect_in(&shown, &["the step failed: the step took longer than 300 ms", "hint:"]);
    let shown = one("hostile", "with: { act: stderr-panic, text: last words }\n", &[], 1);
    expect_in(&shown, &["the step failed", "stderr: last words"]);
}

#[test]
fn a_limit_that_is_expected_and_not_kept_is_told() {
    let case = "with: { act: memory, amount: 5 }\nexpect: { limits: { memory: 4MiB } }\n";
    let shown = one("hostile", case, &[], 1);
    expect_in(&shown, &["`memory`: ", "and at most 4 MiB are expected", "case.yaml:2"]);
    one("hostile", &case.replace("4MiB", "64MiB"), &[], 0);
}

#[test]
fn floats_are_what_they_mean() {
    let value = "a_bool: true, a_u8: 1, a_u16: 2, a_u32: 3, a_u64: 18446744073709551615, a_s8: -1, a_s16: -2, a_s32: -3, \
                 a_s64: -4, a_f32: 0.1, a_f64: 1e21, a_char: ä, a_string: \"1.0\", a_bytes: [0, 255], a_list: [], \
                 a_nested_list: [[1]], a_tuple: [a, 1], a_record: { x: 1, y: 2 }, a_variant: { circle: 0.30000000000000004 }, \
                 an_enum: dark-green, some_flags: [all], a_result: { ok: 1 }, a_bare_result: ok, a_map: { k: 1 }, an_option: \
                 null, an_option_of_option: { some: null }, a_list_of_options: [null, 1]";
    let case = format!("with: {{ {value} }}\nexpect:\n  outputs: {{ {value} }}\n");
    one("echo", &case, &[], 0);
    let (with, expected) = case.split_once("expect:").unwrap();
    let other = expected.replace("a_f32: 0.1", "a_f32: .nan").replace("circle: 0.30000000000000004", "circle: 0.3");
    let shown = one("echo", &format!("{with}expect:{other}"), &[], 1);
    expect_in(&shown, &["- a_f32: NaN", "+ a_f32: 0.1", "-   circle: 0.3", "+   circle: 0.30000000000000004"]);
}

#[test]
fn a_case_with_a_mistake_is_shown_with_its_line() {
    for (text, expected) in [
        ("", "the file is empty"),
        ("a: [\n", "case.yaml:"),
        ("with: {}\nexpct: {}\n", "did you mean `expect`?"),
        ("with: { act: ok, amuont: 1 }\n", "did you mean `amount`?"),
        ("with: { act: ok }\nexpect:\n  outputs: { resutl: x }\n", "did you mean `result`?"),
        ("with: { act: ok }\nexpect:\n  files: { ../x: y }\n", "without `..`"),
        ("with: { act: ok, text: \"${{ secrets.NONE }}\" }\n", "NONE"),
    ] {
        let shown = one("hostile", text, &[], 1);
        expect_in(&shown, &["FAILED", "not run", expected]);
    }
    let project = Project::new();
    let none = test(&project, "hostile", &[]).expect(2).stderr;
    expect_in(&none, &["there are no cases in `cases`", "cases/first/case.yaml"]);
}

#[test]
fn accepting_writes_what_was_seen_and_keeps_comments() {
    let project = Project::new();
    let text = "# greets\nwith: { act: write, path: a.txt, text: \"one\\ntwo\\n\" } # why\nexpect:\n  outputs: { result: x }\n\n# so \
                much\nlimits: { fuel: 1e9 }\n";
    write_case(&project, "one", text, &[]);
    write_case(&project, "two", "with: { act: ok, text: fine }\n", &[]);
    let shown = test(&project, "hostile", &["--accept"]).expect(0).stdout;
    expect_in(&shown, &["accepted"]);
    let accepted = fs::read_to_string(project.path("cases/one/case.yaml")).unwrap();
    assert_eq!(
        accepted,
        text.replace("expect:\n  outputs: { result: x }", "expect:\n  outputs:\n    result: wrote 8 bytes")
    );
    let accepted = fs::read_to_string(project.path("cases/two/case.yaml")).unwrap();
    assert_eq!(accepted, "with: { act: ok, text: fine }\nexpect:\n  outputs:\n    result: fine\n");
    test(&project, "hostile", &[]).expect(0);
    // What the script says is not for accepting.
    write_case(&project, "one", "with: { act: ok }\nenvironment: { commands: [{ run: [x] }] }\n", &[]);
    let shown = test(&project, "hostile", &["--accept", "--filter", "one"]).expect(1).stdout;
    expect_in(&shown, &["not accepted:", "`x` was not run"]);
}

#[test]
fn nothing_of_a_case_reaches_out_of_it() {
    let git = "with: { act: ok }\ngit:\n  commits:\n    - message: m\n      files: { \".git/config\": \"[core]\\n fsmonitor = touch \
               pwned\" }\n";
    expect_in(&one("hostile", git, &[], 1), &["case.yaml:5", "which belongs to git"]);
    let project = Project::new();
    fs::write(project.path("outside"), "outside").unwrap();
    let case = "with: { act: ok }\nexpect: { summary: { file: exp.txt } }\n";
    write_case(&project, "one", case, &[]);
    project.shell("ln -s ../../outside cases/one/exp.txt");
    let shown = test(&project, "hostile", &["--accept"]).expect(1).stdout;
    expect_in(&shown, &["case.yaml:2", "leads out of the folder of the case"]);
    assert_eq!(fs::read_to_string(project.path("outside")).unwrap(), "outside");
    write_case(&project, "one", "with: { act: ok }\n", &[("files/a", b"a")]);
    project.shell("ln -s ../../../outside cases/one/files/link");
    expect_in(&test(&project, "hostile", &[]).expect(1).stdout, &["files/link` is a link"]);
    project.shell("mv cases/one/files files && ln -s ../../files cases/one/files");
    expect_in(&test(&project, "hostile", &[]).expect(1).stdout, &["files` is a link that leads out"]);
}

#[test]
fn a_folder_without_a_case_fails() {
    let project = Project::new();
    write_case(&project, "good", "with: { act: ok }\n", &[]);
    project.shell("mkdir -p cases/misspelt cases/folder/case.yaml cases/fifo cases/.hidden");
    project.shell("touch cases/misspelt/case.yml cases/README.md && mkfifo cases/fifo/case.yaml");
    let shown = test(&project, "hostile", &[]).expect(1).stdout;
    expect_in(&shown, &["the folder has no file `case.yaml`", "`case.yaml` is not a file", "misspelt", "fifo", "good"]);
    assert!(!shown.contains(".hidden") && !shown.contains("README"), "{shown}");
}

#[test]
fn json_tells_a_program_what_differs() {
    let project = Project::new();
    write_case(&project, "bad", "with: { act: ok, text: a }\nexpect:\n  outputs: { result: b }\n", &[]);
    write_case(&project, "good", "with: { act: ok, text: a }\nexpect:\n  outputs: { result: a }\n", &[]);
    let shown = test(&project, "hostile", &["--json"]).expect(1).stdout;
    let shown: Json = serde_json::from_str(&shown).unwrap();
    assert_eq!((shown["ok"].as_u64(), shown["failed"].as_u64()), (Some(1), Some(1)));
    let bad = &shown["cases"][0];
    assert_eq!(bad["mismatches"][0]["part"], "outputs");
    assert_eq!(bad["mismatches"][0]["line"], 3);
    assert_eq!(bad["mismatches"][0]["difference"], serde_json::json!(["- result: b", "+ result: a"]));
}

#[test]
fn cases_that_keep_something_do_not_see_each_other() {
    let project = Project::new();
    for name in ["a", "b", "c"] {
        let case = format!(
            "with: {{ act: write, path: only.txt, text: {name} }}\nexpect: {{ files: {{ only.txt: {name} }} }}\n"
        );
        write_case(&project, name, &case, &[]);
    }
    expect_in(&test(&project, "hostile", &[]).expect(0).stdout, &["ok: 3 cases"]);
}

#[test]
fn a_step_by_hand_needs_grants_and_works_in_a_directory() {
    let project = Project::new();
    let run = |more: &[&str]| project.oxide(&[&["plugin", "run", "plugins/hostile.wasm"], more].concat());
    let refused = run(&["--with", "act=ok"]).expect(3).stderr;
    expect_in(&refused, &["asks for `workspace`", "add `--grant workspace --grant environment`, or `--grant all`"]);
    let written = ["--with", "act=write", "--with", "path=a.txt", "--with", "text=hi: there", "--grant", "environment"];
    let shown = run(&[&written[..], &["--grant", "workspace"]].concat()).expect(0).stdout;
    expect_in(&shown, &["result: \"wrote 9 bytes\"", "success", "fuel"]);
    assert_eq!(fs::read_to_string(project.path("a.txt")).unwrap(), "hi: there");
    let refused = run(&[&written[..], &["--grant", "workspace=read"]].concat()).expect(1).stdout;
    expect_in(&refused, &["denied"]);
    let refused = run(&["--with", "act=oj", "--grant", "all"]).expect(3).stderr;
    expect_in(&refused, &["`oj`", "oxide plugin inspect"]);
    let refused = run(&["--with", "act=loop", "--grant", "all", "--limits", "fuel=1e7"]).expect(1).stdout;
    expect_in(&refused, &["used up its fuel", "10 M of 10 M"]);
    let refused = run(&["--with", "act=ok", "--grant", "git"]).expect(2).stderr;
    expect_in(&refused, &["does not ask for `git`"]);
}

#[test]
fn a_step_by_hand_runs_commands_and_shows_their_output_as_it_comes() {
    let mut project = Project::new();
    let script = "script=echo from the command; pwd; test \"$HOME\" != \"$PWD\" && echo $TOKEN";
    project.set("TOKEN", "hunter22");
    let arguments = ["plugin", "run", "oxide/run@1", "--with", script, "--grant", "all"];
    let ended = project.oxide(&arguments).expect(0);
    let folder = project.path("").canonicalize().unwrap();
    expect_in(&ended.stdout, &["from the command\n", &folder.display().to_string()]);
    assert!(!ended.stdout.contains("hunter22"), "the environment is a clean one: {}", ended.stdout);
    let arguments = ["plugin", "run", "oxide/run@1", "--with", "script=exit 4", "--grant", "all", "--json"];
    let failed: Json = serde_json::from_str(&project.oxide(&arguments).expect(1).stdout).unwrap();
    assert_eq!(failed["failure"]["cause"]["code"], 4);
    let spend = ["plugin", "run", "plugins/spender.wasm", "--with", "act=environment", "--grant", "environment"];
    let shown = project.oxide(&[&spend[..], &["--secret", "TOKEN"]].concat()).expect(0).stdout;
    expect_in(&shown, &["text: \"<***>\""]);
}

#[test]
fn inputs_of_a_step_by_hand_come_from_a_file_too() {
    let project = Project::new();
    fs::write(project.path("with.yaml"), "act: write\npath: a.txt\ntext: 1.50\n").unwrap();
    let run = |more: &[&str]| {
        let usual = ["plugin", "run", "plugins/hostile.wasm", "--with-file", "with.yaml", "--grant", "all"];
        project.oxide(&[&usual[..], more].concat())
    };
    run(&["--with", "path=b.txt"]).expect(0);
    assert_eq!(fs::read_to_string(project.path("b.txt")).unwrap(), "1.50");
    fs::write(project.path("with.yaml"), "act: write\npth: a.txt\n").unwrap();
    expect_in(&run(&[]).expect(3).stderr, &["with.yaml:2:1", "did you mean `path`?"]);
}

#[test]
fn a_measurement_stands_beside_the_least_that_any_plugin_takes() {
    let project = Project::new();
    let bench = ["plugin", "bench", "plugins/hostile.wasm", "--iterations", "20"];
    let by_hand = ["--with", "act=ok", "--grant", "all"];
    let shown = project.oxide(&[&bench[..], &by_hand].concat()).expect(0).stdout;
    expect_in(&shown, &["compile (first use)", "load from the cache", "warm call, p50", "p99", "floor", "20 calls"]);
    write_case(&project, "one", "with: { act: ok, text: a }\n", &[]);
    let case = ["--case", "one", "--cases", "cases", "--json"];
    let number = |value: &Json| value.as_u64().unwrap();
    let measured = || -> Json {
        let shown = project.oxide(&[&bench[..], &case].concat()).expect(0).stdout;
        serde_json::from_str(&shown).unwrap()
    };
    // A machine may stall just while it loads: not in five measurements.
    let is_usual = |shown: &Json| number(&shown["compile_us"]) > number(&shown["load_us"]);
    let shown = (0..5).map(|_| measured()).find(is_usual).expect("compiling takes longer than loading");
    assert!(number(&shown["call"]["p99_us"]) >= number(&shown["call"]["p50_us"]), "{shown}");
    assert!(number(&shown["call"]["fuel"]) > number(&shown["floor"]["call"]["fuel"]), "{shown}");
    let refused = project.oxide(&[&bench[..], &["--with", "act=panic", "--grant", "all"]].concat()).expect(3).stderr;
    expect_in(&refused, &["nothing was measured"]);
    let refused = project.oxide(&[&bench[..], &["--case", "two", "--cases", "cases"]].concat()).expect(2).stderr;
    expect_in(&refused, &["there is no case `two`", "the cases are: one"]);
}

#[test]
fn a_component_that_is_older_than_its_sources_is_told() {
    let project = Project::new();
    fs::create_dir_all(project.path("p/wit/deps")).unwrap();
    fs::create_dir_all(project.path("p/cases/one")).unwrap();
    fs::write(project.path("p/cases/one/case.yaml"), "with: { act: ok }\n").unwrap();
    fs::write(project.path("p/wit/world.wit"), "").unwrap();
    project.shell("cp plugins/hostile.wasm p/plugin.wasm && touch -d '1 minute ago' p/plugin.wasm p/wit/world.wit");
    project.shell("touch p/wit/deps/made.wit p/README.md p/cases/one/case.yaml");
    let quiet = project.oxide(&["plugin", "test", "p"]).expect(0).stderr;
    assert_eq!(quiet, "", "what the build makes, words and cases are no sources");
    project.shell("touch p/wit/world.wit");
    let told = project.oxide(&["plugin", "test", "p"]).expect(0).stderr;
    expect_in(&told, &["plugin.wasm is older than p/wit/world.wit: `oxide plugin build p` builds it again"]);
    let missing = project.oxide(&["plugin", "test", "plugins"]).expect(2).stderr;
    expect_in(&missing, &["could not read `plugins/plugin.wasm`", "`oxide plugin build plugins`"]);
}

#[test]
fn git_cache_and_artifacts_are_the_real_parts() {
    let project = Project::new();
    let file = |path: &'static str, text: &'static str| (path, text.as_bytes());
    let checkout = "with: { ref: v1, depth: 1 }\ngit:\n  commits:\n    - { message: first, files: { a.txt: one }, tags: [v1] }\n    \
                    - { message: second, files: { a.txt: two } }\nexpect:\n  files: { a.txt: one }\n";
    write_case(&project, "checkout", checkout, &[]);
    let restore = "with: { action: restore, key: k-2, restore_keys: [k-], paths: [d] }\ncache: { k-1: { d/x: old } }\n\
                   expect:\n  files: { d/x: old }\n";
    write_case(&project, "restore", restore, &[]);
    let save = "with: { action: save, key: k-1, paths: [d] }\nexpect:\n  cache: { k-1: { d/y: new } }\n";
    write_case(&project, "save", save, &[file("files/d/y", "new")]);
    let upload = "with: { name: report, paths: [out] }\nartifacts: { other: { x: y } }\nexpect:\n  artifacts: { report: { \
                  out/r.txt: text }, other: { x: y } }\n";
    write_case(&project, "upload", upload, &[file("files/out/r.txt", "text")]);
    for (plugin, case) in [
        ("oxide/checkout@1", "checkout"),
        ("oxide/cache@1", "restore"),
        ("oxide/cache@1", "save"),
        ("oxide/upload-artifact@1", "upload"),
    ] {
        project.oxide(&["plugin", "test", plugin, "--cases", "cases", "--filter", case]).expect(0);
    }
    write_case(&project, "save", &save.replace("y: new", "y: newer"), &[]);
    write_case(&project, "restore", &restore.replace("restore_keys: [k-]", "restore_keys: [l-]"), &[]);
    for (case, expected) in [("save", "`k-1/d/y` differs"), ("restore", "`d/x` is not there")] {
        let shown = project.oxide(&["plugin", "test", "oxide/cache@1", "--cases", "cases", "--filter", case]);
        expect_in(&shown.expect(1).stdout, &[expected, "case.yaml:"]);
    }
}

#[test]
fn what_is_asked_of_the_container_engine_is_scripted() {
    let project = Project::new();
    let case = "with: { tags: [\"app:1\"], push: true, username: me, password: \"${{ secrets.PW }}\" }\nsecrets: { PW: \
                s3cret-value }\ncontainers:\n  - build: { tags: [\"app:1\"] }\n    id: \"sha256:0123\"\n    log: step 1\n  - \
                push: { reference: \"app:1\", username: me, password: s3cret-value }\n    digest: \"sha256:4567\"\nexpect:\n  \
                log: [step 1]\n";
    let test = |text: &str, code: i32| {
        write_case(&project, "build", text, &[("files/Dockerfile", b"FROM scratch\n")]);
        project.oxide(&["plugin", "test", "oxide/docker-build@1", "--cases", "cases"]).expect(code).stdout
    };
    test(case, 0);
    let shown = test(&case.replace("password: s3cret-value }", "password: other }"), 1);
    expect_in(&shown, &["the script expects another", "- password: other", "+ password: s3cret-value", "case.yaml:7"]);
    let shown = test(&case.replace("digest: \"sha256:4567\"", "error: denied by the registry"), 1);
    expect_in(&shown, &["the step failed", "denied by the registry"]);
}

#[test]
fn a_step_by_hand_that_is_told_to_end_leaves_nothing() {
    let project = Project::new();
    let script = "script=echo $$ > pid; echo begun; sleep 300";
    let arguments = ["plugin", "run", "oxide/run@1", "--with", script, "--grant", "all"];
    let mut child = project.command(&arguments).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take().unwrap()), &mut first).unwrap();
    assert_eq!(first, "begun\n", "the log is shown while the step runs");
    project.shell(&format!("kill -TERM {}", child.id()));
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let pid = fs::read_to_string(project.path("pid")).unwrap();
    assert!(!std::path::Path::new("/proc").join(pid.trim()).exists(), "the command is still there");
}
