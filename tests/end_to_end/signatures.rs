//! Keys, signatures and the policy of a project, from the outside.

use std::{fs, os::unix::fs::PermissionsExt as _};

use serde_json::{Value as Json, json};

use crate::{
    embedded_registry::{EmbeddedRegistry, manifest},
    oxide::{Ended, Project, root},
};

/// A project, a registry, a plugin in it, and two key pairs: `a` and `b`.
struct Story {
    project: Project,
    registry: EmbeddedRegistry,
    plugin: String,
    digest: String,
}

impl Story {
    fn new() -> Story {
        let mut project = Project::new();
        project.set("OXIDE_SIGNING_PASSWORD", "s3cret");
        fs::create_dir_all(project.path(".oxide/keys")).unwrap();
        for name in [".oxide/keys/a", ".oxide/keys/b"] {
            project.oxide(&["plugin", "keygen", name]).expect(0);
        }
        let registry = EmbeddedRegistry::start(&project, &[]);
        let digest = registry.push("acme/lint", "1.0.0");
        let plugin = format!("{}/acme/lint", registry.address);
        Story { project, registry, plugin, digest }
    }

    fn sign(&self, key: &str, reference: &str) -> Ended {
        self.project.oxide(&["plugin", "sign", "--key", &format!(".oxide/keys/{key}.key"), reference])
    }

    fn verify(&self, key: &str, reference: &str) -> Ended {
        self.project.oxide(&["plugin", "verify", "--key", &format!(".oxide/keys/{key}.pub"), reference])
    }

    fn by_digest(&self) -> String {
        format!("{}@{}", self.plugin, self.digest)
    }

    fn trust(&self, text: &str) {
        let text = text.replace("PLUGINS", &format!("{}/acme/*", self.registry.address));
        fs::write(self.project.path(".oxide/trust.toml"), text).unwrap();
    }
}

#[test]
fn a_key_pair_is_made_once_and_the_private_half_is_closed() {
    let mut project = Project::new();
    let no_terminal = project.oxide(&["plugin", "keygen", "release"]);
    assert!(no_terminal.code != 0 && no_terminal.stderr.contains("OXIDE_SIGNING_PASSWORD"), "{}", no_terminal.stderr);
    project.set("COSIGN_PASSWORD", "s3cret");
    let made = project.oxide(&["plugin", "keygen", "release", "--json"]).expect(0);
    let told: Json = serde_json::from_str(&made.stdout).unwrap();
    assert_eq!((&told["private"], &told["public"]), (&"release.key".into(), &"release.pub".into()));
    let key = fs::read_to_string(project.path("release.key")).unwrap();
    assert!(key.starts_with("-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\n"));
    assert_eq!(fs::metadata(project.path("release.key")).unwrap().permissions().mode() & 0o777, 0o600);
    project.shell("openssl pkey -pubin -in release.pub -noout");
    let again = project.oxide(&["plugin", "keygen", "release"]).expect(2);
    assert!(again.stderr.contains("there is a `release.key` already"), "{}", again.stderr);
    assert_eq!(fs::read_to_string(project.path("release.key")).unwrap(), key);
}

