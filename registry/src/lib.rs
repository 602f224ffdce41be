//! Where plugins come from: built in, a file of the project, or an OCI registry.
//!
//! [`Catalog`] turns what stands behind `uses:` into a digest and bytes when a run is planned, and a pinned digest into
//! the same bytes when a step runs. [`built_in`](mod@built_in) holds the plugins that are part of the program;
//! [`reference`] reads what was written. [`oci`] talks to registries, [`store`] keeps what came from there, and [`lock`] says which
//! of it a project uses and what was accepted. The runtime says whether the bytes are a usable component.

pub mod built_in;
pub mod catalog;
pub mod lock;
pub mod oci;
pub mod policy;
mod random;
pub mod reference;
pub mod server;
pub mod signature;
pub mod store;

pub use built_in::BuiltIn;
pub use catalog::{Catalog, FetchError, PLUGIN_BYTES_MAX, ResolveError, ResolvedPlugin, read_component};
pub use lock::{Lock, LockedPlugin};
pub use reference::{Reference, ReferenceError};
pub use store::PluginStore;

/// Has whatever speaks TLS in this process use ring, unless something else was chosen before.
pub fn use_ring_for_tls() {
    // An error says that somebody was quicker, which is as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
