//! Requests to hosts that the pipeline grants, by standard `wasi:http`. With the feature `http`.
//!
//! The host connects, speaks TLS, and puts the value of a secret where its placeholder stands. Redirects are answers.
//!
//! ```no_run
//! # use oxide_plugin::{Failure, http::Request, secrets};
//! # fn run() -> Result<(), Failure> {
//! let token = secrets::placeholder("TOKEN")?;
//! let answer = Request::post("https://api.example/releases")
//!     .header("authorization", format!("Bearer {token}"))
//!     .header("content-type", "application/json")
//!     .body(r#"{ "tag": "v1.0.0" }"#)
//!     .send()?
//!     .check()?;
//! let text = answer.text();
//! # Ok(())
//! # }
//! ```

use std::time::Duration;

use wasip2::{
    http::{
        outgoing_handler,
        types::{
            ErrorCode, Fields, FutureIncomingResponse, IncomingBody, IncomingResponse, Method, OutgoingBody,
            OutgoingRequest, RequestOptions, Scheme, http_error_code,
        },
    },
    io::streams::StreamError,
};

use crate::{Error, Failure, command::into_text};

/// So many bytes are written at once: the most that one call of the interface takes.
const WRITE_BYTES: usize = 4096;
/// So many bytes are read at once.
const READ_BYTES: u64 = 64 << 10;
/// So much of an answer is shown where it is the reason of a failure.
const SHOWN_CHARACTERS_MAX: usize = 300;

/// A request that is being built. Nothing is sent before [`send`](Request::send).
#[must_use = "nothing is sent before `send`"]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    method: String,
    url: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    timeout: Option<Duration>,
}

/// What the server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status, such as 200.
    pub status: u16,
    /// The headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body. Values of secrets that the plugin may not read are `***` in it.
    pub body: Vec<u8>,
}

impl Request {
    /// A request with this method, such as `PATCH`.
    pub fn new(method: impl Into<String>, url: impl Into<String>) -> Request {
        Request { method: method.into(), url: url.into(), headers: Vec::new(), body: Vec::new(), timeout: None }
    }

    /// A `GET` request.
    pub fn get(url: impl Into<String>) -> Request {
        Request::new("GET", url)
    }

    /// A `POST` request.
    pub fn post(url: impl Into<String>) -> Request {
        Request::new("POST", url)
    }

    /// A `PUT` request.
    pub fn put(url: impl Into<String>) -> Request {
        Request::new("PUT", url)
    }

    /// A `DELETE` request.
    pub fn delete(url: impl Into<String>) -> Request {
        Request::new("DELETE", url)
    }

    /// Adds a header. `content-length` is set by [`send`](Request::send).
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Request {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets the body.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Request {
        self.body = body.into();
        self
    }

    /// How long to wait for a connection, for the beginning of the answer, and between two pieces of it. The host waits
    /// 30 s and 5 minutes at most.
    pub fn timeout(mut self, timeout: Duration) -> Request {
        self.timeout = Some(timeout);
        self
    }

    /// Sends it and reads the whole answer, whatever its status.
    ///
    /// # Errors
    /// [`Error::Denied`] for a host that is not granted, [`Error::Invalid`] for an address that is none, [`Error::Other`]
    /// if there is no answer.
    pub fn send(&self) -> Result<Response, Error> {
        let answer = self.start()?;
        answer.subscribe().block();
        let answer = answer.get().ok_or_else(|| other("there is no answer"))?;
        let answer = answer.map_err(|()| other("there is no answer"))?.map_err(|code| self.refused(&code))?;
        self.read(&answer)
    }

    fn start(&self) -> Result<FutureIncomingResponse, Error> {
        let Address { is_encrypted, authority, path } = Address::parse(&self.url)?;
        let invalid = |what: &str, text: &str| Error::Invalid(format!("the {what} `{text}` cannot be sent"));
        let fields = Fields::new();
        for (name, value) in &self.headers {
            fields.append(name, value.as_bytes()).map_err(|_| invalid("header", name))?;
        }
        if !self.body.is_empty() {
            let length = self.body.len().to_string();
            fields.set("content-length", &[length.into_bytes()]).map_err(|_| invalid("header", "content-length"))?;
        }
        let request = OutgoingRequest::new(fields);
        request.set_method(&Method::Other(self.method.clone())).map_err(|()| invalid("method", &self.method))?;
        let scheme = if is_encrypted { Scheme::Https } else { Scheme::Http };
        request.set_scheme(Some(&scheme)).map_err(|()| invalid("address", &self.url))?;
        request.set_authority(Some(authority)).map_err(|()| invalid("host", authority))?;
        request.set_path_with_query(Some(&path)).map_err(|()| invalid("path", &path))?;
        let options = self.timeout.map(|timeout| {
            let options = RequestOptions::new();
            let nanoseconds = Some(u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX));
            // A host that does not know one of them keeps its own.
            let _ = options.set_connect_timeout(nanoseconds);
            let _ = options.set_first_byte_timeout(nanoseconds);
            let _ = options.set_between_bytes_timeout(nanoseconds);
            options
        });
        let body = request.body().map_err(|()| other("the request has no body"))?;
        let answer = outgoing_handler::handle(request, options).map_err(|code| self.refused(&code))?;
        // A request that the host refuses takes no body, and the answer says why.
        if self.write(&body) {
            let _ = OutgoingBody::finish(body, None);
        }
        Ok(answer)
    }

