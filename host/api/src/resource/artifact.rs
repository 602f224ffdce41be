//! Files that runs left.

use axum::{
    body::Body,
    extract::State,
    http::{HeaderValue, header},
    response::Response,
};
use oxide_blobs::{ArtifactEntry, BlobError};
use oxide_core::{
    access::Role,
    api::{
        artifact::Artifact,
        error::ErrorKind,
        page::{Page, PageQuery},
    },
};

use crate::{
    caller::Caller,
    error::ApiError,
    extract::{Json, Path, Query},
    page,
    resource::run,
    route::{Access, Route, Tag},
    state::ServerState,
};

/// The routes of this topic.
pub fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/runs/{run}/artifacts", "list_artifacts", list)
            .tag(Tag::Artifacts)
            .access(Access::Project(Role::Viewer))
            .summary("Lists the artifacts of a run, by name.")
            .query::<PageQuery>()
            .answer::<Page<Artifact>>(200, "Artifacts."),
        Route::get("/api/v1/runs/{run}/artifacts/{artifact}", "download_artifact", download)
            .tag(Tag::Artifacts)
            .access(Access::Project(Role::Viewer))
            .summary("Downloads an artifact: a tar archive, compressed with zstd.")
            .description("`curl … | tar --zstd -x` unpacks it.")
            .answer_of(200, "The archive.", "application/zstd")
            .streams(),
    ]
}

fn shown(entry: &ArtifactEntry) -> Artifact {
    Artifact {
        name: entry.name.clone(),
        files: entry.contents.files,
        bytes: entry.contents.size,
        packed_bytes: entry.contents.stored,
        created_at: entry.saved_at,
        expires_at: Some(entry.expires_at),
    }
}

fn of_blobs(error: BlobError) -> ApiError {
    match error {
        BlobError::NotFound(message) => ApiError::new(ErrorKind::NotFound, message).suggest(
            "an agent on another machine keeps artifacts to itself unless servers and agents have the same `--blobs s3://…`",
        ),
        BlobError::Invalid(message) => ApiError::new(ErrorKind::NotFound, message),
        other => ApiError::internal("read the artifact", other),
    }
}

async fn list(
    State(state): State<ServerState>,
    caller: Caller,
    Path(run): Path<String>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<Artifact>>, ApiError> {
    let row = run::find(&state, &caller, &run).await?;
    let request = page::request_of(query)?;
    let found = state.engine.blobs.artifacts(&row.id.to_string()).await.map_err(of_blobs)?;
    let all = found.iter().map(shown).collect();
    Ok(Json(page::of_whole(all, &request, |artifact: &Artifact| artifact.name.clone())?))
}

async fn download(
    State(state): State<ServerState>,
    caller: Caller,
    Path((run, artifact)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let row = run::find(&state, &caller, &run).await?;
    let entry = state.engine.blobs.artifact(&row.id.to_string(), &artifact).await.map_err(of_blobs)?;
    let length = entry.contents.stored;
    let digest = entry.contents.digest.clone();
    let packed = state.engine.blobs.clone().packed(entry.contents);
    let mut response = Response::new(Body::from_stream(packed));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/zstd"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    let file: String =
        artifact.chars().map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' }).collect();
    let disposition = format!("attachment; filename=\"{file}.tar.zst\"");
    headers.extend(HeaderValue::from_str(&disposition).ok().map(|value| (header::CONTENT_DISPOSITION, value)));
    headers.extend(HeaderValue::from_str(&format!("\"{digest}\"")).ok().map(|value| (header::ETAG, value)));
    Ok(response)
}
