//! Stages that wait for people: asked, answered, and not needed any more.

use std::collections::HashMap;

use oxide_core::{
    approval::{self, ApprovalStatus, Approver, Verdict, Vote as CountedVote},
    event::EventKind,
    id::{ApprovalId, RunId, StageIndex},
    outcome::Status,
    run::{RunEvent, RunState},
    time::Timestamp,
};
use oxide_store::{ApprovalRow, StoreError, Transaction, VoteRow, WriteBatch};
use uuid::Uuid;

use super::ActiveRun;
use crate::{Approval, OrchestratorError, Vote, turn::Effects};

/// An approval that people may answer.
pub(crate) struct OpenApproval {
    pub row: ApprovalRow,
    /// What was said so far, oldest first.
    pub votes: Vec<VoteRow>,
}

/// The approvals that the stages of a run wait for, as they are stored.
pub(super) async fn load(
    transaction: &mut Transaction,
    run: RunId,
    state: &mut RunState,
) -> Result<HashMap<StageIndex, OpenApproval>, StoreError> {
    let mut open = HashMap::new();
    if !state.stages.iter().any(|stage| stage.status == Status::WaitingApproval) {
        return Ok(open);
    }
    for row in transaction.open_approvals(Some(run)).await? {
        let votes = transaction.votes(row.id).await?;
        if let Some(stage) = state.stages.get_mut(row.stage.index()) {
            stage.approval_requested_at.get_or_insert(row.created_at);
        }
        open.insert(row.stage, OpenApproval { row, votes });
    }
    Ok(open)
}

impl ActiveRun {
    pub(super) fn request_approval(
        &mut self,
        now: Timestamp,
        stage: StageIndex,
        (approvers, minimum, expires_at): (Vec<Approver>, u32, Timestamp),
        batch: &mut WriteBatch,
    ) {
        let row = ApprovalRow {
            id: ApprovalId(Uuid::now_v7()),
            run: self.id,
            stage,
            approvers: approvers.clone(),
            minimum,
            status: ApprovalStatus::Waiting,
            created_at: now,
            expires_at,
            ended_at: None,
        };
        let name = self.machine.plan().stage(stage).name.clone();
        let kind = EventKind::ApprovalRequested { approval: row.id, stage: name, approvers, minimum, expires_at };
        self.tell(now, kind, batch);
        batch.approval(row.clone());
        self.approvals.insert(stage, OpenApproval { row, votes: Vec::new() });
    }

    pub(super) fn end_approval(
        &mut self,
        now: Timestamp,
        stage: StageIndex,
        status: ApprovalStatus,
        reason: String,
        batch: &mut WriteBatch,
    ) {
        let Some(OpenApproval { mut row, .. }) = self.approvals.remove(&stage) else { return };
        row.status = status;
        row.ended_at = Some(now);
        let name = self.machine.plan().stage(stage).name.clone();
        let kind = EventKind::ApprovalCompleted { approval: row.id, stage: name, status, reason: Some(reason) };
        self.tell(now, kind, batch);
        batch.approval(row);
    }

    /// Takes the word of a person, and decides if that is enough.
    pub(crate) fn vote(
        &mut self,
        now: Timestamp,
        vote: Vote,
        batch: &mut WriteBatch,
        effects: &mut Effects,
    ) -> Result<Approval, OrchestratorError> {
        let at = self.time(now);
        let open = self.approvals.iter_mut().find(|(_, open)| open.row.id == vote.approval);
        let (stage, open) = open.ok_or(OrchestratorError::NoSuchApproval(vote.approval))?;
        let stage = *stage;
        let Vote { approval, user, name, decision, comment, .. } = vote;
        match open.votes.iter().find(|earlier| earlier.user == user) {
            // The answer to it was lost.
            Some(earlier) if earlier.vote.decision == decision => {}
            Some(_) => return Err(OrchestratorError::VotedBefore { approval, name }),
            None => {
                let row = VoteRow { approval, user, vote: CountedVote { user: name, decision, comment, at } };
                open.votes.push(row.clone());
                batch.approval_vote(row);
            }
        }
        let votes: Vec<CountedVote> = open.votes.iter().map(|row| row.vote.clone()).collect();
        let verdict = approval::decide(open.row.minimum, &votes);
        let (approved, reason) = match verdict {
            Verdict::Waiting { missing } => return Ok(Approval { status: ApprovalStatus::Waiting, missing }),
            Verdict::Approved { reason } => (true, reason),
            Verdict::Rejected { reason } => (false, reason),
        };
        self.apply(now, RunEvent::ApprovalDecided { stage, approved, reason }, batch, effects);
        let status = if approved { ApprovalStatus::Approved } else { ApprovalStatus::Rejected };
        Ok(Approval { status, missing: 0 })
    }
}
