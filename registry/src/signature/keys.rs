//! Key pairs: ECDSA on P-256, in the files that cosign and openssl write.

use std::fmt;

use oxide_core::quantity::hexadecimal;
use p256::{
    SecretKey,
    ecdsa::{
        DerSignature, SigningKey, VerifyingKey,
        signature::{Signer as _, Verifier as _},
    },
    elliptic_curve::Generate as _,
    pkcs8::{DecodePrivateKey as _, DecodePublicKey as _, EncodePrivateKey as _, EncodePublicKey as _, LineEnding},
};
use sha2::{Digest as _, Sha256};

use super::private_key_file;

/// Why a key cannot be read or made.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The password is wrong.
    #[error("the password is wrong")]
    Password,
    /// No key of a kind that is used here.
    #[error("it is no ECDSA key on the curve P-256 in PEM")]
    Kind,
    /// A private key where a public one should be.
    #[error("it is a private key: name the `.pub` file beside it")]
    Private,
    /// A public key where a private one should be.
    #[error("it is a public key: name the `.key` file beside it")]
    Public,
    /// Damaged, or written by something that cannot be read here.
    #[error("the key cannot be read: {0}")]
    Broken(String),
    /// The system gives no randomness.
    #[error("the system gives no randomness")]
    Random(#[source] std::io::Error),
}

/// A key that signs. It is never shown, and gone from memory when it is dropped.
#[derive(Clone)]
pub struct PrivateKey(SigningKey);

/// A key that verifies.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl PrivateKey {
    /// A new key.
    pub fn generate() -> PrivateKey {
        PrivateKey(SigningKey::generate())
    }

    /// Does this file want a password?
    pub fn is_encrypted(pem: &str) -> bool {
        private_key_file::is_encrypted(pem)
    }

    /// Reads a private key: one under a password as cosign writes it, else plain PKCS #8 or SEC 1.
    ///
    /// # Errors
    /// See [`KeyError`]. The password of a plain key is not looked at.
    pub fn from_pem(pem: &str, password: &str) -> Result<PrivateKey, KeyError> {
        if pem.contains("-----BEGIN PUBLIC KEY-----") {
            return Err(KeyError::Public);
        }
        if private_key_file::is_encrypted(pem) {
            let pkcs8 = private_key_file::decrypt(pem, password.as_bytes())?;
            return SecretKey::from_pkcs8_der(&pkcs8).map(PrivateKey::of).map_err(|_| KeyError::Kind);
        }
        // openssl writes the parameters of the curve in front of a key.
        let at = pem.find("-----BEGIN EC PRIVATE KEY-----").unwrap_or(0);
        SecretKey::from_pem(pem[at..].trim()).map(PrivateKey::of).map_err(|_| KeyError::Kind)
    }

    fn of(secret: SecretKey) -> PrivateKey {
        PrivateKey(SigningKey::from(secret))
    }

    /// The text of a key file under a password, which may be empty.
    ///
    /// # Errors
    /// If the system gives no randomness.
    pub fn to_pem(&self, password: &str) -> Result<String, KeyError> {
        let pkcs8 = self.0.to_pkcs8_der().map_err(|error| KeyError::Broken(error.to_string()))?;
        private_key_file::encrypt(pkcs8.as_bytes(), password.as_bytes())
    }

    /// The key that verifies what this one signs.
    pub fn public_key(&self) -> PublicKey {
        PublicKey(*self.0.verifying_key())
    }

    /// Signs the SHA-256 of a message; the signature is in DER. The same message gets the same signature.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        let signature: DerSignature = self.0.sign(message);
        signature.as_bytes().to_vec()
    }
}

impl PublicKey {
    /// Reads a public key, `-----BEGIN PUBLIC KEY-----`.
    ///
    /// # Errors
    /// See [`KeyError`].
    pub fn from_pem(pem: &str) -> Result<PublicKey, KeyError> {
        if pem.contains("PRIVATE KEY-----") {
            return Err(KeyError::Private);
        }
        VerifyingKey::from_public_key_pem(pem.trim()).map(PublicKey).map_err(|_| KeyError::Kind)
    }

    /// The text of a key file.
    pub fn to_pem(&self) -> String {
        self.0.to_public_key_pem(LineEnding::LF).expect("a point of the curve has a text")
    }

