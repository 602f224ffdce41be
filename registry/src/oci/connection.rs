//! One request to a registry and its answer: account, retries, bounds, and words for what went wrong.
//!
//! An account is sent to the registry that it belongs to, and, if it is one of Docker's, to the server that the registry names
//! for tokens; never to where an answer redirects. Whatever is read has a bound.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use reqwest::{
    Method, RequestBuilder, Response, StatusCode, Url,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, RANGE, RETRY_AFTER, WWW_AUTHENTICATE},
    redirect::Policy,
};

use super::{
    auth::{self, Challenge, TokenRequest},
    credentials::{self, Account, OwnAccount, ServerLogin},
    error::OciError,
    reach::{Reach, proxies},
    reference::Repository,
};

/// How often something is tried in all.
pub(super) const TRIES: u32 = 3;
/// The longest wait that a registry may ask for and get; who asks for more is told to the user instead.
const WAIT_MAX: Duration = Duration::from_secs(20);
/// An upload that is slower is given up, in bytes per second.
const UPLOAD_SPEED_MIN: u64 = 16 << 10;
/// How long an answer may take that is read as a whole.
const WHOLE_MAX: Duration = Duration::from_secs(60);
/// A blob that comes slower is given up, in bytes per second; it has `WHOLE_MAX` besides.
const DOWNLOAD_SPEED_MIN: u64 = 16 << 10;
/// The most that is read of an answer that is an error.
const ERROR_BYTES_MAX: u64 = 64 << 10;
/// The largest answer of a token server.
const TOKEN_BYTES_MAX: u64 = 1 << 20;
/// More than any chain of redirects of a registry.
const REDIRECTS_MAX: usize = 5;

/// The environment variable that names registries without encryption, separated by commas.
const INSECURE_REGISTRIES: &str = "OXIDE_INSECURE_REGISTRIES";

/// How registries are reached. The default has Docker's accounts and what the environment says.
#[derive(Clone, Debug)]
pub struct ClientSettings {
    /// Hosts, with port if they have one, that are reached over http without encryption, besides this machine.
    pub insecure_hosts: Vec<String>,
    /// Which hosts may be asked.
    pub reach: Reach,
    /// Where accounts are kept, as Docker writes it.
    pub accounts: PathBuf,
    /// Accounts that this program has itself; each goes before one that is kept for the same host.
    pub own_accounts: Vec<OwnAccount>,
    /// Where the user has signed in with `oxide login`; each counts where no account is kept for the registry.
    pub logins: Vec<ServerLogin>,
    /// The wait before the second try; it doubles.
    pub first_wait: Duration,
    /// How long a registry may say nothing. While it takes an upload it says nothing, and gets more time.
    pub silence: Duration,
}

impl Default for ClientSettings {
    fn default() -> Self {
        ClientSettings {
            insecure_hosts: insecure_hosts(std::env::var(INSECURE_REGISTRIES).ok().as_deref()),
            reach: Reach::default(),
            accounts: credentials::docker_settings(),
            own_accounts: Vec::new(),
            logins: Vec::new(),
            first_wait: Duration::from_millis(500),
            silence: Duration::from_secs(30),
        }
    }
}

fn insecure_hosts(list: Option<&str>) -> Vec<String> {
    let hosts = list.unwrap_or_default().split(',').map(str::trim);
    hosts.filter(|host| !host.is_empty()).map(str::to_owned).collect()
}

/// What a request wants to do with a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Access {
    Read,
    Write,
}

/// One request.
#[derive(Clone)]
pub(super) struct Request {
    pub method: Method,
    pub url: Url,
    pub access: Access,
    /// What it is about, for messages: `the manifest 1.4 of acme/lint`.
    pub what: String,
    pub accept: Option<&'static str>,
    pub body: Option<(String, Bytes)>,
    /// Only the bytes from this one on.
    pub from: Option<u64>,
    /// How often it is tried.
    pub tries: u32,
}

