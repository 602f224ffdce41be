//! Python: `componentize-py` starts an interpreter, imports the plugin, and keeps what it has then.

use std::fs;

use super::LanguageError;
use crate::{
    embed::DocumentedWit,
    files::{FileError, write_if_changed},
    project::Project,
    tool::{Show, Tool, ToolError},
};

/// The module of the SDK that exports what the world wants, and calls the author's `plugin.py`.
const ENTRY: &str = "oxide_entry";

/// Builds the component of `src/plugin.py`. Packages in `vendor/` (`pip install --target vendor NAME`) can be imported.
pub(super) fn build(project: &Project, wit: &DocumentedWit) -> Result<Vec<u8>, LanguageError> {
    let tool = tool()?;
    let directory = &project.directory;
    let source = directory.join("src/plugin.py");
    if !source.is_file() {
        return Err(LanguageError::Source(format!("{} is not there: it has the function `run`", source.display())));
    }
    let component = project.intermediate().join("plugin.wasm");
    // The tool wants the folder of its output.
    write_if_changed(&project.intermediate().join("README"), b"Made by `oxide plugin build`.\n")?;
    write_stubs(project, wit, &tool)?;
    let mut command = tool.command();
    command.current_dir(directory).args(["-d", "wit", "-w", wit.world_name(), "componentize", ENTRY]);
    command.args(["-p", "src", "-p", "oxide-sdk"]);
    if directory.join("vendor").is_dir() {
        command.args(["-p", "vendor"]);
    }
    command.args(["-o", "target/oxide/plugin.wasm"]);
    // What went wrong is the author's, and so the tool's own stack is of no use.
    command.env("RUST_BACKTRACE", "0");
    // Sets and dictionaries of texts are ordered by chance otherwise.
    command.env("PYTHONHASHSEED", "0").env("PYTHONDONTWRITEBYTECODE", "1");
    tool.run(&mut command, Show::Failure)?;
    fs::read(&component).map_err(|cause| FileError::of("read", &component)(cause).into())
}

/// The bindings as editors and unit tests find them. The tool makes those of the component anew.
fn write_stubs(project: &Project, wit: &DocumentedWit, tool: &Tool) -> Result<(), LanguageError> {
    let stubs = project.directory.join("oxide-sdk/bindings");
    if stubs.exists() {
        fs::remove_dir_all(&stubs).map_err(FileError::of("remove", &stubs))?;
    }
    let mut command = tool.command();
    command.current_dir(&project.directory).args([
        "-d",
        "wit",
        "-w",
        wit.world_name(),
        "bindings",
        "oxide-sdk/bindings",
    ]);
    Ok(tool.run(&mut command, Show::Failure)?)
}

fn tool() -> Result<Tool, ToolError> {
    const NAME: &str = "componentize-py";
    let tool = Tool::on_path(NAME).or_else(|| Tool::python_module(NAME, "componentize_py"));
    let install = "`pip install componentize-py` installs it".to_owned();
    let tool = tool.ok_or(ToolError::Missing { name: NAME, install })?;
    tool.at_least((0, 25), &["--version"], "`pip install --upgrade componentize-py` brings a newer one")?;
    Ok(tool)
}
