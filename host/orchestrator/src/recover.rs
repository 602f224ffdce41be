//! What becomes of runs whose process died.

use oxide_core::{run::RunEvent, time::Timestamp};
use oxide_store::{OwnerId, Store, WriteBatch};

use crate::{OrchestratorError, active_run::ActiveRun, conditions, turn::Effects};

/// Ends the runs of dead owners that have not ended: they, their running stages, attempts and steps fail with a reason that
/// names the process. All of it, with its events, is one transaction. Who is dead is for the caller to know: an owner
/// belongs to a process id (0 if it is not known). The owners are forgotten.
///
/// # Errors
/// The store cannot be read or written; then nothing was changed.
pub async fn recover(store: &Store, dead_owners: &[(OwnerId, u32)], now: Timestamp) -> Result<(), OrchestratorError> {
    if dead_owners.is_empty() {
        return Ok(());
    }
    // Read within the transaction: another process may be recovering the same runs.
    let mut transaction = store.begin().await?;
    let mut batch = WriteBatch::default();
    for (owner, pid) in dead_owners {
        let process = if *pid == 0 { String::new() } else { format!(" (pid {pid})") };
        let reason = format!("interrupted: the process that ran it{process} was killed or crashed");
        for row in transaction.open_runs(*owner).await? {
            let mut run = ActiveRun::load(&mut transaction, &row, conditions::decide).await?;
            let event = RunEvent::Interrupted { reason: reason.clone() };
            run.apply(now, event, &mut batch, &mut Effects::default());
        }
        transaction.remove_owner(*owner).await?;
    }
    transaction.write(&batch).await?;
    transaction.commit().await?;
    Ok(())
}
