//! How an agent becomes one of a server's: it shows a one-time token and gets an id and a credential of its own, which it
//! keeps in `<data>/agent.json`.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use oxide_core::{
    api::agent::{JoinAgent, JoinedAgent},
    id::AgentId,
};
use serde::{Deserialize, Serialize};

use super::{server::CallError, servers::Servers};

/// How long the server may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// A larger file is none of ours.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// Who an agent is to its server.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The address of the server. The credential goes nowhere else, unless others are named beside it.
    pub server: String,
    /// The id that the server gave it.
    pub id: AgentId,
    /// What it shows with each message.
    pub credential: String,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").field("server", &self.server).field("id", &self.id).finish_non_exhaustive()
    }
}

/// Why an identity could not be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The file cannot be read.
    #[error("could not read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// The file is not what we wrote.
    #[error("{} is not the identity of an agent: move it away, and join again with `--token`", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        cause: serde_json::Error,
    },
    /// The file cannot be written.
    #[error("could not keep the credential in {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
}

/// Why an agent could not join.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The server does not take the token.
    #[error("the server does not take the token")]
    Refused(#[source] CallError),
    /// The server cannot be asked now.
    #[error("could not ask the server")]
    Away(#[source] CallError),
    /// The server answers what cannot be used.
    #[error("could not join")]
    Other(#[source] CallError),
}

/// Joins once. Who is told that the server is [`JoinError::Away`] may try again with the same token.
///
/// # Errors
/// See [`JoinError`].
pub async fn join(servers: &Servers, join: &JoinAgent) -> Result<Identity, JoinError> {
    let joined: JoinedAgent = servers.call("join", None, join, PATIENCE).await.map_err(|error| match error {
        refused @ CallError::Refused { .. } => JoinError::Refused(refused),
        away if away.is_transient() => JoinError::Away(away),
        other => JoinError::Other(other),
    })?;
    Ok(Identity { server: servers.present().address().to_owned(), id: joined.id, credential: joined.credential })
}

impl Identity {
    fn file(data_dir: &Path) -> PathBuf {
        data_dir.join("agent.json")
    }

    /// The identity that is kept in a data directory, if there is one.
    ///
    /// # Errors
    /// If there is something that cannot be read.
    pub fn read(data_dir: &Path) -> Result<Option<Identity>, IdentityError> {
        let path = Identity::file(data_dir);
        let failed = |cause| IdentityError::Read { path: path.clone(), cause };
        let text = match fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
            Ok(found) if !found.is_file() || found.len() > FILE_BYTES_MAX => {
                return Err(failed(io::Error::other("it is not a file of an agent")));
            }
            Ok(_) => fs::read(&path).map_err(failed)?,
        };
        serde_json::from_slice(&text).map(Some).map_err(|cause| IdentityError::Content { path, cause })
    }

    /// Keeps it, for the owner of the directory only. A process that is killed meanwhile leaves the old file or the new one.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn keep(&self, data_dir: &Path) -> Result<(), IdentityError> {
        let path = Identity::file(data_dir);
        self.write(data_dir, &path).map_err(|cause| IdentityError::Write { path, cause })
    }

    fn write(&self, data_dir: &Path, path: &Path) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(data_dir)?;
        let new = data_dir.join(format!(".agent.json.{}", std::process::id()));
        // What a killed process of the same number left may be readable by others.
        let _ = fs::remove_file(&new);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(&serde_json::to_vec_pretty(self)?)?;
        file.sync_all()?;
        fs::rename(&new, path)?;
        File::open(data_dir)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn identity(credential: &str) -> Identity {
        let id = AgentId(uuid::Uuid::now_v7());
        Identity { server: "https://ci.example.com".to_owned(), id, credential: credential.to_owned() }
    }

    #[test]
    fn what_is_kept_is_private_and_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        assert_eq!(Identity::read(&data).unwrap(), None);
        let (first, second) = (identity("oxide_agt_1"), identity("oxide_agt_2"));
        first.keep(&data).unwrap();
        second.keep(&data).unwrap();
        assert_eq!(Identity::read(&data).unwrap(), Some(second.clone()));
        let mode = fs::metadata(data.join("agent.json")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(&data).unwrap().count(), 1, "nothing is left beside it");
        assert!(!format!("{second:?}").contains("oxide_agt"), "{second:?}");
    }

    #[test]
    fn a_file_of_somebody_else_is_not_overwritten_in_silence() {
        let data = tempfile::tempdir().unwrap();
        fs::write(data.path().join("agent.json"), "{}").unwrap();
        let told = Identity::read(data.path()).unwrap_err().to_string();
        assert!(told.contains("agent.json is not the identity of an agent"), "{told}");
    }
}
