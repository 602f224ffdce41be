//! Randomness of the operating system, for keys, salts and ids.

use std::{fs::File, io::Read as _};

/// So many random bytes.
pub(crate) fn bytes<const COUNT: usize>() -> std::io::Result<[u8; COUNT]> {
    let mut bytes = [0; COUNT];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}
