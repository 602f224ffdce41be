//! Which account pushes, and what is refused before anything is built.

#[path = "../src/request.rs"]
mod request;

use request::{ANY_USERNAME, Account, PASSWORD_SECRET, Source, USERNAME_SECRET, Wanted, account, check};

fn text(text: &str) -> Source {
    Source::Text(text.to_owned())
}

fn secrets(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn inputs_come_before_secrets_of_known_names() {
    let wanted = Wanted { username: Some("me".into()), password: Some("placeholder".into()), ..Wanted::default() };
    let both = secrets(&[USERNAME_SECRET, PASSWORD_SECRET]);
    let decided = account(&wanted, &both).expect("both are given");
    assert_eq!(decided, Some(Account { username: text("me"), password: text("placeholder") }));
    let decided = account(&Wanted::default(), &both).expect("both are granted");
    let of_secrets = Account { username: Source::Secret(USERNAME_SECRET), password: Source::Secret(PASSWORD_SECRET) };
    assert_eq!(decided, Some(of_secrets));
}

#[test]
fn a_token_alone_is_enough_and_nothing_asks_without_an_account() {
    let decided = account(&Wanted::default(), &secrets(&[PASSWORD_SECRET, "OTHER"])).expect("a token is enough");
    assert_eq!(decided, Some(Account { username: text(ANY_USERNAME), password: Source::Secret(PASSWORD_SECRET) }));
    assert_eq!(account(&Wanted::default(), &secrets(&["OTHER"])), Ok(None));
}

#[test]
fn a_name_without_password_says_what_to_write() {
    let wanted = Wanted { username: Some("me".into()), ..Wanted::default() };
    let error = account(&wanted, &[]).expect_err("no password");
    assert!(error.contains("secrets: [REGISTRY_PASSWORD]"), "{error}");
    let wanted = Wanted { password: Some(" ".into()), ..wanted };
    assert!(account(&wanted, &[]).expect_err("empty").contains("`password` is empty"));
}

#[test]
fn tags_are_checked_before_the_build() {
    let tags = |tags: &[&str], push| Wanted { tags: secrets(tags), push, ..Wanted::default() };
    check(&tags(&[], false)).expect("no tag is needed without a push");
    check(&tags(&["a:1", "a:2"], true)).expect("two tags");
    assert!(check(&tags(&[], true)).expect_err("nothing to push").contains("add `tags:"));
    assert!(check(&tags(&["a b"], true)).expect_err("a space").contains("no name"));
    assert!(check(&tags(&["a:1", "b", "a:1"], true)).expect_err("twice").contains("tag 3 is `a:1` again"));
}
