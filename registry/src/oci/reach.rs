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

use super::reference::host_and_port_of;

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
pub enum NotReached {
    /// Its addresses are those of a private network, or it has none.
    #[error(
        "`{0}` has no public address, and this server does not ask it; its operator can name it in `private_hosts`"
    )]
    Private(String),
    /// It is listed with another port.
    #[error(
        "this server asks that host at another port than `{0}`; its operator can name `{0}` in `private_hosts`, too"
    )]
    OtherPort(String),
}

impl Reach {
    /// May an address of the web be asked? Names that are not listed are looked at once more when they are resolved.
    ///
    /// # Errors
    /// [`NotReached`].
    pub fn admits(&self, url: &Url) -> Result<(), NotReached> {
        self.admits_url(url).map(drop)
    }

    /// Like [`Reach::admits`], before a request that a proxy may pass on: a proxy looks up names itself, so they are looked up
    /// here, too. What has no address here is the proxy's to find, for it may be all that knows the names of the outside.
    ///
    /// # Errors
    /// [`NotReached`].
    pub(super) async fn admits_by_proxy(&self, url: &Url) -> Result<(), NotReached> {
        let (host, port, is_listed) = self.admits_url(url)?;
        if is_listed {
            return Ok(());
        }
        let found: Vec<_> = tokio::net::lookup_host((bare(&host), port)).await.into_iter().flatten().collect();
        if found.iter().all(|address| is_public(address.ip())) { Ok(()) } else { Err(NotReached::Private(host)) }
    }

    /// The addresses of a host that may be asked: all of a host that is listed with this port, else its public ones.
    ///
    /// # Errors
    /// [`NotReached`], also if it has no address at all.
    pub async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, NotReached> {
        let is_listed = self.lists(host, port);
        if !is_listed && is_private(host) {
            return Err(NotReached::Private(format!("{host}:{port}")));
        }
        let found = tokio::net::lookup_host((bare(host), port)).await.into_iter().flatten();
        let found: Vec<_> = found.filter(|address| is_listed || is_public(address.ip())).collect();
        if found.is_empty() { Err(NotReached::Private(format!("{host}:{port}"))) } else { Ok(found) }
    }

    /// The host and port of an address that may be asked as far as can be said without looking up its name, and whether they are
    /// listed.
    fn admits_url(&self, url: &Url) -> Result<(String, u16, bool), NotReached> {
        let Some((host, port)) = host_and_port_of(url) else {
            return Err(NotReached::Private(url.as_str().chars().take(200).collect()));
        };
        let is_listed = self.lists(&host, port);
        if !is_listed && is_private(&host) {
            return Err(NotReached::Private(format!("{host}:{port}")));
        }
        // Whoever looks up the name for a client of HTTP sees no port, and gives out the private addresses of one that is listed.
        let is_name = bare(&host).parse::<IpAddr>().is_err();
        if !is_listed && is_name && self.lists_name(&host) {
            return Err(NotReached::OtherPort(format!("{host}:{port}")));
        }
        Ok((host, port, is_listed))
    }

    /// Is it listed, so that its addresses do not matter?
    fn lists(&self, host: &str, port: u16) -> bool {
        let Some(listed) = &self.private_hosts else { return true };
        listed.iter().any(|entry| {
            let (name, only) = split(entry);
            bare(name).eq_ignore_ascii_case(bare(host)) && only.is_none_or(|only| only == port)
        })
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
/// time in which they could come to mean something else. Of what goes by way of a proxy it sees the name of the proxy only; see
/// [`Reach::admits_by_proxy`]. A redirect to another name is then the proxy's to judge.
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
                true => Err(NotReached::Private(host).into()),
                false => Ok(Box::new(found.into_iter()) as Addrs),
            }
        })
    }
}

/// The hosts of the proxies that the environment names: they are the operator's.
pub(super) fn proxies() -> Vec<String> {
    let variables = ["http_proxy", "https_proxy", "all_proxy"].into_iter();
    let values = variables.flat_map(|name| [std::env::var(name), std::env::var(name.to_uppercase())]).flatten();
    values
        .filter_map(|value| {
            let value = if value.contains("://") { value } else { format!("http://{value}") };
            Some(Url::parse(&value).ok()?.host_str()?.to_owned())
        })
        .collect()
}

/// Is it an address that is not public, or a name of this machine? The names of others have to be looked up.
fn is_private(host: &str) -> bool {
    match bare(host).parse::<IpAddr>() {
        Ok(address) => !is_public(address),
        Err(_) => bare(host).eq_ignore_ascii_case("localhost"),
    }
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
        assert_eq!(open.resolve("127.0.0.1", 80).await, Err(NotReached::Private("127.0.0.1:80".into())));
        assert!(!open.resolve("localhost", 5000).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_host_that_is_listed_with_another_port_has_its_public_addresses_only() {
        let open = public(&["1.1.1.1:443", "10.1.2.3:443", "git.example.com:443"]);
        assert_eq!(open.resolve("1.1.1.1", 22).await, Ok(vec!["1.1.1.1:22".parse().unwrap()]));
        assert_eq!(open.resolve("10.1.2.3", 443).await, Ok(vec!["10.1.2.3:443".parse().unwrap()]));
        assert_eq!(open.resolve("10.1.2.3", 22).await, Err(NotReached::Private("10.1.2.3:22".into())));
        assert_eq!(open.admits(&Url::parse("https://1.1.1.1:8443/").unwrap()), Ok(()));
        let refused = open.admits(&Url::parse("https://git.example.com:8443/").unwrap()).unwrap_err();
        assert_eq!(refused, NotReached::OtherPort("git.example.com:8443".into()));
        assert!(refused.to_string().contains("can name `git.example.com:8443` in `private_hosts`"), "{refused}");
    }

    #[tokio::test]
    async fn what_a_proxy_would_look_up_is_looked_up_before() {
        let admits = async |reach: &Reach, url: &str| reach.admits_by_proxy(&Url::parse(url).unwrap()).await;
        let closed = public(&[]);
        for url in ["http://localhost./", "http://127.0.0.1/", "http://[::1]:7/", "http://10.1.2.3/"] {
            assert!(matches!(admits(&closed, url).await, Err(NotReached::Private(_))), "{url}");
        }
        for url in ["https://1.1.1.1/", "https://registry.invalid/"] {
            assert_eq!(admits(&closed, url).await, Ok(()), "{url}");
        }
        assert_eq!(admits(&public(&["10.1.2.3:80"]), "http://10.1.2.3/").await, Ok(()));
        assert_eq!(admits(&Reach::default(), "http://10.1.2.3/").await, Ok(()));
    }
}
