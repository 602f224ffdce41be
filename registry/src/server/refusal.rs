//! What the registry answers when it does not do what was asked: the codes of the specification, in its JSON.

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use oxide_blobs::ObjectError;
use serde_json::json;

use super::route::Unroutable;

/// An answer that refuses.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: String,
    headers: Vec<(HeaderName, String)>,
    /// What happened inside, for the operator: clients are not told of files.
    pub inside: Option<String>,
}

impl Refusal {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Refusal {
        Refusal { status, code, message: message.into(), headers: Vec::new(), inside: None }
    }

    /// There is no such blob.
    pub fn blob_unknown() -> Refusal {
        Refusal::new(StatusCode::NOT_FOUND, "BLOB_UNKNOWN", "this repository has no such blob")
    }

    /// An upload cannot go on so.
    pub fn upload_invalid(message: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::BAD_REQUEST, "BLOB_UPLOAD_INVALID", message)
    }

    /// The bytes do not begin where those that came before end.
    pub fn out_of_order(message: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::RANGE_NOT_SATISFIABLE, "BLOB_UPLOAD_INVALID", message)
    }

    /// There is no such upload.
    pub fn upload_unknown() -> Refusal {
        let message = "there is no such upload, or no longer: begin again";
        Refusal::new(StatusCode::NOT_FOUND, "BLOB_UPLOAD_UNKNOWN", message)
    }

    /// A digest is none, or another one.
    pub fn digest_invalid(message: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::BAD_REQUEST, "DIGEST_INVALID", message)
    }

    /// A manifest names what is not there.
    pub fn manifest_blob_unknown(message: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::BAD_REQUEST, "MANIFEST_BLOB_UNKNOWN", message)
    }

    /// A manifest cannot be read.
    pub fn manifest_invalid(message: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::BAD_REQUEST, "MANIFEST_INVALID", message)
    }

    /// A manifest is larger than one may be.
    pub fn manifest_too_large(message: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "MANIFEST_INVALID", message)
    }

    /// There is no such manifest.
    pub fn manifest_unknown() -> Refusal {
        Refusal::new(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN", "this repository has no such manifest")
    }

    /// There is no such repository.
    pub fn name_unknown() -> Refusal {
        Refusal::new(StatusCode::NOT_FOUND, "NAME_UNKNOWN", "there is no such repository")
    }

    /// There are more or fewer bytes than were announced, or may be.
    pub fn size_invalid(message: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::BAD_REQUEST, "SIZE_INVALID", message)
    }

    /// A blob is larger than one may be.
    pub fn too_large(message: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "SIZE_INVALID", message)
    }

    /// Nobody, or nobody known, asks.
    pub fn unauthorized(message: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", message)
            .with(header::WWW_AUTHENTICATE, "Basic realm=\"oxide registry\", charset=\"UTF-8\"")
    }

    /// Whoever asks may not.
    pub fn denied(message: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::FORBIDDEN, "DENIED", message)
    }

    /// The method does not fit the path.
    pub fn unsupported() -> Refusal {
        Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED", "this cannot be done here")
    }

    /// Blobs are not deleted where tags never move: a tag may need them.
    pub fn blobs_stay() -> Refusal {
        let message = "tags do not move here, and what they need stays: no blob is deleted. `oxide registry gc` removes \
                       what nothing names";
        Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED", message)
    }

    /// A query or header cannot be read.
    pub fn bad_request(message: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::BAD_REQUEST, "UNSUPPORTED", message)
    }

    /// A part of a blob was asked for that it does not have.
    pub fn range(size: u64) -> Refusal {
        let message = format!("the blob has {size} bytes");
        Refusal::new(StatusCode::RANGE_NOT_SATISFIABLE, "SIZE_INVALID", message)
            .with(header::CONTENT_RANGE, format!("bytes */{size}"))
    }

    /// Too many things are under way.
    pub fn too_many(message: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::TOO_MANY_REQUESTS, "TOOMANYREQUESTS", message).with(header::RETRY_AFTER, "10")
    }

    /// Something is wrong here, not there.
    pub fn internal(operation: &str, cause: impl Into<Box<dyn std::error::Error>>) -> Refusal {
        let cause = cause.into();
        let refusal = Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "UNKNOWN", "the registry could not do this");
        let inside = format!("could not {operation}: {}", oxide_core::cause::in_one_line(cause.as_ref()));
        Refusal { inside: Some(inside), ..refusal }
    }

    /// Adds a header.
    pub fn with(mut self, name: HeaderName, value: impl Into<String>) -> Refusal {
        self.headers.push((name, value.into()));
        self
    }
}

impl From<ObjectError> for Refusal {
    fn from(error: ObjectError) -> Refusal {
        let refusal = Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "UNKNOWN", "the store of the registry failed");
        Refusal { inside: Some(oxide_core::cause::in_one_line(&error)), ..refusal }
    }
}

impl From<Unroutable> for Refusal {
    fn from(unroutable: Unroutable) -> Refusal {
        match unroutable {
            Unroutable::Path => Refusal::new(StatusCode::NOT_FOUND, "UNSUPPORTED", "no path of a registry"),
            Unroutable::Name(name) => Refusal::new(
                StatusCode::BAD_REQUEST,
                "NAME_INVALID",
                format!(
                    "`{}` cannot be the name of a repository: small letters, digits and single `.`, `_`, `-` between them, \
                     parts joined by `/`, {} bytes at most",
                    shown(&name),
                    super::route::NAME_BYTES_MAX
                ),
            ),
            Unroutable::Digest(digest) => Refusal::digest_invalid(format!(
                "`{}` is no digest: `sha256:` and 64 hexadecimal digits in lower case",
                shown(&digest)
            )),
            Unroutable::Reference(reference) => Refusal::manifest_invalid(format!(
                "`{}` is neither a tag nor a digest: letters, digits, `_`, `.` and `-`, 128 at most",
                shown(&reference)
            )),
        }
    }
}

/// A text of somebody else, bounded.
fn shown(text: &str) -> String {
    text.chars().take(80).flat_map(char::escape_debug).collect()
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = json!({ "errors": [{ "code": self.code, "message": self.message }] }).to_string();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (name, value) in self.headers {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(name, value);
            }
        }
        response
    }
}
