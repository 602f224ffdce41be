//! Approvals: people say whether a stage may begin.
//!
//! Plain counting: who may vote ([`may_vote`]) and what the votes so far amount to ([`decide`]). The state machine of the
//! run asks and waits; the store keeps the votes.

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::{
    access::{Role, UnknownWord},
    time::Timestamp,
};

/// How long an approval waits if the pipeline does not say: a day.
pub const DEFAULT_APPROVAL_TIMEOUT_MS: u64 = 24 * 60 * 60 * 1000;

/// Who may answer: one user, or everybody who has a role, or a greater one, in the project. Written `user:NAME` and
/// `role:ROLE`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Approver {
    /// Everybody who may do at least as much in the project.
    Role(Role),
    /// The user of this name.
    User(String),
}

/// Why a text names no approver.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnknownApprover {
    /// It has neither form.
    #[error("`{0}` names no approver; write `role:maintainer` or `user:NAME`")]
    Form(String),
    /// There is no such role.
    #[error(transparent)]
    Role(#[from] UnknownWord),
}

impl FromStr for Approver {
    type Err = UnknownApprover;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':').map(|(kind, name)| (kind.trim(), name.trim())) {
            Some(("role", name)) => Ok(Approver::Role(name.parse()?)),
            Some(("user", name)) if !name.is_empty() && !name.contains(char::is_control) => {
                Ok(Approver::User(name.to_owned()))
            }
            _ => Err(UnknownApprover::Form(text.to_owned())),
        }
    }
}

impl fmt::Display for Approver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Approver::Role(role) => write!(f, "role:{role}"),
            Approver::User(name) => write!(f, "user:{name}"),
        }
    }
}

impl Serialize for Approver {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Approver {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl JsonSchema for Approver {
    fn schema_name() -> Cow<'static, str> {
        "Approver".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^(role:(viewer|runner|maintainer|admin)|user:.+)$",
            "description": "Who may answer: `user:NAME`, or `role:ROLE` for everybody with at least that role.",
        })
    }
}

/// What somebody said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// The stage may begin.
    Approve,
    /// It may not.
    Reject,
}

impl Decision {
    /// The word in JSON and in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Decision::Approve => "approve",
            Decision::Reject => "reject",
        }
    }

    /// The inverse of [`Decision::as_str`].
    pub fn from_name(text: &str) -> Option<Decision> {
        [Decision::Approve, Decision::Reject].into_iter().find(|decision| decision.as_str() == text)
    }
}

/// The answer of somebody who may answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Vote {
    /// The name of the user.
    pub user: String,
    /// What was said.
    pub decision: Decision,
    /// In their own words.
    pub comment: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// How an approval stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalStatus {
    /// It waits for people.
    Waiting,
    /// Enough of them agreed.
    Approved,
    /// One of them refused.
    Rejected,
    /// Nobody refused, and too few agreed in time.
    Expired,
    /// Its stage was stopped: nobody need answer any more.
    Withdrawn,
}

impl ApprovalStatus {
    /// All of them.
    pub const ALL: [ApprovalStatus; 5] = [
        ApprovalStatus::Waiting,
        ApprovalStatus::Approved,
        ApprovalStatus::Rejected,
        ApprovalStatus::Expired,
        ApprovalStatus::Withdrawn,
    ];

    /// The word in JSON, in the store and on the screen.
    pub fn as_str(self) -> &'static str {
        match self {
            ApprovalStatus::Waiting => "waiting",
            ApprovalStatus::Approved => "approved",
            ApprovalStatus::Rejected => "rejected",
            ApprovalStatus::Expired => "expired",
            ApprovalStatus::Withdrawn => "withdrawn",
        }
    }

    /// The inverse of [`ApprovalStatus::as_str`].
    pub fn from_name(text: &str) -> Option<ApprovalStatus> {
        ApprovalStatus::ALL.into_iter().find(|status| status.as_str() == text)
    }
}

/// What the votes so far amount to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// So many more must agree.
    Waiting {
        /// How many.
        missing: u32,
    },
    /// Enough agreed: `approved by ann and ben`.
    Approved {
        /// For people.
        reason: String,
    },
    /// Somebody refused: `rejected by ann: not on a Friday`.
    Rejected {
        /// For people.
        reason: String,
    },
}

/// May this user answer? `role` is what the user may do in the project.
pub fn may_vote(approvers: &[Approver], user: &str, role: Option<Role>) -> bool {
    approvers.iter().any(|approver| match approver {
        Approver::Role(least) => role.is_some_and(|role| role >= *least),
        Approver::User(name) => name == user,
    })
}

