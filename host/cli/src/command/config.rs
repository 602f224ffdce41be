//! `oxide config`: what this user told the program once.

use oxide_client::Client;

use crate::{
    exit_code::Exit,
    failure::Failure,
    remote::{
        refused,
        settings::{Home, NAMES, without_last_slash},
    },
    terminal::print,
};

/// Arguments of `oxide config`.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Show all settings, with what they mean.
    List {
        /// Print them as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Print one setting.
    Get {
        /// Its name.
        name: String,
    },
    /// Change a setting.
    Set {
        /// Its name.
        name: String,
        /// Its new value.
        value: String,
    },
    /// Forget a setting.
    Unset {
        /// Its name.
        name: String,
    },
    /// Print where the file is.
    Path,
}

/// Runs one of the subcommands.
pub fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    let home = Home::find()?;
    let mut settings = home.settings()?;
    match &arguments.command {
        Command::List { json: true } => {
            let text = serde_json::to_string(&settings).expect("settings are text below text keys");
            print(&format!("{text}\n"))?;
        }
        Command::List { json: false } => {
            let line = |(name, meaning): &(&str, &str)| {
                let value = settings.get(name).flatten().unwrap_or_else(|| "(not set)".to_owned());
                format!("{name:<8}  {value:<32}  {meaning}\n")
            };
            print(&NAMES.iter().map(line).collect::<String>())?;
        }
        Command::Get { name } => match settings.get(name) {
            None => return Err(no_such(name)),
            Some(None) => {
                return Err(Failure::usage(format!("`{name}` is not set"))
                    .hint(format!("`oxide config set {name} VALUE` sets it")));
            }
            Some(Some(value)) => print(&format!("{value}\n"))?,
        },
        Command::Set { name, value } => {
            if !settings.set(name, Some(value.clone())) {
                return Err(no_such(name));
            }
            if name == "server" {
                // What `oxide login` would refuse is not kept.
                Client::new(&without_last_slash(value), None, None).map_err(|error| refused(&error))?;
            }
            home.write_settings(&settings)?;
        }
        Command::Unset { name } => {
            if !settings.set(name, None) {
                return Err(no_such(name));
            }
            home.write_settings(&settings)?;
        }
        Command::Path => print(&format!("{}\n", home.settings_file().display()))?,
    }
    Ok(Exit::Success)
}

fn no_such(name: &str) -> Failure {
    let names: Vec<&str> = NAMES.iter().map(|(name, _)| *name).collect();
    Failure::usage(format!("there is no setting `{name}`")).hint(format!("settings are {}", names.join(", ")))
}
