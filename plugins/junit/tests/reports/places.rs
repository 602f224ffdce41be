//! Lines of the source in the texts of many languages.

use crate::{
    place::{Files, Mention, mentions, pattern, place, wanted_names},
    results::Failed,
};

fn files(paths: &[&str]) -> Files {
    Files::new(paths.iter().map(|path| (*path).to_owned()))
}

#[test]
fn texts_speak_of_lines_in_many_ways() {
    let table = [
        ("tests/test_a.py:5: AssertionError", Some(("tests/test_a.py", 5))),
        ("  File \"/app/tests/test_a.py\", line 12, in test_x", Some(("/app/tests/test_a.py", 12))),
        ("\tat com.acme.FooTest.bar(FooTest.java:42)", Some(("com/acme/FooTest.java", 42))),
        ("    at Object.<anonymous> (src/a.test.js:5:17)", Some(("src/a.test.js", 5))),
        ("    at file:///app/src/a.ts:3:1", Some(("/app/src/a.ts", 3))),
        ("   at Acme.Foo.Bar() in /src/Foo.cs:line 12", Some(("/src/Foo.cs", 12))),
        ("thread 'x' panicked at src/lib.rs:5:9:", Some(("src/lib.rs", 5))),
        ("C:\\work\\src\\a.cc:7: error", Some(("C:/work/src/a.cc", 7))),
        ("# ./spec/foo_spec.rb:12:in `block'", Some(("spec/foo_spec.rb", 12))),
        ("foo_test.go:12: got 1:2", Some(("foo_test.go", 12))),
        ("at 12:30:45 the clock struck", None),
        ("expected a:1 but was b:2", None),
        ("version 1.2.3:4", None),
        ("a.rs:0 and a.rs:x and a.rs:99999999999", None),
        ("", None),
    ];
    for (text, expected) in table {
        let expected: Vec<Mention> =
            expected.into_iter().map(|(path, line)| Mention { path: path.to_owned(), line: Some(line) }).collect();
        assert_eq!(mentions(text), expected, "{text}");
    }
}

#[test]
fn a_path_means_a_file_only_if_it_means_one() {
    let files = files(&["src/a.rs", "lib/src/a.rs", "web/index.js", "node_modules/x/index.js", "deep/er/b.py"]);
    let table = [
        ("src/a.rs", Some("src/a.rs")),
        ("./src//a.rs", Some("src/a.rs")),
        ("/builds/1/lib/src/a.rs", Some("lib/src/a.rs")),
        ("/builds/1/src/a.rs", Some("src/a.rs")),
        ("er/b.py", Some("deep/er/b.py")),
        ("b.py", Some("deep/er/b.py")),
        ("a.rs", None),
        ("other/b.py", None),
        ("/b.py", None),
        ("../src/a.rs", None),
        ("node_modules/x/index.js", None),
        ("/usr/lib/node/web/index.js", None),
        ("", None),
    ];
    for (path, expected) in table {
        assert_eq!(files.find(path, ""), expected, "{path}");
    }
    assert_eq!(files.find("a.rs", "acme.lib.src"), Some("lib/src/a.rs"), "the package decides");
}

#[test]
fn what_the_report_states_comes_first_and_may_name_a_file_that_is_not_there() {
    let failed = Failed {
        file: Some("gen/x.test".to_owned()),
        line: Some(3),
        text: "src/a.rs:9".to_owned(),
        ..Failed::default()
    };
    let shown = place(&failed, &files(&["src/a.rs"]));
    assert_eq!((shown.file.as_deref(), shown.line), (Some("gen/x.test"), Some(3)));
    let outside = Failed { file: Some("/elsewhere/x.test".to_owned()), ..failed };
    let shown = place(&outside, &files(&["src/a.rs"]));
    assert_eq!((shown.file.as_deref(), shown.line), (Some("src/a.rs"), Some(9)));
}

#[test]
fn one_pattern_looks_for_all_names() {
    let failed = [
        Failed { text: "src/a.rs:9 /x/node_modules/b.js:1 we{i}rd.rs:3".to_owned(), ..Failed::default() },
        Failed { class_name: "com.acme.Foo".to_owned(), ..Failed::default() },
    ];
    let names = wanted_names(&failed);
    assert!(names.contains("a.rs") && names.contains("Foo.java") && names.contains("acme.py"), "{names:?}");
    assert!(!names.contains("b.js") && names.iter().all(|name| !name.contains('{')), "{names:?}");
    let few = ["a.rs".to_owned(), "b.rs".to_owned()].into();
    assert_eq!(pattern(&few), "**/{a.rs,b.rs}");
    let many: Vec<Failed> = (0..3000).map(|n| Failed { text: format!("f{n}.rs:1"), ..Failed::default() }).collect();
    assert_eq!(wanted_names(&many).len(), 1000);
}
