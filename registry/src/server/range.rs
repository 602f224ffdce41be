//! The two headers that name a part of a blob. Plain decisions.

use std::ops::Range;

/// What `Range` of a download asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Everything: there is no such header, or one that may be passed over.
    All,
    /// This part.
    Part(Range<u64>),
    /// A part that the blob does not have.
    Nothing,
}

/// Reads `Range`. Several parts at once, and units other than bytes, may be answered with everything.
pub(super) fn wanted(header: Option<&str>, size: u64) -> Wanted {
    let Some(range) = header.and_then(|header| header.strip_prefix("bytes=")) else { return Wanted::All };
    let Some((first, last)) = range.trim().split_once('-') else { return Wanted::All };
    let number = |text: &str| match text.bytes().all(|byte| byte.is_ascii_digit()) {
        true => text.parse::<u64>().ok(),
        false => None,
    };
    let part = match (first, last) {
        ("", last) => number(last).map(|count| size.saturating_sub(count)..size),
        (first, "") => number(first).map(|first| first..size),
        (first, last) => match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last => Some(first..size.min(last.saturating_add(1))),
            _ => None,
        },
    };
    match part {
        None => Wanted::All,
        Some(part) if part.start >= part.end => Wanted::Nothing,
        Some(part) => Wanted::Part(part),
    }
}

/// Reads `Content-Range` of an upload: first and last byte, without a unit. None if it is no such text.
pub(super) fn sent(header: &str) -> Option<Range<u64>> {
    let (first, last) = header.trim().trim_start_matches("bytes ").split_once('-')?;
    let last = last.split_once('/').map_or(last, |(last, _)| last);
    let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
    (first <= last && last < u64::MAX).then(|| first..last + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_downloads() {
        let wanted = |header: &str| super::wanted(Some(header), 10);
        assert_eq!(super::wanted(None, 10), Wanted::All);
        assert_eq!(wanted("bytes=0-4"), Wanted::Part(0..5));
        assert_eq!(wanted("bytes=5-"), Wanted::Part(5..10));
        assert_eq!(wanted("bytes=-3"), Wanted::Part(7..10));
        assert_eq!(wanted("bytes=-30"), Wanted::Part(0..10));
        assert_eq!(wanted("bytes=8-99"), Wanted::Part(8..10));
        assert_eq!(wanted("bytes=0-18446744073709551615"), Wanted::Part(0..10));
        for nothing in ["bytes=10-", "bytes=10-12", "bytes=-0"] {
            assert_eq!(wanted(nothing), Wanted::Nothing, "{nothing}");
        }
        assert_eq!(super::wanted(Some("bytes=0-"), 0), Wanted::Nothing);
        for all in ["lines=1-2", "bytes=5-4", "bytes=0-1,4-5", "bytes=a-b", "bytes=+1-2", "bytes=", "bytes=1"] {
            assert_eq!(wanted(all), Wanted::All, "{all}");
        }
    }

    #[test]
    fn parts_of_uploads() {
        assert_eq!(sent("0-9"), Some(0..10));
        assert_eq!(sent("bytes 10-19/100"), Some(10..20));
        for text in ["", "9-0", "a-b", "5", "-5", "0-18446744073709551615"] {
            assert_eq!(sent(text), None, "{text}");
        }
    }
}
