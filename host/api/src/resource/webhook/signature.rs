//! Did the forge send this? Comparisons take as long whatever is wrong.

use axum::http::HeaderMap;
use oxide_core::api::webhook::Forge;
use ring::{digest, hmac};

/// Does the request prove that its sender knows the secret?
pub(super) fn is_right(forge: Forge, headers: &HeaderMap, secret: &[u8], body: &[u8]) -> bool {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    match forge {
        Forge::Github => header("x-hub-signature-256").is_some_and(|shown| is_signed(shown, secret, body)),
        Forge::Gitea => {
            let shown = header("x-gitea-signature").or_else(|| header("x-forgejo-signature"));
            shown.or_else(|| header("x-hub-signature-256")).is_some_and(|shown| is_signed(shown, secret, body))
        }
        Forge::Gitlab => headers.get("x-gitlab-token").is_some_and(|shown| is_equal(shown.as_bytes(), secret)),
    }
}

/// Does it prove what the body is, and not only who sends it? GitLab shows the secret itself, whatever the body.
pub(super) fn is_of_body(forge: Forge) -> bool {
    match forge {
        Forge::Github | Forge::Gitea => true,
        Forge::Gitlab => false,
    }
}

/// The SHA-256 of a body.
pub(super) fn digest(body: &[u8]) -> String {
    digest::digest(&digest::SHA256, body).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `sha256=HEX` or `HEX`: the HMAC of the body.
fn is_signed(shown: &str, secret: &[u8], body: &[u8]) -> bool {
    let digits = shown.strip_prefix("sha256=").unwrap_or(shown);
    let Some(shown) = bytes(digits) else { return false };
    hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, secret), body, &shown).is_ok()
}

fn bytes(digits: &str) -> Option<Vec<u8>> {
    if digits.len() != 64 || !digits.is_ascii() {
        return None;
    }
    (0..64).step_by(2).map(|at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok()).collect()
}

fn is_equal(shown: &[u8], secret: &[u8]) -> bool {
    // Digests are equally long, and tell nothing of the secret by how far they agree.
    let (shown, secret) = (digest::digest(&digest::SHA256, shown), digest::digest(&digest::SHA256, secret));
    shown.as_ref().iter().zip(secret.as_ref()).fold(0, |all, (a, b)| all | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(http::HeaderName::from_static(name), value.parse().unwrap())])
    }

    #[test]
    fn a_signature_is_about_this_body_with_this_secret() {
        // The example of GitHub's documentation.
        let (secret, body) = (b"It's a Secret to Everybody", b"Hello, World!");
        let right = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        let of = |value: &str, secret: &[u8], body: &[u8]| {
            is_right(Forge::Github, &headers("x-hub-signature-256", value), secret, body)
        };
        assert!(of(right, secret, body));
        assert!(!of(right, secret, b"Hello, World") && !of(right, b"other", body));
        assert!(!of("sha256=", secret, body) && !of(&right.replace('7', "8"), secret, body));
        assert!(is_right(Forge::Gitea, &headers("x-gitea-signature", &right[7..]), secret, body));
        assert!(!is_right(Forge::Github, &HeaderMap::new(), secret, body));
        assert!(!is_right(Forge::Github, &headers("x-gitlab-token", "It's a Secret to Everybody"), secret, body));
    }

    #[test]
    fn gitlab_sends_the_secret_itself() {
        let right =
            |value: &str| is_right(Forge::Gitlab, &headers("x-gitlab-token", value), b"a secret of gitlab", b"");
        assert!(right("a secret of gitlab") && !right("a secret of gitlaB") && !right(""));
    }
}
