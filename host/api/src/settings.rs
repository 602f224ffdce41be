//! How the API behaves: what the operator says.

use std::{net::IpAddr, num::NonZeroU32, time::Duration};

/// The settings of the API.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where browsers and providers reach this server, such as `https://ci.example.com`, without a slash at the end.
    pub public_url: String,
    /// Origins whose pages may use the API, such as `https://dashboard.example.com`.
    pub cors_origins: Vec<String>,
    /// Proxies that tell the truth in `X-Forwarded-For`.
    pub trusted_proxies: Vec<Network>,
    /// How much may be asked for.
    pub rates: Rates,
    /// Ways to sign in with a browser.
    pub providers: Vec<Provider>,
    /// How long an access token of a session works.
    pub session: Duration,
    /// How long a refresh token works.
    pub refresh: Duration,
    /// What sessions are signed with: from the master key, for this purpose only.
    pub session_key: SessionKey,
    /// How long the body of a request may be silent.
    pub body_silence: Duration,
    /// How often streams look whether their callers may still see what they see.
    pub rights_every: Duration,
    /// How many streams one token or session may have open.
    pub streams_max: usize,
}

/// A key, never printed.
#[derive(Clone)]
pub struct SessionKey(pub [u8; 32]);

impl std::fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SessionKey(…)")
    }
}

impl SessionKey {
    /// The key for sessions out of the master key: HKDF, so that neither tells anything of the other.
    pub fn derive(master: &[u8]) -> SessionKey {
        struct Length;
        impl ring::hkdf::KeyType for Length {
            fn len(&self) -> usize {
                32
            }
        }
        let salt = ring::hkdf::Salt::new(ring::hkdf::HKDF_SHA256, b"oxide-ci");
        let mut key = [0; 32];
        salt.extract(master)
            .expand(&[b"session tokens, version 1"], Length)
            .and_then(|okm| okm.fill(&mut key))
            .expect("32 bytes are within the bound of HKDF");
        SessionKey(key)
    }
}

/// How often something may be asked for: so many at once, and so many a second in the long run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// How many a second.
    pub per_second: NonZeroU32,
    /// How many at once.
    pub burst: NonZeroU32,
}

/// The bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rates {
    /// Requests of one address that show nothing that was seen lately.
    pub address: Quota,
    /// Requests with one token or session.
    pub token: Quota,
    /// Requests of one agent.
    pub agent: Quota,
    /// Attempts of one address to sign in: so many at once, and one more every so often.
    pub sign_in_burst: NonZeroU32,
    /// How often there is one attempt more.
    pub sign_in_every: Duration,
}

const fn count(number: u32) -> NonZeroU32 {
    match NonZeroU32::new(number) {
        Some(number) => number,
        None => NonZeroU32::MIN,
    }
}

impl Default for Rates {
    fn default() -> Rates {
        Rates {
            address: Quota { per_second: count(20), burst: count(300) },
            token: Quota { per_second: count(100), burst: count(500) },
            agent: Quota { per_second: count(500), burst: count(2_000) },
            sign_in_burst: count(20),
            sign_in_every: Duration::from_secs(6),
        }
    }
}

impl Settings {
    /// The settings of a server that browsers reach at this address, if the operator says nothing else.
    pub fn new(public_url: impl Into<String>, session_key: SessionKey) -> Settings {
        Settings {
            public_url: public_url.into().trim_end_matches('/').to_owned(),
            cors_origins: Vec::new(),
            trusted_proxies: Vec::new(),
            rates: Rates::default(),
            providers: Vec::new(),
            session: Duration::from_secs(15 * 60),
            refresh: Duration::from_secs(30 * 24 * 60 * 60),
            session_key,
            body_silence: Duration::from_secs(30),
            rights_every: Duration::from_secs(10),
            streams_max: 50,
        }
    }

    /// Do browsers reach this server by https?
    pub fn is_https(&self) -> bool {
        self.public_url.starts_with("https://")
    }
}

