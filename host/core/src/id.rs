//! Ids and indices. Ids are UUIDv7 made at the edge of the program; indices are positions in a [`crate::plan::Plan`].

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(transparent)]
        #[schemars(extend("format" = "uuid"))]
        pub struct $name(#[schemars(with = "String")] pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }
    };
}

uuid_id! {
    /// One execution of a pipeline.
    RunId
}
uuid_id! {
    /// A process that takes jobs and runs them.
    AgentId
}
uuid_id! {
    /// What pipelines, secrets and rights belong to.
    ProjectId
}
uuid_id! {
    /// A stored pipeline, with all its versions.
    PipelineId
}
uuid_id! {
    /// A stage of a run that asks people whether it may begin.
    ApprovalId
}
uuid_id! {
    /// One delivery of a webhook.
    DeliveryId
}
uuid_id! {
    /// Somebody who signs in, or a machine with tokens of its own.
    UserId
}
uuid_id! {
    /// A token that speaks for a user.
    TokenId
}
uuid_id! {
    /// One sign-in of a user, from there to the next renewal.
    SessionId
}
uuid_id! {
    /// A token with which one agent may join, once.
    AgentTokenId
}
uuid_id! {
    /// A secret that is kept on a server.
    SecretId
}

macro_rules! index {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(transparent)]
        #[schemars(inline)]
        pub struct $name(pub u32);

        impl $name {
            /// The position as an index of a slice.
            pub fn index(self) -> usize {
                self.0 as usize
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

index! {
    /// The position of a stage in [`crate::plan::Plan::stages`].
    StageIndex
}
index! {
    /// The position of a job in [`crate::plan::Plan::jobs`].
    JobIndex
}
index! {
    /// The position of a step in [`crate::plan::PlannedJob::steps`].
    StepIndex
}

/// One try of a job: what a lease is given for, and what fences a late report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct AttemptId {
    /// The run.
    pub run: RunId,
    /// The job within the run.
    pub job: JobIndex,
    /// The try, counted from 1.
    pub number: u32,
}

impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.run, self.job, self.number)
    }
}
