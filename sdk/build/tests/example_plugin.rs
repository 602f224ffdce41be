//! The example plugin of a user, built for real: the finished component explains itself.

use std::path::{Path, PathBuf};

use oxide_plugin_build::{
    BuildError, BuiltProject, PLUGIN_SECTION, WIT_SECTION, build_and_write, build_project, embed,
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

fn build_greet() -> BuiltProject {
    let built = build_project(&root().join("examples/tour/plugins/greet"), Some(&guests()));
    built.unwrap_or_else(|error| panic!("{error}: {:?}", std::error::Error::source(&error)))
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

#[test]
fn a_manifest_with_another_version_than_the_wit_is_refused_before_anything_is_built() {
    let folder = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    let world = "world greet {\n  include oxide:ci/plugin@0.1.0;\n  use oxide:ci/types@0.1.0.{failure};\n  \
                 export run: func() -> result<_, failure>;\n}\n";
    write("wit/world.wit", &format!("package acme:greet@0.1.0;\n{world}"));
    write("package.json", r#"{ "version": "0.2.0" }"#);
    let error = build_project(folder.path(), None).unwrap_err().to_string();
    assert_eq!(
        error,
        "package.json says version 0.2.0, the WIT package acme:greet@0.1.0 says 0.1.0: make them the same"
    );

    write("wit/world.wit", &format!("package acme:greet;\n{world}"));
    let error = build_project(folder.path(), None).unwrap_err().to_string();
    assert!(error.contains("has no version: write `package acme:greet@0.1.0;`"), "{error}");
}

#[test]
fn the_contract_and_the_sdk_in_a_project_are_those_of_the_program() {
    let folder = tempfile::tempdir().unwrap();
    let at = |path: &str| folder.path().join(path);
    let write = |path: &str, text: &str| {
        std::fs::create_dir_all(at(path).parent().unwrap()).unwrap();
        std::fs::write(at(path), text).unwrap();
    };
    write("go.mod", "module greet\n");
    let world = "package acme:greet@0.1.0;\nworld greet {\n  include oxide:ci/plugin@0.1.0;\n  \
                 use oxide:ci/types@0.1.0.{failure};\n  export run: func() -> result<_, failure>;\n}\n";
    write("wit/world.wit", world);
    write("wit/deps/oxide-ci/log.wit", "an older text");
    write("wit/deps/oxide-ci/gone.wit", "no longer there");
    write("wit/deps/other/world.wit", "package other:thing;");
    write("oxide-sdk/gone/gone.go", "package gone");
    let project = oxide_plugin_build::Project::open(folder.path()).unwrap();
    oxide_plugin_build::sync(&project).unwrap();
    let same =
        |path: &str, original: &str| std::fs::read(at(path)).unwrap() == std::fs::read(root().join(original)).unwrap();
    assert!(same("wit/deps/oxide-ci/log.wit", "wit/log.wit"));
    assert!(same("oxide-sdk/oxide.go", "sdk/go/oxide.go"));
    assert!(at("oxide-sdk/plugin/plugin.go").is_file(), "the bindings are missing");
    assert!(at("wit/deps/other/world.wit").is_file(), "packages of others are not ours to remove");
    for gone in ["wit/deps/oxide-ci/gone.wit", "oxide-sdk/gone", "oxide-sdk/README.md", "oxide-sdk/template"] {
        assert!(!at(gone).exists(), "{gone}");
    }
    let before = at("oxide-sdk/plugin/plugin.go").metadata().unwrap().modified().unwrap();
    oxide_plugin_build::sync(&project).unwrap();
    assert_eq!(
        at("oxide-sdk/plugin/plugin.go").metadata().unwrap().modified().unwrap(),
        before,
        "it was written again"
    );
}
