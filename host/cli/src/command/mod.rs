//! The commands, one file each.

pub mod admin;
pub mod agent;
pub mod agents;
pub mod approvals;
pub mod artifacts;
pub mod cache;
pub mod cancel;
pub mod compile_plugin;
pub mod completions;
pub mod config;
pub mod init;
pub mod login;
pub mod logs;
pub mod plan;
pub mod plugin;
pub mod registry;
pub mod retry;
pub mod run;
pub mod runs;
pub mod secrets;
pub mod server;
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
        Command::Admin(arguments) => admin::run(&arguments, data_dir),
        Command::Server(arguments) => server::run(&arguments, data_dir, blobs),
        Command::Agent(arguments) => agent::run(&arguments, data_dir, blobs),
        Command::Cancel(arguments) => cancel::run(&arguments),
        Command::Retry(arguments) => retry::run(&arguments),
        Command::Approvals(arguments) => approvals::run(&arguments),
        Command::Agents(arguments) => agents::run(&arguments),
        Command::Secrets(arguments) => secrets::run(&arguments),
        Command::Login(arguments) => login::login(&arguments),
        Command::Logout(arguments) => login::logout(&arguments),
        Command::Config(arguments) => config::run(&arguments),
        Command::Completions(arguments) => completions::run(&arguments),
        Command::Cache(arguments) => cache::run(&arguments, data_dir, blobs),
        Command::Artifacts(arguments) => artifacts::run(&arguments, data_dir, blobs),
        Command::Plugin(arguments) => plugin::run(&arguments, data_dir, blobs),
        Command::Registry(arguments) => registry::run(&arguments, data_dir, blobs),
        Command::CompilePlugin(arguments) => compile_plugin::run(&arguments),
    }
}
