//! Old and new versions of one plugin.

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{
    plugin::Import,
    wit::{
        Case, NamedType, Value,
        tests::random::{any_type, any_value},
    },
};

fn field(name: &str, ty: Type) -> Field {
    Field { name: name.to_owned(), ty, docs: None }
}

fn plugin(inputs: Vec<Field>, outputs: Vec<Field>) -> PluginDescription {
    PluginDescription {
        package: Some("acme:greet@0.1.0".to_owned()),
        docs: None,
        license: None,
        source: None,
        contract: Some("0.1.0".to_owned()),
        imports: Vec::new(),
        takes_inputs: !inputs.is_empty(),
        inputs,
        outputs,
        digest: String::new(),
        size_bytes: 1,
    }
}

fn option(ty: Type) -> Type {
    Type::Option(Box::new(ty))
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// What a change of the type of one input means, and of one output.
fn effects(old: Type, new: Type) -> (Option<Effect>, Option<Effect>) {
    let of = |old: PluginDescription, new: PluginDescription| changes(&old, &new).first().map(Change::effect);
    let field = |ty: &Type| vec![field("it", ty.clone())];
    (
        of(plugin(field(&old), vec![]), plugin(field(&new), vec![])),
        of(plugin(vec![], field(&old)), plugin(vec![], field(&new))),
    )
}

#[test]
fn what_is_harmless_for_inputs_breaks_outputs_and_the_other_way_round() {
    const ADDITION: Option<Effect> = Some(Effect::Addition);
    const BREAKING: Option<Effect> = Some(Effect::Breaking);
    let record = |fields: &[(&str, Type)]| {
        Type::Record(fields.iter().map(|(name, ty)| NamedType { name: (*name).to_owned(), ty: ty.clone() }).collect())
    };
    let list = |ty: Type| Type::List(Box::new(ty));
    let few = Type::Enum(names(&["a", "b"]));
    let more = Type::Enum(names(&["a", "b", "c"]));
    let cases = [
        (few.clone(), more.clone()),
        (Type::Flags(names(&["a"])), Type::Flags(names(&["a", "b"]))),
        (Type::U8, Type::U32),
        (Type::U32, Type::F64),
        (Type::F32, Type::F64),
        (Type::String, option(Type::String)),
        (few.clone(), Type::String),
        (list(few.clone()), list(more.clone())),
        (Type::Tuple(vec![few.clone(), Type::U8]), Type::Tuple(vec![more.clone(), Type::S16])),
        (
            few.clone(),
            Type::Variant(vec![
                Case { name: "a".to_owned(), ty: None },
                Case { name: "b".to_owned(), ty: None },
                Case { name: "c".to_owned(), ty: Some(Type::String) },
            ]),
        ),
    ];
    for (narrow, wide) in cases {
        assert_eq!(effects(narrow.clone(), wide.clone()), (ADDITION, BREAKING), "{narrow} to {wide}");
        assert_eq!(effects(wide.clone(), narrow.clone()), (BREAKING, ADDITION), "{wide} to {narrow}");
    }
    // Fields that are new: the host fills in options, an expression looks at what it knows.
    let (small, large) = (record(&[("a", Type::U8)]), record(&[("a", Type::U8), ("b", option(Type::U8))]));
    assert_eq!(effects(small.clone(), large.clone()), (ADDITION, ADDITION));
    assert_eq!(effects(large, small.clone()), (BREAKING, BREAKING));
    assert_eq!(effects(small, record(&[("a", Type::U8), ("b", Type::U8)])), (BREAKING, ADDITION));
    for (old, new) in [
        (Type::String, Type::U8),
        (Type::U64, Type::F64),
        (Type::F64, Type::F32),
        (Type::S8, Type::U8),
        (Type::U8, Type::S8),
        (option(Type::U8), option(option(Type::U8))),
        (list(Type::Tuple(vec![few, Type::U8])), list(Type::Tuple(vec![Type::String, Type::U8]))),
    ] {
        assert_eq!(effects(old.clone(), new.clone()).0, BREAKING, "{old} to {new}");
    }
}

#[test]
fn each_change_is_told_in_words_of_the_pipeline() {
    let old = plugin(
        vec![field("who", Type::String), field("how-loud", Type::U8), field("mode", Type::Enum(names(&["a"])))],
        vec![field("greeting", Type::String), field("count", Type::U8)],
    );
    let mut new = plugin(
        vec![
            field("whom", Type::String),
            field("mode", Type::Enum(names(&["a", "b"]))),
            field("tone", option(Type::U8)),
        ],
        vec![field("greeting", Type::String), field("count", Type::U16), field("at", Type::U64)],
    );
    let import = |capability: Capability| Import { name: capability.import(), capability: Some(capability) };
    new.imports.push(import(Capability::Git));
    let told: Vec<String> = changes(&old, &new).iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "the input `who` is gone (is it `whom` now?)",
            "the input `how_loud` is gone",
            "the input `mode` takes more: it was enum { a }, it is enum { a, b }",
            "the input `whom` is new and must be written: make it an `option`",
            "the input `tone` is new and optional",
            "the output `count` may be what it never was: it was u8, it is u16",
            "the output `at` is new",
            "it asks for `git` (fetch commits from git remotes)",
        ]
    );
    assert_eq!(required_bump(&changes(&old, &new)), Bump::Major);
}

