//! Where a step may connect to: `codecov.io`, `*.example.org`, `git.example.org:8443`, `[::1]:80`.

use std::{fmt, net::IpAddr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One entry of `http:` or `tcp:` below `grants:`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct HostRule {
    /// A host name in lower case, a name with `*.` before it, or an address without brackets.
    pub host: String,
    /// The port; none is the usual port of the protocol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// The name may lead to an address of a private network or of this machine. True by itself for an address, and for
    /// `localhost`: who writes them means them.
    #[serde(default)]
    pub private: bool,
}

/// Why a text is no rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostRuleError {
    /// A URL, or a part of one.
    #[error("`{0}` is not a host: write the host alone, such as `example.org` or `example.org:8443`")]
    Url(String),
    /// The port is no number from 1 to 65535.
    #[error("the port of `{0}` is not a number from 1 to 65535")]
    Port(String),
    /// `*` stands elsewhere than in the place of the first name.
    #[error("`*` stands for the first names of a host only: write `*.example.org`")]
    Star(String),
    /// Letters, digits, `-` and dots make a host.
    #[error("`{0}` is not a host name and not an address")]
    Name(String),
    /// TCP has no usual port.
    #[error("`{0}` has no port: write `{0}:PORT`")]
    NoPort(String),
    /// The same of an address of IPv6, whose port would be one more part of it.
    #[error("`{0}` is an address of IPv6 without a port: write `[ADDRESS]:PORT`, such as `[::1]:5432`")]
    NoPortOfIpv6(String),
    /// Several colons, and no address.
    #[error("`{0}` is not an address: one of IPv6 with a port is written in brackets, such as `[::1]:5432`")]
    Brackets(String),
}

impl HostRuleError {
    /// What a rule without a port is told where there must be one.
    pub fn no_port(text: &str) -> HostRuleError {
        match text.contains(':') && !text.starts_with('[') {
            true => HostRuleError::NoPortOfIpv6(text.to_owned()),
            false => HostRuleError::NoPort(text.to_owned()),
        }
    }
}

impl HostRule {
    /// Reads a rule.
    ///
    /// # Errors
    /// If the text is no host with an optional port.
    pub fn parse(text: &str) -> Result<HostRule, HostRuleError> {
        let owned = || text.to_owned();
        if text.contains('/') || text.contains('@') {
            return Err(HostRuleError::Url(owned()));
        }
        let (host, port) = split_port(text).ok_or_else(|| HostRuleError::Port(owned()))?;
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(HostRule { host: address.to_string(), port, private: true });
        }
        if host.contains(':') {
            return Err(HostRuleError::Brackets(owned()));
        }
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let name = host.strip_prefix("*.").unwrap_or(&host);
        if name.contains('*') {
            return Err(HostRuleError::Star(owned()));
        }
        let is_label = |label: &str| {
            let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
            !label.is_empty() && label.len() <= 63 && label.bytes().all(is_inner) && !label.starts_with('-')
        };
        if name.len() > 253 || !name.split('.').all(is_label) {
            return Err(HostRuleError::Name(owned()));
        }
        let private = host == "localhost";
        Ok(HostRule { host, port, private })
    }

    /// The rule as an entry of a list in the pipeline.
    pub fn as_yaml(&self) -> String {
        let text = self.to_string();
        let private_by_itself = HostRule::parse(&text).is_ok_and(|rule| rule.private);
        let quoted = if text.contains([':', '*']) { format!("\"{text}\"") } else { text };
        match self.private && !private_by_itself {
            true => format!("{{ host: {quoted}, private: true }}"),
            false => quoted,
        }
    }

    /// Does the rule let a step connect to this host and port? `usual_port` is the one that a rule without port means.
    pub fn matches(&self, host: &str, port: u16, usual_port: Option<u16>) -> bool {
        self.port.or(usual_port) == Some(port) && self.matches_host(host)
    }

    /// Is it a rule for this host, whatever the port?
    pub fn matches_host(&self, host: &str) -> bool {
        let host = host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.').to_ascii_lowercase();
        let host = host.parse::<IpAddr>().map_or(host, |address| address.to_string());
        match self.host.strip_prefix("*.") {
            Some(domain) => host.strip_suffix(domain).is_some_and(|before| before.ends_with('.') && before.len() > 1),
            None => host == self.host,
        }
    }
}

impl fmt::Display for HostRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.host.contains(':'), self.port) {
            (true, Some(port)) => write!(f, "[{}]:{port}", self.host),
            (false, Some(port)) => write!(f, "{}:{port}", self.host),
            (_, None) => f.write_str(&self.host),
        }
    }
}

/// Host and port of `host`, `host:port`, `1.2.3.4:port`, `::1`, `[::1]` or `[::1]:port`; none if the port is not one.
fn split_port(text: &str) -> Option<(&str, Option<u16>)> {
    let port = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0);
    if let Some(rest) = text.strip_prefix('[') {
        let (host, after) = rest.split_once(']')?;
        return match after.strip_prefix(':') {
            Some(number) => Some((host, Some(port(number)?))),
            None => after.is_empty().then_some((host, None)),
        };
    }
    match text.split_once(':') {
        // More than one colon without brackets: an address of IPv6 without a port.
        Some((_, rest)) if rest.contains(':') => Some((text, None)),
        Some((host, number)) => Some((host, Some(port(number)?))),
        None => Some((text, None)),
    }
}

