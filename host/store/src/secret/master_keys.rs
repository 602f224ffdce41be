//! Master keys: in a file that only its owner can read, or in an environment variable.
//!
//! Text of entries `NUMBER:KEY`, newest first, divided by commas, spaces or line breaks; `#` begins a remark. A key alone has
//! the number 1. A key is 64 hexadecimal digits.

use std::{
    collections::BTreeMap,
    env, fmt,
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{VaultError, crypto};
use crate::{list::hex, private::beside};

/// The environment variable that master keys are taken from, before any file.
pub const MASTER_KEY_VARIABLE: &str = "OXIDE_SECRET_KEY";

/// One key. It shows itself to nobody and is wiped when it is dropped.
pub(super) struct MasterKey {
    version: u64,
    bytes: [u8; 32],
}

impl MasterKey {
    pub(super) fn new(version: u64, bytes: [u8; 32]) -> MasterKey {
        MasterKey { version, bytes }
    }

    pub(super) fn generate(version: u64) -> Result<MasterKey, VaultError> {
        Ok(MasterKey::new(version, crypto::random()?))
    }

    pub(super) fn version(&self) -> u64 {
        self.version
    }

    pub(super) fn bytes(&self) -> &[u8; 32] {
        &self.bytes
    }
}

impl Drop for MasterKey {
    fn drop(&mut self) {
        crypto::wipe(&mut self.bytes);
    }
}

/// The keys by number.
#[derive(Clone, Default)]
pub(super) struct MasterKeys(BTreeMap<u64, Arc<MasterKey>>);

impl fmt::Debug for MasterKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MasterKeys").field(&self.0.keys()).finish()
    }
}

impl MasterKeys {
    pub(super) fn get(&self, version: u64) -> Option<Arc<MasterKey>> {
        self.0.get(&version).cloned()
    }

    /// Keys that were read or made are never none.
    pub(super) fn newest(&self) -> Arc<MasterKey> {
        self.0.values().next_back().expect("there is a key").clone()
    }

    pub(super) fn insert(&mut self, key: MasterKey) {
        self.0.insert(key.version, Arc::new(key));
    }

    /// Adds the keys of `others`. Those that are there stay.
    pub(super) fn add(&mut self, others: &MasterKeys) {
        for (version, key) in &others.0 {
            self.0.entry(*version).or_insert_with(|| key.clone());
        }
    }

    pub(super) fn retain(&mut self, keep: impl Fn(u64) -> bool) {
        self.0.retain(|version, _| keep(*version));
    }

    fn from_text(text: &str, origin: &str) -> Result<MasterKeys, VaultError> {
        let malformed = |why| VaultError::Malformed { origin: origin.to_owned(), why };
        let mut keys = MasterKeys::default();
        let entries = text
            .lines()
            .map(|line| line.split('#').next().unwrap_or_default())
            .flat_map(|line| line.split([',', ' ', '\t', '\r']))
            .filter(|entry| !entry.is_empty());
        for entry in entries {
            let (version, digits) = entry.split_once(':').unwrap_or(("1", entry));
            let version: u32 = version.parse().map_err(|_| malformed("the number of a key is no number"))?;
            if version == 0 {
                return Err(malformed("keys are numbered from 1"));
            }
            let digits = crypto::Clear(hex::decode(digits).ok_or_else(|| malformed("a key is no hexadecimal number"))?);
            let bytes = digits.0.as_slice().try_into().map_err(|_| malformed("a key has not 64 digits"))?;
            if keys.0.contains_key(&u64::from(version)) {
                return Err(malformed("two keys have the same number"));
            }
            keys.insert(MasterKey::new(u64::from(version), bytes));
        }
        if keys.0.is_empty() { Err(malformed("it is empty")) } else { Ok(keys) }
    }

    fn to_text(&self) -> String {
        let mut text = String::from(
            "# The master keys of the secrets of Oxide CI, newest first. Keep a copy where the database is not:\n\
             # without them nobody can read the secrets, and with them everybody who has the database can.\n",
        );
        for (version, key) in self.0.iter().rev() {
            text.push_str(&format!("{version}:{}\n", hex::encode(key.bytes())));
        }
        text
    }
}

/// The text of a variable that holds master keys. It does not show itself.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyText(String);

impl fmt::Debug for KeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyText(***)")
    }
}

impl From<String> for KeyText {
    fn from(text: String) -> KeyText {
        KeyText(text)
    }
}

/// Where master keys come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// What stands in the variable [`MASTER_KEY_VARIABLE`].
    Environment(KeyText),
    /// A file, which is made if the store has no secrets yet.
    File(PathBuf),
}

impl KeySource {
    /// The variable if it is set, else this file, such as `<data>/secret.key`.
    pub fn environment_or(file: impl Into<PathBuf>) -> KeySource {
        match env::var_os(MASTER_KEY_VARIABLE) {
            // What is no text is no key, either: it is told when it is read.
            Some(text) if !text.is_empty() => KeySource::Environment(text.to_string_lossy().into_owned().into()),
            _ => KeySource::File(file.into()),
        }
    }

    /// As people call it.
    pub(super) fn origin(&self) -> String {
        match self {
            KeySource::Environment(_) => MASTER_KEY_VARIABLE.to_owned(),
            KeySource::File(path) => path.display().to_string(),
        }
    }

