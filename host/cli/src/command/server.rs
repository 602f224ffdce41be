//! `oxide server`: many pipelines, many agents, one API.

use std::path::{Path, PathBuf};

use crate::{
    blobs::BlobsArguments,
    exit_code::Exit,
    failure::Failure,
    local_engine::in_runtime,
    project,
    server::{
        self,
        config::{self, ServerConfig},
    },
    service_log,
    terminal::print,
};

/// Arguments of `oxide server`. What is not given is read from the environment, then from the file.
#[derive(clap::Args)]
pub struct Arguments {
    /// The address to listen on; port 0 takes a free one. There is no TLS here: let a proxy add it where others listen.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// How others reach this server, such as `https://ci.example.com`.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Where the other servers of the same PostgreSQL reach this one, such as `http://10.0.0.5:7780`; default: where it listens,
    /// or an address of this machine if it listens everywhere.
    #[arg(long, value_name = "URL")]
    cluster_url: Option<String>,
    /// A SQLite file, or `postgres://USER:PASSWORD@HOST/DATABASE`; default: `server.db` in the data directory.
    #[arg(long, value_name = "DATABASE")]
    database: Option<String>,
    /// NATS servers that events are published to and that agents may use.
    #[arg(long, value_name = "URL")]
    nats: Option<String>,
    /// Run no jobs in this process.
    #[arg(long)]
    no_agent: bool,
    /// A TOML file with settings; `--print-config` prints one.
    #[arg(long, value_name = "FILE", env = "OXIDE_SERVER_CONFIG")]
    config: Option<PathBuf>,
    /// Print a file with all settings and what they mean, and end.
    #[arg(long)]
    print_config: bool,
}

/// Serves until SIGTERM or Ctrl-C.
pub fn run(arguments: &Arguments, data_dir: Option<&Path>, blobs: &BlobsArguments) -> Result<Exit, Failure> {
    if arguments.print_config {
        print(&config::example())?;
        return Ok(Exit::Success);
    }
    let config = settings(arguments, blobs)?;
    let data = project::data_directory(data_dir)?;
    let level = config.log.level.parse().map_err(|_| {
        Failure::usage(format!("`{}` is no level of the log", config.log.level))
            .hint("levels are error, warn, info, debug and trace")
    })?;
    service_log::start(config.log.format, level);
    in_runtime(server::run(config, data))
}

/// The file, then the environment, then the command line.
fn settings(arguments: &Arguments, blobs: &BlobsArguments) -> Result<ServerConfig, Failure> {
    let known = |(name, _): &(String, String)| name != "OXIDE_SERVER_CONFIG";
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(known);
    let mut config = config::read(arguments.config.as_ref(), environment).map_err(|error| {
        Failure::usage("the settings cannot be used")
            .because(&error)
            .hint("`oxide server --print-config` prints all settings")
    })?;
    let given = |value: &Option<String>, setting: &mut Option<String>| {
        if value.is_some() {
            setting.clone_from(value);
        }
    };
    given(&arguments.url, &mut config.url);
    given(&arguments.cluster_url, &mut config.cluster_url);
    given(&arguments.database, &mut config.database);
    given(&arguments.nats, &mut config.nats);
    given(&blobs.blobs, &mut config.blobs);
    given(&blobs.blobs_endpoint, &mut config.blobs_endpoint);
    if let Some(listen) = &arguments.listen {
        config.listen.clone_from(listen);
    }
    if arguments.no_agent {
        config.agent.enabled = false;
    }
    Ok(config)
}
