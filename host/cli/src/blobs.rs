//! Where caches and artifacts are kept: `--blobs`, else `OXIDE_BLOBS`, else a directory of the data directory.

use std::{path::Path, sync::Arc};

use oxide_blobs::{Blobs, Limits, Location};

use crate::failure::Failure;

/// Options that every command has.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct BlobsArguments {
    /// Where caches and artifacts are kept: a directory, or s3://BUCKET/PREFIX with credentials in AWS_ACCESS_KEY_ID and
    /// AWS_SECRET_ACCESS_KEY (also OXIDE_BLOBS; default: below the data directory).
    #[arg(long, global = true, value_name = "PLACE")]
    pub blobs: Option<String>,
    /// The address of the S3-compatible store, such as https://s3.example.com (also OXIDE_BLOBS_ENDPOINT and
    /// AWS_ENDPOINT_URL; default: Amazon's).
    #[arg(long, global = true, value_name = "URL")]
    pub blobs_endpoint: Option<String>,
}

/// Opens the store.
pub fn open(arguments: &BlobsArguments, data: &Path) -> Result<Arc<Blobs>, Failure> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let endpoint = arguments.blobs_endpoint.clone().or_else(|| variable("OXIDE_BLOBS_ENDPOINT"));
    let location = match arguments.blobs.clone().or_else(|| variable("OXIDE_BLOBS")) {
        None => Location::Directory(data.join("blobs")),
        Some(place) => {
            let variables = std::env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
            Location::parse(&place, endpoint.as_deref(), variables)
                .map_err(|error| Failure::usage("could not use `--blobs`").because(&error))?
        }
    };
    let blobs = Blobs::open(&location, Limits::default()).map_err(|error| {
        Failure::trouble(format!("could not open the store of caches and artifacts at `{location}`"))
            .because(&error)
            .hint("name another place with `--blobs PLACE`")
    })?;
    Ok(Arc::new(blobs))
}
