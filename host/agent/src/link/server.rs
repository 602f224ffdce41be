//! A server as an agent reaches it: one address, and requests of JSON with a bound for everything that is sent or read.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use oxide_core::cause::in_one_line;
use reqwest::{
    Certificate, StatusCode, Url,
    header::{AUTHORIZATION, CONTENT_TYPE},
    redirect::Policy,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// The largest message that is sent, and the largest answer that is read.
pub const MESSAGE_BYTES_MAX: usize = 32 << 20;
/// The most that is read of an answer that is an error.
const ERROR_BYTES_MAX: usize = 64 << 10;
/// How long connecting may take.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// How often a connection that is silent is tried, and after how long a silence: a machine that is gone is noticed.
const KEEPALIVE: Duration = Duration::from_secs(3);
const KEEPALIVE_TRIES: u32 = 3;
/// The most characters of a server's own words that are passed on.
const SAID_MAX: usize = 300;

/// The way to a server. Cheap to clone; all clones share its connections.
#[derive(Clone, Debug)]
pub struct Server {
    client: reqwest::Client,
    /// Ends with a slash.
    base: Url,
}

/// Why an address cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// It is none.
    #[error("`{text}` is not the address of a server: write it as `https://ci.example.com`")]
    Address {
        /// As it was written.
        text: String,
    },
    /// The file with certificates cannot be read.
    #[error("could not read the certificates in {}", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// The file holds no certificates.
    #[error("{} holds no usable certificate: it must hold them as PEM, with `-----BEGIN CERTIFICATE-----`", path.display())]
    NoCertificates {
        /// The file.
        path: PathBuf,
    },
    /// The library refuses.
    #[error("could not make connections ready")]
    Setup(#[source] reqwest::Error),
}

/// Why a request had no answer that could be used.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// There is no connection.
    #[error("could not reach the server at {server}")]
    Unreachable {
        /// Its address.
        server: String,
        /// Why.
        #[source]
        cause: reqwest::Error,
    },
    /// It was silent for too long.
    #[error("the server at {server} did not answer within {seconds} s")]
    Silent {
        /// Its address.
        server: String,
        /// How long was waited.
        seconds: u64,
    },
    /// It does not take the credential.
    #[error("the server at {server} refuses: {said}")]
    Refused {
        /// Its address.
        server: String,
        /// Its words.
        said: String,
    },
    /// It could not do it, or something before it could not.
    #[error("the server at {server} answered {status}: {said}")]
    Status {
        /// Its address.
        server: String,
        /// The status.
        status: StatusCode,
        /// Its words.
        said: String,
    },
    /// It is elsewhere.
    #[error("the server at {server} redirects to {to}: give that address")]
    Redirected {
        /// Its address.
        server: String,
        /// Where it leads.
        to: String,
    },
    /// The answer is too large.
    #[error("the answer of the server at {server} is larger than {} MiB", MESSAGE_BYTES_MAX >> 20)]
    TooLarge {
        /// Its address.
        server: String,
    },
    /// The message is too large.
    #[error("the message `{message}` has {bytes} bytes, and no more than {MESSAGE_BYTES_MAX} may be sent")]
    MessageTooLarge {
        /// Which.
        message: String,
        /// Its size.
        bytes: usize,
    },
    /// The answer is not what was asked for: another version, or another program.
    #[error(
        "the answer of the server at {server} to `{message}` makes no sense: is an `oxide server` there, of this version?"
    )]
    Answer {
        /// Its address.
        server: String,
        /// Which message.
        message: String,
        /// What is wrong with it.
        #[source]
        cause: serde_json::Error,
    },
}

/// What the server says of an error.
#[derive(Deserialize)]
struct ErrorBody {
    message: String,
}