/// Connections to registries, and who we are there.
pub(super) struct Connections {
    settings: ClientSettings,
    /// `WHOLE_MAX`, and less in tests.
    pub(super) whole_max: Duration,
    /// For everything but this machine: by way of the proxy that the environment names, if any.
    outside: reqwest::Client,
    /// For this machine.
    inside: reqwest::Client,
    /// Does the environment name a proxy?
    has_proxy: bool,
    /// What goes into `Authorization`, for each repository and access.
    authorizations: Mutex<HashMap<(Repository, Access), String>>,
}

impl Connections {
    pub fn new(settings: ClientSettings) -> Result<Connections, OciError> {
        crate::use_ring_for_tls();
        let reach = &settings.reach;
        Ok(Connections {
            outside: http_client(reach, false, redirects(reach))?,
            inside: http_client(reach, true, redirects(reach))?,
            has_proxy: !proxies().is_empty(),
            settings,
            whole_max: WHOLE_MAX,
            authorizations: Mutex::default(),
        })
    }

    /// The address of something below `/v2/` of the registry.
    pub fn url(&self, repository: &Repository, rest: &str) -> Result<Url, OciError> {
        let (host, path) = api(repository);
        let scheme = if self.is_plain(repository) { "http" } else { "https" };
        let text = format!("{scheme}://{host}/v2/{path}/{rest}");
        Url::parse(&text).map_err(|error| protocol(repository, format!("`{text}` is no address: {error}")))
    }

    /// Is the registry reached without encryption?
    pub fn is_plain(&self, repository: &Repository) -> bool {
        let host = repository.host();
        is_this_machine(host) || self.settings.insecure_hosts.iter().any(|insecure| insecure == host)
    }

    /// Does an address belong to the registry itself, so that the account may be sent there?
    pub fn is_of(&self, repository: &Repository, url: &Url) -> bool {
        self.url(repository, "").is_ok_and(|own| own.origin() == url.origin())
    }

    /// Sends a request, as often as it may be tried, until there is an answer that is a success.
    pub async fn send(&self, repository: &Repository, request: &Request) -> Result<Response, OciError> {
        let mut wait = self.settings.first_wait;
        let mut tried = 1;
        loop {
            let (error, asked_wait) = match self.send_once(repository, request).await {
                Ok(response) => return Ok(response),
                Err(failed) => failed,
            };
            let is_too_long = asked_wait.is_some_and(|asked| asked > WAIT_MAX);
            if tried >= request.tries || is_too_long || !is_transient(&error) {
                return Err(error);
            }
            tokio::time::sleep(asked_wait.unwrap_or(wait)).await;
            tried += 1;
            wait *= 2;
        }
    }

    /// Waits before the next try, longer each time.
    pub async fn wait_before(&self, next_try: u32) {
        tokio::time::sleep(self.settings.first_wait * 2u32.pow(next_try.saturating_sub(2).min(8))).await;
    }

    /// Sends it once, or twice if the registry asks who we are. The error comes with the wait that the registry asks for.
    async fn send_once(
        &self,
        repository: &Repository,
        request: &Request,
    ) -> Result<Response, (OciError, Option<Duration>)> {
        let plain = |error| (error, None);
        let is_own = self.is_of(repository, &request.url);
        let known = self.remembered(repository, request.access).filter(|_| is_own);
        let response = self.exchange(repository, request, known.clone()).await.map_err(plain)?;
        let is_challenge = response.status() == StatusCode::UNAUTHORIZED && is_own;
        // Who was redirected is not asked by the registry.
        if !is_challenge || !self.is_of(repository, response.url()) {
            return self.judge(repository, request, response).await;
        }
        let Some(challenge) = challenge(response.headers()) else {
            return self.judge(repository, request, response).await;
        };
        match self.answer(repository, request.access, &challenge).await.map_err(plain)? {
            Some(answer) if known.as_ref() != Some(&answer) => {
                self.remember(repository, request.access, answer.clone());
                let response = self.exchange(repository, request, Some(answer)).await.map_err(plain)?;
                self.judge(repository, request, response).await
            }
            _ => self.judge(repository, request, response).await,
        }
    }

