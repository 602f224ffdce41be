//! The rules of the house, held by a test: who may depend on whom, no stubs, no long files, a map that is true.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::oxide::root;

/// Each crate of the host with the crates of ours that it may use. Arrows point one way.
const MAY_USE: [(&str, &[&str]); 14] = [
    ("host/core", &[]),
    ("host/blobs", &["oxide-core"]),
    ("host/store", &["oxide-core"]),
    ("host/bus", &["oxide-core"]),
    ("host/runtime", &["oxide-core", "oxide-blobs"]),
    ("host/orchestrator", &["oxide-core", "oxide-store", "oxide-bus"]),
    ("host/agent", &["oxide-core", "oxide-runtime", "oxide-registry"]),
    ("host/planner", &["oxide-core", "oxide-runtime", "oxide-registry"]),
    (
        "host/api",
        &[
            "oxide-core",
            "oxide-store",
            "oxide-bus",
            "oxide-orchestrator",
            "oxide-planner",
            "oxide-registry",
            "oxide-blobs",
        ],
    ),
    ("registry", &["oxide-core", "oxide-blobs", "oxide-plugin-build"]),
    ("sdk/client", &["oxide-core"]),
    ("sdk/build", &[]),
    ("tests/xtask", &["oxide-plugin-build"]),
    (
        "host/cli",
        &[
            "oxide-core",
            "oxide-blobs",
            "oxide-runtime",
            "oxide-registry",
            "oxide-agent",
            "oxide-planner",
            "oxide-api",
            "oxide-client",
            "oxide-orchestrator",
            "oxide-plugin-build",
            "oxide-store",
            "oxide-bus",
        ],
    ),
];

/// Each library that only some crates may know.
const KNOWN_ONLY_BY: [(&str, &[&str]); 6] = [
    ("wasmtime", &["host/runtime"]),
    ("sqlx", &["host/store"]),
    ("bollard", &["host/agent"]),
    ("object_store", &["host/blobs"]),
    ("async-nats", &["host/bus"]),
    (
        "tokio",
        &[
            "host/blobs",
            "host/runtime",
            "host/store",
            "host/bus",
            "host/orchestrator",
            "host/agent",
            "host/cli",
            "host/planner",
            "host/api",
            "registry",
            "sdk/client",
        ],
    ),
];

/// The files that git tracks or would track, below the root.
fn files() -> Vec<PathBuf> {
    let output = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let files: Vec<PathBuf> = text.lines().map(PathBuf::from).filter(|file| root().join(file).is_file()).collect();
    assert!(files.len() > 50, "git does not list the files of the project");
    files
}

fn source_files() -> impl Iterator<Item = (PathBuf, String)> {
    files().into_iter().filter(|file| file.extension().is_some_and(|extension| extension == "rs")).map(|file| {
        let text = fs::read_to_string(root().join(&file)).unwrap();
        (file, text)
    })
}

/// The dependencies of a crate that go into the program (not those of its tests).
fn dependencies(crate_folder: &str) -> Vec<String> {
    let manifest = fs::read_to_string(root().join(crate_folder).join("Cargo.toml")).unwrap();
    let mut section = String::new();
    let mut found = Vec::new();
    for line in manifest.lines() {
        if let Some(heading) = line.strip_prefix('[') {
            section = heading.trim_end_matches(']').to_owned();
        } else if matches!(section.as_str(), "dependencies" | "build-dependencies") {
            let name: String = line.chars().take_while(|c| c.is_alphanumeric() || "-_".contains(*c)).collect();
            found.extend((!name.is_empty()).then_some(name));
        }
    }
    found
}

fn crates() -> impl Iterator<Item = &'static str> {
    MAY_USE.iter().map(|(folder, _)| *folder).filter(|folder| root().join(folder).exists())
}

#[test]
fn dependencies_point_one_way() {
    for (folder, allowed) in MAY_USE.iter().filter(|(folder, _)| root().join(folder).exists()) {
        for name in dependencies(folder).iter().filter(|name| name.starts_with("oxide-")) {
            assert!(allowed.contains(&name.as_str()), "{folder} may not use {name}");
        }
    }
}

#[test]
fn every_member_of_the_workspace_has_its_rule() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let members = manifest.split("members = [").nth(1).unwrap().split(']').next().unwrap();
    for member in members.lines().map(|line| line.trim().trim_matches([',', '"'])).filter(|member| !member.is_empty()) {
        assert!(
            MAY_USE.iter().any(|(folder, _)| *folder == member),
            "{member} has no rule in tests/end_to_end/tidy.rs"
        );
    }
}

#[test]
fn only_one_crate_knows_each_heavy_library() {
    for (library, known_by) in KNOWN_ONLY_BY {
        for folder in crates().filter(|folder| !known_by.contains(folder)) {
            let found = dependencies(folder);
            assert!(!found.iter().any(|name| name == library), "{folder} may not know {library}");
        }
    }
}

#[test]
fn the_planner_never_reads_the_clock() {
    let is_test = |file: &Path| file.to_string_lossy().contains("tests");
    for (file, text) in source_files().filter(|(file, _)| file.starts_with("host/core/src") && !is_test(file)) {
        // Tests may measure.
        let text = text.split("#[cfg(test)]").next().unwrap_or_default();
        for clock in ["SystemTime::now", "Instant::now", "Timestamp::now", "Uuid::now", "Uuid::new_v"] {
            assert!(!text.contains(clock), "{} reads the clock or makes ids: {clock}", file.display());
        }
    }
}

