//! What is fetched for which inputs.

#[path = "../src/request.rs"]
mod request;

use request::{About, Wanted, decide, short, shown};

fn about_main() -> About {
    About {
        repository: Some("https://example.com/a.git".to_owned()),
        commit: Some("0123456789abcdef0123456789abcdef01234567".to_owned()),
        reference: Some("refs/heads/main".to_owned()),
    }
}

#[test]
fn without_inputs_the_commit_of_the_run_is_fetched() {
    let request = decide(Wanted::default(), about_main()).expect("the run says all");
    assert_eq!(request.repository, "https://example.com/a.git");
    assert_eq!(request.reference.as_deref(), Some("0123456789abcdef0123456789abcdef01234567"));
    assert_eq!((request.depth, request.path.as_str()), (Some(1), "."));
    assert_eq!((request.branch.as_deref(), request.tag), (Some("main"), None));
}

#[test]
fn a_tag_of_the_run_is_told_as_a_tag() {
    let about = About { reference: Some("refs/tags/v1".to_owned()), commit: None, ..about_main() };
    let request = decide(Wanted::default(), about).expect("the run says all");
    assert_eq!(request.reference.as_deref(), Some("refs/tags/v1"));
    assert_eq!((request.branch, request.tag.as_deref()), (None, Some("v1")));
}

#[test]
fn another_repository_starts_at_its_default_branch() {
    let wanted = Wanted { repository: Some("../other".to_owned()), ..Wanted::default() };
    let request = decide(wanted, about_main()).expect("a repository is enough");
    assert_eq!((request.reference, request.branch), (None, None));
}

#[test]
fn another_ref_of_the_same_repository_is_not_the_branch_of_the_run() {
    let wanted = Wanted { reference: Some("v2".to_owned()), depth: Some(0), ..Wanted::default() };
    let request = decide(wanted, about_main()).expect("a ref is enough");
    assert_eq!((request.reference.as_deref(), request.branch), (Some("v2"), None));
    assert_eq!(request.depth, None, "0 is all of the history");
}

#[test]
fn no_repository_at_all_says_what_to_write() {
    let error = decide(Wanted::default(), About::default()).expect_err("nothing is known");
    assert!(error.contains("with: { repository:"), "{error}");
}

#[test]
fn what_git_would_read_as_an_option_is_refused() {
    let wanted = Wanted { reference: Some("--upload-pack=touch x".to_owned()), ..Wanted::default() };
    assert!(decide(wanted, about_main()).expect_err("an option").contains("starts with a dash"));
    let wanted = Wanted { repository: Some(" ".to_owned()), ..Wanted::default() };
    assert!(decide(wanted, about_main()).expect_err("empty").contains("`repository` is empty"));
}

#[test]
fn passwords_in_urls_are_not_shown() {
    assert_eq!(shown("https://me:secret@example.com/a.git"), "https://example.com/a.git");
    assert_eq!(shown("https://example.com/a@b.git"), "https://example.com/a@b.git");
    assert_eq!(shown("git@example.com:a.git"), "git@example.com:a.git");
    assert_eq!(short("0123456789abcdef"), "0123456");
}
