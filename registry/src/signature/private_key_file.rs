//! Private keys under a password: JSON in PEM, a key derived by scrypt, NaCl's secretbox around PKCS #8.
//!
//! The costs stand in the file, and somebody else may have written it: they are bounded before any memory is taken.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use crypto_secretbox::{Key, KeyInit as _, Nonce, XSalsa20Poly1305, aead::Aead as _};
use p256::pkcs8::der::pem::{LineEnding, decode_vec, encode_string};
use serde::{Deserialize, Serialize};

use super::KeyError;

/// What cosign writes now, and what it wrote before.
const LABEL: &str = "ENCRYPTED SIGSTORE PRIVATE KEY";
const LABELS: [&str; 2] = [LABEL, "ENCRYPTED COSIGN PRIVATE KEY"];

const KDF: &str = "scrypt";
const CIPHER: &str = "nacl/secretbox";
const SALT_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;
const KEY_BYTES: usize = 32;
/// The cost of new files.
const PARAMETERS: Parameters = Parameters { n: 65_536, r: 8, p: 1 };
/// What scrypt may take for a file of somebody else.
const MEMORY_MAX: u64 = 256 << 20;
const PARALLEL_MAX: u64 = 16;

#[derive(Serialize, Deserialize)]
struct File {
    kdf: Kdf,
    cipher: Cipher,
    ciphertext: String,
}

