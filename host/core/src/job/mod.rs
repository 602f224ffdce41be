//! The state machine of one attempt of a job: which steps start, stop and are skipped, and how the job ends.
//!
//! The agent feeds it events and performs its actions; it knows no clock, no process and no plugin. Conditions are
//! evaluated by a function that the caller passes in, which sees the [`JobProgress`] so far.

mod machine;
mod progress;
mod retry;

pub use machine::{EvaluateCondition, JobAction, JobEvent, JobMachine, StepResult};
pub use progress::{JobProgress, Standing, StepProgress};

#[cfg(test)]
mod tests;
