//! The stories of finding plugins, with the real built-in ones and real files.

use oxide_blobs::{Blobs, Limits, Location};

use super::*;
use crate::{
    oci::{ClientSettings, MoveError, OciError},
    server,
};

fn project() -> (tempfile::TempDir, Catalog) {
    let folder = tempfile::tempdir().unwrap();
    let catalog = Catalog::new(folder.path());
    (folder, catalog)
}

#[test]
fn every_built_in_decodes_documents_itself_and_has_the_digest_that_it_says() {
    let names: Vec<&str> = Catalog::built_in().iter().map(|plugin| plugin.name).collect();
    assert_eq!(names, ["cache", "checkout", "docker-build", "download-artifact", "junit", "run", "upload-artifact",]);
    for plugin in Catalog::built_in() {
        assert_eq!(digest_of(plugin.bytes), plugin.digest, "{}", plugin.name);
        let section = oxide_plugin_build::embed::section(plugin.bytes, oxide_plugin_build::PLUGIN_SECTION).unwrap();
        let metadata: oxide_plugin_build::Metadata = serde_json::from_slice(section.unwrap()).unwrap();
        assert_eq!(metadata.name, format!("oxide:{}", plugin.name));
        assert_eq!((metadata.version.as_str(), metadata.contract.as_deref()), (plugin.version, Some("0.1.0")));

        let decoded = wit_parser::decoding::decode(plugin.bytes).unwrap();
        let wit_parser::decoding::DecodedWasm::Component(resolve, world) = decoded else {
            panic!("{} is not a component", plugin.name);
        };
        let world = &resolve.worlds[world];
        assert!(
            world.exports.contains_key(&wit_parser::WorldKey::Name("run".to_owned())),
            "{} has no run",
            plugin.name
        );
    }
}

#[test]
fn a_built_in_is_found_by_name_and_major_version() {
    let (_folder, catalog) = project();
    let run = catalog.resolve("oxide/run@1").unwrap();
    assert!(run.built_in && run.digest.starts_with("sha256:") && run.digest.len() == 71);
    assert_eq!(catalog.fetch(&run.pin()).unwrap(), run.bytes);
}

#[test]
fn an_unknown_built_in_names_the_nearest_and_all() {
    let (_folder, catalog) = project();
    let told = |reference: &str| catalog.resolve(reference).err().unwrap().to_string();
    assert_eq!(
        told("oxide/chekout@1"),
        "there is no built-in plugin `oxide/chekout@1` (did you mean `oxide/checkout@1`?); built in are: \
         oxide/cache@1, oxide/checkout@1, oxide/docker-build@1, oxide/download-artifact@1, oxide/junit@1, oxide/run@1, \
         oxide/upload-artifact@1"
    );
    assert!(told("oxide/run@2").contains("did you mean `oxide/run@1`"));
    assert!(told("oxide/run").contains("did you mean `oxide/run@1`"));
    assert!(!told("oxide/send-rocket@1").contains("did you mean"));
}

/// A project with one plugin of a registry in its lock, and the store that has it.
fn with_locked(component: &[u8]) -> (tempfile::TempDir, Catalog, LockedPlugin, PluginStore) {
    let (folder, catalog) = project();
    let store = PluginStore::new(folder.path().join("store"));
    let locked = LockedPlugin {
        reference: "ghcr.io/acme/lint:1.4".parse().unwrap(),
        manifest: OciDigest::of(b"manifest"),
        component: store.put(component).unwrap(),
        package: None,
        contract: None,
        grants: Default::default(),
        signers: Default::default(),
    };
    let mut lock = Lock::default();
    lock.insert(locked.clone());
    lock::file::write(folder.path(), &lock).unwrap();
    (folder, catalog.with_store(store.clone()), locked, store)
}