#[derive(Serialize, Deserialize)]
struct Kdf {
    name: String,
    params: Parameters,
    salt: String,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
struct Parameters {
    #[serde(rename = "N")]
    n: u64,
    r: u64,
    p: u64,
}

#[derive(Serialize, Deserialize)]
struct Cipher {
    name: String,
    nonce: String,
}

/// Is it a private key that wants a password?
pub(super) fn is_encrypted(pem: &str) -> bool {
    LABELS.iter().any(|label| pem.contains(&format!("-----BEGIN {label}-----")))
}

/// Puts PKCS #8 under a password.
pub(super) fn encrypt(pkcs8: &[u8], password: &[u8]) -> Result<String, KeyError> {
    let salt: [u8; SALT_BYTES] = crate::random::bytes().map_err(KeyError::Random)?;
    let nonce: [u8; NONCE_BYTES] = crate::random::bytes().map_err(KeyError::Random)?;
    let cipher = XSalsa20Poly1305::new(&derive(password, &salt, PARAMETERS)?);
    let sealed = cipher.encrypt(&Nonce::from(nonce), pkcs8).expect("a key is short enough to be sealed");
    let file = File {
        kdf: Kdf { name: KDF.to_owned(), params: PARAMETERS, salt: STANDARD.encode(salt) },
        cipher: Cipher { name: CIPHER.to_owned(), nonce: STANDARD.encode(nonce) },
        ciphertext: STANDARD.encode(sealed),
    };
    let json = serde_json::to_vec(&file).expect("texts and numbers become JSON");
    Ok(encode_string(LABEL, LineEnding::LF, &json).expect("the label is one, and the file is small"))
}

/// Gets the PKCS #8 back.
pub(super) fn decrypt(pem: &str, password: &[u8]) -> Result<Vec<u8>, KeyError> {
    let broken = |problem: &str| KeyError::Broken(problem.to_owned());
    let (label, json) = decode_vec(pem.trim().as_bytes()).map_err(|error| KeyError::Broken(error.to_string()))?;
    if !LABELS.contains(&label) {
        return Err(broken("it is not the kind of key that its first line says"));
    }
    let file: File = serde_json::from_slice(&json).map_err(|error| KeyError::Broken(error.to_string()))?;
    if file.kdf.name != KDF || file.cipher.name != CIPHER {
        return Err(KeyError::Broken(format!(
            "it is encrypted with {} and {}, and not with {KDF} and {CIPHER}",
            file.kdf.name.escape_debug(),
            file.cipher.name.escape_debug()
        )));
    }
    let decode =
        |what: &str, text: &str| STANDARD.decode(text).map_err(|_| KeyError::Broken(format!("{what} is not base64")));
    let salt = decode("the salt", &file.kdf.salt)?;
    let nonce: [u8; NONCE_BYTES] =
        decode("the nonce", &file.cipher.nonce)?.try_into().map_err(|_| broken("the nonce does not have 24 bytes"))?;
    let sealed = decode("the ciphertext", &file.ciphertext)?;
    let cipher = XSalsa20Poly1305::new(&derive(password, &salt, file.kdf.params)?);
    cipher.decrypt(&Nonce::from(nonce), sealed.as_slice()).map_err(|_| KeyError::Password)
}

fn derive(password: &[u8], salt: &[u8], Parameters { n, r, p }: Parameters) -> Result<Key, KeyError> {
    let memory = n.checked_mul(r).and_then(|product| product.checked_mul(128));
    let fits = n.is_power_of_two()
        && n > 1
        && r > 0
        && (1..=PARALLEL_MAX).contains(&p)
        && memory.is_some_and(|memory| memory <= MEMORY_MAX)
        && r.saturating_mul(p).saturating_mul(128) <= MEMORY_MAX
        && salt.len() <= 1024;
    let narrow = |number: u64| u32::try_from(number).ok();
    let parameters = match (fits, narrow(r), narrow(p)) {
        (true, Some(r), Some(p)) => scrypt::Params::new(n.trailing_zeros() as u8, r, p).ok(),
        _ => None,
    };
    let parameters = parameters.ok_or_else(|| {
        KeyError::Broken(format!("its scrypt parameters N={n}, r={r}, p={p} cost more than a key may"))
    })?;
    let mut key = [0; KEY_BYTES];
    scrypt::scrypt(password, salt, &parameters, &mut key).expect("32 bytes are a length that scrypt has");
    Ok(key.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_under_a_password_comes_back_with_it_only() {
        let pem = encrypt(b"a key", b"s3cret").unwrap();
        assert!(pem.starts_with("-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\n") && is_encrypted(&pem));
        assert_eq!(decrypt(&pem, b"s3cret").unwrap(), b"a key");
        assert!(matches!(decrypt(&pem, b"other"), Err(KeyError::Password)));
        let older = pem.replace("SIGSTORE", "COSIGN");
        assert_eq!(decrypt(&older, b"s3cret").unwrap(), b"a key");
    }

    #[test]
    fn a_file_cannot_ask_for_more_than_a_key_may_cost() {
        let pem = encrypt(b"a key", b"").unwrap();
        let (_, json) = decode_vec(pem.trim().as_bytes()).unwrap();
        let with = |change: &dyn Fn(&mut serde_json::Value)| {
            let mut file = serde_json::from_slice(&json).unwrap();
            change(&mut file);
            let pem = encode_string(LABEL, LineEnding::LF, file.to_string().as_bytes()).unwrap();
            decrypt(&pem, b"").unwrap_err().to_string()
        };
        let costs =
            [(1_u64 << 40, 8_u64, 1_u64), (65_536, 1 << 20, 1), (65_536, 8, 1 << 20), (65_535, 8, 1), (0, 8, 1)];
        for (n, r, p) in costs.into_iter().chain([(1, 8, 1), (65_536, 0, 1), (65_536, 8, 0), (1 << 63, u64::MAX, 1)]) {
            let told = with(&|file| file["kdf"]["params"] = serde_json::json!({ "N": n, "r": r, "p": p }));
            assert!(told.contains("cost more"), "{told}");
        }
        assert!(with(&|file| file["cipher"]["name"] = "rot13".into()).contains("encrypted with scrypt and rot13"));
        assert!(with(&|file| file["cipher"]["nonce"] = "AAAA".into()).contains("24 bytes"));
        assert!(with(&|file| file["ciphertext"] = "!".into()).contains("base64"));
        assert!(matches!(decrypt("-----BEGIN X-----\n", b""), Err(KeyError::Broken(_))));
    }
}
