//! One request to a server: address, sign-in, bounds, repetition, and what the answer means.

use std::{path::Path, time::Duration};

use http::{HeaderMap, Method, StatusCode, header};
use reqwest::{Response, Url};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value as Json;

use crate::ClientError;

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an answer may take that is no stream.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// The largest answer that is read into memory.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// How often a request that may succeed a little later is sent again, if sending it twice does no harm.
const REPETITIONS: u32 = 4;
/// The pause before the first repetition; doubled for each further one.
const PAUSE: Duration = Duration::from_millis(250);
/// The longest pause that a server can ask for.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// The way to a server. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Transport {
    base: Url,
    token: Option<String>,
    http: reqwest::Client,
}

/// What is sent along.
#[derive(Clone, Debug)]
pub(crate) enum Body {
    None,
    Json(Json),
}

impl Body {
    pub(crate) fn json(value: &impl Serialize) -> Body {
        Body::Json(
            serde_json::to_value(value).expect("the types of requests have text keys and no failing serializers"),
        )
    }
}

impl Transport {
    /// The way to the server at this address, with the roots of this machine and those of a file.
    pub(crate) fn new(
        server: &str,
        token: Option<String>,
        authorities: Option<&Path>,
    ) -> Result<Transport, ClientError> {
        let base = base_url(server)?;
        // Fails if somebody installed one before, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let tls = |cause: Box<dyn std::error::Error + Send + Sync>| ClientError::Tls(cause);
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("oxide/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            // Redirects would carry the token elsewhere.
            .redirect(reqwest::redirect::Policy::none());
        if let Some(file) = authorities {
            let text = std::fs::read(file).map_err(|cause| tls(cause.into()))?;
            let found = reqwest::Certificate::from_pem_bundle(&text).map_err(|cause| tls(cause.into()))?;
            builder = builder.tls_certs_merge(found);
        }
        let http = builder.build().map_err(|cause| tls(cause.into()))?;
        Ok(Transport { base, token, http })
    }

    pub(crate) fn base(&self) -> &Url {
        &self.base
    }

    pub(crate) fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// The address of a route; every segment is escaped.
    pub(crate) fn url<'a>(&self, segments: impl IntoIterator<Item = &'a str>) -> Url {
        let mut url = self.base.clone();
        let mut path = url.path_segments_mut().expect("an http address can have a path");
        path.pop_if_empty().extend(["api", "v1"]).extend(segments);
        drop(path);
        url
    }

    /// Asks and reads a JSON answer. What can be repeated without harm is repeated while the server is away for a moment.
    pub(crate) async fn json<T: DeserializeOwned>(
        &self,
        method: Method,
        url: Url,
        body: Body,
    ) -> Result<T, ClientError> {
        let (status, bytes) = self.bytes(method, url.clone(), body).await?;
        // No content reads as `null`, which is the empty answer.
        let bytes = if bytes.is_empty() { b"null".to_vec() } else { bytes };
        serde_json::from_slice(&bytes).map_err(|cause| ClientError::Foreign {
            url: url.to_string(),
            status,
            problem: cause.to_string(),
        })
    }

    /// Asks and reads the answer as it is.
    async fn bytes(&self, method: Method, url: Url, body: Body) -> Result<(StatusCode, Vec<u8>), ClientError> {
        let harmless = matches!(method, Method::GET | Method::HEAD | Method::PUT | Method::DELETE);
        let mut repetition = 0;
        loop {
            let request = self.send(method.clone(), url.clone(), HeaderMap::new(), body.clone(), Some(ANSWER_TIMEOUT));
            let (error, pause) = match request.await {
                Ok(response) => match whole(response, &url).await {
                    Ok(answer) => return Ok(answer),
                    Err(error) => (error, None),
                },
                Err((error, pause)) => (error, pause),
            };
            // A server that says "too many" did nothing; any other failure may come after the deed.
            let did_nothing = error.status() == Some(StatusCode::TOO_MANY_REQUESTS);
            if repetition == REPETITIONS || !error.is_passing() || !(harmless || did_nothing) {
                return Err(error);
            }
            tokio::time::sleep(pause.unwrap_or(PAUSE * 2u32.pow(repetition)).min(PAUSE_MAX)).await;
            repetition += 1;
        }
    }

    /// Begins a stream; the body is not read.
    pub(crate) async fn stream(&self, url: Url, headers: HeaderMap) -> Result<Response, ClientError> {
        self.send(Method::GET, url, headers, Body::None, None).await.map_err(|(error, _)| error)
    }

