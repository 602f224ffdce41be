//! `oxide`, the one program: reads the command line and hands over to a command.
//!
//! Each command is a file in `command/`; `local_engine` puts store, orchestrator and agent into one process; `progress`
//! shows a run while it goes.

mod agent_parts;
mod arguments;
mod blobs;
mod command;
mod compiling;
mod config_example;
mod config_file;
mod exit_code;
mod failure;
mod git_facts;
mod local_engine;
mod nats_settings;
mod password;
mod planning;
mod plugin_case;
mod progress;
mod project;
mod registries;
mod remote;
mod secrets;
mod server;
mod service_log;
mod terminal;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = match arguments::parse(std::env::args_os()) {
        Ok(arguments) => arguments,
        Err(refusal) => refusal.exit(),
    };
    match command::run(arguments) {
        Ok(outcome) => outcome.into(),
        Err(failure) => {
            failure.print();
            failure.exit.into()
        }
    }
}
