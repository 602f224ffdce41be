//! `examples/c-project` as a team would live with it: checkout, cache, build and tests in a container, reports, an artifact, and
//! an image in a registry.

use std::process::Command;

use crate::{
    oxide::{Ended, Project, root},
    registry::Registry,
};

/// The example in a repository of its own.
struct Team {
    project: Project,
    registry: Registry,
}

impl Team {
    /// None where there is neither Docker nor a registry.
    fn new() -> Option<Team> {
        let registry = Registry::of_tests()?;
        let mut project = Project::new();
        project.set("REGISTRY_PASSWORD", &registry.password);
        let example = root().join("examples/c-project");
        project.shell(&format!("cp -R {}/. . && rm -rf build && git init -q -b main", example.display()));
        let team = Team { project, registry };
        team.commit("the first version");
        Some(team)
    }

    fn commit(&self, message: &str) {
        self.project.shell(&format!("git add -A && git commit -q -m '{message}'"));
    }

    fn oxide(&self, command: &str, more: &[&str]) -> Ended {
        let inputs = [
            "compiler=oxide-test/gcc:1".to_owned(),
            format!("registry={}/team", self.registry.address),
            format!("username={}", self.registry.username),
        ];
        let inputs = inputs.iter().flat_map(|input| ["--input", input]);
        let arguments: Vec<&str> = [command].into_iter().chain(inputs).chain(more.iter().copied()).collect();
        self.project.oxide(&arguments)
    }

    fn head(&self) -> String {
        let output =
            Command::new("git").args(["rev-parse", "HEAD"]).current_dir(self.project.path("")).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

#[test]
fn from_the_checkout_to_an_image_in_a_registry() {
    let Some(team) = Team::new() else { return };

    // The plan says what each step may reach, before anything runs.
    let plan = team.oxide("plan", &[]).expect(0).stdout;
    for (step, reach) in [
        ("    oxide/checkout@1", "git"),
        ("    restore cache", "cache (read only)"),
        ("    build the library", "workspace, environment"),
        ("    oxide/junit@1", "workspace (read only)"),
        ("    upload words", "artifacts"),
        ("    save cache", "cache"),
        ("    oxide/download-artifact@1", "artifacts"),
        ("    oxide/docker-build@1", "containers, secrets REGISTRY_PASSWORD"),
    ] {
        let line =
            plan.lines().find(|line| line.starts_with(step)).unwrap_or_else(|| panic!("no step {step}:\n{plan}"));
        assert!(line.contains(&format!("may reach: {reach} ·")), "{line}");
    }

    // The first run builds everything, and pushes what it has built.
    let first = team.oxide("run", &["--verbose"]).expect(0).stdout;
    assert!(first.contains("gcc -std=c11") && first.contains("-c library/table.c"), "{first}");
    assert!(first.contains("0 of 3 tests failed") && first.contains("saved `library-"), "{first}");
    let digest = team.registry.digest("team/words", &team.head());
    assert!(first.contains(&format!("/team/words@{digest}\n")), "{digest}\n{first}");
    assert!(!first.contains(&team.registry.password), "{first}");

    // The second run has the library from the cache.
    let second = team.oxide("run", &["--verbose"]).expect(0).stdout;
    assert!(second.contains("restored `library-") && !second.contains("library/table.c"), "{second}");
    assert!(second.contains("build the library  skipped"), "{second}");

    // What was built is there for people, too.
    assert!(team.project.oxide(&["artifacts", "list"]).expect(0).stdout.contains("words"));
    team.project.oxide(&["artifacts", "get", "words", "--to", "out"]).expect(0);
    team.project.shell("echo to be or not to be | out/build/words | grep -q '2 be'");

    // A mistake is marked where a test has found it, and nothing is pushed.
    team.project.shell("sed -i 's/entry->count++/entry->count += 2/' library/table.c");
    team.commit("a mistake");
    let broken = team.oxide("run", &["--verbose"]).expect(1).stdout;
    assert!(broken.contains("-c library/table.c"), "the library of the first version was used: {broken}");
    let source = std::fs::read_to_string(root().join("examples/c-project/tests/check.c")).unwrap();
    let line = 1 + source.lines().position(|line| line.contains("\"to\", 2) == 2")).unwrap();
    assert!(broken.contains(&format!("tests/check.c:{line} error: ")), "{broken}");
    assert!(broken.contains("- image  skipped"), "{broken}");
}
