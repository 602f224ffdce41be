//! The small registry: the OCI distribution specification 1.1 over the store of blobs.
//!
//! [`Registry::router`] answers everything below `/v2/`, so that another server can take it in; [`serve`] is a server of its
//! own. `route` reads paths, `manifest`, `range` and `page` decide, `store` and `upload` keep, `users` lets in; the
//! functions here put one request together with its answer. Nothing holds more of a blob in memory than a megabyte.
//!
//! A blob is stored once, whoever pushed it; a repository gives out only what was pushed to it or mounted into it.
//! Manifests are stored when everything that they name is there. [`Registry::collect`] removes what no manifest names.

mod collect;
pub mod connection;
mod host;
mod manifest;
mod names;
mod page;
mod range;
mod refusal;
mod route;
mod store;
#[cfg(test)]
mod tests;
mod upload;
mod users;

use std::{future::Future, io, ops::Range, path::PathBuf, sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, request::Parts},
    middleware,
    response::{IntoResponse as _, Response},
    routing::any,
};
use oxide_blobs::{Blobs, Location};
use oxide_core::quantity;
use serde_json::{Value as Json, json};
use tokio::{net::TcpListener, sync::Semaphore, time::timeout};

pub use self::{
    collect::{CollectError, Collected},
    route::manifest_of,
    users::{Right, Users, UsersError, read_users_file},
};
use self::{
    manifest::{MANIFEST_BYTES_MAX, Manifest},
    page::Page,
    range::Wanted,
    refusal::Refusal,
    route::{Name, Query, Route, Target},
    store::Repositories,
    upload::Uploads,
    users::Access,
};
use crate::oci::Digest;

/// The largest blob, if nothing else is said: 1 GiB.
pub const BLOB_BYTES_MAX: u64 = 1 << 30;

/// The folder of the registry in the store of blobs.
const FOLDER: &str = "registry";
/// How many manifests are held in memory at once; the others wait.
const MANIFESTS_AT_ONCE: usize = 32;
/// How long a manifest may take to arrive.
const MANIFEST_PATIENCE: Duration = Duration::from_secs(60);
/// How often abandoned uploads are looked for.
const TIDYING: Duration = Duration::from_secs(5 * 60);
/// How long requests may go on after the server was told to stop.
const FAREWELL: Duration = Duration::from_secs(10);
/// How much of a list of referrers is answered at once.
const REFERRERS_BYTES_MAX: usize = 4 << 20;

/// How a registry behaves.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where uploads are staged if the store is not a directory.
    pub staging: PathBuf,
    /// The largest blob in bytes.
    pub blob_bytes_max: u64,
    /// Nothing is pushed and nothing deleted.
    pub read_only: bool,
    /// A tag that points at something always points at it.
    pub immutable_tags: bool,
    /// The accounts.
    pub users: Option<Users>,
    /// What those may do who name no account.
    pub everybody: Option<Right>,
    /// Is told what went wrong inside, a line each.
    pub report: fn(&str),
}

/// A registry.
pub struct Registry {
    repositories: Repositories,
    uploads: Uploads,
    access: Access,
    manifests: Semaphore,
    report: fn(&str),
    /// Held as long as the registry is open, so that nothing is collected meanwhile.
    _in_use: std::fs::File,
}

impl Registry {
    /// Opens the registry in this store.
    ///
    /// # Errors
    /// If the directory for uploads cannot be made, or what is no longer needed is being collected.
    pub fn open(blobs: &Blobs, settings: Settings) -> io::Result<Arc<Registry>> {
        let uploads = Uploads::new(staging(blobs, settings.staging), settings.blob_bytes_max)?;
        let in_use = uploads.lock_file()?;
        in_use.try_lock_shared().map_err(|_| {
            io::Error::new(
                io::ErrorKind::WouldBlock,
                "`oxide registry gc` is at work in this store: wait until it ends",
            )
        })?;
        let objects = blobs.objects(FOLDER);
        Ok(Arc::new(Registry {
            repositories: Repositories { objects, immutable_tags: settings.immutable_tags },
            uploads,
            access: Access::new(settings.users, settings.everybody, settings.read_only)?,
            manifests: Semaphore::new(MANIFESTS_AT_ONCE),
            report: settings.report,
            _in_use: in_use,
        }))
    }

