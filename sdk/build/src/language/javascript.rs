//! JavaScript and TypeScript: bundled to one module by esbuild, then put into a component with an engine.
//!
//! The tools are those of the project's `node_modules`, or of one above it, as Node itself looks for them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{Engine, LanguageError, javascript_imports, quickjs_types};
use crate::{
    embed::DocumentedWit,
    files::{FileError, write_if_changed},
    project::Project,
    tool::{Show, Tool, ToolError},
};

const ESBUILD: &str = "esbuild";
const TYPESCRIPT: &str = "typescript";
const QUICKJS: &str = "componentize-qjs";
const STARLINGMONKEY: &str = "@bytecodealliance/componentize-js";
/// It imports this package, does not bring it, and cannot use a newer one.
const STARLINGMONKEY_SHIM: &str = "@bytecodealliance/preview2-shim";

/// The versions that are known to work, as npm writes them.
const KNOWN_TO_WORK: [(&str, &str); 5] = [
    (ESBUILD, "0.28.2"),
    (TYPESCRIPT, "5.9.3"),
    (QUICKJS, "0.4.5"),
    (STARLINGMONKEY, "0.23.0"),
    (STARLINGMONKEY_SHIM, "0.25.0"),
];

/// Calls `componentize-js`, which has no program of its own. Without `disableFeatures` every plugin would import
/// `wasi:http`.
const STARLINGMONKEY_SCRIPT: &str = "\
import { componentize } from '@bytecodealliance/componentize-js';
import { writeFile } from 'node:fs/promises';
const [sourcePath, witPath, worldName, fetch, to] = process.argv.slice(2);
const disableFeatures = fetch === 'fetch' ? ['fetch-event'] : ['http', 'fetch-event'];
const { component } = await componentize({ sourcePath, witPath, worldName, disableFeatures });
await writeFile(to, component);
";

/// Builds the component of `src/plugin.js` or `src/plugin.ts`.
pub(super) fn build(project: &Project, wit: &DocumentedWit) -> Result<Vec<u8>, LanguageError> {
    check_source(project)?;
    let node = Tool::on_path("node").ok_or_else(|| ToolError::Missing {
        name: "node",
        install: "install Node.js 20 or newer from https://nodejs.org, or with `apt-get install nodejs npm`".to_owned(),
    })?;
    node.at_least((18, 0), &["--version"], "install Node.js 20 or newer from https://nodejs.org")?;
    let has_types = project.is_typescript() && project.directory.join("tsconfig.json").is_file();
    let mut packages = vec![ESBUILD];
    match project.engine {
        Engine::QuickJs => packages.push(QUICKJS),
        Engine::StarlingMonkey => packages.extend([STARLINGMONKEY, STARLINGMONKEY_SHIM]),
    }
    if has_types {
        packages.push(TYPESCRIPT);
    }
    install(project, &packages)?;

    let out = project.intermediate();
    write_if_changed(&out.join("README"), b"Made by `oxide plugin build`.\n")?;
    if has_types {
        check_types(project)?;
    }
    bundle(project)?;
    let bundled = out.join("plugin.js");
    let text = fs::read_to_string(&bundled).map_err(FileError::of("read", &bundled))?;
    javascript_imports::check(&text, wit)?;
    let component = out.join("plugin.wasm");
    match project.engine {
        Engine::QuickJs => {
            let tool = program(project, "componentize-qjs", QUICKJS)?;
            let mut command = tool.command();
            command.current_dir(&project.directory).args(["--wit", "wit", "--world", wit.world_name()]);
            command.args(["--js", "target/oxide/plugin.js", "--sync", "--output", "target/oxide/plugin.wasm"]);
            tool.run(&mut command, Show::Failure)?;
        }
        Engine::StarlingMonkey => {
            // Beside `node_modules`, so that its import is found.
            let script = out.join("componentize.mjs");
            write_if_changed(&script, STARLINGMONKEY_SCRIPT.as_bytes())?;
            let node = Tool::at("componentize-js", node.program().to_owned());
            let mut command = node.command();
            let fetch = if project.fetch { "fetch" } else { "" };
            command.current_dir(&project.directory).args(["target/oxide/componentize.mjs", "target/oxide/plugin.js"]);
            command.args(["wit", wit.world_name(), fetch, "target/oxide/plugin.wasm"]);
            node.run(&mut command, Show::Failure)?;
        }
    }
    let bytes = fs::read(&component).map_err(FileError::of("read", &component))?;
    match project.engine {
        Engine::QuickJs => quickjs_types::mend(&bytes),
        Engine::StarlingMonkey => Ok(bytes),
    }
}