    /// The keys.
    pub(super) fn read(&self) -> Result<MasterKeys, VaultError> {
        let path = match self {
            KeySource::Environment(KeyText(text)) => return MasterKeys::from_text(text, &self.origin()),
            KeySource::File(path) => path,
        };
        let text = match fs::read_to_string(path) {
            Ok(text) => crypto::Clear(text.into_bytes()),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
                return Err(VaultError::MissingFile { path: path.clone() });
            }
            Err(cause) => return Err(VaultError::Read { path: path.clone(), cause }),
        };
        tighten(path);
        let text = std::str::from_utf8(&text.0).expect("it was a text before");
        MasterKeys::from_text(text, &self.origin())
    }

    /// The keys; a file that is not there is made with a new one. Tells whether it was.
    pub(super) fn read_or_create(&self) -> Result<(MasterKeys, bool), VaultError> {
        match (self.read(), self) {
            (Err(VaultError::MissingFile { .. }), KeySource::File(path)) => {
                let mut keys = MasterKeys::default();
                keys.insert(MasterKey::generate(1)?);
                let is_new = create(path, &keys)?;
                self.read().map(|keys| (keys, is_new))
            }
            (read, _) => read.map(|keys| (keys, false)),
        }
    }
}

/// Writes a new file with these keys. `false` if there is a file already, which stays as it is.
pub(super) fn create(path: &Path, keys: &MasterKeys) -> Result<bool, VaultError> {
    let written = || {
        let new = write_beside(path, keys)?;
        // A link is never made over something else, and a whole file appears at once.
        let linked = fs::hard_link(&new, path);
        fs::remove_file(&new)?;
        match linked {
            Ok(()) => sync_directory(path).map(|()| true),
            Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(cause) => Err(cause),
        }
    };
    written().map_err(|cause| VaultError::Write { path: path.to_owned(), cause })
}

/// Puts a file with these keys in the place of the one that is there.
pub(super) fn replace(path: &Path, keys: &MasterKeys) -> Result<(), VaultError> {
    let written = || {
        let new = write_beside(path, keys)?;
        fs::rename(&new, path)?;
        sync_directory(path)
    };
    written().map_err(|cause| VaultError::Write { path: path.to_owned(), cause })
}

/// Keeps others from exchanging the keys of this file as long as the answer is held; none if somebody does it now.
pub(super) fn try_lock(path: &Path) -> Result<Option<File>, VaultError> {
    let locked = || {
        let file = File::options().create(true).truncate(false).write(true).mode(0o600).open(beside(path, ".lock"))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(cause)) => Err(cause),
        }
    };
    locked().map_err(|cause| VaultError::Write { path: path.to_owned(), cause })
}

fn write_beside(path: &Path, keys: &MasterKeys) -> io::Result<PathBuf> {
    if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    }
    let new = beside(path, &format!(".{}.new", uuid::Uuid::new_v4().simple()));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    let text = crypto::Clear(keys.to_text().into_bytes());
    let written = file.write_all(&text.0).and_then(|()| file.sync_all());
    if written.is_err() {
        let _ = fs::remove_file(&new);
    }
    written.map(|()| new)
}

fn sync_directory(path: &Path) -> io::Result<()> {
    match path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        Some(directory) => File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}

/// Takes the rights of others away from a key file of ours. Where that is not possible (a mounted secret), it stays as it is.
fn tighten(path: &Path) {
    let Ok(found) = fs::metadata(path) else { return };
    if found.mode() & 0o077 != 0 && fs::set_permissions(path, Permissions::from_mode(0o600)).is_err() {
        tracing::warn!(path = %path.display(), "the master key can be read by others, and its rights cannot be changed");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(text: &str) -> Result<MasterKeys, String> {
        MasterKeys::from_text(text, "here").map_err(|error| error.to_string())
    }

    #[test]
    fn keys_are_read_as_they_are_written() {
        let (one, two) = ("11".repeat(32), "ab".repeat(32));
        assert_eq!(keys(&one).unwrap().newest().version(), 1);
        for text in [format!("2:{two},1:{one}"), format!("# old\n1:{one} # kept\r\n\n2:{two}\n")] {
            let read = keys(&text).unwrap();
            assert_eq!(read.newest().bytes(), &[0xab; 32]);
            assert_eq!(read.get(1).unwrap().bytes(), &[0x11; 32]);
            let again = keys(&read.to_text()).unwrap();
            assert_eq!(again.newest().version(), 2);
            assert!(!format!("{read:?}").contains("abab"), "{read:?}");
        }
    }

    #[test]
    fn what_is_no_key_is_told_without_being_shown() {
        let one = "11".repeat(32);
        for (text, why) in [
            (String::new(), "it is empty"),
            ("hunter2".into(), "no hexadecimal number"),
            ("11".repeat(16), "64 digits"),
            (format!("x:{one}"), "no number"),
            (format!("0:{one}"), "numbered from 1"),
            (format!("{one},1:{one}"), "the same number"),
        ] {
            let error = keys(&text).unwrap_err();
            assert!(error.contains(why) && !error.contains("hunter2") && !error.contains("1111"), "{error}");
        }
    }

    #[test]
    fn a_file_is_for_its_owner_and_never_overwritten_by_a_new_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("data/secret.key");
        let source = KeySource::File(path.clone());
        assert!(matches!(source.read(), Err(VaultError::MissingFile { .. })));
        let mut first = MasterKeys::default();
        first.insert(MasterKey::generate(1).unwrap());
        assert!(create(&path, &first).unwrap());
        let mut second = MasterKeys::default();
        second.insert(MasterKey::generate(1).unwrap());
        assert!(!create(&path, &second).unwrap());
        let read = source.read().unwrap();
        assert_eq!(read.get(1).unwrap().bytes(), first.get(1).unwrap().bytes());
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        source.read().unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600, "the rights of others are taken away");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing is left beside it");
    }
}
