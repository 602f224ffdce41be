//! `oxide plugin verify`: is a published plugin signed, by a key or as the project wants it?

use std::path::{Path, PathBuf};

use oxide_registry::{
    oci::{Client, Digest, Repository},
    policy::{self, Signer, TrustedKey, verify_by_policy},
    signature::{PublicKey, published},
};
use serde_json::json;

use crate::{
    exit_code::Exit,
    failure::Failure,
    local_engine, project,
    registries::{self, RegistryArguments, of_registry, of_verify},
    terminal::print,
};

/// Arguments of `oxide plugin verify`.
#[derive(clap::Args)]
pub struct Arguments {
    /// The plugin, such as ghcr.io/acme/greet:1.2.0 or ghcr.io/acme/greet@sha256:….
    reference: String,
    /// The public key that must have signed. Without one, `.oxide/trust.toml` of the project decides.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    #[command(flatten)]
    registries: RegistryArguments,
    /// Print who signed as JSON.
    #[arg(long)]
    json: bool,
}

/// Verifies; a plugin that is not signed as it should be ends with exit code 3.
pub fn run(arguments: &Arguments, data_dir: Option<&Path>) -> Result<Exit, Failure> {
    let reference = registries::parse(&arguments.reference)?;
    let repository = &reference.repository;
    local_engine::in_runtime(async {
        let client = arguments.registries.client()?;
        let digest = client.resolve(&reference).await.map_err(|error| of_registry(&error))?;
        let signers = match &arguments.key {
            Some(key) => by_key(&client, repository, &digest, key).await?,
            None => by_project(&client, repository, &digest, data_dir).await?,
        };
        let at = repository.at(&digest);
        print(&match arguments.json {
            true => {
                let signer = |signer: &Signer| json!({ "key": signer.key, "fingerprint": signer.fingerprint });
                let signers: Vec<_> = signers.iter().map(signer).collect();
                format!(
                    "{}\n",
                    json!({ "reference": at.to_string(), "digest": digest.to_string(), "signers": signers })
                )
            }
            false if signers.is_empty() => {
                format!("{at} needs no signature: no rule of `{}` asks for one\n", policy::FILE)
            }
            false => {
                let by = |signer: &Signer| format!("signed by {} ({})\n", signer.key, signer.fingerprint);
                format!("{at}\n{}", signers.iter().map(by).collect::<String>())
            }
        })?;
        Ok(Exit::Success)
    })
}

async fn by_key(
    client: &Client,
    repository: &Repository,
    digest: &Digest,
    file: &Path,
) -> Result<Vec<Signer>, Failure> {
    let name = file.display().to_string();
    let unusable = || Failure::usage(format!("could not use the key `{name}`"));
    let text = std::fs::read_to_string(file).map_err(|error| unusable().because(&error))?;
    let key = PublicKey::from_pem(&text).map_err(|error| unusable().because(&error))?;
    let signatures = published::find(client, repository, digest).await.map_err(|error| of_registry(&error))?;
    if signatures.iter().any(|signature| signature.verify(&key, digest).is_ok()) {
        return Ok(vec![Signer { key: name, fingerprint: key.fingerprint() }]);
    }
    let trusted = TrustedKey { name: name.clone(), key };
    let found = policy::findings(&signatures, &[&trusted], digest).join("; ");
    Err(Failure::unusable(format!("{} is not signed with `{name}`: {found}", repository.at(digest))))
}

async fn by_project(
    client: &Client,
    repository: &Repository,
    digest: &Digest,
    data_dir: Option<&Path>,
) -> Result<Vec<Signer>, Failure> {
    let directory = project::of_current_directory().unwrap_or_else(|| PathBuf::from("."));
    let policy = registries::policy(&directory)?;
    let kept = registries::kept_signatures(&project::data_directory(data_dir)?);
    verify_by_policy(&policy, repository, digest, &kept, Some(client)).await.map_err(|error| of_verify(&error))
}
