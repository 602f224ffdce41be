//! Where a step may connect, for [`http`](crate::capability::http) and [`tcp`](crate::capability::tcp): rules, names and addresses.
//!
//! A name is resolved here, once, and the connection goes to an address that was checked here: a name that leads
//! elsewhere a moment later changes nothing.

use std::{io, net::IpAddr};

use oxide_core::{
    grant::{HostRule, Trust, is_public},
    plugin::Capability,
};

/// What a step was granted of one capability.
#[derive(Clone, Debug)]
pub(crate) struct Reach {
    pub capability: Capability,
    pub rules: Vec<HostRule>,
    pub trust: Trust,
    pub names: Names,
}

/// Finds the addresses of names.
#[derive(Clone, Debug, Default)]
pub(crate) enum Names {
    /// As this machine does it.
    #[default]
    System,
    /// From a table.
    #[cfg(test)]
    Table(Vec<(&'static str, &'static str)>),
}

/// Why a step may not connect. The text says what to write if it should.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// No rule names the host.
    #[error("the step may not reach `{host}`; {grant}")]
    NotGranted { host: String, grant: String },
    /// The rule names a host, and it leads to a private network.
    #[error(
        "`{host}` leads to {address}, an address of this machine or of a private network; if that is meant, {grant}"
    )]
    Private { host: String, address: IpAddr, grant: String },
}

/// Why there is no address to connect to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoAddress {
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The name leads nowhere.
    #[error("no address was found for `{host}`: {cause}")]
    Unknown { host: String, cause: io::Error },
}

impl Reach {
    /// May the step connect to this host and port? Answers whether the address may be private.
    pub fn check(&self, host: &str, port: u16, usual_port: Option<u16>) -> Result<bool, Refusal> {
        let matching: Vec<&HostRule> = self.rules.iter().filter(|rule| rule.matches(host, port, usual_port)).collect();
        match matching.is_empty() {
            true => Err(self.not_granted(host, Some(port).filter(|port| usual_port != Some(*port)))),
            false => Ok(matching.iter().any(|rule| rule.private)),
        }
    }

    /// The addresses of a granted host that may be connected to, at least one.
    pub async fn addresses(&self, host: &str, may_be_private: bool) -> Result<Vec<IpAddr>, NoAddress> {
        let found = self.names.addresses(host).await;
        let found = found.map_err(|cause| NoAddress::Unknown { host: shown(host), cause })?;
        let usable: Vec<IpAddr> =
            found.iter().copied().filter(|address| may_be_private || is_public(*address)).collect();
        match (usable.is_empty(), found.first()) {
            (false, _) => Ok(usable),
            (true, Some(address)) => Err(self.private(host, *address).into()),
            (true, None) => {
                Err(NoAddress::Unknown { host: shown(host), cause: io::Error::other("the answer is empty") })
            }
        }
    }

    /// Nothing that was granted names this host; `port` if it is not the usual one.
    pub fn not_granted(&self, host: &str, port: Option<u16>) -> Refusal {
        let host = match (shown(host), port) {
            (name, None) => name,
            (name, Some(port)) if name.contains(':') => format!("[{}]:{port}", name.trim_matches(['[', ']'])),
            (name, Some(port)) => format!("{name}:{port}"),
        };
        let grant = match (self.trust, HostRule::parse(&host)) {
            (Trust::Fork, _) if self.rules.is_empty() => {
                "the run of a fork reaches no network unless the pipeline says `forks: { network: true }`".to_owned()
            }
            (_, Ok(rule)) => self.with_rule(rule),
            (_, Err(_)) => format!("`{}` below `grants` of the step names the hosts", self.capability.yaml_key()),
        };
        Refusal::NotGranted { host, grant }
    }

    fn private(&self, host: &str, address: IpAddr) -> Refusal {
        // The rule is there: it is written again with its port.
        let written = self.rules.iter().find(|rule| rule.matches_host(host));
        let port = written.and_then(|rule| rule.port);
        let grant = match HostRule::parse(host) {
            Ok(rule) => self.with_rule(HostRule { private: true, port, ..rule }),
            Err(_) => "grant that address".to_owned(),
        };
        Refusal::Private { host: shown(host), address, grant }
    }

