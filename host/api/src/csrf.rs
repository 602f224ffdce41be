//! Requests that other sites have a browser send: cookies go along by themselves, so a request that changes something and
//! is let in by a cookie must come from a page of ours.

use axum::http::{HeaderMap, Method, header};

use crate::{error::ApiError, settings::Settings, sign_in::cookies};

/// Does a request that changes something and shows a cookie come from a page of ours?
///
/// # Errors
/// 403 if it does not, or if that cannot be told.
pub fn check(method: &Method, headers: &HeaderMap, settings: &Settings) -> Result<(), ApiError> {
    let reads = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
    let shows_cookie = [cookies::ACCESS, cookies::REFRESH].iter().any(|name| cookies::read(headers, name).is_some());
    // Other sites cannot send `Authorization` without asking (CORS) first.
    if reads || !shows_cookie || headers.contains_key(header::AUTHORIZATION) {
        return Ok(());
    }
    let refuse = |why: &str| {
        Err(ApiError::forbidden(format!("a cookie does not do for what changes something: {why}"))
            .suggest("send the request from a page of this server, or with `Authorization: Bearer …`"))
    };
    match headers.get("sec-fetch-site").and_then(|value| value.to_str().ok()) {
        Some("same-origin") => return Ok(()),
        Some(_) => return refuse("it comes from another site"),
        None => {}
    }
    match headers.get(header::ORIGIN).and_then(|value| value.to_str().ok()) {
        Some(origin) if origin.trim_end_matches('/') == origin_of(&settings.public_url) => Ok(()),
        Some(_) => refuse("it comes from another site"),
        None => refuse("it does not say from which page it comes (`Origin`)"),
    }
}

/// Scheme, host and port of a URL.
fn origin_of(url: &str) -> &str {
    let after_scheme = url.find("://").map_or(0, |at| at + 3);
    let end = url[after_scheme..].find('/').map_or(url.len(), |at| after_scheme + at);
    &url[..end]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::SessionKey;

    fn is_let_in(method: Method, pairs: &[(&'static str, &str)]) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(*name, value.parse().unwrap());
        }
        let settings = Settings::new("https://ci.example.com/oxide/", SessionKey([0; 32]));
        check(&method, &headers, &settings).is_ok()
    }

    #[test]
    fn only_pages_of_ours_change_something_with_a_cookie() {
        let cookie = ("cookie", "oxide_session=x");
        assert!(is_let_in(Method::GET, &[cookie]));
        assert!(is_let_in(Method::POST, &[]));
        assert!(is_let_in(Method::POST, &[cookie, ("authorization", "Bearer x")]));
        assert!(is_let_in(Method::POST, &[cookie, ("origin", "https://ci.example.com")]));
        assert!(is_let_in(Method::POST, &[cookie, ("sec-fetch-site", "same-origin")]));
        for refused in [
            vec![cookie],
            vec![cookie, ("origin", "https://evil.example.com")],
            vec![cookie, ("origin", "null")],
            vec![cookie, ("origin", "https://ci.example.com.evil.com")],
            vec![cookie, ("sec-fetch-site", "cross-site"), ("origin", "https://ci.example.com")],
            vec![cookie, ("sec-fetch-site", "same-site")],
            vec![("cookie", "oxide_refresh=x")],
        ] {
            assert!(!is_let_in(Method::DELETE, &refused), "{refused:?}");
        }
    }
}
