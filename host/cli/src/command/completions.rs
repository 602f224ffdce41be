//! `oxide completions`: what a shell needs to complete the command line.

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::{arguments, exit_code::Exit, failure::Failure, terminal::print};

/// Arguments of `oxide completions`.
#[derive(clap::Args)]
pub struct Arguments {
    /// The shell; else that of SHELL.
    shell: Option<Shell>,
}

/// Prints the script.
pub fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    let shell = arguments.shell.or_else(Shell::from_env).ok_or_else(|| {
        Failure::usage("which shell?").hint("write it: `oxide completions bash` (or zsh, fish, elvish, powershell)")
    })?;
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut arguments::Arguments::command(), "oxide", &mut script);
    print(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Success)
}
