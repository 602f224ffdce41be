//! The name of something in a registry: `HOST/REPOSITORY`, then `:TAG`, `@sha256:DIGEST` or both.

use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use reqwest::Url;

use super::{
    connection::is_this_machine,
    digest::{Digest, DigestError},
};

/// The longest reference, in bytes.
pub const REFERENCE_BYTES_MAX: usize = 512;
/// The longest name of a repository, in bytes, as the distribution specification has it.
const REPOSITORY_BYTES_MAX: usize = 255;
/// The longest tag, in bytes.
const TAG_BYTES_MAX: usize = 128;

/// A repository in a registry, such as `ghcr.io/acme/lint`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Repository {
    host: String,
    path: String,
}

/// A manifest in a repository, by tag, by digest, or by both (then the digest counts).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OciReference {
    /// Where it is.
    pub repository: Repository,
    /// What stands behind `:`.
    pub tag: Option<String>,
    /// What stands behind `@`.
    pub digest: Option<Digest>,
}

/// Why a text names nothing in a registry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OciReferenceError {
    /// Longer than any real one.
    #[error("the reference is longer than {REFERENCE_BYTES_MAX} bytes")]
    TooLong,
    /// Nothing in front of the first `/`, or no `/`.
    #[error("`{0}` names no registry: write HOST/REPOSITORY:TAG, such as `ghcr.io/acme/lint:1.4`")]
    NoHost(String),
    /// The host cannot be one.
    #[error("`{0}` is not the name of a registry: write a host name such as `ghcr.io` or `localhost:5000`")]
    Host(String),
    /// The port is none, or is written in another way than everybody writes it.
    #[error("`{0}` is not a port: write a number from 1 to 65535 with digits only and no 0 in front, such as `5000`")]
    Port(String),
    /// The host is a number, and not written as four decimal ones.
    #[error("`{0}` is not an address: write four numbers from 0 to 255 without a 0 in front, such as `127.0.0.1`")]
    Address(String),
    /// The repository cannot be one.
    #[error(
        "`{0}` is not the name of a repository: write lower-case letters, digits and single `.`, `_`, `-` between them, in \
         parts separated by `/`"
    )]
    Repository(String),
    /// The tag cannot be one.
    #[error("`{0}` is not a tag: write letters, digits, `.`, `_` and `-`, at most {TAG_BYTES_MAX}")]
    Tag(String),
    /// The digest cannot be one.
    #[error(transparent)]
    Digest(#[from] DigestError),
    /// Neither tag nor digest.
    #[error("`{0}` names no version: write a tag or a digest behind it, such as `{0}:1.4`")]
    NoVersion(String),
}

impl Repository {
    /// Reads `HOST/PATH`.
    ///
    /// # Errors
    /// See [`OciReferenceError`].
    pub fn parse(text: &str) -> Result<Repository, OciReferenceError> {
        if text.len() > REFERENCE_BYTES_MAX {
            return Err(OciReferenceError::TooLong);
        }
        let (host, path) = text.split_once('/').ok_or_else(|| OciReferenceError::NoHost(text.to_owned()))?;
        if host.is_empty() {
            return Err(OciReferenceError::NoHost(text.to_owned()));
        }
        check_host(host)?;
        if path.len() > REPOSITORY_BYTES_MAX || !path.split('/').all(is_path_part) {
            return Err(OciReferenceError::Repository(path.to_owned()));
        }
        Ok(Repository { host: host.to_owned(), path: path.to_owned() })
    }

    /// The registry as it was written, with its port, such as `ghcr.io` or `localhost:5000`.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The name within the registry, such as `acme/lint`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// A host with an optional port, in the one spelling that stands for all that lead to the same registry: small letters, no
    /// port that is meant anyway, addresses in their short form, one name for Docker's registry.
    pub(crate) fn usual_host(host: &str) -> String {
        let host = host.to_ascii_lowercase();
        let (name, port) = match host.rsplit_once(':') {
            Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
            _ => (host.as_str(), None),
        };
        let name = name.strip_suffix('.').unwrap_or(name);
        let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')?.parse::<Ipv6Addr>().ok());
        let name = match address.map(|address| (address.to_ipv4_mapped(), address)) {
            Some((Some(address), _)) => address.to_string(),
            Some((None, address)) => format!("[{address}]"),
            None => name.to_owned(),
        };
        // This machine is reached over http.
        let usual_port = if is_this_machine(&name) { "80" } else { "443" };
        match (name.as_str(), port.filter(|port| *port != usual_port)) {
            ("index.docker.io" | "registry-1.docker.io", None) => "docker.io".to_owned(),
            (_, Some(port)) => format!("{name}:{port}"),
            (_, None) => name,
        }
    }

