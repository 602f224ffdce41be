//! Which hosts are asked in the name of somebody else: a server that asks for others must not lend them its place in a network.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use oxide_core::grant::is_public;
use reqwest::{
    Url,
    dns::{Addrs, Name, Resolve, Resolving},
};

/// Which hosts may be asked.
#[derive(Clone, Debug)]
pub struct Reach {
    /// Hosts, with a port if only that one is meant, that may be asked though their addresses are private; none: all may.
    pub private_hosts: Option<Vec<String>>,
    /// Repositories of git may be folders of this machine.
    pub folders: bool,
}

/// Everything: for programs that ask in the name of whoever runs them.
impl Default for Reach {
    fn default() -> Self {
        Reach { private_hosts: None, folders: true }
    }
}

/// A host that may not be asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` has no public address, and this server does not ask it; its operator can name it in `private_hosts`")]
pub struct NotReached(pub String);

impl Reach {
    /// May an address of the web be asked? Names that are not listed are looked at once more when they are resolved.
    ///
    /// # Errors
    /// [`NotReached`].
    pub fn admits(&self, url: &Url) -> Result<(), NotReached> {
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
            return Err(NotReached(url.as_str().chars().take(200).collect()));
        };
        self.admits_host(host, port).map(drop)
    }

    /// The addresses of a host that may be asked.
    ///
    /// # Errors
    /// [`NotReached`], also if it has no address at all.
    pub async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, NotReached> {
        let is_listed = self.admits_host(host, port)?;
        let found = tokio::net::lookup_host((bare(host), port)).await.into_iter().flatten();
        let found: Vec<_> = found.filter(|address| is_listed || is_public(address.ip())).collect();
        if found.is_empty() { Err(NotReached(host.to_owned())) } else { Ok(found) }
    }

    /// Is a host listed, so that its addresses do not matter? The error says that it need not be resolved at all.
    fn admits_host(&self, host: &str, port: u16) -> Result<bool, NotReached> {
        let Some(listed) = &self.private_hosts else { return Ok(true) };
        let is_this = |entry: &String| {
            let (name, only) = split(entry);
            bare(name).eq_ignore_ascii_case(bare(host)) && only.is_none_or(|only| only == port)
        };
        if listed.iter().any(is_this) {
            return Ok(true);
        }
        let refused = match bare(host).parse::<IpAddr>() {
            Ok(address) => !is_public(address),
            // Listed with another port: its private addresses are not for this one.
            Err(_) => self.lists_name(host) || host.eq_ignore_ascii_case("localhost"),
        };
        if refused { Err(NotReached(format!("{host}:{port}"))) } else { Ok(false) }
    }

    fn lists_name(&self, host: &str) -> bool {
        self.private_hosts.iter().flatten().any(|entry| bare(split(entry).0).eq_ignore_ascii_case(bare(host)))
    }

    /// Looks up names for a client of HTTP; none if it may ask everybody.
    pub(super) fn resolver(&self) -> Option<Arc<Resolver>> {
        self.private_hosts.is_some().then(|| Arc::new(Resolver { reach: self.clone(), proxies: proxies() }))
    }
}

/// Gives out public addresses only, but for hosts that are listed. That names are looked up here, by whoever connects, leaves no
/// time in which they could come to mean something else.
pub(super) struct Resolver {
    reach: Reach,
    proxies: Vec<String>,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let host = name.as_str().to_owned();
        let is_listed = self.reach.lists_name(&host) || self.proxies.contains(&host);
        Box::pin(async move {
            let found = tokio::net::lookup_host((host.as_str(), 0)).await?;
            let found: Vec<_> = found.filter(|address| is_listed || is_public(address.ip())).collect();
            match found.is_empty() {
                true => Err(NotReached(host).into()),
                false => Ok(Box::new(found.into_iter()) as Addrs),
            }
        })
    }
}

/// The hosts of the proxies that the environment names: they are the operator's.
fn proxies() -> Vec<String> {
    let variables = ["http_proxy", "https_proxy", "all_proxy"].into_iter();
    let values = variables.flat_map(|name| [std::env::var(name), std::env::var(name.to_uppercase())]).flatten();
    values
        .filter_map(|value| {
            let value = if value.contains("://") { value } else { format!("http://{value}") };
            Some(Url::parse(&value).ok()?.host_str()?.to_owned())
        })
        .collect()
}

/// `HOST` or `HOST:PORT`.
fn split(entry: &str) -> (&str, Option<u16>) {
    match entry.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => match port.parse() {
            Ok(port) => (host, Some(port)),
            Err(_) => (entry, None),
        },
        _ => (entry, None),
    }
}

/// A host without the brackets of IPv6, and without the dot that may end a name.
fn bare(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn public(hosts: &[&str]) -> Reach {
        Reach { private_hosts: Some(hosts.iter().map(|host| (*host).to_owned()).collect()), folders: false }
    }

    #[tokio::test]
    async fn private_hosts_are_asked_if_they_are_listed() {
        let admits = |reach: &Reach, url: &str| reach.admits(&Url::parse(url).unwrap()).is_ok();
        let closed = public(&[]);
        for url in [
            "http://127.0.0.1/",
            "http://localhost:7/",
            "http://[::1]/",
            "http://169.254.169.254/",
            "http://2130706433/",
        ] {
            assert!(!admits(&closed, url), "{url}");
            assert!(admits(&Reach::default(), url), "{url}");
        }
        assert!(admits(&closed, "https://ghcr.io/") && admits(&closed, "https://1.1.1.1/"));
        let open = public(&["registry.lan:5000", "10.1.2.3", "[::1]:7", "localhost:5000"]);
        for url in ["http://registry.lan:5000/", "http://10.1.2.3:9/", "http://[::1]:7/", "http://LOCALHOST:5000/"] {
            assert!(admits(&open, url), "{url}");
        }
        for url in ["http://registry.lan:22/", "http://10.1.2.4/", "http://[::1]:8/", "http://localhost/"] {
            assert!(!admits(&open, url), "{url}");
        }
        assert!(closed.resolve("localhost", 80).await.is_err());
        assert_eq!(open.resolve("127.0.0.1", 80).await, Err(NotReached("127.0.0.1:80".into())));
        assert!(!open.resolve("localhost", 5000).await.unwrap().is_empty());
    }
}
