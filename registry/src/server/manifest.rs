//! What the registry must know of a manifest: its kind, what it names, what it belongs to. Plain decisions.

use axum::http::HeaderMap;
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

use crate::oci::Digest;

/// The largest manifest in bytes.
pub(super) const MANIFEST_BYTES_MAX: usize = 4 << 20;

/// The kinds of manifests that are stored, and whether they list manifests.
const KINDS: [(&str, bool); 4] = [
    ("application/vnd.oci.image.manifest.v1+json", false),
    ("application/vnd.oci.image.index.v1+json", true),
    ("application/vnd.docker.distribution.manifest.v2+json", false),
    ("application/vnd.docker.distribution.manifest.list.v2+json", true),
];

/// A manifest as it was understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Manifest {
    /// Its kind.
    pub media_type: String,
    /// The blobs that must be there.
    pub blobs: Vec<Digest>,
    /// The manifests that must be there.
    pub manifests: Vec<Digest>,
    /// The manifest that it says something about.
    pub subject: Option<Digest>,
    artifact_type: Option<String>,
    annotations: Option<Map<String, Json>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Text {
    schema_version: u64,
    media_type: Option<String>,
    artifact_type: Option<String>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    manifests: Option<Vec<Descriptor>>,
    subject: Option<Descriptor>,
    annotations: Option<Map<String, Json>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: String,
    digest: String,
    size: u64,
    #[serde(default)]
    urls: Vec<String>,
}

impl Manifest {
    /// Reads a manifest that came with this `Content-Type`.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub fn parse(bytes: &[u8], content_type: Option<&str>) -> Result<Manifest, String> {
        let text: Text =
            serde_json::from_slice(bytes).map_err(|error| format!("the manifest cannot be read: {error}"))?;
        if text.schema_version != 2 {
            return Err(format!("`schemaVersion` is {}, and not 2", text.schema_version));
        }
        let content_type = content_type.map(|value| value.split(';').next().unwrap_or_default().trim());
        let media_type = match (content_type.filter(|value| !value.is_empty()), text.media_type.as_deref()) {
            (Some(said), Some(written)) if said != written => {
                return Err(format!("it came as `{said}` and says of itself that it is `{written}`"));
            }
            (Some(kind), _) | (None, Some(kind)) => kind.to_owned(),
            (None, None) => return Err("neither `Content-Type` nor `mediaType` says what it is".to_owned()),
        };
        let lists = KINDS.iter().find(|(kind, _)| *kind == media_type).map(|(_, lists)| *lists);
        let Some(lists) = lists else {
            let known: Vec<&str> = KINDS.iter().map(|(kind, _)| *kind).collect();
            return Err(format!("`{media_type}` is no kind of manifest: there are {}", known.join(", ")));
        };
        let digests = |what: &str, descriptors: &[&Descriptor]| {
            let mut digests = Vec::with_capacity(descriptors.len());
            for descriptor in descriptors {
                digests.push(descriptor.digest.parse::<Digest>().map_err(|error| format!("{what}: {error}"))?);
            }
            digests.sort_unstable();
            digests.dedup();
            Ok::<_, String>(digests)
        };
        let (blobs, manifests) = match (lists, &text) {
            (false, Text { config: Some(config), layers: Some(layers), manifests: None, .. }) => {
                // Layers that are kept elsewhere name their places.
                let here = layers.iter().filter(|layer| layer.urls.is_empty());
                (digests("config and layers", &std::iter::once(config).chain(here).collect::<Vec<_>>())?, Vec::new())
            }
            (true, Text { config: None, layers: None, manifests: Some(manifests), .. }) => {
                (Vec::new(), digests("manifests", &manifests.iter().collect::<Vec<_>>())?)
            }
            (false, _) => return Err(format!("a `{media_type}` has `config` and `layers`, and no `manifests`")),
            (true, _) => return Err(format!("a `{media_type}` has `manifests`, and no `config` and `layers`")),
        };
        let of_config = text.config.as_ref().map(|config| config.media_type.clone());
        let artifact_type = text.artifact_type.filter(|kind| !kind.is_empty()).or(of_config);
        let subject = digests("subject", &text.subject.iter().collect::<Vec<_>>())?.pop();
        let sized = [text.config.as_ref(), text.subject.as_ref()].into_iter().flatten();
        if sized.chain(text.layers.iter().flatten()).any(|descriptor| descriptor.size > i64::MAX as u64) {
            return Err("a size is larger than anything".to_owned());
        }
        Ok(Manifest { media_type, blobs, manifests, subject, artifact_type, annotations: text.annotations })
    }

    /// The descriptor that stands in the list of what refers to the subject.
    pub fn descriptor(&self, digest: &Digest, size: usize) -> Json {
        let mut descriptor = json!({ "mediaType": self.media_type, "digest": digest.to_string(), "size": size });
        if let Some(kind) = &self.artifact_type {
            descriptor["artifactType"] = kind.as_str().into();
        }
        if let Some(annotations) = &self.annotations {
            descriptor["annotations"] = annotations.clone().into();
        }
        descriptor
    }
}

