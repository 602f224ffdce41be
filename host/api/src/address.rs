//! From where a request comes: the peer, or what a trusted proxy says.

use std::net::{IpAddr, SocketAddr};

use axum::http::HeaderMap;

use crate::settings::Network;

/// From where a request comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

/// The address of the client. `X-Forwarded-For` is read from its end, as long as the one who added an entry is trusted.
pub fn of(peer: IpAddr, headers: &HeaderMap, trusted: &[Network]) -> IpAddr {
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.holds(address));
    let peer = peer.to_canonical();
    if !is_trusted(peer) {
        return peer;
    }
    let lists: Vec<&str> = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok()).collect();
    let mut found = peer;
    for entry in lists.iter().flat_map(|list| list.split(',')).rev() {
        // Whatever cannot be read was written by somebody we do not know.
        let Some(address) = parse(entry.trim()) else { break };
        found = address;
        if !is_trusted(address) {
            break;
        }
    }
    found
}

/// An address, perhaps with a port and brackets.
fn parse(text: &str) -> Option<IpAddr> {
    let address = text.parse().or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip()));
    let address = address.or_else(|_| text.trim_matches(['[', ']']).parse::<IpAddr>());
    address.ok().map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, forwarded: &[&str], trusted: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", value.parse().unwrap());
        }
        let trusted: Vec<Network> = trusted.iter().map(|text| text.parse().unwrap()).collect();
        of(peer.parse().unwrap(), &headers, &trusted).to_string()
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        assert_eq!(client("192.0.2.9", &["203.0.113.1"], &[]), "192.0.2.9");
        assert_eq!(client("10.0.0.1", &["203.0.113.1"], &["10.0.0.0/8"]), "203.0.113.1");
        // The client wrote the first entry itself.
        assert_eq!(client("10.0.0.1", &["1.1.1.1, 203.0.113.1"], &["10.0.0.0/8"]), "203.0.113.1");
        assert_eq!(client("10.0.0.1", &["203.0.113.1", "10.0.0.2"], &["10.0.0.0/8"]), "203.0.113.1");
        assert_eq!(client("10.0.0.1", &[], &["10.0.0.0/8"]), "10.0.0.1");
        assert_eq!(client("10.0.0.1", &["unknown"], &["10.0.0.0/8"]), "10.0.0.1");
        assert_eq!(client("::ffff:10.0.0.1", &["[2001:db8::1]:4711"], &["10.0.0.0/8"]), "2001:db8::1");
    }
}
