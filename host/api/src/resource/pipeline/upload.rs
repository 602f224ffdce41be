//! The three ways in which a pipeline arrives: JSON, its YAML text, or a form with files.

use axum::{
    extract::{FromRequest as _, Multipart, Request, multipart::Field},
    http::header,
};
use bytes::Bytes;
use oxide_core::api::{
    error::ErrorKind,
    pipeline::{NewPipeline, PipelineChange, PipelineText, UploadQuery},
};
use schemars::JsonSchema;

use crate::{
    error::ApiError,
    extract::{body_bytes, body_error, media_type, parse_json},
};

/// The largest body: 10 MB. The text of a pipeline may fill all of it; the parser of pipelines has the same bound.
pub const BODY_BYTES_MAX: usize = oxide_core::yaml::MAX_SOURCE_BYTES;
/// The largest `oxide.lock`.
const LOCK_BYTES_MAX: usize = 4 << 20;

/// Names for YAML.
const YAML: [&str; 4] = ["application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml"];

/// A form with a pipeline.
#[derive(JsonSchema)]
#[allow(dead_code, reason = "only its schema is used: the parts are read one by one")]
pub struct Form {
    /// The YAML file. Its content type is YAML, plain text, or none.
    pipeline: String,
    /// The file `oxide.lock`.
    lock: Option<String>,
    /// The name or id of the project.
    project: Option<String>,
    /// The name; that of the YAML text if nothing is said.
    name: Option<String>,
    /// What it is for.
    description: Option<String>,
    /// Where its code is.
    repository: Option<String>,
}

/// What arrived.
enum Arrived {
    Json(Bytes),
    Text(String),
    Parts(Parts),
}

/// The parts of a form.
#[derive(Default)]
struct Parts {
    pipeline: Option<String>,
    lock: Option<String>,
    query: UploadQuery,
}

/// Reads a pipeline that is to be stored.
///
/// # Errors
/// 400, 413, 415 or 422: the body cannot be used.
pub async fn new_pipeline(query: UploadQuery, request: Request) -> Result<NewPipeline, ApiError> {
    let of = |query: UploadQuery, source, lock| NewPipeline {
        project: query.project,
        name: query.name,
        description: query.description,
        repository: query.repository,
        source,
        lock,
    };
    match arrived(request).await? {
        Arrived::Json(bytes) => {
            let new: NewPipeline = parse_json(&bytes)?;
            Ok(NewPipeline {
                project: new.project.or(query.project),
                name: new.name.or(query.name),
                description: new.description.or(query.description),
                repository: new.repository.or(query.repository),
                source: checked(new.source)?,
                lock: checked_lock(new.lock)?,
            })
        }
        Arrived::Text(source) => Ok(of(query, checked(source)?, None)),
        Arrived::Parts(parts) => {
            let source = parts.pipeline.ok_or_else(no_part)?;
            Ok(of(joined(parts.query, query), checked(source)?, checked_lock(parts.lock)?))
        }
    }
}

/// Reads a change of a pipeline.
///
/// # Errors
/// 400, 413, 415 or 422: the body cannot be used.
pub async fn pipeline_change(query: UploadQuery, request: Request) -> Result<PipelineChange, ApiError> {
    let of = |query: UploadQuery, source, lock| PipelineChange {
        name: query.name,
        description: query.description,
        repository: query.repository,
        source,
        lock,
    };
    match arrived(request).await? {
        Arrived::Json(bytes) => {
            let change: PipelineChange = parse_json(&bytes)?;
            let source = change.source.map(checked).transpose()?;
            let lock = checked_lock(change.lock)?;
            Ok(PipelineChange { source, lock, ..change })
        }
        Arrived::Text(source) => Ok(of(query, Some(checked(source)?), None)),
        Arrived::Parts(parts) => {
            let source = parts.pipeline.map(checked).transpose()?;
            Ok(of(joined(parts.query, query), source, checked_lock(parts.lock)?))
        }
    }
}