    fn write(&self, body: &OutgoingBody) -> bool {
        let Ok(stream) = body.write() else { return false };
        self.body.chunks(WRITE_BYTES).all(|part| stream.blocking_write_and_flush(part).is_ok())
    }

    fn read(&self, answer: &IncomingResponse) -> Result<Response, Error> {
        let text = |bytes: Vec<u8>| into_text(bytes);
        let headers = answer.headers().entries().into_iter().map(|(name, value)| (name.to_lowercase(), text(value)));
        let headers = headers.collect();
        let body = answer.consume().map_err(|()| other("the body of the answer was read"))?;
        let body = self.read_body(&body)?;
        Ok(Response { status: answer.status(), headers, body })
    }

    fn read_body(&self, body: &IncomingBody) -> Result<Vec<u8>, Error> {
        let stream = body.stream().map_err(|()| other("the body of the answer was read"))?;
        let mut bytes = Vec::new();
        loop {
            match stream.blocking_read(READ_BYTES) {
                Ok(piece) => bytes.extend_from_slice(&piece),
                Err(StreamError::Closed) => return Ok(bytes),
                Err(StreamError::LastOperationFailed(error)) => {
                    return Err(match http_error_code(&error) {
                        Some(code) => self.refused(&code),
                        None => other(&format!("the answer of {} broke off", self.url)),
                    });
                }
            }
        }
    }

    /// Why there is no answer. The log of the step has a line of the host that says more.
    fn refused(&self, code: &ErrorCode) -> Error {
        match code {
            ErrorCode::HttpRequestDenied => {
                Error::Denied(format!("the request to {} was refused; the log says what to grant", self.url))
            }
            ErrorCode::InternalError(Some(text)) => Error::Other(format!("no answer from {}: {text}", self.url)),
            code => {
                let name = format!("{code:?}");
                Error::Other(format!("no answer from {}: {}", self.url, name.trim_start_matches("ErrorCode::")))
            }
        }
    }
}

impl Response {
    /// Did the server do what was asked: a status from 200 to 299?
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The body as text. What is not UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Makes a failure of every status but success.
    ///
    /// # Errors
    /// With the status and the beginning of the body.
    pub fn check(self) -> Result<Response, Failure> {
        if self.is_success() {
            return Ok(self);
        }
        let text = self.text();
        let shown: String = text.trim().chars().take(SHOWN_CHARACTERS_MAX).collect();
        let colon = if shown.is_empty() { "" } else { ": " };
        Err(Failure::Other(format!("the server answered with status {}{colon}{shown}", self.status)))
    }
}

fn other(text: &str) -> Error {
    Error::Other(text.to_owned())
}

/// The parts of a URL that a request needs.
#[derive(Debug, PartialEq, Eq)]
struct Address<'a> {
    is_encrypted: bool,
    authority: &'a str,
    path: String,
}

impl Address<'_> {
    fn parse(url: &str) -> Result<Address<'_>, Error> {
        let unusable = || Error::Invalid(format!("`{url}` is no address: write one such as https://example.org/path"));
        let (scheme, rest) = url.split_once("://").ok_or_else(unusable)?;
        let is_encrypted = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return Err(unusable()),
        };
        // What follows `#` is for who reads the answer.
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if authority.is_empty() {
            return Err(unusable());
        }
        let slash = if path.starts_with('/') { "" } else { "/" };
        Ok(Address { is_encrypted, authority, path: format!("{slash}{path}") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_scheme_a_host_and_a_path() {
        let address = |is_encrypted, authority, path: &str| Ok(Address { is_encrypted, authority, path: path.into() });
        for (url, expected) in [
            ("https://example.org", address(true, "example.org", "/")),
            ("HTTP://example.org:8080/a/b?c=d#e", address(false, "example.org:8080", "/a/b?c=d")),
            ("https://[::1]?q=/", address(true, "[::1]", "/?q=/")),
        ] {
            assert_eq!(Address::parse(url), expected, "{url}");
        }
        for url in ["", "example.org", "ftp://example.org", "https://", "https:///path"] {
            assert!(matches!(Address::parse(url), Err(Error::Invalid(_))), "{url}");
        }
    }

    #[test]
    fn a_status_that_is_no_success_fails_with_the_words_of_the_server() {
        let answer = |status, body: &str| Response { status, headers: Vec::new(), body: body.into() };
        assert!(answer(204, "").check().is_ok());
        assert_eq!(answer(404, "").check(), Err(Failure::other("the server answered with status 404")));
        let failure = answer(500, &format!(" out of {} ", "é".repeat(400))).check().unwrap_err().to_string();
        assert!(failure.starts_with("the server answered with status 500: out of éé") && failure.chars().count() < 400);
    }

    #[test]
    fn headers_are_found_in_any_case() {
        let headers = vec![("x-a".to_owned(), "1".to_owned()), ("x-a".to_owned(), "2".to_owned())];
        let answer = Response { status: 200, headers, body: Vec::new() };
        assert_eq!((answer.header("X-A"), answer.header("x-b")), (Some("1"), None));
    }
}
