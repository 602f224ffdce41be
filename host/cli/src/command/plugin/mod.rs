//! `oxide plugin`: a file for each of its commands.

mod add;
mod bench;
mod build;
pub mod by_hand;
mod check;
mod inspect;
mod keygen;
mod list;
mod new;
mod pull;
mod push;
mod remove;
mod run;
mod sign;
mod test;
mod update;
mod verify;

use std::path::Path;

use crate::{blobs::BlobsArguments, exit_code::Exit, failure::Failure};

/// Arguments of `oxide plugin`.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Make a plugin to begin with.
    New(new::Arguments),
    /// Build the plugin in a folder.
    Build(build::Arguments),
    /// Check that a plugin fits this host, and compare it with a published version.
    Check(check::Arguments),
    /// Run the cases of a plugin: files with inputs, scripts for commands and HTTP, and what must come of them.
    Test(test::Arguments),
    /// Run one step by hand against a directory.
    Run(run::Arguments),
    /// Measure what a plugin takes to compile, to load and to call.
    Bench(bench::Arguments),
    /// Show what a component asks for, takes and gives, from its bytes alone.
    Inspect(inspect::Arguments),
    /// Publish a plugin in a registry.
    Push(push::Arguments),
    /// Fetch plugins of registries, so that they are there without a network.
    Pull(pull::Arguments),
    /// Let the project use a plugin of a registry, after showing what it asks for.
    Add(add::Arguments),
    /// Follow tags that have moved, and show what that changes.
    Update(update::Arguments),
    /// Take a plugin out of `oxide.lock`.
    Remove(remove::Arguments),
    /// List the plugins that the project takes from registries.
    List(list::Arguments),
    /// Make a key pair for signing plugins.
    Keygen(keygen::Arguments),
    /// Sign a published plugin.
    Sign(sign::Arguments),
    /// Verify who signed a published plugin.
    Verify(verify::Arguments),
}

/// Runs one of the subcommands.
pub fn run(arguments: &Arguments, data_dir: Option<&Path>, blobs: &BlobsArguments) -> Result<Exit, Failure> {
    match &arguments.command {
        Command::New(arguments) => new::run(arguments),
        Command::Build(arguments) => build::run(arguments),
        Command::Check(arguments) => check::run(arguments),
        Command::Test(arguments) => test::run(arguments, data_dir),
        Command::Run(arguments) => run::run(arguments, data_dir, blobs),
        Command::Bench(arguments) => bench::run(arguments),
        Command::Inspect(arguments) => inspect::run(arguments),
        Command::Push(arguments) => push::run(arguments),
        Command::Pull(arguments) => pull::run(arguments, data_dir),
        Command::Add(arguments) => add::run(arguments, data_dir),
        Command::Update(arguments) => update::run(arguments, data_dir),
        Command::Remove(arguments) => remove::run(arguments),
        Command::List(arguments) => list::run(arguments, data_dir),
        Command::Keygen(arguments) => keygen::run(arguments),
        Command::Sign(arguments) => sign::run(arguments),
        Command::Verify(arguments) => verify::run(arguments, data_dir),
    }
}
