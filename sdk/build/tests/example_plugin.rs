//! The example plugin of a user, built for real: the finished component explains itself.

use std::path::{Path, PathBuf};

use oxide_plugin_build::{
    BuildError, BuiltPlugin, PLUGIN_SECTION, WIT_SECTION, build_and_write, build_workspace, embed,
};
use wit_parser::{
    Resolve, TypeDefKind, WorldId, WorldItem, WorldKey,
    decoding::{DecodedWasm, decode},
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The target folder that `cargo xtask` and the registry use too, so that dependencies are built once.
fn guests() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("a folder of the target folder").join("guests")
}

fn build_greet() -> BuiltPlugin {
    let built = build_workspace(&root().join("examples/tour/plugins/greet"), &root().join("wit"), &guests());
    let mut built = built.unwrap_or_else(|error| panic!("{error}: {:?}", std::error::Error::source(&error)));
    assert_eq!(built.len(), 1);
    built.remove(0)
}

fn documented(component: &[u8]) -> (Resolve, WorldId) {
    let section = embed::section(component, WIT_SECTION).expect("a component").expect("the section");
    let DecodedWasm::WitPackage(resolve, package) = decode(section).expect("binary WIT") else {
        panic!("not a WIT package")
    };
    let world = resolve.packages[package].worlds["greet"];
    (resolve, world)
}

#[test]
fn a_built_plugin_is_a_component_that_tells_its_inputs_with_their_docs() {
    let greet = build_greet();
    assert!(matches!(decode(&greet.component).unwrap(), DecodedWasm::Component(..)));
    assert_eq!((greet.metadata.name.as_str(), greet.metadata.contract.as_deref()), ("acme:greet", Some("0.1.0")));
    assert!(embed::section(&greet.component, PLUGIN_SECTION).unwrap().is_some());

    let (resolve, world) = documented(&greet.component);
    let WorldItem::Type { id, .. } = &resolve.worlds[world].imports[&WorldKey::Name("inputs".to_owned())] else {
        panic!("no inputs")
    };
    let TypeDefKind::Record(inputs) = &resolve.types[*id].kind else { panic!("no record") };
    let told: Vec<(&str, &str)> =
        inputs.fields.iter().map(|field| (field.name.as_str(), field.docs.contents.as_deref().unwrap_or(""))).collect();
    assert_eq!(told[0], ("name", "The name to greet."));
    assert!(told.iter().all(|(_, docs)| !docs.is_empty()), "{told:?}");
}

#[test]
fn building_twice_gives_the_same_bytes_and_names_no_home_folder() {
    let first = build_greet();
    assert!(first.component == build_greet().component);
    if let Some(home) = std::env::var_os("HOME").filter(|home| home.len() > 1) {
        let home = format!("{}/.cargo", home.to_string_lossy());
        let found = first.component.windows(home.len()).any(|bytes| bytes == home.as_bytes());
        assert!(!found, "the component names {home}");
    }
}

#[test]
fn a_folder_without_a_plugin_says_what_to_write() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = "[workspace]\n[package]\nname = \"plain\"\nedition = \"2024\"\n";
    std::fs::write(folder.path().join("Cargo.toml"), manifest).unwrap();
    std::fs::create_dir(folder.path().join("src")).unwrap();
    std::fs::write(folder.path().join("src/lib.rs"), "").unwrap();
    let error = build_and_write(folder.path(), &root().join("wit"), &folder.path().join("target")).unwrap_err();
    let BuildError::Compile { cause, .. } = error else { panic!("{error}") };
    assert!(cause.to_string().contains("crate-type = [\"cdylib\"]"), "{cause}");
}
