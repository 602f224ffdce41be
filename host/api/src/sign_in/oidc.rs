//! OpenID Connect: discovery, the code flow with PKCE and nonce, and a signed token that is checked against the keys of the
//! issuer.

use jsonwebtoken::{
    Algorithm, DecodingKey, decode_header,
    jwk::{AlgorithmParameters, Jwk, JwkSet},
};
use reqwest::{Client, Url, header};
use serde::Deserialize;
use serde_json::Value as Json;

use super::{
    admit::Identity,
    issuers::{Asking, Discovery},
    jwt,
    provider::{Begun, ProviderError, ask, form, url},
};
use crate::settings::Provider;

/// How far the clocks may be apart, in seconds.
const LEEWAY: i64 = 60;

#[derive(Deserialize)]
struct Tokens {
    id_token: String,
    access_token: Option<String>,
}

/// What a signed token, or the address for it, says of a user.
#[derive(Clone, Debug, Default, Deserialize)]
struct Claims {
    #[serde(default)]
    iss: String,
    #[serde(default)]
    sub: String,
    #[serde(default)]
    aud: Json,
    azp: Option<String>,
    exp: Option<i64>,
    iat: Option<i64>,
    nonce: Option<String>,
    email: Option<String>,
    #[serde(default)]
    email_verified: Json,
    preferred_username: Option<String>,
    name: Option<String>,
    groups: Option<Vec<String>>,
}

/// Where the browser goes.
///
/// # Errors
/// The issuer cannot be reached, or says nonsense.
pub async fn authorize_url(
    asking: Asking<'_>,
    provider: &Provider,
    issuer: &str,
    begun: Begun<'_>,
) -> Result<Url, ProviderError> {
    let mut address = url(&asking.document(issuer).await?.authorization_endpoint, "")?;
    address.query_pairs_mut().extend_pairs([
        ("response_type", "code"),
        ("client_id", provider.client_id.as_str()),
        ("redirect_uri", begun.redirect_uri),
        ("scope", "openid email profile"),
        ("state", begun.state),
        ("nonce", &begun.nonce()),
        ("code_challenge", &begun.challenge()),
        ("code_challenge_method", "S256"),
    ]);
    Ok(address)
}

/// Who it is that came back with this code.
///
/// # Errors
/// The issuer cannot be reached, or its token is not right.
pub async fn identify(
    asking: Asking<'_>,
    provider: &Provider,
    issuer: &str,
    begun: Begun<'_>,
    code: &str,
) -> Result<Identity, ProviderError> {
    let Asking { http, now, .. } = asking;
    let discovery = asking.document(issuer).await?;
    let tokens: Tokens = ask("the tokens", token_request(http, provider, &discovery, begun, code)?).await?;
    let claims = match asking.known_keys(&discovery.jwks_uri).map(|keys| verify(&tokens.id_token, &keys)) {
        Some(Ok(claims)) => claims,
        // It may be signed with a new key.
        Some(Err(_)) | None => {
            let keys = asking.keys(&discovery.jwks_uri).await?;
            verify(&tokens.id_token, &keys)?
        }
    };
    check(&claims, &discovery.issuer, &provider.client_id, &begun.nonce(), now.0 / 1000)
        .map_err(ProviderError::Token)?;
    let more = match (&claims.email, &discovery.userinfo_endpoint, &tokens.access_token) {
        (None, Some(endpoint), Some(token)) => {
            let more: Claims = ask("the user", http.get(url(endpoint, "")?).bearer_auth(token)).await?;
            if more.sub != claims.sub {
                return Err(ProviderError::Token("the address for users speaks of another one".into()));
            }
            more
        }
        _ => Claims::default(),
    };
    Ok(identity(claims, more))
}

fn token_request(
    http: &Client,
    provider: &Provider,
    discovery: &Discovery,
    begun: Begun<'_>,
    code: &str,
) -> Result<reqwest::RequestBuilder, ProviderError> {
    let mut fields = vec![
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", begun.redirect_uri),
        ("code_verifier", begun.verifier),
    ];
    let methods = discovery.token_endpoint_auth_methods_supported.as_deref();
    // Without a word about it, the name and secret go into a header.
    let by_header = methods.is_none_or(|methods| methods.iter().any(|method| method == "client_secret_basic"));
    if !by_header {
        fields
            .extend([("client_id", provider.client_id.as_str()), ("client_secret", provider.client_secret.0.as_str())]);
    }
    let request = http
        .post(url(&discovery.token_endpoint, "")?)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(form(&fields));
    // The specification wants both escaped as in a form first.
    let escaped = |text: &str| form(&[("x", text)])[2..].to_owned();
    Ok(match by_header {
        true => request.basic_auth(escaped(&provider.client_id), Some(escaped(&provider.client_secret.0))),
        false => request,
    })
}

