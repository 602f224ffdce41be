//! `oxide admin`: looks after the data of a server on this machine.

use std::path::{Path, PathBuf};

use oxide_store::{KeySource, Location, Store, Vault};

use crate::{
    exit_code::Exit,
    failure::Failure,
    local_engine::{in_runtime, now},
    project,
    server::{location, of_vault, open_store},
    terminal::print,
};

/// Arguments of `oxide admin`.
#[derive(clap::Args)]
pub struct Arguments {
    /// The database of the server, as `oxide server` has it; default: `server.db` in the data directory.
    #[arg(long, value_name = "DATABASE", env = "OXIDE_SERVER_DATABASE")]
    database: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Write a checked copy of the database into a new file; the server may run meanwhile. The master key is not in it.
    Backup {
        /// The new file.
        file: PathBuf,
    },
    /// Put a copy in the place of the database; the server must have ended. What was there is kept beside it.
    Restore {
        /// The copy.
        file: PathBuf,
    },
    /// Encrypt all secrets with a new master key; the server may run meanwhile.
    RotateKey,
}

/// Runs one of the subcommands.
pub fn run(arguments: &Arguments, data_dir: Option<&Path>) -> Result<Exit, Failure> {
    let data = project::data_directory(data_dir)?;
    let location = location(arguments.database.as_deref(), &data)?;
    let key_file = data.join("secret.key");
    in_runtime(async {
        match &arguments.command {
            Command::Backup { file } => {
                let store = existing(&location).await?;
                store.backup(file).await.map_err(|error| Failure::of(&error))?;
                print(&format!("the copy is {}\n", file.display()))?;
                eprintln!("keep {} with it, in another place: secrets cannot be read without it", key_file.display());
            }
            Command::Restore { file } => {
                Store::restore(file, &location).await.map_err(|error| Failure::of(&error))?;
                print("restored\n")?;
            }
            Command::RotateKey => {
                let store = existing(&location).await?;
                let source = KeySource::environment_or(&key_file);
                let vault = Vault::open(&store, source, now()).await.map_err(|error| of_vault(&error))?;
                let done = vault.rotate(now()).await.map_err(|error| of_vault(&error))?;
                print(&format!("{} secrets are encrypted with key {} now\n", done.reencrypted, done.version))?;
            }
        }
        Ok(Exit::Success)
    })
}

/// Opens a store that is there: a mistyped name makes no new one.
async fn existing(location: &Location) -> Result<Store, Failure> {
    match location {
        Location::Sqlite(path) if !path.is_file() => {
            Err(Failure::usage(format!("there is no database {}", path.display())).hint(
                "name the data directory of the server with `--data-dir DIR`, or the file with `--database FILE`",
            ))
        }
        _ => open_store(location).await,
    }
}