    /// Answers everything below `/v2/`.
    pub fn router(self: Arc<Self>) -> Router {
        Router::new()
            .route("/v2", any(answer))
            .route("/v2/", any(answer))
            .route("/v2/{*rest}", any(answer))
            .with_state(self)
    }

    /// Removes uploads that nobody has added to for a day, and those that never got a byte after ten minutes.
    ///
    /// # Errors
    /// If their directory cannot be read.
    pub async fn remove_abandoned_uploads(&self) -> io::Result<usize> {
        self.uploads.remove_abandoned(std::time::SystemTime::now()).await
    }
}

/// A file that lies in the directory of the store becomes a blob by being moved.
fn staging(blobs: &Blobs, elsewhere: PathBuf) -> PathBuf {
    match blobs.location() {
        Location::Directory(path) => path.join(FOLDER).join("uploads"),
        Location::S3(_) => elsewhere,
    }
}

/// Serves a registry until `stop` is ready; then what is under way has some seconds to end. Any `Host` will do.
///
/// # Errors
/// If the listener fails.
pub async fn serve(
    listener: TcpListener,
    registry: Arc<Registry>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let router = registry.clone().router();
    serve_router(listener, registry, router, stop).await
}

/// Like [`serve`]; but a registry without accounts that only this machine reaches answers only if `Host` names this
/// machine, so that no page in a browser reaches it under a name of its own.
///
/// # Errors
/// If the listener fails.
pub async fn serve_guarded(
    listener: TcpListener,
    registry: Arc<Registry>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let address = listener.local_addr()?.ip();
    let mut router = registry.clone().router();
    if address.is_loopback() && !registry.access.has_accounts() {
        router = router.layer(middleware::from_fn_with_state(address, host::check));
    }
    serve_router(listener, registry, router, stop).await
}

async fn serve_router(
    listener: TcpListener,
    registry: Arc<Registry>,
    router: Router,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let tidy = tokio::spawn({
        let registry = registry.clone();
        async move {
            loop {
                if let Err(error) = registry.remove_abandoned_uploads().await {
                    (registry.report)(&format!("could not look for abandoned uploads: {error}"));
                }
                tokio::time::sleep(TIDYING).await;
            }
        }
    });
    let (stopped, mut stopping) = tokio::sync::watch::channel(false);
    let listener = connection::BoundedListener::new(listener);
    let router = router.layer(middleware::from_fn(connection::note));
    let service = router.into_make_service_with_connect_info::<connection::Peer>();
    let server = axum::serve(listener, service).with_graceful_shutdown(async move {
        stop.await;
        stopped.send_replace(true);
    });
    let too_long = async {
        // An error says that the server has ended by itself.
        if stopping.wait_for(|stopped| *stopped).await.is_ok() {
            tokio::time::sleep(FAREWELL).await;
        } else {
            std::future::pending::<()>().await;
        }
    };
    let ended = tokio::select! {
        ended = server => ended,
        () = too_long => Ok(()),
    };
    tidy.abort();
    ended
}

/// One request, one answer.
async fn answer(State(registry): State<Arc<Registry>>, request: Request) -> Response {
    let mut response = match registry.handle(request).await {
        Ok(response) => response,
        Err(refusal) => {
            if let Some(inside) = &refusal.inside {
                (registry.report)(inside);
            }
            refusal.into_response()
        }
    };
    let version = HeaderName::from_static("docker-distribution-api-version");
    response.headers_mut().insert(version, HeaderValue::from_static("registry/2.0"));
    response
}

