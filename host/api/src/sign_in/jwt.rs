//! Signed tokens: our own for sessions (HS256), and those of OpenID providers (RS256, ES256). Signed and checked by ring.

use std::sync::Once;

use jsonwebtoken::{
    Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind, EncodingKey, Header, Validation,
    crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils},
    errors::{ErrorKind, new_error},
    signature::{self, Signer, Verifier},
};
use oxide_core::{
    id::{SessionId, UserId},
    time::Timestamp,
};
use ring::{hmac, signature as ring_signature};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{error::ApiError, settings::SessionKey};

const ISSUER: &str = "oxide";
const PURPOSE: &str = "session";

/// What an access token of a session says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionClaims {
    iss: String,
    purpose: String,
    /// The user.
    pub sub: UserId,
    /// The session.
    pub sid: SessionId,
    /// When it was made, in seconds.
    pub iat: i64,
    /// When it ends to work, in seconds.
    pub exp: i64,
}

/// Makes an access token.
///
/// # Errors
/// It cannot be signed.
pub fn session(
    user: UserId,
    session: SessionId,
    key: &SessionKey,
    now: Timestamp,
    until: Timestamp,
) -> Result<String, ApiError> {
    install();
    let claims = SessionClaims {
        iss: ISSUER.into(),
        purpose: PURPOSE.into(),
        sub: user,
        sid: session,
        iat: now.0 / 1000,
        exp: until.0 / 1000,
    };
    let signed = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &EncodingKey::from_secret(&key.0));
    signed.map_err(|error| ApiError::internal("sign a session", error))
}

/// Reads an access token.
///
/// # Errors
/// 401 if it is not one of ours, or its time is over.
pub fn read_session(text: &str, key: &SessionKey, now: Timestamp) -> Result<SessionClaims, ApiError> {
    install();
    let read = jsonwebtoken::decode(text, &DecodingKey::from_secret(&key.0), &validation(Algorithm::HS256));
    let claims: SessionClaims = read.map_err(|_| ApiError::unauthorized("the token is not known"))?.claims;
    if claims.iss != ISSUER || claims.purpose != PURPOSE {
        return Err(ApiError::unauthorized("the token is not for this"));
    }
    if claims.exp <= now.0 / 1000 {
        return Err(ApiError::unauthorized("the session has expired")
            .suggest("renew it with `POST /api/v1/sign-in/refresh`, or sign in again"));
    }
    Ok(claims)
}

/// Reads a token of somebody else, signed with this key and in this way. What it says is checked by the caller.
///
/// # Errors
/// It was not signed with this key, or says something else.
pub fn read<T: DeserializeOwned>(
    text: &str,
    key: &DecodingKey,
    algorithm: Algorithm,
) -> Result<T, jsonwebtoken::errors::Error> {
    install();
    Ok(jsonwebtoken::decode(text, key, &validation(algorithm))?.claims)
}

/// The signature only: times and names are checked by those who know the clock.
fn validation(algorithm: Algorithm) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation
}

/// Has the library sign and check with ring. Idempotent.
fn install() {
    static PROVIDER: CryptoProvider =
        CryptoProvider { signer_factory: signer, verifier_factory: verifier, key_utils: KeyUtils::new_unimplemented() };
    static ONCE: Once = Once::new();
    // An error says that another provider was chosen before, which nothing in this program does.
    ONCE.call_once(|| {
        let _ = PROVIDER.install_default();
    });
}

fn signer(algorithm: &Algorithm, key: &EncodingKey) -> jsonwebtoken::errors::Result<Box<dyn JwtSigner>> {
    match (algorithm, key.family()) {
        (Algorithm::HS256, AlgorithmFamily::Hmac) => {
            Ok(Box::new(Hmac(hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes()))))
        }
        _ => Err(new_error(ErrorKind::InvalidAlgorithm)),
    }
}

fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> jsonwebtoken::errors::Result<Box<dyn JwtVerifier>> {
    match (algorithm, key.family(), key.kind()) {
        (Algorithm::HS256, AlgorithmFamily::Hmac, DecodingKeyKind::SecretOrDer(secret)) => {
            Ok(Box::new(Hmac(hmac::Key::new(hmac::HMAC_SHA256, secret))))
        }
        (Algorithm::RS256, AlgorithmFamily::Rsa, DecodingKeyKind::RsaModulusExponent { n, e }) => {
            Ok(Box::new(Rsa { n: n.clone(), e: e.clone() }))
        }
        (Algorithm::ES256, AlgorithmFamily::Ec, DecodingKeyKind::SecretOrDer(point)) => {
            Ok(Box::new(P256(point.clone())))
        }
        _ => Err(new_error(ErrorKind::InvalidAlgorithm)),
    }
}

