//! How far a run is trusted. The pipeline of a pull request from a fork is written by a stranger: it runs the same steps with
//! less right.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Grants;

/// Whose pipeline a run executes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Trust {
    /// That of somebody who may write to the repository.
    #[default]
    Full,
    /// That of anybody: a pull request from a fork.
    Fork,
}

impl Trust {
    /// Is it [`Trust::Full`]?
    pub fn is_full(&self) -> bool {
        *self == Trust::Full
    }
}

/// What `forks:` of the pipeline lets runs of forks do beyond the least.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ForkRights {
    /// Reach the network: HTTP and TCP where they are granted, and from containers.
    pub network: bool,
    /// Run commands directly on the machine of the agent.
    pub host: bool,
}

impl Grants {
    /// What is left of the grants in a run that is trusted so far. A run of a fork spends no secrets, and what it would save
    /// in the cache no other run could trust.
    pub fn under(mut self, trust: Trust, forks: ForkRights) -> Grants {
        self.trust = trust;
        if trust == Trust::Fork {
            self.secrets.clear();
            self.cache_read_only = true;
            if !forks.network {
                self.http.clear();
                self.tcp.clear();
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grant::HostRule;

    #[test]
    fn a_fork_spends_no_secret_and_reaches_the_network_only_if_the_pipeline_says_so() {
        let mut grants = Grants { http: vec![HostRule::parse("example.org").unwrap()], ..Grants::default() };
        grants.spend("TOKEN");
        assert_eq!(grants.clone().under(Trust::Full, ForkRights::default()), grants);
        let reduced = grants.clone().under(Trust::Fork, ForkRights::default());
        assert!(reduced.secrets.is_empty() && reduced.http.is_empty() && reduced.trust == Trust::Fork);
        assert!(reduced.cache_read_only, "it restores, and saves nothing");
        let with_network = grants.under(Trust::Fork, ForkRights { network: true, host: false });
        assert!(with_network.secrets.is_empty() && with_network.http.len() == 1);
    }
}