    async fn exchange(
        &self,
        repository: &Repository,
        request: &Request,
        authorization: Option<String>,
    ) -> Result<Response, OciError> {
        self.admit(repository, &request.url).await?;
        let client = if is_this_machine(repository.host()) { &self.inside } else { &self.outside };
        let mut builder = client.request(request.method.clone(), request.url.clone());
        if let Some(accept) = request.accept {
            builder = builder.header(ACCEPT, accept);
        }
        if let Some(from) = request.from {
            builder = builder.header(RANGE, format!("bytes={from}-"));
        }
        if let Some((media_type, bytes)) = &request.body {
            builder = builder.header(CONTENT_TYPE, media_type).body(bytes.clone());
        } else if request.method != Method::GET && request.method != Method::HEAD {
            builder = builder.body(Bytes::new());
        }
        if let Some(authorization) = authorization {
            builder = builder.header(AUTHORIZATION, authorization);
        }
        let sent_bytes = request.body.as_ref().map_or(0, |(_, bytes)| bytes.len() as u64);
        self.heard(repository, builder, sent_bytes).await
    }

    /// May this address be asked for the registry?
    async fn admit(&self, repository: &Repository, url: &Url) -> Result<(), OciError> {
        let reach = &self.settings.reach;
        let admitted = match self.has_proxy {
            true => reach.admits_by_proxy(url).await,
            false => reach.admits(url),
        };
        admitted.map_err(|cause| OciError::NotReached { host: repository.host().to_owned(), cause })
    }

    /// Sends what was prepared, and waits for the head of the answer, but not for ever.
    async fn heard(
        &self,
        repository: &Repository,
        builder: RequestBuilder,
        sent_bytes: u64,
    ) -> Result<Response, OciError> {
        let patience = self.settings.silence + Duration::from_secs(sent_bytes / UPLOAD_SPEED_MIN);
        match tokio::time::timeout(patience, builder.send()).await {
            Ok(answer) => answer.map_err(|cause| self.unreachable(repository, cause)),
            Err(_) => Err(OciError::Silent { host: repository.host().to_owned(), seconds: patience.as_secs() }),
        }
    }

    /// The next bytes of an answer, none at its end. The error has no cause if nothing came for too long.
    pub async fn next_bytes(&self, response: &mut Response) -> Result<Option<Bytes>, Option<reqwest::Error>> {
        match tokio::time::timeout(self.settings.silence, response.chunk()).await {
            Ok(read) => read.map_err(|cause| Some(cause.without_url())),
            Err(_) => Err(None),
        }
    }

    /// A success, or words for what is wrong.
    async fn judge(
        &self,
        repository: &Repository,
        request: &Request,
        response: Response,
    ) -> Result<Response, (OciError, Option<Duration>)> {
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let wait = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
        let said = said(self.read(repository, "an error", response, ERROR_BYTES_MAX).await.unwrap_or_default());
        let host = repository.host().to_owned();
        let named = repository.path().to_owned();
        let with_account =
            || async { self.account(repository).await.is_ok_and(|account| !matches!(account, Account::Anonymous)) };
        let error = match status {
            StatusCode::UNAUTHORIZED => {
                OciError::Unauthorized { host, repository: named, with_account: with_account().await, said }
            }
            StatusCode::FORBIDDEN => OciError::Denied {
                host,
                repository: named,
                with_account: with_account().await,
                writes: request.access == Access::Write,
                said,
            },
            StatusCode::NOT_FOUND => OciError::NotFound { host, what: request.what.clone() },
            StatusCode::TOO_MANY_REQUESTS => {
                OciError::TooManyRequests { host, wait, with_account: with_account().await }
            }
            other => OciError::Status { host, status: other.to_string(), what: request.what.clone(), said },
        };
        Err((error, wait.map(Duration::from_secs)))
    }