#[test]
fn more_rights_need_a_minor_version_and_fewer_a_major_one() {
    let old = plugin(vec![], vec![]);
    let mut new = old.clone();
    new.imports.push(Import { name: "oxide:ci/git@0.1.0".to_owned(), capability: Some(Capability::Git) });
    new.imports.push(Import { name: "oxide:ci/log@0.1.0".to_owned(), capability: Some(Capability::Log) });
    let added = changes(&old, &new);
    assert_eq!(added, [Change::CapabilityAdded { capability: Capability::Git }]);
    assert_eq!((added[0].effect(), required_bump(&added)), (Effect::MoreRights, Bump::Minor));
    let removed = changes(&new, &old);
    assert_eq!(removed, [Change::CapabilityRemoved { capability: Capability::Git }]);
    assert_eq!(required_bump(&removed), Bump::Major);
}

#[test]
fn versions_rise_by_the_rules_of_semantic_versioning() {
    use Bump::{Major, Minor, Patch};
    for (old, new, bump, expected) in [
        ("1.2.3", "1.2.4", Patch, true),
        ("1.2.3", "1.2.4", Minor, false),
        ("1.2.3", "1.3.0", Minor, true),
        ("1.2.3", "1.3.0", Major, false),
        ("1.2.3", "2.0.0", Major, true),
        ("1.2.3", "2.0.0-rc.1", Major, true),
        ("1.2.3", "1.2.3", Patch, false),
        ("1.2.3", "1.2.3-rc.1", Patch, false),
        ("1.2.3", "1.1.9", Patch, false),
        ("0.3.1", "0.3.2", Minor, true),
        ("0.3.1", "0.3.2", Major, false),
        ("0.3.1", "0.4.0", Major, true),
        ("0.3.1", "1.0.0", Major, true),
        ("0.0.1", "0.0.2", Major, true),
        ("0.0.1", "0.0.1", Patch, false),
        ("1.0.0-rc.1", "1.0.0", Patch, true),
        ("1.0.0-rc.1", "1.0.0-rc.2", Patch, true),
        ("1.0.0+5", "1.0.1+5", Patch, true),
    ] {
        assert_eq!(rises_enough(old, new, bump), Some(expected), "{old} to {new}, {bump:?}");
    }
    assert_eq!(rises_enough("1.2", "1.3.0", Patch), None);
    assert_eq!(least_version("1.2.3", Minor).as_deref(), Some("1.3.0"));
    assert_eq!(least_version("0.2.3", Major).as_deref(), Some("0.3.0"));
}

