//! Everything that can happen to a run, and everything that a run can ask for.

use crate::{
    approval::{ApprovalStatus, Approver},
    event::EventKind,
    id::{AgentId, JobIndex, StageIndex},
    outcome::Status,
    protocol::JobOutcome,
    time::Timestamp,
};

/// What happened. An event about an attempt that is not the present one changes nothing.
#[derive(Clone, Debug, PartialEq)]
pub enum RunEvent {
    /// The run may not begin yet, for instance because its concurrency group is full. May come again with another reason.
    Held {
        /// For people: `waits for run #12 of concurrency group \`deploy\``.
        reason: String,
    },
    /// The run may begin.
    Start,
    /// An agent took a job.
    AttemptStarted {
        /// The job.
        job: JobIndex,
        /// The attempt.
        attempt: u32,
        /// The agent.
        agent: AgentId,
    },
    /// An agent has ended an attempt.
    AttemptCompleted {
        /// The job.
        job: JobIndex,
        /// The attempt.
        attempt: u32,
        /// How it ended.
        outcome: JobOutcome,
    },
    /// An attempt will not be heard of any more.
    AttemptLost {
        /// The job.
        job: JobIndex,
        /// The attempt.
        attempt: u32,
        /// For people: `agent \`box-3\` was not heard of for 30 s`.
        reason: String,
    },
    /// People have decided about a stage that waits for them: see [`crate::approval::decide`].
    ApprovalDecided {
        /// The stage.
        stage: StageIndex,
        /// It may begin.
        approved: bool,
        /// Who, for people: `approved by ann`.
        reason: String,
    },
    /// Somebody wants the run to end. A second request also ends stages whose condition lets them run after a cancel.
    CancelRequested {
        /// Who or what.
        reason: String,
    },
    /// Somebody does not want to wait any more: as a cancel, and what runs is killed.
    KillRequested {
        /// Who or what.
        reason: String,
    },
    /// The process that ran it is gone: everything ends at once, as a failure.
    Interrupted {
        /// What happened to the process.
        reason: String,
    },
    /// A deadline may have passed.
    TimerFired,
}

/// What is to be done. Actions come in the order in which they are to be done and told.
#[derive(Clone, Debug, PartialEq)]
pub enum RunAction {
    /// Offer this attempt to agents.
    QueueJob {
        /// The job.
        job: JobIndex,
        /// The attempt.
        attempt: u32,
    },
    /// Ask the agent to stop this attempt; its completion comes as an event.
    CancelAttempt {
        /// The job.
        job: JobIndex,
        /// The attempt.
        attempt: u32,
        /// The agent that has it.
        agent: AgentId,
        /// What its running steps become: cancelled or timeout.
        status: Status,
        /// For people.
        reason: String,
        /// Kill what runs of it. May follow a request without this.
        at_once: bool,
    },
    /// This attempt has ended: it is not offered any more, and reports of it are stale from now on.
    EndAttempt {
        /// The job.
        job: JobIndex,
        /// The attempt.
        attempt: u32,
        /// How.
        status: Status,
        /// Why, if it did not succeed.
        reason: Option<String>,
    },
    /// Ask people whether this stage may begin. A stage asks once at most; the answer comes as
    /// [`RunEvent::ApprovalDecided`]. Whoever does this gives the approval its id, and tells the world.
    RequestApproval {
        /// The stage.
        stage: StageIndex,
        /// Who may answer.
        approvers: Vec<Approver>,
        /// How many of them must agree.
        minimum: u32,
        /// Then it is too late. A deadline was set for it.
        expires_at: Timestamp,
    },
    /// Nobody need answer any more. Comes once for each approval that was requested.
    EndApproval {
        /// The stage.
        stage: StageIndex,
        /// How it ended; never [`ApprovalStatus::Waiting`].
        status: ApprovalStatus,
        /// For people.
        reason: String,
    },
    /// Send [`RunEvent::TimerFired`] at this time or soon after it.
    SetDeadline(Timestamp),
    /// The run's own part of the state changed: write it.
    RunChanged,
    /// A stage changed: write it.
    StageChanged(StageIndex),
    /// A job changed: write it.
    JobChanged(JobIndex),
    /// Tell the world.
    Emit(EventKind),
}