    /// What goes into `Authorization` for this challenge; none if we are nobody and nobody is asked for.
    async fn answer(
        &self,
        repository: &Repository,
        access: Access,
        challenge: &Challenge,
    ) -> Result<Option<String>, OciError> {
        let account = self.account(repository).await?;
        let Challenge::Bearer { realm, service, .. } = challenge else {
            return Ok(auth::basic(&account));
        };
        let actions = if access == Access::Write { "pull,push" } else { "pull" };
        let scope = format!("repository:{}:{actions}", api(repository).1);
        let registry = self.url(repository, "")?;
        let Some(request) = auth::token_request(realm, service.as_deref(), &scope, &account, &registry) else {
            return Err(protocol(repository, format!("it names `{}` for tokens", shown(realm))));
        };
        let (builder, with_account) = match request {
            TokenRequest::Get { url, authorization } => {
                self.admit(repository, &url).await?;
                let builder = self.token_client(&url).get(url);
                match authorization {
                    Some(value) => (builder.header(AUTHORIZATION, value), true),
                    None => (builder, false),
                }
            }
            TokenRequest::Post { url, form } => {
                self.admit(repository, &url).await?;
                let is_inside = url.host_str().is_some_and(is_this_machine);
                let client = http_client(&self.settings.reach, is_inside, Policy::none())?;
                (client.post(url).header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form), true)
            }
        };
        let response = self.heard(repository, builder, 0).await?;
        let status = response.status();
        let body = self.read(repository, "a token", response, TOKEN_BYTES_MAX).await?;
        let host = repository.host().to_owned();
        match status {
            status if status.is_success() => {}
            status if status.is_redirection() => {
                return Err(protocol(repository, "its token server redirects, and the account is not sent elsewhere"));
            }
            StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                let repository = repository.path().to_owned();
                return Err(OciError::Unauthorized { host, repository, with_account, said: said(body) });
            }
            StatusCode::TOO_MANY_REQUESTS => {
                return Err(OciError::TooManyRequests { host, wait: None, with_account });
            }
            other => {
                let what = "the request for a token".to_owned();
                return Err(OciError::Status { host, status: other.to_string(), what, said: said(body) });
            }
        }
        #[derive(serde::Deserialize)]
        struct Token {
            token: Option<String>,
            access_token: Option<String>,
        }
        let token: Option<Token> = serde_json::from_slice(&body).ok();
        match token.and_then(|token| token.token.or(token.access_token)) {
            Some(token) if token.bytes().all(|byte| byte.is_ascii_graphic()) => Ok(Some(format!("Bearer {token}"))),
            _ => Err(protocol(repository, "its token server gives no token")),
        }
    }

    /// How long a blob of this size may take in all.
    pub fn blob_time(&self, size: u64) -> Duration {
        self.whole_max + Duration::from_secs(size / DOWNLOAD_SPEED_MIN)
    }

    /// Reads a whole answer, up to a bound of bytes and one of time.
    pub async fn read(
        &self,
        repository: &Repository,
        what: &str,
        response: Response,
        bytes_max: u64,
    ) -> Result<Bytes, OciError> {
        let read = self.read_in_time(repository, what, response, bytes_max);
        match tokio::time::timeout(self.whole_max, read).await {
            Ok(read) => read,
            Err(_) => Err(too_slow(repository, what, self.whole_max)),
        }
    }

    async fn read_in_time(
        &self,
        repository: &Repository,
        what: &str,
        mut response: Response,
        bytes_max: u64,
    ) -> Result<Bytes, OciError> {
        let host = repository.host();
        let too_large = || OciError::TooLarge { host: host.to_owned(), what: what.to_owned(), bytes_max };
        let size = response.content_length();
        if size.is_some_and(|size| size > bytes_max) {
            return Err(too_large());
        }
        let mut bytes = Vec::new();
        loop {
            match self.next_bytes(&mut response).await {
                Ok(Some(chunk)) if (bytes.len() + chunk.len()) as u64 > bytes_max => return Err(too_large()),
                Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
                Ok(None) => return Ok(bytes.into()),
                Err(cause) => {
                    return Err(OciError::Interrupted {
                        host: host.to_owned(),
                        what: what.to_owned(),
                        got: bytes.len() as u64,
                        size: size.unwrap_or(0),
                        cause,
                    });
                }
            }
        }
    }

    fn token_client(&self, url: &Url) -> &reqwest::Client {
        if url.host_str().is_some_and(is_this_machine) { &self.inside } else { &self.outside }
    }

    async fn account(&self, repository: &Repository) -> Result<Account, OciError> {
        if let Some(own) = self.settings.own_accounts.iter().find(|own| own.host == repository.host()) {
            return Ok(Account::OfRegistry { username: own.username.clone(), password: own.password.clone() });
        }
        let (file, host) = (self.settings.accounts.clone(), repository.host().to_owned());
        let found = tokio::task::spawn_blocking(move || credentials::account(&file, &host)).await;
        let found = found.map_err(|_| protocol(repository, "reading the accounts was cut off"))?;
        let found = found.map_err(|cause| OciError::Credentials { host: repository.host().to_owned(), cause })?;
        if !matches!(found, Account::Anonymous) {
            return Ok(found);
        }
        let registry = self.url(repository, "")?;
        let login = self.settings.logins.iter().find(|login| login.is_for(&registry));
        Ok(login.map_or(Account::Anonymous, ServerLogin::account))
    }

    fn remembered(&self, repository: &Repository, access: Access) -> Option<String> {
        let authorizations = self.authorizations.lock().unwrap_or_else(PoisonError::into_inner);
        authorizations.get(&(repository.clone(), access)).cloned()
    }

    fn remember(&self, repository: &Repository, access: Access, value: String) {
        let mut authorizations = self.authorizations.lock().unwrap_or_else(PoisonError::into_inner);
        authorizations.insert((repository.clone(), access), value);
    }

    fn unreachable(&self, repository: &Repository, cause: reqwest::Error) -> OciError {
        OciError::Unreachable { host: repository.host().to_owned(), cause: cause.without_url() }
    }
}

