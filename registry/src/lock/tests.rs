//! The stories of the lock.

use super::*;

fn plugin(reference: &str, content: &str, grants: &[Capability]) -> LockedPlugin {
    LockedPlugin {
        reference: reference.parse().unwrap(),
        manifest: Digest::of(content.as_bytes()),
        component: Digest::of(format!("component of {content}").as_bytes()),
        package: Some("acme:lint@1.4.0".to_owned()),
        contract: Some("0.1.0".to_owned()),
        grants: grants.iter().copied().collect(),
        signers: BTreeSet::new(),
    }
}

fn lock(plugins: &[LockedPlugin]) -> Lock {
    let mut lock = Lock::default();
    plugins.iter().cloned().for_each(|plugin| drop(lock.insert(plugin)));
    lock
}

#[test]
fn the_text_is_sorted_and_reads_as_it_looks() {
    let mut signed = plugin("ghcr.io/acme/lint:1.4", "a", &[Capability::Workspace, Capability::Environment]);
    signed.signers.insert("SHA256:key \"x\"".to_owned());
    let lock = lock(&[plugin("ghcr.io/zeta/b:1", "b", &[]), signed]);
    let text = lock.to_text();
    assert_eq!(
        text,
        format!(
            "# The plugins that this project takes from registries, and what each may ask for.\n\
             # Written by `oxide plugin add`, `update` and `remove`; keep it in version control.\n\
             version = 1\n\n\
             [[plugin]]\nreference = \"ghcr.io/acme/lint:1.4\"\nmanifest = \"{}\"\ncomponent = \"{}\"\n\
             package = \"acme:lint@1.4.0\"\ncontract = \"0.1.0\"\ngrants = [\"workspace\", \"environment\"]\n\
             signers = ['SHA256:key \"x\"']\n\n\
             [[plugin]]\nreference = \"ghcr.io/zeta/b:1\"\nmanifest = \"{}\"\ncomponent = \"{}\"\n\
             package = \"acme:lint@1.4.0\"\ncontract = \"0.1.0\"\ngrants = []\n",
            Digest::of(b"a"),
            Digest::of(b"component of a"),
            Digest::of(b"b"),
            Digest::of(b"component of b"),
        )
    );
    assert_eq!(Lock::parse(&text), Ok(lock));
    assert_eq!(Lock::parse(HEAD), Ok(Lock::default()));
}

/// Numbers that look random and are the same at every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }

    fn text(&mut self) -> String {
        const SIGNS: [char; 16] =
            ['a', 'Z', '"', '\'', '\\', '\n', '\t', '\u{7f}', '#', '=', '[', 'é', '\u{1F600}', ' ', '\r', '\0'];
        (0..self.below(12)).map(|_| SIGNS[self.below(SIGNS.len())]).collect()
    }
}

#[test]
fn whatever_is_in_a_lock_is_in_it_after_writing_and_reading() {
    let grants: Vec<Capability> = Capability::ALL.into_iter().filter(|grant| !grant.is_always_granted()).collect();
    for seed in 0..500 {
        let mut numbers = Numbers(seed);
        let mut lock = Lock::default();
        for _ in 0..numbers.below(6) {
            let digest = |numbers: &mut Numbers| Digest::of(&numbers.below(1000).to_le_bytes());
            let version = match numbers.below(3) {
                0 => format!(":v{}", numbers.below(50)),
                1 => format!("@{}", digest(&mut numbers)),
                _ => format!(":{}@{}", numbers.below(9), digest(&mut numbers)),
            };
            lock.insert(LockedPlugin {
                reference: format!("host{}.example:50/a/b{}{version}", numbers.below(3), numbers.below(3))
                    .parse()
                    .unwrap(),
                manifest: digest(&mut numbers),
                component: digest(&mut numbers),
                package: (numbers.below(2) == 0).then(|| numbers.text()),
                contract: (numbers.below(2) == 0).then(|| numbers.text()),
                grants: (0..numbers.below(5)).map(|_| grants[numbers.below(grants.len())]).collect(),
                signers: (0..numbers.below(3)).map(|_| numbers.text()).collect(),
            });
        }
        let text = lock.to_text();
        assert_eq!(Lock::parse(&text).as_ref(), Ok(&lock), "seed {seed}\n{text}");
        assert_eq!(Lock::parse(&text).unwrap().to_text(), text, "seed {seed}");
    }
}