impl Server {
    /// The server at an address such as `https://ci.example.com`, trusted by the certificates of this machine and those in
    /// the file.
    ///
    /// # Errors
    /// If the address or the file cannot be used.
    pub fn new(address: &str, ca_file: Option<&Path>) -> Result<Server, ServerError> {
        let base = parse(address).ok_or_else(|| ServerError::Address { text: address.to_owned() })?;
        oxide_registry::use_ring_for_tls();
        let certificates = ca_file.map(read_certificates).transpose()?.unwrap_or_default();
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("oxide-agent/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_MAX)
            .tcp_keepalive(KEEPALIVE)
            .tcp_keepalive_interval(KEEPALIVE)
            .tcp_keepalive_retries(KEEPALIVE_TRIES)
            .tls_certs_merge(certificates)
            // Nobody else is to see the credential.
            .redirect(Policy::none());
        if is_this_machine(&base) {
            builder = builder.no_proxy();
        }
        Ok(Server { client: builder.build().map_err(ServerError::Setup)?, base })
    }

    /// Its address, always written alike.
    pub fn address(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// Does the credential travel for others to see?
    pub fn is_readable_by_others(&self) -> bool {
        self.base.scheme() == "http" && !is_this_machine(&self.base)
    }

    /// Sends a message of an agent and reads the answer.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn call<A: DeserializeOwned>(
        &self,
        message: &str,
        credential: Option<&str>,
        body: &impl Serialize,
        patience: Duration,
    ) -> Result<A, CallError> {
        let body = serde_json::to_vec(body).expect("messages are plain data");
        if body.len() > MESSAGE_BYTES_MAX {
            return Err(CallError::MessageTooLarge { message: message.to_owned(), bytes: body.len() });
        }
        let bytes = match tokio::time::timeout(patience, self.exchange(message, credential, body)).await {
            Ok(answer) => answer?,
            Err(_) => return Err(CallError::Silent { server: self.name(), seconds: patience.as_secs() }),
        };
        // No content is how HTTP says nothing.
        let json: &[u8] = if bytes.is_empty() { b"null" } else { &bytes };
        serde_json::from_slice(json).map_err(|cause| CallError::Answer {
            server: self.name(),
            message: message.to_owned(),
            cause,
        })
    }

    async fn exchange(&self, message: &str, credential: Option<&str>, body: Vec<u8>) -> Result<Vec<u8>, CallError> {
        let url = self.base.join("api/v1/agent/").and_then(|below| below.join(message));
        let url = url.expect("the names of messages are words, and fit behind any address");
        let mut request = self.client.post(url).header(CONTENT_TYPE, "application/json").body(body);
        if let Some(credential) = credential {
            request = request.header(AUTHORIZATION, format!("Bearer {credential}"));
        }
        let mut response = request.send().await.map_err(|cause| self.unreachable(cause))?;
        let status = response.status();
        if status.is_redirection() {
            let to = response.headers().get("location").and_then(|to| to.to_str().ok()).unwrap_or("nowhere");
            return Err(CallError::Redirected { server: self.name(), to: shown(to) });
        }
        let bytes_max = if status.is_success() { MESSAGE_BYTES_MAX } else { ERROR_BYTES_MAX };
        let mut bytes = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(|cause| self.unreachable(cause))? {
            if bytes.len() + piece.len() > bytes_max {
                if status.is_success() {
                    return Err(CallError::TooLarge { server: self.name() });
                }
                break;
            }
            bytes.extend_from_slice(&piece);
        }
        if status.is_success() {
            return Ok(bytes);
        }
        let (server, said) = (self.name(), said(&bytes, status));
        Err(match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => CallError::Refused { server, said },
            _ => CallError::Status { server, status, said },
        })
    }

    fn name(&self) -> String {
        self.address().to_owned()
    }

    fn unreachable(&self, cause: reqwest::Error) -> CallError {
        CallError::Unreachable { server: self.name(), cause: cause.without_url() }
    }
}

