//! The transaction of a turn, and what follows once it is stored.

use std::{sync::Arc, time::Duration};

use oxide_core::protocol::Lease;
use oxide_store::{StoreError, Writer};
use tokio::time::Instant;

use super::{Actor, TICK};
use crate::{
    AskedSecrets, Cause, OrchestratorError, Reply,
    command::{Answer, Command, Undelivered},
    tail::Written,
    turn::{Asked, Committed, Deferred, Leased, Turn},
};

/// The cursor that counts how often it was tried whether the store can be written again.
const TRIES: &str = "orchestrator: tries to write";
/// So long after a turn that could not be stored it is enough that something can be.
const CALM: Duration = Duration::from_secs(5);
/// How often, and with which pauses, secrets are asked for before a job is given up.
const SECRET_TRIES: u32 = 3;
const SECRET_PAUSE: Duration = Duration::from_millis(500);

impl Actor {
    /// Writes the turn and says what follows from it. If the database refuses what is in it, each message is taken once more in
    /// a turn of its own: only the one that is at fault is answered so.
    pub(super) async fn write(&mut self, mut turn: Turn) {
        let Err(cause) = self.commit(&mut turn).await else {
            turn.answers.into_iter().for_each(|answer| answer.say(None));
            for (answer, refused) in turn.refusals {
                let _ = answer.send(Err(refused));
            }
            for run in turn.finished {
                for (_, answer) in self.waiting.remove(&run.id).unwrap_or_default() {
                    let _ = answer.send(Ok(Reply::Run(Some(run.clone()))));
                }
            }
            return turn.leases.into_iter().for_each(|leased| self.hand_out(leased));
        };
        let error = OrchestratorError::from(cause.as_ref());
        let requests = turn.leases.into_iter().map(|leased| leased.answer);
        for answer in requests.chain(turn.refusals.into_iter().map(|(answer, _)| answer)) {
            let _ = answer.send(Err(error.clone()));
        }
        for answer in turn.answers {
            match answer {
                Deferred::Call(asked, _) if cause.is_about_content() && !turn.is_apart => {
                    let Asked { call, answer } = *asked;
                    self.apart.push_back(Command::Call(call, answer));
                }
                // An agent would say it again and again.
                Deferred::Call(ref asked, _) if cause.is_about_content() && asked.call.is_of_an_agent() => {
                    answer.say(Some(&OrchestratorError::BadReport(Cause::of(&*cause).chain())));
                }
                answer => answer.say(Some(&error)),
            }
        }
        if cause.is_leadership_lost() {
            tracing::warn!(cause = Cause::of(&*cause).chain(), "this server leads no more");
            self.is_deposed = true;
            return;
        }
        let shown = Cause::of(&*cause).chain();
        tracing::error!(cause = shown, "a turn could not be stored");
        // What is wrong with one message is not wrong with the store, and what goes wrong once may be a conflict.
        if !cause.is_about_content() && self.failed_at.replace(Instant::now()).is_some() {
            self.parts.problem.send_replace(Some(shown));
        }
        self.go_back().await;
    }

    /// After a turn that could not be stored there may be nothing to write for long: finds out whether it could be done by
    /// now. A little finds room where a turn found none, so that alone is no end of the trouble.
    pub(super) async fn try_to_store(&mut self) {
        let is_over = self.failed_at.is_none_or(|at| at.elapsed() >= CALM);
        match write_something(&self.parts.writer).await {
            Ok(()) if is_over => self.has_stored(),
            Ok(()) => {}
            Err(error) if error.is_leadership_lost() => {
                tracing::warn!(cause = Cause::of(&error).chain(), "this server leads no more");
                self.is_deposed = true;
            }
            Err(error) => drop(self.parts.problem.send_replace(Some(Cause::of(&error).chain()))),
        }
    }

    fn has_stored(&mut self) {
        self.failed_at = None;
        self.parts.problem.send_if_modified(|problem| problem.take().is_some());
    }

    /// What the machines know is ahead of the store: goes back to what is stored. Until that can be read there is nothing
    /// else to do, and who asks meanwhile waits.
    async fn go_back(&mut self) {
        while let Err(error) = self.load().await {
            if error.is_leadership_lost() {
                self.is_deposed = true;
                return;
            }
            tokio::time::sleep(TICK).await;
        }
    }

    async fn commit(&mut self, turn: &mut Turn) -> Committed {
        if let Some(failed) = turn.failed.take() {
            return Err(failed);
        }
        if turn.batch.is_empty() && turn.transaction.is_none() {
            return Ok(());
        }
        let mut transaction = match turn.transaction.take() {
            Some(transaction) => transaction,
            None => self.parts.writer.begin().await.map_err(Arc::new)?,
        };
        let first_seq = transaction.write(&turn.batch).await.map_err(Arc::new)?;
        transaction.commit().await.map_err(Arc::new)?;
        self.last_write = Instant::now();
        if !turn.batch.is_empty() {
            self.has_stored();
        }
        let events = turn.batch.events().to_vec();
        if !events.is_empty() {
            self.parts.hints.send(Written { first_seq, events }).await;
        }
        Ok(())
    }

    /// Answers a request with a job; with its secrets, if it has any. They may take a while: that is not waited for.
    fn hand_out(&mut self, leased: Leased) {
        let Leased { answer, mut lease, agent } = leased;
        let names: std::collections::BTreeSet<String> =
            lease.job.secret_names().into_iter().map(str::to_owned).collect();
        let attempt = lease.attempt;
        let commands = self.parts.commands.clone();
        if names.is_empty() {
            if !send(answer, lease) {
                tokio::spawn(async move { give_back(commands, attempt, agent, Undelivered::Gone).await });
            }
            return;
        }
        let origin = self.runs.get(&attempt.run).map(|run| run.origin.clone()).unwrap_or_default();
        let asked = AskedSecrets { run: attempt.run, project: origin.project, pipeline: origin.pipeline, names };
        let source = self.parts.secrets.clone();
        tokio::spawn(async move {
            let mut tries = 0;
            let why = loop {
                tries += 1;
                match source.secrets(&asked).await {
                    Ok(secrets) => {
                        lease.secrets = secrets;
                        if send(answer, lease) {
                            return;
                        }
                        break Undelivered::Gone;
                    }
                    Err(error) if tries >= SECRET_TRIES => {
                        let cause = Cause::of(&*error).chain();
                        let _ = answer.send(Ok(Reply::Lease(None)));
                        break Undelivered::Secrets(cause);
                    }
                    Err(_) => tokio::time::sleep(SECRET_PAUSE).await,
                }
            };
            give_back(commands, attempt, agent, why).await;
        });
    }
}

async fn write_something(writer: &Writer) -> Result<(), StoreError> {
    let mut transaction = writer.begin().await?;
    let tries = transaction.cursor(TRIES).await?;
    transaction.put_cursor(TRIES, tries + 1).await?;
    transaction.commit().await
}

fn send(answer: Answer<Reply>, lease: Box<Lease>) -> bool {
    answer.send(Ok(Reply::Lease(Some(lease)))).is_ok()
}

async fn give_back(
    commands: tokio::sync::mpsc::WeakSender<Command>,
    attempt: oxide_core::id::AttemptId,
    agent: oxide_core::id::AgentId,
    why: Undelivered,
) {
    // If the orchestrator is gone, the next one finds that nobody speaks of the attempt.
    if let Some(commands) = commands.upgrade() {
        let _ = commands.send(Command::Undelivered { attempt, agent, why }).await;
    }
}
