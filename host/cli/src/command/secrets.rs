//! `oxide secrets`: the secrets of a server. Values go in and never come out.

use std::io::{IsTerminal as _, Read as _, stdin};

use oxide_core::api::secret::{NewSecret, SecretPlace, SecretQuery, SecretScope};

use crate::{
    exit_code::Exit,
    failure::Failure,
    local_engine::in_runtime,
    password,
    remote::{RemoteArguments, refused},
    terminal::print,
};

/// The longest secret.
const BYTES_MAX: u64 = 64 << 10;

/// Arguments of `oxide secrets`.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Keep a secret. Its value is read from the standard input, or asked for on a terminal.
    Set {
        /// The name by which steps know it.
        name: String,
        #[command(flatten)]
        place: Place,
    },
    /// List the names of secrets.
    List {
        #[command(flatten)]
        place: Place,
        /// Print them as a JSON list.
        #[arg(long)]
        json: bool,
    },
    /// Forget a secret.
    Delete {
        /// The name.
        name: String,
        #[command(flatten)]
        place: Place,
    },
}

/// Whose secret it is.
#[derive(clap::Args)]
struct Place {
    #[command(flatten)]
    remote: RemoteArguments,
    /// Of the whole organization, for all projects.
    #[arg(long, conflicts_with = "pipeline")]
    organization: bool,
    /// Of one pipeline of the project.
    #[arg(long, value_name = "NAME")]
    pipeline: Option<String>,
}

impl Place {
    fn scope(&self) -> SecretScope {
        match (self.organization, &self.pipeline) {
            (true, _) => SecretScope::Organization,
            (false, Some(_)) => SecretScope::Pipeline,
            (false, None) => SecretScope::Project,
        }
    }

    fn query(&self, project: Option<String>) -> SecretQuery {
        let project = project.filter(|_| !self.organization);
        SecretQuery { scope: Some(self.scope()), project, pipeline: self.pipeline.clone(), ..SecretQuery::default() }
    }
}

/// Runs one of the subcommands.
pub fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    match &arguments.command {
        Command::Set { name, place } => {
            let remote = place.remote.connect()?;
            let value = value(name)?;
            let scope = place.scope();
            let project = remote.project.clone().filter(|_| scope != SecretScope::Organization);
            let secret = NewSecret { name: name.clone(), value, scope, project, pipeline: place.pipeline.clone() };
            in_runtime(async { remote.client.set_secret(&secret).await.map_err(|error| refused(&error)) })?;
            print(&format!("{name} is kept\n"))?;
        }
        Command::List { place, json } => {
            let remote = place.remote.connect()?;
            let mut query = place.query(remote.project.clone());
            if !place.organization && place.pipeline.is_none() {
                // All that the caller may know of, wherever it belongs.
                query.scope = None;
            }
            let secrets = in_runtime(async {
                let mut secrets = Vec::new();
                loop {
                    let page = remote.client.secrets(&query).await.map_err(|error| refused(&error))?;
                    secrets.extend(page.items);
                    match page.next_cursor {
                        Some(cursor) => query.cursor = Some(cursor),
                        None => return Ok(secrets),
                    }
                }
            })?;
            if *json {
                print(&format!("{}\n", serde_json::json!(secrets)))?;
            } else {
                let scope = |scope: SecretScope| serde_json::json!(scope).as_str().unwrap_or_default().to_owned();
                let line = |secret: &oxide_core::api::secret::Secret| {
                    format!("{:<30} {:<12} {}\n", secret.name, scope(secret.scope), secret.updated_at.to_rfc3339())
                };
                if secrets.is_empty() {
                    print("there are no secrets; `oxide secrets set NAME < FILE` keeps one\n")?;
                }
                print(&secrets.iter().map(line).collect::<String>())?;
            }
        }
        Command::Delete { name, place } => {
            let remote = place.remote.connect()?;
            let SecretQuery { scope, project, pipeline, .. } = place.query(remote.project.clone());
            let place = SecretPlace { scope, project, pipeline };
            in_runtime(async { remote.client.delete_secret(name, &place).await.map_err(|error| refused(&error)) })?;
            print(&format!("{name} is forgotten\n"))?;
        }
    }
    Ok(Exit::Success)
}

/// A value is never an argument: others would see it in the list of processes.
fn value(name: &str) -> Result<String, Failure> {
    if stdin().is_terminal() {
        return password::find(&[], &format!("value of {name}"), false);
    }
    let mut bytes = Vec::new();
    let read = stdin().take(BYTES_MAX + 1).read_to_end(&mut bytes);
    read.map_err(|error| Failure::trouble("could not read the standard input").because(&error))?;
    if bytes.len() as u64 > BYTES_MAX {
        return Err(Failure::usage("the value is longer than 64 KiB"));
    }
    let mut text = String::from_utf8(bytes)
        .map_err(|_| Failure::usage("the value is no UTF-8 text").hint("encode it: `base64`"))?;
    // The line break that `echo` adds is none of the value.
    if text.ends_with('\n') {
        text.pop();
    }
    if text.is_empty() {
        return Err(Failure::usage("the value is empty")
            .hint("write it into the standard input: `oxide secrets set NAME < FILE`"));
    }
    Ok(text)
}
