//! Signatures in a registry: finding all of a plugin, and adding one.

use super::{
    Signature,
    manifest::{self, ARTIFACT, SIGNATURES_MAX},
    payload::PAYLOAD_BYTES_MAX,
};
use crate::oci::{Client, Descriptor, Digest, OciError, OciReference, Repository, media_type};

/// How many manifests with signatures are looked at.
const MANIFESTS_MAX: usize = 50;

/// How often a signature is added that another signer has overwritten.
const TRIES: usize = 3;

/// What came of publishing a signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// The tag that collects the signatures.
    pub tag: OciReference,
    /// The same signature was there already.
    pub was_there: bool,
}

/// Why a signature could not be published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The registry refused, or could not be reached.
    #[error(transparent)]
    Registry(#[from] OciError),
    /// Others write at the same time.
    #[error("others sign `{0}` at the same time and overwrite the signature: try again")]
    Overwritten(OciReference),
}

/// The signatures of a plugin, those under its tag first. None is verified yet.
///
/// # Errors
/// If the registry refuses or cannot be reached. Signatures that are broken or too large are passed over.
pub async fn find(client: &Client, repository: &Repository, digest: &Digest) -> Result<Vec<Signature>, OciError> {
    let mut manifests = Vec::new();
    let tagged = tag(repository, digest);
    if let Some(found) = if_there(client.manifest(&tagged).await)? {
        manifests.push(found);
    }
    // Two who signed at the same moment may have overwritten each other under the tag, but not here.
    let referrers = if_there(client.referrers(repository, digest, Some(ARTIFACT)).await)?.unwrap_or_default();
    for referrer in referrers.iter().take(MANIFESTS_MAX) {
        if manifests.iter().all(|known| known.digest != referrer.digest)
            && let Some(found) = if_there(client.manifest(&repository.at(&referrer.digest)).await)?
        {
            manifests.push(found);
        }
    }
    let mut signatures: Vec<Signature> = Vec::new();
    for layer in manifests.iter().flat_map(|found| manifest::layers(&found.bytes)) {
        if signatures.len() == SIGNATURES_MAX {
            break;
        }
        let is_known = |known: &Signature| {
            known.signature == layer.signature && Digest::of(&known.payload) == layer.payload.digest
        };
        if signatures.iter().any(is_known) {
            continue;
        }
        let payload = match client.blob(repository, &layer.payload, PAYLOAD_BYTES_MAX).await {
            Ok(payload) => payload,
            Err(OciError::NotFound { .. } | OciError::TooLarge { .. } | OciError::Digest { .. }) => continue,
            Err(error) => return Err(error),
        };
        signatures.push(Signature { payload, signature: layer.signature });
    }
    Ok(signatures)
}

/// Adds a signature to those of a plugin, whose manifest `subject` describes.
///
/// # Errors
/// See [`PublishError`].
pub async fn publish(
    client: &Client,
    repository: &Repository,
    subject: &Descriptor,
    signature: &Signature,
) -> Result<Published, PublishError> {
    let tagged = tag(repository, &subject.digest);
    for attempt in 0..TRIES {
        let existing = if_there(client.manifest(&tagged).await)?;
        let Some(new) = manifest::with(existing.as_ref().map(|found| found.bytes.as_ref()), subject, signature) else {
            return Ok(Published { tag: tagged, was_there: attempt == 0 });
        };
        client.put_blob(repository, signature.payload.clone()).await?;
        client.put_blob(repository, new.config).await?;
        let mut described = Descriptor::of(media_type::MANIFEST, &new.manifest);
        described.artifact_type = Some(ARTIFACT.to_owned());
        let put = client.put_manifest(&tagged, media_type::MANIFEST, new.manifest).await?;
        if !put.lists_subject {
            client.list_by_tag(repository, &subject.digest, described).await?;
        }
        // Whoever signs at the same time has read the manifest without this signature, and may write it so.
        if client.resolve(&tagged).await? == put.digest {
            return Ok(Published { tag: tagged, was_there: false });
        }
    }
    Err(PublishError::Overwritten(tagged))
}

/// Where the signatures of a manifest are.
pub fn tag(repository: &Repository, digest: &Digest) -> OciReference {
    repository.tagged(&manifest::tag(digest)).expect("`sha256-` with a digest and `.sig` is a tag")
}

fn if_there<T>(found: Result<T, OciError>) -> Result<Option<T>, OciError> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}
