//! Where commits come from. Pure: what a plugin wrote is checked here before `git` sees it.

use super::super::CapabilityError;

/// A remote whose address is safe to put on a command line and into a log.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Remote {
    /// Without user name and password, except for the user name of ssh.
    pub url: String,
    /// On this machine.
    pub is_local: bool,
    /// A setting of git that carries the credentials, if there are any: its key and its value, which is secret.
    pub credentials: Option<(String, String)>,
}

/// Leaves the credentials out.
impl std::fmt::Debug for Remote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Remote").field("url", &self.url).field("is_local", &self.is_local).finish_non_exhaustive()
    }
}

impl Remote {
    /// Reads a URL or an absolute path. Messages do not repeat what may hold a password.
    pub fn parse(text: &str) -> Result<Remote, CapabilityError> {
        let invalid = |problem: &str| Err(CapabilityError::Invalid(format!("the remote {problem}")));
        if text.is_empty() {
            return invalid("is empty");
        }
        if text.starts_with('-') {
            return invalid("begins with `-`");
        }
        if text.chars().any(char::is_control) {
            return invalid("contains a control character");
        }
        if let Some((helper, _)) = text.split_once("::")
            && helper.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
        {
            return Err(CapabilityError::Denied("remote helpers (`NAME::ADDRESS`) are not allowed".into()));
        }
        let plain = |is_local| Ok(Remote { url: text.to_owned(), is_local, credentials: None });
        match text.split_once("://") {
            Some(("https" | "http", _)) => http(text),
            Some(("ssh", rest)) => match check_ssh(authority(rest).0) {
                Some(problem) => invalid(problem),
                None => plain(false),
            },
            Some(("git", rest)) if !authority(rest).0.starts_with('-') => plain(false),
            Some(("file", rest)) if rest.starts_with('/') => plain(true),
            Some(("file", _)) => invalid("is a `file` URL without an absolute path (`file:///…`)"),
            Some(_) => invalid("has a scheme that is not supported; use https, ssh, git or file"),
            None if text.starts_with('/') => plain(true),
            None => match scp_authority(text).map(check_ssh) {
                Some(None) => plain(false),
                Some(Some(problem)) => invalid(problem),
                None => invalid("is a relative path; write a URL or an absolute path"),
            },
        }
    }
}

/// The part of a URL up to the path, and the rest.
fn authority(after_scheme: &str) -> (&str, &str) {
    let end = after_scheme.find(['/', '?', '#']).unwrap_or(after_scheme.len());
    after_scheme.split_at(end)
}

/// `user@host` of `user@host:path`.
fn scp_authority(text: &str) -> Option<&str> {
    let (authority, _) = text.split_once(':')?;
    (!authority.contains('/') && !authority.is_empty()).then_some(authority)
}

/// What is wrong with the address of an ssh server.
fn check_ssh(authority: &str) -> Option<&'static str> {
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    if user.contains(':') {
        Some("has a password, which ssh does not take; use a key")
    } else if host.starts_with('-') || user.starts_with('-') || host.is_empty() {
        Some("has no usable host name")
    } else {
        None
    }
}

fn http(text: &str) -> Result<Remote, CapabilityError> {
    let (scheme, rest) = text.split_once("://").expect("the caller has seen the scheme");
    let (authority, path) = authority(rest);
    let (user, host) = match authority.rsplit_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, authority),
    };
    if host.is_empty() || host.starts_with('-') {
        return Err(CapabilityError::Invalid("the remote has no usable host name".into()));
    }
    let credentials = user.map(|user| {
        let (name, password) = user.split_once(':').unwrap_or((user, ""));
        let mut secret = percent_decoded(name);
        secret.push(b':');
        secret.extend(percent_decoded(password));
        // For this host only: a submodule elsewhere, or a redirect, does not get it.
        (format!("http.{scheme}://{host}/.extraHeader"), format!("Authorization: Basic {}", base64(&secret)))
    });
    Ok(Remote { url: format!("{scheme}://{host}{path}"), is_local: false, credentials })
}

fn percent_decoded(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = (bytes[at] == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        match escaped.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                decoded.push(byte);
                at += 3;
            }
            None => {
                decoded.push(bytes[at]);
                at += 1;
            }
        }
    }
    decoded
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = group.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for digit in 0..4 {
            match digit <= group.len() {
                true => text.push(char::from(DIGITS[(bits >> (18 - 6 * digit) & 63) as usize])),
                false => text.push('='),
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_remotes_are_taken_as_they_are() {
        for (text, is_local) in [
            ("https://example.com/a/b.git", false),
            ("http://example.com:8080/a?x=1", false),
            ("ssh://git@example.com:22/a/b", false),
            ("git://example.com/a", false),
            ("git@example.com:a/b.git", false),
            ("example.com:a/b.git", false),
            ("file:///srv/a", true),
            ("/srv/a b", true),
        ] {
            let expected = Remote { url: text.into(), is_local, credentials: None };
            assert_eq!(Remote::parse(text).unwrap(), expected);
        }
    }

    #[test]
    fn what_git_could_misunderstand_is_refused() {
        for text in [
            "",
            "-upload-pack=evil",
            "--upload-pack=evil",
            "ext::sh -c evil",
            "fd::17",
            "ssh://-oProxyCommand=evil/x",
            "ssh://git@-oProxyCommand=evil/x",
            "-oProxyCommand=evil:x",
            "git@-oProxyCommand=evil:x",
            "ssh://git:password@example.com/a",
            "git://-x/a",
            "https://",
            "https:///a",
            "ftp://example.com/a",
            "file://relative",
            "../other",
            "./other",
            "other",
            "a/b:c",
            "https://example.com/a\nb",
            "/srv/a\0",
        ] {
            assert!(Remote::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn credentials_leave_the_url() {
        let remote = Remote::parse("https://user:p%40ss%3Aword@example.com:8443/a.git").unwrap();
        assert_eq!(remote.url, "https://example.com:8443/a.git");
        let (key, value) = remote.credentials.clone().unwrap();
        assert_eq!(key, "http.https://example.com:8443/.extraHeader");
        assert_eq!(value, "Authorization: Basic dXNlcjpwQHNzOndvcmQ=", "user:p@ss:word");
        assert!(!format!("{remote:?}").contains("Basic"));
        let token = Remote::parse("https://token@example.com/a").unwrap();
        assert_eq!(token.credentials.unwrap().1, "Authorization: Basic dG9rZW46", "token:");
    }

    #[test]
    fn refusals_do_not_repeat_passwords() {
        for text in ["ftp://user:secret@example.com/a", "ssh://git:secret@example.com/a", "https://u:secret@/a"] {
            assert!(!format!("{:?}", Remote::parse(text).unwrap_err()).contains("secret"), "{text}");
        }
    }

    #[test]
    fn base64_is_that_of_rfc_4648() {
        for (plain, encoded) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(base64(plain.as_bytes()), encoded);
        }
        assert_eq!(percent_decoded("a%2Fb%zz%"), b"a/b%zz%");
    }
}