#[test]
fn there_are_no_stubs() {
    for (file, text) in source_files().filter(|(file, _)| !file.ends_with("tidy.rs")) {
        for stub in ["todo!(", "unimplemented!(", "FIXME", "#[ignore"] {
            assert!(!text.contains(stub), "{} contains {stub}", file.display());
        }
    }
}

#[test]
fn no_file_is_too_long() {
    for (file, text) in source_files() {
        let lines = text.lines().count();
        assert!(lines < 1000, "{} has {lines} lines: a second topic has moved in", file.display());
    }
}

#[test]
fn the_map_of_the_readme_is_true() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let map = readme.split("## The tree").nth(1).expect("the README has the tree").split("```").nth(1).unwrap();
    let mut named = Vec::new();
    for line in map.lines().skip(1).filter(|line| !line.trim().is_empty()) {
        let depth = (line.len() - line.trim_start().len()) / 2;
        let name = line.split_whitespace().next().unwrap().trim_end_matches('/');
        named.truncate(depth);
        named.push(name.to_owned());
        let path: PathBuf = named.iter().collect();
        assert!(root().join(&path).exists(), "the README's tree names {}, which is not there", path.display());
    }
    let top_level: Vec<PathBuf> = fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().path()).collect();
    for folder in top_level.iter().filter(|path| path.is_dir()).filter_map(|path| path.file_name()) {
        let name = folder.to_string_lossy();
        let is_hidden = name.starts_with('.') || name == "target";
        assert!(
            is_hidden || map.lines().any(|line| line.starts_with(&format!("{name}/"))),
            "the tree does not name {name}/"
        );
    }
}

#[test]
fn the_first_two_commands_of_the_readme_are_the_promised_ones() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let blocks: Vec<&str> =
        readme.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap().trim()).collect();
    assert_eq!(blocks[0], "cargo xtask tour");
    assert_eq!(blocks[1], "cargo xtask test");
    let ci = fs::read_to_string(root().join(".ci/run")).unwrap();
    assert!(ci.lines().any(|line| line == blocks[1]), ".ci/run calls the test command of the README");
}

#[test]
fn every_wit_item_is_documented() {
    for file in
        files().into_iter().filter(|file| file.starts_with("wit") && file.extension().is_some_and(|e| e == "wit"))
    {
        let text = fs::read_to_string(root().join(&file)).unwrap();
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        for (index, line) in lines.iter().enumerate() {
            let is_item = ["interface ", "world ", "record ", "variant ", "enum ", "resource ", "flags "]
                .iter()
                .any(|word| line.starts_with(word))
                || (line.contains(": func(") && line.ends_with(';'));
            let documented = index > 0 && lines[index - 1].starts_with("///");
            assert!(!is_item || documented, "{}: `{line}` has no doc comment", file.display());
        }
    }
}

/// The rows of the table of capabilities: the name, the links to the contract and to the implementation.
fn capabilities() -> Vec<(String, Vec<String>)> {
    let readme = fs::read_to_string(root().join("sdk/capabilities.md")).unwrap();
    let section = readme.split("## Capabilities").nth(1).expect("sdk/capabilities.md has the table of capabilities");
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    let rows: Vec<_> = rows
        .map(|line| {
            let name = line.split('`').nth(1).unwrap().to_owned();
            let links = line.split("](../").skip(1).map(|rest| rest.split(')').next().unwrap().to_owned());
            (name, links.collect())
        })
        .collect();
    assert!(rows.len() > 5, "the table of capabilities was not found");
    rows
}

#[test]
fn the_table_of_capabilities_is_true() {
    let rows = capabilities();
    for (name, links) in &rows {
        for link in links {
            assert!(root().join(link).exists(), "the table says that `{name}` is in {link}, which is not there");
        }
    }
    let is_listed = |path: &str| rows.iter().any(|(_, links)| links.iter().any(|link| link == path));
    for (folder, kind) in [("wit", "wit"), ("host/runtime/src/capability", "rs")] {
        for entry in fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap()) {
            let name = entry.file_name().into_string().unwrap();
            let is_part = entry.path().is_dir() || Path::new(&name).extension().is_some_and(|found| found == kind);
            // The world that every plugin includes is no interface, nor are the texts of earlier versions.
            assert!(
                !is_part || name == "plugin.wit" || name == "released" || is_listed(&format!("{folder}/{name}")),
                "the table of capabilities in sdk/capabilities.md does not name {folder}/{name}"
            );
        }
    }
}

#[test]
fn every_function_of_the_contract_is_recorded() {
    for (interface, links) in capabilities() {
        let [contract, implementation] = &links[..] else { continue };
        let implementation = root().join(implementation);
        let files = match implementation.is_dir() {
            true => fs::read_dir(&implementation).unwrap().map(|entry| entry.unwrap().path()).collect(),
            false => vec![implementation],
        };
        let code: String =
            files.iter().filter(|file| file.is_file()).map(|file| fs::read_to_string(file).unwrap()).collect();
        let contract = fs::read_to_string(root().join(contract)).unwrap();
        for function in contract.lines().filter_map(|line| Some(line.trim().split_once(": func(")?.0)) {
            let call = format!("self.called(\"{interface}.{}\"", function.trim_start_matches('%'));
            assert!(code.contains(&call), "`{interface}.{function}` does not begin with `{call}`");
        }
    }
}

#[test]
fn every_shipped_plugin_is_alike() {
    for entry in
        fs::read_dir(root().join("plugins")).unwrap().flatten().filter(|entry| entry.path().join("Cargo.toml").exists())
    {
        for part in ["wit", "src", "tests", "README.md"] {
            let path = entry.path().join(part);
            assert!(path.exists(), "{} is not there", Path::new(&path).display());
        }
    }
}
