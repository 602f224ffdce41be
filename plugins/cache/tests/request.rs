//! What is asked of the host for which inputs.

#[path = "../src/request.rs"]
mod request;

use request::{Action, Request, amount, decide};

fn texts(texts: &[&str]) -> Option<Vec<String>> {
    Some(texts.iter().map(|text| (*text).to_owned()).collect())
}

#[test]
fn without_an_action_files_are_restored() {
    let request = decide(None, "k".into(), texts(&["a-", "b-"]), texts(&["target"])).expect("all is there");
    assert_eq!(request, Request::Restore { key: "k".into(), fallback_keys: vec!["a-".into(), "b-".into()] });
}

#[test]
fn a_save_needs_paths_and_every_action_a_key() {
    let request = decide(Some(Action::Save), "k".into(), None, texts(&["target"])).expect("all is there");
    assert_eq!(request, Request::Save { key: "k".into(), paths: vec!["target".into()] });
    for paths in [None, texts(&[])] {
        let error = decide(Some(Action::Save), "k".into(), None, paths).expect_err("no paths");
        assert!(error.contains("write `paths: [target]`"), "{error}");
    }
    assert!(decide(None, " ".into(), None, None).expect_err("no key").contains("`key` is empty"));
    assert!(decide(Some(Action::Restore), "k".into(), texts(&[""]), None).is_err());
}

#[test]
fn amounts_are_written_for_people() {
    assert_eq!(amount(1, 1023), "1 file, 1023 B");
    assert_eq!(amount(0, 1024), "0 files, 1.0 KiB");
    assert_eq!(amount(2, 5_000_000_001), "2 files, 4.7 GiB");
    assert_eq!(amount(2, u64::MAX), "2 files, 16777216.0 TiB");
}
