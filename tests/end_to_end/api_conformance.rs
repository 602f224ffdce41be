//! The API is what its documents say: schemathesis asks a real server, and the official parser reads its AsyncAPI document.
//!
//! What is asked and what counts as a finding is in `api_conformance.py`. The requests are drawn by a fixed seed for a bounded
//! time: a slow machine asks fewer of them. `cargo xtask test` installs both programs.

use std::{
    env,
    fs::{self, File},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use oxide_client::Client;
use oxide_core::api::sign_in::Setup;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::oxide::{Ended, free_port, root};

/// How long is asked, in seconds; what was not asked by then is asked once more as long.
const SECONDS: &str = "90";

/// Where the programs are; none, with a word about it, where there are none.
fn checkers() -> Option<PathBuf> {
    let folder = env::var_os("OXIDE_TEST_API_CHECKERS").map(PathBuf::from);
    if folder.is_none() {
        assert!(env::var("CI").as_deref() != Ok("true"), "nothing is skipped in CI");
        eprintln!("SKIPPED: programs that check APIs are not there");
    }
    folder
}

/// A server with its embedded agent that may be thrown away, and its first administrator. It ends with the story.
struct Server {
    child: Child,
    address: SocketAddr,
    folder: TempDir,
    token: String,
}

impl Server {
    fn start(database: Option<&str>) -> Server {
        // Fails if another story has installed it, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = TempDir::new().unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let log = File::create(folder.path().join("log")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_oxide"));
        command
            .args(["server", "--listen", &address.to_string(), "--data-dir"])
            .arg(folder.path().join("data"))
            .args(database.map(|url| ["--database", url]).into_iter().flatten())
            .env("OXIDE_SERVER_RATE_LIMIT_PER_TOKEN", "1000000")
            .env("OXIDE_SERVER_RATE_LIMIT_PER_ADDRESS", "1000000")
            .env("OXIDE_SERVER_RATE_LIMIT_SIGN_IN", "1000000")
            .env("NO_COLOR", "1")
            .env_remove("OXIDE_BLOBS")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        let mut server = Server { child: command.spawn().unwrap(), address, folder, token: String::new() };
        server.token = server.sign_in();
        server
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Becomes the administrator with the code that the server prints.
    fn sign_in(&self) -> String {
        let deadline = Instant::now() + Duration::from_secs(120);
        let code = loop {
            let log = self.log();
            // The last word may not be whole yet.
            let written = log.rsplit_once('\n').map_or("", |(lines, _)| lines);
            if let Some(code) = written.split_whitespace().find(|word| word.starts_with("oxide_set_")) {
                break code.to_owned();
            }
            assert!(Instant::now() < deadline, "no code to sign in with within 120 s:\n{log}");
            thread::sleep(Duration::from_millis(50));
        };
        let client = Client::new(&self.url(), None, None).unwrap();
        let setup = Setup { code, name: Some("ada".to_owned()), email: None };
        Runtime::new().unwrap().block_on(client.set_up(&setup)).unwrap().token.token
    }

    /// Asks it everything.
    fn conforms(&self) {
        let Some(folder) = checkers() else { return };
        let mut command = Command::new("python3");
        command
            .arg(root().join("tests/end_to_end/api_conformance.py"))
            .args([&self.url(), "--max-time", SECONDS])
            .current_dir(self.folder.path())
            .env("PYTHONPATH", folder.join("python"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("OXIDE_TOKEN", &self.token);
        let Ended { code, stdout, stderr } = Ended::of(command.output().unwrap());
        let log = self.log();
        let wrong: Vec<&str> = log.lines().filter(|line| line.contains(" ERROR ")).collect();
        assert!(
            code == 0 && wrong.is_empty(),
            "{stdout}\n{stderr}\nThe log of the server says:\n{}\nEach finding above has a `curl` command; the routes are \
             in host/api/src/resource, their schemas in host/core/src/api.",
            wrong.join("\n"),
        );
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_api_is_what_its_document_says_on_sqlite() {
    if checkers().is_some() {
        Server::start(None).conforms();
    }
}

#[test]
fn the_api_is_what_its_document_says_on_postgres() {
    let Ok(postgres) = env::var("OXIDE_TEST_POSTGRES") else {
        assert!(env::var("CI").as_deref() != Ok("true"), "nothing is skipped in CI");
        eprintln!("SKIPPED: no PostgreSQL");
        return;
    };
    if checkers().is_none() {
        return;
    }
    let name = format!("conformance_{}", std::process::id());
    let made = Command::new("psql").args([&postgres, "-q", "-c", &format!("CREATE DATABASE {name}")]).status();
    assert!(made.unwrap().success(), "could not make a database for the test");
    let (server, _) = postgres.rsplit_once('/').unwrap();
    Server::start(Some(&format!("{server}/{name}"))).conforms();
}

#[test]
fn the_description_of_the_events_is_asyncapi() {
    let Some(folder) = checkers() else { return };
    let server = Server::start(None);
    let document = server.folder.path().join("asyncapi.json");
    let asked = async { reqwest::get(format!("{}/api/v1/asyncapi.json", server.url())).await?.bytes().await };
    fs::write(&document, Runtime::new().unwrap().block_on(asked).unwrap()).unwrap();
    let script = root().join("tests/end_to_end/asyncapi_check.mjs");
    let mut command = Command::new("node");
    let Ended { code, stdout, stderr } =
        Ended::of(command.arg(script).arg(&document).current_dir(folder.join("npm")).output().unwrap());
    assert!(
        code == 0,
        "{stdout}\n{stderr}\nThe document is made in host/api/src/resource/asyncapi.rs of the events of host/core/src/event."
    );
}
