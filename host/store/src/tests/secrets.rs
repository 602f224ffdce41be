//! Secrets: the nearest one counts, nobody reads them without the key, and keys are exchanged while others work.

use std::{
    fs,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use oxide_core::{
    api::secret::SecretScope,
    id::{PipelineId, ProjectId, SecretId},
    secret::SecretValue,
    time::Timestamp,
};
use tempfile::TempDir;
use uuid::Uuid;

use super::{databases::on_each_database, people::add_project, pipelines::add_pipeline};
use crate::{
    KeySource, NewSecret, PageRequest, SecretFilter, SecretOwner, Store, Vault, VaultError, row::get, sql::query,
};

const NOW: Timestamp = Timestamp(7);

/// A key file in a directory of its own.
struct Keys {
    _directory: TempDir,
    path: PathBuf,
}

impl Keys {
    fn new() -> Keys {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret.key");
        Keys { _directory: directory, path }
    }

    fn source(&self) -> KeySource {
        KeySource::File(self.path.clone())
    }

    async fn vault(&self, store: &Store) -> Vault {
        Vault::open(store, self.source(), NOW).await.unwrap()
    }

    /// How many keys the file holds.
    fn count(&self) -> usize {
        fs::read_to_string(&self.path).unwrap().lines().filter(|line| !line.starts_with('#')).count()
    }
}

async fn put(store: &Store, vault: &Vault, owner: SecretOwner, name: &str, value: &str) -> Result<bool, VaultError> {
    let value = SecretValue::new(value).unwrap();
    let id = SecretId(Uuid::now_v7());
    let mut transaction = store.begin().await?;
    let is_new = vault.put(&mut transaction, &NewSecret { id, owner, name, value: &value, by: None, at: NOW }).await?;
    transaction.commit().await?;
    Ok(is_new)
}

async fn read(vault: &Vault, name: &str) -> Option<String> {
    let resolved = vault.resolve(None, None, [name]).await.unwrap();
    resolved.values.get(name).map(|value| value.expose().to_owned())
}

async fn raw(store: &Store) -> Vec<Vec<u8>> {
    let rows = query("read", "SELECT value FROM secrets").fetch_all(&mut store.reader().await.unwrap()).await.unwrap();
    rows.iter().map(|row| get(row, "value").unwrap()).collect()
}

on_each_database! {
    async fn the_nearest_secret_counts(store: TestStore) {
        let (web, api) = (add_project(&store, 1, "web").await, add_project(&store, 2, "api").await);
        let build = add_pipeline(&store, 3, web, "build").await;
        let vault = Keys::new();
        let vault = vault.vault(&store).await;
        for (owner, name, value) in [
            (SecretOwner::Organization, "EVERYWHERE", "from the organization"),
            (SecretOwner::Organization, "NEARER", "from the organization"),
            (SecretOwner::Project(web), "NEARER", "from the project"),
            (SecretOwner::Organization, "NEAREST", "from the organization"),
            (SecretOwner::Project(web), "NEAREST", "from the project"),
            (SecretOwner::Pipeline(build), "NEAREST", "from the pipeline"),
            (SecretOwner::Project(api), "FOREIGN", "from another project"),
        ] {
            assert!(put(&store, &vault, owner, name, value).await.unwrap());
        }
        let names = ["NEAREST", "EVERYWHERE", "NEARER", "FOREIGN", "NEAREST"];
        let resolve = |project: Option<ProjectId>, pipeline: Option<PipelineId>| {
            let vault = vault.clone();
            async move {
                let resolved = vault.resolve(project, pipeline, names).await.unwrap();
                let values = resolved.values.iter().map(|(name, value)| format!("{name} {}", value.expose()));
                (values.collect::<Vec<_>>(), resolved.missing)
            }
        };
        let (values, missing) = resolve(Some(web), Some(build)).await;
        assert_eq!(values, ["EVERYWHERE from the organization", "NEARER from the project", "NEAREST from the pipeline"]);
        assert_eq!(missing, ["FOREIGN"]);
        let (values, missing) = resolve(Some(api), None).await;
        assert_eq!(values.join(", "), "EVERYWHERE from the organization, FOREIGN from another project, \
                                       NEARER from the organization, NEAREST from the organization");
        assert_eq!(missing, [] as [&str; 0]);
        assert_eq!(resolve(None, None).await.1, ["FOREIGN"]);
        assert_eq!(vault.resolve(None, None, []).await.unwrap(), crate::Resolved::default());

        assert!(!put(&store, &vault, SecretOwner::Pipeline(build), "NEAREST", "changed").await.unwrap());
        assert!(resolve(Some(web), Some(build)).await.0.contains(&"NEAREST changed".to_owned()));
        let mut transaction = store.begin().await.unwrap();
        assert!(transaction.remove_secret(SecretOwner::Pipeline(build), "NEAREST").await.unwrap());
        assert!(!transaction.remove_secret(SecretOwner::Pipeline(build), "NEAREST").await.unwrap());
        transaction.commit().await.unwrap();
        assert!(resolve(Some(web), Some(build)).await.0.contains(&"NEAREST from the project".to_owned()));
    }

    async fn lists_show_names_and_owners_only(store: TestStore) {
        let (web, api) = (add_project(&store, 1, "web").await, add_project(&store, 2, "api").await);
        let build = add_pipeline(&store, 3, web, "build").await;
        let keys = Keys::new();
        let vault = keys.vault(&store).await;
        vault.server_secret_or("session-key", NOW, || vec![1; 32]).await.unwrap();
        for (owner, name) in [
            (SecretOwner::Organization, "A"),
            (SecretOwner::Project(web), "B"),
            (SecretOwner::Project(api), "B"),
            (SecretOwner::Pipeline(build), "C"),
        ] {
            put(&store, &vault, owner, name, "hunter2").await.unwrap();
        }
        let list = |filter: SecretFilter| {
            let store = Store::clone(&store);
            async move {
                let mut request = Some(PageRequest::first(2));
                let mut all = Vec::new();
                while let Some(now) = request {
                    let page = store.secrets(&filter, &now).await.unwrap();
                    request = now.after(&page);
                    all.extend(page.items);
                }
                assert!(!format!("{all:?}").contains("hunter2"));
                all.into_iter().map(|row| (row.name, row.owner, row.project)).collect::<Vec<_>>()
            }
        };
        assert_eq!(list(SecretFilter::default()).await.len(), 4, "not what is the server's own");
        let of_web = SecretFilter { projects: Some(vec![web]), ..SecretFilter::default() };
        assert_eq!(list(of_web).await, [
            ("B".into(), SecretOwner::Project(web), Some(web)),
            ("C".into(), SecretOwner::Pipeline(build), Some(web)),
        ]);
        let organization = SecretFilter { kind: Some(SecretScope::Organization), ..SecretFilter::default() };
        assert_eq!(list(organization).await, [("A".into(), SecretOwner::Organization, None)]);
        let of_build = SecretFilter { pipeline: Some(build), ..SecretFilter::default() };
        assert_eq!(list(of_build).await.len(), 1);
        let mut transaction = store.begin().await.unwrap();
        transaction.remove_project(web).await.unwrap();
        transaction.commit().await.unwrap();
        assert_eq!(list(SecretFilter::default()).await.len(), 2, "with a project go its secrets and its pipelines'");
    }

    async fn without_the_key_there_is_nothing_to_read(store: TestStore) {
        let keys = Keys::new();
        let vault = keys.vault(&store).await;
        put(&store, &vault, SecretOwner::Organization, "ONE", "hunter2 hunter2").await.unwrap();
        put(&store, &vault, SecretOwner::Organization, "TWO", "hunter2 hunter2").await.unwrap();
        let stored = raw(&store).await;
        assert_ne!(stored[0], stored[1]);
        assert!(!stored.iter().any(|value| value.windows(7).any(|bytes| bytes == b"hunter2")));
        assert!(!format!("{vault:?}").contains(&fs::read_to_string(&keys.path).unwrap()[200..]));

        let lost = Vault::open(&store, KeySource::File(keys.path.with_file_name("elsewhere")), NOW).await.unwrap_err();
        assert!(matches!(lost, VaultError::MissingFile { .. }) && lost.hint().unwrap().contains("backup"), "{lost:?}");
        assert!(!keys.path.with_file_name("elsewhere").exists(), "a new key would hide that the old one is lost");
        fs::write(&keys.path, format!("1:{}\n", "ab".repeat(32))).unwrap();
        let wrong = Vault::open(&store, keys.source(), NOW).await.unwrap_err();
        assert!(matches!(wrong, VaultError::WrongKey { version: 1, .. }), "{wrong:?}");
        assert!(wrong.to_string().contains("secret.key") && wrong.hint().unwrap().contains("put the right key back"));
        fs::write(&keys.path, format!("2:{}\n", "ab".repeat(32))).unwrap();
        let missing = Vault::open(&store, keys.source(), NOW).await.unwrap_err();
        assert!(matches!(missing, VaultError::MissingKey { version: 1, .. }), "{missing:?}");
        fs::write(&keys.path, "hunter2").unwrap();
        let no_key = Vault::open(&store, keys.source(), NOW).await.unwrap_err();
        assert!(matches!(no_key, VaultError::Malformed { .. }) && !format!("{no_key:?}").contains("hunter2"));

        // Whoever can write to the database cannot give a value to somebody else.
        let mut transaction = store.begin().await.unwrap();
        query("swap", "UPDATE secrets SET name = 'THREE' WHERE name = 'ONE'")
            .execute(transaction.connection())
            .await
            .unwrap();
        transaction.commit().await.unwrap();
        let moved = vault.resolve(None, None, ["THREE"]).await.unwrap_err();
        assert!(matches!(&moved, VaultError::Unreadable { name, .. } if name == "THREE"), "{moved:?}");
        assert_eq!(read(&vault, "TWO").await.as_deref(), Some("hunter2 hunter2"));
    }

    async fn servers_that_begin_at_the_same_time_agree_on_keys(store: TestStore) {
        // Two on one machine share the file; which of them makes it does not matter.
        let keys = Keys::new();
        let opened = (0..6).map(|_| {
            let (store, source) = (Store::clone(&store), keys.source());
            tokio::spawn(async move { Vault::open(&store, source, NOW).await.unwrap() })
        });
        let mut vaults = Vec::new();
        for opened in opened.collect::<Vec<_>>() {
            vaults.push(opened.await.unwrap());
        }
        put(&store, &vaults[0], SecretOwner::Organization, "ONE", "hunter2").await.unwrap();
        assert_eq!(read(&vaults[5], "ONE").await.as_deref(), Some("hunter2"));
        let made = vaults.iter().cloned().enumerate().map(|(number, vault)| {
            tokio::spawn(async move { vault.server_secret_or("session-key", NOW, || vec![number as u8; 32]).await.unwrap() })
        });
        let mut values = Vec::new();
        for made in made.collect::<Vec<_>>() {
            values.push(made.await.unwrap());
        }
        values.dedup();
        assert_eq!(values.len(), 1, "all sign with the same key");
        let mut transaction = store.begin().await.unwrap();
        let replaced = vaults[0].put_server_secret(&mut transaction, "session-key", &[0xff, 0], NOW).await.unwrap();
        transaction.commit().await.unwrap();
        assert!(!replaced);
        assert_eq!(vaults[3].server_secret("session-key").await.unwrap(), Some(vec![0xff, 0]));
        assert_eq!(vaults[3].server_secret("other").await.unwrap(), None);
    }

    async fn keys_are_exchanged_while_others_read_and_write(store: TestStore) {
        let keys = Keys::new();
        let vault = keys.vault(&store).await;
        for number in 0..250 {
            let name = format!("SECRET_{number}");
            put(&store, &vault, SecretOwner::Organization, &name, &format!("value {number}")).await.unwrap();
        }
        let before = raw(&store).await;
        let old_text = fs::read_to_string(&keys.path).unwrap();
        // Another server with the same file, which is told nothing.
        let other = keys.vault(&store).await;
        let is_over = Arc::new(AtomicBool::new(false));
        let worker = {
            let (store, is_over) = (Store::clone(&store), is_over.clone());
            tokio::spawn(async move {
                let mut writes = 0u32;
                while !is_over.load(Ordering::Relaxed) || writes < 5 {
                    writes += 1;
                    let value = format!("written {writes}");
                    put(&store, &other, SecretOwner::Organization, "SECRET_7", &value).await.unwrap();
                    assert_eq!(read(&other, "SECRET_7").await, Some(value));
                    assert_eq!(read(&other, "SECRET_249").await.as_deref(), Some("value 249"));
                }
                other
            })
        };
        let done = vault.rotate(NOW).await.unwrap();
        is_over.store(true, Ordering::Relaxed);
        let other = worker.await.unwrap();
        assert_eq!((done.version, done.dropped.as_slice()), (2, [1].as_slice()));
        assert!(done.reencrypted >= 249, "{done:?}");
        assert_eq!(keys.count(), 1, "the old key is gone from the file");
        assert!(!raw(&store).await.iter().any(|value| before.contains(value)));
        for vault in [&vault, &other, &keys.vault(&store).await] {
            for number in [0, 123, 249] {
                let value = format!("value {number}");
                assert_eq!(read(vault, &format!("SECRET_{number}")).await, Some(value));
            }
        }
        assert!(Vault::is_key_in(&store, &keys.path, 2).await.unwrap());
        assert!(!Vault::is_key_in(&store, &keys.path, 1).await.unwrap());
        let other = keys.path.with_extension("other");
        fs::write(&other, format!("2:{}", "22".repeat(32))).unwrap();
        assert!(!Vault::is_key_in(&store, &other, 2).await.unwrap(), "it has the number, and is another key");
        fs::write(&keys.path, old_text).unwrap();
        let old = Vault::open(&store, keys.source(), NOW).await.unwrap_err();
        assert!(matches!(old, VaultError::MissingKey { version: 2, .. }), "{old:?}");
    }

    async fn keys_of_the_environment_are_exchanged_once_all_servers_have_the_new_one(store: TestStore) {
        let (one, two) = ("11".repeat(32), "22".repeat(32));
        let open = |text: String| {
            let store = Store::clone(&store);
            async move { Vault::open(&store, KeySource::Environment(text.into()), NOW).await }
        };
        let old = open(one.clone()).await.unwrap();
        put(&store, &old, SecretOwner::Organization, "ONE", "hunter2").await.unwrap();
        let alone = old.rotate(NOW).await.unwrap_err();
        assert!(matches!(alone, VaultError::KeysOfEnvironment) && alone.hint().unwrap().contains("2:NEW,1:OLD"));
        let wrong = open(two.clone()).await.unwrap_err();
        assert!(matches!(wrong, VaultError::WrongKey { version: 1, .. }) && !format!("{wrong:?}").contains("2222"));
        // One server after the other gets both, and all of them work meanwhile.
        let (first, second) = (open(format!("2:{two},1:{one}")).await.unwrap(), open(format!("2:{two},1:{one}")).await.unwrap());
        put(&store, &first, SecretOwner::Organization, "TWO", "from the first").await.unwrap();
        assert_eq!(read(&old, "TWO").await.as_deref(), Some("from the first"), "the new key is not used yet");
        let done = first.rotate(NOW).await.unwrap();
        assert_eq!((done.version, done.reencrypted, done.dropped), (2, 2, vec![1]));
        assert_eq!(read(&second, "ONE").await.as_deref(), Some("hunter2"));
        put(&store, &second, SecretOwner::Organization, "ONE", "changed").await.unwrap();
        assert_eq!(read(&open(format!("2:{two}")).await.unwrap(), "ONE").await.as_deref(), Some("changed"));
        let left_behind = old.resolve(None, None, ["ONE"]).await.unwrap_err();
        assert!(matches!(left_behind, VaultError::MissingKey { version: 2, .. }), "{left_behind:?}");
        assert!(matches!(second.rotate(NOW).await, Err(VaultError::KeysOfEnvironment)));
    }

    async fn a_key_that_all_files_were_given_is_the_next_one(store: TestStore) {
        let (here, there) = (Keys::new(), Keys::new());
        let vault = here.vault(&store).await;
        put(&store, &vault, SecretOwner::Organization, "ONE", "hunter2").await.unwrap();
        let text = format!("2:{}\n{}", "22".repeat(32), fs::read_to_string(&here.path).unwrap());
        fs::write(&here.path, &text).unwrap();
        fs::write(&there.path, &text).unwrap();
        let elsewhere = there.vault(&store).await;
        let done = vault.rotate(NOW).await.unwrap();
        assert_eq!((done.version, here.count(), there.count()), (2, 1, 2));
        assert_eq!(read(&elsewhere, "ONE").await.as_deref(), Some("hunter2"));
        let made = vault.rotate(NOW).await.unwrap();
        assert_eq!(made.version, 3);
        let missing = elsewhere.resolve(None, None, ["ONE"]).await.unwrap_err();
        assert!(missing.hint().unwrap().contains("add `3:` and the key"), "{missing:?}");
        fs::copy(&here.path, &there.path).unwrap();
        assert_eq!(read(&elsewhere, "ONE").await.as_deref(), Some("hunter2"), "without a restart");
    }

    async fn an_exchange_that_was_interrupted_is_ended_by_the_next(store: TestStore) {
        let keys = Keys::new();
        let vault = keys.vault(&store).await;
        put(&store, &vault, SecretOwner::Organization, "GOOD", "hunter2").await.unwrap();
        put(&store, &vault, SecretOwner::Organization, "HURT", "hunter2").await.unwrap();
        let mut transaction = store.begin().await.unwrap();
        let text = "UPDATE secrets SET nonce = $1 WHERE name = 'HURT'";
        query("hurt", text).bind([0u8; 12].as_slice()).execute(transaction.connection()).await.unwrap();
        transaction.commit().await.unwrap();
        let stopped = vault.rotate(NOW).await.unwrap_err();
        assert!(matches!(&stopped, VaultError::Unreadable { name, .. } if name == "HURT"), "{stopped:?}");
        assert_eq!(keys.count(), 2, "the old key is still needed");
        assert_eq!(read(&keys.vault(&store).await, "GOOD").await.as_deref(), Some("hunter2"));
        put(&store, &vault, SecretOwner::Organization, "HURT", "healed").await.unwrap();
        let done = vault.rotate(NOW).await.unwrap();
        assert_eq!((done.version, done.dropped.as_slice(), keys.count()), (3, [1, 2].as_slice(), 1));
        assert_eq!(read(&keys.vault(&store).await, "HURT").await.as_deref(), Some("healed"));
        let locked = fs::File::open(keys.path.with_file_name("secret.key.lock")).unwrap();
        locked.lock().unwrap();
        assert!(matches!(vault.rotate(NOW).await, Err(VaultError::Rotating)));
    }
}