#[test]
fn a_plugin_is_signed_and_verified_with_the_right_key_only() {
    let story = Story::new();
    let unsigned = story.verify("a", &story.by_digest()).expect(3);
    assert!(unsigned.stderr.contains("it has no signature"), "{}", unsigned.stderr);
    let signed = story.sign("a", &format!("{}:1.0.0", story.plugin)).expect(0);
    assert!(signed.stderr.contains("`1.0.0` may move") && signed.stdout.contains(&story.digest), "{signed:?}");
    for reference in [story.by_digest(), format!("{}:1.0.0", story.plugin)] {
        assert!(story.verify("a", &reference).expect(0).stdout.contains("signed by .oxide/keys/a.pub"));
    }
    let wrong = story.verify("b", &story.by_digest()).expect(3);
    assert!(wrong.stderr.contains("not made with any of these keys"), "{}", wrong.stderr);

    assert!(story.sign("a", &story.by_digest()).expect(0).stdout.contains("already signed"));
    story.sign("b", &story.by_digest()).expect(0);
    story.verify("a", &story.by_digest()).expect(0);
    story.verify("b", &story.by_digest()).expect(0);

    let private =
        story.project.oxide(&["plugin", "verify", "--key", ".oxide/keys/a.key", &story.by_digest()]).expect(2);
    assert!(private.stderr.contains("name the `.pub` file"), "{}", private.stderr);
    let mut command = story.project.command(&["plugin", "sign", "--key", ".oxide/keys/a.key", &story.by_digest()]);
    let wrong = Ended::of(command.env("OXIDE_SIGNING_PASSWORD", "wrong").output().unwrap()).expect(2);
    assert!(wrong.stderr.contains("the password is wrong"), "{}", wrong.stderr);
    let missing = story.sign("a", &format!("{}:9", story.plugin));
    assert!(missing.code == 4 && missing.stderr.contains("there is no"), "{}", missing.stderr);
}

#[test]
fn signatures_that_were_changed_moved_or_removed_do_not_count() {
    let story = Story::new();
    story.sign("a", &story.by_digest()).expect(0);
    let tag = format!("sha256-{}.sig", &story.digest["sha256:".len()..]);
    let path = format!("/v2/acme/lint/manifests/{tag}");
    let (_, _, signature) = story.registry.send("GET", &path, "", b"");
    let signature: Json = serde_json::from_slice(&signature).unwrap();

    // The signature of this plugin at the tag of another one.
    let other = manifest().replace("application/wasm", "application/other");
    let other = story.registry.push_manifest("acme/lint", "2.0.0", &other);
    let mut moved = signature.clone();
    moved["subject"]["digest"] = other.as_str().into();
    story.registry.push_manifest("acme/lint", &format!("sha256-{}.sig", &other["sha256:".len()..]), &moved.to_string());
    let refused = story.verify("a", &format!("{}:2.0.0", story.plugin)).expect(3);
    let told = format!("it is a signature of {}", story.digest);
    assert!(refused.stderr.contains(&told), "{}", refused.stderr);

    // Another payload under the same signature: `hello`, which the repository has.
    let mut changed = signature.clone();
    changed["layers"][0]["digest"] = serde_json::from_str::<Json>(&manifest()).unwrap()["layers"][0]["digest"].clone();
    changed["layers"][0]["size"] = json!(5);
    let (status, _, _) = story.registry.send("DELETE", &path, "", b"");
    assert_eq!(status, 202);
    story.verify("a", &story.by_digest()).expect(0);
    // Neither tag nor referrer: nothing is left of it.
    let (_, _, referrers) = story.registry.send("GET", &format!("/v2/acme/lint/referrers/{}", story.digest), "", b"");
    let referrers: Json = serde_json::from_slice(&referrers).unwrap();
    let referrer = referrers["manifests"][0]["digest"].as_str().unwrap();
    assert_eq!(story.registry.send("DELETE", &format!("/v2/acme/lint/manifests/{referrer}"), "", b"").0, 202);
    let removed = story.verify("a", &story.by_digest()).expect(3);
    assert!(removed.stderr.contains("it has no signature"), "{}", removed.stderr);
    story.registry.push_manifest("acme/lint", &tag, &changed.to_string());
    let refused = story.verify("a", &story.by_digest()).expect(3);
    assert!(refused.stderr.contains("was changed since"), "{}", refused.stderr);
}