    /// What to write so that this rule is among those of the step.
    fn with_rule(&self, added: HostRule) -> String {
        let key = self.capability.yaml_key();
        let is_other = |rule: &&HostRule| rule.host != added.host || rule.port != added.port;
        let mut rules: Vec<String> = self.rules.iter().filter(is_other).map(HostRule::as_yaml).collect();
        rules.push(match (self.capability, added.port) {
            (Capability::Tcp, None) => format!("\"{added}:PORT\""),
            _ => added.as_yaml(),
        });
        format!("write `{key}: [{}]` below `grants` of the step", rules.join(", "))
    }
}

impl Names {
    /// The addresses of a name, or the address that it is itself.
    pub async fn addresses(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        if let Ok(address) = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            return Ok(vec![address.to_canonical()]);
        }
        match self {
            Names::System => {
                let found = tokio::net::lookup_host((host, 0)).await?;
                Ok(found.map(|address| address.ip().to_canonical()).collect())
            }
            #[cfg(test)]
            Names::Table(table) => {
                let found = table.iter().filter(|(name, _)| *name == host);
                Ok(found.map(|(_, address)| address.parse().unwrap()).collect())
            }
        }
    }
}

/// A host for a message: the plugin chose the text.
pub(crate) fn shown(host: &str) -> String {
    host.escape_debug().take(253).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// What these rules grant, with names that lead to these addresses.
    pub fn reach(capability: Capability, rules: &[&str], names: &[(&'static str, &'static str)]) -> Reach {
        let rules = rules.iter().map(|rule| HostRule::parse(rule).unwrap()).collect();
        Reach { capability, rules, trust: Trust::Full, names: Names::Table(names.to_vec()) }
    }

    #[test]
    fn a_host_that_is_not_granted_is_refused_with_the_line_to_write() {
        let http = reach(Capability::Http, &["codecov.io"], &[]);
        assert_eq!(http.check("codecov.io", 443, Some(443)), Ok(false));
        for (host, port, expected) in [
            (
                "evil.io",
                443,
                "the step may not reach `evil.io`; write `http: [codecov.io, evil.io]` below `grants` of the step",
            ),
            (
                "codecov.io",
                8443,
                "the step may not reach `codecov.io:8443`; write `http: [codecov.io, \"codecov.io:8443\"]` below `grants` of the step",
            ),
            (
                "[::1]",
                80,
                "the step may not reach `[::1]:80`; write `http: [codecov.io, \"[::1]:80\"]` below `grants` of the step",
            ),
            ("a\nb", 443, "the step may not reach `a\\nb`; `http` below `grants` of the step names the hosts"),
        ] {
            assert_eq!(http.check(host, port, Some(443)).unwrap_err().to_string(), expected);
        }
        let fork = Reach { trust: Trust::Fork, rules: Vec::new(), ..http };
        let refused = fork.check("codecov.io", 443, Some(443)).unwrap_err().to_string();
        assert!(refused.ends_with("unless the pipeline says `forks: { network: true }`"), "{refused}");
    }

    #[tokio::test]
    async fn a_name_that_leads_to_a_private_network_is_refused_unless_that_is_granted() {
        let names = [("a.io", "10.0.0.1"), ("b.io", "127.0.0.1"), ("b.io", "1.1.1.1"), ("localhost", "::1")];
        let http = reach(Capability::Http, &["a.io", "c.io", "localhost:80", "127.1"], &names);
        let refused = http.addresses("a.io", false).await.unwrap_err().to_string();
        assert_eq!(
            refused,
            "`a.io` leads to 10.0.0.1, an address of this machine or of a private network; if that is meant, write \
             `http: [c.io, \"localhost:80\", 127.1, { host: a.io, private: true }]` below `grants` of the step"
        );
        assert_eq!(http.addresses("a.io", true).await.unwrap(), ["10.0.0.1".parse::<IpAddr>().unwrap()]);
        let public: IpAddr = "1.1.1.1".parse().unwrap();
        assert_eq!(http.addresses("b.io", false).await.unwrap(), [public], "only the public one is used");
        assert!(http.check("localhost", 80, Some(80)).unwrap(), "who writes `localhost` means it");
        let system = Reach { names: Names::System, ..http.clone() };
        let refused = system.addresses("127.1", false).await.unwrap_err();
        assert!(matches!(refused, NoAddress::Refused(Refusal::Private { .. })), "another way to write it: {refused}");
        assert!(matches!(http.addresses("c.io", false).await, Err(NoAddress::Unknown { .. })));
    }
}
