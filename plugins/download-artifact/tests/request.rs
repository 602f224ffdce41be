//! Which artifacts go where.

#[path = "../src/request.rs"]
mod request;

use request::{Wanted, fits, fitting, wanted};

#[test]
fn a_name_means_one_artifact_and_a_star_any() {
    assert_eq!(wanted(None), Ok(Wanted::Fitting("*".to_owned())));
    assert_eq!(wanted(Some("app".into())), Ok(Wanted::One("app".to_owned())));
    assert_eq!(wanted(Some("app-*".into())), Ok(Wanted::Fitting("app-*".to_owned())));
    assert!(wanted(Some(String::new())).is_err());
}

#[test]
fn patterns_fit_whole_names() {
    for (pattern, name) in [("*", "a"), ("a*", "a"), ("*-x", "a-x"), ("a*b*c", "a1b2b3c"), ("a**", "ab"), ("ab", "ab")]
    {
        assert!(fits(pattern, name), "{pattern} {name}");
    }
    for (pattern, name) in [("a*", "b"), ("*-x", "a-xy"), ("a*bc*c", "abc"), ("aa*a", "aa"), ("ab", "abc")] {
        assert!(!fits(pattern, name), "{pattern} {name}");
    }
}

#[test]
fn artifacts_that_fit_get_directories_of_their_own() {
    let names = ["app-linux".to_owned(), "app-mac".to_owned(), "docs".to_owned()];
    let places = |directory: &str| -> Vec<String> {
        fitting("app-*", &names, directory).into_iter().map(|download| download.directory).collect()
    };
    assert_eq!(places("."), ["app-linux", "app-mac"]);
    assert_eq!(places("in/"), ["in/app-linux", "in/app-mac"]);
}