impl CallError {
    /// May the same message get through a moment later?
    pub fn is_transient(&self) -> bool {
        let is_busy = |status| matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS);
        self.is_about_the_server() || matches!(self, CallError::Status { status, .. } if is_busy(*status))
    }

    /// May another server of the installation take the message now?
    pub fn is_about_the_server(&self) -> bool {
        match self {
            CallError::Unreachable { .. } | CallError::Silent { .. } => true,
            CallError::Status { status, .. } => status.is_server_error(),
            _ => false,
        }
    }

    /// Will this message never be taken as it is?
    pub fn is_about_the_message(&self) -> bool {
        match self {
            CallError::MessageTooLarge { .. } => true,
            CallError::Status { status, .. } => matches!(
                *status,
                StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE | StatusCode::UNPROCESSABLE_ENTITY
            ),
            _ => false,
        }
    }

    /// All of it in one line.
    pub fn in_one_line(&self) -> String {
        in_one_line(self)
    }
}

fn parse(address: &str) -> Option<Url> {
    let mut url = Url::parse(address.trim()).ok()?;
    let is_usable = matches!(url.scheme(), "http" | "https") && url.has_host() && url.query().is_none();
    // What stands before an `@` would be sent in the place of the credential.
    if !is_usable || url.fragment().is_some() || !url.username().is_empty() || url.password().is_some() {
        return None;
    }
    if !url.path().ends_with('/') {
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
    Some(url)
}

fn read_certificates(path: &Path) -> Result<Vec<Certificate>, ServerError> {
    let pem = fs::read(path).map_err(|cause| ServerError::CaFile { path: path.to_owned(), cause })?;
    match Certificate::from_pem_bundle(&pem) {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(ServerError::NoCertificates { path: path.to_owned() }),
    }
}

fn is_this_machine(url: &Url) -> bool {
    match url.host_str() {
        Some("localhost" | "[::1]") => true,
        Some(host) => host.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_loopback()),
        None => false,
    }
}

/// The words of the server, as far as they can be shown.
fn said(body: &[u8], status: StatusCode) -> String {
    let words = match serde_json::from_slice::<ErrorBody>(body) {
        Ok(error) => error.message,
        Err(_) => String::from_utf8_lossy(body).trim().to_owned(),
    };
    if words.is_empty() { status.canonical_reason().unwrap_or("without a word").to_lowercase() } else { shown(&words) }
}

/// Text of somebody else, fit for a message.
fn shown(text: &str) -> String {
    text.chars().map(|sign| if sign.is_control() { ' ' } else { sign }).take(SAID_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_one_of_http_and_holds_nothing_secret() {
        let good = |text: &str| parse(text).map(|url| url.to_string());
        assert_eq!(good("https://ci.example.com").as_deref(), Some("https://ci.example.com/"));
        assert_eq!(good(" http://10.0.0.1:8080/oxide ").as_deref(), Some("http://10.0.0.1:8080/oxide/"));
        for bad in
            ["ci.example.com", "ci.example.com:8080", "ftp://x", "https://", "https://me:secret@x", "http://x/?a=b"]
        {
            assert_eq!(good(bad), None, "{bad}");
        }
    }

    #[test]
    fn only_this_machine_is_this_machine() {
        let is_ours = |text: &str| is_this_machine(&parse(text).unwrap());
        assert!(is_ours("http://127.0.0.1:1") && is_ours("http://localhost") && is_ours("http://[::1]:80"));
        assert!(!is_ours("http://127.0.0.1.example.com") && !is_ours("http://10.0.0.1"));
    }

    #[test]
    fn the_words_of_a_server_are_shown_without_tricks() {
        let told = said(br#"{"error":"forbidden","message":"the token was\u001b[2J used"}"#, StatusCode::FORBIDDEN);
        assert_eq!(told, "the token was [2J used");
        assert_eq!(said(b"", StatusCode::BAD_GATEWAY), "bad gateway");
        assert_eq!(said(b"<html>no\n</html>", StatusCode::BAD_GATEWAY), "<html>no </html>");
    }
}