/// Addresses that begin alike, such as `10.0.0.0/8`; or a single one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u32,
}

/// A text that is no network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is neither an address nor a network: write `10.1.2.3`, `10.0.0.0/8` or `fd00::/8`")]
pub struct NotANetwork(String);

impl std::str::FromStr for Network {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Network, NotANetwork> {
        let wrong = || NotANetwork(text.to_owned());
        let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(most), |bits| bits.parse().map_err(|_| wrong()))?;
        if bits > most { Err(wrong()) } else { Ok(Network { address, bits }) }
    }
}

impl Network {
    /// Is the address in it?
    pub fn holds(&self, address: IpAddr) -> bool {
        let begins_alike = |a: u128, b: u128, width: u32| {
            let shift = width - self.bits;
            shift >= 128 || (a >> shift) == (b >> shift)
        };
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(a), IpAddr::V4(b)) => begins_alike(a.to_bits().into(), b.to_bits().into(), 32),
            (IpAddr::V6(a), IpAddr::V6(b)) => begins_alike(a.to_bits(), b.to_bits(), 128),
            _ => false,
        }
    }
}

/// A way to sign in with a browser.
#[derive(Clone, Debug)]
pub struct Provider {
    /// Its name in the path: letters, digits and `-`.
    pub name: String,
    /// What it speaks.
    pub kind: ProviderKind,
    /// What the provider knows this server by.
    pub client_id: String,
    /// What this server proves it with.
    pub client_secret: ClientSecret,
    /// Who gets which role in which project at the sign-in. Nobody gets one if nothing is said.
    pub grants: Vec<ProviderGrant>,
    /// Whoever the provider knows may sign in. Else only those whom a grant names, and users that are here already.
    pub admits_everybody: bool,
}

/// A secret, never printed.
#[derive(Clone)]
pub struct ClientSecret(pub String);

impl std::fmt::Debug for ClientSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ClientSecret(…)")
    }
}

/// What a provider speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProviderKind {
    /// GitHub's OAuth.
    GitHub {
        /// Where people sign in: `https://github.com`.
        web: String,
        /// Where it is asked: `https://api.github.com`.
        api: String,
    },
    /// OpenID Connect.
    Oidc {
        /// The issuer, as its discovery document says it.
        issuer: String,
    },
}

/// Something that an operator said and that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// An address is none, or is not encrypted.
    #[error("{what} `{url}` cannot be used; write `https://…`, or `http://` for a machine that is this one")]
    Url {
        /// Which address.
        what: String,
        /// As it was written.
        url: String,
    },
    /// A provider has a name that cannot stand in a path, or two have the same one.
    #[error(
        "`{0}` cannot be the name of a way to sign in: each has its own, of small letters, digits and `-`; not `setup` or `refresh`"
    )]
    ProviderName(String),
    /// A provider knows nothing of this server.
    #[error("the way to sign in `{0}` needs a client id and a client secret")]
    NoClient(String),
}

impl Settings {
    /// Is everything as it can be?
    ///
    /// # Errors
    /// It says what cannot be, and what to write.
    pub fn check(&self) -> Result<(), SettingsError> {
        let mut names = std::collections::BTreeSet::new();
        for provider in &self.providers {
            let name = &provider.name;
            let is_plain = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
            if name.is_empty() || !is_plain || ["setup", "refresh"].contains(&name.as_str()) || !names.insert(name) {
                return Err(SettingsError::ProviderName(name.clone()));
            }
            if provider.client_id.is_empty() || provider.client_secret.0.is_empty() {
                return Err(SettingsError::NoClient(name.clone()));
            }
            let urls = match &provider.kind {
                ProviderKind::GitHub { web, api } => vec![web, api],
                ProviderKind::Oidc { issuer } => vec![issuer],
            };
            for url in urls {
                check_url(&format!("the address of `{name}`"), url)?;
            }
        }
        let parsed = reqwest::Url::parse(&self.public_url).ok();
        let is_web = parsed.is_some_and(|url| ["http", "https"].contains(&url.scheme()) && url.has_host());
        if is_web { Ok(()) } else { Err(wrong_url("the public address", &self.public_url)) }
    }
}