struct Hmac(hmac::Key);

impl Signer<Vec<u8>> for Hmac {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, signature::Error> {
        Ok(hmac::sign(&self.0, message).as_ref().to_vec())
    }
}

impl JwtSigner for Hmac {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

impl Verifier<Vec<u8>> for Hmac {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), signature::Error> {
        hmac::verify(&self.0, message, signature).map_err(|_| signature::Error::new())
    }
}

impl JwtVerifier for Hmac {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

struct Rsa {
    n: Vec<u8>,
    e: Vec<u8>,
}

impl Verifier<Vec<u8>> for Rsa {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), signature::Error> {
        let key = ring_signature::RsaPublicKeyComponents { n: &self.n, e: &self.e };
        key.verify(&ring_signature::RSA_PKCS1_2048_8192_SHA256, message, signature).map_err(|_| signature::Error::new())
    }
}

impl JwtVerifier for Rsa {
    fn algorithm(&self) -> Algorithm {
        Algorithm::RS256
    }
}

struct P256(Vec<u8>);

impl Verifier<Vec<u8>> for P256 {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), signature::Error> {
        let key = ring_signature::UnparsedPublicKey::new(&ring_signature::ECDSA_P256_SHA256_FIXED, &self.0);
        key.verify(message, signature).map_err(|_| signature::Error::new())
    }
}

impl JwtVerifier for P256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::ES256
    }
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    use uuid::Uuid;

    use super::*;

    const KEY: SessionKey = SessionKey([7; 32]);

    fn at(seconds: i64) -> Timestamp {
        Timestamp(seconds * 1000)
    }

    fn token() -> (String, UserId) {
        let user = UserId(Uuid::now_v7());
        (session(user, SessionId(Uuid::now_v7()), &KEY, at(100), at(1000)).unwrap(), user)
    }

    #[test]
    fn what_was_signed_is_read_until_its_time_is_over() {
        let (text, user) = token();
        assert_eq!(read_session(&text, &KEY, at(999)).unwrap().sub, user);
        assert!(read_session(&text, &KEY, at(1000)).is_err());
        assert!(read_session(&text, &SessionKey([8; 32]), at(999)).is_err());
    }

    #[test]
    fn nothing_can_be_changed_and_no_other_algorithm_is_taken() {
        let (text, _) = token();
        let parts: Vec<&str> = text.split('.').collect();
        let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#);
        let rs256 = URL_SAFE_NO_PAD.encode(r#"{"alg":"RS256","typ":"JWT"}"#);
        let claims = String::from_utf8(URL_SAFE_NO_PAD.decode(parts[1]).unwrap()).unwrap();
        let longer = URL_SAFE_NO_PAD.encode(claims.replace("1000", "9000"));
        for forged in [
            format!("{none}.{}.", parts[1]),
            format!("{none}.{}.{}", parts[1], parts[2]),
            format!("{rs256}.{}.{}", parts[1], parts[2]),
            format!("{}.{longer}.{}", parts[0], parts[2]),
            format!("{}.{}", parts[0], parts[1]),
            String::new(),
            "...".into(),
        ] {
            assert!(read_session(&forged, &KEY, at(500)).is_err(), "{forged}");
        }
    }

    #[test]
    fn es256_of_others_is_checked() {
        use ring::signature::KeyPair as _;
        let random = ring::rand::SystemRandom::new();
        let algorithm = &ring_signature::ECDSA_P256_SHA256_FIXED_SIGNING;
        let pkcs8 = ring_signature::EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        let pair = ring_signature::EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random).unwrap();
        let point = pair.public_key().as_ref();
        let key = DecodingKey::from_ec_components(
            &URL_SAFE_NO_PAD.encode(&point[1..33]),
            &URL_SAFE_NO_PAD.encode(&point[33..]),
        )
        .unwrap();
        let message =
            format!("{}.{}", URL_SAFE_NO_PAD.encode(r#"{"alg":"ES256"}"#), URL_SAFE_NO_PAD.encode(r#"{"sub":"x"}"#));
        let signature = pair.sign(&random, message.as_bytes()).unwrap();
        let text = format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()));
        let claims: serde_json::Value = read(&text, &key, Algorithm::ES256).unwrap();
        assert_eq!(claims["sub"], "x");
        assert!(read::<serde_json::Value>(&text, &key, Algorithm::RS256).is_err());
        let other = URL_SAFE_NO_PAD.encode(r#"{"sub":"y"}"#);
        let forged = text.replace(text.split('.').nth(1).unwrap(), &other);
        assert!(read::<serde_json::Value>(&forged, &key, Algorithm::ES256).is_err());
    }
}