/// Checks the signature of a token.
fn verify(text: &str, keys: &JwkSet) -> Result<Claims, ProviderError> {
    let wrong = |message: &str| ProviderError::Token(message.into());
    let head = decode_header(text).map_err(|_| wrong("its head cannot be read"))?;
    if !matches!(head.alg, Algorithm::RS256 | Algorithm::ES256) {
        return Err(wrong("it is signed in a way that is not taken: RS256 and ES256 are"));
    }
    let is_of_kind = |key: &&Jwk| {
        matches!(
            (&key.algorithm, head.alg),
            (AlgorithmParameters::RSA(_), Algorithm::RS256) | (AlgorithmParameters::EllipticCurve(_), Algorithm::ES256)
        )
    };
    let fitting = keys.keys.iter().filter(is_of_kind).filter(|key| match &head.kid {
        Some(kid) => key.common.key_id.as_ref() == Some(kid),
        None => true,
    });
    for key in fitting {
        let Ok(key) = DecodingKey::from_jwk(key) else { continue };
        if let Ok(claims) = jwt::read::<Claims>(text, &key, head.alg) {
            return Ok(claims);
        }
    }
    Err(wrong("no key of the issuer fits its signature"))
}

/// Checks what a token says.
fn check(claims: &Claims, issuer: &str, client_id: &str, nonce: &str, now: i64) -> Result<(), String> {
    let audiences: Vec<&str> = match &claims.aud {
        Json::String(one) => vec![one],
        Json::Array(several) => several.iter().filter_map(Json::as_str).collect(),
        _ => Vec::new(),
    };
    if claims.iss != issuer {
        return Err(format!("it is of `{}`", claims.iss));
    }
    if !audiences.contains(&client_id) {
        return Err("it is for somebody else".into());
    }
    if claims.azp.as_ref().map_or(audiences.len() > 1, |party| party != client_id) {
        return Err("it was made for somebody else".into());
    }
    if claims.exp.is_none_or(|exp| exp <= now - LEEWAY) {
        return Err("its time is over".into());
    }
    if claims.iat.is_some_and(|iat| iat > now + LEEWAY) {
        return Err("it comes from the future: the clocks differ".into());
    }
    if claims.nonce.as_deref() != Some(nonce) {
        return Err("it was made for another sign-in".into());
    }
    if claims.sub.is_empty() {
        return Err("it names nobody".into());
    }
    Ok(())
}