    /// The last part of the name, such as `lint`.
    pub fn last_part(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    /// What has this tag here.
    ///
    /// # Errors
    /// If it is no tag.
    pub fn tagged(&self, tag: &str) -> Result<OciReference, OciReferenceError> {
        if !is_tag(tag) {
            return Err(OciReferenceError::Tag(tag.to_owned()));
        }
        Ok(OciReference { repository: self.clone(), tag: Some(tag.to_owned()), digest: None })
    }

    /// What has this digest here.
    pub fn at(&self, digest: &Digest) -> OciReference {
        OciReference { repository: self.clone(), tag: None, digest: Some(digest.clone()) }
    }
}

impl OciReference {
    /// Reads `HOST/REPOSITORY[:TAG][@DIGEST]`; one of tag and digest must be there.
    ///
    /// # Errors
    /// See [`OciReferenceError`].
    pub fn parse(text: &str) -> Result<OciReference, OciReferenceError> {
        if text.len() > REFERENCE_BYTES_MAX {
            return Err(OciReferenceError::TooLong);
        }
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(digest.parse()?)),
            None => (text, None),
        };
        // A colon in front of the last slash is that of a port.
        let tag_at = name.rfind(':').filter(|at| !name[*at..].contains('/'));
        let (name, tag) = match tag_at {
            Some(at) if name.contains('/') => (&name[..at], Some(&name[at + 1..])),
            _ => (name, None),
        };
        let repository = Repository::parse(name)?;
        let tag = tag.map(|tag| repository.tagged(tag).map(|tagged| tagged.tag)).transpose()?.flatten();
        if tag.is_none() && digest.is_none() {
            return Err(OciReferenceError::NoVersion(name.to_owned()));
        }
        Ok(OciReference { repository, tag, digest })
    }

    /// What the registry is asked for: the digest if there is one, else the tag.
    pub(crate) fn version(&self) -> &str {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.as_str(),
            (None, Some(tag)) => tag,
            (None, None) => "latest",
        }
    }
}

impl FromStr for OciReference {
    type Err = OciReferenceError;

    fn from_str(text: &str) -> Result<OciReference, OciReferenceError> {
        OciReference::parse(text)
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.host, self.path)
    }
}

impl fmt::Display for OciReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

/// Checks a host name or address with an optional port; an IPv6 address stands in brackets. What others read in another way
/// than it looks is refused, or rules about hosts could be passed.
fn check_host(host: &str) -> Result<(), OciReferenceError> {
    let wrong = || OciReferenceError::Host(host.to_owned());
    if let Some(rest) = host.strip_prefix('[') {
        let (address, port) = rest.split_once(']').ok_or_else(wrong)?;
        if address.parse::<Ipv6Addr>().is_err() {
            return Err(wrong());
        }
        return match port.strip_prefix(':') {
            Some(port) => check_port(port),
            None if port.is_empty() => Ok(()),
            None => Err(wrong()),
        };
    }
    let (name, port) = match host.split_once(':') {
        Some((name, port)) => (name, Some(port)),
        None => (host, None),
    };
    let is_label = |label: &str| {
        let inside = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        (1..=63).contains(&label.len()) && label.bytes().all(inside) && !label.starts_with('-') && !label.ends_with('-')
    };
    if name.len() > 253 || !name.split('.').all(is_label) {
        return Err(wrong());
    }
    let last = name.rsplit('.').next().unwrap_or(name);
    if is_number(last) && name.parse::<Ipv4Addr>().is_err() {
        return Err(OciReferenceError::Address(name.to_owned()));
    }
    port.map_or(Ok(()), check_port)
}

fn check_port(port: &str) -> Result<(), OciReferenceError> {
    let is_plain = port.bytes().all(|byte| byte.is_ascii_digit()) && !port.starts_with('0');
    match is_plain && port.parse::<u16>().is_ok() {
        true => Ok(()),
        false => Err(OciReferenceError::Port(port.to_owned())),
    }
}

