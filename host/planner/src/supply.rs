//! Brings plugins of registries to this machine: by the digest that the lock names, and only if the trust policy accepts them.

use std::{path::Path, sync::Arc};

use oxide_core::{cause::in_one_line, plugin::PluginDescription};
use oxide_registry::{
    LockedPlugin, PLUGIN_BYTES_MAX, PluginStore,
    oci::{
        Client, ClientSettings, MoveError, OciError, OciReference, OwnAccount, Publication, Reach, ServerLogin,
        layout::Promise, publication,
    },
    policy::{Policy, Signer, VerifyError, verify_by_policy},
    signature::KeptSignatures,
    store::StoreError,
};
use oxide_runtime::DescribeError;
use tokio::task::JoinSet;

/// How registries are reached.
#[derive(Clone, Debug, Default)]
pub struct Registries {
    /// Those that are reached over http without encryption, as HOST or HOST:PORT.
    pub insecure_hosts: Vec<String>,
    /// Which hosts may be asked.
    pub reach: Reach,
    /// Accounts that go before those of the user that this program runs as.
    pub own_accounts: Vec<OwnAccount>,
    /// Where that user has signed in with `oxide login`.
    pub logins: Vec<ServerLogin>,
}

impl Registries {
    /// A client with the accounts of the user that this program runs as.
    ///
    /// # Errors
    /// The accounts or the settings cannot be read.
    pub fn client(&self) -> Result<Client, OciError> {
        let mut settings = ClientSettings::default();
        settings.insecure_hosts.extend(self.insecure_hosts.iter().cloned());
        settings.reach = self.reach.clone();
        settings.own_accounts.clone_from(&self.own_accounts);
        settings.logins.clone_from(&self.logins);
        Client::new(settings)
    }
}

/// What fetching and verifying needs.
#[derive(Clone)]
pub struct Supply {
    /// Where plugins are kept on this machine.
    pub store: PluginStore,
    /// Where their signatures are kept.
    pub kept: KeptSignatures,
    /// Which plugins may be used.
    pub policy: Policy,
    /// How registries are reached.
    pub registries: Registries,
    /// Is told what is fetched.
    pub on_fetch: fn(&str),
}

/// Why a plugin could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// It could not be moved.
    #[error(transparent)]
    Move(#[from] MoveError),
    /// It could not be read from where it was put.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It is no plugin.
    #[error("`{reference}` is not a plugin")]
    NotAPlugin {
        /// What was fetched.
        reference: OciReference,
        /// Why it is none.
        #[source]
        cause: DescribeError,
    },
    /// Its manifest says something else than its code.
    #[error("`{reference}` is not what it promises: {}", differences.join("; "))]
    NotAsPromised {
        /// What was fetched.
        reference: OciReference,
        /// Where the two differ.
        differences: Vec<String>,
    },
}

impl FetchError {
    /// What to type or do.
    pub fn hint(&self) -> Option<String> {
        match self {
            FetchError::Move(error) => error.hint(),
            FetchError::Store(_) => None,
            FetchError::NotAPlugin { cause, .. } => cause.hint().map(str::to_owned),
            FetchError::NotAsPromised { .. } => Some("do not use it, and tell whoever published it".to_owned()),
        }
    }
}

impl Supply {
    /// The supply that keeps everything below a data directory.
    pub fn in_directory(data: &Path, policy: Policy, registries: Registries, on_fetch: fn(&str)) -> Supply {
        Supply { store: store(data), kept: kept_signatures(data), policy, registries, on_fetch }
    }

    /// Makes all of them ready, side by side; answers with what each promises, or why it cannot be used.
    pub async fn make_ready(
        self: Arc<Self>,
        plugins: Vec<(String, LockedPlugin)>,
    ) -> Vec<(String, Result<Promise, String>)> {
        let mut tasks = JoinSet::new();
        for (text, locked) in plugins {
            let supply = Arc::clone(&self);
            tasks.spawn(async move {
                let ready = supply.make_one_ready(&text, &locked).await;
                (text, ready)
            });
        }
        tasks.join_all().await
    }