#[test]
fn the_policy_of_the_project_decides_also_without_the_registry() {
    let story = Story::new();
    fs::write(story.project.path("oxide.yaml"), "version: \"1\"\nname: p\nstages: {}\n").unwrap();
    let verify = || story.project.oxide(&["plugin", "verify", &story.by_digest()]);
    assert!(verify().expect(0).stdout.contains("needs no signature"));
    story.trust(
        "[[rule]]\nplugins = \"PLUGINS\"\nall_of = [\"keys/a.pub\"]\nany_of = [\"keys/b.pub\", \"keys/c.pub\"]\n",
    );
    let missing = verify().expect(3);
    assert!(missing.stderr.contains("line 4: could not read the key `keys/c.pub`"), "{}", missing.stderr);
    story.trust("[[rule]]\nplugins = \"PLUGINS\"\nall_of = [\"keys/a.pub\", \"keys/b.pub\"]\n");
    let unsigned = verify().expect(3);
    assert!(
        unsigned.stderr.contains("it has no signature") && unsigned.stderr.contains("oxide plugin sign"),
        "{}",
        unsigned.stderr
    );
    story.sign("a", &story.by_digest()).expect(0);
    let half = verify().expect(3);
    assert!(half.stderr.contains("not signed by `keys/b.pub`"), "{}", half.stderr);
    story.sign("b", &story.by_digest()).expect(0);
    let json = story.project.oxide(&["plugin", "verify", "--json", &story.by_digest()]).expect(0);
    let json: Json = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(json["signers"].as_array().unwrap().len(), 2);

    let reference = story.by_digest();
    let Story { project, registry, .. } = story;
    assert_eq!(registry.terminate(), Some(0));
    assert!(project.oxide(&["plugin", "verify", &reference]).expect(0).stdout.contains("signed by keys/a.pub"));
    // A file of the store that somebody changed is no signature.
    for entry in fs::read_dir(project.data().join("plugins/signatures")).unwrap().flatten() {
        let text = fs::read_to_string(entry.path()).unwrap();
        let mut kept: Json = serde_json::from_str(&text).unwrap();
        for signature in kept["signatures"].as_array_mut().unwrap() {
            signature["payload"] = "e30=".into();
        }
        fs::write(entry.path(), kept.to_string()).unwrap();
    }
    assert_eq!(project.oxide(&["plugin", "verify", &reference]).code, 4, "now the registry is needed");
}

#[test]
fn a_plan_uses_a_plugin_as_long_as_the_policy_lets_it() {
    let story = Story::new();
    let reference = format!("{}:2.0.0", story.plugin);
    let greet = root().join("examples/tour/plugins/greet/plugin.wasm");
    story.project.oxide(&["plugin", "push", greet.to_str().unwrap(), &reference]).expect(0);
    let pipeline = format!(
        "version: \"1\"\nname: p\nstages:\n  s:\n    environment: host\n    steps:\n      - uses: {reference}\n        \
         with: {{ name: Ada }}\n"
    );
    fs::write(story.project.path("oxide.yaml"), pipeline).unwrap();
    story.project.oxide(&["plugin", "add", "--yes", &reference]).expect(0);
    story.project.oxide(&["plan"]).expect(0);

    let rule = "[[rule]]\nplugins = \"PLUGINS\"\nany_of = [\"keys/a.pub\"]\n";
    story.trust(rule);
    let unsigned = story.project.oxide(&["plan"]).expect(3);
    assert!(unsigned.stderr.contains("it is not signed by `keys/a.pub`"), "{}", unsigned.stderr);
    let added = story.project.oxide(&["plugin", "add", "--yes", &reference]).expect(3);
    assert!(added.stderr.contains("it has no signature"), "{}", added.stderr);
    story.sign("b", &reference).expect(0);
    story.project.oxide(&["plan"]).expect(3);
    story.sign("a", &reference).expect(0);
    story.project.oxide(&["plan"]).expect(0);

    let Story { project, registry, .. } = story;
    let address = registry.address.clone();
    assert_eq!(registry.terminate(), Some(0));
    assert!(project.oxide(&["run", ".", "--verbose"]).expect(0).stdout.contains("Ada"), "nothing is fetched any more");
    // Who signed it is not trusted any more.
    fs::write(
        project.path(".oxide/trust.toml"),
        rule.replace("PLUGINS", &format!("{address}/acme/*")).replace("a.pub", "b.pub"),
    )
    .unwrap();
    let other = project.oxide(&["plan"]);
    assert!(other.code != 0 && other.stderr.contains("b.pub") | other.stderr.contains("could not"), "{}", other.stderr);
}
