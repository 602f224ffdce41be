//! `oxide approvals`: stages of a server that wait for people.

use oxide_core::{
    api::approval::{Approval, ApprovalQuery, NewVote},
    approval::ApprovalStatus,
};

use crate::{
    exit_code::Exit,
    failure::Failure,
    local_engine::in_runtime,
    remote::{RemoteArguments, find, refused},
    terminal::{on_one_line, print},
};

/// Arguments of `oxide approvals`.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// List what waits for people.
    List {
        #[command(flatten)]
        remote: RemoteArguments,
        /// Those that have ended, too.
        #[arg(long)]
        all: bool,
        /// Print them as a JSON list.
        #[arg(long)]
        json: bool,
    },
    /// Let a stage run.
    Approve(Vote),
    /// Do not let a stage run.
    Reject(Vote),
}

#[derive(clap::Args)]
struct Vote {
    /// The id of the approval, or the beginning of it while it waits: `oxide approvals list` shows it.
    approval: String,
    #[command(flatten)]
    remote: RemoteArguments,
    /// Why, for people.
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,
}

/// Runs one of the subcommands.
pub fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    match &arguments.command {
        Command::List { remote, all, json } => list(remote, *all, *json)?,
        Command::Approve(vote) => cast(vote, true)?,
        Command::Reject(vote) => cast(vote, false)?,
    }
    Ok(Exit::Success)
}

fn list(remote: &RemoteArguments, all: bool, json: bool) -> Result<(), Failure> {
    let remote = remote.connect()?;
    let status = (!all).then_some(ApprovalStatus::Waiting);
    let mut query =
        ApprovalQuery { limit: Some(200), project: remote.project.clone(), status, ..ApprovalQuery::default() };
    let approvals = in_runtime(async {
        let mut approvals: Vec<Approval> = Vec::new();
        loop {
            let page = remote.client.approvals(&query).await.map_err(|error| refused(&error))?;
            approvals.extend(page.items);
            match page.next_cursor {
                Some(cursor) => query.cursor = Some(cursor),
                None => return Ok(approvals),
            }
        }
    })?;
    if json {
        return print(&format!("{}\n", serde_json::json!(approvals)));
    }
    if approvals.is_empty() {
        return print(if all { "nobody was asked yet\n" } else { "nothing waits for people\n" });
    }
    print(&approvals.iter().map(line).collect::<String>())
}

fn line(approval: &Approval) -> String {
    let status = serde_json::json!(approval.status).as_str().unwrap_or_default().to_owned();
    let given = approval.votes.iter().filter(|vote| vote.approve).count();
    let who: Vec<String> = approval.approvers.iter().map(ToString::to_string).collect();
    format!(
        "{}  {status:<9} {} › {}  {given} of {} from {}, until {}\n",
        approval.id,
        on_one_line(&approval.pipeline_name),
        on_one_line(&approval.stage),
        approval.minimum,
        if who.is_empty() { "anybody who may run it".to_owned() } else { on_one_line(&who.join(", ")) },
        approval.expires_at.to_rfc3339(),
    )
}

fn cast(vote: &Vote, approve: bool) -> Result<(), Failure> {
    let remote = vote.remote.connect()?;
    let new = NewVote { comment: vote.comment.clone() };
    let approval = in_runtime(async {
        let id = find::approval(&remote.client, remote.project.as_deref(), &vote.approval).await?;
        remote.client.vote(id, approve, &new).await.map_err(|error| refused(&error))
    })?;
    print(&line(&approval))
}
