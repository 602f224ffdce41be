//! The command line.

use std::{ffi::OsString, path::PathBuf};

use clap::{Parser, Subcommand};

use crate::{blobs::BlobsArguments, command, exit_code};

/// CI/CD in which every step is a WebAssembly component.
#[derive(Parser)]
#[command(name = "oxide", version, after_help = exit_code::HELP)]
pub struct Arguments {
    /// Where runs, logs and compiled plugins are kept (also OXIDE_DATA_DIR; default: the user's data directory).
    #[arg(long, global = true, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    #[command(flatten)]
    pub blobs: BlobsArguments,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// One variant for each file in `command/`.
#[derive(Subcommand)]
pub enum Command {
    /// Write a first pipeline into a directory.
    Init(command::init::Arguments),
    /// Check a pipeline without running it.
    Validate(command::validate::Arguments),
    /// Show what a run would do: jobs, steps, plugins and what each may reach.
    Plan(command::plan::Arguments),
    /// Run a pipeline on this machine.
    Run(command::run::Arguments),
    /// Show the log of a run.
    Logs(command::logs::Arguments),
    /// List runs, newest first.
    Runs(command::runs::Arguments),
    /// Serve pipelines to people and agents: API, scheduler, and an agent in this process.
    Server(command::server::Arguments),
    /// Back up and restore the data of a server, and change its master key.
    Admin(command::admin::Arguments),
    /// Take jobs of a server and run them on this machine.
    Agent(command::agent::Arguments),
    /// Ask a run of a server to end.
    Cancel(command::cancel::Arguments),
    /// Run once more what a run of a server did.
    Retry(command::retry::Arguments),
    /// Stages of a server that wait for people.
    Approvals(command::approvals::Arguments),
    /// The agents of a server.
    Agents(command::agents::Arguments),
    /// The secrets of a server: values go in and never come out.
    Secrets(command::secrets::Arguments),
    /// Sign in to a server.
    Login(command::login::Login),
    /// Forget the token of a server.
    Logout(command::login::Logout),
    /// What this user told the program once: server, project.
    Config(command::config::Arguments),
    /// Print what a shell needs to complete the command line.
    Completions(command::completions::Arguments),
    /// Look at the cache of a project, and clear it.
    Cache(command::cache::Arguments),
    /// List artifacts of runs, and get their files.
    Artifacts(command::artifacts::Arguments),
    /// Look at plugins.
    Plugin(command::plugin::Arguments),
    /// Serve a small registry for plugins, and look after it.
    Registry(command::registry::Arguments),
    /// Compile one component into the compile cache; `oxide` starts itself with it.
    #[command(hide = true)]
    CompilePlugin(command::compile_plugin::Arguments),
}

/// Reads the command line. The error prints itself and knows its exit code (0 for `--help`, else 2).
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Arguments, clap::Error> {
    Arguments::try_parse_from(arguments)
}