/// Is this an address that a stranger's network could reach as well: neither this machine, nor a private or link-local network, nor
/// one that is set aside (RFC 6890)?
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            let set_aside = a == 0
                || a >= 240
                || (a == 100 && (64..128).contains(&b))
                || (a == 192 && b == 0 && c == 0)
                || (a == 198 && (18..20).contains(&b));
            !(set_aside
                || v4.is_loopback()
                || v4.is_private()
                || v4.is_link_local()
                || v4.is_multicast()
                || v4.is_broadcast()
                || v4.is_documentation())
        }
        IpAddr::V6(v6) => {
            if let Some(v4) = embedded_v4(v6) {
                return is_public(IpAddr::V4(v4));
            }
            let [first, second, ..] = v6.segments();
            // Teredo and 6to4 lead to an address of IPv4, which may be private.
            let is_tunnel = first == 0x2002 || (first == 0x2001 && second == 0);
            let is_documentation = first == 0x2001 && second == 0xdb8;
            // Global unicast; whatever else there is, is set aside.
            first & 0xe000 == 0x2000 && !is_tunnel && !is_documentation
        }
    }
}

/// The address of IPv4 that one of IPv6 stands for: mapped (RFC 4291) or translated (`64:ff9b::/96`, RFC 6052).
fn embedded_v4(v6: std::net::Ipv6Addr) -> Option<std::net::Ipv4Addr> {
    let segments = v6.segments();
    let low = || std::net::Ipv4Addr::from((u32::from(segments[6]) << 16) | u32::from(segments[7]));
    match segments {
        [0, 0, 0, 0, 0, 0xffff, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => Some(low()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_say_host_and_port() {
        let cases = [
            ("codecov.io", Ok(("codecov.io", None, false))),
            ("Example.ORG.:8443", Ok(("example.org", Some(8443), false))),
            ("*.example.org", Ok(("*.example.org", None, false))),
            ("localhost:3000", Ok(("localhost", Some(3000), true))),
            ("10.1.2.3", Ok(("10.1.2.3", None, true))),
            ("[::1]:80", Ok(("::1", Some(80), true))),
            ("::1", Ok(("::1", None, true))),
            ("https://example.org", Err(HostRuleError::Url("https://example.org".into()))),
            ("me@example.org", Err(HostRuleError::Url("me@example.org".into()))),
            ("example.org:0", Err(HostRuleError::Port("example.org:0".into()))),
            ("example.org:http", Err(HostRuleError::Port("example.org:http".into()))),
            ("*", Err(HostRuleError::Star("*".into()))),
            ("a.*.org", Err(HostRuleError::Star("a.*.org".into()))),
            ("", Err(HostRuleError::Name(String::new()))),
            ("a b", Err(HostRuleError::Name("a b".into()))),
            ("::1::5432", Err(HostRuleError::Brackets("::1::5432".into()))),
            ("db.example.org:5432:1", Err(HostRuleError::Brackets("db.example.org:5432:1".into()))),
        ];
        for (text, expected) in cases {
            let expected = expected.map(|(host, port, private)| HostRule { host: host.to_owned(), port, private });
            assert_eq!(HostRule::parse(text), expected, "{text}");
        }
    }

    #[test]
    fn the_port_of_an_ipv6_address_stands_behind_brackets() {
        // It is an address, and not `::1` with a port.
        assert_eq!(HostRule::parse("::1:5432").unwrap().port, None);
        assert!(
            HostRuleError::no_port("::1:5432").to_string().contains("write `[ADDRESS]:PORT`, such as `[::1]:5432`")
        );
        assert!(HostRuleError::no_port("[::1]").to_string().contains("write `[::1]:PORT`"));
        assert!(HostRuleError::no_port("db").to_string().contains("write `db:PORT`"));
    }

    #[test]
    fn a_rule_is_written_so_that_yaml_reads_it_again() {
        for (text, yaml) in [
            ("codecov.io", "codecov.io"),
            ("*.example.org:8443", "\"*.example.org:8443\""),
            ("[::1]:80", "\"[::1]:80\""),
            ("localhost", "localhost"),
        ] {
            assert_eq!(HostRule::parse(text).unwrap().as_yaml(), yaml);
        }
        let private = HostRule { private: true, ..HostRule::parse("git.corp:443").unwrap() };
        assert_eq!(private.as_yaml(), "{ host: \"git.corp:443\", private: true }");
    }

    #[test]
    fn a_rule_lets_through_what_it_names_and_nothing_that_only_looks_like_it() {
        let cases = [
            ("example.org", "example.org", 443, true),
            ("example.org", "EXAMPLE.org.", 443, true),
            ("example.org", "example.org", 8443, false),
            ("example.org:8443", "example.org", 8443, true),
            ("example.org", "evilexample.org", 443, false),
            ("example.org", "example.org.evil.io", 443, false),
            ("*.example.org", "a.b.example.org", 443, true),
            ("*.example.org", "example.org", 443, false),
            ("*.example.org", ".example.org", 443, false),
            ("*.example.org", "evilexample.org", 443, false),
            ("[::1]:80", "[0:0:0:0:0:0:0:1]", 80, true),
            ("127.0.0.1:80", "localhost", 80, false),
        ];
        for (rule, host, port, expected) in cases {
            let matches = HostRule::parse(rule).unwrap().matches(host, port, Some(443));
            assert_eq!(matches, expected, "{rule} {host}:{port}");
        }
    }

    #[test]
    fn addresses_of_this_machine_and_its_networks_are_not_public() {
        let hidden = [
            "127.0.0.1",
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "0.0.0.0",
            "100.64.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "fd00::1",
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "64:ff9b::a00:1",
            "2002:7f00:1::",
            "2001:0:4136:e378::1",
            "2001:db8::1",
            "4000::1",
            "192.0.0.1",
            "198.18.0.1",
            "ff02::1",
        ];
        for text in hidden {
            assert!(!is_public(text.parse().unwrap()), "{text}");
        }
        for text in ["1.1.1.1", "2606:4700::1111", "::ffff:1.1.1.1"] {
            assert!(is_public(text.parse().unwrap()), "{text}");
        }
    }
}
