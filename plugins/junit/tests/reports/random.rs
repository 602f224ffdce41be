//! Whatever comes: nothing panics, nothing grows without bounds, and pieces make no difference.

use proptest::prelude::*;

use crate::{
    annotation::{ANNOTATIONS_MAX, annotations},
    place::{Files, mentions, pattern, wanted_names},
    read_in_pieces,
    summary::{SUMMARY_BYTES_MAX, markdown},
    text::{block, escaped, one_line, shortened},
};

/// Parts that are put together at random, so that many of the whole are almost reports.
fn almost_xml() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        Just("<testsuites>".to_owned()),
        Just("<testsuite name='s'>".to_owned()),
        Just("<testcase name='a' classname='b.C' time='0.1'>".to_owned()),
        Just("<testcase/>".to_owned()),
        Just("<failure message='m'>".to_owned()),
        Just("</failure>".to_owned()),
        Just("</testcase>".to_owned()),
        Just("</testsuite>".to_owned()),
        Just("</testsuites>".to_owned()),
        Just("<![CDATA[".to_owned()),
        Just("]]>".to_owned()),
        Just("<!-- -->".to_owned()),
        Just("&amp;&#10;".to_owned()),
        Just("&".to_owned()),
        Just("src/a.rs:3:1\n".to_owned()),
        "[<>&;'\"/!?a-z\\PC\n]{0,12}",
    ];
    prop::collection::vec(part, 0..40).prop_map(|parts| parts.concat().into_bytes())
}

/// A report with tests that ended in these ways, and the numbers that are expected of it.
fn report() -> impl Strategy<Value = (String, [u32; 4])> {
    prop::collection::vec((0..4usize, "[^\u{0}]{0,20}"), 0..60).prop_map(|tests| {
        let mut counts = [0; 4];
        let mut text = String::from("<testsuites><testsuite name='x' tests='7'>");
        for (outcome, name) in tests {
            counts[outcome] += 1;
            let name = name.replace('&', "&amp;").replace('<', "&lt;").replace('\'', "&apos;");
            let inside = ["", "<failure>x</failure>", "<error/>", "<skipped/>"][outcome];
            text.push_str(&format!("<testcase name='{name}'>{inside}</testcase>\n"));
        }
        (text + "</testsuite></testsuites>", counts)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300), length in 1..50usize) {
        read_in_pieces(&bytes, length);
    }

    #[test]
    fn pieces_make_no_difference(bytes in almost_xml(), length in 1..40usize) {
        let (whole, why) = read_in_pieces(&bytes, usize::MAX);
        let (cut, why_cut) = read_in_pieces(&bytes, length);
        prop_assert_eq!(why, why_cut);
        prop_assert_eq!(whole.counts, cut.counts);
        prop_assert_eq!(whole.odd, cut.odd);
        prop_assert_eq!(whole.failed, cut.failed);
        prop_assert_eq!(whole.suites, cut.suites);
    }

    #[test]
    fn every_test_is_counted_once_and_the_pages_are_bounded((text, counts) in report()) {
        let (results, broken) = read_in_pieces(text.as_bytes(), 1 << 20);
        prop_assert_eq!(broken, None);
        let found = &results.counts;
        prop_assert_eq!([found.passed, found.failed, found.errors, found.skipped], counts);
        prop_assert_eq!(results.suites.iter().map(|suite| suite.counts.tests()).sum::<u32>(), counts.iter().sum::<u32>());
        let files = Files::default();
        prop_assert!(markdown(&results, &files).len() <= SUMMARY_BYTES_MAX);
        let remarks = (counts[1] + counts[2]) as usize + results.odd.len();
        prop_assert_eq!(annotations(&results, &files).len(), remarks.min(ANNOTATIONS_MAX));
    }

    #[test]
    fn escaped_text_is_one_line_without_markup(text in "\\PC{0,60}|[\u{0}-\u{ff}]{0,60}") {
        let shown = escaped(&text);
        prop_assert!(!shown.contains(['<', '>', '\n', '\x1b', '@']));
        let unescaped_bar = shown.replace("\\\\", "").replace("\\|", "");
        prop_assert!(!unescaped_bar.contains('|'));
        prop_assert!(one_line(&text).chars().all(|character| !character.is_control()));
    }

    #[test]
    fn a_block_is_closed_by_its_own_fence_only(text in "[`~a \n]{0,60}") {
        let shown = block(&text);
        let fence = shown.split("text").next().expect("a fence");
        prop_assert_eq!(shown.lines().filter(|line| line.trim_start().starts_with(fence)).count(), 2);
    }

    #[test]
    fn any_text_can_be_searched(text in "\\PC{0,200}", bytes in 0..20usize) {
        for mention in mentions(&text) {
            prop_assert!(mention.line.is_some_and(|line| line > 0) && !mention.path.is_empty());
        }
        let failed = crate::results::Failed { text: text.clone(), class_name: text.clone(), ..Default::default() };
        prop_assert!(!pattern(&wanted_names(&[failed])).contains('\n'));
        prop_assert!(shortened(&text, bytes).len() <= bytes.max(3));
    }
}
