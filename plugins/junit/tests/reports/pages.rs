//! What people read: the summary, the failure and the remarks in the source.

use crate::{
    annotation::annotations,
    place::Files,
    read, read_in_pieces,
    source::Broken,
    summary::{failure, markdown},
    text::{block, clean, duration, escaped, seconds, shortened},
};

#[test]
fn the_summary_shows_suites_failures_and_what_was_slow() {
    let results = read(
        "<testsuites><testsuite name='good'><testcase classname='g' name='quick' time='0.5'/></testsuite>\
         <testsuite name='bad'><testcase classname='b' name='wrong' time='70'><failure message='1 is not 2'>1 is not 2\nsrc/a.rs:7:1</failure></testcase>\
         <testcase classname='b' name='late' time='1'><flakyFailure/></testcase></testsuite></testsuites>",
    );
    let page = markdown(&results, &Files::new(["src/a.rs".to_owned()]));
    assert_eq!(
        page,
        "### ❌ 3 tests: 2 passed, 1 failed, 1 flaky in 1 min 12 s

| suite | tests | passed | failed | errors | skipped | time |
| --- | ---: | ---: | ---: | ---: | ---: | ---: |
| bad | 2 | 1 | 1 | 0 | 0 | 1 min 11 s |
| good | 1 | 1 | 0 | 0 | 0 | 500 ms |

#### Failed

**b › wrong** at src/a.rs:7: 1 is not 2

```text
1 is not 2
src/a.rs:7:1
```

#### Passed after another try

- b › late

#### Slowest

| test | time |
| --- | ---: |
| b › wrong | 1 min 10 s |
| b › late | 1.0 s |
| g › quick | 500 ms |
"
    );
    assert_eq!(failure(&results), "1 of 3 tests failed: b › wrong");
    let marked = annotations(&results, &Files::default());
    assert_eq!(marked[0].message, "b › wrong failed: 1 is not 2");
}

#[test]
fn a_report_that_cannot_be_used_is_marked_and_shown() {
    let (mut results, broken) = read_in_pieces(b"<testsuite>\n<oops", 100);
    results.broken("out/a|b.xml", broken.expect("it is cut off"));
    for number in 0..200 {
        results.broken(&format!("{number}.xml"), Broken::whole("it is empty"));
    }
    let marked = annotations(&results, &Files::default());
    assert_eq!(marked.len(), 101);
    assert_eq!((marked[0].place.file.as_deref(), marked[0].place.line), (Some("out/a|b.xml"), Some(2)));
    let page = markdown(&results, &Files::default());
    assert!(page.contains("- out/a\\|b.xml:2:1: tag not closed"), "{page}");
    assert!(page.contains("and 181 more reports"), "{page}");
}

#[test]
fn names_of_strangers_are_never_markup() {
    let name =
        "<img src=x onerror=alert(1)> [a](http://evil) WWW.evil | `x` **b** @all\u{202e}\u{1b}[31m\u{0}\nnew # line";
    let shown = escaped(name);
    assert_eq!(
        shown,
        "&lt;img src=x onerror=alert(1)&gt; \\[a\\](http&#58;//evil) WWW&#46;evil \\| \\`x\\` \\*\\*b\\*\\* &#64;all\u{fffd}\u{fffd} new # line"
    );
    let text = "```\n# not a heading\n````";
    let shown = block(text);
    assert!(shown.starts_with("`````text\n") && shown.ends_with("\n`````\n"), "{shown}");
}

#[test]
fn control_characters_do_not_reach_a_terminal() {
    assert_eq!(clean("\u{1b}[1;31mred\u{1b}[0m\r\nnext\rlast\u{7}\u{9b}"), "red\nnext\nlast\u{fffd}\u{fffd}");
    assert_eq!(clean("\u{1b}]0;title\u{7}"), "\u{fffd}]0;title\u{fffd}");
}

#[test]
fn times_are_read_and_written_as_people_do() {
    for (text, expected) in [
        ("0.25", Some(0.25)),
        ("1,234.5", Some(1234.5)),
        ("0,25", Some(0.25)),
        ("1e-05", Some(1e-05)),
        (" 3s", Some(3.0)),
        ("-1", None),
        ("NaN", None),
        ("inf", None),
        ("", None),
        ("soon", None),
    ] {
        assert_eq!(seconds(text), expected, "{text}");
    }
    for (value, expected) in [
        (0.0, "0 ms"),
        (0.9994, "999 ms"),
        (0.9999, "1.0 s"),
        (59.94, "59.9 s"),
        (59.99, "1 min 0 s"),
        (3725.0, "62 min 5 s"),
    ] {
        assert_eq!(duration(value), expected);
    }
    assert_eq!(shortened("abcdef", 5), "ab…");
}