    /// Sends one request. A refusal comes with the pause that the server asks for.
    async fn send(
        &self,
        method: Method,
        url: Url,
        headers: HeaderMap,
        body: Body,
        timeout: Option<Duration>,
    ) -> Result<Response, (ClientError, Option<Duration>)> {
        let mut request = self.http.request(method, url.clone()).headers(headers);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(timeout) = timeout {
            request = request.timeout(timeout);
        }
        request = match body {
            Body::None => request,
            Body::Json(value) => request.header(header::CONTENT_TYPE, "application/json").body(value.to_string()),
        };
        let unreachable = |cause: reqwest::Error| ClientError::Unreachable {
            url: url.to_string(),
            cause: Box::new(cause.without_url()),
        };
        let response = request.send().await.map_err(|cause| (unreachable(cause), None))?;
        if response.status().is_success() || response.status() == StatusCode::NOT_MODIFIED {
            return Ok(response);
        }
        let pause = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let (status, bytes) = whole(response, &url).await.map_err(|error| (error, None))?;
        Err((refusal(&url, status, &bytes), pause.map(Duration::from_secs)))
    }
}

/// An address with the fields of a query that are set.
pub(crate) fn with_query(mut url: Url, query: &impl Serialize) -> Url {
    let fields = serde_json::to_value(query).expect("queries have text keys and no failing serializers");
    for (name, value) in fields.as_object().into_iter().flatten() {
        match value {
            Json::Null => {}
            Json::String(text) => drop(url.query_pairs_mut().append_pair(name, text)),
            other => drop(url.query_pairs_mut().append_pair(name, &other.to_string())),
        }
    }
    url
}

/// Reads an address as people write it.
fn base_url(server: &str) -> Result<Url, ClientError> {
    let wrong = |problem: String| ClientError::Address { url: server.to_owned(), problem };
    let url = Url::parse(server).map_err(|cause| wrong(cause.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong(format!("its scheme is `{}`, not https or http", url.scheme())));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("it holds a user name or a password".to_owned()));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("it has more than a host and a path".to_owned()));
    }
    Ok(url)
}

async fn whole(mut response: Response, url: &Url) -> Result<(StatusCode, Vec<u8>), ClientError> {
    let status = response.status();
    let mut bytes = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if bytes.len() + chunk.len() <= ANSWER_BYTES_MAX => bytes.extend_from_slice(&chunk),
            Ok(Some(_)) => {
                let problem = "the answer is longer than 64 MiB".to_owned();
                return Err(ClientError::Foreign { url: url.to_string(), status, problem });
            }
            Ok(None) => return Ok((status, bytes)),
            Err(cause) => {
                let cause = Box::new(cause.without_url());
                return Err(ClientError::Unreachable { url: url.to_string(), cause });
            }
        }
    }
}

/// What a server means that said no.
pub(crate) fn refusal(url: &Url, status: StatusCode, bytes: &[u8]) -> ClientError {
    #[derive(serde::Deserialize)]
    struct ErrorBody {
        error: String,
        message: String,
        #[serde(default)]
        details: Option<String>,
        #[serde(default)]
        suggestions: Vec<String>,
    }
    match serde_json::from_slice::<ErrorBody>(bytes) {
        Ok(ErrorBody { error, message, details, suggestions }) => {
            ClientError::Refused { status, error, message, details, suggestions }
        }
        Err(_) => {
            let text: String = String::from_utf8_lossy(bytes).chars().filter(|c| !c.is_control()).take(200).collect();
            let problem = if text.is_empty() { "an empty answer".to_owned() } else { text };
            ClientError::Foreign { url: url.to_string(), status, problem }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_with_or_without_a_path() {
        for good in ["http://127.0.0.1:7780", "https://ci.example.org", "https://example.org/ci/"] {
            assert!(base_url(good).is_ok(), "{good}");
        }
        for bad in ["ci.example.org", "ftp://x", "https://u:p@x", "https://x/?a=b", "", "http://"] {
            assert!(matches!(base_url(bad), Err(ClientError::Address { .. })), "{bad}");
        }
    }

    #[test]
    fn segments_are_escaped_and_the_path_of_the_server_is_kept() {
        let transport = Transport::new("https://example.org/ci/", None, None).unwrap();
        let query = oxide_core::api::page::PageQuery { limit: Some(5), cursor: None };
        let url = with_query(transport.url(["secrets", "a/b?c"]), &query);
        assert_eq!(url.as_str(), "https://example.org/ci/api/v1/secrets/a%2Fb%3Fc?limit=5");
    }

    #[test]
    fn a_refusal_says_what_the_server_said() {
        let url = Url::parse("http://x/api").unwrap();
        let body =
            br#"{"error":"not_found","message":"there is no run 7","suggestions":["list them"],"timestamp":"t"}"#;
        let error = refusal(&url, StatusCode::NOT_FOUND, body);
        assert_eq!((error.to_string(), error.hint()), ("there is no run 7".to_owned(), Some("list them".to_owned())));
        let error = refusal(&url, StatusCode::BAD_GATEWAY, b"<html>\x1b[2J");
        assert!(matches!(&error, ClientError::Foreign { problem, .. } if problem == "<html>[2J"), "{error}");
        assert!(error.is_passing());
    }
}
