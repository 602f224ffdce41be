//! The commands, one file each.

pub mod artifacts;
pub mod cache;
pub mod compile_plugin;
pub mod init;
pub mod logs;
pub mod plan;
pub mod plugin;
pub mod registry;
pub mod run;
pub mod runs;
pub mod validate;

use crate::{
    arguments::{Arguments, Command},
    exit_code::Exit,
    failure::Failure,
};

/// Runs one command.
pub fn run(arguments: Arguments) -> Result<Exit, Failure> {
    let data_dir = arguments.data_dir.as_deref();
    let blobs = &arguments.blobs;
    match arguments.command {
        Command::Init(arguments) => init::run(&arguments),
        Command::Validate(arguments) => validate::run(&arguments, data_dir),
        Command::Plan(arguments) => plan::run(&arguments, data_dir),
        Command::Run(arguments) => run::run(&arguments, data_dir, blobs),
        Command::Logs(arguments) => logs::run(&arguments, data_dir),
        Command::Runs(arguments) => runs::run(&arguments, data_dir),
        Command::Cache(arguments) => cache::run(&arguments, data_dir, blobs),
        Command::Artifacts(arguments) => artifacts::run(&arguments, data_dir, blobs),
        Command::Plugin(arguments) => plugin::run(&arguments, data_dir, blobs),
        Command::Registry(arguments) => registry::run(&arguments, data_dir, blobs),
        Command::CompilePlugin(arguments) => compile_plugin::run(&arguments),
    }
}
