use oxide_core::{outcome::FailureCause, plugin::Field, wit::Type};
use serde_json::json;

use super::*;

fn seen(outputs: Json) -> Seen {
    let Json::Object(outputs) = outputs else { panic!("no object") };
    Seen {
        outcome: Ok(outputs),
        log: b"one\ntwo\nthree\n".to_vec(),
        annotations: vec![Annotation { file: None, line: None, severity: Severity::Warning, message: "w".to_owned() }],
        summary: "# s\n".to_owned(),
        before: Files::new(),
        after: Files::from([("a".to_owned(), b"x\n".to_vec())]),
        cache: Vec::new(),
        artifacts: Vec::new(),
        usage: Usage { fuel: 100, memory_bytes: 2 << 20, ..Usage::default() },
        problems: Vec::new(),
    }
}

fn field(name: &str, ty: Type) -> Field {
    Field { name: name.to_owned(), ty, docs: None }
}

/// What differs between a text for `expect:` and what was seen.
fn found(expect: &str, fields: &[Field], seen: &Seen) -> Vec<Mismatch> {
    let case = Case::parse("c", std::path::Path::new("."), expect).unwrap();
    compare(&case, fields, seen).unwrap()
}

fn parts(expect: &str) -> Vec<Part> {
    found(expect, &[], &seen(json!({}))).iter().map(|mismatch| mismatch.part).collect()
}

#[test]
fn each_part_is_compared_by_itself() {
    for good in [
        "with: {}",
        "expect: { outputs: {} }",
        "expect: { log: [one, thr] }",
        "expect: { annotations: [{ severity: warning }] }",
        "expect: { summary: \"# s\\n\" }",
        "expect: { files: { a: \"x\\n\", gone: null } }",
        "expect: { limits: { fuel: 100, memory: 2MiB } }",
    ] {
        assert_eq!(parts(good), [], "{good}");
    }
    for (bad, part) in [
        ("expect: { failure: x }", Part::Outcome),
        ("expect: { log: [two, one] }", Part::Log),
        ("expect: { annotations: [] }", Part::Annotations),
        ("expect: { annotations: [{ message: v }] }", Part::Annotations),
        ("expect: { summary: \"# s\" }", Part::Summary),
        ("expect: { files: { a: x } }", Part::Files),
        ("expect: { files: { a: null } }", Part::Files),
        ("expect: { files: { b: x } }", Part::Files),
        ("expect: { limits: { fuel: 99 } }", Part::Limits),
        ("expect: { cache: { k: { a: b } } }", Part::Cache),
    ] {
        assert_eq!(parts(bad), [part], "{bad}");
    }
}

#[test]
fn outputs_are_compared_as_what_they_mean() {
    let fields = [field("a-float", Type::F32), field("big", Type::F64), field("n", Type::Option(Box::new(Type::U8)))];
    let got = seen(json!({ "a_float": 0.1, "big": 1e21, "n": null }));
    for same in [
        "{ a_float: 0.1, big: 1e21 }",
        "{ a-float: 0.1, big: 1000000000000000000000, n: null }",
        "{ a_float: 1e-1, big: 1.0e21, n: ~ }",
    ] {
        assert_eq!(found(&format!("expect: {{ outputs: {same} }}"), &fields, &got), [], "{same}");
    }
    let nan = seen(json!({ "a_float": "NaN", "big": "-Infinity", "n": 7 }));
    assert_eq!(found("expect: { outputs: { a_float: .nan, big: -.inf, n: 7 } }", &fields, &nan), []);
    let differs = found("expect:\n  outputs: { a_float: 0.1, big: 2 }\n", &fields, &got);
    assert_eq!(differs[0].lines, ["  a_float: 0.1", "- big: 2.0", "+ big: 1e+21", "  n: null"]);
    assert_eq!(differs[0].span.unwrap().line, 2);
}

#[test]
fn outputs_that_cannot_be_are_a_mistake_of_the_case() {
    let case = Case::parse("c", std::path::Path::new("."), "expect:\n  outputs: { n: many }\n").unwrap();
    let error = compare(&case, &[field("n", Type::U8)], &seen(json!({ "n": 1 }))).unwrap_err();
    assert_eq!(error.0[0].span.unwrap().line, 2);
}

#[test]
fn a_failure_that_nobody_expects_is_shown_with_its_words() {
    let failure = Failure { stderr_tail: "last words".to_owned(), ..Failure::new(FailureCause::Plugin, "it rains") };
    let rainy = Seen { outcome: Err(failure), ..seen(json!({})) };
    let shown = found("expect: { outputs: {} }", &[], &rainy);
    assert!(shown[0].message.contains("it rains") && shown[0].lines.contains(&"stderr: last words".to_owned()));
    assert_eq!(found("expect: { failure: rain }", &[], &rainy), []);
    assert_eq!(found("expect: { failure: sun }", &[], &rainy)[0].lines.len(), 2);
}
