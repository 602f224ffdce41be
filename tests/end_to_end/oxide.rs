//! One project in a folder of its own, with a data directory of its own, and the program run in it.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use tempfile::TempDir;

/// The root of the checkout.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("host/cli lies two folders below").to_path_buf()
}

/// The address of the Docker engine that the test command started; none where there is none.
pub fn docker() -> Option<String> {
    std::env::var("OXIDE_TEST_DOCKER_HOST").ok()
}

/// A port that nobody listens on. It is given out once, and lies below those that the system gives to connections and to
/// whoever asks for any port: nobody takes it while its server is about to begin, or is away.
pub fn free_port() -> u16 {
    const FIRST: u32 = 10_100;
    const COUNT: u32 = 1_300;
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    // Another test command may look at the same time.
    let begin = std::process::id();
    let mut ports = (0..COUNT).map(|_| {
        let number = begin.wrapping_mul(97).wrapping_add(TAKEN.fetch_add(1, Ordering::SeqCst));
        u16::try_from(FIRST + number % COUNT).expect("all of them are ports")
    });
    ports.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).expect("one of them is free")
}

/// A project in a temporary folder.
pub struct Project {
    folder: TempDir,
    environment: Vec<(String, String)>,
}

impl Project {
    /// An empty project with the plugins of `tests/guests` as `plugins/<name>.wasm`.
    pub fn new() -> Project {
        let project = Project { folder: TempDir::new().unwrap(), environment: Vec::new() };
        fs::create_dir_all(project.path("plugins")).unwrap();
        for entry in fs::read_dir(root().join("tests/guests")).unwrap().flatten() {
            let component = entry.path().join("plugin.wasm");
            if component.is_file() {
                let name = entry.file_name().into_string().unwrap();
                fs::copy(&component, project.path("plugins").join(format!("{name}.wasm"))).unwrap();
            }
        }
        assert!(
            project.path("plugins/hostile.wasm").exists(),
            "the guests are not built: `cargo xtask guests` builds them"
        );
        project
    }

    /// A project with this pipeline.
    pub fn with_pipeline(text: &str) -> Project {
        let project = Project::new();
        fs::write(project.path("oxide.yaml"), text).unwrap();
        project
    }

    /// A path in the project.
    pub fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join("project").join(relative)
    }

    /// Where the program keeps its data.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Sets a variable of every command that follows.
    pub fn set(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// Runs a shell script in the project; it must succeed.
    pub fn shell(&self, script: &str) {
        let output = self.prepared(Command::new("sh")).args(["-e", "-c", script]).output().unwrap();
        assert!(output.status.success(), "{script}\n{}", String::from_utf8_lossy(&output.stderr));
    }

    /// The program with these arguments, not yet started.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.prepared(Command::new(env!("CARGO_BIN_EXE_oxide")));
        command.args(arguments);
        command
    }

    /// Runs the program to its end.
    pub fn oxide(&self, arguments: &[&str]) -> Ended {
        Ended::of(self.command(arguments).output().unwrap())
    }

    fn prepared(&self, mut command: Command) -> Command {
        command
            .current_dir(self.path(""))
            .stdin(Stdio::null())
            .env("OXIDE_DATA_DIR", self.data())
            .env("NO_COLOR", "1")
            .env("OXIDE_PROGRAM", env!("CARGO_BIN_EXE_oxide"))
            .env("OXIDE_CONFIG_DIR", self.folder.path().join("settings"))
            .env_remove("OXIDE_SERVER")
            .env_remove("OXIDE_TOKEN")
            .env_remove("OXIDE_BLOBS")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_AUTHOR_NAME", "Ada")
            .env("GIT_AUTHOR_EMAIL", "ada@example.org")
            .env("GIT_AUTHOR_DATE", "2026-01-02T03:04:05Z")
            .env("GIT_COMMITTER_NAME", "Ada")
            .env("GIT_COMMITTER_EMAIL", "ada@example.org")
            .env("GIT_COMMITTER_DATE", "2026-01-02T03:04:05Z");
        if let Some(host) = docker() {
            command.env("DOCKER_HOST", host);
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }
}

/// How the program ended.
#[derive(Debug)]
pub struct Ended {
    /// The exit code; -1 after a signal.
    pub code: i32,
    /// The standard output.
    pub stdout: String,
    /// The standard error.
    pub stderr: String,
}

impl Ended {
    /// From the output of a command.
    pub fn of(output: Output) -> Ended {
        Ended {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The same, after checking that the exit code is this one.
    pub fn expect(self, code: i32) -> Ended {
        assert_eq!(self.code, code, "{}\n{}", self.stdout, self.stderr);
        self
    }
}
