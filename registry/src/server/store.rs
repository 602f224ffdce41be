//! The repositories as they are stored: blobs, manifests, tags and who refers to whom.

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use oxide_blobs::Objects;
use serde_json::Value as Json;

use super::{
    manifest::{MANIFEST_BYTES_MAX, Manifest, read_record, record},
    names,
    refusal::Refusal,
    route::{Name, Tag, Target},
};
use crate::oci::Digest;

/// How many objects are asked for at the same time.
const REQUESTS_AT_ONCE: usize = 16;
/// A digest as the object of a tag holds it.
const TAG_OBJECT_BYTES_MAX: u64 = 128;
/// A manifest with its line.
const RECORD_BYTES_MAX: u64 = MANIFEST_BYTES_MAX as u64 + 1024;

/// All repositories.
pub(super) struct Repositories {
    pub objects: Objects,
    pub immutable_tags: bool,
}

/// A manifest as it is given out.
pub(super) struct StoredManifest {
    pub media_type: String,
    pub digest: Digest,
    pub bytes: Bytes,
}

impl Repositories {
    /// The size of a blob that this repository has.
    pub async fn blob_size(&self, name: &Name, digest: &Digest) -> Result<Option<u64>, Refusal> {
        if self.objects.size(&names::blob_link(name, digest)).await?.is_none() {
            return Ok(None);
        }
        Ok(self.objects.size(&names::blob(digest)).await?)
    }

    /// Notes that this repository has a blob.
    pub async fn link_blob(&self, name: &Name, digest: &Digest) -> Result<(), Refusal> {
        Ok(self.objects.put(&names::blob_link(name, digest), Bytes::new()).await?)
    }

    /// Takes a blob from a repository; false if it had none. Other repositories keep it.
    pub async fn unlink_blob(&self, name: &Name, digest: &Digest) -> Result<bool, Refusal> {
        let had = self.objects.size(&names::blob_link(name, digest)).await?.is_some();
        self.objects.remove([names::blob_link(name, digest)]).await?;
        Ok(had)
    }

    /// Is there such a repository? There is, once a manifest was pushed to it.
    pub async fn exists(&self, name: &Name) -> Result<bool, Refusal> {
        Ok(self.objects.size(&names::repository(name)).await?.is_some())
    }

    /// The digest that this names; none if there is no such tag.
    pub async fn digest(&self, name: &Name, target: &Target) -> Result<Option<Digest>, Refusal> {
        let tag = match target {
            Target::Digest(digest) => return Ok(Some(digest.clone())),
            Target::Tag(tag) => tag,
        };
        let Some(text) = self.objects.get(&names::tag(name, tag), TAG_OBJECT_BYTES_MAX).await? else { return Ok(None) };
        let digest = std::str::from_utf8(&text).ok().and_then(|text| text.parse().ok());
        digest.map(Some).ok_or_else(|| damaged(&names::tag(name, tag)))
    }

    /// A manifest; its bytes are hashed again.
    pub async fn manifest(&self, name: &Name, target: &Target) -> Result<Option<StoredManifest>, Refusal> {
        let Some(digest) = self.digest(name, target).await? else { return Ok(None) };
        let object = names::manifest(name, &digest);
        let Some(stored) = self.objects.get(&object, RECORD_BYTES_MAX).await? else { return Ok(None) };
        let (media_type, at) = read_record(&stored).ok_or_else(|| damaged(&object))?;
        let bytes = stored.slice(at..);
        match Digest::of(&bytes) == digest {
            true => Ok(Some(StoredManifest { media_type, digest, bytes })),
            false => Err(damaged(&object)),
        }
    }

    /// Stores a manifest whose parts are all here, then lets the tag point at it.
    pub async fn put_manifest(
        &self,
        name: &Name,
        target: &Target,
        manifest: &Manifest,
        bytes: &Bytes,
    ) -> Result<Digest, Refusal> {
        let digest = Digest::of(bytes);
        if let Target::Digest(promised) = target
            && *promised != digest
        {
            return Err(Refusal::digest_invalid(format!("the manifest that came has the digest {digest}")));
        }
        self.refuse_missing_parts(name, manifest).await?;
        if let Target::Tag(tag) = target {
            self.refuse_moved_tag(name, tag, &digest).await?;
        }
        let stored = record(&manifest.media_type, bytes);
        self.objects.put(&names::manifest(name, &digest), stored.into()).await?;
        if let Some(subject) = &manifest.subject {
            let descriptor = manifest.descriptor(&digest, bytes.len()).to_string();
            self.objects.put(&names::referrer(name, subject, &digest), descriptor.into()).await?;
        }
        self.objects.create(&names::repository(name), Bytes::new()).await?;
        if let Target::Tag(tag) = target {
            let object = names::tag(name, tag);
            let text = Bytes::from(digest.to_string());
            if !self.is_fixed(tag) {
                self.objects.put(&object, text).await?;
            } else if !self.objects.create(&object, text).await? {
                // Somebody else was quicker.
                self.refuse_moved_tag(name, tag, &digest).await?;
            }
        }
        Ok(digest)
    }

    fn is_fixed(&self, tag: &Tag) -> bool {
        self.immutable_tags && !tag.collects()
    }