/// Who it is, out of both answers.
fn identity(claims: Claims, more: Claims) -> Identity {
    // Some issuers write a text.
    let is_verified = |claims: &Claims| claims.email_verified == true || claims.email_verified == "true";
    let verified = [&claims, &more].into_iter().find(|claims| claims.email.is_some() && is_verified(claims));
    let email = verified.and_then(|claims| claims.email.clone());
    let login =
        [claims.preferred_username, more.preferred_username, claims.name, more.name].into_iter().flatten().next();
    let organizations = claims.groups.or(more.groups).unwrap_or_default();
    Identity { subject: claims.sub, login: login.unwrap_or_default(), email, organizations }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use axum::{Json as Body, Router, extract::State, routing::get};
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    use oxide_core::time::Timestamp;
    use ring::{
        rand::SystemRandom,
        signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
    };
    use serde_json::json;

    use super::*;
    use crate::{
        settings::{ClientSecret, ProviderKind},
        sign_in::{
            issuers::{Issuers, KEPT_MS},
            provider::client,
        },
    };

    const BEGUN: Begun<'static> = Begun { state: "s", verifier: "v", redirect_uri: "http://here/callback" };

    /// An issuer that signs with one key, knows one user, and notes what it is asked for.
    struct Issuer {
        url: String,
        key: Mutex<(u32, EcdsaKeyPair)>,
        asked: Mutex<Vec<&'static str>>,
    }

    fn new_key() -> EcdsaKeyPair {
        let (random, algorithm) = (SystemRandom::new(), &ECDSA_P256_SHA256_FIXED_SIGNING);
        let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).unwrap()
    }

    impl Issuer {
        async fn start() -> Arc<Issuer> {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("http://{}", listener.local_addr().unwrap());
            let issuer = Arc::new(Issuer { url, key: Mutex::new((1, new_key())), asked: Mutex::default() });
            let router = Router::new()
                .route("/.well-known/openid-configuration", get(document))
                .route("/tokens", axum::routing::post(tokens))
                .route("/keys", get(keys))
                .with_state(issuer.clone());
            tokio::spawn(async move { axum::serve(listener, router).await });
            issuer
        }

        fn turn_key(&self) {
            let mut key = self.key.lock().unwrap();
            *key = (key.0 + 1, new_key());
        }
    }

    async fn document(State(issuer): State<Arc<Issuer>>) -> Body<Json> {
        issuer.asked.lock().unwrap().push("document");
        let at = |path: &str| format!("{}/{path}", issuer.url);
        Body(json!({
            "issuer": issuer.url,
            "authorization_endpoint": at("authorize"),
            "token_endpoint": at("tokens"),
            "jwks_uri": at("keys"),
        }))
    }

    async fn keys(State(issuer): State<Arc<Issuer>>) -> Body<Json> {
        issuer.asked.lock().unwrap().push("keys");
        let key = issuer.key.lock().unwrap();
        // One byte says how the point is written, then come its two numbers.
        let (x, y) = key.1.public_key().as_ref()[1..].split_at(32);
        let text = |number: &[u8]| URL_SAFE_NO_PAD.encode(number);
        let (kid, x, y) = (key.0.to_string(), text(x), text(y));
        Body(json!({ "keys": [{ "kty": "EC", "crv": "P-256", "kid": kid, "x": x, "y": y }] }))
    }

    async fn tokens(State(issuer): State<Arc<Issuer>>) -> Body<Json> {
        issuer.asked.lock().unwrap().push("tokens");
        let key = issuer.key.lock().unwrap();
        let head = json!({ "alg": "ES256", "kid": key.0.to_string() });
        let claims =
            json!({ "iss": issuer.url, "sub": "1", "aud": "us", "exp": 1_000_000, "iat": 0, "nonce": BEGUN.nonce() });
        let text = [head, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string())).join(".");
        let signature = key.1.sign(&SystemRandom::new(), text.as_bytes()).unwrap();
        Body(json!({ "id_token": format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref())) }))
    }

    #[tokio::test]
    async fn an_issuer_is_asked_for_its_document_and_keys_now_and_then() {
        let issuer = Issuer::start().await;
        let provider = Provider {
            name: "company".into(),
            kind: ProviderKind::Oidc { issuer: issuer.url.clone() },
            client_id: "us".into(),
            client_secret: ClientSecret("secret".into()),
            grants: Vec::new(),
            admits_everybody: true,
        };
        let (http, issuers) = (client().unwrap(), Issuers::default());
        let sign_in = async |now: i64| {
            let asking = Asking { http: &http, issuers: &issuers, now: Timestamp(now) };
            let away = authorize_url(asking, &provider, &issuer.url, BEGUN).await.unwrap();
            assert!(away.as_str().starts_with(&format!("{}/authorize?", issuer.url)));
            assert_eq!(identify(asking, &provider, &issuer.url, BEGUN, "code").await.unwrap().subject, "1");
            std::mem::take(&mut *issuer.asked.lock().unwrap())
        };
        assert_eq!(sign_in(0).await, ["document", "tokens", "keys"]);
        assert_eq!(sign_in(KEPT_MS - 1).await, ["tokens"]);
        // A new key is asked for when a token is signed with it.
        issuer.turn_key();
        assert_eq!(sign_in(KEPT_MS - 1).await, ["tokens", "keys"]);
        assert_eq!(sign_in(KEPT_MS).await, ["document", "tokens"]);
        assert_eq!(sign_in(2 * KEPT_MS).await, ["document", "tokens", "keys"]);
        // The clock was set back.
        assert_eq!(sign_in(0).await, ["document", "tokens", "keys"]);
    }

    fn claims(change: Json) -> Claims {
        let mut all = json!({
            "iss": "https://id.example.com", "sub": "1", "aud": "us", "exp": 1000, "iat": 900, "nonce": "n",
        });
        for (name, value) in change.as_object().unwrap() {
            all[name] = value.clone();
        }
        serde_json::from_value(all).unwrap()
    }

    fn is_right(change: Json) -> bool {
        check(&claims(change), "https://id.example.com", "us", "n", 950).is_ok()
    }

    #[test]
    fn a_token_is_for_us_now_and_this_sign_in() {
        assert!(is_right(json!({})));
        assert!(is_right(json!({ "aud": ["them", "us"], "azp": "us" })));
        for wrong in [
            json!({ "iss": "https://id.example.com.evil" }),
            json!({ "aud": "them" }),
            json!({ "aud": null }),
            json!({ "aud": ["them", "us"] }),
            json!({ "azp": "them" }),
            json!({ "exp": 800 }),
            json!({ "exp": null }),
            json!({ "iat": 2000 }),
            json!({ "nonce": "other" }),
            json!({ "nonce": null }),
            json!({ "sub": "" }),
        ] {
            assert!(!is_right(wrong.clone()), "{wrong}");
        }
    }

    #[test]
    fn only_a_verified_address_counts() {
        let email = |change: Json, more: Json| identity(claims(change), claims(more)).email;
        assert_eq!(email(json!({ "email": "a@x" }), json!({})), None);
        assert_eq!(email(json!({ "email": "a@x", "email_verified": false }), json!({})), None);
        assert_eq!(email(json!({ "email": "a@x", "email_verified": true }), json!({})).as_deref(), Some("a@x"));
        assert_eq!(email(json!({}), json!({ "email": "b@x", "email_verified": "true" })).as_deref(), Some("b@x"));
    }
}