    /// Makes one ready: the manifest that the lock names is accepted by the policy, holds the component that the lock names, and
    /// that is on this machine. Answers with what the manifest promises of it.
    async fn make_one_ready(&self, text: &str, locked: &LockedPlugin) -> Result<Promise, String> {
        let by_digest = locked.by_digest();
        let verified = verify(&self.policy, &by_digest, &self.kept, &self.registries).await;
        verified.map_err(|error| with_hint(in_one_line(&error), error.hint()))?;
        let told = |error: MoveError| with_hint(in_one_line(&error), error.hint());
        let stored = publication::find_stored(&self.store, &by_digest)
            .map_err(|cause| told(MoveError::Layout { reference: by_digest.clone(), cause }))?;
        let is_here = stored.is_some() && self.store.has(&locked.component);
        let (found, client) = match stored {
            Some(found) if is_here => (found, None),
            _ => {
                (self.on_fetch)(text);
                let client = self.registries.client().map_err(|error| with_hint(in_one_line(&error), error.hint()))?;
                (publication::find(&client, &by_digest).await.map_err(told)?, Some(client))
            }
        };
        let component = &found.contents.component.digest;
        if *component != locked.component {
            return Err(format!(
                "oxide.lock says that {} holds the component {}, and it holds {component}: `oxide plugin add {text}` \
                 writes the entry again",
                locked.manifest, locked.component
            ));
        }
        if let Some(client) = client {
            let fetched = fetch(&client, &by_digest, &found, &self.store).await;
            fetched.map_err(|error| with_hint(in_one_line(&error), error.hint()))?;
        }
        Ok(found.promise)
    }
}

/// Where plugins of registries are kept on this machine.
pub fn store(data: &Path) -> PluginStore {
    PluginStore::new(data.join("plugins"))
}

/// The signatures that are kept on this machine.
pub fn kept_signatures(data: &Path) -> KeptSignatures {
    KeptSignatures::new(data.join("plugins").join("signatures"))
}

/// Fetches a plugin into the store, unless it is there, and reads what it really is.
///
/// # Errors
/// See [`FetchError`].
pub async fn fetch(
    client: &Client,
    reference: &OciReference,
    publication: &Publication,
    store: &PluginStore,
) -> Result<PluginDescription, FetchError> {
    publication::fetch(client, reference, publication, store).await?;
    let bytes = store.load(&publication.contents.component.digest, PLUGIN_BYTES_MAX)?;
    let real = oxide_runtime::describe(&bytes)
        .map_err(|cause| FetchError::NotAPlugin { reference: reference.clone(), cause })?;
    let differences = publication.promise.differences(&real);
    match differences.is_empty() {
        true => Ok(real),
        false => Err(FetchError::NotAsPromised { reference: reference.clone(), differences }),
    }
}

/// May this manifest be used, and who has signed it? The registry is asked only if what is kept here does not do.
///
/// # Errors
/// See [`VerifyError`].
pub async fn verify(
    policy: &Policy,
    reference: &OciReference,
    kept: &KeptSignatures,
    registries: &Registries,
) -> Result<Vec<Signer>, VerifyError> {
    let digest = reference.digest.as_ref().expect("a reference by digest");
    let known = verify_by_policy(policy, &reference.repository, digest, kept, None).await;
    let Err(refusal) = known else { return known };
    match registries.client() {
        Ok(client) => verify_by_policy(policy, &reference.repository, digest, kept, Some(&client)).await,
        Err(_) => Err(refusal),
    }
}

/// A text and what to do about it, in one line.
pub(crate) fn with_hint(text: String, hint: Option<String>) -> String {
    match hint {
        Some(hint) => format!("{text}; {hint}"),
        None => text,
    }
}
