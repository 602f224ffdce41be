//! Images that go to a real registry, where `OXIDE_TEST_REGISTRY` says how to reach it.

use std::{
    fs,
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use crate::{oxide::Project, registry::Registry};

/// A project that pushes, with the account of the registry.
fn project(registry: &Registry, steps: &str) -> Project {
    let text = format!("version: \"1\"\nname: push\nstages:\n  image:\n    environment: host\n    steps:\n{steps}");
    let mut project = Project::with_pipeline(&text);
    project.set("REGISTRY_USERNAME", &registry.username);
    project.set("REGISTRY_PASSWORD", &registry.password);
    project
}

/// A step that makes a context of its own, so that tests do not share layers.
fn context(of: &str) -> String {
    format!(
        "      - run: |\n          echo '{of}' > file; printf 'FROM scratch\\nCOPY file /\\n' > Dockerfile; echo Dockerfile > .dockerignore\n"
    )
}

#[test]
fn an_image_is_pushed_under_all_its_tags_and_its_digest_is_that_of_the_registry() {
    let Some(registry) = Registry::of_tests() else { return };
    let address = &registry.address;
    let project = project(
        &registry,
        &format!(
            "{}      - id: image\n        uses: oxide/docker-build@1\n        with:\n          tags: [\"{address}/a/app:1\", \
         \"{address}/a/app:2\"]\n          push: true\n          username: {}\n          password: ${{{{ \
         secrets.REGISTRY_PASSWORD }}}}\n      - run: echo \"it is ${{{{ steps.image.outputs.digest }}}}\"\n",
            context("pushed"),
            registry.username
        ),
    );
    let ended = project.oxide(&["run", "--verbose"]).expect(0);
    let digest = registry.digest("a/app", "1");
    assert!(ended.stdout.contains(&format!("it is {digest}\n")), "{digest}\n{}", ended.stdout);
    assert_eq!(registry.digest("a/app", "2"), digest);
    assert!(!ended.stdout.contains(&registry.password), "{}", ended.stdout);
    // What is built again is the same, and the registry has it.
    let ended = project.oxide(&["run", "--verbose"]).expect(0);
    assert!(ended.stdout.contains("0 layers, 1 were there"), "{}", ended.stdout);
    assert_eq!(registry.digest("a/app", "1"), digest);
}

#[test]
fn secrets_of_known_names_are_the_account_of_the_step_that_names_them() {
    let Some(registry) = Registry::of_tests() else { return };
    let step = |name: &str, secrets: &str| {
        format!(
            "      - uses: oxide/docker-build@1\n        with: {{ tags: [\"{}/{name}\"], push: true }}\n        allow_failure: \
             true\n{secrets}",
            registry.address
        )
    };
    let project = project(
        &registry,
        &format!(
            "{}{}{}",
            context("by name"),
            step("named/app", "        secrets: [REGISTRY_USERNAME, REGISTRY_PASSWORD]\n"),
            step("nobody/app", "")
        ),
    );
    let ended = project.oxide(&["run"]).expect(0);
    registry.digest("named/app", "latest");
    assert!(ended.stdout.contains("no basic auth credentials; give an account"), "{}", ended.stdout);
}

#[test]
fn a_registry_that_refuses_says_what_to_check_and_the_password_is_not_shown() {
    let Some(registry) = Registry::of_tests() else { return };
    let mut project = project(
        &registry,
        &format!(
            "{}      - uses: oxide/docker-build@1\n        with: {{ tags: [\"{}/b/app:1\"], push: true, username: ada }}\n        \
         secrets: [REGISTRY_PASSWORD]\n      - run: printf 'wrong ~~%s~~\\n' password\n        if: always()\n",
            context("refused"),
            registry.address
        ),
    );
    project.set("REGISTRY_PASSWORD", "wrong ~~password~~");
    let ended = project.oxide(&["run", "--verbose"]).expect(1);
    assert!(ended.stdout.contains("refuses the account for"), "{}", ended.stdout);
    assert!(ended.stdout.contains("check the user name and the password or token"), "{}", ended.stdout);
    assert!(ended.stdout.contains("│ ***") && !ended.stdout.contains("~~password~~"), "{}", ended.stdout);
}

#[test]
fn a_push_that_breaks_off_says_that_it_can_be_tried_again() {
    let Some(registry) = Registry::of_tests() else { return };
    let proxy = BreakingProxy::start(registry.address.clone());
    let project = project(
        &registry,
        &format!(
            "{}      - uses: oxide/docker-build@1\n        with: {{ tags: [\"{}/c/app:1\"], push: true }}\n        secrets: \
         [REGISTRY_USERNAME, REGISTRY_PASSWORD]\n",
            context("broken"),
            proxy.address
        ),
    );
    let ended = project.oxide(&["run"]).expect(1);
    assert!(proxy.broke.load(Ordering::SeqCst), "the push came as far as the manifest: {}", ended.stdout);
    assert!(ended.stdout.contains("broke off: ") && ended.stdout.contains("try again: "), "{}", ended.stdout);
}

/// Carries requests to the registry until the manifest comes, then is gone.
struct BreakingProxy {
    address: String,
    broke: Arc<AtomicBool>,
}

impl BreakingProxy {
    fn start(to: String) -> BreakingProxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let broke = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&broke);
        thread::spawn(move || {
            for client in listener.incoming() {
                let (Ok(client), Ok(server)) = (client, TcpStream::connect(&to)) else { return };
                let (from_server, to_client) = (server.try_clone().unwrap(), client.try_clone().unwrap());
                thread::spawn(move || carry(from_server, to_client, None));
                let seen = Arc::clone(&seen);
                thread::spawn(move || carry(client, server, Some(&seen)));
            }
        });
        BreakingProxy { address, broke }
    }
}

/// Carries bytes one way; with a flag, up to the request that puts a manifest.
fn carry(mut from: TcpStream, mut to: TcpStream, breaks: Option<&AtomicBool>) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        let is_manifest = String::from_utf8_lossy(&buffer[..read])
            .lines()
            .any(|line| line.starts_with("PUT ") && line.contains("/manifests/"));
        if let (true, Some(breaks)) = (is_manifest, breaks) {
            breaks.store(true, Ordering::SeqCst);
            break;
        }
        if to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}

#[test]
fn the_readme_of_the_plugin_shows_a_pipeline_that_is_valid() {
    let readme = fs::read_to_string(crate::oxide::root().join("plugins/docker-build/README.md")).unwrap();
    let pipeline = readme.split("```yaml\n").nth(1).unwrap().split("```").next().unwrap();
    let project = Project::with_pipeline(pipeline);
    project.oxide(&["validate"]).expect(0);
    let plan = project.oxide(&["plan"]).expect(0).stdout;
    assert!(plan.contains("may reach: containers, secrets REGISTRY_PASSWORD"), "{plan}");
}
