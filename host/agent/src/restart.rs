//! What an agent does for the attempts that it had when it was killed: what it kept of them is told, and that they ended.

use std::{path::Path, time::Duration};

use oxide_core::{
    cause::in_one_line,
    id::{AgentId, AttemptId},
    outcome::{Failure, FailureCause, Status},
    protocol::{Acknowledgement, Complete, JobOutcome},
};

use crate::{
    Session, SessionError,
    job::Tools,
    report::{Undelivered, deliver},
    spool::{Message, left::LeftAttempt},
    sweep::sweep_agent,
};

/// Why an attempt ended that another process of this agent ran.
const RESTARTED: &str = "the agent was restarted";
/// How often the remains of a killed process are tried again.
const SWEEP_PAUSE: Duration = Duration::from_secs(5);

/// Begins the session of an agent that may have run before under the same id. What a killed process of it left on this
/// machine is removed first: processes, containers, directories. Waits until all of that is gone, for it may still work on
/// what others do now.
///
/// # Errors
/// If another process runs as this agent, or nothing can be written.
pub async fn resume(data_dir: &Path, agent: AgentId) -> Result<Session, SessionError> {
    let mut told = Vec::new();
    while let Some(dead) = sweep_agent(data_dir, agent).await {
        if dead.left_behind.is_empty() {
            dead.forget();
            break;
        }
        if told != dead.left_behind {
            told.clone_from(&dead.left_behind);
            for left in &told {
                tracing::warn!("before this agent takes jobs, it removes what it left when it was killed: {left}");
            }
        }
        drop(dead);
        tokio::time::sleep(SWEEP_PAUSE).await;
    }
    Session::begin(data_dir, agent)
}

/// How an attempt ended that was not the fault of its job.
pub(crate) fn lost(reason: &str) -> JobOutcome {
    JobOutcome {
        status: Status::Failure,
        reason: Some(reason.to_owned()),
        failure: Some(Failure::new(FailureCause::AgentLost, reason)),
        outputs: serde_json::Map::new(),
    }
}

/// Tells what an earlier process could not tell of an attempt, and that it has ended. Ends when the orchestrator has heard it or
/// does not want to.
pub(crate) async fn replay(tools: &Tools, left: LeftAttempt) {
    let attempt = left.attempt;
    let mut told = 0;
    for message in left.messages() {
        let message = match message {
            Ok(message) => message,
            Err(damage) => {
                tracing::warn!("attempt {attempt}: what follows is lost: {}", in_one_line(&damage));
                break;
            }
        };
        let ends = matches!(message, Message::Complete(_));
        match deliver(&*tools.link, &message).await {
            Ok(Acknowledgement::Stored | Acknowledgement::Duplicate) => told += 1,
            Ok(Acknowledgement::Stale) => {
                tracing::info!("attempt {attempt}: the server does not want it any more");
                return left.forget();
            }
            Err(Undelivered::Gone) => return,
            Err(error) => {
                tracing::error!("attempt {attempt}: a report that was kept cannot be told: {error}");
                break;
            }
        }
        if ends {
            tracing::info!("attempt {attempt}: told {told} messages that were kept, its end among them");
            return left.forget();
        }
    }
    complete_as_lost(tools, attempt, told, left).await;
}

async fn complete_as_lost(tools: &Tools, attempt: AttemptId, told: u32, left: LeftAttempt) {
    let complete = Complete { agent: tools.agent, attempt, at: (tools.clock)(), outcome: lost(RESTARTED) };
    match deliver(&*tools.link, &Message::Complete(complete)).await {
        Ok(answer) => {
            tracing::info!("attempt {attempt}: told {told} messages that were kept, and that it is lost ({answer:?})");
            left.forget();
        }
        Err(Undelivered::Gone) => {}
        Err(error) => {
            tracing::error!("attempt {attempt}: its end cannot be told: {error}");
            left.forget();
        }
    }
}