impl Registry {
    async fn handle(&self, request: Request) -> Result<Response, Refusal> {
        let (parts, body) = request.into_parts();
        let route = Route::parse(parts.uri.path());
        let needs = match parts.method {
            Method::GET | Method::HEAD => Right::Read,
            _ => Right::Write,
        };
        // Who asks comes before what is asked: strangers are not told what there is.
        self.access.check(&parts.headers, needs, matches!(route, Ok(Route::Base))).await?;
        // Browsers send this with whatever changes something. No page may use a registry that listens on this machine only.
        if needs == Right::Write && parts.headers.contains_key(header::ORIGIN) {
            return Err(Refusal::denied("pages in a browser cannot push"));
        }
        let query = Query::parse(parts.uri.query());
        let method = parts.method.clone();
        match (route?, method) {
            (Route::Base, Method::GET | Method::HEAD) => Ok(json_answer(&json!({}), None)),
            (Route::Catalog, Method::GET) => self.catalog(&query).await,
            (Route::Tags(name), Method::GET) => self.tags(&name, &query).await,
            (Route::Referrers(name, subject), Method::GET) => self.referrers(&name, &subject, &query).await,
            (Route::Blob(name, digest), Method::GET | Method::HEAD) => self.get_blob(&name, &digest, &parts).await,
            (Route::Blob(..), Method::DELETE) if self.repositories.immutable_tags => Err(Refusal::blobs_stay()),
            (Route::Blob(name, digest), Method::DELETE) => match self.repositories.unlink_blob(&name, &digest).await? {
                true => Ok(empty(StatusCode::ACCEPTED, &[])),
                false => Err(Refusal::blob_unknown()),
            },
            (Route::Manifest(name, target), Method::GET | Method::HEAD) => {
                self.get_manifest(&name, &target, parts.method == Method::HEAD).await
            }
            (Route::Manifest(name, target), Method::PUT) => {
                self.put_manifest(&name, &target, &parts.headers, body).await
            }
            (Route::Manifest(name, target), Method::DELETE) => {
                let removed = match &target {
                    Target::Tag(tag) => self.repositories.remove_tag(&name, tag).await?,
                    Target::Digest(digest) => self.repositories.remove_manifest(&name, digest).await?,
                };
                if removed { Ok(empty(StatusCode::ACCEPTED, &[])) } else { Err(Refusal::manifest_unknown()) }
            }
            (Route::Uploads(name), Method::POST) => self.begin_upload(&name, &query, body).await,
            (Route::Upload(name, id), Method::GET) => {
                let received = self.uploads.received(&name, &id).await?;
                Ok(upload_answer(StatusCode::NO_CONTENT, &name, &id, received))
            }
            (Route::Upload(name, id), Method::PATCH) => {
                let part = announced_part(&parts.headers)?;
                let received = self.append(&name, &id, body, part).await?;
                Ok(upload_answer(StatusCode::ACCEPTED, &name, &id, received))
            }
            (Route::Upload(name, id), Method::PUT) => {
                let digest = promised_digest(&query)?
                    .ok_or_else(|| Refusal::digest_invalid("say which digest the blob has: `?digest=sha256:…`"))?;
                let part = announced_part(&parts.headers)?;
                self.append(&name, &id, body, part).await?;
                self.finish_upload(&name, &id, &digest).await
            }
            (Route::Upload(name, id), Method::DELETE) => {
                self.uploads.cancel(&name, &id).await?;
                Ok(empty(StatusCode::NO_CONTENT, &[]))
            }
            _ => Err(Refusal::unsupported()),
        }
    }

