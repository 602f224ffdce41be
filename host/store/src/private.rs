//! Keeps the files of the store to their owner: logs and outputs may hold what is nobody else's business.

use std::{
    fs::{self, OpenOptions, Permissions},
    io,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

/// Makes the file of the store for its owner only, for SQLite would make it with the rights that files usually have, and
/// takes the rights of others away from one that an earlier version made. What SQLite puts beside it gets the same rights.
pub(crate) fn keep_to_owner(store: &Path) -> io::Result<()> {
    // If it cannot be made, SQLite says why.
    let _ = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(store);
    ["", "-wal", "-shm", ".lock"].into_iter().try_for_each(|suffix| tighten(&beside(store, suffix)))
}

/// The file with a suffix behind its whole name.
pub(crate) fn beside(store: &Path, suffix: &str) -> PathBuf {
    let mut name = store.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Takes the rights of others away from a file of ours. What belongs to somebody else stays as it is.
fn tighten(file: &Path) -> io::Result<()> {
    let Ok(found) = fs::metadata(file) else { return Ok(()) };
    let is_ours = found.is_file() && found.uid() == rustix::process::geteuid().as_raw();
    if is_ours && found.mode() & 0o077 != 0 {
        fs::set_permissions(file, Permissions::from_mode(0o600))?;
    }
    Ok(())
}
