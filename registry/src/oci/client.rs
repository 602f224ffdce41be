//! The distribution protocol: manifests, blobs, tags and referrers of one repository at a time.
//!
//! Everything that is read has a bound and, where a digest is known, exactly the bytes that have it. Requests that may succeed a
//! moment later are tried three times.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use reqwest::{
    Method, Response, Url,
    header::{CONTENT_LENGTH, LINK},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    blob::BlobReader,
    connection::{Access, ClientSettings, Connections, Request, TRIES, protocol},
    digest::Digest,
    error::OciError,
    reference::{OciReference, Repository},
};

/// The largest manifest, list of tags or list of referrers that is read: 4 MiB.
pub const MANIFEST_BYTES_MAX: u64 = 4 << 20;
/// The most pages of a list.
const PAGES_MAX: usize = 50;

/// Media types of the OCI specifications.
pub mod media_type {
    /// The manifest of one thing.
    pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    /// A list of manifests.
    pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
    /// `{}`: there is nothing to configure.
    pub const EMPTY: &str = "application/vnd.oci.empty.v1+json";
    /// The manifest of one thing as Docker wrote it before.
    pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
    /// A list of manifests as Docker wrote it before.
    pub const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

    /// What a manifest says that it is, if it says so.
    ///
    /// # Errors
    /// If it is no JSON object.
    pub fn of(manifest: &[u8]) -> serde_json::Result<Option<String>> {
        #[derive(serde::Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Kind {
            media_type: Option<String>,
        }
        serde_json::from_slice(manifest).map(|kind: Kind| kind.media_type)
    }
}

/// What we can read where a manifest is asked for.
const ACCEPT_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, \
     application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json";

/// A client for registries. Cheap to clone; knows the tokens that it was given.
#[derive(Clone)]
pub struct Client {
    connections: Arc<Connections>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

/// A manifest as it lies in the registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Its bytes.
    pub bytes: Bytes,
    /// What it says that it is, else what the registry says.
    pub media_type: String,
    /// The digest of the bytes.
    pub digest: Digest,
}

/// What a registry did with a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutManifest {
    /// The digest of the manifest.
    pub digest: Digest,
    /// The registry has read its `subject`, and so lists it as a referrer by itself.
    pub lists_subject: bool,
}

/// What a manifest says of a blob or of another manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What it is.
    pub media_type: String,
    /// The digest of its bytes.
    pub digest: Digest,
    /// How many bytes it has.
    pub size: u64,
    /// The kind of artifact, where it is a manifest in a list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// Notes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl Descriptor {
    /// The descriptor of these bytes.
    pub fn of(media_type: &str, bytes: &[u8]) -> Descriptor {
        Descriptor {
            media_type: media_type.to_owned(),
            digest: Digest::of(bytes),
            size: bytes.len() as u64,
            artifact_type: None,
            annotations: BTreeMap::new(),
        }
    }
}

/// A list of manifests; all that we read of it.
#[derive(Deserialize)]
struct Index {
    #[serde(default)]
    manifests: Vec<Descriptor>,
}

impl Client {
    /// A client; nobody is asked anything yet.
    ///
    /// # Errors
    /// If this machine has no usable certificates or an unusable proxy.
    pub fn new(settings: ClientSettings) -> Result<Client, OciError> {
        Ok(Client { connections: Arc::new(Connections::new(settings)?) })
    }

    /// Which manifest a tag stands for now. A reference with a digest is answered without asking anybody.
    ///
    /// # Errors
    /// See [`OciError`]; [`OciError::NotFound`] if there is no such tag.
    pub async fn resolve(&self, reference: &OciReference) -> Result<Digest, OciError> {
        if let Some(digest) = &reference.digest {
            return Ok(digest.clone());
        }
        let response = self.manifest_request(reference, Method::HEAD).await?;
        match content_digest(&response) {
            Some(digest) => Ok(digest),
            None => Ok(self.manifest(reference).await?.digest),
        }
    }