#[test]
fn what_is_wrong_is_told_with_its_line() {
    let good = lock(&[plugin("ghcr.io/acme/lint:1.4", "a", &[Capability::Workspace])]).to_text();
    let told = |text: &str| Lock::parse(text).unwrap_err().to_string();
    for (from, to, expected) in [
        ("package =", "pakage =", "oxide.lock, line 9: unknown field `pakage`"),
        ("\"workspace\"", "\"workspaces\"", "`workspaces` cannot be granted; these can: workspace, environment"),
        ("\"workspace\"", "\"log\"", "`log` cannot be granted"),
        ("manifest = \"sha256:", "manifest = \"sha256:../", "is no digest: write `sha256:` and 64"),
        (
            "ghcr.io/acme/lint:1.4",
            "ghcr.io/../lint:1.4",
            "oxide.lock, line 6: `../lint` is not the name of a repository",
        ),
        ("version = 1", "version = 2", "has the format 2, and this version of oxide reads the format 1"),
        ("version = 1", "version = 1\nfuture = true", "oxide.lock, line 4: unknown field `future`"),
        ("grants = [\"workspace\"]", "", "missing field `grants`"),
        ("[[plugin]]", "[[plugin", "oxide.lock, line 5:"),
    ] {
        assert!(good.contains(from), "{from}");
        let told = told(&good.replace(from, to));
        assert!(told.contains(expected), "{told}");
    }
    let twice = format!("{good}{}", good.split_once("version = 1\n").unwrap().1);
    assert!(told(&twice).contains("`ghcr.io/acme/lint:1.4` is there twice"), "{}", told(&twice));
}

#[test]
fn a_merge_that_is_not_finished_says_what_to_do() {
    let text = format!("{HEAD}\n<<<<<<< HEAD\n[[plugin]]\n=======\n>>>>>>> branch\n");
    assert_eq!(Lock::parse(&text), Err(LockError::Conflict { line: 5 }));
    let told = Lock::parse(&text).unwrap_err().to_string();
    assert!(told.contains("line 5: two branches changed it") && told.contains("`oxide plugin list`"), "{told}");
}

#[test]
fn a_reference_is_found_by_what_was_accepted() {
    let entry = plugin("ghcr.io/acme/lint:1.4", "a", &[]);
    let lock = lock(std::slice::from_ref(&entry));
    let find = |text: &str, strict| lock.find(&text.parse().unwrap(), strict);
    let (same, other) = (Digest::of(b"a"), Digest::of(b"b"));
    assert_eq!(find("ghcr.io/acme/lint:1.4", true), Ok(&entry));
    assert!(matches!(find("ghcr.io/acme/lint:1.5", false), Err(LockRefusal::Missing(_))));
    assert!(matches!(find("ghcr.io/evil/lint:1.4", false), Err(LockRefusal::Missing(_))));
    // The same bytes under their digest were accepted, too; who wants every word to be in the lock says so.
    assert_eq!(find(&format!("ghcr.io/acme/lint@{same}"), false), Ok(&entry));
    assert!(matches!(find(&format!("ghcr.io/acme/lint@{same}"), true), Err(LockRefusal::Missing(_))));
    assert!(matches!(find(&format!("ghcr.io/evil/lint@{same}"), false), Err(LockRefusal::Missing(_))));
    assert!(matches!(find(&format!("ghcr.io/acme/lint:1.4@{other}"), false), Err(LockRefusal::Differs { .. })));
    let told = find("ghcr.io/acme/lint:1.5", false).unwrap_err().to_string();
    assert!(told.contains("`oxide plugin add ghcr.io/acme/lint:1.5`"), "{told}");
}

#[test]
fn an_entry_by_digest_that_was_edited_by_hand_is_refused() {
    let (wanted, other) = (Digest::of(b"a"), "b");
    let entry = plugin(&format!("ghcr.io/acme/lint@{wanted}"), other, &[]);
    let lock = lock(std::slice::from_ref(&entry));
    assert!(matches!(lock.find(&entry.reference, true), Err(LockRefusal::Differs { .. })));
}

#[test]
fn rights_beyond_those_that_were_accepted_are_named_exactly() {
    let entry = plugin("ghcr.io/acme/lint:1.4", "a", &[Capability::Workspace]);
    assert_eq!(entry.check_rights(&BTreeSet::from([Capability::Workspace])), Ok(()));
    assert_eq!(entry.check_rights(&BTreeSet::new()), Ok(()));
    let asked = BTreeSet::from([Capability::Workspace, Capability::Secrets, Capability::Http]);
    assert_eq!(
        entry.check_rights(&asked).unwrap_err().to_string(),
        "it asks for `secrets` (spend the secrets that are named) and `http` (send HTTP requests to the hosts that are \
         named), and oxide.lock allows it only `workspace`: `oxide plugin add ghcr.io/acme/lint:1.4` shows what it asks for"
    );
}
