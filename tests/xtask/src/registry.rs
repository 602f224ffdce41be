//! A container registry of our own for the tests: on a free port of this machine, its own data, one account.

use std::{
    fs,
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::tools::{Outcome, ending_with_us, say};

/// The account that the tests push with: long enough to be secrets. The password brings out every sign of base64.
pub const USERNAME: &str = "lovelace";
/// Its password.
pub const PASSWORD: &str = "~~~push>?me~~~";

/// A running registry; it ends when this is dropped.
pub struct Registry {
    process: Child,
    folder: PathBuf,
    address: String,
}

impl Registry {
    /// Starts a registry that wants the account for everything.
    pub fn start() -> Outcome<Registry> {
        let folder = std::env::temp_dir().join(format!("oxide-registry-{}", std::process::id()));
        fs::create_dir_all(folder.join("data"))
            .map_err(|error| format!("could not make {}: {error}", folder.display()))?;
        say("starting a container registry for the tests");
        let address = free_address()?;
        let users = Command::new("htpasswd").args(["-Bbn", USERNAME, PASSWORD]).output();
        let users = users.map_err(|error| format!("could not start htpasswd: {error}"))?.stdout;
        let settings = format!(
            "version: 0.1\nlog: {{ level: warn }}\nstorage: {{ filesystem: {{ rootdirectory: {0}/data }} }}\nhttp: {{ addr: \
             \"{address}\" }}\nauth: {{ htpasswd: {{ realm: tests, path: {0}/users }} }}\n",
            folder.display()
        );
        let failed = |error: std::io::Error| format!("could not write its settings: {error}");
        fs::write(folder.join("users"), users).map_err(failed)?;
        fs::write(folder.join("settings.yml"), settings).map_err(failed)?;
        let log = fs::File::create(folder.join("log")).map_err(failed)?;
        let process = ending_with_us("KILL", "docker-registry")
            .arg("serve")
            .arg(folder.join("settings.yml"))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(|error| format!("could not start docker-registry: {error}"))?;
        let registry = Registry { process, folder, address };
        registry.wait_until_ready()?;
        Ok(registry)
    }

    /// Where it listens, such as `127.0.0.1:40000`.
    pub fn address(&self) -> &str {
        &self.address
    }

    fn wait_until_ready(&self) -> Outcome {
        let deadline = Instant::now() + Duration::from_secs(120);
        while Instant::now() < deadline {
            if TcpStream::connect(&self.address).is_ok() {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(50));
        }
        let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        Err(format!("the registry did not get ready within 120 s; its log is\n{log}"))
    }
}

/// A port that nobody listens on now.
fn free_address() -> Outcome<String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| format!("could not find a free port: {error}"))?;
    let address = listener.local_addr().map_err(|error| format!("could not find a free port: {error}"))?;
    Ok(address.to_string())
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}
