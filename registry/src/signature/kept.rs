//! Signatures that were good once, kept so that they can be verified again without a registry.
//!
//! Kept is what was signed and the signature, never the answer: who trusts another key tomorrow gets another answer.

use std::{
    fs::{self, DirBuilder},
    io::{self, Write as _},
    os::unix::fs::DirBuilderExt as _,
    path::PathBuf,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

use super::{Signature, manifest::SIGNATURES_MAX};
use crate::oci::Digest;

/// A file that is larger was not written here.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// A directory with a file for each plugin.
#[derive(Clone, Debug)]
pub struct KeptSignatures {
    directory: PathBuf,
}

#[derive(Default, Serialize, Deserialize)]
struct File {
    signatures: Vec<Entry>,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    payload: String,
    signature: String,
}

impl KeptSignatures {
    /// Signatures in this directory, which is made when there is something to keep.
    pub fn new(directory: impl Into<PathBuf>) -> KeptSignatures {
        KeptSignatures { directory: directory.into() }
    }

    /// The signatures of a plugin. A file that cannot be read counts as none: the registry has them.
    pub fn of(&self, digest: &Digest) -> Vec<Signature> {
        let decode = |entry: &Entry| {
            let payload = STANDARD.decode(&entry.payload).ok()?.into();
            Some(Signature { payload, signature: STANDARD.decode(&entry.signature).ok()? })
        };
        self.read(digest).signatures.iter().filter_map(decode).collect()
    }

    /// Adds signatures to those that are kept.
    ///
    /// # Errors
    /// If the file cannot be written; then it is as it was.
    pub fn keep(&self, digest: &Digest, signatures: &[Signature]) -> io::Result<()> {
        let mut file = self.read(digest);
        let before = file.signatures.len();
        for signature in signatures {
            let entry = Entry {
                payload: STANDARD.encode(&signature.payload),
                signature: STANDARD.encode(&signature.signature),
            };
            if !file.signatures.contains(&entry) {
                file.signatures.push(entry);
            }
        }
        if file.signatures.len() == before {
            return Ok(());
        }
        let surplus = file.signatures.len().saturating_sub(SIGNATURES_MAX);
        file.signatures.drain(..surplus);
        DirBuilder::new().recursive(true).mode(0o700).create(&self.directory)?;
        let mut written = tempfile::NamedTempFile::new_in(&self.directory)?;
        written.write_all(&serde_json::to_vec(&file)?)?;
        written.as_file().sync_all()?;
        written.persist(self.path(digest))?;
        Ok(())
    }

    fn read(&self, digest: &Digest) -> File {
        let path = self.path(digest);
        if fs::metadata(&path).is_ok_and(|metadata| metadata.len() > FILE_BYTES_MAX) {
            return File::default();
        }
        fs::read(path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.directory.join(format!("{}.json", digest.hex()))
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn signatures_are_kept_beside_each_other_and_a_broken_file_is_none() {
        let folder = TempDir::new().unwrap();
        let kept = KeptSignatures::new(folder.path().join("signatures"));
        let digest = Digest::of(b"plugin");
        let signature = |text: &str| Signature { payload: text.to_owned().into(), signature: text.into() };
        assert!(kept.of(&digest).is_empty());
        kept.keep(&digest, &[signature("a")]).unwrap();
        kept.keep(&digest, &[signature("a"), signature("b")]).unwrap();
        assert_eq!(kept.of(&digest), [signature("a"), signature("b")]);
        assert!(kept.of(&Digest::of(b"other")).is_empty());
        fs::write(kept.path(&digest), "{").unwrap();
        assert!(kept.of(&digest).is_empty());
        kept.keep(&digest, &[signature("c")]).unwrap();
        assert_eq!(kept.of(&digest), [signature("c")]);
    }
}
