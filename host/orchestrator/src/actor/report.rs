//! Reports and completions of agents: stored once, refused when stale.

use std::collections::{BTreeMap, HashMap, VecDeque};

use oxide_core::{
    event::{Event, EventKind},
    id::{AgentId, AttemptId, StepIndex},
    plan::{PlannedStep, PluginPin},
    protocol::{Acknowledgement, Complete, LogChunk, Report, StepChangeKind},
    run::RunEvent,
};

use super::Actor;
use crate::{OrchestratorError, active_run::ActiveRun, turn::Turn};

/// How many attempts that ended are remembered, so that a repeated message is known as one. What is older, or was completed
/// before a take-over, is stale: its agent stops what it has ended anyway.
const REMEMBERED: usize = 8192;

/// Attempts that their agents completed, with the number of the last report.
#[derive(Default)]
pub(crate) struct Completed {
    last_reports: HashMap<(AttemptId, AgentId), u64>,
    /// The oldest first.
    order: VecDeque<(AttemptId, AgentId)>,
}

impl Completed {
    pub(crate) fn remember(&mut self, attempt: AttemptId, agent: AgentId, last_report: u64) {
        if self.order.len() >= REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.last_reports.remove(&oldest);
        }
        if self.last_reports.insert((attempt, agent), last_report).is_none() {
            self.order.push_back((attempt, agent));
        }
    }

    pub(crate) fn knows(&self, attempt: AttemptId, agent: AgentId) -> bool {
        self.last_reports.contains_key(&(attempt, agent))
    }

    fn last_report(&self, attempt: AttemptId, agent: AgentId) -> Option<u64> {
        self.last_reports.get(&(attempt, agent)).copied()
    }
}

/// What is told when an agent has called a plugin for the first time.
fn loaded(agent: AgentId, step: &PlannedStep) -> EventKind {
    let PluginPin { reference, digest } = step.plugin.clone();
    let capabilities = step.grants.capabilities.iter().copied().collect();
    EventKind::PluginLoaded { digest, reference, capabilities, agent: Some(agent) }
}

fn take_logs(turn: &mut Turn, run: &ActiveRun, id: AttemptId, chunks: Vec<LogChunk>) {
    for chunk in chunks {
        let (first_line, line_count) = (chunk.first_line, chunk.line_count);
        let kind = EventKind::StepOutput { job: id.job, attempt: id.number, step: chunk.step, first_line, line_count };
        run.tell(run.time(turn.now()), kind, &mut turn.batch);
        turn.batch.log(id, chunk);
    }
}

impl Actor {
    pub(super) fn take_report(
        &mut self,
        turn: &mut Turn,
        report: Report,
    ) -> Result<Acknowledgement, OrchestratorError> {
        let Report { agent, attempt: id, number, changes, logs } = report;
        self.agents.spoke_of(agent, id, turn.moment.steady);
        let Some(run) = self.runs.get_mut(&id.run).filter(|run| run.machine.holder(id.job, id.number) == Some(agent))
        else {
            return Ok(match self.completed.last_report(id, agent) {
                Some(last) if number <= last => Acknowledgement::Duplicate,
                _ => Acknowledgement::Stale,
            });
        };
        let steps = run.machine.plan().job(id.job).steps.len();
        let Some(attempt) = run.attempts.get_mut(&(id.job, id.number)) else { return Ok(Acknowledgement::Stale) };
        let last = attempt.row.last_report;
        if number <= last {
            return Ok(Acknowledgement::Duplicate);
        }
        if number > last + 1 {
            let gap = format!("it has number {number}, but the last one stored has number {last}");
            return Err(OrchestratorError::BadReport(gap));
        }
        let named = changes.iter().map(|change| change.step).chain(logs.iter().map(|chunk| chunk.step));
        if let Some(step) = named.into_iter().find(|step| step.index() >= steps) {
            return Err(OrchestratorError::BadReport(format!("the job has {steps} steps and no step {step}")));
        }
        attempt.count_lines(&logs).map_err(OrchestratorError::BadReport)?;
        attempt.row.last_report = number;
        turn.batch.attempt(attempt.row.clone());
        let mut logs_by_step: BTreeMap<StepIndex, Vec<LogChunk>> = BTreeMap::new();
        for chunk in logs {
            logs_by_step.entry(chunk.step).or_default().push(chunk);
        }
        for change in changes {
            // Who follows the events sees the last lines of a step before its end.
            if matches!(change.kind, StepChangeKind::Completed(_)) {
                take_logs(turn, run, id, logs_by_step.remove(&change.step).unwrap_or_default());
            }
            if let Some(step) = run.step_that_was_called(id, &change)
                && self.agents.loads(agent, &step.plugin)
            {
                turn.batch.event(Event::of_server(turn.moment.now, loaded(agent, step)));
            }
            run.change_step(id, change, &mut turn.batch);
        }
        for chunks in logs_by_step.into_values() {
            take_logs(turn, run, id, chunks);
        }
        Ok(Acknowledgement::Stored)
    }

    pub(super) fn take_completion(&mut self, turn: &mut Turn, complete: Complete) -> Acknowledgement {
        let Complete { agent, attempt: id, at: _, outcome } = complete;
        let Some(run) = self.runs.get_mut(&id.run).filter(|run| run.machine.holder(id.job, id.number) == Some(agent))
        else {
            return match self.completed.last_report(id, agent) {
                Some(_) => Acknowledgement::Duplicate,
                None => Acknowledgement::Stale,
            };
        };
        let last_report = run.attempts.get(&(id.job, id.number)).map_or(0, |attempt| attempt.row.last_report);
        self.completed.remember(id, agent, last_report);
        let event = RunEvent::AttemptCompleted { job: id.job, attempt: id.number, outcome };
        run.apply(turn.now(), event, &mut turn.batch, &mut turn.effects);
        Acknowledgement::Stored
    }
}
