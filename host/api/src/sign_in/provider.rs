//! Browsers sign in with a provider: away with a state, back with a code, in with a session.

use std::{net::IpAddr, time::Duration};

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use oxide_core::{api::sign_in::CallbackQuery, id::UserId};
use oxide_store::{IdentityRow, SignInState, UserRow};
use reqwest::Url;
use serde_json::json;
use uuid::Uuid;

use super::{
    admit::{self, Admission, Identity},
    cookies, github,
    issuers::Asking,
    oidc, session,
};
use crate::{
    audit, credential,
    error::{ApiError, ErrorKind},
    settings::{Provider, ProviderKind},
    state::ServerState,
};

/// How long a sign-in may take.
const SIGN_IN: Duration = Duration::from_secs(10 * 60);
/// How large an answer of a provider may be.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// How long a provider may take to answer.
const PATIENCE: Duration = Duration::from_secs(15);
const STATE_PATH: &str = "/api/v1/sign-in";

/// Why an exchange with a provider failed: for the log, and in short for the caller.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// It cannot be reached.
    #[error("the provider cannot be reached")]
    Unreachable(#[source] reqwest::Error),
    /// It answered with an error.
    #[error("the provider answered {status} at {what}")]
    Status {
        /// What was asked for.
        what: &'static str,
        /// The status.
        status: u16,
    },
    /// It answered something that the protocol does not know.
    #[error("the answer of the provider cannot be used: {0}")]
    Answer(String),
    /// A signed token is not right.
    #[error("the signed token of the provider is not right: {0}")]
    Token(String),
}

impl From<ProviderError> for ApiError {
    fn from(error: ProviderError) -> ApiError {
        let kind =
            if matches!(error, ProviderError::Token(_)) { ErrorKind::Unauthorized } else { ErrorKind::BadGateway };
        ApiError::new(kind, error.to_string()).with_cause(error)
    }
}

/// What a sign-in is begun with.
#[derive(Clone, Copy, Debug)]
pub struct Begun<'a> {
    /// What comes back.
    pub state: &'a str,
    /// The proof that the one who began is the one who ends it.
    pub verifier: &'a str,
    /// Where the provider sends the browser back to.
    pub redirect_uri: &'a str,
}

impl Begun<'_> {
    /// What is told to the provider of the proof.
    pub fn challenge(&self) -> String {
        URL_SAFE_NO_PAD.encode(ring::digest::digest(&ring::digest::SHA256, self.verifier.as_bytes()).as_ref())
    }

    /// What a signed token has to say, so that it was made for this sign-in. It follows from the proof.
    pub fn nonce(&self) -> String {
        let text = format!("nonce {}", self.verifier);
        URL_SAFE_NO_PAD.encode(ring::digest::digest(&ring::digest::SHA256, text.as_bytes()).as_ref())
    }
}

/// The provider with this name.
///
/// # Errors
/// 404.
pub fn find<'a>(state: &'a ServerState, name: &str) -> Result<&'a Provider, ApiError> {
    let found = state.settings.providers.iter().find(|provider| provider.name == name);
    found.ok_or_else(|| {
        let error = ApiError::new(ErrorKind::NotFound, format!("there is no way to sign in called `{name}`"));
        let names: Vec<_> = state.settings.providers.iter().map(|provider| format!("`{}`", provider.name)).collect();
        match names.is_empty() {
            true => error.suggest("this server has none: use a token"),
            false => error.suggest(format!("there are {}", names.join(", "))),
        }
    })
}

fn asking(state: &ServerState) -> Asking<'_> {
    Asking { http: &state.http, issuers: &state.issuers, now: state.now() }
}

fn redirect_uri(state: &ServerState, provider: &Provider) -> String {
    format!("{}/api/v1/sign-in/{}/callback", state.settings.public_url, provider.name)
}

/// Sends a browser to a provider.
///
/// # Errors
/// The provider is not known or cannot be reached, or the redirect leads away from this server.
pub async fn begin(state: &ServerState, name: &str, redirect: Option<String>) -> Result<Response, ApiError> {
    let provider = find(state, name)?;
    let redirect = redirect.unwrap_or_else(|| "/".into());
    if !is_own_path(&redirect) {
        return Err(ApiError::bad_request("`redirect` must be a path of this server, such as `/runs`"));
    }
    let (random, verifier) = (credential::random_text()?, credential::random_text()?);
    let uri = redirect_uri(state, provider);
    let begun = Begun { state: &random, verifier: &verifier, redirect_uri: &uri };
    let url = match &provider.kind {
        ProviderKind::GitHub { web, .. } => github::authorize_url(provider, web, begun)?,
        ProviderKind::Oidc { issuer } => oidc::authorize_url(asking(state), provider, issuer, begun).await?,
    };
    let now = state.now();
    let mut transaction = state.store.begin().await?;
    transaction.prune_sign_ins(now).await?;
    transaction
        .begin_sign_in(&SignInState {
            state: random.clone(),
            provider: provider.name.clone(),
            verifier,
            redirect,
            expires_at: now.plus_millis(SIGN_IN.as_secs() * 1000),
        })
        .await?;
    transaction.commit().await?;
    let mut response = redirect_to(url.as_str())?;
    // Only the browser that began can end it: nobody can be signed in as somebody else by a link.
    let cookie = cookies::set(cookies::STATE, &random, STATE_PATH, SIGN_IN.as_secs(), state.settings.is_https());
    response.headers_mut().append(header::SET_COOKIE, cookie);
    Ok(response)
}

