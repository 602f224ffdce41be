//! At which address the other servers of a database reach this one. Each tells its own in the database while it leads, and the
//! others pass calls on to it there; so it is never the address that all of them share.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use oxide_store::Location;
use reqwest::Url;
use tokio::net::{UdpSocket, lookup_host};

use super::reachable;
use crate::failure::Failure;

/// The port of PostgreSQL, if its address has none.
const POSTGRES_PORT: u16 = 5432;
/// How long looking up the name of the database may take.
const LOOKUP: Duration = Duration::from_secs(5);
/// Addresses of nobody (RFC 5737, RFC 3849): the way there is the way to everywhere that has no way of its own.
const ELSEWHERE: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1))];

/// The address that the operator says, or else the one that was found.
///
/// # Errors
/// What was said is no address, or nothing was said and nothing found although other servers may need it.
pub async fn find(said: Option<&str>, listens: SocketAddr, database: &Location) -> Result<String, Failure> {
    let own = match (said, database) {
        (None, Location::Postgres(url)) if listens.ip().is_unspecified() => own_addresses(url).await,
        _ => Vec::new(),
    };
    let is_shared = matches!(database, Location::Postgres(_));
    decide(said, listens, is_shared, &own)
}

/// What is said; or where it listens; or, if that is everywhere and others may ask, the first of its own addresses at which it
/// listens. Loopback comes last: only servers on this machine reach it.
fn decide(said: Option<&str>, listens: SocketAddr, is_shared: bool, own: &[IpAddr]) -> Result<String, Failure> {
    if let Some(said) = said {
        return checked(said);
    }
    if !listens.ip().is_unspecified() || !is_shared {
        return Ok(reachable(listens));
    }
    let is_usable = |ip: &&IpAddr| match ip {
        IpAddr::V4(ip) => !ip.is_unspecified(),
        IpAddr::V6(ip) => listens.is_ipv6() && !ip.is_unspecified() && !ip.is_unicast_link_local(),
    };
    let usable = || own.iter().filter(is_usable);
    let found = usable().find(|ip| !ip.is_loopback()).or_else(|| usable().next());
    found.map(|ip| reachable(SocketAddr::new(*ip, listens.port()))).ok_or_else(|| {
        Failure::usage(format!(
            "other servers of the database cannot know where they reach this one: it listens on {listens}, and this \
             machine has no address there"
        ))
        .hint(format!("say it with `--cluster-url http://HOST:{}`, or listen on one address only", listens.port()))
    })
}

/// An address without a slash at its end.
fn checked(said: &str) -> Result<String, Failure> {
    let is_place = |url: &Url| match url.host_str().map(|host| host.trim_matches(['[', ']']).parse::<IpAddr>()) {
        Some(Ok(ip)) => !ip.is_unspecified(),
        Some(Err(_)) => true,
        None => false,
    };
    let url = Url::parse(said).ok().filter(|url| ["http", "https"].contains(&url.scheme()) && is_place(url));
    match url {
        Some(_) => Ok(said.trim().trim_end_matches('/').to_owned()),
        None => Err(Failure::usage(format!("`cluster_url` is `{said}`, which is no address of a server"))
            .hint("write where the other servers of the database reach this one: `--cluster-url http://HOST:7780`")),
    }
}

/// The addresses of this machine: first that on its way to the database, which the other servers go, too; then that on its way
/// to everywhere.
async fn own_addresses(database: &str) -> Vec<IpAddr> {
    let mut targets = addresses_of(database).await;
    targets.extend(ELSEWHERE.map(|ip| SocketAddr::new(ip, POSTGRES_PORT)));
    let mut own = Vec::new();
    for target in targets {
        if let Ok(ip) = address_towards(target).await {
            own.push(ip);
        }
    }
    own
}

/// Where the database is; nothing if that cannot be found out.
async fn addresses_of(database: &str) -> Vec<SocketAddr> {
    let Ok(url) = Url::parse(database) else { return Vec::new() };
    let Some(host) = url.host_str() else { return Vec::new() };
    let place = (host.trim_matches(['[', ']']).to_owned(), url.port().unwrap_or(POSTGRES_PORT));
    let looked_up = tokio::time::timeout(LOOKUP, lookup_host(place)).await;
    match looked_up {
        Ok(Ok(found)) => found.collect(),
        _ => Vec::new(),
    }
}