/// Reads a text that is to be checked.
///
/// # Errors
/// 400, 413, 415 or 422: the body cannot be used.
pub async fn text(request: Request) -> Result<PipelineText, ApiError> {
    match arrived(request).await? {
        Arrived::Json(bytes) => {
            let text: PipelineText = parse_json(&bytes)?;
            Ok(PipelineText { source: checked(text.source)?, lock: checked_lock(text.lock)? })
        }
        Arrived::Text(source) => Ok(PipelineText { source: checked(source)?, lock: None }),
        Arrived::Parts(parts) => {
            let source = parts.pipeline.ok_or_else(no_part)?;
            Ok(PipelineText { source: checked(source)?, lock: checked_lock(parts.lock)? })
        }
    }
}

fn no_part() -> ApiError {
    ApiError::invalid("the form has no part `pipeline`").suggest("curl -F pipeline=@oxide.yaml …")
}

/// What stands in the form goes before what stands in the query.
fn joined(form: UploadQuery, query: UploadQuery) -> UploadQuery {
    UploadQuery {
        project: form.project.or(query.project),
        name: form.name.or(query.name),
        description: form.description.or(query.description),
        repository: form.repository.or(query.repository),
    }
}

async fn arrived(request: Request) -> Result<Arrived, ApiError> {
    let kind = media_type(request.headers());
    match kind.as_deref() {
        Some("application/json") => Ok(Arrived::Json(body_bytes(request.into_body()).await?)),
        Some(kind) if YAML.contains(&kind) => {
            let bytes = body_bytes(request.into_body()).await?;
            Ok(Arrived::Text(utf8("the body", bytes)?))
        }
        Some("multipart/form-data") => parts(request).await.map(Arrived::Parts),
        other => {
            let shown = other.map_or_else(|| "without a type".to_owned(), |kind| format!("of the type `{kind}`"));
            Err(ApiError::new(ErrorKind::UnsupportedMediaType, format!("the body is {shown}"))
                .with_header(header::ACCEPT, "application/json, application/yaml, multipart/form-data")
                .suggest("send JSON with `Content-Type: application/json`")
                .suggest("or the file: `curl --data-binary @oxide.yaml -H 'Content-Type: application/yaml' …`")
                .suggest("or a form: `curl -F pipeline=@oxide.yaml …`"))
        }
    }
}

async fn parts(request: Request) -> Result<Parts, ApiError> {
    let mut form = Multipart::from_request(request, &())
        .await
        .map_err(|error| ApiError::bad_request("the form cannot be read").with_details(error.body_text()))?;
    let mut parts = Parts::default();
    loop {
        let field = form.next_field().await.map_err(|error| broken(&error))?;
        let Some(field) = field else { return Ok(parts) };
        let name = field.name().unwrap_or_default().to_owned();
        check_kind(&name, &field)?;
        let bytes = field.bytes().await.map_err(|error| broken(&error))?;
        let text = utf8(&format!("the part `{name}`"), bytes)?;
        let place = match name.as_str() {
            "pipeline" | "file" => &mut parts.pipeline,
            "lock" => &mut parts.lock,
            "project" => &mut parts.query.project,
            "name" => &mut parts.query.name,
            "description" => &mut parts.query.description,
            "repository" => &mut parts.query.repository,
            other => {
                let shown: String = other.chars().take(100).collect();
                return Err(ApiError::invalid(format!("the form has a part `{shown}` that nobody knows"))
                    .suggest("its parts are `pipeline`, `lock`, `project`, `name`, `description` and `repository`"));
            }
        };
        if place.replace(text).is_some() {
            return Err(ApiError::invalid(format!("the form has the part `{name}` twice")));
        }
    }
}

/// A file must say that it is text, if it says anything.
fn check_kind(name: &str, field: &Field<'_>) -> Result<(), ApiError> {
    let Some(kind) = field.content_type() else { return Ok(()) };
    let essence = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    // What curl says of a file whose ending it does not know; the text itself is checked.
    let is_fine = YAML.contains(&essence.as_str())
        || matches!(essence.as_str(), "text/plain" | "application/octet-stream" | "application/toml" | "text/x-toml");
    match is_fine {
        true => Ok(()),
        false => Err(ApiError::new(
            ErrorKind::UnsupportedMediaType,
            format!("the part `{name}` is of the type `{}`", essence.chars().take(100).collect::<String>()),
        )
        .suggest("send YAML: `curl -F 'pipeline=@oxide.yaml;type=application/yaml' …`")),
    }
}

