//! Which inputs are refused before the host is asked.

#[path = "../src/request.rs"]
mod request;

use request::{IfMissing, check, files};

#[test]
fn what_is_empty_is_refused_with_what_to_write() {
    assert_eq!(check("app", &["dist".to_owned()]), Ok(()));
    assert!(check(" ", &["dist".to_owned()]).expect_err("no name").contains("`name: app`"));
    assert!(check("app", &[]).expect_err("no paths").contains("`paths: [dist]`"));
}

#[test]
fn missing_files_fail_if_nothing_else_is_said() {
    assert_eq!(IfMissing::default(), IfMissing::Fail);
    assert!(IfMissing::Warn != IfMissing::Ignore);
}

#[test]
fn one_file_is_no_files() {
    assert_eq!((files(1), files(0), files(2)), ("1 file".to_owned(), "0 files".to_owned(), "2 files".to_owned()));
}
