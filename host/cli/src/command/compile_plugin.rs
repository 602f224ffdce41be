//! `oxide compile-plugin`: what this program does when it is started by itself to compile a component.
//!
//! A component from outside may take all time and memory to compile: here it takes those of a process that is bounded.

use crate::{exit_code::Exit, failure::Failure};

/// Arguments of `oxide compile-plugin`.
#[derive(clap::Args)]
pub struct Arguments {
    /// What to compile and how, as the runtime writes it. The component is the standard input.
    order: String,
}

/// The name of the command, with which [`crate::local_engine`] starts it.
pub const NAME: &str = "compile-plugin";

/// Compiles; whoever ordered it reads the report on the standard output.
pub fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    match oxide_runtime::compile::child::run(&arguments.order) {
        Ok(()) => Ok(Exit::Success),
        Err(error) => Err(Failure::trouble("nobody reads what became of it").because(&error)),
    }
}
