//! Which files the inputs ask for.

use crate::request::{decide, is_plain, nothing_found};

fn list(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn patterns_with_an_exclamation_mark_take_files_away() {
    let request = decide(&list(&["a/*.xml", "!a/old.xml"])).expect("good patterns");
    assert_eq!((request.wanted, request.unwanted), (list(&["a/*.xml"]), list(&["a/old.xml"])));
}

#[test]
fn no_pattern_says_what_to_write() {
    for files in [&[][..], &["!a.xml"]] {
        assert!(decide(&list(files)).expect_err("nothing to read").contains("write `files: ["));
    }
    assert!(decide(&list(&["a", " "])).expect_err("an empty pattern").contains("empty pattern"));
}

#[test]
fn no_report_says_what_to_look_at() {
    let request = decide(&list(&["out/*.xml", "reports/"])).expect("good patterns");
    let told = nothing_found(&request, None);
    assert!(told.starts_with("no file of the workspace matches `out/*.xml`, `reports/`"), "{told}");
    assert!(told.contains("require_files: false"), "{told}");
    assert!(nothing_found(&request, Some("reports/")).contains("files: [\"reports/**/*.xml\"]"));
    assert!(is_plain("reports/a.xml") && !is_plain("reports/*.xml"));
}
