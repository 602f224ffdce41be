//! Plugins that were built for a released version of the contract run on every later host of the same line: the text of today
//! is compared with each released one.

#![expect(clippy::unwrap_used, reason = "a test may unwrap, and so may what only tests call")]

use std::{
    fs,
    path::{Path, PathBuf},
};

use wit_parser::{Resolve, UnresolvedPackageGroup, WorldId};

/// Both texts have the same name and version, so the older one gets another.
const OLDER: &str = "-released";

fn contract() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit").canonicalize().unwrap()
}

/// The WIT files of a folder as one text, which has the `package` line in one of them only.
fn text_of(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path()).collect();
    files.retain(|file| file.extension().is_some_and(|ending| ending == "wit"));
    files.sort();
    files.into_iter().map(|file| (file.clone(), fs::read_to_string(file).unwrap())).collect()
}

fn version_of(text: &[(PathBuf, String)]) -> String {
    let begin = "package oxide:ci@";
    let line = text.iter().flat_map(|(_, text)| text.lines()).find(|line| line.starts_with(begin)).unwrap();
    line.trim_start_matches(begin).trim_end_matches(';').to_owned()
}

/// The names of the interfaces.
fn interfaces(text: &[(PathBuf, String)]) -> Vec<String> {
    let lines = text.iter().flat_map(|(_, text)| text.lines());
    let names = lines.filter_map(|line| line.strip_prefix("interface ")?.strip_suffix(" {"));
    names.map(str::to_owned).collect()
}

fn push(resolve: &mut Resolve, text: &[(PathBuf, String)]) {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in text {
        fs::write(folder.path().join(path.file_name().unwrap()), text).unwrap();
    }
    let group = UnresolvedPackageGroup::parse_dir(folder.path()).unwrap();
    resolve.push_group(group).unwrap();
}

/// A world that imports these interfaces of this version, as the plugin that uses everything does.
fn push_world(resolve: &mut Resolve, own_version: &str, version: &str, interfaces: &[String]) -> WorldId {
    let imports: String = interfaces.iter().map(|name| format!("import oxide:ci/{name}@{version};\n")).collect();
    let text = format!("package check:everything@{own_version};\nworld everything {{\n{imports}}}\n");
    let package = resolve.push_source("check.wit", &text).unwrap();
    resolve.packages[package].worlds["everything"]
}

/// May the older text be replaced by the newer one, under plugins that were built for the older?
fn check(older: &[(PathBuf, String)], newer: &[(PathBuf, String)]) -> Result<(), String> {
    let version = version_of(newer);
    let released = format!("{}{OLDER}", version_of(older));
    let renamed: Vec<_> = older
        .iter()
        .map(|(path, text)| (path.clone(), text.replace(&format!("@{};", version_of(older)), &format!("@{released};"))))
        .collect();
    let mut resolve = Resolve::default();
    push(&mut resolve, &renamed);
    push(&mut resolve, newer);
    let before = push_world(&mut resolve, "1.0.0", &released, &interfaces(older));
    let after = push_world(&mut resolve, "2.0.0", &version, &interfaces(newer));
    wit_component::semver_check(resolve, before, after).map_err(|error| format!("{error:#}"))
}

#[test]
fn plugins_built_for_a_released_contract_fit_the_one_of_today() {
    let today = text_of(&contract());
    let mut versions = 0;
    for entry in fs::read_dir(contract().join("released")).unwrap().flatten() {
        let released = text_of(&entry.path());
        assert_eq!(version_of(&released), entry.file_name().into_string().unwrap(), "the folder has another name");
        check(&released, &today).unwrap_or_else(|error| panic!("{} breaks: {error}", entry.path().display()));
        versions += 1;
    }
    assert!(versions > 0, "no version was released");
}

/// The texts with one of them changed.
fn changed(text: &[(PathBuf, String)], from: &str, to: &str) -> Vec<(PathBuf, String)> {
    let all: Vec<_> = text.iter().map(|(path, text)| (path.clone(), text.replacen(from, to, 1))).collect();
    assert_ne!(all, text, "`{from}` is not there");
    all
}

#[test]
fn what_breaks_plugins_is_refused_and_what_they_cannot_notice_is_not() {
    let text = text_of(&contract());
    for (from, to) in [
        // A function is gone.
        ("progress: func(done: u64, total: u64);", ""),
        // It takes one parameter more.
        ("start-group: func(title: string);", "start-group: func(title: string, folded: bool);"),
        // An enum, a variant and a record have one more.
        ("    hangup,\n  }", "    hangup,\n    quit,\n  }"),
        ("    /// Any other reason, as a sentence.\n    other(string),", "    other(string),\n    busy(string),"),
        ("    executable: bool,\n  }", "    executable: bool,\n    changed-at: s64,\n  }"),
    ] {
        assert!(check(&text, &changed(&text, from, to)).is_err(), "this must break: {to}");
    }
    for (from, to) in [
        ("end-group: func();", "end-group: func();\n  flush: func();"),
        ("interface log {", "interface clipboard { copy: func(text: string); }\n\ninterface log {"),
    ] {
        check(&text, &changed(&text, from, to)).unwrap();
    }
}
