//! Which entry is restored, and which entries are given up. Plain decisions; `cache` and `sweep` perform them.

use std::cmp::Reverse;

use oxide_core::time::Timestamp;

use crate::{CacheEntry, UsedEntry};

const GIB: u64 = 1 << 30;
const DAY_MILLIS: u64 = 24 * 60 * 60 * 1000;

/// How much may be kept, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Stored bytes of one cache entry or one artifact.
    pub entry_bytes: u64,
    /// Stored bytes of all cache entries of one project; the ones that were not used for longest go first.
    pub project_bytes: u64,
    /// How long a cache entry is kept after it was last used, in milliseconds.
    pub unused_millis: u64,
    /// How long an artifact is kept if the upload does not say, in days.
    pub retention_days: u32,
    /// How long an artifact may be kept at most, in days.
    pub retention_days_max: u32,
    /// Bytes of an archive before it is compressed, so that a few bytes cannot fill a disk.
    pub archive_bytes: u64,
}

impl Default for Limits {
    /// 10 GiB for an entry, 20 GiB for a project's cache, 7 days unused, 30 days for artifacts (400 at most), 200 GiB
    /// unpacked.
    fn default() -> Self {
        Limits {
            entry_bytes: 10 * GIB,
            project_bytes: 20 * GIB,
            unused_millis: 7 * DAY_MILLIS,
            retention_days: 30,
            retention_days_max: 400,
            archive_bytes: 200 * GIB,
        }
    }
}

/// When an artifact expires that is uploaded now.
///
/// # Errors
/// A sentence, if it is to be kept for too short or too long.
pub(crate) fn expiry(limits: &Limits, days: Option<u32>, now: Timestamp) -> Result<Timestamp, String> {
    let days = days.unwrap_or(limits.retention_days);
    match (1..=limits.retention_days_max).contains(&days) {
        true => Ok(now.plus_millis(u64::from(days) * DAY_MILLIS)),
        false => Err(format!("an artifact is kept for 1 to {} days, and not for {days}", limits.retention_days_max)),
    }
}

/// The entry to restore beside the exact one: the newest whose key begins with the first of the fallback keys for which
/// there is one.
pub(crate) fn fallback<'a>(entries: &'a [UsedEntry], fallback_keys: &[String]) -> Option<&'a CacheEntry> {
    fallback_keys.iter().filter(|prefix| !prefix.is_empty()).find_map(|prefix| {
        let fitting = entries.iter().map(|used| &used.entry).filter(|entry| entry.key.starts_with(prefix.as_str()));
        fitting.max_by(|a, b| (a.saved_at, &a.key).cmp(&(b.saved_at, &b.key)))
    })
}

/// The entries of one project that are given up: those that nobody used for long, then those that were not used for
/// longest, until the others fit. The entry with the name `keep` was just saved and stays.
pub(crate) fn given_up(entries: &[UsedEntry], limits: &Limits, now: Timestamp, keep: Option<&str>) -> Vec<String> {
    let mut newest_first: Vec<&UsedEntry> = entries.iter().collect();
    newest_first.sort_by_key(|used| (Reverse(keep == Some(used.name.as_str())), Reverse(used.used_at), &used.name));
    let mut total = 0_u64;
    let mut full = false;
    let mut given_up = Vec::new();
    for used in newest_first {
        if keep != Some(used.name.as_str()) && now.millis_since(used.used_at) >= limits.unused_millis {
            given_up.push(used.name.clone());
            continue;
        }
        // Once one does not fit, older ones go too: else a small old one would outlive a large newer one.
        total = total.saturating_add(used.entry.contents.stored);
        full |= total > limits.project_bytes;
        if full && keep != Some(used.name.as_str()) {
            given_up.push(used.name.clone());
        }
    }
    given_up
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Contents;

    fn entry(key: &str, saved: i64, used: i64, stored: u64) -> UsedEntry {
        let contents =
            Contents { files: 1, size: 1, stored, digest: String::new(), archive_bytes: 1, chunks: Vec::new() };
        let entry = CacheEntry { project: "p".into(), key: key.into(), saved_at: Timestamp(saved), contents };
        UsedEntry { name: key.to_owned(), entry, used_at: Timestamp(used) }
    }

    fn keys(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn the_first_fallback_key_that_fits_wins_and_of_its_entries_the_newest() {
        let entries =
            [entry("cargo-1", 1, 9, 1), entry("cargo-2", 3, 3, 1), entry("cargo", 2, 2, 1), entry("npm", 9, 9, 1)];
        let restored =
            |fallback_keys: &[&str]| fallback(&entries, &keys(fallback_keys)).map(|entry| entry.key.as_str());
        assert_eq!(restored(&["cargo-"]), Some("cargo-2"));
        assert_eq!(restored(&["cargo-1", "cargo-"]), Some("cargo-1"), "the order of the fallback keys counts");
        assert_eq!(restored(&["go-", "n"]), Some("npm"));
        assert_eq!(restored(&["go-"]), None);
        assert_eq!(restored(&[""]), None, "an empty prefix is a mistake, not a wish for anything");
        assert_eq!(restored(&[]), None);
    }

    #[test]
    fn what_was_not_used_for_longest_goes_first() {
        let entries = [entry("old", 1, 10, 40), entry("oldest", 5, 5, 40), entry("new", 20, 20, 40)];
        let limits = Limits { project_bytes: 80, ..Limits::default() };
        assert_eq!(given_up(&entries, &limits, Timestamp(30), None), ["oldest"]);
        assert_eq!(given_up(&entries, &limits, Timestamp(30), Some("oldest")), ["old"], "what was just saved stays");
        let limits = Limits { unused_millis: 15, ..limits };
        assert_eq!(given_up(&entries, &limits, Timestamp(30), None), ["old", "oldest"]);
    }

    #[test]
    fn artifacts_expire_after_days() {
        let limits = Limits::default();
        assert_eq!(expiry(&limits, Some(1), Timestamp(5)), Ok(Timestamp(5 + 86_400_000)));
        assert_eq!(expiry(&limits, None, Timestamp(0)), Ok(Timestamp(30 * 86_400_000)));
        assert!(expiry(&limits, Some(0), Timestamp(0)).is_err());
        assert!(expiry(&limits, Some(401), Timestamp(0)).is_err());
    }

    proptest! {
        #[test]
        fn what_stays_fits_and_nothing_goes_without_need(
            sizes in proptest::collection::vec((0_u64..100, 0_i64..1000), 0..20), allowed in 0_u64..500,
        ) {
            let entries: Vec<UsedEntry> =
                sizes.iter().enumerate().map(|(i, (size, used))| entry(&format!("k{i}"), *used, *used, *size)).collect();
            let limits = Limits { project_bytes: allowed, ..Limits::default() };
            let gone = given_up(&entries, &limits, Timestamp(1000), None);
            let staying: Vec<&UsedEntry> = entries.iter().filter(|used| !gone.contains(&used.name)).collect();
            let total: u64 = staying.iter().map(|used| used.entry.contents.stored).sum();
            prop_assert!(total <= allowed);
            // The newest of those that went did not fit beside the ones that stay.
            let newest_gone = entries.iter().filter(|used| gone.contains(&used.name)).max_by_key(|used| used.used_at);
            if let Some(newest) = newest_gone {
                prop_assert!(staying.iter().all(|used| used.used_at >= newest.used_at));
                let at_that_age: u64 = entries
                    .iter()
                    .filter(|used| used.used_at >= newest.used_at)
                    .map(|used| used.entry.contents.stored)
                    .sum();
                prop_assert!(at_that_age > allowed);
            }
        }
    }
}