fn broken(error: &axum::extract::multipart::MultipartError) -> ApiError {
    match error.status().as_u16() {
        413 => ApiError::new(ErrorKind::TooLarge, "the form is larger than 10 MB"),
        _ => body_error(error),
    }
}

fn utf8(what: &str, bytes: Bytes) -> Result<String, ApiError> {
    String::from_utf8(bytes.into()).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        ApiError::invalid(format!("{what} is no UTF-8 text: byte {good} is wrong"))
    })
}

fn checked(source: String) -> Result<String, ApiError> {
    match source.is_empty() {
        true => Err(ApiError::invalid("the text of the pipeline is empty")),
        false => Ok(source),
    }
}

fn checked_lock(lock: Option<String>) -> Result<Option<String>, ApiError> {
    match &lock {
        Some(text) if text.len() > LOCK_BYTES_MAX => Err(ApiError::new(
            ErrorKind::TooLarge,
            format!("the lock has {} bytes; it has at most {LOCK_BYTES_MAX}", text.len()),
        )),
        _ => Ok(lock),
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn request(kind: &str, body: &str) -> Request {
        Request::builder().header(header::CONTENT_TYPE, kind).body(Body::from(body.to_owned())).unwrap()
    }

    #[tokio::test]
    async fn a_pipeline_arrives_in_three_ways() {
        let query = UploadQuery { project: Some("web".into()), ..UploadQuery::default() };
        let json = r#"{"yaml_config":"a: 1","name":"n","project":"other"}"#;
        let new = new_pipeline(query.clone(), request("application/json; charset=utf-8", json)).await.unwrap();
        assert_eq!(
            (new.source.as_str(), new.name.as_deref(), new.project.as_deref()),
            ("a: 1", Some("n"), Some("other"))
        );
        let new = new_pipeline(query.clone(), request("application/yaml", "a: 1")).await.unwrap();
        assert_eq!((new.source.as_str(), new.project.as_deref()), ("a: 1", Some("web")));
        let form = "--x\r\nContent-Disposition: form-data; name=\"pipeline\"; filename=\"oxide.yaml\"\r\n\
                    Content-Type: application/yaml\r\n\r\na: 1\r\n--x\r\nContent-Disposition: form-data; \
                    name=\"name\"\r\n\r\nn\r\n--x--\r\n";
        let new = new_pipeline(query, request("multipart/form-data; boundary=x", form)).await.unwrap();
        assert_eq!(
            (new.source.as_str(), new.name.as_deref(), new.project.as_deref()),
            ("a: 1", Some("n"), Some("web"))
        );
    }

    #[tokio::test]
    async fn other_types_are_refused() {
        let refused = |kind: &'static str, body: &'static str| async move {
            new_pipeline(UploadQuery::default(), request(kind, body)).await.unwrap_err().kind()
        };
        assert_eq!(refused("text/html", "<p>").await, ErrorKind::UnsupportedMediaType);
        assert_eq!(refused("application/yaml", "").await, ErrorKind::Invalid);
        let image = "--x\r\nContent-Disposition: form-data; name=\"pipeline\"; filename=\"a.png\"\r\n\
                     Content-Type: image/png\r\n\r\na\r\n--x--\r\n";
        assert_eq!(refused("multipart/form-data; boundary=x", image).await, ErrorKind::UnsupportedMediaType);
        let unknown = "--x\r\nContent-Disposition: form-data; name=\"pipelin\"\r\n\r\na\r\n--x--\r\n";
        assert_eq!(refused("multipart/form-data; boundary=x", unknown).await, ErrorKind::Invalid);
        assert_eq!(refused("multipart/form-data; boundary=x", "--x--\r\n").await, ErrorKind::Invalid);
    }
}
