//! The same plugin in six languages passes the same cases, and so do the plugins that try what each SDK does. The unit tests of
//! each run beside, with the tools of its language.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use crate::{
    authoring::{project, tools},
    oxide::{Project, root},
};

/// A plugin of the repository, copied, so that what its build leaves lies elsewhere.
struct Copied {
    project: Project,
    folder: PathBuf,
}

impl Copied {
    /// None where the tools of the languages are not there.
    fn of(source: &str) -> Option<Copied> {
        let tools = tools()?;
        let project = project(Some(&tools));
        let folder = project.path("plugin");
        copy(&root().join(source), &folder);
        if folder.join("package.json").exists() {
            symlink(tools.join("npm/node_modules"), folder.join("node_modules")).unwrap();
        }
        let target = root().join("target/guests").display().to_string();
        project.oxide(&["plugin", "build", "plugin", "--target-dir", &target]).expect(0);
        Some(Copied { project, folder })
    }

    /// Every case in a folder of the repository must hold.
    fn passes(&self, cases: &str) {
        let cases = root().join(cases);
        let count = fs::read_dir(&cases).unwrap().count();
        let told = self.project.oxide(&["plugin", "test", "plugin", "--cases", &cases.display().to_string()]).expect(0);
        let passed = told.stdout.lines().filter(|line| line.trim_start().starts_with("ok")).count();
        assert!(passed >= count && count > 5, "{passed} of {count} cases ran:\n{}", told.stdout);
    }

    /// A command in its folder.
    fn shell(&self, command: &str) {
        self.project.shell(&format!("cd {} && {command}", self.folder.display()));
    }
}

/// Copies a folder without what builds leave in it.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let (source, name) = (entry.path(), entry.file_name());
        let is_made = ["target", "oxide-sdk", "node_modules", "deps", "plugin.wasm"].iter().any(|made| name == *made);
        if is_made {
            continue;
        }
        match source.is_dir() {
            true => copy(&source, &to.join(name)),
            false => drop(fs::copy(&source, to.join(name)).unwrap()),
        }
    }
}

/// The example in one language: the shared cases, then the unit tests.
fn changelog(language: &str, unit_tests: Option<&str>) {
    let Some(plugin) = Copied::of(&format!("examples/changelog/{language}")) else { return };
    plugin.passes("examples/changelog/cases");
    if let Some(command) = unit_tests {
        plugin.shell(command);
    }
}

#[test]
fn the_changelog_in_rust() {
    let target = root().join("target/guests");
    changelog("rust", Some(&format!("cargo test --quiet --target-dir {}", target.display())));
}

#[test]
fn the_changelog_in_c() {
    changelog("c", None);
}

#[test]
fn the_changelog_in_go() {
    changelog("go", Some("go test ./changelog/..."));
}

#[test]
fn the_changelog_in_javascript() {
    changelog("javascript", Some("npm test --silent"));
}

#[test]
fn the_changelog_in_typescript() {
    changelog("typescript", Some("npm test --silent"));
}

#[test]
fn the_changelog_in_python() {
    changelog("python", Some("python3 -m unittest discover src"));
}

#[test]
fn the_worlds_of_the_changelog_are_equal() {
    let folder = root().join("examples/changelog");
    let world = |language: &str| fs::read_to_string(folder.join(language).join("wit/world.wit")).unwrap();
    for language in ["c", "go", "javascript", "typescript", "python"] {
        assert_eq!(world(language), world("rust"), "the world in {language}");
    }
}

/// A plugin that tries what an SDK does; the cases are the same for all SDKs that have one.
fn probe(language: &str) {
    let Some(plugin) = Copied::of(&format!("sdk/{language}/tests/probe")) else { return };
    plugin.passes("sdk/go/tests/probe/cases");
}

#[test]
fn the_sdk_of_go_does_what_it_says() {
    probe("go");
}

#[test]
fn the_sdk_of_javascript_does_what_it_says() {
    probe("javascript");
}

#[test]
fn the_sdk_of_python_does_what_it_says() {
    probe("python");
}

#[test]
fn the_unit_tests_of_the_sdks_pass() {
    let Some(tools) = tools() else { return };
    let project = project(Some(&tools));
    let (root, target) = (root().display().to_string(), root().join("target/guests").display().to_string());
    project.shell(&format!("cd {root}/sdk/rust && cargo test --quiet --all-features --target-dir {target}"));
    project.shell(&format!("node --test {root}/sdk/javascript/tests/*.test.js"));
}
