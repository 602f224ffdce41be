//! `oxide plugin sign`: signs a published plugin with a key of one's own.

use std::path::{Path, PathBuf};

use oxide_registry::{
    oci::Descriptor,
    signature::{PrivateKey, PublishError, Signature, published},
};
use serde_json::json;

use super::keygen::PASSWORD_VARIABLES;
use crate::{
    exit_code::Exit,
    failure::Failure,
    local_engine, password,
    registries::{self, RegistryArguments, of_registry},
    terminal::print,
};

/// Arguments of `oxide plugin sign`.
#[derive(clap::Args)]
pub struct Arguments {
    /// The plugin, such as ghcr.io/acme/greet@sha256:…; of a tag, what it stands for now is signed.
    reference: String,
    /// The private key. Its password comes from OXIDE_SIGNING_PASSWORD or COSIGN_PASSWORD, else it is asked for.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    #[command(flatten)]
    registries: RegistryArguments,
    /// Print what was signed as JSON.
    #[arg(long)]
    json: bool,
}

/// Signs, and puts the signature beside those that are there.
pub fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    let reference = registries::parse(&arguments.reference)?;
    let key = read_key(&arguments.key)?;
    local_engine::in_runtime(async {
        let client = arguments.registries.client()?;
        let manifest = client.manifest(&reference).await.map_err(|error| of_registry(&error))?;
        let at = reference.repository.at(&manifest.digest);
        if let (Some(tag), None) = (&reference.tag, &reference.digest) {
            eprintln!("note: `{tag}` may move; signed is what it stands for now, {}", manifest.digest);
        }
        let subject =
            Descriptor { digest: manifest.digest.clone(), ..Descriptor::of(&manifest.media_type, &manifest.bytes) };
        let signature = Signature::sign(&key, &reference.repository, &manifest.digest);
        let published = published::publish(&client, &reference.repository, &subject, &signature);
        let published = published.await.map_err(|error| match &error {
            PublishError::Registry(cause) => of_registry(cause),
            PublishError::Overwritten(_) => Failure::of(&error),
        })?;
        let fingerprint = key.public_key().fingerprint();
        let (tag, was_there) = (published.tag.to_string(), published.was_there);
        print(&match arguments.json {
            true => format!(
                "{}\n",
                json!({
                    "reference": at.to_string(), "digest": manifest.digest.to_string(), "signature": tag,
                    "fingerprint": fingerprint, "was_there": was_there,
                })
            ),
            false => {
                let already = if was_there { "already " } else { "" };
                format!("{at} is {already}signed\nkey: {fingerprint}\nsignature: {tag}\n")
            }
        })?;
        Ok(Exit::Success)
    })
}

fn read_key(path: &Path) -> Result<PrivateKey, Failure> {
    let failed = || Failure::usage(format!("could not use the key `{}`", path.display()));
    let text = std::fs::read_to_string(path)
        .map_err(|error| failed().because(&error).hint("`oxide plugin keygen NAME` makes NAME.key and NAME.pub"))?;
    let password = match PrivateKey::is_encrypted(&text) {
        true => password::find(&PASSWORD_VARIABLES, &format!("password of {}", path.display()), false)?,
        false => String::new(),
    };
    PrivateKey::from_pem(&text, &password).map_err(|error| failed().because(&error))
}
