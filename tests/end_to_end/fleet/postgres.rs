//! A PostgreSQL server of one story, which keeps what it has said on the disk, and can crash.

use std::{
    fs::{self, File, Permissions},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::deployment::Shape;
use crate::oxide::free_port;

/// The account that the server runs as: it refuses to run as root.
const ACCOUNT: &str = "postgres";

/// A server with an empty database; ended and removed when it is dropped.
pub struct Postgres {
    folder: TempDir,
    programs: PathBuf,
    port: u16,
    child: Option<Child>,
}

impl Postgres {
    /// Starts one with the programs in the folder that `OXIDE_TEST_POSTGRES_PROGRAMS` names. None where there are none, which in
    /// CI is an error.
    pub fn of_tests() -> Option<Postgres> {
        if !Shape::Postgres.is_available() {
            return None;
        }
        let Some(programs) = std::env::var_os("OXIDE_TEST_POSTGRES_PROGRAMS") else {
            assert!(
                std::env::var("CI").as_deref() != Ok("true"),
                "OXIDE_TEST_POSTGRES_PROGRAMS is not set, and nothing is skipped in CI"
            );
            eprintln!("SKIPPED: the programs of PostgreSQL are not known");
            return None;
        };
        let folder = TempDir::new().unwrap();
        if let Some((user, group)) = account() {
            chown(folder.path(), Some(user), Some(group)).unwrap();
        }
        fs::set_permissions(folder.path(), Permissions::from_mode(0o700)).unwrap();
        let mut server = Postgres { folder, programs: programs.into(), port: free_port(), child: None };
        let made = as_account(&server.programs.join("initdb"))
            .arg("--pgdata")
            .arg(server.data())
            .args(["--username", ACCOUNT, "--auth", "trust", "--encoding", "UTF8", "--locale", "C"])
            .current_dir("/")
            .output()
            .unwrap();
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        server.begin();
        Some(server)
    }

    /// Where its database is.
    pub fn url(&self) -> String {
        format!("postgres://{ACCOUNT}@127.0.0.1:{}/postgres", self.port)
    }

    /// Starts it, and waits until it answers.
    pub fn begin(&mut self) {
        let log = File::options().create(true).append(true).open(self.log()).unwrap();
        let child = as_account(&self.programs.join("postgres"))
            .arg("-D")
            .arg(self.data())
            .args(["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="])
            .args(["-c", &format!("port={}", self.port), "-c", "shared_buffers=32MB"])
            .args(["-c", "fsync=on", "-c", "full_page_writes=on", "-c", "synchronous_commit=on"])
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        self.child = Some(child.unwrap());
        let deadline = Instant::now() + Duration::from_secs(120);
        while !self.answers() {
            let log = || fs::read_to_string(self.log()).unwrap_or_default();
            assert!(Instant::now() < deadline, "PostgreSQL does not answer:\n{}", log());
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// Ends it without writing anything more, as `pg_ctl stop -m immediate` does.
    pub fn end_at_once(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = Command::new("kill").arg("-QUIT").arg(child.id().to_string()).status();
            child.wait().unwrap();
        }
    }

    fn answers(&self) -> bool {
        let asked = Command::new(self.programs.join("pg_isready"))
            .args(["--quiet", "--host", "127.0.0.1", "--port", &self.port.to_string()])
            .status();
        asked.unwrap().success()
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.end_at_once();
    }
}

/// User and group that the server runs as; none if we are not root.
fn account() -> Option<(u32, u32)> {
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        return None;
    }
    let accounts = fs::read_to_string("/etc/passwd").unwrap();
    let line = accounts.lines().find(|line| line.split(':').next() == Some(ACCOUNT));
    let mut fields = line.expect("PostgreSQL has an account of its own").split(':').skip(2);
    let mut number = || fields.next().unwrap().parse().unwrap();
    Some((number(), number()))
}

/// A program that runs as the account, and is ended by the kernel if this test ends without doing so.
fn as_account(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    if let Some((user, group)) = account() {
        command.args([&format!("--reuid={user}"), &format!("--regid={group}"), "--clear-groups", "--"]);
        // Changing the account takes the request for a signal back.
        command.arg("setpriv");
    }
    command.args(["--pdeathsig", "QUIT", "--"]).arg(program);
    command
}