/// Takes a browser back, and lets it in.
///
/// # Errors
/// 400 if it was not begun here, 401 or 502 if the provider says no or nonsense, 403 if nothing lets this one in.
pub async fn finish(
    state: &ServerState,
    name: &str,
    query: CallbackQuery,
    headers: &HeaderMap,
    address: IpAddr,
) -> Result<Response, ApiError> {
    let provider = find(state, name)?;
    let again = |message: &str| {
        ApiError::bad_request(message).suggest(format!("begin again at /api/v1/sign-in/{}", provider.name))
    };
    let shown = query.state.ok_or_else(|| again("the provider sent no `state` back"))?;
    if cookies::read(headers, cookies::STATE).as_deref() != Some(shown.as_str()) {
        return Err(again("this browser did not begin the sign-in"));
    }
    let mut transaction = state.store.begin().await?;
    let begun = transaction.take_sign_in(&shown, state.now()).await?;
    transaction.commit().await?;
    let begun = begun.filter(|begun| begun.provider == provider.name);
    let begun = begun.ok_or_else(|| again("the sign-in was not begun here, took too long, or has ended"))?;
    if let Some(error) = query.error {
        let error = ApiError::unauthorized(format!("the provider did not let you in: `{}`", shorten(&error)));
        return Err(match query.error_description {
            Some(description) => error.with_details(shorten(&description)),
            None => error,
        });
    }
    let code = query.code.ok_or_else(|| again("the provider sent no `code`"))?;
    let uri = redirect_uri(state, provider);
    let exchange = Begun { state: &shown, verifier: &begun.verifier, redirect_uri: &uri };
    let identity = match &provider.kind {
        ProviderKind::GitHub { web, api } => {
            github::identify(&state.http, provider, (web, api), exchange, &code).await?
        }
        ProviderKind::Oidc { issuer } => oidc::identify(asking(state), provider, issuer, exchange, &code).await?,
    };
    let user = admit_user(state, provider, &identity).await?;
    let mut transaction = state.store.begin().await?;
    let session = session::begin(state, &mut transaction, &user).await?;
    transaction.commit().await?;
    let details = json!({ "provider": provider.name, "subject": identity.subject });
    audit::tell(state, format!("user:{}", user.name), "sign_in", "/api/v1/sign-in", address, details).await;
    let mut response = redirect_to(&begun.redirect)?;
    session::set_cookies(response.headers_mut(), &session, &state.settings);
    let over = cookies::remove(cookies::STATE, STATE_PATH, state.settings.is_https());
    response.headers_mut().append(header::SET_COOKIE, over);
    Ok(response)
}

/// The user for an identity: known, linked by a verified e-mail address, or new.
async fn admit_user(state: &ServerState, provider: &Provider, identity: &Identity) -> Result<UserRow, ApiError> {
    let known = state.store.user_by_identity(&provider.name, &identity.subject).await?;
    let by_email = match (&known, &identity.email) {
        (None, Some(email)) => state.store.users_by_email(email).await?,
        _ => Vec::new(),
    };
    // Who has an address that several users have is not told by it.
    let found = known.or_else(|| match by_email.as_slice() {
        [only] => Some(only.clone()),
        _ => None,
    });
    let Admission::Welcome(roles) = admit::decide(provider, identity, found.is_some()) else {
        return Err(ApiError::forbidden(format!("`{}` may not sign in here", shorten(&identity.login)))
            .suggest("ask an administrator to make a user with your e-mail address"));
    };
    let now = state.now();
    let user = match &found {
        Some(user) if user.disabled_at.is_some() => {
            return Err(ApiError::forbidden(format!("the user `{}` is disabled", user.name)));
        }
        Some(user) => user.clone(),
        None => UserRow {
            id: UserId(Uuid::now_v7()),
            name: free_name(state, &admit::name_for(identity)).await?,
            email: identity.email.clone(),
            is_admin: false,
            created_at: now,
            disabled_at: None,
        },
    };
    let has = state.store.roles(user.id).await?;
    let mut transaction = state.store.begin().await?;
    if found.is_none() {
        transaction.insert_user(&user).await?;
    }
    let link = IdentityRow {
        provider: provider.name.clone(),
        subject: identity.subject.clone(),
        user: user.id,
        created_at: now,
    };
    transaction.link_identity(&link).await?;
    for (project, role) in roles {
        let Some(project) = state.store.project_by_name(&project).await? else {
            tracing::warn!(provider = provider.name, project, "a grant names a project that is not there");
            continue;
        };
        if has.get(&project.id).is_none_or(|has| *has < role) {
            transaction.put_member(project.id, user.id, role).await?;
        }
    }
    transaction.commit().await?;
    Ok(user)
}

