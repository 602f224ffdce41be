//! Folders as they are found.

use super::*;

/// A folder with these files.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

const WORLD: (&str, &str) = ("wit/world.wit", "package acme:greet@0.1.0;");

#[test]
fn a_file_tells_the_language() {
    for (file, text, expected) in [
        ("package.json", "{}", Language::JavaScript),
        ("pyproject.toml", "", Language::Python),
        ("go.mod", "module greet", Language::Go),
        ("src/main.c", "", Language::C),
    ] {
        let folder = folder(&[WORLD, (file, text)]);
        assert_eq!(Project::open(folder.path()).unwrap().language, expected, "{file}");
    }
    let folder = folder(&[
        WORLD,
        ("Cargo.toml", "[workspace]\n[package]\nname = \"greet\"\nversion = \"0.2.0\"\n"),
        ("src/lib.rs", ""),
    ]);
    let project = Project::open(folder.path()).unwrap();
    assert_eq!((project.language, project.manifest.version.as_deref()), (Language::Rust, Some("0.2.0")));
}

#[test]
fn the_settings_win_over_what_files_tell() {
    let settings = ("plugin.toml", "language = \"c\"\nlicense = \"MIT\"\nsource = \"https://example.org/greet\"\n");
    let folder = folder(&[WORLD, ("package.json", "{}"), ("src/main.c", ""), settings]);
    let project = Project::open(folder.path()).unwrap();
    assert_eq!(project.language, Language::C);
    assert_eq!(project.manifest.license.as_deref(), Some("MIT"));
    assert_eq!(project.manifest.source.as_deref(), Some("https://example.org/greet"));
}

#[test]
fn the_manifest_of_the_language_tells_licence_and_source() {
    let package = r#"{ "version": "1.2.3", "license": "MIT",
        "repository": { "type": "git", "url": "git+https://example.org/greet.git" } }"#;
    let folder_js = folder(&[WORLD, ("package.json", package), ("src/plugin.ts", "")]);
    let project = Project::open(folder_js.path()).unwrap();
    let expected = |file| Manifest {
        file: Some(file),
        version: Some("1.2.3".to_owned()),
        license: Some("MIT".to_owned()),
        source: Some("https://example.org/greet".to_owned()),
    };
    assert_eq!(project.manifest, expected("package.json"));
    assert!(project.is_typescript());

    let pyproject = "[project]\nname = \"greet\"\nversion = \"1.2.3\"\nlicense = \"MIT\"\n\
                     [project.urls]\nHome = \"https://example.org\"\nRepository = \"https://example.org/greet\"\n";
    let folder_py = folder(&[WORLD, ("pyproject.toml", pyproject)]);
    assert_eq!(Project::open(folder_py.path()).unwrap().manifest, expected("pyproject.toml"));
}

#[test]
fn what_is_no_plugin_is_told_with_what_makes_one() {
    let empty = folder(&[]);
    let error = Project::open(empty.path()).unwrap_err();
    assert!(matches!(error, ProjectError::NoLanguage(_)) && error.hint().unwrap().contains("oxide plugin new"));
    let error = Project::open(&empty.path().join("nowhere")).unwrap_err();
    assert!(matches!(error, ProjectError::NoDirectory(_)), "{error}");
    let no_world = folder(&[("go.mod", "")]);
    assert!(matches!(Project::open(no_world.path()).unwrap_err(), ProjectError::NoWorld(_)));
}

#[test]
fn settings_that_mean_nothing_are_refused() {
    for (text, part) in [
        ("langauge = \"c\"", "unknown field `langauge`"),
        ("language = \"cobol\"", "unknown variant `cobol`"),
        ("language = \"c\"\nengine = \"quickjs\"", "only JavaScript has `engine`"),
        ("language = \"javascript\"\nfetch = true", "needs `engine = \"starlingmonkey\"`"),
        ("language = ", "plugin.toml cannot be used"),
    ] {
        let folder = folder(&[WORLD, ("plugin.toml", text)]);
        let error = Project::open(folder.path()).unwrap_err();
        assert!(error.to_string().contains(part), "{text}: {error}");
        assert!(error.hint().is_some());
    }
}

#[test]
fn a_file_without_end_is_not_read() {
    let without_end = |folder: &Path, file: &str| {
        std::os::unix::fs::symlink("/dev/zero", folder.join(file)).unwrap();
        let error = Project::open(folder).unwrap_err();
        assert!(matches!(&error, ProjectError::Read { path, .. } if path.ends_with(file)), "{error}");
    };
    without_end(folder(&[WORLD]).path(), "plugin.toml");
    for (file, settings) in [
        ("package.json", "language = \"javascript\""),
        ("pyproject.toml", "language = \"python\""),
        ("Cargo.toml", "language = \"rust\""),
    ] {
        without_end(folder(&[WORLD, ("plugin.toml", settings)]).path(), file);
    }
}

#[test]
fn a_manifest_that_cannot_be_read_is_named() {
    for file in ["package.json", "pyproject.toml"] {
        let folder = folder(&[WORLD, (file, "{ \"version\": ")]);
        let error = Project::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains(file) && error.contains("cannot be used"), "{error}");
    }
}
