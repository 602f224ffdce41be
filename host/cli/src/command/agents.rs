//! `oxide agents`: the agents of a server.

use oxide_core::{
    api::{
        agent::{Agent, NewAgentToken},
        page::PageQuery,
    },
    event::AgentStatus,
    quantity,
};

use crate::{
    exit_code::Exit,
    failure::Failure,
    local_engine::in_runtime,
    remote::{Remote, RemoteArguments, find, refused},
    terminal::{Paint, Terminal, on_one_line, print},
};

/// Arguments of `oxide agents`.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// List the agents: state, labels, what they can, how busy their machines are.
    List {
        #[command(flatten)]
        remote: RemoteArguments,
        /// Print them as a JSON list.
        #[arg(long)]
        json: bool,
    },
    /// Let an agent finish its jobs and take no more. It stays connected.
    Drain {
        /// Its id, the beginning of it, or its name.
        agent: String,
        #[command(flatten)]
        remote: RemoteArguments,
        /// Let it take jobs again.
        #[arg(long)]
        undo: bool,
    },
    /// Take an agent's credential away; its jobs are lost, and get new attempts where `retry` allows.
    Remove {
        /// Its id, the beginning of it, or its name.
        agent: String,
        #[command(flatten)]
        remote: RemoteArguments,
    },
    /// Make a token with which one agent can join.
    Token {
        #[command(flatten)]
        remote: RemoteArguments,
        /// What it is for, for people.
        #[arg(long, value_name = "TEXT", default_value = "")]
        name: String,
        /// The labels of that agent, exactly these, with commas between them. Without them it chooses its labels itself, and
        /// so may get any job with its secrets.
        #[arg(long, value_name = "LABELS", value_delimiter = ',')]
        labels: Option<Vec<String>>,
    },
}

/// Runs one of the subcommands.
pub fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    match &arguments.command {
        Command::List { remote, json } => list(&remote.connect()?, *json)?,
        Command::Drain { agent, remote, undo } => {
            let remote = remote.connect()?;
            let agent = in_runtime(async {
                let found = find::agent(&remote.client, agent).await?;
                remote.client.drain_agent(found.id, !undo).await.map_err(|error| refused(&error))
            })?;
            print(&format!("{} {}\n", on_one_line(&agent.name), drained(agent.status, !undo)))?;
        }
        Command::Remove { agent, remote } => {
            let remote = remote.connect()?;
            let name = in_runtime(async {
                let found = find::agent(&remote.client, agent).await?;
                remote.client.delete_agent(found.id).await.map_err(|error| refused(&error))?;
                Ok(found.name)
            })?;
            print(&format!("{} is no agent of {} any more\n", on_one_line(&name), remote.server))?;
        }
        Command::Token { remote, name, labels } => {
            let remote = remote.connect()?;
            let new = NewAgentToken { name: name.clone(), labels: labels.clone(), expires_at: None };
            let token =
                in_runtime(async { remote.client.create_agent_token(&new).await.map_err(|error| refused(&error)) })?;
            eprintln!("for one agent, until {}:", token.about.expires_at.to_rfc3339());
            eprintln!("oxide agent --server {} --token …", remote.server);
            print(&format!("{}\n", token.token))?;
        }
    }
    Ok(Exit::Success)
}

/// What draining, or its end, means for an agent.
fn drained(status: AgentStatus, drain: bool) -> &'static str {
    match (status, drain) {
        (AgentStatus::Offline, true) => "gets no jobs; it is not connected",
        (AgentStatus::Offline, false) => "gets jobs again when it is back; it is not connected",
        (_, true) => "finishes its jobs and takes no more; `--undo` gives it jobs again",
        (_, false) => "takes jobs again",
    }
}

fn list(remote: &Remote, json: bool) -> Result<(), Failure> {
    let agents = in_runtime(async {
        let mut agents = Vec::new();
        let mut query = PageQuery { limit: Some(200), cursor: None };
        loop {
            let page = remote.client.agents(&query).await.map_err(|error| refused(&error))?;
            agents.extend(page.items);
            match page.next_cursor {
                Some(cursor) => query.cursor = Some(cursor),
                None => return Ok(agents),
            }
        }
    })?;
    if json {
        return print(&format!("{}\n", serde_json::json!(agents)));
    }
    if agents.is_empty() {
        return print("there are no agents; `oxide agents token` makes a token with which one can join\n");
    }
    let paint = Paint { colour: Terminal::stdout().colour };
    print(&agents.iter().map(|agent| line(agent, paint)).collect::<String>())
}

fn line(agent: &Agent, paint: Paint) -> String {
    let word = serde_json::json!(agent.status).as_str().unwrap_or_default().to_owned();
    let padded = format!("{word:<9}");
    let status = match agent.status {
        AgentStatus::Offline => paint.red(&padded),
        _ if agent.draining => paint.yellow(&padded),
        _ => paint.green(&padded),
    };
    let can: Vec<String> =
        agent.capabilities.iter().map(|can| serde_json::json!(can).as_str().unwrap_or_default().to_owned()).collect();
    let busy = agent.metrics.as_ref().map_or(String::new(), |metrics| {
        format!(
            "  cpu {:.0} %, memory {}/{}",
            metrics.cpu_percent,
            quantity::bytes(metrics.memory_used_bytes),
            quantity::bytes(metrics.memory_total_bytes)
        )
    });
    let name = on_one_line(&agent.name);
    let id: String = agent.id.to_string().chars().take(18).collect();
    let labels = on_one_line(&agent.labels.join(", "));
    format!(
        "{status} {name:<20} {} {} slots  [{labels}] {}{}\n",
        paint.dim(&id),
        agent.slots,
        can.join(" "),
        paint.dim(&busy)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_that_is_not_there_is_not_said_to_take_jobs() {
        assert_eq!(drained(AgentStatus::Idle, false), "takes jobs again");
        assert_eq!(drained(AgentStatus::Offline, false), "gets jobs again when it is back; it is not connected");
    }
}
