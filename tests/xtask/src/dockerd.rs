//! A Docker engine of our own for the tests: its own data, its own socket, no network, two images.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::tools::{Outcome, ending_with_us, say, succeed};

/// The image that most tests use; nothing can be pulled while testing.
const IMAGE: &str = "oxide-test/busybox:1";
/// The same with the C compiler of this machine.
const COMPILER_IMAGE: &str = "oxide-test/gcc:1";
/// Puts the compiler of this machine, and what it needs to make static programs, into the directory `$1`.
const COPY_COMPILER: &str = r#"
put() { for path; do cp -RL --parents "$path" "$to"; done; }
to=$1
part() { gcc -print-prog-name="$1" | grep / || command -v "$1"; }
programs="$(command -v gcc) $(command -v make) $(command -v ar) $(part as) $(part ld) $(part cc1) $(part collect2)"
put $programs
put $(ldd $programs | grep -o '/[^ ]*\.so[^ ]*' | sort -u)
for file in crt1.o crti.o crtn.o crtbeginT.o crtend.o libgcc.a libgcc_eh.a libc.a liblto_plugin.so; do
  put "$(gcc -print-file-name=$file)"
done
put "$(gcc -print-file-name=include)"
put $(dpkg -L libc6-dev linux-libc-dev | grep '^/usr/include/.*\.h$')
"#;

/// A running engine; it ends when this is dropped.
pub struct Dockerd {
    process: Child,
    folder: PathBuf,
}

impl Dockerd {
    /// Starts an engine and makes the test image in it.
    pub fn start() -> Outcome<Dockerd> {
        let folder = std::env::temp_dir().join(format!("oxide-dockerd-{}", std::process::id()));
        fs::create_dir_all(&folder).map_err(|error| format!("could not make {}: {error}", folder.display()))?;
        say("starting a Docker engine for the tests");
        let log = fs::File::create(folder.join("log")).map_err(|error| format!("could not write its log: {error}"))?;
        // SIGTERM lets it stop its containers and what else it has started.
        let process = ending_with_us("TERM", "dockerd")
            .arg("--data-root")
            .arg(folder.join("data"))
            .arg("--exec-root")
            .arg(folder.join("exec"))
            .arg("--pidfile")
            .arg(folder.join("pid"))
            .arg("--host")
            .arg(format!("unix://{}", folder.join("socket").display()))
            .args(["--bridge=none", "--iptables=false"])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(|error| format!("could not start dockerd: {error}"))?;
        let engine = Dockerd { process, folder };
        engine.wait_until_ready()?;
        engine.make_images()?;
        Ok(engine)
    }

    /// The address for `DOCKER_HOST`.
    pub fn host(&self) -> String {
        format!("unix://{}", self.folder.join("socket").display())
    }

    fn wait_until_ready(&self) -> Outcome {
        let deadline = Instant::now() + Duration::from_secs(120);
        while Instant::now() < deadline {
            let version = self.docker().arg("version").stdout(Stdio::null()).stderr(Stdio::null()).status();
            if version.is_ok_and(|status| status.success()) {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(100));
        }
        let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        let tail: Vec<&str> = log.lines().rev().take(10).collect();
        Err(format!("dockerd did not get ready within 120 s; its log ends with\n{}", tail.join("\n")))
    }

    /// Makes an image of one static busybox with a link for each of its tools, and one that can compile, too.
    fn make_images(&self) -> Outcome {
        let files = self.folder.join("image");
        let bin = files.join("bin");
        let failed = |error: std::io::Error| format!("could not make the files of the test image: {error}");
        for folder in ["bin", "tmp", "root", "etc"] {
            fs::create_dir_all(files.join(folder)).map_err(failed)?;
        }
        let busybox = ["/bin/busybox", "/usr/bin/busybox"].into_iter().find(|path| Path::new(path).is_file());
        fs::copy(busybox.ok_or("busybox is not installed")?, bin.join("busybox")).map_err(failed)?;
        succeed(Command::new("chroot").arg(&files).args(["/bin/busybox", "--install", "-s", "/bin"]))?;
        self.import(&files, IMAGE)?;
        succeed(Command::new("sh").args(["-e", "-c", COPY_COMPILER, "sh"]).arg(&files))?;
        self.import(&files, COMPILER_IMAGE)
    }

    fn import(&self, files: &Path, image: &str) -> Outcome {
        let archive = self.folder.join("image.tar");
        succeed(Command::new("tar").arg("-cf").arg(&archive).arg("-C").arg(files).arg("."))?;
        succeed(self.docker().arg("import").arg(&archive).arg(image).stdout(Stdio::null()))
    }

    fn docker(&self) -> Command {
        let mut command = Command::new("docker");
        command.arg("--host").arg(self.host());
        command
    }
}

impl Drop for Dockerd {
    fn drop(&mut self) {
        // SIGTERM lets the engine stop its containers and unmount its layers.
        let _ = Command::new("kill").arg(self.process.id().to_string()).status();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}
