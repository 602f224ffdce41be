//! Building the plugins of examples and tests.

use std::path::Path;

use crate::tools::{Outcome, root, say, target};

/// The folders with plugins that are not built in: a plugin of a user, and a workspace.
const FOLDERS: [&str; 2] = ["examples/tour/plugins/greet", "tests/guests"];

/// Makes sure that plugins can be built.
pub fn ensure_target() -> Outcome {
    oxide_plugin_build::ensure_target().map_err(|error| chain(&error))
}

/// Builds the plugin or the workspace of plugins in one folder and writes `plugin.wasm` beside each manifest.
pub fn build(folder: &Path) -> Outcome {
    say(&format!("building the plugins in {}", folder.display()));
    let target = target().join("guests");
    if folder.join("wit").is_dir() {
        return oxide_plugin_build::build_project(folder, Some(&target)).map(|_| ()).map_err(|error| chain(&error));
    }
    oxide_plugin_build::build_and_write(folder, &root().join("wit"), &target).map(|_| ()).map_err(|error| chain(&error))
}

/// Builds all of them.
pub fn build_all() -> Outcome {
    ensure_target()?;
    FOLDERS.iter().try_for_each(|folder| build(&root().join(folder)))
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(&format!(": {cause}"));
        next = cause.source();
    }
    text
}
