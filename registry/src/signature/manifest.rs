//! The manifest that holds the signatures of one plugin: a layer each. Pure functions.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value as Json, json};

use super::Signature;
use crate::oci::{Descriptor, Digest, media_type};

/// The kind of a layer that is a payload.
pub const PAYLOAD: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// The kind of artifact, by which the manifest is found among referrers.
pub const ARTIFACT: &str = "application/vnd.dev.cosign.artifact.sig.v1+json";
/// The note of a layer that is the signature of its payload.
pub const SIGNATURE: &str = "dev.cosignproject.cosign/signature";

const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// How many signatures of one plugin are looked at.
pub const SIGNATURES_MAX: usize = 100;
/// The longest signature in base64: one in DER has 72 bytes at most.
const SIGNATURE_TEXT_BYTES_MAX: usize = 1024;

/// Where a payload is, and its signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// The payload.
    pub payload: Descriptor,
    /// The signature in DER.
    pub signature: Vec<u8>,
}

/// A manifest that is to be pushed, and the config that it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToPush {
    /// The manifest.
    pub manifest: Vec<u8>,
    /// Its config.
    pub config: Vec<u8>,
}

/// The tag where the signatures of a manifest are.
pub fn tag(digest: &Digest) -> String {
    format!("sha256-{}.sig", digest.hex())
}

/// The signatures that a manifest lists; what is none is passed over, because anybody may push anything.
pub fn layers(manifest: &[u8]) -> Vec<Layer> {
    let manifest: Json = serde_json::from_slice(manifest).unwrap_or_default();
    let layers = manifest["layers"].as_array().map(Vec::as_slice).unwrap_or_default();
    layers.iter().filter_map(layer).take(SIGNATURES_MAX).collect()
}

fn layer(layer: &Json) -> Option<Layer> {
    let payload: Descriptor = serde_json::from_value(layer.clone()).ok()?;
    let text = payload.annotations.get(SIGNATURE)?;
    if payload.media_type != PAYLOAD || text.len() > SIGNATURE_TEXT_BYTES_MAX {
        return None;
    }
    Some(Layer { signature: STANDARD.decode(text.trim()).ok()?, payload })
}

/// The manifest with one signature more; none if it has this one already. What others have written into their layers stays.
pub fn with(existing: Option<&[u8]>, subject: &Descriptor, signature: &Signature) -> Option<ToPush> {
    let is_there = |layer: &Layer| {
        layer.signature == signature.signature && layer.payload.digest == Digest::of(&signature.payload)
    };
    let existing: Json = existing.and_then(|bytes| serde_json::from_slice(bytes).ok()).unwrap_or_default();
    let mut layers = existing["layers"].as_array().cloned().unwrap_or_default();
    if layers.iter().filter_map(layer).any(|layer| is_there(&layer)) {
        return None;
    }
    let mut new = Descriptor::of(PAYLOAD, &signature.payload);
    new.annotations.insert(SIGNATURE.to_owned(), STANDARD.encode(&signature.signature));
    layers.push(serde_json::to_value(new).expect("a descriptor becomes JSON"));
    let digests: Vec<&Json> = layers.iter().map(|layer| &layer["digest"]).collect();
    // Others read such a manifest as that of an image.
    let config = json!({
        "architecture": "",
        "created": "0001-01-01T00:00:00Z",
        "history": vec![json!({ "created": "0001-01-01T00:00:00Z" }); layers.len()],
        "os": "",
        "rootfs": { "type": "layers", "diff_ids": digests },
        "config": {},
    })
    .to_string()
    .into_bytes();
    let mut manifest = json!({
        "schemaVersion": 2,
        "mediaType": media_type::MANIFEST,
        "artifactType": ARTIFACT,
        "config": Descriptor::of(CONFIG, &config),
        "layers": layers,
        "subject": { "mediaType": subject.media_type, "digest": subject.digest, "size": subject.size },
    });
    if let Some(notes) = existing.get("annotations") {
        manifest["annotations"] = notes.clone();
    }
    Some(ToPush { manifest: manifest.to_string().into_bytes(), config })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signature(text: &str) -> Signature {
        Signature { payload: text.to_owned().into(), signature: text.as_bytes().to_vec() }
    }

    #[test]
    fn signatures_are_added_to_those_that_are_there() {
        let subject = Descriptor::of(media_type::MANIFEST, b"plugin");
        let first = with(None, &subject, &signature("a")).unwrap();
        let mut changed: Json = serde_json::from_slice(&first.manifest).unwrap();
        changed["layers"][0]["annotations"]["dev.sigstore.cosign/bundle"] = "kept".into();
        changed["annotations"] = json!({ "note": "kept" });
        let second = with(Some(changed.to_string().as_bytes()), &subject, &signature("b")).unwrap();
        let found = layers(&second.manifest);
        assert_eq!(found.iter().map(|layer| layer.signature.as_slice()).collect::<Vec<_>>(), [b"a", b"b"]);
        assert_eq!(found[1].payload.digest, Digest::of(b"b"));
        assert_eq!(with(Some(&second.manifest), &subject, &signature("a")), None, "it is there already");
        let text = String::from_utf8(second.manifest.clone()).unwrap();
        assert_eq!(text.matches("\"kept\"").count(), 2, "{text}");
        let json: Json = serde_json::from_slice(&second.manifest).unwrap();
        assert_eq!(json["subject"]["digest"], subject.digest.to_string());
        let config: Json = serde_json::from_slice(&second.config).unwrap();
        assert_eq!(json["config"]["digest"], Digest::of(&second.config).to_string());
        assert_eq!(config["rootfs"]["diff_ids"], json!([found[0].payload.digest, found[1].payload.digest]));
        assert_eq!(tag(&subject.digest), format!("sha256-{}.sig", subject.digest.hex()));
    }

    #[test]
    fn what_is_no_signature_is_passed_over() {
        let good = serde_json::to_value(Descriptor::of(PAYLOAD, b"p")).unwrap();
        let with_note = |kind: &str, note: &str| {
            let mut layer = good.clone();
            layer["mediaType"] = kind.into();
            layer["annotations"] = json!({ SIGNATURE: note });
            layer
        };
        let long = "A".repeat(2000);
        let manifest = json!({ "layers": [
            good, 5, null, {}, with_note("application/wasm", "YQ=="), with_note(PAYLOAD, "!"), with_note(PAYLOAD, &long),
            { "mediaType": PAYLOAD, "digest": "sha256:../..", "size": 1, "annotations": { SIGNATURE: "YQ==" } },
            with_note(PAYLOAD, "YQ=="),
        ] });
        let found = layers(manifest.to_string().as_bytes());
        assert_eq!(found.len(), 1, "{found:?}");
        let many = json!({ "layers": vec![with_note(PAYLOAD, "YQ=="); 1000] });
        assert_eq!(layers(many.to_string().as_bytes()).len(), SIGNATURES_MAX);
        for text in [&b""[..], b"{}", b"[]", b"{\"layers\":{}}"] {
            assert!(layers(text).is_empty());
        }
    }
}
