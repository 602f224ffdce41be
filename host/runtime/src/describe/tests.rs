//! Tables of components that are and are not plugins.

use super::*;
use crate::testing::{component, component_text};

/// A component with this `run`, whose code nobody calls.
fn with_run(types: &str, signature: &str) -> Vec<u8> {
    component(&format!(
        r#"(component
            (type $failure' (variant (case "exit-code" s32) (case "invalid-input" string) (case "other" string)))
            (import "failure" (type $failure (eq $failure')))
            {types}
            (import "run-impl" (func $f {signature}))
            (export "run" (func $f)))"#
    ))
}

/// The same without the import that stands for the code.
fn describe_run(types: &str, signature: &str) -> Result<(bool, Vec<Field>, Vec<Field>), DescribeError> {
    let bytes = with_run(types, signature);
    let DecodedWasm::Component(resolve, world) = wit_component::decode(&bytes).unwrap() else { panic!() };
    let run = run_function(&resolve, world)?;
    let none = HashMap::new();
    let (takes, inputs) = inputs(&resolve, run, &none)?;
    Ok((takes, inputs, outputs(&resolve, run, &none)?))
}

#[test]
fn what_is_no_component_gets_its_own_words() {
    let module = wat::parse_str("(module)").unwrap();
    let whole = component("run");
    let cases: [(&[u8], &str); 6] = [
        (b"", "the file is empty"),
        (b"#!/bin/sh\n", "this is not WebAssembly: it does not begin with `\\0asm`"),
        (b"\0as", "this is not WebAssembly: it does not begin with `\\0asm`"),
        (&module, "this is a WebAssembly core module, not a component"),
        (b"\0asm\x99\0\0\0", "the component cannot be read: its version is not known"),
        (&whole[..whole.len() - 3], "the component cannot be read: "),
    ];
    for (bytes, message) in cases {
        let error = describe(bytes).unwrap_err();
        assert!(error.to_string().starts_with(message), "{error}");
        assert!(error.hint().is_some(), "{error}");
    }
}

#[test]
fn damage_anywhere_is_no_panic() {
    let whole = component("greet");
    for length in 0..whole.len() {
        // At the border of two sections it may even be whole.
        let _ = describe(&whole[..length]);
    }
    for at in 8..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 0xFF;
        let _ = describe(&damaged);
    }
}

#[test]
fn imports_and_types_are_read() {
    let bytes = component("greet");
    let greet = describe(&bytes).unwrap();
    assert!(greet.takes_inputs && greet.imports.is_empty());
    let fields = |fields: &[Field]| fields.iter().map(|f| format!("{}: {}", f.name, f.ty)).collect::<Vec<_>>();
    assert_eq!(fields(&greet.inputs), ["your-name: string", "times: option<u32>"]);
    assert_eq!(fields(&greet.outputs), ["the-greeting: string"]);
    assert_eq!((greet.size_bytes, greet.digest.len()), (bytes.len() as u64, 71));
    assert_eq!((greet.package, greet.docs, greet.contract), (None, None, None));

    let log = describe(&component("log")).unwrap();
    let import = Import { name: "oxide:ci/log@0.1.0".into(), capability: Some(Capability::Log) };
    assert_eq!((log.imports, log.contract.as_deref()), (vec![import], Some("0.1.0")));
}

#[test]
fn imports_that_nobody_offers_are_named() {
    let import = |name: &str| {
        let text =
            component_text("run").replacen("(component", &format!(r#"(component (import "{name}" (instance))"#), 1);
        describe(&component(&text)).map(|_| ())
    };
    assert_eq!(import("wasi:http/types@0.2.0"), Ok(()), "whether it is linked is not asked here");
    for name in ["oxide:ci/wishes@0.1.0", "acme:thing/api@1.0.0", "env"] {
        assert_eq!(import(name), Err(DescribeError::UnknownImports(vec![name.into()])));
    }
    assert_eq!(import("oxide:ci/log@0.2.0"), Err(DescribeError::OtherContract("0.2.0".into())));
    assert_eq!(import("oxide:ci/log@0.1.1"), Err(DescribeError::OtherContract("0.1.1".into())));
}

#[test]
fn without_run_the_hint_tells_the_world() {
    let error = describe(&component(r#"(component (import "wasi:cli/stdout@0.2.0" (instance)))"#)).unwrap_err();
    assert_eq!(error, DescribeError::NoRun);
    assert!(error.hint().unwrap().contains("include oxide:ci/plugin@0.1.0;"));
}

#[test]
fn signatures_that_are_no_step_are_refused() {
    let cases = [
        ("", "(param \"a\" string) (result (result (error $failure)))", "its parameter is not a record"),
        ("", "(param \"a\" u8) (param \"b\" u8) (result (result (error $failure)))", "it has 2 parameters"),
        ("", "", "it returns nothing"),
        ("", "(result string)", "it does not return `result<outputs, failure>`"),
        ("", "(result (result (error string)))", "its error is not the variant `failure`"),
        ("", "(result (result string (error $failure)))", "its result is not a record `outputs`"),
    ];
    for (types, signature, reason) in cases {
        match describe_run(types, signature).unwrap_err() {
            DescribeError::Signature(text) => assert!(text.starts_with(reason), "{text}"),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(describe_run("", "(result (result (error $failure)))").unwrap(), (false, vec![], vec![]));
}

#[test]
fn every_type_that_yaml_can_write_is_read() {
    let types = r#"
        (type $color' (enum "red" "light-blue")) (import "color" (type $color (eq $color')))
        (type $rights' (flags "read" "write-all")) (import "rights" (type $rights (eq $rights')))
        (type $shape' (variant (case "none") (case "circle" f32))) (import "shape" (type $shape (eq $shape')))
        (type $inner' (record (field "a" char))) (import "inner" (type $inner (eq $inner')))
        (type $inputs' (record
            (field "b" bool) (field "n" s64) (field "l" (list (tuple string u8))) (field "o" (option (option f64)))
            (field "r" (result string (error u8))) (field "e" $color) (field "f" $rights) (field "v" $shape)
            (field "i" $inner)))
        (import "inputs" (type $inputs (eq $inputs')))"#;
    let (_, inputs, _) = describe_run(types, "(param \"inputs\" $inputs) (result (result (error $failure)))").unwrap();
    let shown: Vec<String> = inputs.iter().map(|field| field.ty.to_string()).collect();
    assert_eq!(
        shown,
        [
            "bool",
            "s64",
            "list<tuple<string, u8>>",
            "option<option<f64>>",
            "result<string, u8>",
            "enum { red, light-blue }",
            "flags { read, write-all }",
            "variant { none, circle(f32) }",
            "record { a: char }",
        ]
    );
}

#[test]
fn types_that_yaml_cannot_write_name_the_field() {
    let types = r#"
        (import "thing" (type $thing (sub resource)))
        (type $inputs' (record (field "name" string) (field "things" (list (own $thing)))))
        (import "inputs" (type $inputs (eq $inputs')))"#;
    let error = describe_run(types, "(param \"inputs\" $inputs) (result (result (error $failure)))").unwrap_err();
    let DescribeError::Type { record, field, reason } = error else { panic!("{error:?}") };
    assert_eq!((&*record, field.as_str()), ("inputs", "things.item"));
    assert!(reason.starts_with("a resource"));
}

#[test]
fn types_that_grow_like_a_chessboard_are_refused_at_once() {
    // With some more the decoder refuses them: its bound is a million.
    let mut types = "(type $t0 (tuple u8 u8))".to_owned();
    for level in 1..15 {
        types.push_str(&format!("(type $t{level} (tuple $t{0} $t{0}))", level - 1));
    }
    types.push_str(r#"(type $inputs' (record (field "field" $t14))) (import "inputs" (type $inputs (eq $inputs')))"#);
    let started = std::time::Instant::now();
    let error = describe_run(&types, "(param \"inputs\" $inputs) (result (result (error $failure)))").unwrap_err();
    assert!(error.to_string().contains("10,000 types"), "{error}");
    assert!(started.elapsed() < std::time::Duration::from_secs(20), "{:?}", started.elapsed());
}

#[test]
fn embedded_wit_gives_help_texts() {
    let mut resolve = Resolve::default();
    let wit = r#"
        package acme:greet@1.2.3;
        interface types { variant failure { exit-code(s32), invalid-input(string), other(string) } }
        world another { }
        /// The world.
        world greet {
            use types.{failure};
            record inputs {
                /// Whom to greet.
                your-name: string,
                times: option<u32>,
            }
            record outputs {
                /// What to say.
                the-greeting: string,
            }
            /// Greets somebody.
            export run: func(inputs: inputs) -> result<outputs, failure>;
        }"#;
    let package = resolve.push_str("greet.wit", wit).unwrap();
    let mut bytes = component("greet");
    let sections = [
        ("oxide:wit", wit_component::encode(&resolve, package).unwrap()),
        ("oxide:plugin", br#"{"name":"acme:greet","license":"MIT","contract":"0.1.0","world":"greet"}"#.to_vec()),
    ];
    for (name, data) in sections {
        append_section(&mut bytes, name, &data);
    }
    let greet = describe(&bytes).unwrap();
    assert_eq!(greet.package.as_deref(), Some("acme:greet@1.2.3"));
    assert_eq!(greet.docs.as_deref(), Some("Greets somebody."));
    assert_eq!((greet.license.as_deref(), greet.contract.as_deref()), (Some("MIT"), Some("0.1.0")));
    assert_eq!(greet.inputs[0].docs.as_deref(), Some("Whom to greet."));
    assert_eq!(greet.inputs[1].docs, None);
    assert_eq!(greet.outputs[0].docs.as_deref(), Some("What to say."));
}

#[test]
fn damaged_help_texts_do_not_keep_a_plugin_from_running() {
    let mut bytes = component("greet");
    append_section(&mut bytes, "oxide:wit", b"rubbish");
    append_section(&mut bytes, "oxide:plugin", b"{");
    let greet = describe(&bytes).unwrap();
    assert_eq!((greet.package, greet.inputs.len()), (None, 2));
}

/// Appends a custom section. Its size must fit into 14 bits.
fn append_section(bytes: &mut Vec<u8>, name: &str, data: &[u8]) {
    let size = 1 + name.len() + data.len();
    assert!(name.len() < 128 && size < 1 << 14);
    bytes.extend([0, (size & 0x7F) as u8 | 0x80, (size >> 7) as u8, name.len() as u8]);
    bytes.extend(name.as_bytes());
    bytes.extend(data);
}
