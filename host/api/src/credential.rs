//! What a caller shows: read out of the headers.

use axum::http::{HeaderMap, header};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use oxide_store::{CredentialHash, CredentialKind};
use ring::rand::{SecureRandom as _, SystemRandom};

use crate::{
    error::ApiError,
    sign_in::{cookies, setup},
};

/// 256 random bits as text.
///
/// # Errors
/// The operating system gives no randomness.
pub fn random_text() -> Result<String, ApiError> {
    let mut bytes = [0; 32];
    SystemRandom::new().fill(&mut bytes).map_err(|_| ApiError::internal("draw a random number", "no randomness"))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// What a request shows.
#[derive(Clone, PartialEq, Eq)]
pub enum Credential {
    /// An API token.
    Token(String),
    /// The credential of an agent.
    Agent(String),
    /// The access token of a session.
    Session(String),
    /// The same in a cookie.
    Cookie(String),
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Credential::Token(_) => "Token",
            Credential::Agent(_) => "Agent",
            Credential::Session(_) => "Session",
            Credential::Cookie(_) => "Cookie",
        })
    }
}

/// What a caller has shown, kept so that it can be looked at again.
#[derive(Clone, Debug)]
pub struct Shown {
    /// As it was shown.
    pub credential: Credential,
    /// Its hash.
    pub hash: CredentialHash,
}

impl From<Credential> for Shown {
    fn from(credential: Credential) -> Shown {
        Shown { hash: CredentialHash::of(credential.text()), credential }
    }
}

impl Credential {
    /// The text itself.
    pub fn text(&self) -> &str {
        match self {
            Credential::Token(text)
            | Credential::Agent(text)
            | Credential::Session(text)
            | Credential::Cookie(text) => text,
        }
    }
}

/// What a request shows; none if it shows nothing. A header wins over a cookie.
///
/// # Errors
/// 401 if the header cannot be read, or holds something that is no credential for requests.
pub fn shown(headers: &HeaderMap) -> Result<Option<Credential>, ApiError> {
    let Some(value) = headers.get(header::AUTHORIZATION) else {
        return Ok(cookies::read(headers, cookies::ACCESS).map(Credential::Cookie));
    };
    let text = value.to_str().map_err(|_| ApiError::unauthorized("`Authorization` cannot be read"))?;
    let (scheme, rest) = text.split_once(' ').unwrap_or((text, ""));
    let text = match scheme.to_ascii_lowercase().as_str() {
        "bearer" => rest.trim().to_owned(),
        // Programs that know only names and passwords, such as those of registries, send the token as the password.
        "basic" => password(rest.trim())
            .ok_or_else(|| ApiError::unauthorized("the name and password in `Authorization` cannot be read"))?,
        _ => return Err(ApiError::unauthorized("`Authorization` must be `Bearer TOKEN`")),
    };
    if text.starts_with(setup::BEGINNING) {
        return Err(ApiError::unauthorized("a setup code is of use at `POST /api/v1/sign-in/setup` only"));
    }
    match CredentialKind::of(&text) {
        Some(CredentialKind::Api) => Ok(Some(Credential::Token(text))),
        Some(CredentialKind::Agent) => Ok(Some(Credential::Agent(text))),
        Some(CredentialKind::Refresh) => {
            Err(ApiError::unauthorized("a refresh token is of use at `POST /api/v1/sign-in/refresh` only"))
        }
        Some(CredentialKind::Registration) => {
            Err(ApiError::unauthorized("a registration token is of use for `oxide agent` to join only"))
        }
        None if text.is_empty() => Err(ApiError::unauthorized("`Authorization` holds no token")),
        None => Ok(Some(Credential::Session(text))),
    }
}

/// The password of programs that know only names and passwords.
pub fn basic_password(headers: &HeaderMap) -> Option<String> {
    let (scheme, rest) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("basic") { password(rest.trim()) } else { None }
}

fn password(encoded: &str) -> Option<String> {
    let bytes = STANDARD.decode(encoded).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    text.split_once(':').map(|(_, password)| password.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(authorization: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, authorization.parse().unwrap());
        headers
    }

    #[test]
    fn credentials_are_told_apart_by_how_they_begin() {
        let shown = |text: &str| shown(&headers(text));
        assert_eq!(shown("Bearer oxide_pat_x").unwrap(), Some(Credential::Token("oxide_pat_x".into())));
        assert_eq!(shown("bearer  oxide_agt_x").unwrap(), Some(Credential::Agent("oxide_agt_x".into())));
        assert_eq!(shown("Bearer a.b.c").unwrap(), Some(Credential::Session("a.b.c".into())));
        // `user:oxide_pat_x`
        assert_eq!(shown("Basic dXNlcjpveGlkZV9wYXRfeA==").unwrap(), Some(Credential::Token("oxide_pat_x".into())));
        for refused in ["Bearer", "Bearer ", "Digest x", "Basic !", "Bearer oxide_ref_x", "Bearer oxide_reg_x"] {
            assert!(shown(refused).is_err(), "{refused}");
        }
        assert_eq!(super::shown(&HeaderMap::new()).unwrap(), None);
    }

    #[test]
    fn texts_are_never_the_same_and_never_printed() {
        let (one, two) = (random_text().unwrap(), random_text().unwrap());
        assert_ne!(one, two);
        assert_eq!(one.len(), 43);
        assert!(!format!("{:?}", Credential::Token(one.clone())).contains(&one));
    }
}
