//! Is a job tried again? By the cause of its failure, as the `retry` of its stage says.

use crate::{
    limit::LimitKind,
    outcome::{FailureCause, Status},
    plan::{RetryOn, RetryPolicy},
};

/// Is there a new attempt after attempt number `attempt` ended like this?
pub(super) fn goes_on(policy: &RetryPolicy, attempt: u32, status: Status, cause: Option<&FailureCause>) -> bool {
    status.is_failure() && attempt < policy.max_attempts && policy.on.iter().any(|on| matches(on, status, cause))
}

fn matches(on: &RetryOn, status: Status, cause: Option<&FailureCause>) -> bool {
    match (on, cause) {
        (RetryOn::Failure, _) => true,
        (RetryOn::AgentLost, cause) => cause == Some(&FailureCause::AgentLost),
        (RetryOn::Timeout, Some(FailureCause::Limit { limit: LimitKind::Timeout, .. })) => true,
        (RetryOn::Timeout, _) => status == Status::Timeout,
        (RetryOn::ExitCode(codes), Some(FailureCause::ExitCode { code })) => codes.contains(code),
        (RetryOn::ExitCode(_), _) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(on: RetryOn) -> RetryPolicy {
        RetryPolicy { max_attempts: 2, on: vec![on] }
    }

    #[test]
    fn a_cause_leads_to_a_new_attempt_only_where_it_is_named() {
        let exit = FailureCause::ExitCode { code: 101 };
        let lost = FailureCause::AgentLost;
        assert!(goes_on(&policy(RetryOn::ExitCode(vec![1, 101])), 1, Status::Failure, Some(&exit)));
        assert!(!goes_on(&policy(RetryOn::ExitCode(vec![1])), 1, Status::Failure, Some(&exit)));
        assert!(!goes_on(&policy(RetryOn::AgentLost), 1, Status::Failure, Some(&exit)));
        assert!(goes_on(&policy(RetryOn::AgentLost), 1, Status::Failure, Some(&lost)));
        assert!(goes_on(&policy(RetryOn::Timeout), 1, Status::Timeout, None));
        assert!(goes_on(&policy(RetryOn::Failure), 1, Status::Failure, None));
        assert!(!goes_on(&policy(RetryOn::Failure), 1, Status::Cancelled, None));
    }

    #[test]
    fn the_number_of_attempts_is_bounded() {
        assert!(!goes_on(&policy(RetryOn::Failure), 2, Status::Failure, None));
        assert!(!goes_on(&RetryPolicy::never(), 1, Status::Failure, Some(&FailureCause::AgentLost)));
    }
}