fn wrong_url(what: &str, url: &str) -> SettingsError {
    SettingsError::Url { what: what.to_owned(), url: url.to_owned() }
}

/// Secrets go there: it must be encrypted, or this machine.
fn check_url(what: &str, text: &str) -> Result<(), SettingsError> {
    let Ok(url) = reqwest::Url::parse(text) else { return Err(wrong_url(what, text)) };
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    let is_here = host == "localhost" || address.is_ok_and(|address| address.is_loopback());
    match url.scheme() {
        "https" if !host.is_empty() => Ok(()),
        "http" if is_here => Ok(()),
        _ => Err(wrong_url(what, text)),
    }
}

/// Whom a grant is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProviderMatch {
    /// Members of an organization (GitHub) or of a group (the claim `groups` of OpenID Connect).
    Organization(String),
    /// Whoever has a verified e-mail address in this domain.
    EmailDomain(String),
}

/// Who gets which role where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderGrant {
    /// Whom it is for.
    pub to: ProviderMatch,
    /// The role and the name of the project; none: may sign in, and has no role.
    pub role: Option<(oxide_core::access::Role, String)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks() {
        let network = |text: &str| text.parse::<Network>().unwrap();
        let holds = |text: &str, address: &str| network(text).holds(address.parse().unwrap());
        assert!(holds("10.0.0.0/8", "10.255.0.1") && !holds("10.0.0.0/8", "11.0.0.1"));
        assert!(holds("192.0.2.1", "192.0.2.1") && holds("192.0.2.1", "::ffff:192.0.2.1"));
        assert!(holds("fd00::/8", "fd12::1") && !holds("fd00::/8", "2001:db8::1"));
        assert!(holds("::/0", "2001:db8::1") && holds("0.0.0.0/0", "1.2.3.4") && !holds("::/0", "1.2.3.4"));
        for wrong in ["", "10.0.0.0/33", "ten", "10.0.0.0/x", "::/129"] {
            assert!(wrong.parse::<Network>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn secrets_are_sent_to_nobody_without_encryption() {
        let settings = |name: &str, issuer: &str| {
            let mut settings = Settings::new("http://ci.internal:8080/", SessionKey([0; 32]));
            settings.providers.push(Provider {
                name: name.into(),
                kind: ProviderKind::Oidc { issuer: issuer.into() },
                client_id: "us".into(),
                client_secret: ClientSecret("s".into()),
                grants: Vec::new(),
                admits_everybody: false,
            });
            settings
        };
        for good in ["https://id.example.com", "http://127.0.0.1:8080/realms/x", "http://[::1]:1", "http://localhost"] {
            assert_eq!(settings("company", good).check(), Ok(()), "{good}");
        }
        for bad in ["http://id.example.com", "ftp://id", "id.example.com", "", "http://localhost.evil"] {
            assert!(settings("company", bad).check().is_err(), "{bad}");
        }
        for bad in ["", "setup", "a b", "Company", "a/b"] {
            assert!(settings(bad, "https://id.example.com").check().is_err(), "{bad}");
        }
        let mut twice = settings("company", "https://id.example.com");
        twice.providers.push(twice.providers[0].clone());
        assert!(twice.check().is_err());
    }

    #[test]
    fn the_session_key_depends_on_the_master_key_and_hides_it() {
        let (one, two) = (SessionKey::derive(b"one"), SessionKey::derive(b"two"));
        assert_ne!(one.0, two.0);
        assert_eq!(one.0, SessionKey::derive(b"one").0);
        assert_eq!(format!("{one:?}"), "SessionKey(…)");
    }
}
