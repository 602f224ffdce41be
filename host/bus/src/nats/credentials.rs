//! How a process says to NATS who it is.

use std::{fmt, io, path::PathBuf};

/// Who a process is for NATS.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum Credentials {
    /// Nobody: the server asks for nothing, or knows it by its certificate.
    #[default]
    None,
    /// A user with a password.
    User {
        /// The name.
        user: String,
        /// The password.
        password: String,
    },
    /// Whoever has this token.
    Token(String),
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Credentials::None => f.write_str("None"),
            Credentials::User { user, .. } => f.debug_struct("User").field("user", user).finish_non_exhaustive(),
            Credentials::Token(_) => f.write_str("Token(…)"),
        }
    }
}

/// Why a file does not say who a process is.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// It cannot be read.
    #[error("could not read the credentials for NATS from {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// There is no text.
    #[error("{path} is empty; write `USER:PASSWORD` or a token into its first line")]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// It holds a signed user, as `nsc` makes them.
    #[error(
        "{path} holds a signed user (`.creds`), which this version cannot use; let the NATS server know a user with a \
         password, a token or a client certificate, and write `USER:PASSWORD` or the token into the file"
    )]
    SignedUser {
        /// The file.
        path: PathBuf,
    },
}

impl Credentials {
    /// Reads the first line of a file: `USER:PASSWORD`, or a token.
    ///
    /// # Errors
    /// If the file cannot be read, is empty, or holds something else.
    pub fn read(path: PathBuf) -> Result<Credentials, CredentialsError> {
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(cause) => return Err(CredentialsError::Read { path, cause }),
        };
        let line = text.trim().lines().next().unwrap_or_default().trim();
        if line.is_empty() {
            return Err(CredentialsError::Empty { path });
        }
        if line.starts_with("-----BEGIN") {
            return Err(CredentialsError::SignedUser { path });
        }
        Ok(match line.split_once(':') {
            Some((user, password)) => Credentials::User { user: user.to_owned(), password: password.to_owned() },
            None => Credentials::Token(line.to_owned()),
        })
    }

    /// What stands before `@` in an address.
    pub(super) fn of_address(user: &str, password: Option<&str>) -> Credentials {
        match (percent_decoded(user), password.map(percent_decoded)) {
            (user, _) if user.is_empty() => Credentials::None,
            (user, Some(password)) => Credentials::User { user, password },
            (token, None) => Credentials::Token(token),
        }
    }
}

/// `%2F` and its like as what they mean; what means nothing stays.
fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, more @ ..] = rest {
        let escaped = more.get(..2).filter(|_| *first == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
        match escaped.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &more[2..];
            }
            None => {
                bytes.push(*first);
                rest = more;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_hold_a_user_or_a_token() {
        let user = |user: &str, password: &str| Credentials::User { user: user.into(), password: password.into() };
        assert_eq!(Credentials::of_address("ci", Some("p%40ss%2f%")), user("ci", "p@ss/%"));
        assert_eq!(Credentials::of_address("s3cret", None), Credentials::Token("s3cret".into()));
        assert_eq!(Credentials::of_address("", None), Credentials::None);
    }

    #[test]
    fn nobody_sees_a_password_while_looking_for_mistakes() {
        let shown =
            format!("{:?} {:?}", Credentials::of_address("ci", Some("hidden")), Credentials::Token("hidden".into()));
        assert!(!shown.contains("hidden"), "{shown}");
    }

    #[test]
    fn a_file_holds_a_user_or_a_token_in_its_first_line() {
        let path = std::env::temp_dir().join(format!("oxide-credentials-{}", uuid::Uuid::now_v7()));
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            Credentials::read(path.clone())
        };
        let user = Credentials::User { user: "ci".into(), password: "a:b".into() };
        assert_eq!(read("ci:a:b\n").unwrap(), user);
        assert_eq!(read("\n tok \n").unwrap(), Credentials::Token("tok".into()));
        assert!(read(" \n").unwrap_err().to_string().contains("USER:PASSWORD"));
        assert!(read("-----BEGIN NATS USER JWT-----\nx").unwrap_err().to_string().contains("a user with a"));
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(Credentials::read(path), Err(CredentialsError::Read { .. })));
    }
}
