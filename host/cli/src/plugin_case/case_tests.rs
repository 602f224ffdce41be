use super::*;

fn refused(source: &str) -> String {
    match Case::parse("c", Path::new("/nonexistent"), source) {
        Ok(case) => panic!("{case:?}"),
        Err(errors) => errors.render("case.yaml", source, false),
    }
}

fn read(source: &str) -> Case {
    Case::parse("c", Path::new("/nonexistent"), source)
        .unwrap_or_else(|errors| panic!("{}", errors.render("case.yaml", source, false)))
}

#[test]
fn every_mistake_has_its_line_and_says_what_to_write() {
    for (source, place, expected) in [
        ("wiht: {}\n", "case.yaml:1:1", "did you mean `with`?"),
        ("with: {}\nexpect:\n  outptus: {}\n", "case.yaml:3:3", "did you mean `outputs`?"),
        ("environment:\n  commands:\n    - run: git status\n", "case.yaml:3:12", "write `run: [git, status]`"),
        ("environment:\n  commands:\n    - stdout: x\n", "case.yaml:3:7", "the command has no `run`"),
        ("environment: { commands: [{ run: [] }] }\n", "case.yaml:1:34", "`run` names no program"),
        (
            "environment:\n  commands:\n    - run: [a]\n      exit_cod: 1\n",
            "case.yaml:4:7",
            "did you mean `exit_code`?",
        ),
        ("environment: { commands: [{ run: [a], exit_code: 1, signal: 9 }] }\n", "case.yaml:1", "not both"),
        ("expect:\n  files:\n    ../x: text\n", "case.yaml:3:5", "without `..`"),
        ("expect:\n  files:\n    /etc/passwd: text\n", "case.yaml:3:5", "write a relative path"),
        ("environment:\n  commands:\n    - run: [a]\n      writes: { a/../../b: x }\n", "case.yaml:4", "without `..`"),
        ("expect:\n  files: { a: { file: ../../secret } }\n", "case.yaml:2", "without `..`"),
        ("expect:\n  files: { a: { file: gone.txt } }\n", "case.yaml:2", "relative to the folder of the case"),
        ("expect: { outputs: {}, failure: x }\n", "case.yaml:1", "a step that fails has no outputs"),
        ("expect: { limits: { handles: 3 } }\n", "case.yaml:1", "the keys of the limits that are expected are"),
        ("secrets: { T: abc }\n", "case.yaml:1", "it needs 6"),
        ("secrets: { a-b: abcdefgh }\n", "case.yaml:1", "cannot be the name of a secret"),
        ("http:\n  - request: { url: api.example }\n    response: {}\n", "case.yaml:2", "is no URL"),
        ("http:\n  - request: { url: \"https://a.io\" }\n", "case.yaml:2", "has no `response`"),
        ("http: { request: {} }\n", "case.yaml:1", "must be a list"),
        ("grants: { workspce: write }\n", "case.yaml:1", "did you mean `workspace`?"),
        ("limits: { fuel: lots }\n", "case.yaml:1", "a number such as `20e9`"),
        ("run_info: { brnach: x }\n", "case.yaml:1", "did you mean `branch`?"),
        ("git: { commits: [] }\n", "case.yaml:1", "the repository has no commits"),
        (
            "git:\n  commits:\n    - message: m\n      files: { \".GIT/config\": x }\n",
            "case.yaml:4",
            "which belongs to git",
        ),
        ("containers: [{ build: {}, push: {} }]\n", "case.yaml:1", "a call is one of"),
        ("expect: { annotations: [{ severity: bad }] }\n", "case.yaml:1", "`notice`, `warning` or `error`"),
        ("- a\n", "case.yaml:1:1", "a case must be a mapping"),
        ("a: [\n", "case.yaml:", "error"),
        ("a: {}\n---\nb: {}\n", "case.yaml:2", "a file holds one case"),
    ] {
        let shown = refused(source);
        assert!(shown.contains(place) && shown.contains(expected), "`{place}`, `{expected}` of\n{source}\n{shown}");
        assert!(!shown.contains("pipeline"), "{shown}");
    }
}

#[test]
fn an_empty_case_is_told_what_to_write() {
    for source in ["", "\n", "# only words\n"] {
        let shown = refused(source);
        assert!(shown.contains("the file is empty") && shown.contains("expect: { outputs"), "{shown}");
    }
}

#[test]
fn everything_that_is_written_is_read() {
    let case = read(
        "with: { a: 1 }\nsecrets: { TOKEN: s3cret-value }\nrun_info: { branch: main, matrix: { os: debian } }\n\
         environment:\n  programs: [make]\n  commands:\n    - run: [git, log, -1]\n      env: { A: b }\n      stdin: in\n      \
         stdout: |\n        out\n      exit_code: 3\n      writes: { x/y: z }\n    - { run: [sleep], signal: 9 }\n\
         http:\n  - request: { method: POST, url: \"https://a.io/x\", headers: { X-A: b }, body: text }\n    response: { \
         status: 201, body: ok }\n  - { request: { url: \"https://a.io\" }, error: gone }\n\
         cache: { k: { a: b } }\nartifacts: { n: { a: b } }\n\
         containers: [{ build: { tags: [t] }, id: \"sha256:1\" }, { push: { reference: r }, error: denied }]\n\
         expect: { files: { a: b, c: null }, log: [x], annotations: [], summary: s, limits: { fuel: 5 } }\n",
    );
    assert_eq!(case.run_info.git_ref.as_deref(), Some("refs/heads/main"));
    let commands = &case.environment.commands;
    assert_eq!(
        (commands[0].run.len(), commands[0].exit, commands[0].stdout.as_slice()),
        (3, Exit::Code(3), &b"out\n"[..])
    );
    assert_eq!(commands[1].exit, Exit::Signalled(9));
    assert_eq!(case.http[0].response.as_ref().unwrap().status, 201);
    assert_eq!(case.http[1].response.as_ref().unwrap_err(), "gone");
    assert_eq!(case.containers[1].answer, Err("denied".to_owned()));
    let expect = case.expect.unwrap();
    assert!(expect.files[1].1.is_none() && expect.annotations.unwrap().0.is_empty());
    assert_eq!((expect.limits.fuel, case.cache.len(), case.artifacts.len()), (Some(5), 1, 1));
}
