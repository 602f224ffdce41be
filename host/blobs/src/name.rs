//! The names of objects in the store, and which names people may give.
//!
//! ```text
//! cache/<project>/<key>.json          an index entry; `<project>` and `<key>` are digests
//! cache/<project>/<key>.used          when the entry was last restored
//! artifacts/<run>/<name>.json         an index entry
//! blobs/<2 digits>/<digest>.<period>  a chunk
//! sweep.json                          when the store was last swept
//! ```
//!
//! **Why a chunk's name has a period.** A chunk that no entry lists may be rubbish, or belong to a save that has not
//! written its entry yet, perhaps one that found the chunk there and did not store it again. No lock tells the two apart
//! on every store. So a saver uses chunks of its own period (half a day) only, and the sweep removes unlisted chunks of
//! periods that ended long ago: what a saver relies on is never what a sweep may take. A save may last
//! [`SAVE_MILLIS_MAX`].

use oxide_core::{quantity::hexadecimal, time::Timestamp};
use sha2::{Digest, Sha256};

/// The length of a period in milliseconds: half a day.
pub(crate) const PERIOD_MILLIS: i64 = 12 * 60 * 60 * 1000;

/// How long a save may last in milliseconds: then its chunks may be swept, so it must not write its entry any more.
pub const SAVE_MILLIS_MAX: u64 = PERIOD_MILLIS.unsigned_abs();

/// The folder of all caches.
pub(crate) const CACHE: &str = "cache";
/// The folder of all artifacts.
pub(crate) const ARTIFACTS: &str = "artifacts";
/// The folder of all chunks.
pub(crate) const BLOBS: &str = "blobs";
/// When the store was last swept.
pub(crate) const SWEEP: &str = "sweep.json";

/// The longest key of a cache, in bytes.
pub const KEY_BYTES_MAX: usize = 512;
/// The longest name of an artifact, in bytes.
pub const ARTIFACT_NAME_BYTES_MAX: usize = 100;

fn digest_of(text: &str) -> String {
    hexadecimal(&Sha256::digest(text.as_bytes()))
}

/// The folder of a project's cache.
pub(crate) fn cache_folder(project: &str) -> String {
    format!("{CACHE}/{}", digest_of(project))
}

/// The index entry of a key.
pub(crate) fn cache_entry(project: &str, key: &str) -> String {
    format!("{}/{}.json", cache_folder(project), digest_of(key))
}

/// When an entry was last used, beside the entry.
pub(crate) fn used_beside(entry: &str) -> String {
    format!("{}.used", entry.strip_suffix(".json").unwrap_or(entry))
}

/// The entry of a note when it was used.
pub(crate) fn entry_beside(used: &str) -> String {
    format!("{}.json", used.strip_suffix(".used").unwrap_or(used))
}

/// The folder of a run's artifacts.
pub(crate) fn artifact_folder(run: &str) -> String {
    format!("{ARTIFACTS}/{run}")
}

/// The index entry of an artifact.
pub(crate) fn artifact_entry(run: &str, name: &str) -> String {
    format!("{}/{name}.json", artifact_folder(run))
}

/// A chunk.
pub(crate) fn blob(digest: &str, period: u32) -> String {
    format!("{BLOBS}/{}/{digest}.{period}", digest.get(..2).unwrap_or("00"))
}

/// The period of a chunk by its name; none if it is not the name of a chunk.
pub(crate) fn period_of_blob(name: &str) -> Option<u32> {
    let (digest, period) = name.rsplit('/').next()?.split_once('.')?;
    (digest.len() == 64).then(|| period.parse().ok()).flatten()
}

/// The period that a time lies in.
pub(crate) fn period(now: Timestamp) -> u32 {
    u32::try_from(now.0.max(0) / PERIOD_MILLIS).unwrap_or(u32::MAX)
}

/// May the sweep remove an unlisted chunk of this period? Only when every save that may use it has long ended: one that
/// began at the last moment of the period, and machines whose clocks differ by hours.
pub(crate) fn is_past(period_of_chunk: u32, now: Timestamp) -> bool {
    period_of_chunk.saturating_add(3) <= period(now)
}

/// Refuses what cannot be a key of a cache.
///
/// # Errors
/// A sentence that says what is wrong with it.
pub fn check_key(key: &str) -> Result<(), String> {
    if key.is_empty() {
        return Err("the key is empty".to_owned());
    }
    if key.len() > KEY_BYTES_MAX {
        return Err(format!("the key has {} bytes; it may have {KEY_BYTES_MAX}", key.len()));
    }
    match key.chars().find(|c| c.is_control()) {
        Some(_) => Err(format!("the key `{}` holds a control character", key.escape_debug())),
        None => Ok(()),
    }
}

/// Refuses what cannot be the name of an artifact.
///
/// # Errors
/// A sentence that says what is wrong with it and what a name looks like.
pub fn check_artifact_name(name: &str) -> Result<(), String> {
    let good = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
        && name.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && name.len() <= ARTIFACT_NAME_BYTES_MAX;
    match good {
        true => Ok(()),
        false => Err(format!(
            "`{}` cannot be the name of an artifact: it begins with a letter, a digit or `_`; letters, digits, `.`, `_` \
             and `-` follow, {ARTIFACT_NAME_BYTES_MAX} at most",
            name.escape_debug()
        )),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_of_artifacts_are_plain() {
        for name in ["a", "coverage-1.0_x", "0", "_", "report.tar.gz"] {
            assert_eq!(check_artifact_name(name), Ok(()), "{name}");
        }
        for name in ["", "a/b", "..", ".hidden", "-x", "a b", "ä", "a\n", &"a".repeat(101)] {
            assert!(check_artifact_name(name).is_err(), "{name}");
        }
    }

    #[test]
    fn keys_are_lines_of_text() {
        assert_eq!(check_key("cargo-Linux/x86 ü"), Ok(()));
        for key in ["", "a\nb", "a\0", &"k".repeat(513)] {
            assert!(check_key(key).is_err(), "{key:?}");
        }
    }

    #[test]
    fn notes_lie_beside_their_entries() {
        let entry = cache_entry("p", "k");
        assert_eq!(entry_beside(&used_beside(&entry)), entry);
        assert_ne!(cache_entry("p", "k"), cache_entry("pk", ""));
    }

    proptest! {
        /// A saver relies on chunks of the period in which it began, and may write its entry up to the longest time
        /// later. A sweep at any moment until then, even by a clock that is hours ahead, leaves its chunks alone.
        #[test]
        fn no_sweep_takes_a_chunk_that_a_saver_may_rely_on(
            began in 0_i64..4_000_000_000_000, lasted in 0_i64..PERIOD_MILLIS, ahead in 0_i64..PERIOD_MILLIS,
        ) {
            let chunk = period(Timestamp(began));
            prop_assert!(!is_past(chunk, Timestamp(began + lasted + ahead)));
            // And it does not stay for ever.
            prop_assert!(is_past(chunk, Timestamp(began + 3 * PERIOD_MILLIS)));
        }

        #[test]
        fn a_chunk_tells_its_period(period in any::<u32>()) {
            prop_assert_eq!(period_of_blob(&blob(&digest_of("x"), period)), Some(period));
        }
    }
}