/// The module of the SDK that exports what the world wants, and calls `run` of the author's `src/plugin`.
const ENTRY: &str = "oxide-sdk/entry.js";

fn check_source(project: &Project) -> Result<(), LanguageError> {
    if ["src/plugin.ts", "src/plugin.js"].iter().any(|source| project.directory.join(source).is_file()) {
        return Ok(());
    }
    let missing = project.directory.join("src/plugin.js");
    Err(LanguageError::Source(format!(
        "{} (or plugin.ts) is not there: it exports the function `run`",
        missing.display()
    )))
}

/// Makes sure that the packages are there: `npm install` brings those that package.json names.
fn install(project: &Project, packages: &[&'static str]) -> Result<(), LanguageError> {
    let is_missing = |package: &&str| find(&project.directory, package).is_none();
    if !packages.iter().any(is_missing) {
        return Ok(());
    }
    let manifest = fs::read_to_string(project.directory.join("package.json")).unwrap_or_default();
    let unnamed: Vec<_> =
        packages.iter().copied().filter(is_missing).filter(|name| !manifest.contains(&format!("\"{name}\""))).collect();
    if let [name, ..] = unnamed.as_slice() {
        let all: Vec<String> = unnamed.iter().map(|name| with_version(name)).collect();
        let install = format!("`npm install --save-dev {}` in the project installs it", all.join(" "));
        return Err(ToolError::Missing { name, install }.into());
    }
    let npm = Tool::on_path("npm").ok_or_else(|| ToolError::Missing {
        name: "npm",
        install: "it comes with Node.js from https://nodejs.org; on Debian, `apt-get install npm`".to_owned(),
    })?;
    eprintln!("$ npm install");
    let mut command = npm.command();
    command.current_dir(&project.directory).args(["install", "--no-audit", "--no-fund", "--loglevel", "error"]);
    npm.run(&mut command, Show::Everything)?;
    match packages.iter().copied().find(is_missing) {
        None => Ok(()),
        Some(name) => {
            let install = format!("`npm install --save-dev {}` in the project installs it", with_version(name));
            Err(ToolError::Missing { name, install }.into())
        }
    }
}

fn with_version(package: &str) -> String {
    let known = KNOWN_TO_WORK.iter().find(|(name, _)| *name == package);
    known.map_or(package.to_owned(), |(name, version)| format!("{name}@{version}"))
}

/// The folder of a package, as Node finds it from a folder.
fn find(directory: &Path, package: &str) -> Option<PathBuf> {
    let directory = directory.canonicalize().ok()?;
    directory.ancestors().map(|above| above.join("node_modules").join(package)).find(|folder| folder.is_dir())
}

/// The program of a package.
fn program(project: &Project, name: &'static str, package: &'static str) -> Result<Tool, LanguageError> {
    let folder = find(&project.directory, package);
    let program = folder.and_then(|folder| {
        let modules = folder.ancestors().find(|above| above.ends_with("node_modules"))?.to_owned();
        Some(modules.join(".bin").join(name)).filter(|program| program.exists())
    });
    program.map(|program| Tool::at(name, program)).ok_or_else(|| {
        let install = format!("`npm install --save-dev {}` in the project installs it", with_version(package));
        ToolError::Missing { name, install }.into()
    })
}

fn check_types(project: &Project) -> Result<(), LanguageError> {
    let tsc = program(project, "tsc", TYPESCRIPT)?;
    let mut command = tsc.command();
    command.current_dir(&project.directory).arg("--noEmit");
    Ok(tsc.run(&mut command, Show::Everything)?)
}

/// One module of the entry and all that it imports, but for the interfaces of the world.
fn bundle(project: &Project) -> Result<(), LanguageError> {
    let esbuild = program(project, "esbuild", ESBUILD)?;
    let mut command = esbuild.command();
    command.current_dir(&project.directory).arg(ENTRY).args([
        "--bundle",
        "--format=esm",
        "--platform=neutral",
        "--main-fields=module,main",
        "--target=es2023",
        "--charset=utf8",
        "--external:oxide:*",
        "--external:wasi:*",
        "--log-level=warning",
        "--outfile=target/oxide/plugin.js",
    ]);
    Ok(esbuild.run(&mut command, Show::Everything)?)
}
