use tempfile::TempDir;

use super::*;
use crate::signature::PrivateKey;

/// Three keys and a policy over them, whose rules name them `a.pub`, `b.pub` and `c.pub`.
struct Keys([PrivateKey; 3]);

impl Keys {
    fn new() -> Keys {
        Keys([PrivateKey::generate(), PrivateKey::generate(), PrivateKey::generate()])
    }

    fn policy(&self, text: &str) -> Policy {
        self.try_policy(text).unwrap_or_else(|error| panic!("{error}"))
    }

    fn try_policy(&self, text: &str) -> Result<Policy, PolicyError> {
        Policy::parse(text, |name| match ["a.pub", "b.pub", "c.pub"].iter().position(|known| *known == name) {
            Some(at) => Ok(self.0[at].public_key().to_pem()),
            None => Err(io::ErrorKind::NotFound.into()),
        })
    }

    fn fingerprints(&self, which: &[usize]) -> BTreeSet<String> {
        which.iter().map(|at| self.0[*at].public_key().fingerprint()).collect()
    }
}

fn is_allowed(decision: &Decision) -> bool {
    matches!(decision, Decision::Allowed { .. })
}

#[test]
fn the_first_rule_that_matches_decides() {
    let keys = Keys::new();
    let policy = keys.policy(
        r#"
        [[rule]]
        plugins = "ghcr.io/acme/lint"
        all_of = ["a.pub", "b.pub"]
        [[rule]]
        plugins = "ghcr.io/acme/*"
        any_of = ["b.pub", "c.pub"]
        [[rule]]
        plugins = "127.0.0.1:5000/*"
        signed = false
        [default]
        signed = true
        "#,
    );
    let decide = |name: &str, signed: &[usize]| policy.decide(name, &keys.fingerprints(signed));
    assert!(is_allowed(&decide("ghcr.io/acme/lint", &[0, 1])));
    for signed in [&[][..], &[0], &[1], &[1, 2]] {
        assert!(!is_allowed(&decide("ghcr.io/acme/lint", signed)), "{signed:?}");
    }
    assert!(is_allowed(&decide("ghcr.io/acme/format", &[2])) && !is_allowed(&decide("ghcr.io/acme/format", &[0])));
    assert_eq!(decide("127.0.0.1:5000/x", &[]), Decision::Allowed { signers: vec![] });
    assert_eq!(decide("ghcr.io/other/x", &[0, 1, 2]), Decision::Refused(Refusal::NoRule));
    let Decision::Allowed { signers } = decide("ghcr.io/acme/format", &[0, 2]) else { panic!("it is signed") };
    assert_eq!(signers.iter().map(|signer| signer.key.as_str()).collect::<Vec<_>>(), ["c.pub"]);
    let Decision::Refused(reason) = decide("ghcr.io/acme/lint", &[2]) else { panic!("it is not signed") };
    assert_eq!(
        reason.to_string(),
        "it is not signed by `a.pub` and `b.pub`, as the rule for `ghcr.io/acme/lint` in `.oxide/trust.toml` wants"
    );
    // Without a rule and a default, everything is let in.
    assert!(is_allowed(&keys.policy("").decide("ghcr.io/acme/lint", &BTreeSet::new())));
}

/// Every name that can be put together from these pieces is let past the rule, or not, as a plain reading of the pattern says.
#[test]
fn owners_that_look_alike_never_match() {
    const PIECES: [&str; 9] = ["ghcr.io", "acme", "/", "-", ".", "x", "*", "evil", ":443"];
    let keys = Keys::new();
    let policy = keys.policy("[[rule]]\nplugins = \"ghcr.io/acme/*\"\nsigned = false\n[default]\nsigned = true\n");
    let mut names = vec![String::new()];
    let mut matching = 0;
    for _ in 0..6 {
        names = names.iter().flat_map(|name| PIECES.map(|piece| format!("{name}{piece}"))).collect();
        for name in &names {
            let is_real = ["ghcr.io", "ghcr.io:443", "ghcr.io.", "ghcr.io.:443"].iter().any(|host| {
                name.strip_prefix(host)
                    .and_then(|rest| rest.strip_prefix("/acme/"))
                    .is_some_and(|rest| !rest.is_empty())
            });
            matching += usize::from(is_real);
            assert_eq!(is_allowed(&policy.decide(name, &BTreeSet::new())), is_real, "{name}");
        }
    }
    assert!(matching > 100, "{matching}");
    for name in ["ghcr.io/acme-evil/x", "ghcr.io/acmex", "ghcr.io/acme", "evil.io/ghcr.io/acme/x", "xghcr.io/acme/x"] {
        assert!(!is_allowed(&policy.decide(name, &BTreeSet::new())), "{name}");
    }
}

#[test]
fn capitals_and_the_usual_port_lead_past_no_rule() {
    let keys = Keys::new();
    let policy = keys.policy("[[rule]]\nplugins = \"GHCR.io:443/acme/*\"\nany_of = [\"a.pub\"]\n");
    for name in ["ghcr.io/acme/x", "GHCR.IO/acme/x", "ghcr.io:443/acme/x", "Ghcr.Io:443/acme/y/z"] {
        assert!(!is_allowed(&policy.decide(name, &BTreeSet::new())), "{name}");
        assert!(is_allowed(&policy.decide(name, &keys.fingerprints(&[0]))), "{name}");
    }
    assert!(is_allowed(&policy.decide("ghcr.io:444/acme/x", &BTreeSet::new())), "another registry has no rule");
}