/// Does an address read a host name that ends in this label as a number, such as `1` or `0x7f`?
fn is_number(label: &str) -> bool {
    let hexadecimal = label.strip_prefix("0x").or_else(|| label.strip_prefix("0X"));
    match hexadecimal {
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => label.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

/// Lower-case letters and digits, with `.`, `_`, `__` or dashes between them.
fn is_path_part(part: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = part.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else { return false };
    if !is_word(*first) || !is_word(*last) || !bytes.iter().all(|byte| is_word(*byte) || b"._-".contains(byte)) {
        return false;
    }
    let separators = part.split(|sign: char| sign.is_ascii_lowercase() || sign.is_ascii_digit());
    separators
        .into_iter()
        .all(|separator| matches!(separator, "" | "." | "_" | "__") || separator.bytes().all(|byte| byte == b'-'))
}

fn is_tag(tag: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    tag.len() <= TAG_BYTES_MAX
        && tag.bytes().next().is_some_and(is_word)
        && tag.bytes().all(|byte| is_word(byte) || byte == b'.' || byte == b'-')
}

/// The hosts by which references name a registry at this address: with its port, and without if it is the one of the scheme,
/// such as `ci.example.com:443` and `ci.example.com` of `https://ci.example.com/`. None if it is no address.
pub fn hosts_of_url(url: &str) -> Vec<String> {
    let Some((host, port)) = host_and_port(url) else { return Vec::new() };
    let is_usual = Url::parse(url).is_ok_and(|url| url.port().is_none());
    let named = format!("{host}:{port}");
    if is_usual { vec![named, host] } else { vec![named] }
}

/// The host of a URL in small letters, an IPv6 address in brackets, and its port, which is the usual one of the scheme if none is
/// written. None if it is no URL, or one without a host.
pub fn host_and_port(url: &str) -> Option<(String, u16)> {
    host_and_port_of(&Url::parse(url).ok()?)
}

/// Like [`host_and_port`], of a URL that was read.
pub(super) fn host_and_port_of(url: &Url) -> Option<(String, u16)> {
    let port = url.port().or_else(|| match url.scheme() {
        "ssh" => Some(22),
        "git" => Some(9418),
        _ => url.port_or_known_default(),
    });
    let host = url.host_str().filter(|host| !host.is_empty())?;
    Some((host.to_ascii_lowercase(), port?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn a_reference_is_read_and_written_as_it_was() {
        for text in [
            "ghcr.io/acme/lint:1.4",
            "localhost:5000/lint:v1",
            "127.0.0.1:5000/a/b/c:latest",
            "[::1]:5000/a-b/c__d.e:X_1",
            &format!("ghcr.io/acme/lint@{DIGEST}"),
            &format!("ghcr.io:443/acme/lint:1.4@{DIGEST}"),
        ] {
            let read = OciReference::parse(text).unwrap();
            assert_eq!(read.to_string(), text);
        }
        let both = OciReference::parse(&format!("localhost:5000/acme/lint:1.4@{DIGEST}")).unwrap();
        assert_eq!((both.repository.host(), both.repository.path()), ("localhost:5000", "acme/lint"));
        assert_eq!((both.tag.as_deref(), both.version()), (Some("1.4"), DIGEST));
        assert_eq!(both.repository.last_part(), "lint");
    }

    #[test]
    fn nothing_that_could_leave_its_place_in_a_path_or_an_url_is_a_reference() {
        let long = format!("ghcr.io/{}:1", "a/".repeat(300) + "b");
        let long_tag = format!("ghcr.io/a:{}", "t".repeat(129));
        for text in [
            "",
            "lint",
            "/lint:1",
            "ghcr.io/",
            "ghcr.io/../lint:1",
            "ghcr.io/acme/../lint:1",
            "ghcr.io/acme//lint:1",
            "ghcr.io/Acme/lint:1",
            "ghcr.io/acme/lint?x=1:1",
            "ghcr.io/acme/lint:1/2",
            "ghcr.io/acme/lint:../../x",
            "ghcr.io/acme/li nt:1",
            "ghcr.io/acme/lint:",
            "ghcr.io/acme/lint:-x",
            "ghcr.io/acme/lint:1\n",
            "user@ghcr.io/acme/lint:1",
            "user:word@ghcr.io/acme/lint:1",
            "https://ghcr.io/acme/lint:1",
            "ghcr.io:99999/acme/lint:1",
            "ghcr.io:/acme/lint:1",
            "-ghcr.io/acme/lint:1",
            "gh..io/acme/lint:1",
            "[::1/acme/lint:1",
            "[x]:1/acme/lint:1",
            "ghcr.io/acme/_lint:1",
            "ghcr.io/acme/li..nt:1",
            "ghcr.io/acme/lint@sha256:00",
            "ghcr.io/acme/lint@sha512:00",
            &long,
            &long_tag,
        ] {
            assert!(OciReference::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_what_to_write() {
        let told = |text: &str| OciReference::parse(text).unwrap_err().to_string();
        assert!(told("ghcr.io/acme/lint").contains("such as `ghcr.io/acme/lint:1.4`"));
        assert!(told("ghcr.io/Acme/lint:1").contains("`Acme/lint` is not the name of a repository"));
        assert!(told("ghcr.io/acme/lint@sha256:ab").contains("64 hexadecimal digits"));
    }
    #[test]
    fn a_host_and_a_port_have_one_spelling() {
        let told = |host: &str| Repository::parse(&format!("{host}/acme/lint")).unwrap_err().to_string();
        for port in ["05601", "+5601", "", "0", "65536", "5601:1", " 5601"] {
            for host in ["127.0.0.1", "ghcr.io", "[::1]"] {
                let told = told(&format!("{host}:{port}"));
                assert!(told.contains(&format!("`{port}` is not a port: write")), "{told}");
            }
        }
        for host in
            ["127.1", "2130706433", "0x7f000001", "0x7f.1", "127.0.0.01", "0177.0.0.1", "1.2.3.4.5", "256.0.0.1"]
        {
            for port in ["", ":5601"] {
                let told = told(&format!("{host}{port}"));
                assert!(told.contains(&format!("`{host}` is not an address: write four numbers")), "{told}");
            }
        }
        for host in ["127.0.0.1:5601", "1password.com", "1.2.3.4.example", "0xg.io", "a.1x", "[::1]", "5601.io:1"] {
            assert!(Repository::parse(&format!("{host}/acme/lint")).is_ok(), "{host}");
        }
    }

    #[test]
    fn a_url_has_the_host_and_port_that_are_asked() {
        for (url, host, port) in [
            ("https://CI.example.com/", "ci.example.com", 443),
            ("http://ci.lan", "ci.lan", 80),
            ("http://127.0.0.1:/a.git", "127.0.0.1", 80),
            ("http://0x7f.1:7780/", "127.0.0.1", 7780),
            ("http://[::1]", "[::1]", 80),
            ("https://[::1]:8443/a", "[::1]", 8443),
            ("ssh://git@git.lan/a", "git.lan", 22),
            ("ssh://git@git.lan:2222/a", "git.lan", 2222),
            ("git://10.0.0.5:/a", "10.0.0.5", 9418),
        ] {
            assert_eq!(host_and_port(url), Some((host.to_owned(), port)), "{url}");
        }
        for url in ["http://127.0.0.1:x/a", "http://a:65536/", "https://", "file:///srv/a", "/srv/a", "ci.example.com"]
        {
            assert_eq!(host_and_port(url), None, "{url}");
        }
        assert_eq!(hosts_of_url("http://ci.lan"), ["ci.lan:80", "ci.lan"]);
        assert_eq!(hosts_of_url("https://ci.example.com:443/"), ["ci.example.com:443", "ci.example.com"]);
        assert_eq!(hosts_of_url("http://localhost:7780/"), ["localhost:7780"]);
        assert!(hosts_of_url("ci.example.com").is_empty());
    }

    #[test]
    fn spellings_of_one_registry_have_one_usual_host() {
        for (host, usual) in [
            ("GHCR.io:443", "ghcr.io"),
            ("ghcr.io:80", "ghcr.io:80"),
            ("ghcr.io:444", "ghcr.io:444"),
            ("docker.io", "docker.io"),
            ("Index.Docker.io:443", "docker.io"),
            ("registry-1.docker.io", "docker.io"),
            ("registry-1.docker.io:5000", "registry-1.docker.io:5000"),
            ("127.0.0.1:443", "127.0.0.1:443"),
            ("LocalHost:443", "localhost:443"),
            ("localhost:80", "localhost"),
            ("[0:0:0:0:0:0:0:1]:443", "[::1]:443"),
            ("[2001:DB8:0::1]:443", "[2001:db8::1]"),
            ("[2001:db8::443]", "[2001:db8::443]"),
            ("[::ffff:10.0.0.1]:5000", "10.0.0.1:5000"),
        ] {
            assert_eq!(Repository::usual_host(host), usual, "{host}");
        }
    }
}
