//! Accounts for registries: those that `docker login` and its helpers keep, those that `oxide login` keeps, and those that a
//! program has itself.

use std::{
    fs::File,
    io::{self, BufReader},
    path::{Path, PathBuf},
};

use docker_credential::{CredentialRetrievalError, DockerCredential};
use reqwest::Url;

/// An account for one registry.
#[derive(Clone)]
pub enum Account {
    /// None: what everybody may do.
    Anonymous,
    /// Name and password.
    Password {
        /// The name.
        username: String,
        /// The password or an access token in its place.
        password: String,
    },
    /// The same for the registry itself alone: no token server elsewhere is shown it.
    OfRegistry {
        /// The name.
        username: String,
        /// The password or an access token in its place.
        password: String,
    },
    /// A token that is exchanged for short-lived ones.
    IdentityToken(String),
}

/// An account that a program has itself, such as that of an agent at its server's registry.
#[derive(Clone)]
pub struct OwnAccount {
    /// The host of the registry, with port if it has one.
    pub host: String,
    /// The name.
    pub username: String,
    /// The password or an access token in its place.
    pub password: String,
}

impl std::fmt::Debug for OwnAccount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OwnAccount").field("host", &self.host).finish_non_exhaustive()
    }
}

/// A sign-in at a server, as `oxide login` keeps it: its token is a password of the registry below `/v2/` of that server.
#[derive(Clone)]
pub struct ServerLogin {
    /// The address of the server, such as `https://ci.example.com`.
    pub server: String,
    /// The API token.
    pub token: String,
}

impl ServerLogin {
    /// Is it for the registry at this address? Only if scheme, host and port are the same. A server below a path of its host has
    /// no `/v2/` there.
    pub(super) fn is_for(&self, registry: &Url) -> bool {
        Url::parse(&self.server).is_ok_and(|server| server.path() == "/" && server.origin() == registry.origin())
    }

    /// The account for that registry; any name goes with a token.
    pub(super) fn account(&self) -> Account {
        Account::OfRegistry { username: "token".to_owned(), password: self.token.clone() }
    }
}

impl std::fmt::Debug for ServerLogin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerLogin").field("server", &self.server).finish_non_exhaustive()
    }
}

/// The accounts that Docker keeps cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// The file cannot be opened.
    #[error("could not read {}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// The file is no JSON, or not as Docker writes it.
    #[error("{} is not as Docker writes it", file.display())]
    File {
        /// The file.
        file: PathBuf,
    },
    /// A helper program failed.
    #[error("the credential helper `{helper}` failed: {said}")]
    Helper {
        /// Its name.
        helper: String,
        /// What it said.
        said: String,
    },
    /// A helper program could not be started, or its answer is no answer.
    #[error("the credential helper that {} names does not answer", file.display())]
    NoHelper {
        /// The file.
        file: PathBuf,
    },
}

impl CredentialsError {
    /// What to type or change.
    pub(super) fn hint(&self) -> Option<String> {
        Some(match self {
            CredentialsError::Unreadable { file, .. } => format!("make {} readable for you", file.display()),
            CredentialsError::File { file } => format!("mend or remove {}, then `docker login`", file.display()),
            CredentialsError::Helper { helper, .. } => format!("try `{helper} list`, or remove it from config.json"),
            CredentialsError::NoHelper { .. } => {
                "install the program `docker-credential-…` that it names, or remove `credsStore`".to_owned()
            }
        })
    }
}