#[test]
fn what_is_wrong_is_named_with_its_line() {
    let keys = Keys::new();
    let told = |text: &str| oxide_core::cause::in_one_line(&keys.try_policy(text).unwrap_err());
    let rule = |rest: &str| format!("# trust\n[[rule]]\nplugins = \"ghcr.io/acme/*\"\n{rest}");
    assert!(
        told(&rule("key = 1")).starts_with("`.oxide/trust.toml`, line 4: unknown field `key`"),
        "{}",
        told(&rule("key = 1"))
    );
    assert!(told("[defaults]\n").contains("line 1: unknown field `defaults`"), "{}", told("[defaults]\n"));
    assert!(told("[[rule]]\nsigned = false\n").contains("missing field `plugins`"));
    assert!(
        told(&rule("any_of = [\"gone.pub\"]"))
            .starts_with("`.oxide/trust.toml`, line 4: could not read the key `gone.pub`")
    );
    assert!(
        told(&rule("")).contains("line 2: the rule names no keys: write `any_of = [\"keys/NAME.pub\"]`"),
        "{}",
        told(&rule(""))
    );
    assert!(told(&rule("signed = true")).contains("names no keys"));
    assert!(told(&rule("signed = false\nall_of = [\"a.pub\"]")).contains("remove one of the two"));
    assert!(told("[[rule]]\nplugins = ").contains("line 2"));
    for pattern in ["*", "ghcr.io/*x", "ghcr.io/acme*", "ghcr.io/*/lint", "ghcr.io", "acme/..", "ghcr.io/acme/**", ""] {
        let text = format!("[[rule]]\nplugins = \"{pattern}\"\nsigned = false\n");
        assert!(
            told(&text).contains("line 2: ") && told(&text).contains("is no pattern"),
            "{pattern}: {}",
            told(&text)
        );
    }
}

#[test]
fn a_project_has_its_keys_beside_its_policy() {
    let folder = TempDir::new().unwrap();
    assert!(is_allowed(&Policy::of_project(folder.path()).unwrap().decide("ghcr.io/acme/x", &BTreeSet::new())));
    fs::create_dir_all(folder.path().join(".oxide/keys")).unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(".oxide").join(name), text).unwrap();
    write("trust.toml", "[[rule]]\nplugins = \"ghcr.io/acme/*\"\nall_of = [\"keys/acme.pub\"]\n");
    let missing = oxide_core::cause::in_one_line(&Policy::of_project(folder.path()).unwrap_err());
    assert!(missing.contains("line 3: could not read the key `keys/acme.pub`: No such file"), "{missing}");
    let key = PrivateKey::generate();
    write("keys/acme.pub", &key.to_pem("").unwrap());
    let private = oxide_core::cause::in_one_line(&Policy::of_project(folder.path()).unwrap_err());
    assert!(private.contains("it is a private key: name the `.pub` file"), "{private}");
    write("keys/acme.pub", &key.public_key().to_pem());
    let policy = Policy::of_project(folder.path()).unwrap();
    assert!(!is_allowed(&policy.decide("ghcr.io/acme/x", &BTreeSet::new())));
}

#[tokio::test]
async fn kept_signatures_need_no_registry_and_are_verified_each_time() {
    let folder = TempDir::new().unwrap();
    let kept = KeptSignatures::new(folder.path());
    let keys = Keys::new();
    let policy = keys.policy("[[rule]]\nplugins = \"ghcr.io/acme/*\"\nany_of = [\"a.pub\", \"b.pub\"]\n");
    let (name, digest) = (Repository::parse("ghcr.io/acme/lint").unwrap(), Digest::of(b"manifest"));
    let verify = async |policy: &Policy, digest: &Digest| verify_by_policy(policy, &name, digest, &kept, None).await;
    assert!(matches!(verify(&policy, &digest).await, Err(VerifyError::Offline { .. })));
    kept.keep(&digest, &[Signature::sign(&keys.0[1], &name, &digest)]).unwrap();
    assert_eq!(verify(&policy, &digest).await.unwrap()[0].key, "b.pub");

    let stricter = keys.policy("[[rule]]\nplugins = \"ghcr.io/acme/*\"\nany_of = [\"c.pub\"]\n");
    let Err(VerifyError::Refused { found, .. }) = verify(&stricter, &digest).await else { panic!("b is not c") };
    assert_eq!(found, ["a signature was not made with any of these keys, or was changed since"]);

    // Files of the store that somebody moves or changes are no signatures.
    let other = Digest::of(b"other");
    kept.keep(&other, &kept.of(&digest)).unwrap();
    let Err(VerifyError::Refused { found, .. }) = verify(&policy, &other).await else { panic!("of another digest") };
    assert!(found[0].contains("a signature by `b.pub` does not count: it is a signature of sha256:"), "{found:?}");
}
