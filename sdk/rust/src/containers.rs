//! Container images: built from a directory of the workspace, tagged, pushed.
//!
//! ```no_run
//! # use oxide_plugin::{Error, containers::{self, BuildOptions, Credentials}, secrets};
//! # fn run() -> Result<(), Error> {
//! let options = BuildOptions { tags: vec!["registry.example/app:1.2".into()], ..BuildOptions::default() };
//! let image = containers::open()?.build(&options)?;
//! let account = Credentials { username: "ci".into(), password: secrets::placeholder("REGISTRY_PASSWORD")? };
//! let digest = image.push("registry.example/app:1.2", Some(&account))?;
//! # Ok(())
//! # }
//! ```

pub use crate::bindings::oxide::ci::containers::{BuildOptions, Credentials, Engine, Image, open};

/// The last stage of the `Dockerfile` at the top of the workspace, without arguments, labels and tags.
impl Default for BuildOptions {
    fn default() -> BuildOptions {
        BuildOptions {
            context: ".".to_owned(),
            dockerfile: None,
            target: None,
            build_args: Vec::new(),
            labels: Vec::new(),
            tags: Vec::new(),
            no_cache: false,
        }
    }
}