/// Counts votes, in the order in which they came. Each user has one: the last counts, until a refusal ends it all.
pub fn decide(minimum: u32, votes: &[Vote]) -> Verdict {
    let mut agreed: Vec<&str> = Vec::new();
    for vote in votes {
        match vote.decision {
            Decision::Reject => {
                let comment = vote.comment.as_deref().map(str::trim).filter(|comment| !comment.is_empty());
                let comment = comment.map_or(String::new(), |comment| format!(": {comment}"));
                return Verdict::Rejected { reason: format!("rejected by {}{comment}", vote.user) };
            }
            Decision::Approve if !agreed.contains(&vote.user.as_str()) => agreed.push(&vote.user),
            Decision::Approve => {}
        }
        if u32::try_from(agreed.len()).unwrap_or(u32::MAX) >= minimum.max(1) {
            return Verdict::Approved { reason: format!("approved by {}", and(&agreed)) };
        }
    }
    Verdict::Waiting { missing: minimum.max(1) - u32::try_from(agreed.len()).unwrap_or(0) }
}

/// What an approval waits for, for people: `2 approvals by role:maintainer or user:ann`.
pub fn wanted(approvers: &[Approver], minimum: u32) -> String {
    let names: Vec<String> = approvers.iter().map(ToString::to_string).collect();
    match minimum {
        0 | 1 => format!("an approval by {}", names.join(" or ")),
        several => format!("{several} approvals by {}", names.join(" or ")),
    }
}

fn and(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [others @ .., last] => format!("{} and {last}", others.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn vote(user: &str, decision: Decision) -> Vote {
        Vote { user: user.to_owned(), decision, comment: None, at: Timestamp(0) }
    }

    #[test]
    fn an_approver_is_a_role_or_a_user() {
        assert_eq!("role:maintainer".parse(), Ok(Approver::Role(Role::Maintainer)));
        assert_eq!("user: ann".parse(), Ok(Approver::User("ann".into())));
        assert_eq!(serde_json::to_string(&Approver::Role(Role::Admin)).unwrap(), r#""role:admin""#);
        for bad in ["maintainer", "role:boss", "user:", "group:all", ""] {
            assert!(bad.parse::<Approver>().is_err(), "{bad}");
            assert!(serde_json::from_value::<Approver>(bad.into()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_greater_role_may_vote_and_a_lesser_may_not() {
        let approvers = [Approver::Role(Role::Maintainer), Approver::User("ann".into())];
        assert!(may_vote(&approvers, "bob", Some(Role::Admin)));
        assert!(may_vote(&approvers, "bob", Some(Role::Maintainer)));
        assert!(!may_vote(&approvers, "bob", Some(Role::Runner)));
        assert!(!may_vote(&approvers, "bob", None));
        assert!(may_vote(&approvers, "ann", None));
        assert!(!may_vote(&[], "ann", Some(Role::Admin)));
    }

    #[test]
    fn nobody_counts_twice_and_one_refusal_is_enough() {
        use Decision::{Approve, Reject};
        assert_eq!(decide(2, &[]), Verdict::Waiting { missing: 2 });
        assert_eq!(decide(2, &[vote("ann", Approve), vote("ann", Approve)]), Verdict::Waiting { missing: 1 });
        let reason = "approved by ann and ben".to_owned();
        assert_eq!(decide(2, &[vote("ann", Approve), vote("ben", Approve)]), Verdict::Approved { reason });
        let mut no = vote("ben", Reject);
        no.comment = Some(" not on a Friday ".into());
        let reason = "rejected by ben: not on a Friday".to_owned();
        assert_eq!(decide(2, &[vote("ann", Approve), no]), Verdict::Rejected { reason });
        assert_eq!(decide(0, &[]), Verdict::Waiting { missing: 1 }, "nobody is not enough");
    }

    #[test]
    fn what_is_waited_for_is_told() {
        let approvers = [Approver::Role(Role::Maintainer), Approver::User("ann".into())];
        assert_eq!(wanted(&approvers, 1), "an approval by role:maintainer or user:ann");
        assert_eq!(wanted(&approvers[..1], 2), "2 approvals by role:maintainer");
    }

    proptest! {
        #[test]
        fn once_decided_later_votes_change_nothing(
            minimum in 0u32..4,
            votes in proptest::collection::vec((0u8..4, any::<bool>()), 0..8),
        ) {
            let votes: Vec<Vote> = votes
                .into_iter()
                .map(|(user, yes)| vote(&user.to_string(), if yes { Decision::Approve } else { Decision::Reject }))
                .collect();
            let mut decided: Option<Verdict> = None;
            for count in 0..=votes.len() {
                let verdict = decide(minimum, &votes[..count]);
                if let Some(decided) = &decided {
                    prop_assert_eq!(&verdict, decided);
                } else if !matches!(verdict, Verdict::Waiting { .. }) {
                    decided = Some(verdict);
                }
            }
            let agreed: std::collections::BTreeSet<_> =
                votes.iter().filter(|vote| vote.decision == Decision::Approve).map(|vote| &vote.user).collect();
            let refused = votes.iter().any(|vote| vote.decision == Decision::Reject);
            if !refused && agreed.len() >= minimum.max(1) as usize {
                let is_approved = matches!(decided, Some(Verdict::Approved { .. }));
                prop_assert!(is_approved);
            }
        }
    }
}
