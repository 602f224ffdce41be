//! A stage in the development shell of the flake that its checkout brings, with real Nix and without a network.

use std::fs;

use crate::oxide::Project;

const FLAKE: &str = r#"{
  outputs = { self }: {
    devShells.SYSTEM.default = derivation {
      name = "shell";
      system = "SYSTEM";
      builder = "/bin/bash";
      args = [ "-c" "echo > $out" ];
      outputs = [ "out" ];
      GREETING = "hello from the shell";
      shellHook = "echo the hook speaks; export HOOKED=yes";
    };
  };
}
"#;

const PIPELINE: &str = r#"version: "1"
name: with-nix
stages:
  build:
    environment: { nix: "." }
    steps:
      - uses: oxide/checkout@1
      - run: echo "$GREETING, $HOOKED, $WHO" && cat words
        env: { WHO: Ada }
      - run: exit 3
"#;

/// Is Nix here? Nobody may skip it in CI.
fn has_nix() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|folder| folder.join("nix").is_file());
    assert!(found || std::env::var("CI").as_deref() != Ok("true"), "nothing is skipped in CI");
    if !found {
        eprintln!("SKIPPED: the environment `nix` needs Nix");
    }
    found
}

#[test]
fn commands_run_in_the_shell_of_the_flake() {
    if !has_nix() {
        return;
    }
    let mut project = Project::with_pipeline(PIPELINE);
    let system = format!("{}-linux", std::env::consts::ARCH);
    fs::write(project.path("flake.nix"), FLAKE.replace("SYSTEM", &system)).unwrap();
    fs::write(project.path("words"), "from the checkout\n").unwrap();
    project.shell("git init -q -b main; git add .; git commit -q -m 'all there is'");
    project.set("NIX_CONFIG", "sandbox = false\nsubstituters =\nbuild-users-group =\n");
    let state = project.data().join("nix").to_string_lossy().into_owned();
    project.set("NIX_STATE_DIR", &state);
    let ended = project.oxide(&["run", "--verbose", "."]).expect(1);
    for line in ["hello from the shell, yes, Ada", "from the checkout"] {
        assert!(ended.stdout.contains(line), "{}", ended.stdout);
    }
    assert_eq!(ended.stdout.matches("the hook speaks").count(), 1, "entered once for the job: {}", ended.stdout);
    assert!(ended.stdout.contains("exit code 3"), "{}", ended.stdout);
}

#[test]
fn a_flake_that_is_not_checked_out_says_where_it_must_be() {
    if !has_nix() {
        return;
    }
    let mut project = Project::with_pipeline(&PIPELINE.replace("      - uses: oxide/checkout@1\n", ""));
    project.set("NIX_CONFIG", "sandbox = false\nsubstituters =\nbuild-users-group =\n");
    let ended = project.oxide(&["run", "."]).expect(1);
    assert!(ended.stdout.contains("the checkout must be an earlier step"), "{}", ended.stdout);
}