    /// `sha256:` and the digest of the key, the same for every file that holds it.
    pub fn fingerprint(&self) -> String {
        let der = self.0.to_public_key_der().expect("a point of the curve has a text");
        format!("sha256:{}", hexadecimal(&Sha256::digest(der.as_bytes())))
    }

    /// Did the private key make this signature (in DER) of this message?
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        DerSignature::try_from(signature).is_ok_and(|signature| self.0.verify(message, &signature).is_ok())
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey(of {})", self.public_key().fingerprint())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.fingerprint())
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path, process::Command};

    use tempfile::TempDir;

    use super::*;

    fn openssl(directory: &Path, arguments: &[&str]) -> bool {
        let output = Command::new("openssl").args(arguments).current_dir(directory).output();
        output.expect("openssl is installed").status.success()
    }

    #[test]
    fn openssl_verifies_what_we_sign() {
        let folder = TempDir::new().unwrap();
        let key = PrivateKey::generate();
        let signature = key.sign(b"a message");
        assert!(key.public_key().verifies(b"a message", &signature));
        fs::write(folder.path().join("key.pub"), key.public_key().to_pem()).unwrap();
        fs::write(folder.path().join("signature"), signature).unwrap();
        let verify = |message: &[u8]| {
            fs::write(folder.path().join("message"), message).unwrap();
            openssl(folder.path(), &["dgst", "-sha256", "-verify", "key.pub", "-signature", "signature", "message"])
        };
        assert!(verify(b"a message"));
        assert!(!verify(b"b message"));
    }

    #[test]
    fn we_verify_what_openssl_signs_with_the_keys_that_it_makes() {
        let folder = TempDir::new().unwrap();
        let run = |words: &[&str]| assert!(openssl(folder.path(), words), "openssl {words:?}");
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
        run(&["ecparam", "-name", "prime256v1", "-genkey", "-out", "sec1.pem"]);
        run(&["pkcs8", "-topk8", "-nocrypt", "-in", "sec1.pem", "-out", "pkcs8.pem"]);
        run(&["ec", "-in", "sec1.pem", "-pubout", "-out", "key.pub"]);
        fs::write(folder.path().join("message"), "a message").unwrap();
        run(&["dgst", "-sha256", "-sign", "sec1.pem", "-out", "signature", "message"]);
        let public = PublicKey::from_pem(&read("key.pub")).unwrap();
        let signature = fs::read(folder.path().join("signature")).unwrap();
        assert!(public.verifies(b"a message", &signature));
        assert!(!public.verifies(b"b message", &signature) && !public.verifies(b"a message", &signature[1..]));
        for file in ["sec1.pem", "pkcs8.pem"] {
            let key = PrivateKey::from_pem(&read(file), "").unwrap();
            assert_eq!(key.public_key(), public, "{file}");
            assert_eq!(key.public_key().to_pem(), read("key.pub"));
        }
    }

    #[test]
    fn keys_come_back_from_their_files() {
        let key = PrivateKey::generate();
        let pem = key.to_pem("s3cret").unwrap();
        assert_eq!(PrivateKey::from_pem(&pem, "s3cret").unwrap().public_key(), key.public_key());
        assert!(matches!(PrivateKey::from_pem(&pem, ""), Err(KeyError::Password)));
        assert_eq!(
            PublicKey::from_pem(&key.public_key().to_pem()).unwrap().fingerprint(),
            key.public_key().fingerprint()
        );
        assert!(!format!("{key:?}").contains("PRIVATE"));
    }

    #[test]
    fn what_is_no_key_is_told_so() {
        let key = PrivateKey::generate();
        assert!(matches!(PublicKey::from_pem(&key.to_pem("").unwrap()), Err(KeyError::Private)));
        assert!(matches!(PrivateKey::from_pem(&key.public_key().to_pem(), ""), Err(KeyError::Public)));
        let folder = TempDir::new().unwrap();
        assert!(openssl(folder.path(), &["ecparam", "-name", "secp384r1", "-genkey", "-noout", "-out", "other.pem"]));
        assert!(openssl(folder.path(), &["ec", "-in", "other.pem", "-pubout", "-out", "other.pub"]));
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
        assert!(matches!(PrivateKey::from_pem(&read("other.pem"), ""), Err(KeyError::Kind)));
        assert!(matches!(PublicKey::from_pem(&read("other.pub")), Err(KeyError::Kind)));
        for text in ["", "no key", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"] {
            assert!(PublicKey::from_pem(text).is_err() && PrivateKey::from_pem(text, "").is_err(), "{text}");
        }
    }
}
