//! The head of a request and of a response: where it goes, the values of secrets in it, and what the plugin may see.

use base64::{Engine, engine::general_purpose::STANDARD};
use http::{
    HeaderMap, HeaderValue, Method, StatusCode, Uri,
    header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, HOST},
    request, response,
    uri::{PathAndQuery, Scheme},
};
use oxide_core::secret::{
    MaskStream, Masker, Placeholders, StepSecret,
    mask::{KEPT_IN_PATH, KEPT_IN_QUERY},
};

use super::error::HttpError;

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Destination {
    /// In lower case, an address of IPv6 in brackets.
    pub host: String,
    pub port: u16,
    pub is_encrypted: bool,
}

impl Destination {
    /// Reads it from a request.
    pub fn of(request: &request::Parts) -> Result<Destination, HttpError> {
        if request.method == Method::CONNECT {
            return Err(HttpError::Method);
        }
        let authority = request.uri.authority().ok_or(HttpError::Url)?;
        if authority.as_str().contains('@') || authority.host().is_empty() {
            return Err(HttpError::Url);
        }
        let is_encrypted = request.uri.scheme() != Some(&Scheme::HTTP);
        // A port that is no number is no port to the library: `host:99999`.
        let port = match authority.port_u16() {
            Some(port) => port,
            None if authority.as_str() != authority.host() => return Err(HttpError::Url),
            None if is_encrypted => 443,
            None => 80,
        };
        Ok(Destination { host: authority.host().to_ascii_lowercase(), port, is_encrypted })
    }

    /// The port that a URL leaves out.
    pub fn usual_port(&self) -> u16 {
        if self.is_encrypted { 443 } else { 80 }
    }

    /// Without the brackets of an address.
    pub fn bare_host(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }

    /// As it stands in a URL.
    pub fn authority(&self) -> String {
        if self.port == self.usual_port() { self.host.clone() } else { format!("{}:{}", self.host, self.port) }
    }
}

/// Puts values in the place of placeholders, and makes the head what goes over the wire. Answers with the first secret
/// that is spent.
pub(super) fn fill<'s>(
    head: &mut request::Parts,
    destination: &Destination,
    secrets: &'s Placeholders,
) -> Result<Option<&'s StepSecret>, HttpError> {
    let mut spent = None;
    let path = head.uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let path = fill_path(path, secrets, &mut spent);
    head.uri = path.parse::<PathAndQuery>().map(Uri::from).map_err(|_| HttpError::Url)?;
    for (name, value) in &mut head.headers {
        fill_header(value, *name == AUTHORIZATION, secrets, &mut spent)?;
    }
    let host = HeaderValue::try_from(destination.authority()).map_err(|_| HttpError::Url)?;
    head.headers.insert(HOST, host);
    Ok(spent)
}

/// A path with values in it. What would end the part of the URL in which a value stands is escaped.
fn fill_path<'s>(path: &str, secrets: &'s Placeholders, spent: &mut Option<&'s StepSecret>) -> String {
    let query_at = path.find('?').unwrap_or(path.len());
    let (before, query) = path.split_at(query_at);
    let mut fill = |part: &str, kept: &[u8]| {
        let named = secrets.iter().filter(|secret| part.contains(&secret.placeholder));
        named.fold(part.to_owned(), |text, secret| {
            *spent = Some(secret);
            text.replace(&secret.placeholder, &escape(secret.value.expose(), kept))
        })
    };
    let before = fill(before, KEPT_IN_PATH);
    before + &fill(query, KEPT_IN_QUERY)
}

fn escape(value: &str, kept: &[u8]) -> String {
    value
        .bytes()
        .map(|byte| match byte.is_ascii_alphanumeric() || kept.contains(&byte) {
            true => char::from(byte).to_string(),
            false => format!("%{byte:02X}"),
        })
        .collect()
}

/// Fills a header, also within the base64 of `Authorization: Basic`.
fn fill_header<'s>(
    value: &mut HeaderValue,
    is_authorization: bool,
    secrets: &'s Placeholders,
    spent: &mut Option<&'s StepSecret>,
) -> Result<(), HttpError> {
    let Ok(text) = value.to_str() else { return Ok(()) };
    let basic =
        text.split_at_checked(6).filter(|(scheme, _)| is_authorization && scheme.eq_ignore_ascii_case("basic "));
    let decoded = basic.and_then(|(_, account)| String::from_utf8(STANDARD.decode(account.trim()).ok()?).ok());
    let account = decoded.as_deref().unwrap_or(text);
    let Some(secret) = secrets.iter().find(|secret| account.contains(&secret.placeholder)) else { return Ok(()) };
    let filled = secrets.fill(account);
    let filled = if decoded.is_some() { format!("Basic {}", STANDARD.encode(&*filled)) } else { filled.into_owned() };
    *value = HeaderValue::try_from(filled).map_err(|_| HttpError::SecretInHeader(secret.name.clone()))?;
    value.set_sensitive(true);
    *spent = Some(secret);
    Ok(())
}

/// The length that a head tells of the body.
pub(super) fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.trim().parse().ok()
}

/// Asks the server for an answer in which values can be found: not compressed.
pub(super) fn ask_for_plain_text(headers: &mut HeaderMap) {
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
}

