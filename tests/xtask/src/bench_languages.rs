//! One useful plugin in each language: how large it is, and what its first use and a warm call take.

use std::{env, fs, os::unix::fs::symlink, path::Path, process::Command};

use crate::{
    languages,
    tools::{Outcome, oxide, root, say, succeed, target},
};

/// The folders of `examples/changelog`, and how the table names them.
const LANGUAGES: [(&str, &str); 6] = [
    ("rust", "Rust"),
    ("c", "C"),
    ("go", "Go"),
    ("javascript", "JavaScript"),
    ("typescript", "TypeScript"),
    ("python", "Python"),
];

/// The case that is measured: a few commits, a new file.
const CASE: &str = "first-changelog";

/// Builds each and prints the table. The tools are installed below the target folder.
pub fn run(place: &Path) -> Outcome {
    languages::install_tools()?;
    println!("| changelog in | component | first use | load from the cache | warm call, p50 | fuel | memory |");
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for (folder, name) in LANGUAGES {
        say(&format!("the changelog in {name}"));
        let plugin = build(folder, &place.join(folder))?;
        println!("{}", row(name, &plugin)?);
    }
    Ok(())
}

/// Builds a copy of the example.
fn build(folder: &str, place: &Path) -> Outcome<std::path::PathBuf> {
    let source = root().join("examples/changelog").join(folder);
    fs::create_dir_all(place).map_err(|error| format!("could not make {}: {error}", place.display()))?;
    let mut copy = Command::new("cp");
    succeed(copy.arg("-r").arg(source.join(".")).arg(place))?;
    fs::remove_dir_all(place.join("node_modules")).ok();
    if place.join("package.json").exists() {
        symlink(languages::folder().join("npm/node_modules"), place.join("node_modules"))
            .map_err(|error| format!("could not link the packages of npm: {error}"))?;
    }
    let mut build = Command::new(oxide());
    build.args(["plugin", "build", "--json", "--target-dir"]).arg(target().join("guests")).arg(place);
    build.env("PATH", search_path()?).stdout(std::process::Stdio::null());
    succeed(&mut build)?;
    Ok(place.to_path_buf())
}

/// The search path with the tools of the languages in front.
fn search_path() -> Outcome<std::ffi::OsString> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(languages::folder().join("bin")).chain(env::split_paths(&path));
    env::join_paths(folders).map_err(|error| format!("the search path cannot be used: {error}"))
}

fn row(name: &str, plugin: &Path) -> Outcome<String> {
    let mut bench = Command::new(oxide());
    bench.args(["plugin", "bench", "--json", "--case", CASE, "--cases"]);
    let output = bench.arg(root().join("examples/changelog/cases")).arg(plugin).output();
    let output = output.map_err(|error| format!("could not start oxide: {error}"))?;
    if !output.status.success() {
        return Err(format!("`oxide plugin bench` failed: {}", String::from_utf8_lossy(&output.stderr)));
    }
    let seen: serde_json::Value =
        serde_json::from_slice(&output.stdout).map_err(|error| format!("its answer is no JSON: {error}"))?;
    let number = |key: &str| {
        let found = key.split('.').try_fold(&seen, |value, part| value.get(part)).and_then(serde_json::Value::as_f64);
        found.ok_or_else(|| format!("the answer of `oxide plugin bench` has no `{key}`: {seen}"))
    };
    Ok(format!(
        "| {name} | {:.0} KiB | {:.0} ms | {:.1} ms | {:.2} ms | {:.0} k | {:.1} MiB |",
        number("size_bytes")? / 1024.0,
        number("compile_us")? / 1000.0,
        number("load_us")? / 1000.0,
        number("call.p50_us")? / 1000.0,
        number("call.fuel")? / 1000.0,
        number("call.memory_bytes")? / 1048576.0,
    ))
}