/// The `Content-Type` of a request.
pub(super) fn content_type(headers: &HeaderMap) -> Option<&str> {
    headers.get(axum::http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok())
}

/// A manifest as it is stored: its media type on a line of its own, then its bytes.
pub(super) fn record(media_type: &str, bytes: &[u8]) -> Vec<u8> {
    let mut record = json!({ "media_type": media_type }).to_string().into_bytes();
    record.push(b'\n');
    record.extend_from_slice(bytes);
    record
}

/// Media type and place of the bytes in what is stored.
pub(super) fn read_record(record: &[u8]) -> Option<(String, usize)> {
    let end = record.iter().take(1024).position(|byte| *byte == b'\n')?;
    let head: Json = serde_json::from_slice(&record[..end]).ok()?;
    Some((head.get("media_type")?.as_str()?.to_owned(), end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OCI: &str = "application/vnd.oci.image.manifest.v1+json";
    const INDEX: &str = "application/vnd.oci.image.index.v1+json";

    fn descriptor(text: &str) -> Json {
        json!({ "mediaType": "application/x", "digest": Digest::of(text.as_bytes()).to_string(), "size": text.len() })
    }

    fn image() -> Json {
        json!({
            "schemaVersion": 2, "mediaType": OCI, "config": descriptor("c"), "layers": [descriptor("l"), descriptor("l")],
            "subject": descriptor("s"), "annotations": { "a": "b" },
        })
    }

    fn parse(manifest: &Json, content_type: Option<&str>) -> Result<Manifest, String> {
        Manifest::parse(manifest.to_string().as_bytes(), content_type)
    }

    #[test]
    fn an_image_names_blobs_and_an_index_manifests() {
        let manifest = parse(&image(), Some("application/vnd.oci.image.manifest.v1+json; charset=utf-8")).unwrap();
        assert_eq!((manifest.blobs.len(), manifest.manifests.len()), (2, 0));
        assert_eq!(manifest.subject, Some(Digest::of(b"s")));
        let shown = manifest.descriptor(&Digest::of(b"m"), 7);
        assert_eq!((&shown["artifactType"], &shown["annotations"]["a"]), (&"application/x".into(), &"b".into()));
        let index = parse(&json!({ "schemaVersion": 2, "manifests": [descriptor("m")] }), Some(INDEX)).unwrap();
        assert_eq!((index.blobs.len(), index.manifests.as_slice()), (0, &[Digest::of(b"m")][..]));
        let mut elsewhere = image();
        elsewhere["layers"][0]["urls"] = json!(["https://example.org/layer"]);
        elsewhere["layers"][1]["urls"] = json!(["https://example.org/layer"]);
        assert_eq!(parse(&elsewhere, None).unwrap().blobs, [Digest::of(b"c")]);
    }

    #[test]
    fn what_is_no_manifest_is_told_why() {
        let told = |change: &dyn Fn(&mut Json)| {
            let mut manifest = image();
            change(&mut manifest);
            parse(&manifest, None).unwrap_err()
        };
        assert!(told(&|manifest| manifest["schemaVersion"] = 1.into()).contains("and not 2"));
        assert!(told(&|manifest| manifest["mediaType"] = "text/html".into()).contains("no kind of manifest"));
        assert!(told(&|manifest| manifest["mediaType"] = INDEX.into()).contains("has `manifests`"));
        assert!(told(&|manifest| manifest["manifests"] = json!([])).contains("and no `manifests`"));
        assert!(told(&|manifest| manifest["layers"][0]["digest"] = "sha256:../x".into()).contains("config and layers"));
        assert!(told(&|manifest| manifest["subject"]["digest"] = "x".into()).contains("subject"));
        assert!(told(&|manifest| manifest["config"]["size"] = u64::MAX.into()).contains("larger"));
        assert!(parse(&image(), Some(INDEX)).unwrap_err().contains("says of itself"));
        assert!(Manifest::parse(b"{", None).unwrap_err().contains("cannot be read"));
        assert!(Manifest::parse("[".repeat(100_000).as_bytes(), None).unwrap_err().contains("cannot be read"));
    }

    #[test]
    fn a_record_gives_back_what_was_stored() {
        let stored = record(OCI, b"{\n}");
        let (media_type, at) = read_record(&stored).unwrap();
        assert_eq!((media_type.as_str(), &stored[at..]), (OCI, &b"{\n}"[..]));
        assert_eq!(read_record(b"{}\n"), None);
        assert_eq!(read_record(b""), None);
    }
}