#[test]
fn a_plugin_of_a_registry_is_the_one_that_the_lock_has() {
    let (_folder, catalog, locked, _store) = with_locked(b"component");
    let found = catalog.resolve("ghcr.io/acme/lint:1.4").unwrap();
    assert_eq!((found.bytes.as_ref(), found.locked.as_ref()), (&b"component"[..], Some(&locked)));
    assert_eq!(catalog.fetch(&found.pin()).unwrap(), found.bytes);
    let told = catalog.resolve("ghcr.io/acme/lint:1.5").err().unwrap().to_string();
    assert!(told.contains("oxide.lock does not have it: `oxide plugin add ghcr.io/acme/lint:1.5`"), "{told}");
    let by_digest = locked.by_digest().to_string();
    assert!(catalog.resolve(&by_digest).is_ok());
    let strict = catalog.strictly_locked(true);
    assert!(matches!(strict.resolve(&by_digest), Err(ResolveError::Lock(LockRefusal::Missing(_)))));
}

#[test]
fn a_stored_plugin_that_changed_or_is_gone_says_how_to_get_it_again() {
    let (_folder, catalog, locked, store) = with_locked(b"component");
    let pin = catalog.resolve("ghcr.io/acme/lint:1.4").unwrap().pin();
    std::fs::write(store.path(&locked.component), "componenT").unwrap();
    let hint = format!("`oxide plugin pull ghcr.io/acme/lint@{}` fetches it", locked.manifest);
    for told in [
        catalog.resolve("ghcr.io/acme/lint:1.4").err().unwrap().to_string(),
        catalog.fetch(&pin).unwrap_err().to_string(),
    ] {
        assert!(told.contains("has changed on the disk (expected sha256:"), "{told}");
        assert!(told.contains(&format!("{hint} again")), "{told}");
    }
    std::fs::remove_file(store.path(&locked.component)).unwrap();
    let told = catalog.fetch(&pin).unwrap_err().to_string();
    assert!(told.contains("is not on this machine") && told.ends_with(&hint), "{told}");
}

#[test]
fn a_run_that_was_planned_goes_on_when_the_lock_has_changed() {
    let (folder, catalog, _locked, _store) = with_locked(b"component");
    let pin = catalog.resolve("ghcr.io/acme/lint:1.4").unwrap().pin();
    lock::file::write(folder.path(), &Lock::default()).unwrap();
    assert_eq!(catalog.fetch(&pin).unwrap().as_ref(), b"component");
}

#[test]
fn without_a_store_a_plugin_of_a_registry_says_how_to_get_it_as_a_file() {
    let (folder, _catalog, ..) = with_locked(b"component");
    let told = Catalog::new(folder.path()).resolve("ghcr.io/acme/lint:1.4").err().unwrap().to_string();
    assert!(told.contains("`oxide plugin pull ghcr.io/acme/lint:1.4 -o plugin.wasm`"), "{told}");
}

#[test]
fn a_plugin_with_the_name_that_another_system_gives_it_is_told_ours() {
    let (_folder, catalog) = project();
    let told = |reference: &str| catalog.resolve(reference).err().unwrap().to_string();
    assert!(told("acme/checkout@v4").contains("did you mean `oxide/checkout@1`?"), "{}", told("acme/checkout@v4"));
    assert!(told("checkout").contains("did you mean `oxide/checkout@1`?"));
    assert!(told("acme/other@v4").contains("write `oxide/NAME@MAJOR`"));
}

#[test]
fn a_folder_uses_its_plugin_wasm_and_a_file_itself() {
    let (folder, catalog) = project();
    std::fs::create_dir(folder.path().join("lint")).unwrap();
    let told = catalog.resolve("./lint").err().unwrap().to_string();
    assert!(told.contains("oxide plugin build") && told.contains("lint"), "{told}");

    std::fs::write(folder.path().join("lint/plugin.wasm"), "\0asm").unwrap();
    let found = catalog.resolve("./lint").unwrap();
    assert_eq!((found.bytes.as_ref(), found.built_in), (&b"\0asm"[..], false));
    assert_eq!(found.digest, catalog.resolve("./lint/plugin.wasm").unwrap().digest);
    assert_eq!(catalog.fetch(&found.pin()).unwrap(), found.bytes);
}

