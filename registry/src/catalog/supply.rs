//! Brings a pinned plugin to this machine: for who runs what another machine has planned.
//!
//! The pin names a repository and the digest of the component. That is asked for and nothing else, so neither a lock nor a
//! tag that has moved is in the way, and what comes is what was planned or an error.

use oxide_core::plan::PluginPin;

use super::{BUILT_IN, Catalog, PLUGIN_BYTES_MAX};
use crate::{
    oci::{Client, Digest, MoveError},
    reference::Reference,
};

impl Catalog {
    /// The same with registries that pinned plugins are fetched from when they are not here.
    pub fn with_registries(self, client: Client) -> Catalog {
        Catalog { registries: Some(client), ..self }
    }

    /// Fetches a pinned plugin from its registry into the store, if it is not there. All others are left to
    /// [`Catalog::fetch`], which says what is wrong with them.
    ///
    /// # Errors
    /// See [`MoveError`].
    pub async fn supply(&self, pin: &PluginPin) -> Result<(), MoveError> {
        let (Some(client), Some(store)) = (&self.registries, &self.store) else { return Ok(()) };
        if BUILT_IN.iter().any(|plugin| plugin.digest == pin.digest) {
            return Ok(());
        }
        let (Ok(Reference::Oci(reference)), Ok(component)) =
            (Reference::parse(&pin.reference), pin.digest.parse::<Digest>())
        else {
            return Ok(());
        };
        if store.has(&component) {
            return Ok(());
        }
        let blob = client.find_blob(&reference.repository, &component).await?;
        let mut reader = client.read_blob(&reference.repository, &blob, PLUGIN_BYTES_MAX)?;
        let mut writer = store.writer()?;
        while let Some(bytes) = reader.next().await? {
            writer.write(&bytes)?;
        }
        writer.finish(&component)?;
        Ok(())
    }
}
