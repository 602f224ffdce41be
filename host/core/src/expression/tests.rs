//! Expressions on examples, hostile ones among them. Scripts are in `script`.

mod script;

use std::cell::RefCell;

use serde_json::{Map, Value as Json, json};

use super::{Part, Scope, StatusFacts, condition, condition_text, evaluate, interpolate, parts, references};
use crate::{
    plan::Condition,
    yaml::{self, Content, Span},
};

struct World {
    git: Map<String, Json>,
    matrix: Map<String, Json>,
    env: Map<String, Json>,
    steps: Map<String, Json>,
    nothing: Map<String, Json>,
    status: StatusFacts,
}

fn object(value: Json) -> Map<String, Json> {
    value.as_object().expect("an object").clone()
}

impl World {
    fn new() -> Self {
        World {
            git: object(json!({ "sha": "abc123", "branch": "main" })),
            matrix: object(json!({ "rust": "1.95", "n": 3, "big": u64::MAX, "tags": ["a", "b"], "os-name": "debian" })),
            env: object(json!({ "MODE": "fast" })),
            steps: object(json!({ "unit": { "status": "success", "outputs": { "count": 7, "note": null } } })),
            nothing: Map::new(),
            status: StatusFacts::SUCCESS,
        }
    }

    fn with<T>(&self, act: impl FnOnce(&Scope<'_>) -> T) -> T {
        let hash_files = |patterns: &[String]| match patterns.join("+").as_str() {
            "missing" => Err("no file matches `missing`".to_owned()),
            other => Ok(format!("hash of {other}")),
        };
        act(&Scope {
            git: &self.git,
            trigger: &self.nothing,
            inputs: &self.nothing,
            matrix: &self.matrix,
            env: &self.env,
            steps: &self.steps,
            stages: &self.nothing,
            secrets: &self.nothing,
            status: self.status,
            hash_files: &hash_files,
        })
    }

    fn value(&self, expression: &str) -> Json {
        self.with(|scope| evaluate(expression, Span::default(), scope)).expect(expression)
    }

    fn error(&self, expression: &str) -> String {
        self.with(|scope| evaluate(expression, Span::default(), scope)).expect_err(expression).to_string()
    }

    fn holds(&self, expression: &str) -> Result<bool, String> {
        let written = Condition { expression: expression.to_owned(), span: Span::default() };
        self.with(|scope| condition(&written, scope)).map_err(|error| error.to_string())
    }
}

#[test]
fn expressions_see_the_run() {
    let world = World::new();
    assert_eq!(world.value("git.branch == 'main' && matrix.n > 2"), json!(true));
    assert_eq!(world.value("matrix.rust + '-' + git.sha"), json!("1.95-abc123"));
    assert_eq!(world.value("matrix['os-name']"), json!("debian"));
    assert_eq!(world.value("matrix.big"), json!(u64::MAX));
    assert_eq!(world.value("matrix.tags.map(t, t + '!')"), json!(["a!", "b!"]));
    assert_eq!(world.value("{'b': 1, 'a': [1.5, null]}"), json!({ "a": [1.5, null], "b": 1 }));
    assert_eq!(world.value("steps.unit.outputs.count"), json!(7));
    assert_eq!(world.value("env.MODE.startsWith('fa')"), json!(true));
    assert_eq!(world.value("success() && !failure() && !cancelled() && always()"), json!(true));
    assert_eq!(world.value("has(matrix.rust) && !has(matrix.other)"), json!(true));
    assert_eq!(world.value("git.branch.matches('^m.*n$')"), json!(true));
}

#[test]
fn facts_that_may_be_absent_are_null() {
    let world = World::new();
    assert_eq!(world.value("git.tag"), Json::Null);
    assert_eq!(world.value("git.tag == 'v1'"), json!(false));
    assert_eq!(world.value("git.tag == null"), json!(true));
    assert_eq!(world.value("trigger.pull_request == null"), json!(true));
    assert_eq!(world.value("steps.skipped.outputs.count == 7"), json!(false));
    assert_eq!(world.value("stages.build.outputs.unit.count"), Json::Null);
    assert_eq!(world.value("stages.build.status == 'success'"), json!(false));
}

#[test]
fn what_is_asked_for_is_not_there_because_it_is_named_elsewhere() {
    let world = World::new();
    for (expression, expected) in [
        ("has(steps.unit.outputs.count) ? steps.unit.outputs.count : 0", json!(7)),
        ("has(steps.unit.outputs.other) ? steps.unit.outputs.other : 9", json!(9)),
        ("has(steps.unit.outputs.other) && steps.unit.outputs.other > 3", json!(false)),
        ("has(steps.skipped.outputs.hit) && !steps.skipped.outputs.hit", json!(false)),
        ("has(steps.skipped.outputs) ? steps.skipped.outputs.hit : 'no'", json!("no")),
        ("has(steps.skipped) ? steps.skipped.outputs.hit : 'no'", json!("no")),
        ("!has(steps.unit.outputs.other) && steps.unit.outputs.count == 7", json!(true)),
        ("has(git.tag) ? git.tag : git.branch", json!("main")),
    ] {
        assert_eq!(world.value(expression), expected, "{expression}");
    }
}

#[test]
fn mistakes_name_the_nearest_known_name() {
    let world = World::new();
    assert_eq!(
        world.error("matrix.rsut"),
        "the expression `matrix.rsut` has no value: there is no `matrix.rsut` (did you mean `rust`?)"
    );
    assert_eq!(world.error("gti.sha"), "`gti` is not known in the expression `gti.sha` (did you mean `git`?)");
    assert!(world.error("main").contains("texts stand in quotes ('main')"));
    assert!(world.error("git.brnch").contains("did you mean `branch`?"));
    assert!(world.error("succes()").contains("did you mean `success`?"));
    assert_eq!(world.value("secrets.TOKEN"), json!(""), "a run that may not spend it sees an empty text");
    assert_eq!(
        world.error("matrix.rust + 1"),
        "the expression `matrix.rust + 1` has no value: `+` does not work on a text and a whole number"
    );
    assert!(world.error("1 / 0").contains("divides by zero"));
    assert!(world.error("git.branch = 'main'").contains("equality is written `==`"));
    assert!(world.error("git.sha && ").contains("is not finished"));
}

#[test]
fn hash_files_asks_the_scope() {
    let world = World::new();
    assert_eq!(world.value("'cargo-' + hash_files('Cargo.lock')"), json!("cargo-hash of Cargo.lock"));
    assert_eq!(world.value("hash_files('a', 'b') + hash_files('c')"), json!("hash of a+bhash of c"));
    assert!(world.error("hash_files('missing')").contains("hash_files: no file matches `missing`"));
    assert!(world.error("hash_files()").contains("at least one pattern"));
    assert!(world.error("hash_files(1)").contains("it takes texts"));
    let counted = RefCell::new(0);
    let count = |_: &[String]| {
        *counted.borrow_mut() += 1;
        Ok("h".to_owned())
    };
    world.with(|scope| {
        let scope = Scope { hash_files: &count, ..*scope };
        let many: Vec<String> = (0..20).map(|n| format!("hash_files('{n}')")).collect();
        assert!(evaluate(&many.join(" + "), Span::default(), &scope).is_err());
        assert!(*counted.borrow() <= 17);
    });
}

#[test]
fn conditions_mean_success_unless_they_ask() {
    let mut world = World::new();
    assert_eq!(world.holds("git.branch == 'main'"), Ok(true));
    world.status = StatusFacts::FAILURE;
    assert_eq!(world.holds("git.branch == 'main'"), Ok(false));
    assert_eq!(world.holds("failure() && git.branch == 'main'"), Ok(true));
    assert_eq!(world.holds("always()"), Ok(true));
    assert_eq!(world.holds("success()"), Ok(false));
    world.status = StatusFacts::CANCELLED;
    assert_eq!(world.holds("cancelled()"), Ok(true));
    world.status = StatusFacts::SUCCESS;
    assert!(world.holds("git.branch").unwrap_err().contains("must be true or false, and is the text 'main'"));
    assert!(world.holds("git.tag").unwrap_err().contains("is null"));
}

#[test]
fn an_if_stands_with_or_without_braces() {
    let span = Span { line: 3, column: 5, length: 27 };
    assert_eq!(condition_text("always()", span).unwrap().0, "always()");
    let (text, place) = condition_text("${{ git.branch == 'main' }}", span).unwrap();
    assert_eq!((text.as_str(), place.column, place.length), ("git.branch == 'main'", 9, 20));
    assert!(condition_text("${{ a }} && ${{ b }}", span).is_err());
    assert!(condition_text("  ", span).is_err());
}

#[test]
fn a_whole_expression_keeps_its_type_and_others_become_text() {
    let text = "whole: ${{ matrix.n }}\nmixed: n=${{ matrix.n }}, tag=${{ git.tag }}\nlist: [\"${{ matrix.tags }}\", plain]\nno: 3.10\n";
    let node = World::new().with(|scope| interpolate(&yaml::parse(text).unwrap(), scope)).unwrap();
    assert_eq!(node.get("whole").unwrap().content, Content::Evaluated(json!(3)));
    assert_eq!(node.get("mixed").unwrap().as_text(), Some("n=3, tag="));
    assert_eq!(node.get("no").unwrap().as_text(), Some("3.10"));
    let Content::List(items) = &node.get("list").unwrap().content else { panic!("a list") };
    assert_eq!(items[0].content, Content::Evaluated(json!(["a", "b"])));
}

#[test]
fn values_are_not_evaluated_again() {
    let mut world = World::new();
    world.git.insert("branch".into(), json!("${{ env.MODE }}"));
    let node = yaml::parse("a: x ${{ git.branch }}\n").unwrap();
    let node = world.with(|scope| interpolate(&node, scope)).unwrap();
    assert_eq!(node.get("a").unwrap().as_text(), Some("x ${{ env.MODE }}"));
}

#[test]
fn errors_in_a_text_point_into_it() {
    let node = yaml::parse("name: build ${{ matrix.rsut }} now\n").unwrap();
    let error = World::new().with(|scope| interpolate(&node, scope)).unwrap_err();
    assert_eq!(error.span, Some(Span { line: 1, column: 17, length: 11 }));
    let node = yaml::parse("name: \"build ${{ matrix.rsut }}\"\n").unwrap();
    let error = World::new().with(|scope| interpolate(&node, scope)).unwrap_err();
    assert_eq!(error.span, Some(Span { line: 1, column: 18, length: 11 }));
}

#[test]
fn braces_and_quotes_within_an_expression_do_not_end_it() {
    let expressions = |text: &'static str| -> Vec<&'static str> {
        let parts = parts(text, Span::default()).expect(text);
        parts
            .iter()
            .filter_map(|part| if let Part::Expression { text, .. } = part { Some(*text) } else { None })
            .collect()
    };
    assert_eq!(expressions("a ${{ {'a': {'b': 1}}.a }} b"), ["{'a': {'b': 1}}.a"]);
    assert_eq!(expressions("${{ '}}' + \"\\\"}}\" }}${{ r'\\' }}"), ["'}}' + \"\\\"}}\"", "r'\\'"]);
    assert!(parts("${{ a", Span::default()).is_err());
    assert!(parts("${{ 'a }}", Span::default()).is_err());
    assert!(parts("${{ }}", Span::default()).is_err());
}

#[test]
fn references_are_ways_and_functions() {
    let found =
        references("steps.unit.outputs['x-y'] == 'a' && has(env.B) && [1].exists(v, v == matrix.n)", Span::default());
    let found = found.unwrap();
    let shown: Vec<String> = found.variables.iter().map(super::Reference::shown).collect();
    assert_eq!(shown, ["steps.unit.outputs.x-y", "env.B", "matrix.n"]);
    assert!(found.variables[1].is_test);
    assert!(found.functions.is_empty());
    assert!(references("failure()", Span::default()).unwrap().asks_for_status());
}

#[test]
fn hostile_expressions_end_quickly_with_an_error_or_a_value() {
    let world = World::new();
    let hostile = [
        "1".repeat(20_000),
        "(".repeat(5_000),
        format!("{}1{}", "(".repeat(24), ")".repeat(24)),
        format!("{}1{}", "[".repeat(4_000), "]".repeat(4_000)),
        format!("1{}", "+1".repeat(299)),
        format!("1{}", "+1".repeat(4_000)),
        format!("matrix{}", ".a".repeat(299)),
        format!("{}true", "!".repeat(299)),
        format!("{}1", "-".repeat(299)),
        "true?1:".repeat(149) + "2",
        "true ? ".repeat(290),
        "a||".repeat(140) + "a",
        "1 in ".repeat(290) + "[1]",
        "[1].map(a,[1].map(b,[1].map(c,1)))".to_owned(),
        "'".to_owned(),
        "\u{0}\u{7f}€".to_owned(),
        "9223372036854775807 + 1".to_owned(),
        "-9223372036854775808 / -1".to_owned(),
        "999999999999999999999999".to_owned(),
        "'a'.matches('((((((((((((((((((((a{1,999}){1,999})))))))))))))))))))')".to_owned(),
        "b'\\xff' + b'a'".to_owned(),
        "[][5]".to_owned(),
        "matrix[matrix]".to_owned(),
        "Foo{a: 1}".to_owned(),
        "success(1, 2, 3)".to_owned(),
        "size()".to_owned(),
        "hash_files".to_owned(),
        "int('x')".to_owned(),
        "type(1)".to_owned(),
        "`x`".to_owned(),
        "__result__".to_owned(),
    ];
    let start = std::time::Instant::now();
    for expression in &hostile {
        let _ = world.with(|scope| evaluate(expression, Span::default(), scope));
    }
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config { failure_persistence: None, cases: 200, ..Default::default() })]

    #[test]
    fn no_expression_panics(text in "[a-z0-9.()\\[\\]{}'\"+*/&|!<>=?:, -]{0,40}") {
        let _ = World::new().with(|scope| evaluate(&text, Span::default(), scope));
    }

    #[test]
    fn no_template_panics(text in "[a-z$}{'\" \n]{0,60}") {
        let _ = parts(&text, Span::default());
        let _ = condition_text(&text, Span::default());
        let _ = super::script::lift(&text, None, Span::default());
    }
}