    async fn refuse_moved_tag(&self, name: &Name, tag: &Tag, to: &Digest) -> Result<(), Refusal> {
        if !self.is_fixed(tag) {
            return Ok(());
        }
        match self.digest(name, &Target::Tag(tag.clone())).await? {
            Some(digest) if digest != *to => Err(Refusal::denied(format!(
                "tags do not move in this registry, and `{}` is {digest}: push under another tag",
                tag.as_str()
            ))),
            _ => Ok(()),
        }
    }

    async fn refuse_missing_parts(&self, name: &Name, manifest: &Manifest) -> Result<(), Refusal> {
        let blobs = manifest.blobs.iter().map(|digest| (digest, true));
        let parts = blobs.chain(manifest.manifests.iter().map(|digest| (digest, false))).map(|(digest, is_blob)| {
            let (name, digest) = (name.clone(), digest.clone());
            async move {
                let there = match is_blob {
                    true => self.blob_size(&name, &digest).await?,
                    false => self.objects.size(&names::manifest(&name, &digest)).await?,
                };
                Ok::<_, Refusal>((there.is_some(), digest))
            }
        });
        let missing: Vec<Digest> = stream::iter(parts.collect::<Vec<_>>())
            .buffered(REQUESTS_AT_ONCE)
            .try_filter_map(|(there, digest)| async move { Ok((!there).then_some(digest)) })
            .try_collect()
            .await?;
        match missing.first() {
            None => Ok(()),
            Some(first) => Err(Refusal::manifest_blob_unknown(format!(
                "the manifest names {first}{}, which this repository does not have: push that first",
                if missing.len() > 1 { format!(" and {} more", missing.len() - 1) } else { String::new() }
            ))),
        }
    }

    /// Removes a tag; false if there is none.
    pub async fn remove_tag(&self, name: &Name, tag: &Tag) -> Result<bool, Refusal> {
        if self.is_fixed(tag) {
            return Err(Refusal::denied("tags are not removed in this registry"));
        }
        let object = names::tag(name, tag);
        let was_there = self.objects.size(&object).await?.is_some();
        self.objects.remove([object]).await?;
        Ok(was_there)
    }

    /// Removes a manifest and the tags that point at it; false if there is none.
    pub async fn remove_manifest(&self, name: &Name, digest: &Digest) -> Result<bool, Refusal> {
        let Some(stored) = self.manifest(name, &Target::Digest(digest.clone())).await? else { return Ok(false) };
        let tags = self.tags_of(name, digest).await?;
        if tags.iter().any(|tag| self.is_fixed(tag)) {
            return Err(Refusal::denied("manifests that have a tag are not removed in this registry"));
        }
        let mut gone: Vec<String> = tags.iter().map(|tag| names::tag(name, tag)).collect();
        let parsed = Manifest::parse(&stored.bytes, Some(&stored.media_type)).ok();
        gone.extend(
            parsed.and_then(|manifest| manifest.subject).map(|subject| names::referrer(name, &subject, digest)),
        );
        // The manifest last: what points at it must never outlive it.
        self.objects.remove(gone).await?;
        self.objects.remove([names::manifest(name, digest)]).await?;
        Ok(true)
    }

    async fn tags_of(&self, name: &Name, digest: &Digest) -> Result<Vec<Tag>, Refusal> {
        let tags = self.tags(name).await?;
        let pointed = tags.iter().filter_map(|tag| Tag::parse(tag)).map(|tag| {
            let target = Target::Tag(tag.clone());
            async move { Ok::<_, Refusal>((self.digest(name, &target).await?, tag)) }
        });
        stream::iter(pointed.collect::<Vec<_>>())
            .buffered(REQUESTS_AT_ONCE)
            .try_filter_map(|(found, tag)| async move { Ok((found.as_ref() == Some(digest)).then_some(tag)) })
            .try_collect()
            .await
    }

    /// The tags of a repository, in no order.
    pub async fn tags(&self, name: &Name) -> Result<Vec<String>, Refusal> {
        Ok(self.objects.names(&names::tags(name)).await?)
    }

    /// The repositories, in no order.
    pub async fn repositories(&self) -> Result<Vec<String>, Refusal> {
        let objects = self.objects.names(names::NAMES).await?;
        Ok(objects.iter().filter_map(|object| Some(names::repository_of(object)?.as_str().to_owned())).collect())
    }

    /// The digests of what refers to a manifest, in order.
    pub async fn referrers(&self, name: &Name, subject: &Digest) -> Result<Vec<Digest>, Refusal> {
        let listed = self.objects.names(&names::referrers(name, subject)).await?;
        let mut digests: Vec<Digest> = listed.iter().filter_map(|object| names::digest_of(object)).collect();
        digests.sort_unstable();
        Ok(digests)
    }

    /// The descriptor of what refers to a manifest; none if it is gone by now.
    pub async fn referrer(&self, name: &Name, subject: &Digest, digest: &Digest) -> Result<Option<Json>, Refusal> {
        let object = names::referrer(name, subject, digest);
        let Some(bytes) = self.objects.get(&object, RECORD_BYTES_MAX).await? else { return Ok(None) };
        serde_json::from_slice(&bytes).map(Some).map_err(|_| damaged(&object))
    }
}

fn damaged(object: &str) -> Refusal {
    Refusal::internal("read", format!("`{object}` is damaged: push it again"))
}
