//! The digest of content: the only name under which bytes from a registry are kept.

use std::{fmt, str::FromStr};

use oxide_core::quantity::hexadecimal;
use sha2::{Digest as _, Sha256};

/// `sha256:` and 64 lower-case hexadecimal digits. Whoever holds one can use it in a path or a URL as it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(String);

/// A text is no digest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{shown}` is no digest: write `sha256:` and 64 hexadecimal digits in lower case")]
pub struct DigestError {
    shown: String,
}

impl Digest {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Digest {
        Digest::from_hash(&Sha256::digest(bytes))
    }

    /// From a finished SHA-256.
    pub(crate) fn from_hash(hash: &[u8]) -> Digest {
        Digest(format!("sha256:{}", hexadecimal(hash)))
    }

    /// With `sha256:`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The 64 digits alone.
    pub fn hex(&self) -> &str {
        &self.0["sha256:".len()..]
    }

    /// `sha256:` and the first 12 digits, for people.
    pub fn short(&self) -> &str {
        &self.0[.."sha256:".len() + 12]
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Digest, DigestError> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        match text.strip_prefix("sha256:") {
            Some(hex) if hex.len() == 64 && hex.bytes().all(is_digit) => Ok(Digest(text.to_owned())),
            _ => Err(DigestError { shown: text.chars().filter(|sign| !sign.is_control()).take(80).collect() }),
        }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl serde::Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> serde::Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Digest, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_digest_in_lower_case_is_one() {
        let good = Digest::of(b"");
        assert_eq!(good.as_str(), "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!((good.short(), good.hex().len()), ("sha256:e3b0c44298fc", 64));
        assert_eq!(good.as_str().parse(), Ok(good.clone()));
        let upper = format!("sha256:{}", good.hex().to_uppercase());
        let long = format!("{good}0");
        let path = format!("sha256:../../{}", &good.hex()[6..]);
        for bad in ["", "sha256:", "sha512:00", good.hex(), &upper, &long, &path] {
            assert!(bad.parse::<Digest>().is_err(), "{bad}");
        }
    }
}
