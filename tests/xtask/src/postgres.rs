//! A PostgreSQL server of our own for the tests: on a free port of this machine, its data below the target folder.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{
    packages,
    tools::{Outcome, folder_of_this_process, free_port, say, target},
};

/// The account that the server runs as: it refuses to run as root. Debian's package makes it.
const ACCOUNT: &str = "postgres";

/// A running server; it ends when this is dropped, or when this process ends in another way.
pub struct Postgres {
    programs: PathBuf,
    process: Child,
    folder: PathBuf,
    port: u16,
}

impl Postgres {
    /// Installs the server unless it is there, makes an empty database cluster and starts it.
    pub fn start() -> Outcome<Postgres> {
        let programs = programs()?;
        let account = account()?;
        let folders = folders(account);
        let folder = folder_of_this_process(&folders);
        let failed = |error: std::io::Error| format!("could not write below {}: {error}", folder.display());
        fs::create_dir_all(&folder).map_err(failed)?;
        let log = fs::File::create(folder.join("log")).map_err(failed)?;
        // Whoever owns the folder runs the server.
        if let Some((user, group)) = account {
            chown(&folder, Some(user), Some(group)).map_err(failed)?;
            fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).map_err(failed)?;
        }
        say("starting a PostgreSQL server for the tests");
        let data = folder.join("data");
        let made = as_account(account, "KILL", &programs.join("initdb"))
            .arg("--pgdata")
            .arg(&data)
            .args(["--username", ACCOUNT, "--auth", "trust", "--encoding", "UTF8", "--locale", "C", "--no-sync"])
            // Readable by the account, which the folder that we stand in need not be.
            .current_dir("/")
            .output()
            .map_err(|error| format!("could not start initdb: {error}"))?;
        if !made.status.success() {
            return Err(format!("initdb ended with {}: {}", made.status, String::from_utf8_lossy(&made.stderr)));
        }
        let port = free_port()?;
        // SIGQUIT ends it at once with all its processes; its data is thrown away.
        let process = as_account(account, "QUIT", &programs.join("postgres"))
            .arg("-D")
            .arg(&data)
            .args(["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="])
            .args(["-c", &format!("port={port}"), "-c", "max_connections=400", "-c", "shared_buffers=64MB"])
            .args(["-c", "fsync=off", "-c", "full_page_writes=off", "-c", "synchronous_commit=off"])
            .current_dir("/")
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(|error| format!("could not start postgres: {error}"))?;
        let server = Postgres { programs, process, folder, port };
        server.wait_until_ready(&server.programs.join("pg_isready"))?;
        Ok(server)
    }

    /// The address for `OXIDE_TEST_POSTGRES`: of the server's own database, beside which tests make theirs.
    pub fn address(&self) -> String {
        format!("postgres://{ACCOUNT}@127.0.0.1:{}/postgres", self.port)
    }

    /// The folder of its programs, for `OXIDE_TEST_POSTGRES_PROGRAMS`: with them tests start servers of their own.
    pub fn programs(&self) -> &Path {
        &self.programs
    }

    fn wait_until_ready(&self, asking: &Path) -> Outcome {
        let deadline = Instant::now() + Duration::from_secs(180);
        while Instant::now() < deadline {
            let answer = Command::new(asking)
                .args(["--quiet", "--host", "127.0.0.1", "--port", &self.port.to_string()])
                .status()
                .map_err(|error| format!("could not start pg_isready: {error}"))?;
            if answer.success() {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(50));
        }
        let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        Err(format!("PostgreSQL did not get ready within 180 s; its log is\n{log}"))
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg("-QUIT").arg(self.process.id().to_string()).status();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The folder of the server's programs, which on Debian is not on the search path. Newest version first.
fn programs() -> Outcome<PathBuf> {
    if let Some(folder) = installed() {
        return Ok(folder);
    }
    let missing = packages::ensure(&[("psql", "postgresql"), ("pg_ctlcluster", "postgresql")])?;
    installed().ok_or_else(|| {
        let missing = if missing.is_empty() { "its server".into() } else { missing.join(", ") };
        format!("PostgreSQL is not installed ({missing} is missing)")
    })
}

fn installed() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = versions.map(|version| version.path().join("bin")).collect();
    folders.sort();
    let others = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect::<Vec<_>>();
    folders.into_iter().rev().chain(others).find(|folder| folder.join("initdb").is_file())
}

/// User and group that the server is to run as; none if we are not root and run it ourselves.
fn account() -> Outcome<Option<(u32, u32)>> {
    let is_root = fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
    if !is_root {
        return Ok(None);
    }
    let accounts = fs::read_to_string("/etc/passwd").map_err(|error| format!("could not read /etc/passwd: {error}"))?;
    let line = accounts.lines().find(|line| line.split(':').next() == Some(ACCOUNT));
    let ids = line.and_then(|line| {
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    });
    ids.map(Some).ok_or_else(|| format!("there is no account `{ACCOUNT}` for PostgreSQL, which refuses to run as root"))
}

/// A program that runs as the account, and gets this signal from the kernel when we end. Changing the account takes that
/// request back, so it is made afterwards.
fn as_account(account: Option<(u32, u32)>, signal: &str, program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    if let Some((user, group)) = account {
        command.args([&format!("--reuid={user}"), &format!("--regid={group}"), "--clear-groups", "--"]);
        command.arg("setpriv");
    }
    command.args(["--pdeathsig", signal, "--"]).arg(program);
    command
}

/// Below the target folder, unless the account may not go there, as below the home of root.
fn folders(account: Option<(u32, u32)>) -> PathBuf {
    let below_target = target().join("postgres");
    let is_reached = fs::create_dir_all(&below_target).is_ok()
        && as_account(account, "KILL", Path::new("test"))
            .arg("-x")
            .arg(&below_target)
            .status()
            .is_ok_and(|s| s.success());
    if is_reached { below_target } else { std::env::temp_dir().join("oxide-postgres") }
}

#[cfg(test)]
mod tests {
    use std::{net::TcpStream, thread, time::Duration};

    use super::Postgres;

    #[test]
    fn the_server_ends_when_whoever_started_it_was_killed() {
        // A thread that ends is to the kernel what a killed test command is.
        let (process, port, folder) = thread::spawn(|| {
            let server = match Postgres::start() {
                Ok(server) => server,
                Err(message) => {
                    assert!(std::env::var("CI").as_deref() != Ok("true"), "nothing is skipped in CI: {message}");
                    return None;
                }
            };
            assert!(TcpStream::connect(("127.0.0.1", server.port)).is_ok());
            let left = (server.process.id(), server.port, server.folder.clone());
            // As if nothing of ours could run any more.
            std::mem::forget(server);
            Some(left)
        })
        .join()
        .unwrap()
        .unwrap_or_default();
        for _ in 0..6000 {
            if port == 0 || TcpStream::connect(("127.0.0.1", port)).is_err() {
                let _ = std::fs::remove_dir_all(folder);
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
        panic!("the server with process id {process} still answers");
    }
}
