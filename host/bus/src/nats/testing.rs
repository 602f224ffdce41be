//! A NATS server of a test's own, which the test may kill and start again.

use std::{
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use super::{Nats, NatsSettings, Subjects};

/// The program: what tests are given, else what is installed. Without one a test is skipped, but never in CI.
fn program() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("OXIDE_TEST_NATS_SERVER") {
        return Some(path.into());
    }
    assert!(
        std::env::var("CI").as_deref() != Ok("true"),
        "CI=true allows no skipped test: OXIDE_TEST_NATS_SERVER is not set"
    );
    eprintln!("SKIPPED: OXIDE_TEST_NATS_SERVER does not name the program of a NATS server; `cargo xtask test` sets it");
    None
}

/// A server on a port of its own with data of its own.
pub(super) struct Server {
    program: PathBuf,
    folder: PathBuf,
    port: u16,
    options: Vec<String>,
    process: Option<Child>,
}

impl Server {
    /// Starts a server with JetStream; none if there is no program.
    pub(super) fn start() -> Option<Server> {
        Server::with(|_| Vec::new())
    }

    /// The same with options that may name files below its folder.
    pub(super) fn with(options: impl FnOnce(&std::path::Path) -> Vec<String>) -> Option<Server> {
        let program = program()?;
        let folder = std::env::temp_dir().join(format!("oxide-nats-{}", uuid::Uuid::now_v7()));
        std::fs::create_dir_all(&folder).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let options = options(&folder);
        let mut server = Server { program, folder, port, options, process: None };
        server.revive();
        Some(server)
    }

    /// Where it listens.
    pub(super) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// A file that the options name.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Kills it as a loss of power would.
    pub(super) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// Starts it again on the same port, with the same data.
    pub(super) fn revive(&mut self) {
        let log = std::fs::File::options().create(true).append(true).open(self.folder.join("log")).unwrap();
        let process = Command::new(&self.program)
            .args(["--addr", "127.0.0.1", "--port", &self.port.to_string(), "--jetstream", "--store_dir"])
            .arg(self.folder.join("data"))
            .args(&self.options)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.process = Some(process);
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let log = || std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            assert!(began.elapsed() < Duration::from_secs(120), "the server does not start:\n{}", log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Forgets everything that JetStream has stored. The server must be dead.
    pub(super) fn lose_data(&self) {
        std::fs::remove_dir_all(self.folder.join("data")).unwrap();
    }

    pub(super) fn settings(&self) -> NatsSettings {
        NatsSettings { servers: self.address(), name: "test".to_owned(), ..NatsSettings::default() }
    }

    pub(super) async fn connect(&self) -> Nats {
        self.connect_with("").await
    }

    pub(super) async fn connect_with(&self, prefix: &str) -> Nats {
        let subjects = Subjects::new(prefix).unwrap();
        let nats = Nats::connect(NatsSettings { subjects, ..self.settings() }).await.unwrap();
        until("the connection stands", || nats.is_connected()).await;
        nats
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            let _ = process.kill();
            let _ = process.wait();
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Waits for something that happens soon.
pub(super) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(120), "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