/// The account for a registry, from a file as Docker writes it. Starts a helper program if the file names one, so call it
/// where waiting is allowed.
///
/// # Errors
/// If the file is there and cannot be used: silently going on without an account would be an odd refusal later.
pub(super) fn account(file: &Path, host: &str) -> Result<Account, CredentialsError> {
    // Docker keeps the account of its own registry under an old address.
    let keys: &[&str] = match host {
        "docker.io" | "index.docker.io" | "registry-1.docker.io" => &["https://index.docker.io/v1/"],
        other => &[other],
    };
    let file = || file.to_owned();
    for key in keys {
        let opened = match File::open(file()) {
            Ok(opened) => opened,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Account::Anonymous),
            Err(cause) => return Err(CredentialsError::Unreadable { file: file(), cause }),
        };
        match docker_credential::get_credential_from_reader(BufReader::new(opened), key) {
            Ok(DockerCredential::UsernamePassword(username, password)) => {
                return Ok(Account::Password { username, password });
            }
            Ok(DockerCredential::IdentityToken(token)) => return Ok(Account::IdentityToken(token)),
            Err(CredentialRetrievalError::NoCredentialConfigured) => {}
            // Docker's helpers end with this text when they know nothing of a registry.
            Err(CredentialRetrievalError::HelperFailure { stdout, .. }) if stdout.contains("credentials not found") => {
            }
            Err(CredentialRetrievalError::HelperFailure { helper, stdout, stderr }) => {
                let said = format!("{} {}", stdout.trim(), stderr.trim());
                return Err(CredentialsError::Helper { helper, said: said.trim().chars().take(200).collect() });
            }
            Err(
                CredentialRetrievalError::HelperCommunicationError | CredentialRetrievalError::MalformedHelperResponse,
            ) => return Err(CredentialsError::NoHelper { file: file() }),
            Err(_) => return Err(CredentialsError::File { file: file() }),
        }
    }
    Ok(Account::Anonymous)
}

/// Where Docker keeps its accounts: `config.json` in `DOCKER_CONFIG`, else in `~/.docker`.
pub fn docker_settings() -> PathBuf {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = variable("DOCKER_CONFIG").or_else(|| variable("HOME").map(|home| home.join(".docker")));
    folder.unwrap_or_else(|| PathBuf::from(".docker")).join("config.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str, host: &str) -> Result<Account, CredentialsError> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.json");
        std::fs::write(&file, text).unwrap();
        account(&file, host)
    }

    #[test]
    fn an_account_is_that_of_its_registry_and_of_no_other() {
        // `ada:pass:word`
        let text = r#"{"auths": {"localhost:5000": {"auth": "YWRhOnBhc3M6d29yZA=="}}}"#;
        match of(text, "localhost:5000").unwrap() {
            Account::Password { username, password } => assert_eq!((&*username, &*password), ("ada", "pass:word")),
            _ => panic!("there is an account"),
        }
        assert!(matches!(of(text, "localhost:5001"), Ok(Account::Anonymous)));
        assert!(matches!(of("{}", "ghcr.io"), Ok(Account::Anonymous)));
    }

    #[test]
    fn a_login_is_for_the_registry_of_its_server_and_no_other() {
        let registry = Url::parse("https://ci.example.com/v2/web/lint/").unwrap();
        let is_for = |server: &str| ServerLogin { server: server.to_owned(), token: "t".to_owned() }.is_for(&registry);
        for server in ["https://ci.example.com", "https://ci.example.com/", "https://CI.example.com:443"] {
            assert!(is_for(server), "{server}");
        }
        for server in [
            "http://ci.example.com",
            "http://ci.example.com:443",
            "https://ci.example.com:8443",
            "https://ci.example.com/other",
            "https://example.com",
            "https://ci.example.com.evil.example",
            "https://ci.example.com@evil.example",
            "ci.example.com",
            "",
        ] {
            assert!(!is_for(server), "{server}");
        }
        let login = ServerLogin { server: "https://ci.example.com".to_owned(), token: "hidden".to_owned() };
        assert!(!format!("{login:?}").contains("hidden"));
    }

    #[test]
    fn without_a_file_one_is_nobody_and_a_broken_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(account(&folder.path().join("none.json"), "ghcr.io"), Ok(Account::Anonymous)));
        assert!(matches!(of("{", "ghcr.io"), Err(CredentialsError::File { .. })));
        let helper = of(r#"{"credsStore": "there-is-no-such-helper"}"#, "ghcr.io");
        assert!(matches!(helper, Err(CredentialsError::NoHelper { .. })));
    }
}