    /// The manifest of a reference. One that was asked for by digest has it.
    ///
    /// # Errors
    /// See [`OciError`]; [`OciError::NotFound`] if there is none.
    pub async fn manifest(&self, reference: &OciReference) -> Result<Manifest, OciError> {
        let repository = &reference.repository;
        let what = format!("the manifest of {reference}");
        let response = self.manifest_request(reference, Method::GET).await?;
        let header = response.headers().get(reqwest::header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let header = header.map(|value| value.split(';').next().unwrap_or(value).trim().to_owned());
        let bytes = self.connections.read(repository, &what, response, MANIFEST_BYTES_MAX).await?;
        let digest = Digest::of(&bytes);
        if let Some(expected) = reference.digest.as_ref().filter(|expected| **expected != digest) {
            let host = repository.host().to_owned();
            return Err(OciError::Digest { host, what, expected: expected.clone(), found: digest });
        }
        let kind = media_type::of(&bytes)
            .map_err(|error| protocol(repository, format!("{what} is no JSON object: {error}")))?;
        let media_type = kind.or(header).unwrap_or_else(|| media_type::MANIFEST.to_owned());
        Ok(Manifest { bytes, media_type, digest })
    }

    /// Writes a manifest: under the tag of the reference if it has one, else under its digest.
    ///
    /// # Errors
    /// See [`OciError`].
    pub async fn put_manifest(
        &self,
        reference: &OciReference,
        media_type: &str,
        bytes: impl Into<Bytes>,
    ) -> Result<PutManifest, OciError> {
        let (repository, bytes) = (&reference.repository, bytes.into());
        let digest = Digest::of(&bytes);
        let under = reference.tag.as_deref().unwrap_or(digest.as_str());
        let request = Request {
            body: Some((media_type.to_owned(), bytes)),
            ..self.request(
                repository,
                Method::PUT,
                &format!("manifests/{under}"),
                format!("the manifest of {reference}"),
            )?
        };
        let response = self.connections.send(repository, &request).await?;
        if let Some(found) = content_digest(&response).filter(|found| *found != digest) {
            let host = repository.host().to_owned();
            return Err(OciError::Digest { host, what: request.what, expected: digest, found });
        }
        Ok(PutManifest { digest, lists_subject: response.headers().contains_key("OCI-Subject") })
    }

    /// Is there a manifest of this reference?
    ///
    /// # Errors
    /// See [`OciError`].
    pub async fn manifest_exists(&self, reference: &OciReference) -> Result<bool, OciError> {
        exists(self.manifest_request(reference, Method::HEAD).await)
    }

    /// Is there a blob of this digest in the repository?
    ///
    /// # Errors
    /// See [`OciError`].
    pub async fn blob_exists(&self, repository: &Repository, digest: &Digest) -> Result<bool, OciError> {
        let rest = format!("blobs/{digest}");
        let request = self.request(repository, Method::HEAD, &rest, format!("the blob {digest}"))?;
        exists(self.connections.send(repository, &request).await)
    }

    /// What is to be read of a blob of which only the digest is known.
    ///
    /// # Errors
    /// See [`OciError`]; [`OciError::NotFound`] if the repository does not have it.
    pub async fn find_blob(&self, repository: &Repository, digest: &Digest) -> Result<Descriptor, OciError> {
        let request =
            self.request(repository, Method::HEAD, &format!("blobs/{digest}"), format!("the blob {digest}"))?;
        let response = self.connections.send(repository, &request).await?;
        let length = response.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        let size = length.ok_or_else(|| protocol(repository, "it does not say how large a blob is"))?;
        let media_type = "application/octet-stream".to_owned();
        Ok(Descriptor { media_type, digest: digest.clone(), size, artifact_type: None, annotations: BTreeMap::new() })
    }

    /// The bytes of a blob, which are those of its digest. Meant for small ones: [`Client::read_blob`] hands out large ones.
    ///
    /// # Errors
    /// See [`OciError`]; [`OciError::TooLarge`] if the descriptor says more bytes than `bytes_max`.
    pub async fn blob(&self, repository: &Repository, blob: &Descriptor, bytes_max: u64) -> Result<Bytes, OciError> {
        let mut reader = self.read_blob(repository, blob, bytes_max)?;
        let mut bytes = Vec::new();
        while let Some(chunk) = reader.next().await? {
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes.into())
    }

    /// Hands out a blob piece by piece; goes on where it was when the connection is cut.
    ///
    /// # Errors
    /// [`OciError::TooLarge`] if the descriptor says more bytes than `bytes_max`.
    pub fn read_blob(
        &self,
        repository: &Repository,
        blob: &Descriptor,
        bytes_max: u64,
    ) -> Result<BlobReader, OciError> {
        BlobReader::new(Arc::clone(&self.connections), repository, blob, bytes_max)
    }

    /// Writes a blob, unless the repository has it. Answers whether it was written.
    ///
    /// # Errors
    /// See [`OciError`].
    pub async fn put_blob(&self, repository: &Repository, bytes: impl Into<Bytes>) -> Result<bool, OciError> {
        let bytes = bytes.into();
        let digest = Digest::of(&bytes);
        // An upload that was cut is begun again: registries forget sessions at different moments.
        let mut tried = 1;
        loop {
            if self.blob_exists(repository, &digest).await? {
                return Ok(false);
            }
            match self.upload(repository, &digest, bytes.clone()).await {
                Ok(()) => return Ok(true),
                Err(error) if tried >= TRIES || !may_begin_again(&error) => return Err(error),
                Err(_) => {
                    tried += 1;
                    self.connections.wait_before(tried).await;
                }
            }
        }
    }

    async fn upload(&self, repository: &Repository, digest: &Digest, bytes: Bytes) -> Result<(), OciError> {
        let what = format!("the upload of the blob {digest}");
        let begin = self.request(repository, Method::POST, "blobs/uploads/", what)?;
        let begun = self.connections.send(repository, &begin).await?;
        let location = begun.headers().get(reqwest::header::LOCATION).and_then(|value| value.to_str().ok());
        let location = location.ok_or_else(|| protocol(repository, "it does not say where to upload to"))?;
        // The account goes there only if the place is of the registry itself; see `Connections`.
        let mut url = begun.url().join(location).map_err(|_| protocol(repository, "it names no place to upload to"))?;
        if begin.url.scheme() == "https" && url.scheme() != "https" {
            return Err(protocol(repository, "it wants an upload without encryption"));
        }
        url.query_pairs_mut().append_pair("digest", digest.as_str());
        let body = Some(("application/octet-stream".to_owned(), bytes));
        let put = Request { method: Method::PUT, url, body, tries: 1, ..begin };
        self.connections.send(repository, &put).await.map(drop)
    }

    /// All tags of a repository, in the order of the registry.
    ///
    /// # Errors
    /// See [`OciError`]; [`OciError::NotFound`] if there is no such repository.
    pub async fn tags(&self, repository: &Repository) -> Result<Vec<String>, OciError> {
        #[derive(Deserialize)]
        struct Page {
            tags: Option<Vec<String>>,
        }
        let mut tags = Vec::new();
        let what = format!("the repository {}", repository.path());
        let mut next = Some(self.request(repository, Method::GET, "tags/list", what)?);
        for _ in 0..PAGES_MAX {
            let Some(request) = next else { break };
            let (page, following) = self.page::<Page>(repository, request).await?;
            tags.extend(page.tags.unwrap_or_default());
            next = following;
        }
        Ok(tags)
    }

    /// The manifests that name this one as their subject, such as signatures. A registry that keeps no such list is asked for
    /// the tag that stands in its place.
    ///
    /// # Errors
    /// See [`OciError`].
    pub async fn referrers(
        &self,
        repository: &Repository,
        subject: &Digest,
        artifact_type: Option<&str>,
    ) -> Result<Vec<Descriptor>, OciError> {
        let rest = format!("referrers/{subject}");
        let mut request = self.request(repository, Method::GET, &rest, format!("the referrers of {subject}"))?;
        if let Some(artifact_type) = artifact_type {
            request.url.query_pairs_mut().append_pair("artifactType", artifact_type);
        }
        let mut found = Vec::new();
        let mut next = Some(request);
        for page in 0..PAGES_MAX {
            let Some(request) = next else { break };
            match self.page::<Index>(repository, request).await {
                Ok((index, following)) => {
                    found.extend(index.manifests);
                    next = following;
                }
                // Registries that do not know the question say so in different ways.
                Err(OciError::NotFound { .. } | OciError::Status { .. }) if page == 0 => {
                    found = self.listed_by_tag(repository, subject).await?;
                    next = None;
                }
                Err(error) => return Err(error),
            }
        }
        // Not every registry filters.
        found.retain(|referrer| artifact_type.is_none() || referrer.artifact_type.as_deref() == artifact_type);
        Ok(found)
    }

    /// Adds a referrer to the tag that stands in the place of a list, for a registry that keeps none
    /// ([`PutManifest::lists_subject`] says so).
    ///
    /// # Errors
    /// See [`OciError`].
    pub async fn list_by_tag(
        &self,
        repository: &Repository,
        subject: &Digest,
        referrer: Descriptor,
    ) -> Result<(), OciError> {
        let unreadable = |error: serde_json::Error| protocol(repository, unreadable_list(&error));
        let tag = referrers_tag(repository, subject);
        // What others wrote into the list stays as it is, also where we do not know it.
        let mut index = match self.manifest(&tag).await {
            Ok(manifest) => serde_json::from_slice(&manifest.bytes).map_err(unreadable)?,
            Err(error) if error.is_not_found() => {
                json!({ "schemaVersion": 2, "mediaType": media_type::INDEX, "manifests": [] })
            }
            Err(error) => return Err(error),
        };
        let manifests = index.get_mut("manifests").and_then(Value::as_array_mut);
        let manifests = manifests.ok_or_else(|| protocol(repository, "its list of referrers holds no manifests"))?;
        if manifests.iter().any(|listed| listed["digest"] == referrer.digest.as_str()) {
            return Ok(());
        }
        manifests.push(serde_json::to_value(&referrer).map_err(unreadable)?);
        self.put_manifest(&tag, media_type::INDEX, index.to_string()).await.map(drop)
    }

    async fn listed_by_tag(&self, repository: &Repository, subject: &Digest) -> Result<Vec<Descriptor>, OciError> {
        let manifest = match self.manifest(&referrers_tag(repository, subject)).await {
            Ok(manifest) => manifest,
            Err(error) if error.is_not_found() => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let index: Index =
            serde_json::from_slice(&manifest.bytes).map_err(|error| protocol(repository, unreadable_list(&error)))?;
        Ok(index.manifests)
    }

    /// One page of a list, and the request for the next one.
    async fn page<T: serde::de::DeserializeOwned>(
        &self,
        repository: &Repository,
        request: Request,
    ) -> Result<(T, Option<Request>), OciError> {
        let response = self.connections.send(repository, &request).await?;
        let next = next_page(&response);
        let bytes = self.connections.read(repository, &request.what, response, MANIFEST_BYTES_MAX).await?;
        let page = serde_json::from_slice(&bytes)
            .map_err(|error| protocol(repository, format!("its answer cannot be read: {error}")))?;
        // A next page elsewhere would be somebody else's list.
        let next = next.filter(|url| self.connections.is_of(repository, url));
        Ok((page, next.map(|url| Request { url, ..request })))
    }

    async fn manifest_request(&self, reference: &OciReference, method: Method) -> Result<Response, OciError> {
        let repository = &reference.repository;
        let rest = format!("manifests/{}", reference.version());
        let what = match &reference.digest {
            Some(digest) => format!("manifest {digest} of `{}`", repository.path()),
            None => format!("`{}:{}`", repository.path(), reference.version()),
        };
        let request = Request { accept: Some(ACCEPT_MANIFEST), ..self.request(repository, method, &rest, what)? };
        self.connections.send(repository, &request).await
    }

    /// A request below the repository, without a body.
    fn request(&self, repository: &Repository, method: Method, rest: &str, what: String) -> Result<Request, OciError> {
        let access = if method == Method::GET || method == Method::HEAD { Access::Read } else { Access::Write };
        let url = self.connections.url(repository, rest)?;
        Ok(Request { method, url, access, what, accept: None, body: None, from: None, tries: TRIES })
    }
}

/// The tag that stands in the place of a list of referrers.
fn referrers_tag(repository: &Repository, subject: &Digest) -> OciReference {
    let tag = subject.as_str().replace(':', "-");
    OciReference { repository: repository.clone(), tag: Some(tag), digest: None }
}

fn unreadable_list(error: &serde_json::Error) -> String {
    format!("its list of referrers cannot be read: {error}")
}

fn exists(answer: Result<Response, OciError>) -> Result<bool, OciError> {
    match answer {
        Ok(_) => Ok(true),
        Err(error) if error.is_not_found() => Ok(false),
        Err(error) => Err(error),
    }
}

/// May an upload that ended so be begun again?
fn may_begin_again(error: &OciError) -> bool {
    match error {
        OciError::Unreachable { .. }
        | OciError::Silent { .. }
        | OciError::Interrupted { .. }
        | OciError::NotFound { .. } => true,
        OciError::Status { status, .. } => status.starts_with('5') || status.starts_with("416"),
        _ => false,
    }
}

fn content_digest(response: &Response) -> Option<Digest> {
    response.headers().get("Docker-Content-Digest")?.to_str().ok()?.parse().ok()
}

/// `Link: </v2/…?last=x>; rel="next"`.
fn next_page(response: &Response) -> Option<Url> {
    let links = response.headers().get_all(LINK).iter().filter_map(|value| value.to_str().ok());
    let next = links.flat_map(|line| line.split(',')).find(|link| link.contains("next"))?;
    let address = next.split_once('<')?.1.split_once('>')?.0;
    response.url().join(address).ok()
}

#[cfg(test)]
mod tests;