/// Hides values in the head of a response. Hiding them in the body may change its length.
pub(super) fn mask(head: &mut response::Parts, method: &Method, hidden: &Masker) {
    mask_headers(&mut head.headers, hidden);
    let has_body =
        *method != Method::HEAD && ![StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&head.status);
    if has_body {
        head.headers.remove(CONTENT_LENGTH);
    }
}

/// Hides values in headers or trailers.
pub(super) fn mask_headers(headers: &mut HeaderMap, hidden: &Masker) {
    for value in headers.values_mut() {
        let mut stream = MaskStream::default();
        let mut masked = stream.push(hidden, value.as_bytes());
        masked.extend(stream.end(hidden));
        if masked != value.as_bytes() {
            *value = HeaderValue::from_bytes(&masked).unwrap_or(HeaderValue::from_static("***"));
        }
    }
}

#[cfg(test)]
mod tests {
    use oxide_core::secret::SecretValue;

    use super::*;

    fn secrets(value: &str) -> (Placeholders, String) {
        let secrets = Placeholders::new([("TOKEN".to_owned(), SecretValue::new(value).unwrap(), false)], || 7);
        let placeholder = secrets.get("TOKEN").unwrap().placeholder.clone();
        (secrets, placeholder)
    }

    fn head(url: &str) -> request::Parts {
        http::Request::builder().uri(url).body(()).unwrap().into_parts().0
    }

    #[test]
    fn a_url_says_where_a_request_goes() {
        for (url, expected) in [
            ("https://Codecov.IO/x", Ok(("codecov.io", 443, true))),
            ("http://a:8080/", Ok(("a", 8080, false))),
            ("http://[::1]:80/", Ok(("[::1]", 80, false))),
            ("https://codecov.io@evil.io/", Err(HttpError::Url)),
            ("https://a:99999/", Err(HttpError::Url)),
            ("/only/a/path", Err(HttpError::Url)),
        ] {
            let expected = expected.map(|(host, port, is_encrypted)| {
                let host = host.to_owned();
                Destination { host, port, is_encrypted }
            });
            assert_eq!(Destination::of(&head(url)), expected, "{url}");
        }
        let mut tunnel = head("https://a/");
        tunnel.method = Method::CONNECT;
        assert_eq!(Destination::of(&tunnel), Err(HttpError::Method));
    }

    #[test]
    fn values_take_the_place_of_placeholders_in_path_query_and_headers() {
        let (secrets, token) = secrets("a/b c&d%e");
        let mut head = head(&format!("https://a.io:8443/bot{token}/send?t={token}&u=1"));
        let basic = STANDARD.encode(format!("me:{token}"));
        head.headers.insert("authorization", format!("Basic {basic}").parse().unwrap());
        head.headers.insert("x-token", format!("<{token}>").parse().unwrap());
        head.headers.insert("host", "evil.io".parse().unwrap());
        let destination = Destination::of(&head).unwrap();
        let spent = fill(&mut head, &destination, &secrets).unwrap();
        assert_eq!(spent.map(|secret| secret.name.as_str()), Some("TOKEN"));
        assert_eq!(head.uri.to_string(), "/bota/b%20c&d%25e/send?t=a%2Fb%20c%26d%25e&u=1");
        assert_eq!(head.headers["authorization"], format!("Basic {}", STANDARD.encode("me:a/b c&d%e")));
        assert_eq!(head.headers["x-token"], "<a/b c&d%e>");
        assert_eq!(head.headers["host"], "a.io:8443", "whatever the plugin says");
    }

    #[test]
    fn a_server_that_echoes_path_and_query_shows_no_value() {
        for value in ["Tr0ub&dor 3", "p/a#ss wo?rd", "(50%+1)=[x]{y}|\"é\""] {
            let (secrets, token) = secrets(value);
            let mut head = head(&format!("https://a.io/bot{token}/send?t={token}&u=1"));
            let destination = Destination::of(&head).unwrap();
            fill(&mut head, &destination, &secrets).unwrap();
            let hidden = Masker::new([&SecretValue::new(value).unwrap()]);
            assert_eq!(hidden.text(&head.uri.to_string()), "/bot***/send?t=***&u=1");
        }
    }

    #[test]
    fn a_value_with_a_line_break_cannot_add_a_header() {
        let (secrets, token) = secrets("value\r\nx-other: 1");
        let mut head = head("https://a.io/");
        head.headers.insert("x-token", token.parse().unwrap());
        let destination = Destination::of(&head).unwrap();
        let refused = fill(&mut head, &destination, &secrets).unwrap_err();
        assert_eq!(refused, HttpError::SecretInHeader("TOKEN".to_owned()));
    }

    #[test]
    fn a_response_that_echoes_a_value_is_masked() {
        let hidden = Masker::new([&SecretValue::new("hunter22").unwrap()]);
        let answer = http::Response::builder().header("x-echo", "it is hunter22!").header("content-length", "8");
        let (mut head, ()) = answer.body(()).unwrap().into_parts();
        mask(&mut head, &Method::GET, &hidden);
        assert_eq!(head.headers["x-echo"], "it is ***!");
        assert_eq!(content_length(&head.headers), None, "the body may become shorter");
    }
}