/// The type, and one that takes at least as much: each step is allowed by a bit.
fn widened(ty: &Type, bits: &mut impl Iterator<Item = bool>, in_option: bool) -> Type {
    let mut bit = || bits.next().unwrap_or(false);
    let wide = bit();
    let wider = match ty {
        Type::U8 if wide => Type::U16,
        Type::U16 if wide => Type::S32,
        Type::U32 | Type::S32 | Type::S16 if wide => Type::F64,
        Type::S8 if wide => Type::S64,
        Type::F32 if wide => Type::F64,
        Type::Char | Type::Enum(_) if wide && bit() => Type::String,
        Type::Enum(cases) if wide => Type::Enum([cases.clone(), names(&["added-case"])].concat()),
        Type::Flags(flags) if wide => Type::Flags([names(&["added-flag"]), flags.clone()].concat()),
        Type::List(item) => Type::List(Box::new(widened(item, bits, false))),
        Type::Option(inner) => Type::Option(Box::new(widened(inner, bits, true))),
        Type::Tuple(items) => Type::Tuple(items.iter().map(|item| widened(item, bits, false)).collect()),
        Type::Record(fields) => {
            let mut fields: Vec<NamedType> = fields
                .iter()
                .map(|field| NamedType { name: field.name.clone(), ty: widened(&field.ty, bits, false) })
                .collect();
            if wide {
                fields.push(NamedType { name: "added-field".to_owned(), ty: option(Type::U8) });
            }
            Type::Record(fields)
        }
        Type::Variant(cases) => {
            let case = |case: &Case| Case {
                name: case.name.clone(),
                ty: case.ty.as_ref().map(|ty| widened(ty, &mut *bits, false)),
            };
            let mut cases: Vec<Case> = cases.iter().map(case).collect();
            if wide {
                cases.insert(0, Case { name: "added-case".to_owned(), ty: Some(Type::U8) });
            }
            Type::Variant(cases)
        }
        other => other.clone(),
    };
    let optional = !in_option && !is_option(&wider) && bits.next().unwrap_or(false);
    if optional { option(wider) } else { wider }
}

fn fields() -> impl Strategy<Value = Vec<Field>> {
    proptest::collection::btree_map("[a-z]{1,4}", any_type(), 0..4)
        .prop_map(|fields| fields.into_iter().map(|(name, ty)| field(&name, ty)).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn nothing_has_changed_from_itself(inputs in fields(), outputs in fields()) {
        let plugin = plugin(inputs, outputs);
        prop_assert_eq!(changes(&plugin, &plugin), vec![]);
    }

    #[test]
    fn optional_inputs_and_outputs_that_are_new_never_break(
        inputs in fields(), outputs in fields(), added in fields(), returned in fields(),
    ) {
        let old = plugin(inputs.clone(), outputs.clone());
        let new_fields = added.into_iter().map(|add| field(&format!("new-{}", add.name), option(add.ty)));
        let new_outputs = returned.into_iter().map(|add| field(&format!("new-{}", add.name), add.ty));
        let new = plugin(new_fields.chain(inputs).collect(), outputs.into_iter().chain(new_outputs).collect());
        let changes = changes(&old, &new);
        prop_assert!(changes.iter().all(|change| change.effect() == Effect::Addition), "{changes:?}");
    }

    /// The claim behind "widened": whatever a pipeline wrote for the old type is read as one of the new type.
    #[test]
    fn what_was_written_for_a_narrower_type_is_read_as_the_wider_one(
        (ty, value) in any_type().prop_flat_map(|ty| { let value = any_value(&ty); (Just(ty), value) }),
        bits in vec(any::<bool>(), 24),
        other in any_type(),
    ) {
        let wider = widened(&ty, &mut bits.into_iter(), false);
        for wider in [wider, other] {
            if reads_as(&ty, &wider, Reader::Host) {
                let written = value.to_json(&ty);
                let read = Value::from_json(&written, &wider);
                prop_assert!(read.is_ok(), "{ty} to {wider}: {written} {:?}", read.err().map(|error| error.to_string()));
            }
        }
    }

    /// The other way round: what was widened by rule is known as such, so that harmless changes are not refused.
    #[test]
    fn what_was_widened_is_found_to_be(ty in any_type(), bits in vec(any::<bool>(), 24)) {
        let wider = widened(&ty, &mut bits.into_iter(), false);
        prop_assume!(!has_map(&ty));
        prop_assert!(reads_as(&ty, &wider, Reader::Host), "{ty} to {wider}");
    }
}

/// Pairs with a text in a list are written as a map, which a widened text would change.
fn has_map(ty: &Type) -> bool {
    match ty {
        Type::List(item) => matches!(&**item, Type::Tuple(pair) if pair.len() == 2) || has_map(item),
        Type::Option(inner) => has_map(inner),
        Type::Tuple(items) => items.iter().any(has_map),
        Type::Record(fields) => fields.iter().any(|field| has_map(&field.ty)),
        Type::Variant(cases) => cases.iter().filter_map(|case| case.ty.as_ref()).any(has_map),
        Type::Result { ok, err } => ok.iter().chain(err).any(|ty| has_map(ty)),
        _ => false,
    }
}
