//! The mapping on examples. Random types and values are in `random`.

pub(crate) mod random;

use serde_json::{Value as Json, json};

use super::{Case, NamedType, Type, Value, check_inputs};
use crate::{
    plugin::Field,
    yaml::{self, Content, Node, Span},
};

fn named(fields: &[(&str, Type)]) -> Type {
    Type::Record(fields.iter().map(|(name, ty)| NamedType { name: (*name).to_owned(), ty: ty.clone() }).collect())
}

fn option(ty: Type) -> Type {
    Type::Option(Box::new(ty))
}

fn list(ty: Type) -> Type {
    Type::List(Box::new(ty))
}

fn read(text: &str, ty: &Type) -> Result<Json, String> {
    let node = yaml::parse(text).expect(text);
    Value::from_node(&node, ty).map(|value| value.to_json(ty)).map_err(|errors| errors.to_string())
}

#[test]
fn plain_scalars_are_what_the_type_wants() {
    assert_eq!(read("3.10", &Type::String), Ok(json!("3.10")));
    assert_eq!(read("true", &Type::String), Ok(json!("true")));
    assert_eq!(read("3.10", &Type::F64), Ok(json!(3.1)));
    assert_eq!(read("0.1", &Type::F32), Ok(json!(0.1)));
    assert_eq!(read("0x1f", &Type::U8), Ok(json!(31)));
    assert_eq!(read(".nan", &Type::F64), Ok(json!("NaN")));
    assert_eq!(read("-.inf", &Type::F32), Ok(json!("-Infinity")));
    assert_eq!(read("18446744073709551615", &Type::U64), Ok(json!(u64::MAX)));
    assert_eq!(read("-9223372036854775808", &Type::S64), Ok(json!(i64::MIN)));
    assert_eq!(read("5", &Type::Char), Ok(json!("5")));
    assert_eq!(read("'ß'", &Type::Char), Ok(json!("ß")));
    assert_eq!(read("~", &option(Type::String)), Ok(Json::Null));
    assert_eq!(read("'~'", &option(Type::String)), Ok(json!("~")));
}

#[test]
fn wrong_scalars_say_what_is_expected_and_what_was_found() {
    let error = |text: &str, ty: Type| read(text, &ty).expect_err(text);
    assert_eq!(error("300", Type::U8), "300 does not fit in u8, which holds 0 to 255");
    assert_eq!(error("-1", Type::U64), "-1 does not fit in u64, which holds 0 to 18446744073709551615");
    assert_eq!(error("abc", Type::U32), "expected a whole number (u32), found `abc`");
    assert_eq!(error("'3'", Type::U32), "expected a whole number (u32), found the text \"3\"");
    assert_eq!(error("1.5", Type::S16), "expected a whole number (s16), found `1.5`");
    assert_eq!(error("yes", Type::Bool), "expected `true` or `false`, found `yes`");
    assert_eq!(error("[a]", Type::String), "expected a text (string), found a list");
    assert_eq!(error("ab", Type::Char), "expected one character (char), found `ab`");
    assert_eq!(error("1e300", Type::F32), "1e300 does not fit in f32");
}

#[test]
fn shapes_are_written_as_documented() {
    let variant = Type::Variant(vec![
        Case { name: "all-of-it".into(), ty: None },
        Case { name: "first-n".into(), ty: Some(Type::U32) },
        Case { name: "maybe".into(), ty: Some(option(Type::Bool)) },
    ]);
    assert_eq!(read("all_of_it", &variant), Ok(json!("all_of_it")));
    assert_eq!(read("all-of-it", &variant), Ok(json!("all_of_it")));
    assert_eq!(read("{ all_of_it: null }", &variant), Ok(json!("all_of_it")));
    assert_eq!(read("first_n: 3", &variant), Ok(json!({ "first_n": 3 })));
    assert_eq!(read("maybe: null", &variant), Ok(json!({ "maybe": null })));
    let error = read("first_n", &variant).unwrap_err();
    assert_eq!(error, "`first_n` takes a value, a whole number (u32); write `{ first_n: … }`");
    assert!(read("{ all_of_it: 1 }", &variant).unwrap_err().contains("takes no value"));
    let result = Type::Result { ok: Some(Box::new(Type::U8)), err: None };
    assert_eq!(read("ok: 1", &result), Ok(json!({ "ok": 1 })));
    assert_eq!(read("err", &result), Ok(json!("err")));
    assert_eq!(read("err: ~", &result), Ok(json!("err")));
    let nested = option(option(Type::U8));
    assert_eq!(read("some: 1", &nested), Ok(json!({ "some": 1 })));
    assert_eq!(read("some: null", &nested), Ok(json!({ "some": null })));
    assert_eq!(read("null", &nested), Ok(Json::Null));
    assert!(read("1", &nested).is_err());
    let flags = Type::Flags(vec!["read-only".into(), "sync".into()]);
    assert_eq!(read("[sync, read_only, sync]", &flags), Ok(json!(["read_only", "sync"])));
    let error = "`[0]`: expected one of `read_only`, `sync`; found `snyc`";
    assert_eq!(read("[snyc]", &flags), Err(error.to_owned()));
}

