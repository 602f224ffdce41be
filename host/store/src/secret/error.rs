//! What can go wrong with secrets, and what to do about it.

use std::{io, path::PathBuf};

use crate::{NoRandomBytes, SecretOwner, StoreError};

use super::MASTER_KEY_VARIABLE;

/// Secrets that could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file of the master keys cannot be read.
    #[error("could not read the master key {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        cause: io::Error,
    },
    /// The file of the master keys cannot be written.
    #[error("could not write the master key {path}")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        cause: io::Error,
    },
    /// What should be master keys is something else.
    #[error("{origin} holds no master key: {why}")]
    Malformed {
        /// The file or the variable.
        origin: String,
        /// What is wrong with it. Never the text itself.
        why: &'static str,
    },
    /// The file is not there, and the store has secrets already.
    #[error("the master key {path} is missing, and the store has secrets that were encrypted with it")]
    MissingFile {
        /// The file.
        path: PathBuf,
    },
    /// A key has the number of another one.
    #[error("key {version} in {origin} is not the key {version} that the secrets of this store were encrypted with")]
    WrongKey {
        /// The number.
        version: u64,
        /// The file or the variable.
        origin: String,
    },
    /// A key is needed that is not there.
    #[error("secrets of this store were encrypted with key {version}, which {origin} does not hold")]
    MissingKey {
        /// The number.
        version: u64,
        /// The file or the variable.
        origin: String,
    },
    /// A value was damaged, or moved.
    #[error(
        "the secret `{name}` of {owner} cannot be decrypted: its row was changed by something else than this program"
    )]
    Unreadable {
        /// Whose it is.
        owner: SecretOwner,
        /// The name.
        name: String,
    },
    /// The keys come from the environment, which a process cannot change for the next one.
    #[error("the master keys come from {MASTER_KEY_VARIABLE}, so this program cannot make a new one")]
    KeysOfEnvironment,
    /// Another process exchanges the keys now.
    #[error("the master keys are being exchanged by another process")]
    Rotating,
    /// Some of the work was done, and a newer secret needs the old key again and again.
    #[error("secrets were still written with an old key while the keys were exchanged")]
    StillUsed,
    /// The system gave no random bytes.
    #[error("the system gave no random bytes")]
    NoRandomBytes,
}

impl From<NoRandomBytes> for VaultError {
    fn from(_: NoRandomBytes) -> VaultError {
        VaultError::NoRandomBytes
    }
}

impl VaultError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        let keep = "if the key is lost for good, so are the values: remove the rows of `secrets` and `keys`, start again and \
                    set the secrets again";
        match self {
            VaultError::MissingFile { path } => Some(format!(
                "put {} back from your backup or copy it from another server of this store, or set {MASTER_KEY_VARIABLE}; {keep}",
                path.display()
            )),
            VaultError::WrongKey { origin, .. } => {
                Some(format!("put the right key back into {origin} from your backup or another server of this store; {keep}"))
            }
            VaultError::MissingKey { version, origin } => Some(format!(
                "add `{version}:` and the key to {origin}, from your backup or another server of this store; {keep}"
            )),
            VaultError::Malformed { .. } => Some(
                "write keys as NUMBER:KEY, where the key is 64 hexadecimal digits, such as `openssl rand -hex 32` makes".into(),
            ),
            VaultError::Unreadable { name, .. } => Some(format!("set the secret again: `oxide secrets set {name}`")),
            VaultError::KeysOfEnvironment => Some(format!(
                "make a key with `openssl rand -hex 32`, set {MASTER_KEY_VARIABLE}=2:NEW,1:OLD for every server of this store \
                 (with the numbers after yours), restart them, and exchange the keys then"
            )),
            VaultError::Rotating => Some("wait until it is done".into()),
            VaultError::StillUsed => Some("try again when fewer secrets are being set".into()),
            VaultError::Read { path, .. } | VaultError::Write { path, .. } => {
                Some(format!("check that {} belongs to the user that runs this program", path.display()))
            }
            VaultError::Store(_) | VaultError::NoRandomBytes => None,
        }
    }
}
