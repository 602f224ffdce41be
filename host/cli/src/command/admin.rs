//! `oxide admin`: looks after the data of a server on this machine.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use oxide_core::{cause, quantity};
use oxide_store::{KeySource, Location, Store, Vault, VaultError};

use crate::{
    exit_code::Exit,
    failure::Failure,
    local_engine::{in_runtime, now},
    project,
    server::{location, of_vault, open_store},
    terminal::{Paint, Terminal, print},
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
    /// Put a copy in the place of the database; the server must have ended. What was there is kept beside it, with
    /// `.before-restore` behind its name.
    ///
    /// Secrets need the master key of the time of the copy.
    Restore {
        /// The copy.
        file: PathBuf,
    },
    /// Encrypt all secrets with a new master key; the server may run meanwhile.
    ///
    /// Copies of the database from before need the old key: `secret.key` as it was is kept beside the new one, as
    /// `secret.key.before-rotate-NUMBER`. Keep that with the copies.
    ///
    /// The new key is made in the `secret.key` of this machine only. Other servers of the same PostgreSQL cannot read secrets until
    /// that file is copied to them; they need no restart. So that they read them all the time, add the same line `NUMBER:KEY`
    /// with the next number to the `secret.key` of each before (`openssl rand -hex 32` makes a KEY): then that key is taken.
    /// Keys in OXIDE_SECRET_KEY are always given that way, `2:NEW,1:OLD` for each server, which starts again with it.
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
                if !file.is_file() {
                    return Err(Failure::usage(format!("there is no file {}", file.display()))
                        .hint("name the copy that `oxide admin backup FILE` has made"));
                }
                let replaced = match &location {
                    Location::Sqlite(path) if path.exists() => Some(path),
                    _ => None,
                };
                Store::restore(file, &location).await.map_err(|error| Failure::of(&error))?;
                print("restored\n")?;
                if let Some(path) = replaced {
                    eprintln!("the database that was there is {}.before-restore now", path.display());
                }
                tell_of_missing_key(&location, &key_file).await?;
            }
            Command::RotateKey => {
                let store = existing(&location).await?;
                let source = KeySource::environment_or(&key_file);
                let of_file = matches!(source, KeySource::File(_));
                let vault = Vault::open(&store, source, now()).await.map_err(|error| of_vault(&error))?;
                // The old keys leave the file, and copies of the database from before cannot be read without them.
                let kept = if of_file { Some(keep(&key_file)?) } else { None };
                let done = vault.rotate(now()).await;
                if let (Err(_), Some(kept)) = (&done, &kept) {
                    forget_if_same(kept, &key_file);
                }
                let done = done.map_err(|error| of_vault(&error))?;
                let values = quantity::how_many(done.reencrypted, "value");
                print(&format!("encrypted with key {} now: {values}\n", done.version))?;
                eprintln!("copies of the database from before need the old key: {}", what_to_keep(kept.as_deref()));
            }
        }
        Ok(Exit::Success)
    })
}

/// What to keep with copies of the database that need the old key.
fn what_to_keep(kept: Option<&Path>) -> String {
    match kept {
        Some(kept) => format!("keep {} with them, and not here", kept.display()),
        None => "keep what OXIDE_SECRET_KEY was until now with them".to_owned(),
    }
}

/// Copies the file of the keys to a new one beside it, for its owner only, and returns its name.
fn keep(key_file: &Path) -> Result<PathBuf, Failure> {
    let failed =
        |error: io::Error| Failure::trouble(format!("could not keep a copy of {}", key_file.display())).because(&error);
    let mut number = 1_u64;
    loop {
        let kept = key_file.with_extension(format!("key.before-rotate-{number}"));
        let mut target = match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&kept) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                number += 1;
                continue;
            }
            opened => opened.map_err(failed)?,
        };
        let mut copy = || {
            io::copy(&mut File::open(key_file)?, &mut target)?;
            target.sync_all()
        };
        let copied: io::Result<()> = copy();
        if copied.is_err() {
            // Half a key looks like one.
            let _ = fs::remove_file(&kept);
        }
        return copied.map(|()| kept).map_err(failed);
    }
}

/// Removes the copy of a file of keys that has not changed.
fn forget_if_same(kept: &Path, key_file: &Path) {
    if let (Ok(old), Ok(new)) = (fs::read(kept), fs::read(key_file))
        && old == new
    {
        let _ = fs::remove_file(kept);
    }
}

/// Warns if the secrets of a store that was restored cannot be read with the keys that are here.
async fn tell_of_missing_key(location: &Location, key_file: &Path) -> Result<(), Failure> {
    let store = existing(location).await?;
    let source = KeySource::environment_or(key_file);
    let of_file = matches!(source, KeySource::File(_));
    let opened = Vault::open(&store, source, now()).await;
    let missing = match &opened {
        Err(VaultError::MissingKey { version, .. }) if of_file => Some(*version),
        _ => None,
    };
    let mut hint = opened.as_ref().err().and_then(VaultError::hint);
    if let Some(version) = missing
        && let Some(kept) = kept_with(&store, key_file, version).await
    {
        hint = Some(format!("add the line `{version}:` of {} to {}", kept.display(), key_file.display()));
    }
    store.close().await;
    if let Err(error) = opened {
        let paint = Paint { colour: Terminal::stderr().colour };
        eprintln!("{} its secrets cannot be read yet: {}", paint.yellow("warning:"), cause::chain(&error).join(": "));
        if let Some(hint) = hint {
            eprintln!("  {} {hint}", paint.cyan("hint:"));
        }
    }
    Ok(())
}

/// The file that was kept before an exchange of keys and holds this key of the store, if there is one.
async fn kept_with(store: &Store, key_file: &Path, version: u64) -> Option<PathBuf> {
    let start = format!("{}.before-rotate-", key_file.file_name()?.to_str()?);
    let beside = fs::read_dir(key_file.parent()?).ok()?.flatten();
    let is_kept =
        |path: &PathBuf| path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(&start));
    let mut kept: Vec<PathBuf> = beside.map(|entry| entry.path()).filter(is_kept).collect();
    kept.sort();
    for path in kept {
        if Vault::is_key_in(store, &path, version).await.unwrap_or(false) {
            return Some(path);
        }
    }
    None
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
