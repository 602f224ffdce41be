//! Programs of others read what we push, and we use what they push: `wkg`, `skopeo`, and a client in Python (`oras`).

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    oxide::{Ended, Project, root},
    registry::Registry,
};

/// The clients and a registry that wants an account, known to all of them by one configuration of Docker.
struct Clients {
    registry: Registry,
    tools: PathBuf,
    project: Project,
}

impl Clients {
    fn of_tests(pipeline: &str) -> Option<Clients> {
        let registry = Registry::of_tests()?;
        let Some(tools) = std::env::var_os("OXIDE_TEST_REGISTRY_CLIENTS").map(PathBuf::from) else {
            assert!(std::env::var("CI").as_deref() != Ok("true"), "nothing is skipped in CI");
            eprintln!("SKIPPED: clients of registries are not there");
            return None;
        };
        let mut project = Project::with_pipeline(&pipeline.replace("REGISTRY", &registry.address));
        let greet = root().join("examples/tour/plugins/greet/plugin.wasm");
        fs::copy(greet, project.path("plugins/greet.wasm")).expect("`cargo xtask guests` builds it");
        registry.let_in(&mut project, &[&registry.address], &registry.password);
        Some(Clients { registry, tools, project })
    }

    fn reference(&self, rest: &str) -> String {
        format!("{}/{rest}", self.registry.address)
    }

    fn run(&self, command: &mut Command) -> Ended {
        let config = self.project.path("docker");
        command
            .current_dir(self.project.path(""))
            .env("DOCKER_CONFIG", &config)
            .env("REGISTRY_AUTH_FILE", config.join("config.json"))
            .env("WKG_OCI_INSECURE", &self.registry.address)
            .env("PYTHONPATH", self.tools.join("oras"))
            .env("XDG_RUNTIME_DIR", self.project.path("docker"));
        Ended::of(command.output().unwrap())
    }

    fn wkg(&self, arguments: &[&str]) -> Ended {
        self.run(Command::new(self.tools.join("wkg/bin/wkg")).args(arguments)).expect(0)
    }

    fn skopeo(&self, arguments: &[&str]) -> Ended {
        self.run(Command::new("skopeo").args(arguments)).expect(0)
    }

    fn python(&self, script: &str, arguments: &[&str]) -> Ended {
        self.run(Command::new("python3").args(["-c", script]).args(arguments)).expect(0)
    }
}

const PIPELINE: &str = "version: \"1\"\nname: clients\nstages:\n  a:\n    environment: host\n    steps:\n      - uses: \
                        REGISTRY/clients/theirs:1.0\n        with: { name: Ada }\n";

#[test]
fn wkg_skopeo_and_oras_list_pull_and_copy_what_we_push() {
    let Some(clients) = Clients::of_tests(PIPELINE) else { return };
    let ours = clients.reference("clients/ours:1.0");
    clients.project.oxide(&["plugin", "push", "plugins/greet.wasm", &ours]).expect(0);
    let sent = fs::read(clients.project.path("plugins/greet.wasm")).unwrap();

    clients.wkg(&["oci", "pull", &ours, "-o", "by-wkg.wasm"]);
    assert!(fs::read(clients.project.path("by-wkg.wasm")).unwrap() == sent, "wkg pulled other bytes");

    let tags = clients.skopeo(&[
        "list-tags",
        "--tls-verify=false",
        &format!("docker://{}", clients.reference("clients/ours")),
    ]);
    assert!(tags.stdout.contains("\"1.0\""), "{}", tags.stdout);
    let source = format!("docker://{ours}");
    clients.skopeo(&["copy", "--src-tls-verify=false", &source, "dir:by-skopeo"]);
    assert!(holds(&clients.project.path("by-skopeo"), &sent), "skopeo copied other bytes");
    // A copy of theirs is the same plugin: the digest of the manifest is kept.
    let copy = clients.reference("clients/copy:1.0");
    clients.skopeo(&[
        "copy",
        "--preserve-digests",
        "--src-tls-verify=false",
        "--dest-tls-verify=false",
        &source,
        &format!("docker://{copy}"),
    ]);
    let digest = |reference: &str| {
        let shown = clients.skopeo(&["inspect", "--raw", "--tls-verify=false", &format!("docker://{reference}")]);
        shown.stdout
    };
    assert_eq!(digest(&ours), digest(&copy));

    clients.python(ORAS_PULL, &[&ours, &clients.registry.username, &clients.registry.password]);
    assert!(holds(&clients.project.path("by-oras"), &sent), "oras pulled other bytes");
}

#[test]
fn what_wkg_has_pushed_runs_as_a_step() {
    let Some(clients) = Clients::of_tests(PIPELINE) else { return };
    let theirs = clients.reference("clients/theirs:1.0");
    clients.wkg(&["oci", "push", &theirs, "plugins/greet.wasm"]);
    let inspected = clients.project.oxide(&["plugin", "inspect", &theirs]).expect(0);
    assert!(inspected.stdout.contains("name: string"), "{}", inspected.stdout);
    clients.project.oxide(&["plugin", "add", "--yes", &theirs]).expect(0);
    let run = clients.project.oxide(&["run", "--verbose"]).expect(0);
    assert!(run.stdout.contains("Hello, Ada"), "{}\n{}", run.stdout, run.stderr);
}

#[test]
fn what_oras_has_pushed_runs_as_a_step() {
    let Some(clients) = Clients::of_tests(&PIPELINE.replace("theirs", "by-oras")) else { return };
    let theirs = clients.reference("clients/by-oras:1.0");
    clients.python(ORAS_PUSH, &[&theirs, &clients.registry.username, &clients.registry.password]);
    clients.project.oxide(&["plugin", "add", "--yes", &theirs]).expect(0);
    clients.project.oxide(&["run"]).expect(0);
}

/// Is one of the files in this folder made of these bytes?
fn holds(folder: &Path, bytes: &[u8]) -> bool {
    let mut files = fs::read_dir(folder).unwrap().flatten().filter(|entry| entry.path().is_file());
    files.any(|entry| fs::read(entry.path()).unwrap() == bytes)
}

const ORAS_PULL: &str = "\
import sys, oras.client
reference, username, password = sys.argv[1:]
client = oras.client.OrasClient(insecure=True, auth_backend='basic')
client.auth.set_basic_auth(username, password)
files = client.pull(target=reference, outdir='by-oras')
assert files, 'oras found no file'
";

const ORAS_PUSH: &str = "\
import sys, oras.client
reference, username, password = sys.argv[1:]
client = oras.client.OrasClient(insecure=True, auth_backend='basic')
client.auth.set_basic_auth(username, password)
answer = client.push(target=reference, files=['plugins/greet.wasm:application/wasm'], disable_path_validation=True)
assert answer.status_code in (200, 201), answer.text
";
