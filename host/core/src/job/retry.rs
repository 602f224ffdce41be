//! Whether a step is tried again, and what a failure makes of it.

use crate::{
    limit::LimitKind,
    outcome::{Failure, FailureCause, Status},
    plan::{RetryOn, RetryPolicy},
};

/// Is there another try after this failure of this try?
pub(super) fn tries_again(policy: &RetryPolicy, failure: &Failure, try_number: u32) -> bool {
    try_number < policy.max_attempts && policy.on.iter().any(|cause| matches_cause(cause, failure))
}

fn matches_cause(cause: &RetryOn, failure: &Failure) -> bool {
    match cause {
        // A lost agent takes the whole attempt with it: the stage retries that, not the step.
        RetryOn::AgentLost => false,
        RetryOn::Timeout => is_timeout(failure),
        RetryOn::Failure => true,
        RetryOn::ExitCode(codes) => matches!(failure.cause, FailureCause::ExitCode { code } if codes.contains(&code)),
    }
}

/// The status of a step that failed like this.
pub(super) fn status_of(failure: &Failure) -> Status {
    if is_timeout(failure) { Status::Timeout } else { Status::Failure }
}

fn is_timeout(failure: &Failure) -> bool {
    matches!(failure.cause, FailureCause::Limit { limit: LimitKind::Timeout, .. })
}
