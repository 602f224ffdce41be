//! `oxide registry`: a small registry for plugins and images, in the store that caches and artifacts are kept in.

use std::{
    net::{SocketAddr, ToSocketAddrs as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use oxide_core::{pipeline::parse_bytes, quantity};
use oxide_registry::server::{self, BLOB_BYTES_MAX, Registry, Right, Settings, Users};
use serde_json::json;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

use crate::{
    blobs::{self, BlobsArguments},
    exit_code::Exit,
    failure::Failure,
    local_engine, password, project,
    terminal::print,
};

/// Arguments of `oxide registry`.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Serve a registry, until Ctrl-C.
    Serve(Serve),
    /// Print the line of a users file for an account. The password comes from OXIDE_REGISTRY_PASSWORD, else it is asked for.
    Password {
        /// The name of the account.
        name: String,
        /// The account may pull, and not push.
        #[arg(long)]
        pull_only: bool,
    },
    /// Remove blobs that no manifest names any more. The registry must not be served meanwhile.
    Gc {
        /// Print what was removed as JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(clap::Args)]
struct Serve {
    /// The address to listen on; port 0 takes a free one. There is no TLS here: let a proxy add it where others listen.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:5000", value_parser = listen_address)]
    listen: SocketAddr,
    /// Let nobody push or delete.
    #[arg(long)]
    read_only: bool,
    /// Let no tag move or be removed. Tags that collect signatures may.
    #[arg(long)]
    immutable_tags: bool,
    /// A file with the accounts, a line each; `oxide registry password` prints them.
    #[arg(long, value_name = "FILE")]
    users: Option<PathBuf>,
    /// Let everybody pull without an account (Docker itself wants one wherever there are any); without `--users`, let
    /// everybody push, too.
    #[arg(long)]
    anonymous: bool,
    /// The largest blob.
    #[arg(long, value_name = "SIZE", default_value = "1GiB", value_parser = size)]
    blob_max: u64,
    /// Print where it listens as JSON.
    #[arg(long)]
    json: bool,
}

/// An address, or a name and a port: of its addresses the first of this machine, else the first.
fn listen_address(text: &str) -> Result<SocketAddr, String> {
    let found =
        text.to_socket_addrs().map_err(|error| format!("write HOST:PORT, such as `localhost:5000` ({error})"))?;
    let found: Vec<SocketAddr> = found.collect();
    let here = found.iter().find(|address| address.ip().is_loopback() || address.ip().is_unspecified());
    here.or(found.first()).copied().ok_or_else(|| "the name has no address".to_owned())
}

fn size(text: &str) -> Result<u64, String> {
    let size = parse_bytes(text).filter(|bytes| *bytes > 0);
    size.ok_or_else(|| format!("write a number and a unit, such as {}", quantity::bytes(BLOB_BYTES_MAX)))
}

/// Runs one of the subcommands.
pub fn run(arguments: &Arguments, data_dir: Option<&Path>, blobs: &BlobsArguments) -> Result<Exit, Failure> {
    match &arguments.command {
        Command::Serve(serve) => local_engine::in_runtime(run_server(serve, data_dir, blobs)),
        Command::Password { name, pull_only } => {
            let right = if *pull_only { Right::Read } else { Right::Write };
            let password = password::find(&["OXIDE_REGISTRY_PASSWORD"], &format!("password of {name}"), true)?;
            print(&format!("{}\n", Users::line(name, &password, right).map_err(Failure::usage)?))?;
            Ok(Exit::Success)
        }
        Command::Gc { json } => local_engine::in_runtime(collect(*json, data_dir, blobs)),
    }
}

/// Where uploads to a bucket are staged.
fn staging(data: &Path) -> PathBuf {
    data.join("registry").join("uploads")
}

async fn run_server(arguments: &Serve, data_dir: Option<&Path>, blobs: &BlobsArguments) -> Result<Exit, Failure> {
    let everybody = everybody(arguments)?;
    let users = arguments.users.as_deref().map(read_users).transpose()?;
    let data = project::data_directory(data_dir)?;
    let blobs = blobs::open(blobs, &data)?;
    let settings = Settings {
        staging: staging(&data),
        blob_bytes_max: arguments.blob_max,
        read_only: arguments.read_only,
        immutable_tags: arguments.immutable_tags,
        users,
        everybody,
        report: |line| eprintln!("registry: {line}"),
    };
    let place = blobs.location().to_string();
    let registry = Registry::open(&blobs, settings)
        .map_err(|error| Failure::trouble(format!("could not open the registry in {place}")).because(&error))?;
    let listener = TcpListener::bind(arguments.listen).await.map_err(|error| {
        Failure::trouble(format!("could not listen on {}", arguments.listen))
            .because(&error)
            .hint("name another address: `--listen 127.0.0.1:PORT`")
    })?;
    let address = listener.local_addr().unwrap_or(arguments.listen);
    let stop = stop_signal()?;
    print(&match arguments.json {
        true => format!("{}\n", json!({ "address": address.to_string(), "store": place })),
        false => format!("the registry listens on {address} and keeps its blobs in {place}; Ctrl-C ends it\n"),
    })?;
    server::serve_guarded(listener, Arc::clone(&registry), stop)
        .await
        .map_err(|error| Failure::trouble("the registry could not go on").because(&error))?;
    Ok(Exit::Success)
}

/// What those may do who name no account: nothing that the user did not say, except on this machine itself.
fn everybody(arguments: &Serve) -> Result<Option<Right>, Failure> {
    match (&arguments.users, arguments.anonymous) {
        (Some(_), true) => Ok(Some(Right::Read)),
        (Some(_), false) => Ok(None),
        (None, true) => Ok(Some(Right::Write)),
        (None, false) if arguments.listen.ip().is_loopback() => Ok(Some(Right::Write)),
        (None, false) => {
            Err(Failure::usage(format!("others reach {}, and everybody could push without accounts", arguments.listen))
                .hint("name the accounts with `--users FILE`: `oxide registry password NAME >> FILE` adds one")
                .hint("or say that everybody may with `--anonymous`"))
        }
    }
}

fn read_users(path: &Path) -> Result<Users, Failure> {
    let failed = |error: &dyn std::error::Error| {
        Failure::usage(format!("could not use the users file `{}`", path.display()))
            .because(error)
            .hint("`oxide registry password NAME >> FILE` adds an account")
    };
    let text = server::read_users_file(path).map_err(|error| failed(&error))?;
    let users = Users::parse(&text).map_err(|error| failed(&error))?;
    match users.count() {
        0 => Err(Failure::usage(format!("the users file `{}` has no account", path.display()))
            .hint(format!("`oxide registry password NAME >> {}` adds one", path.display()))),
        _ => Ok(users),
    }
}

/// Ready at the first Ctrl-C or SIGTERM.
fn stop_signal() -> Result<impl Future<Output = ()> + Send + 'static, Failure> {
    let failed = |error: std::io::Error| Failure::trouble("this process cannot be told to end").because(&error);
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

async fn collect(as_json: bool, data_dir: Option<&Path>, blobs: &BlobsArguments) -> Result<Exit, Failure> {
    let data = project::data_directory(data_dir)?;
    let blobs = blobs::open(blobs, &data)?;
    let collected = Registry::collect(&blobs, staging(&data), SystemTime::now()).await.map_err(|error| {
        Failure::trouble(format!("could not clean up the registry in {}", blobs.location())).because(&error)
    })?;
    print(&match as_json {
        true => {
            let (blobs, bytes, uploads) = (collected.blobs, collected.bytes, collected.uploads);
            format!("{}\n", json!({ "blobs": blobs, "bytes": bytes, "uploads": uploads }))
        }
        false => format!(
            "removed {} ({}) and {}\n",
            quantity::how_many(collected.blobs as u64, "blob"),
            quantity::bytes(collected.bytes),
            quantity::how_many(collected.uploads as u64, "abandoned upload")
        ),
    })?;
    Ok(Exit::Success)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_can_be_listened_on() {
        for (text, port) in [("localhost:5603", 5603), ("127.0.0.1:0", 0), ("[::1]:5000", 5000)] {
            let address = listen_address(text).expect("this is an address");
            assert!(address.ip().is_loopback() && address.port() == port, "{address}");
        }
        assert!(listen_address("localhost").is_err_and(|error| error.contains("HOST:PORT")));
    }
}