    async fn get_blob(&self, name: &Name, digest: &Digest, parts: &Parts) -> Result<Response, Refusal> {
        let size = self.repositories.blob_size(name, digest).await?.ok_or_else(Refusal::blob_unknown)?;
        let asked = parts.headers.get(header::RANGE).and_then(|value| value.to_str().ok());
        let is_head = parts.method == Method::HEAD;
        let (status, part) = match range::wanted(asked.filter(|_| !is_head), size) {
            Wanted::All => (StatusCode::OK, 0..size),
            Wanted::Part(part) => (StatusCode::PARTIAL_CONTENT, part),
            Wanted::Nothing => return Err(Refusal::range(size)),
        };
        let mut headers = vec![
            (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
            (header::CONTENT_LENGTH, (part.end - part.start).to_string()),
            (header::ACCEPT_RANGES, "bytes".to_owned()),
            (header::ETAG, format!("\"{digest}\"")),
            (DIGEST_HEADER, digest.to_string()),
        ];
        if status == StatusCode::PARTIAL_CONTENT {
            headers.push((header::CONTENT_RANGE, format!("bytes {}-{}/{size}", part.start, part.end - 1)));
        }
        let mut response = empty(status, &headers);
        if !is_head {
            let stream = self.repositories.objects.read(&names::blob(digest), part);
            *response.body_mut() = Body::from_stream(stream);
        }
        Ok(response)
    }

    async fn get_manifest(&self, name: &Name, target: &Target, is_head: bool) -> Result<Response, Refusal> {
        let found = self.repositories.manifest(name, target).await?.ok_or_else(Refusal::manifest_unknown)?;
        let mut response = empty(
            StatusCode::OK,
            &[
                (header::CONTENT_TYPE, found.media_type),
                (header::CONTENT_LENGTH, found.bytes.len().to_string()),
                (header::ETAG, format!("\"{}\"", found.digest)),
                (DIGEST_HEADER, found.digest.to_string()),
            ],
        );
        if !is_head {
            *response.body_mut() = Body::from(found.bytes);
        }
        Ok(response)
    }

    async fn put_manifest(
        &self,
        name: &Name,
        target: &Target,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<Response, Refusal> {
        let too_large = || {
            Refusal::manifest_too_large(format!(
                "a manifest has at most {}",
                quantity::bytes(MANIFEST_BYTES_MAX as u64)
            ))
        };
        let _held = self.manifests.acquire().await.map_err(|error| Refusal::internal("wait for others", error))?;
        let bytes = timeout(MANIFEST_PATIENCE, to_bytes(body, MANIFEST_BYTES_MAX)).await;
        let bytes = bytes.map_err(|_| Refusal::manifest_invalid("it took too long"))?.map_err(|_| too_large())?;
        let manifest = Manifest::parse(&bytes, manifest::content_type(headers)).map_err(Refusal::manifest_invalid)?;
        let digest = self.repositories.put_manifest(name, target, &manifest, &bytes).await?;
        let mut headers = vec![
            (header::LOCATION, format!("/v2/{}/manifests/{digest}", name.as_str())),
            (DIGEST_HEADER, digest.to_string()),
        ];
        if let Some(subject) = &manifest.subject {
            headers.push((HeaderName::from_static("oci-subject"), subject.to_string()));
        }
        Ok(empty(StatusCode::CREATED, &headers))
    }

    async fn begin_upload(&self, name: &Name, query: &Query, body: Body) -> Result<Response, Refusal> {
        if let Some(mount) = query.get("mount") {
            let digest: Digest =
                mount.parse().map_err(|error: crate::oci::DigestError| Refusal::digest_invalid(error.to_string()))?;
            let from = query.get("from").and_then(Name::parse);
            if let Some(from) = from
                && self.repositories.blob_size(&from, &digest).await?.is_some()
            {
                self.repositories.link_blob(name, &digest).await?;
                return Ok(blob_created(name, &digest));
            }
        }
        let promised = promised_digest(query)?;
        let id = self.uploads.begin(name).await?;
        let Some(digest) = promised else { return Ok(upload_answer(StatusCode::ACCEPTED, name, &id, 0)) };
        if let Err(refusal) = self.append(name, &id, body, None).await {
            self.uploads.cancel(name, &id).await.ok();
            return Err(refusal);
        }
        self.finish_upload(name, &id, &digest).await
    }

    /// Adds bytes to an upload; a refusal tells where it stands.
    async fn append(&self, name: &Name, id: &str, body: Body, part: Option<Range<u64>>) -> Result<u64, Refusal> {
        match self.uploads.append(name, id, body, part).await {
            Ok(received) => Ok(received),
            Err(refusal) => match self.uploads.received(name, id).await {
                Ok(received) => {
                    Err(refusal.with(header::LOCATION, upload_path(name, id)).with(header::RANGE, came(received)))
                }
                Err(_) => Err(refusal),
            },
        }
    }

    async fn finish_upload(&self, name: &Name, id: &str, digest: &Digest) -> Result<Response, Refusal> {
        self.uploads.finish(name, id, digest, &self.repositories.objects).await?;
        self.repositories.link_blob(name, digest).await?;
        Ok(blob_created(name, digest))
    }

    async fn tags(&self, name: &Name, query: &Query) -> Result<Response, Refusal> {
        let page = Page::parse(query)?;
        if !self.repositories.exists(name).await? {
            return Err(Refusal::name_unknown());
        }
        let tags = self.repositories.tags(name).await?;
        let (tags, next) = page.of(tags, &format!("/v2/{}/tags/list", name.as_str()));
        Ok(json_answer(&json!({ "name": name.as_str(), "tags": tags }), next))
    }

    async fn catalog(&self, query: &Query) -> Result<Response, Refusal> {
        let (repositories, next) = Page::parse(query)?.of(self.repositories.repositories().await?, "/v2/_catalog");
        Ok(json_answer(&json!({ "repositories": repositories }), next))
    }

    async fn referrers(&self, name: &Name, subject: &Digest, query: &Query) -> Result<Response, Refusal> {
        let kind = query.get("artifactType").filter(|kind| !kind.is_empty());
        let after: Option<Digest> = query.get("last").and_then(|last| last.parse().ok());
        let (mut listed, mut bytes, mut next) = (Vec::<Json>::new(), 0, None);
        let mut last: Option<Digest> = None;
        for digest in self.repositories.referrers(name, subject).await? {
            if after.as_ref().is_some_and(|after| digest <= *after) {
                continue;
            }
            let Some(descriptor) = self.repositories.referrer(name, subject, &digest).await? else { continue };
            if kind.is_some_and(|kind| descriptor["artifactType"] != kind) {
                continue;
            }
            let size = descriptor.to_string().len();
            if let Some(last) = &last
                && (listed.len() == page::ENTRIES_MAX || bytes + size > REFERRERS_BYTES_MAX)
            {
                let path = format!("/v2/{}/referrers/{subject}", name.as_str());
                let filter = kind.map(|kind| ("artifactType", kind));
                let last = [("last", last.as_str())];
                next = Some(page::next_page(&path, &filter.into_iter().chain(last).collect::<Vec<_>>()));
                break;
            }
            bytes += size;
            listed.push(descriptor);
            last = Some(digest);
        }
        let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": listed });
        let mut response = json_answer(&index, next);
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(INDEX));
        if kind.is_some() {
            let applied = HeaderName::from_static("oci-filters-applied");
            response.headers_mut().insert(applied, HeaderValue::from_static("artifactType"));
        }
        Ok(response)
    }
}

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const DIGEST_HEADER: HeaderName = HeaderName::from_static("docker-content-digest");

fn promised_digest(query: &Query) -> Result<Option<Digest>, Refusal> {
    let digest = query.get("digest").map(str::parse::<Digest>).transpose();
    digest.map_err(|error| Refusal::digest_invalid(error.to_string()))
}

fn announced_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The bytes that a request says it sends; none if it does not.
fn announced_part(headers: &HeaderMap) -> Result<Option<Range<u64>>, Refusal> {
    let Some(value) = headers.get(header::CONTENT_RANGE) else { return Ok(None) };
    let part = value.to_str().ok().and_then(range::sent);
    let part = part.ok_or_else(|| Refusal::upload_invalid("`Content-Range` is FIRST-LAST, such as `0-1023`"))?;
    match announced_length(headers) {
        Some(length) if length != part.end - part.start => {
            Err(Refusal::size_invalid(format!("`Content-Range` and `Content-Length` ({length}) contradict each other")))
        }
        _ => Ok(Some(part)),
    }
}

fn upload_path(name: &Name, id: &str) -> String {
    format!("/v2/{}/blobs/uploads/{id}", name.as_str())
}

/// The bytes that came, as `Range` says it; there is no way to say none.
fn came(received: u64) -> String {
    format!("0-{}", received.saturating_sub(1))
}

fn upload_answer(status: StatusCode, name: &Name, id: &str, received: u64) -> Response {
    empty(
        status,
        &[
            (header::LOCATION, upload_path(name, id)),
            (header::RANGE, came(received)),
            (HeaderName::from_static("docker-upload-uuid"), id.to_owned()),
        ],
    )
}

fn blob_created(name: &Name, digest: &Digest) -> Response {
    let location = format!("/v2/{}/blobs/{digest}", name.as_str());
    empty(StatusCode::CREATED, &[(header::LOCATION, location), (DIGEST_HEADER, digest.to_string())])
}

fn empty(status: StatusCode, headers: &[(HeaderName, String)]) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    for (name, value) in headers {
        // What stands in headers was read by a grammar that knows visible ASCII only; a media type is checked, too.
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

fn json_answer(body: &Json, next: Option<String>) -> Response {
    let mut headers = vec![(header::CONTENT_TYPE, "application/json".to_owned())];
    headers.extend(next.map(|next| (header::LINK, next)));
    let mut response = empty(StatusCode::OK, &headers);
    *response.body_mut() = Body::from(body.to_string());
    response
}