/// The address that this machine has on the way to another one. Connecting a UDP socket chooses it, and sends nothing.
async fn address_towards(target: SocketAddr) -> io::Result<IpAddr> {
    let any = match target {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(target).await?;
    Ok(socket.local_addr()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a server on PostgreSQL tells that listens there and has these addresses.
    fn told(said: Option<&str>, listens: &str, own: &[&str]) -> Result<String, String> {
        let own: Vec<IpAddr> = own.iter().map(|ip| ip.parse().unwrap()).collect();
        decide(said, listens.parse().unwrap(), true, &own).map_err(|failure| failure.in_one_line())
    }

    #[test]
    fn what_the_operator_says_goes_before_all() {
        let said = told(Some("http://ci-1.lan:7780/"), "0.0.0.0:7780", &["10.0.0.5"]);
        assert_eq!(said.as_deref(), Ok("http://ci-1.lan:7780"));
        assert_eq!(told(Some("https://[fd00::1]"), "127.0.0.1:1", &[]).as_deref(), Ok("https://[fd00::1]"));
        for wrong in ["", "ci-1.lan:7780", "ftp://ci-1.lan", "http://", "http://0.0.0.0:7780", "http://[::]:7780"] {
            let error = told(Some(wrong), "0.0.0.0:7780", &["10.0.0.5"]).unwrap_err();
            assert!(error.contains("--cluster-url http://HOST:7780"), "{wrong}: {error}");
        }
    }

    #[test]
    fn a_server_is_where_it_listens() {
        assert_eq!(told(None, "10.0.0.5:7780", &["10.0.0.9"]).as_deref(), Ok("http://10.0.0.5:7780"));
        assert_eq!(told(None, "[fd00::1]:80", &[]).as_deref(), Ok("http://[fd00::1]:80"));
        let alone = decide(None, "0.0.0.0:7780".parse().unwrap(), false, &[]);
        assert_eq!(alone.unwrap(), "http://localhost:7780", "nobody else opens its file");
    }

    #[test]
    fn a_server_that_listens_everywhere_takes_an_address_that_others_reach() {
        let everywhere = |own: &[&str]| told(None, "0.0.0.0:7780", own).unwrap();
        assert_eq!(everywhere(&["10.0.0.5", "192.168.1.5"]), "http://10.0.0.5:7780");
        // The database is on this machine, and servers may be on others.
        assert_eq!(everywhere(&["127.0.0.1", "192.168.1.5"]), "http://192.168.1.5:7780");
        assert_eq!(everywhere(&["fd00::1", "0.0.0.0", "10.0.0.5"]), "http://10.0.0.5:7780");
        // A machine without a network has all servers.
        assert_eq!(everywhere(&["127.0.0.1"]), "http://127.0.0.1:7780");
        let both = |own: &[&str]| told(None, "[::]:7780", own).unwrap();
        assert_eq!(both(&["fe80::1", "fd00::1", "10.0.0.5"]), "http://[fd00::1]:7780");
        assert_eq!(both(&["10.0.0.5"]), "http://10.0.0.5:7780");
    }

    #[test]
    fn a_server_that_nobody_would_find_says_what_to_type() {
        let unusable: [&[&str]; 2] = [&[], &["fd00::1"]];
        for own in unusable {
            let error = told(None, "0.0.0.0:7780", own).unwrap_err();
            assert!(error.contains("listens on 0.0.0.0:7780"), "{error}");
            assert!(error.contains("`--cluster-url http://HOST:7780`"), "{error}");
        }
        assert!(told(None, "[::]:7780", &["fe80::1"]).is_err());
    }

    #[tokio::test]
    async fn the_address_towards_the_database_is_found() {
        let own = own_addresses("postgres://ci:hidden@127.0.0.1:5432/ci").await;
        assert_eq!(own.first(), Some(&IpAddr::V4(Ipv4Addr::LOCALHOST)));
        let database = Location::Postgres("postgres://ci@127.0.0.1/ci".to_owned());
        let found = find(None, "0.0.0.0:7780".parse().unwrap(), &database).await.unwrap();
        assert!(found.starts_with("http://") && found.ends_with(":7780") && !found.contains("0.0.0.0"), "{found}");
    }
}
