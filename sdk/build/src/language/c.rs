//! C: `zig cc`, a C compiler that brings the C library of WebAssembly with it.

use std::{
    borrow::Cow,
    fs,
    path::{Path, PathBuf},
};

use super::{Generated, LanguageError, component_of, generate};
use crate::{
    embed::DocumentedWit,
    files::{FileError, write_if_changed},
    project::Project,
    tool::{Show, Tool, ToolError},
};

/// What the world is called in the bindings, whatever its name: `plugin.h`, `exports_plugin_run`.
const WORLD: &str = "plugin";

/// The object file with the type of the world.
const TYPE_OBJECT: &str = "plugin_component_type.o";

/// A stack of 256 KiB; the linker's own choice is 16 MiB, which every instance would have to set aside.
const STACK: &str = "-Wl,-z,stack-size=262144";

/// `bindings/plugin.{c,h}` and the object file with the type of the world.
pub(super) fn bindings(wit: &DocumentedWit) -> Result<Generated, LanguageError> {
    let options = wit_bindgen_c::Opts { rename_world: Some(WORLD.to_owned()), ..Default::default() };
    let files = generate(options.build(), wit)?;
    Ok(files.into_iter().map(|(name, contents)| (format!("bindings/{name}"), Cow::Owned(contents))).collect())
}

/// Compiles the project's sources, the SDK and the bindings.
pub(super) fn build(project: &Project, _: &DocumentedWit) -> Result<Vec<u8>, LanguageError> {
    let zig = compiler()?;
    let directory = &project.directory;
    let sources: Vec<PathBuf> =
        ["src", "oxide-sdk", "oxide-sdk/bindings"].iter().flat_map(|folder| c_files(directory, folder)).collect();
    if !sources.iter().any(|file| file.starts_with("src")) {
        return Err(LanguageError::Source(format!("{} has no .c file", directory.join("src").display())));
    }
    let module = project.intermediate().join("plugin.wasm");
    // The compiler wants the folder of its output.
    write_if_changed(&project.intermediate().join("README"), b"Made by `oxide plugin build`.\n")?;
    let out = Path::new("target/oxide/plugin.wasm");
    let mut command = zig.command();
    // Paths relative to the project: the same source gives the same component wherever it lies.
    command.current_dir(directory).args(["cc", "-target", "wasm32-wasi", "-mexec-model=reactor"]);
    command.args(["-std=c17", "-Os", "-Wall", "-s", "-Isrc", "-Ioxide-sdk", "-Ioxide-sdk/bindings"]);
    command.arg(STACK).args(&sources).arg(format!("oxide-sdk/bindings/{TYPE_OBJECT}")).arg("-o").arg(out);
    zig.run(&mut command, Show::Everything)?;
    let bytes = fs::read(&module).map_err(FileError::of("read", &module))?;
    component_of(&bytes)
}

fn compiler() -> Result<Tool, ToolError> {
    let install = "`pip install ziglang` (the Zig compiler, which compiles C) installs it";
    let zig = Tool::on_path("zig").or_else(|| Tool::python_module("zig", "ziglang"));
    let zig = zig.ok_or_else(|| ToolError::Missing { name: "zig", install: install.to_owned() })?;
    zig.at_least((0, 14), &["version"], "`pip install --upgrade ziglang` brings a newer one")?;
    Ok(zig)
}

/// The C files of a folder of the project, sorted, relative to the project.
fn c_files(directory: &Path, folder: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory.join(folder)) else { return Vec::new() };
    let files = entries.flatten().map(|entry| Path::new(folder).join(entry.file_name()));
    let mut files: Vec<PathBuf> = files.filter(|file| file.extension().is_some_and(|ending| ending == "c")).collect();
    files.sort();
    files
}