/// A name that nobody has.
async fn free_name(state: &ServerState, wanted: &str) -> Result<String, ApiError> {
    for number in 1..100 {
        let name = if number == 1 { wanted.to_owned() } else { format!("{wanted}-{number}") };
        if state.store.user_by_name(&name).await?.is_none() {
            return Ok(name);
        }
    }
    Err(ApiError::conflict(format!("too many users are called `{wanted}`")))
}

/// Is it a path of this server, and not an address elsewhere that only looks like one?
fn is_own_path(redirect: &str) -> bool {
    let is_plain = redirect.bytes().all(|byte| (0x21..0x7f).contains(&byte) && byte != b'\\');
    redirect.len() <= 1000 && redirect.starts_with('/') && !redirect.starts_with("//") && is_plain
}

fn shorten(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}

fn redirect_to(url: &str) -> Result<Response, ApiError> {
    let location = HeaderValue::from_str(url).map_err(|error| ApiError::internal("redirect", error))?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    response.headers_mut().insert(header::LOCATION, location);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// The client that asks providers: no redirects, and no patience for those who are slow.
///
/// # Errors
/// TLS cannot be set up.
pub fn client() -> Result<reqwest::Client, reqwest::Error> {
    oxide_registry::use_ring_for_tls();
    reqwest::Client::builder()
        .user_agent(concat!("oxide/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(Duration::from_secs(5))
        .timeout(PATIENCE)
        .redirect(reqwest::redirect::Policy::none())
        .build()
}

/// An address below a base, such as `https://github.com`.
pub(super) fn url(base: &str, path: &str) -> Result<Url, ProviderError> {
    let text = format!("{}{path}", base.trim_end_matches('/'));
    Url::parse(&text).map_err(|error| ProviderError::Answer(format!("`{}` is no address: {error}", shorten(&text))))
}

/// The fields of a form as its body.
pub(super) fn form(fields: &[(&str, &str)]) -> String {
    let mut url = Url::parse("http://form/").expect("this is an address");
    url.query_pairs_mut().extend_pairs(fields);
    url.query().unwrap_or_default().to_owned()
}

/// Sends a request and reads the JSON of its answer.
pub(super) async fn ask<T: serde::de::DeserializeOwned>(
    what: &'static str,
    request: reqwest::RequestBuilder,
) -> Result<T, ProviderError> {
    let mut response =
        request.header(header::ACCEPT, "application/json").send().await.map_err(ProviderError::Unreachable)?;
    let status = response.status();
    let mut bytes = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(ProviderError::Unreachable)? {
        if bytes.len() + piece.len() > ANSWER_BYTES_MAX {
            return Err(ProviderError::Answer(format!("{what} is too large")));
        }
        bytes.extend_from_slice(&piece);
    }
    if !status.is_success() {
        // The error of a code that does not fit is in the body; it holds no secret.
        let error = serde_json::from_slice::<serde_json::Value>(&bytes).ok();
        tracing::debug!(what, %status, ?error, "a provider said no");
        return Err(ProviderError::Status { what, status: status.as_u16() });
    }
    serde_json::from_slice(&bytes).map_err(|error| ProviderError::Answer(format!("{what}: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_sent_elsewhere() {
        assert!(is_own_path("/") && is_own_path("/runs/1?tab=logs#line-3"));
        for away in
            ["", "https://evil.example", "//evil.example", "/\\evil.example", "\\/evil", "/a b", "/\t/evil", "runs"]
        {
            assert!(!is_own_path(away), "{away}");
        }
    }

    #[test]
    fn forms_are_escaped() {
        assert_eq!(form(&[("code", "a&b=c"), ("x", "ü /")]), "code=a%26b%3Dc&x=%C3%BC+%2F");
    }

    #[test]
    fn the_challenge_is_the_one_of_rfc_7636() {
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        let begun = Begun { state: "s", verifier, redirect_uri: "" };
        assert_eq!(begun.challenge(), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
        assert_ne!(begun.nonce(), begun.challenge());
    }
}
