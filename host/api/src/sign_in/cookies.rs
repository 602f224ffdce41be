//! Cookies of browsers that have signed in.

use axum::http::{HeaderMap, HeaderValue, header};

/// The access token.
pub const ACCESS: &str = "oxide_session";
/// The refresh token, sent to the one route that takes it.
pub const REFRESH: &str = "oxide_refresh";
/// What ties a sign-in to the browser that began it.
pub const STATE: &str = "oxide_sign_in";

/// The value of a cookie.
pub fn read(headers: &HeaderMap, name: &str) -> Option<String> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    all.flat_map(|list| list.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(found, value)| *found == name && !value.is_empty())
        .map(|(_, value)| value.to_owned())
}

/// A cookie that scripts cannot read and other sites cannot send with what changes something.
pub fn set(name: &str, value: &str, path: &str, seconds: u64, is_secure: bool) -> HeaderValue {
    let secure = if is_secure { "; Secure" } else { "" };
    let text = format!("{name}={value}; Path={path}; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}");
    HeaderValue::from_str(&text).expect("names, paths and values of ours are visible ASCII")
}

/// Takes a cookie away.
pub fn remove(name: &str, path: &str, is_secure: bool) -> HeaderValue {
    set(name, "", path, 0, is_secure)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_are_found_among_others() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, "a=b; oxide_session=x.y.z".parse().unwrap());
        headers.append(header::COOKIE, "oxide_refresh=".parse().unwrap());
        assert_eq!(read(&headers, ACCESS).as_deref(), Some("x.y.z"));
        assert_eq!(read(&headers, REFRESH), None);
        assert_eq!(read(&headers, "session"), None);
    }
}
