//! Moves plugins: from a registry into the local store, and from this machine into a registry.

use std::path::PathBuf;

use bytes::Bytes;
use oxide_core::plugin::PluginDescription;

use super::{
    client::{Client, MANIFEST_BYTES_MAX, Manifest, media_type},
    digest::Digest,
    error::OciError,
    layout::{self, CONFIG_BYTES_MAX, Contents, LayoutError, Promise},
    reference::OciReference,
};
use crate::{
    catalog::PLUGIN_BYTES_MAX,
    store::{PluginStore, StoreError},
};

/// A plugin in a registry, as far as it is known without its code.
#[derive(Clone, Debug)]
pub struct Publication {
    /// Its manifest.
    pub manifest: Manifest,
    /// What the manifest holds.
    pub contents: Contents,
    /// What its config promises.
    pub promise: Promise,
    config: Option<Bytes>,
}

/// What a push has done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// The digest of the manifest.
    pub digest: Digest,
    /// The digest of the component.
    pub component: Digest,
    /// How many bytes went to the registry: none if it had everything.
    pub sent_bytes: u64,
    /// What the tag stood for before.
    pub before: Option<Digest>,
}

/// Why a plugin could not be moved.
#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    /// The registry.
    #[error(transparent)]
    Registry(#[from] OciError),
    /// What is there is no plugin.
    #[error("`{reference}` cannot be used as a plugin")]
    Layout {
        /// What was asked for.
        reference: OciReference,
        /// Why.
        #[source]
        cause: LayoutError,
    },
    /// The store on this machine.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl MoveError {
    /// What to type or change.
    pub fn hint(&self) -> Option<String> {
        match self {
            MoveError::Registry(error) => error.hint(),
            MoveError::Layout { .. } => {
                Some("a plugin is pushed with `oxide plugin push`, or as one layer with the component".to_owned())
            }
            MoveError::Store(error) => error.hint(),
        }
    }
}

/// Reads what is known of a plugin without its code.
///
/// # Errors
/// See [`MoveError`].
pub async fn find(client: &Client, reference: &OciReference) -> Result<Publication, MoveError> {
    let refused = |cause| MoveError::Layout { reference: reference.clone(), cause };
    let manifest = client.manifest(reference).await?;
    let contents = layout::contents(&manifest).map_err(refused)?;
    let (config, promise) = match &contents.config {
        None => (None, Promise::default()),
        Some(descriptor) => {
            let bytes = client.blob(&reference.repository, descriptor, CONFIG_BYTES_MAX).await?;
            let promise = layout::promise(&bytes, &contents.component).map_err(refused)?;
            (Some(bytes), promise)
        }
    };
    Ok(Publication { manifest, contents, promise, config })
}

/// The same for a manifest that an earlier [`fetch`] has put into the store: nobody is asked over the network. None if it is not
/// there, or not whole any more.
///
/// # Errors
/// If what is there is no plugin.
pub fn find_stored(store: &PluginStore, reference: &OciReference) -> Result<Option<Publication>, LayoutError> {
    let Some(digest) = reference.digest.clone() else { return Ok(None) };
    let Ok(bytes) = store.load(&digest, MANIFEST_BYTES_MAX) else { return Ok(None) };
    let kind = media_type::of(&bytes).map_err(LayoutError::Manifest)?;
    let media_type = kind.unwrap_or_else(|| media_type::MANIFEST.to_owned());
    let manifest = Manifest { media_type, bytes: bytes.into(), digest };
    let contents = layout::contents(&manifest)?;
    let (config, promise) = match &contents.config {
        None => (None, Promise::default()),
        Some(descriptor) => {
            let Ok(bytes) = store.load(&descriptor.digest, CONFIG_BYTES_MAX) else { return Ok(None) };
            let promise = layout::promise(&bytes, &contents.component)?;
            (Some(bytes.into()), promise)
        }
    };
    Ok(Some(Publication { manifest, contents, promise, config }))
}

/// Brings a plugin into the store, unless it is there as it should be.
///
/// # Errors
/// See [`MoveError`].
pub async fn fetch(
    client: &Client,
    reference: &OciReference,
    publication: &Publication,
    store: &PluginStore,
) -> Result<PathBuf, MoveError> {
    let component = &publication.contents.component;
    if store.load(&component.digest, PLUGIN_BYTES_MAX).is_err() {
        let mut reader = client.read_blob(&reference.repository, component, PLUGIN_BYTES_MAX)?;
        let mut writer = store.writer()?;
        while let Some(bytes) = reader.next().await? {
            writer.write(&bytes)?;
        }
        writer.finish(&component.digest)?;
    }
    for bytes in [Some(&publication.manifest.bytes), publication.config.as_ref()].into_iter().flatten() {
        store.put(bytes)?;
    }
    Ok(store.path(&component.digest))
}

/// Writes a plugin into a registry under the tag of the reference.
///
/// # Errors
/// See [`MoveError`].
pub async fn push(
    client: &Client,
    reference: &OciReference,
    component: Bytes,
    description: &PluginDescription,
    created: &str,
) -> Result<Pushed, MoveError> {
    let packed = layout::pack(&component, description, created);
    let (digest, component_digest) = (packed.digest(), Digest::of(&component));
    let mut sent_bytes = 0;
    for bytes in [component, packed.config.into()] {
        let size = bytes.len() as u64;
        if client.put_blob(&reference.repository, bytes).await? {
            sent_bytes += size;
        }
    }
    let before = match client.resolve(reference).await {
        Ok(found) => Some(found),
        Err(error) if error.is_not_found() => None,
        Err(error) => return Err(error.into()),
    };
    if before.as_ref() != Some(&digest) {
        client.put_manifest(reference, media_type::MANIFEST, packed.manifest).await?;
    }
    Ok(Pushed { digest, component: component_digest, sent_bytes, before })
}
