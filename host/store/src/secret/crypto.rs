//! AES-256-GCM over values, each with a random nonce and bound to its place.

use std::hint;

use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    rand::{SecureRandom as _, SystemRandom},
};

use super::{SecretOwner, VaultError, master_keys::MasterKey};

/// A value as it is stored.
pub(super) struct Sealed {
    pub(super) nonce: [u8; NONCE_LEN],
    pub(super) bytes: Vec<u8>,
}

/// A value in the clear. It is wiped when it is dropped, as well as safe code can.
#[derive(PartialEq, Eq)]
pub(super) struct Clear(pub(super) Vec<u8>);

impl Drop for Clear {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

/// Overwrites bytes that nobody is to find later.
pub(super) fn wipe(bytes: &mut [u8]) {
    bytes.fill(0);
    // Else the compiler may leave out what nobody reads.
    hint::black_box(bytes);
}

/// Random bytes of the system.
pub(super) fn random<const N: usize>() -> Result<[u8; N], VaultError> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| VaultError::NoRandomBytes)?;
    Ok(bytes)
}

/// What a value is bound to.
pub(super) fn place(owner: SecretOwner, name: &str) -> String {
    let (scope, scope_id) = owner.columns();
    format!("{scope}/{scope_id}/{name}")
}

/// Encrypts a value for its place.
pub(super) fn seal(key: &MasterKey, place: &str, value: &[u8]) -> Result<Sealed, VaultError> {
    let nonce = random::<NONCE_LEN>()?;
    let mut bytes = Vec::with_capacity(value.len() + AES_256_GCM.tag_len());
    bytes.extend_from_slice(value);
    cipher(key)
        .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(place), &mut bytes)
        .expect("values are far shorter than what AES-GCM takes");
    Ok(Sealed { nonce, bytes })
}

/// Decrypts a value; none if the key is another one, or the value, its nonce or its place was changed.
pub(super) fn open(key: &MasterKey, place: &str, nonce: &[u8], bytes: &[u8]) -> Option<Clear> {
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let mut clear = Clear(bytes.to_vec());
    let length = cipher(key).open_in_place(nonce, Aad::from(place), &mut clear.0).ok()?.len();
    clear.0.truncate(length);
    Some(clear)
}

fn cipher(key: &MasterKey) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key.bytes()).expect("a master key has the 32 bytes of AES-256"))
}

/// What is encrypted to tell a wrong key.
const CHECK: &[u8] = b"oxide master key";

fn check_place(version: u64) -> String {
    format!("check/{version}")
}

/// The value by which a key is recognised later.
pub(super) fn check_of(key: &MasterKey) -> Result<Vec<u8>, VaultError> {
    let sealed = seal(key, &check_place(key.version()), CHECK)?;
    Ok([&sealed.nonce, sealed.bytes.as_slice()].concat())
}

/// Is it the key that the value was made with?
pub(super) fn is_checked(key: &MasterKey, check: &[u8]) -> bool {
    let Some((nonce, bytes)) = check.split_at_checked(NONCE_LEN) else { return false };
    open(key, &check_place(key.version()), nonce, bytes).is_some_and(|clear| clear.0 == CHECK)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(version: u64, byte: u8) -> MasterKey {
        MasterKey::new(version, [byte; 32])
    }

    #[test]
    fn a_value_is_read_with_its_key_at_its_place_only() {
        let sealed = seal(&key(1, 7), "project/x/TOKEN", b"hunter2").unwrap();
        let read = |key: &MasterKey, place: &str| open(key, place, &sealed.nonce, &sealed.bytes).map(|c| c.0.clone());
        assert_eq!(read(&key(1, 7), "project/x/TOKEN").as_deref(), Some(b"hunter2".as_slice()));
        assert_eq!(read(&key(1, 8), "project/x/TOKEN"), None);
        assert_eq!(read(&key(1, 7), "project/y/TOKEN"), None);
        let mut changed = sealed.bytes.clone();
        changed[0] ^= 1;
        assert!(open(&key(1, 7), "project/x/TOKEN", &sealed.nonce, &changed).is_none());
        assert!(open(&key(1, 7), "project/x/TOKEN", &sealed.nonce[1..], &sealed.bytes).is_none());
        assert!(open(&key(1, 7), "project/x/TOKEN", &sealed.nonce, &[]).is_none());
    }

    #[test]
    fn the_same_value_never_looks_the_same() {
        let (one, other) = (seal(&key(1, 7), "a", b"same").unwrap(), seal(&key(1, 7), "a", b"same").unwrap());
        assert_ne!(one.nonce, other.nonce);
        assert_ne!(one.bytes, other.bytes);
        assert!(!one.bytes.windows(4).any(|bytes| bytes == b"same"));
    }

    #[test]
    fn a_check_tells_the_key_and_its_number() {
        let check = check_of(&key(3, 7)).unwrap();
        assert!(is_checked(&key(3, 7), &check));
        assert!(!is_checked(&key(3, 8), &check));
        assert!(!is_checked(&key(4, 7), &check));
        assert!(!is_checked(&key(3, 7), &[]));
    }
}