fn http_client(reach: &Reach, is_inside: bool, redirects: Policy) -> Result<reqwest::Client, OciError> {
    let builder = reqwest::Client::builder()
        .user_agent(concat!("oxide/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(Duration::from_secs(10))
        .redirect(redirects);
    let builder = if is_inside { builder.no_proxy() } else { builder };
    let builder = match reach.resolver() {
        Some(resolver) => builder.dns_resolver(resolver),
        None => builder,
    };
    builder.build().map_err(OciError::Setup)
}

/// Redirects are followed, but not from an encrypted connection to one that is not. The library takes the account out of a
/// request that goes to another host or port.
fn redirects(reach: &Reach) -> Policy {
    let reach = reach.clone();
    Policy::custom(move |attempt| {
        if let Err(refused) = reach.admits(attempt.url()) {
            return attempt.error(refused);
        }
        let was_encrypted = attempt.previous().iter().any(|url| url.scheme() == "https");
        if was_encrypted && attempt.url().scheme() != "https" {
            return attempt.error("it redirects to an address without encryption");
        }
        match attempt.previous().len() {
            0..=REDIRECTS_MAX => attempt.follow(),
            _ => attempt.error("it redirects without end"),
        }
    })
}

fn challenge(headers: &HeaderMap) -> Option<Challenge> {
    let lines = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
    Challenge::from_headers(lines)
}

/// An answer that the protocol does not know.
pub(super) fn protocol(repository: &Repository, problem: impl Into<String>) -> OciError {
    OciError::Protocol { host: repository.host().to_owned(), problem: problem.into() }
}

/// An answer that kept coming, but did not come to its end in time.
pub(super) fn too_slow(repository: &Repository, what: &str, time: Duration) -> OciError {
    protocol(repository, format!("it was too slow, {what} has not come within {} s", time.as_secs()))
}

/// May the same request succeed a moment later?
fn is_transient(error: &OciError) -> bool {
    match error {
        OciError::TooManyRequests { .. } => true,
        OciError::Status { status, .. } => status.starts_with('5') || status.starts_with("408"),
        // A host that does not exist or refuses may be there again in a moment, too; what cannot be is that a certificate
        // gets better or a redirect is allowed.
        OciError::Unreachable { cause, .. } => !cause.is_redirect() && !cause.is_builder() && !is_about_trust(cause),
        OciError::Interrupted { .. } | OciError::Silent { .. } => true,
        _ => false,
    }
}

/// Was the certificate of the other side refused?
pub(super) fn is_about_trust(error: &reqwest::Error) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        // An I/O error holds its reason, and says as its cause only what that has for one.
        let mut io = error.downcast_ref::<std::io::Error>();
        while let Some(held) = io.and_then(std::io::Error::get_ref) {
            if held.is::<rustls::Error>() {
                return true;
            }
            io = held.downcast_ref();
        }
        if error.is::<rustls::Error>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// The words of a registry about an error, behind `: `; empty if there are none that can be shown.
fn said(body: Bytes) -> String {
    #[derive(serde::Deserialize)]
    struct Envelope {
        errors: Vec<Entry>,
    }
    #[derive(serde::Deserialize)]
    struct Entry {
        #[serde(default)]
        code: String,
        #[serde(default)]
        message: String,
    }
    let Ok(envelope) = serde_json::from_slice::<Envelope>(&body) else { return String::new() };
    let words = |entry: &Entry| if entry.message.is_empty() { entry.code.clone() } else { entry.message.clone() };
    let words: Vec<String> = envelope.errors.iter().take(3).map(words).filter(|words| !words.is_empty()).collect();
    if words.is_empty() { String::new() } else { format!(": {}", shown(&words.join("; "))) }
}

/// Text of somebody else, fit for a message.
pub(super) fn shown(text: &str) -> String {
    text.chars().map(|sign| if sign.is_control() { ' ' } else { sign }).take(200).collect()
}

/// Host and name as the registry's interface wants them: Docker's own registry has another address than its name.
fn api(repository: &Repository) -> (&str, String) {
    match repository.host() {
        "docker.io" | "index.docker.io" => {
            let path = repository.path();
            ("registry-1.docker.io", if path.contains('/') { path.to_owned() } else { format!("library/{path}") })
        }
        host => (host, repository.path().to_owned()),
    }
}

/// Does a host with an optional port name this machine?
pub(super) fn is_this_machine(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(rest),
        None => host.split(':').next().unwrap_or(host),
    };
    let is_ipv6 = || name.parse().is_ok_and(|address: std::net::Ipv6Addr| address.is_loopback());
    name.eq_ignore_ascii_case("localhost") || name == "127.0.0.1" || is_ipv6()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connections(insecure: &[&str]) -> Connections {
        let insecure_hosts = insecure.iter().map(|host| (*host).to_owned()).collect();
        Connections::new(ClientSettings { insecure_hosts, ..ClientSettings::default() }).unwrap()
    }

    #[test]
    fn only_this_machine_and_named_hosts_are_reached_without_encryption() {
        let connections = connections(&["registry.local:5000"]);
        for (repository, url) in [
            ("ghcr.io/a/b", "https://ghcr.io/v2/a/b/x"),
            ("localhost/a/b", "http://localhost/v2/a/b/x"),
            ("127.0.0.1:5000/a", "http://127.0.0.1:5000/v2/a/x"),
            ("[::1]:5000/a", "http://[::1]:5000/v2/a/x"),
            ("registry.local:5000/a", "http://registry.local:5000/v2/a/x"),
            ("registry.local/a", "https://registry.local/v2/a/x"),
            ("localhost.evil.example/a", "https://localhost.evil.example/v2/a/x"),
            ("127.0.0.1.evil.example/a", "https://127.0.0.1.evil.example/v2/a/x"),
            ("docker.io/busybox", "https://registry-1.docker.io/v2/library/busybox/x"),
            ("docker.io/acme/lint", "https://registry-1.docker.io/v2/acme/lint/x"),
        ] {
            let repository = Repository::parse(repository).unwrap();
            assert_eq!(connections.url(&repository, "x").unwrap().as_str(), url);
        }
    }

    #[test]
    fn the_environment_names_hosts_separated_by_commas() {
        assert_eq!(insecure_hosts(Some(" a:5000, ,b ")), ["a:5000", "b"]);
        assert_eq!(insecure_hosts(None), Vec::<String>::new());
    }

    #[test]
    fn an_account_belongs_to_one_origin() {
        let connections = connections(&[]);
        let repository = Repository::parse("ghcr.io/a/b").unwrap();
        let is_of = |url: &str| connections.is_of(&repository, &Url::parse(url).unwrap());
        assert!(is_of("https://ghcr.io/anything") && is_of("https://ghcr.io:443/v2/"));
        assert!(!is_of("http://ghcr.io/") && !is_of("https://ghcr.io:444/") && !is_of("https://evil.example/ghcr.io"));
    }

    #[test]
    fn the_words_of_a_registry_are_shown_without_what_harms_a_terminal() {
        let body = br#"{"errors":[{"code":"DENIED","message":"no \u001b[31mrights"},{"code":"X"}]}"#;
        assert_eq!(said(Bytes::from_static(body)), ": no  [31mrights; X");
        assert_eq!(said(Bytes::from_static(b"<html>")), "");
    }

    /// A server that gives this head to every request, then `x` again and again; it remembers the requests.
    async fn drip(head: &str) -> (String, std::sync::Arc<Mutex<Vec<String>>>) {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let head = head.replace("ADDRESS", &address);
        let seen = std::sync::Arc::<Mutex<Vec<String>>>::default();
        let remembered = std::sync::Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (head, seen) = (head.clone(), std::sync::Arc::clone(&seen));
                tokio::spawn(async move {
                    let mut asked = Vec::new();
                    while !asked.ends_with(b"\r\n\r\n") {
                        asked.push(stream.read_u8().await.unwrap());
                    }
                    seen.lock().unwrap().push(String::from_utf8(asked).unwrap());
                    let mut sent = stream.write_all(head.as_bytes()).await;
                    while sent.is_ok() {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                        sent = stream.write_all(b"x").await;
                    }
                });
            }
        });
        (address, remembered)
    }

    #[tokio::test]
    async fn an_answer_that_comes_byte_by_byte_is_given_up() {
        let (address, _) = drip("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n").await;
        let connections = Connections { whole_max: Duration::from_millis(300), ..connections(&[]) };
        let repository = Repository::parse(&format!("{address}/a")).unwrap();
        let url = connections.url(&repository, "manifests/1").unwrap();
        let response = connections.inside.get(url).send().await.unwrap();
        let error = connections.read(&repository, "the manifest", response, 1 << 20).await.unwrap_err().to_string();
        assert!(error.contains("it was too slow, the manifest has not come within 0 s"), "{error}");
    }

    #[test]
    fn a_blob_has_time_by_its_size() {
        let connections = connections(&[]);
        assert_eq!(connections.blob_time(0), Duration::from_secs(60));
        assert_eq!(connections.blob_time(1 << 20), Duration::from_secs(60 + 64));
    }

    #[tokio::test]
    async fn a_token_that_is_exchanged_goes_to_nobody_else() {
        let head = "HTTP/1.1 307 Temporary Redirect\r\nLocation: http://ADDRESS/elsewhere\r\nContent-Length: 0\r\n\r\n";
        let (address, seen) = drip(head).await;
        let folder = tempfile::tempdir().unwrap();
        let accounts = folder.path().join("config.json");
        let text = format!(r#"{{"auths": {{"{address}": {{"auth": "YWRhOg==", "identitytoken": "secret"}}}}}}"#);
        std::fs::write(&accounts, text).unwrap();
        let connections = Connections::new(ClientSettings { accounts, ..ClientSettings::default() }).unwrap();
        let repository = Repository::parse(&format!("{address}/a")).unwrap();
        let realm = format!("http://{address}/token");
        let challenge = Challenge::Bearer { realm, service: None, scope: None };
        let error = connections.answer(&repository, Access::Read, &challenge).await.unwrap_err().to_string();
        assert!(error.contains("its token server redirects"), "{error}");
        let seen = seen.lock().unwrap();
        assert!(seen.len() == 1 && seen[0].starts_with("POST /token "), "{seen:?}");
    }
}
