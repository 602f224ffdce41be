//! `oxide plugin`: a file for each of its commands.

mod inspect;

use crate::{exit_code::Exit, failure::Failure};

/// Arguments of `oxide plugin`.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Show what a component asks for, takes and gives, from its bytes alone.
    Inspect(inspect::Arguments),
}

/// Runs one of the subcommands.
pub fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    match &arguments.command {
        Command::Inspect(arguments) => inspect::run(arguments),
    }
}