#[test]
fn lists_of_pairs_are_mappings() {
    let pairs = list(Type::Tuple(vec![Type::String, Type::U8]));
    assert_eq!(read("{ b-c: 1, a_d: 2 }", &pairs), Ok(json!({ "b-c": 1, "a_d": 2 })));
    assert_eq!(read("[[a, 1], [a, 2]]", &pairs), Ok(json!([["a", 1], ["a", 2]])));
    assert_eq!(read("{ a: x }", &pairs), Err("`a`: expected a whole number (u8), found `x`".to_owned()));
}

#[test]
fn every_mistake_in_a_record_is_found_with_its_path_and_place() {
    let tag = named(&[("tag-name", Type::String), ("weight", option(Type::U8))]);
    let fields = vec![
        Field { name: "tags".into(), ty: list(tag), docs: None },
        Field { name: "dry-run".into(), ty: Type::Bool, docs: None },
        Field { name: "note".into(), ty: option(Type::String), docs: None },
    ];
    let text = "tags:\n  - { tag_name: a }\n  - { tag-name: b, wieght: 2 }\n  - { weight: 900 }\nnoet: x\n";
    let errors = Value::inputs_from_node(&yaml::parse(text).unwrap(), &fields).unwrap_err();
    let shown: Vec<String> = errors.0.iter().map(|e| format!("{} {e} [{}]", e.span.line, e.expected)).collect();
    assert_eq!(
        shown,
        [
            "3 `inputs.tags[1]`: there is no field `wieght` []",
            "4 `inputs.tags[2].weight`: 900 does not fit in u8, which holds 0 to 255 [u8]",
            "4 `inputs.tags[2].tag_name`: the field `tag_name` is missing [string]",
            "5 `inputs`: there is no input `noet` []",
            "1 `inputs.dry_run`: the input `dry_run` is missing [bool]",
        ]
    );
    assert_eq!(errors.0[0].hint.as_deref(), Some("did you mean `weight`?"));
    assert_eq!(errors.0[3].hint.as_deref(), Some("did you mean `note`?"));
}

#[test]
fn expressions_count_as_right_at_planning_but_not_as_present_elsewhere() {
    let fields = vec![
        Field { name: "count".into(), ty: Type::U8, docs: None },
        Field { name: "names".into(), ty: list(Type::Char), docs: None },
    ];
    let check = |text: &str| check_inputs(&yaml::parse(text).unwrap(), &fields).map_err(|errors| errors.to_string());
    assert_eq!(check("count: ${{ matrix.n }}\nnames: [\"${{ x }}\", b]\n"), Ok(()));
    assert!(check("count: ${{ matrix.n }}\n").unwrap_err().contains("`names` is missing"));
    assert!(check("count: 1\nnames: [\"${{ x }}\", bb]\n").unwrap_err().contains("`inputs.names[1]`"));
}

#[test]
fn values_of_expressions_convert() {
    let given = |json: Json, ty: &Type| {
        let node = Node { span: Span::default(), content: Content::Evaluated(json) };
        Value::from_node(&node, ty).map(|value| value.to_json(ty)).map_err(|errors| errors.to_string())
    };
    assert_eq!(given(json!(5), &Type::String), Ok(json!("5")));
    assert_eq!(given(json!(3.0), &Type::U8), Ok(json!(3)));
    assert_eq!(given(json!("7"), &Type::U8), Ok(json!(7)));
    assert_eq!(given(json!("true"), &Type::Bool), Ok(json!(true)));
    assert_eq!(given(json!(u64::MAX), &Type::U64), Ok(json!(u64::MAX)));
    assert_eq!(given(Json::Null, &option(Type::String)), Ok(Json::Null));
    assert!(given(Json::Null, &Type::String).is_err());
    assert!(given(json!(3.5), &Type::U8).is_err());
}

#[test]
fn half_a_megabyte_of_bytes_is_read_quickly() {
    let bytes: Json = (0..500_000).map(|n| n % 256).collect();
    let start = std::time::Instant::now();
    let value = Value::from_json(&bytes, &list(Type::U8)).unwrap();
    assert!(start.elapsed().as_millis() < 400, "{:?}", start.elapsed());
    assert_eq!(value.to_json(&list(Type::U8)), bytes);
}