#[test]
fn a_file_that_changed_after_planning_is_not_run() {
    let (folder, catalog) = project();
    let file = folder.path().join("lint.wasm");
    std::fs::write(&file, "one").unwrap();
    let pin = catalog.resolve("./lint.wasm").unwrap().pin();
    std::fs::write(&file, "two").unwrap();
    let error = catalog.fetch(&pin).unwrap_err();
    assert!(matches!(error, FetchError::Changed { .. }), "{error}");
    std::fs::remove_file(&file).unwrap();
    let error = catalog.fetch(&pin).unwrap_err();
    assert!(matches!(error, FetchError::Resolve(ResolveError::Missing { .. })), "{error}");
}

#[test]
fn files_that_cannot_be_plugins_are_refused() {
    let (folder, catalog) = project();
    let path = folder.path().join("x.wasm");
    std::fs::write(&path, "").unwrap();
    assert!(matches!(catalog.resolve("./x.wasm"), Err(ResolveError::Empty { .. })));
    // A file with a hole: as long as it says, and yet nothing on the disk.
    std::fs::File::create(&path).unwrap().set_len(PLUGIN_BYTES_MAX + 1).unwrap();
    assert!(matches!(catalog.resolve("./x.wasm"), Err(ResolveError::TooLarge { .. })));
    std::os::unix::fs::symlink("/dev/zero", folder.path().join("zero.wasm")).unwrap();
    assert!(matches!(catalog.resolve("./zero.wasm"), Err(ResolveError::Read { .. })));
}

#[test]
fn a_stored_pipeline_has_built_in_plugins_and_those_of_its_lock_and_no_files() {
    let (_folder, of_folder, locked, store) = with_locked(b"component");
    let catalog = Catalog::of_lock(of_folder.lock().unwrap()).with_store(store);
    assert!(catalog.resolve("oxide/run@1").unwrap().built_in);
    assert_eq!(catalog.resolve(&locked.reference.to_string()).unwrap().bytes.as_ref(), b"component");
    let told = catalog.resolve("./plugins/lint").err().unwrap().to_string();
    assert!(told.starts_with("`./plugins/lint` is a path") && told.contains("`oxide plugin push`"), "{told}");
}

/// An agent on another machine has neither the lock nor the plugin: it has the pin.
#[tokio::test]
async fn a_pinned_plugin_is_fetched_from_its_registry_and_from_nowhere_else() {
    let folder = tempfile::tempdir().unwrap();
    let blobs = Blobs::open(&Location::Directory(folder.path().join("blobs")), Limits::default()).unwrap();
    let settings = server::Settings {
        staging: folder.path().join("staging"),
        blob_bytes_max: 1 << 20,
        read_only: false,
        immutable_tags: false,
        users: None,
        everybody: Some(server::Right::Write),
        report: |_| {},
    };
    let router = server::Registry::open(&blobs, settings).unwrap().router();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    let client = Client::new(ClientSettings::default()).unwrap();
    let reference: OciReference = format!("{address}/acme/lint:1.4").parse().unwrap();
    client.put_blob(&reference.repository, &b"component"[..]).await.unwrap();

    let store = PluginStore::new(folder.path().join("store"));
    let catalog = Catalog::of_lock(Lock::default()).with_store(store.clone());
    let pin = |bytes: &[u8]| PluginPin { reference: reference.to_string(), digest: digest_of(bytes) };
    assert!(matches!(catalog.supply(&pin(b"component")).await, Ok(())), "nobody said where registries are");
    assert!(catalog.fetch(&pin(b"component")).is_err());
    let catalog = catalog.with_registries(client);
    catalog.supply(&pin(b"component")).await.unwrap();
    assert_eq!(catalog.fetch(&pin(b"component")).unwrap().as_ref(), b"component");
    let missing = catalog.supply(&pin(b"other")).await.unwrap_err();
    assert!(matches!(missing, MoveError::Registry(OciError::NotFound { .. })), "{missing:?}");
    let path = PluginPin { reference: "./lint".to_owned(), digest: digest_of(b"x") };
    catalog.supply(&path).await.unwrap();
    assert!(catalog.fetch(&path).unwrap_err().to_string().contains("`oxide plugin push`"));
}
