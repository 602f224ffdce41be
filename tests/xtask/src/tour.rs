//! The main job of a newcomer: build everything and run a real pipeline.

use std::process::Command;

use crate::{
    guests,
    tools::{Outcome, cargo, oxide, root, say, succeed},
};

/// Sets up, builds, and runs `examples/tour`.
pub fn run() -> Outcome {
    guests::ensure_target()?;
    say("building oxide with its built-in plugins (the first time takes minutes: it compiles a WebAssembly compiler)");
    succeed(&mut cargo(&["build", "--quiet", "--package", "oxide-cli"]))?;
    guests::build(&root().join("examples/tour/plugins/greet"))?;
    succeed(Command::new(oxide()).args(["run", "examples/tour"]).current_dir(root()))
}
