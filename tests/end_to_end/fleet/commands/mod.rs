//! A server as a person uses it: with the commands of the real program, and nothing else.
//!
//! `access` signs in and out, `runs` starts runs of a repository and looks at them, `people` stops runs, approves and sees after
//! agents, `data` backs up, restores and changes the master key, `told` reads what is said of mistakes, waits and losses.
//! `unread` asks for logs and leaves them lying.

mod access;
mod data;
mod people;
mod runs;
mod told;
mod unread;

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use oxide_client::Client;
use oxide_core::api::run::RunDetails;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::process::Process;
use crate::oxide::{Ended, Project, free_port, root};

/// A server with an agent of its own, and somebody with a project and settings of their own.
struct Served {
    server: Process,
    project: Project,
    /// The address of the server.
    url: String,
    folder: TempDir,
    runtime: Runtime,
}

impl Served {
    /// A server that nobody has signed in to.
    fn start() -> Served {
        // Fails if another story has installed it, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = TempDir::new().unwrap();
        let url = format!("http://127.0.0.1:{}", free_port());
        let server = process(folder.path(), &url, &folder.path().join("data"));
        let mut project = Project::new();
        let program = Path::new(env!("CARGO_BIN_EXE_oxide")).parent().unwrap();
        project.set("PATH", &format!("{}:{}", program.display(), std::env::var("PATH").unwrap()));
        project.set("OXIDE_CONFIG_DIR", &folder.path().join("config").display().to_string());
        let mut served = Served { server, project, url, folder, runtime: Runtime::new().unwrap() };
        served.server.start();
        served.wait_until_ready();
        served
    }

    /// A server, and somebody who has signed in to it.
    fn signed_in() -> Served {
        let served = Served::start();
        served.sign_in();
        served
    }

    /// Signs in with the README's own commands.
    fn sign_in(&self) {
        self.wait_for("the code to sign in with", || self.server.setup_code().is_some());
        let code = self.server.setup_code().expect("it is there");
        let readme = fs::read_to_string(root().join("README.md")).unwrap();
        let (_, section) = readme.split_once("\n## A server\n").unwrap();
        let mut blocks = section.split("```sh\n").skip(1).filter_map(|block| Some(block.split_once("```")?.0));
        let block = blocks.find(|block| block.contains("oxide login")).unwrap();
        let of_user = |line: &&str| line.starts_with("oxide login") || line.starts_with("oxide config");
        let commands: Vec<&str> = block.lines().filter(of_user).collect();
        assert_eq!(commands.len(), 2, "{block}");
        let commands = commands.join("\n").replace("http://127.0.0.1:7780", &self.url).replace("oxide_set_…", &code);
        self.project.shell(&commands);
    }

    /// Stops the server, and starts one with another data directory at its address.
    fn move_to(&mut self, data: &Path) {
        self.server.stop();
        self.server = process(self.folder.path(), &self.url, data);
        self.server.start();
        self.wait_until_ready();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn oxide(&self, arguments: &[&str]) -> Ended {
        self.project.oxide(arguments)
    }

    /// The same with a token in the environment.
    fn oxide_with_token(&self, token: &str, arguments: &[&str]) -> Ended {
        Ended::of(self.project.command(arguments).env("OXIDE_TOKEN", token).output().unwrap())
    }

    /// What a command says that ends with this exit code and prints nothing else.
    fn refusal(&self, code: i32, arguments: &[&str]) -> String {
        let ended = self.oxide(arguments).expect(code);
        assert_eq!(ended.stdout, "", "{}", ended.stderr);
        assert!(ended.stderr.starts_with("error: ") && ended.stderr.contains("  hint: "), "{}", ended.stderr);
        ended.stderr
    }

    /// Keeps a secret, whose value a shell writes.
    fn keep_secret(&self, name: &str, value: &str) {
        self.project.shell(&format!("printf %s {value} | oxide secrets set {name}"));
    }

    /// Stores a pipeline and starts a run of it. Answers with the id of the run.
    fn begin(&self, file: &str, pipeline: &str) -> String {
        fs::write(self.project.path(file), pipeline).unwrap();
        id(&self.oxide(&["run", file, "--remote", "--upload", "--json"]).expect(0))
    }

    /// Shows the log of a run until it has ended, which tells its end by this exit code.
    fn followed(&self, run: &str, code: i32) -> Ended {
        self.oxide(&["logs", "--follow", run]).expect(code)
    }

    /// The token that the program keeps.
    fn token(&self) -> String {
        let kept = fs::read_to_string(self.path("config/credentials.toml")).unwrap();
        kept.split('"').find(|part| part.starts_with("oxide_pat_")).unwrap().to_owned()
    }

    fn client(&self) -> Client {
        Client::new(&self.url, Some(self.token()), None).unwrap()
    }

    fn details(&self, run: &str) -> RunDetails {
        let run = run.parse().unwrap();
        self.runtime.block_on(self.client().run(run)).unwrap()
    }

    /// The log of a run as the API has it.
    fn text(&self, run: &str) -> String {
        let url = format!("{}/api/v1/runs/{run}/logs/text", self.url);
        self.runtime.block_on(async {
            let asked = reqwest::Client::new().get(url).bearer_auth(self.token()).send().await.unwrap();
            asked.text().await.unwrap()
        })
    }

    fn wait_until_ready(&self) {
        let url = format!("{}/api/v1/ready", self.url);
        self.wait_for("the server to be ready", || {
            self.runtime.block_on(async {
                let asked = reqwest::Client::new().get(&url).timeout(Duration::from_secs(10)).send().await;
                asked.is_ok_and(|answer| answer.status().is_success())
            })
        });
    }

    fn wait_for(&self, what: &str, mut condition: impl FnMut() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(120);
        while !condition() {
            assert!(Instant::now() < deadline, "waited 120 s for {what}\n{}", self.server.tail());
            thread::sleep(Duration::from_millis(50));
        }
    }
}

fn process(folder: &Path, url: &str, data: &Path) -> Process {
    let listen = url.trim_start_matches("http://");
    let data = data.display().to_string();
    let arguments = ["server", "--listen", listen, "--data-dir", &data].map(str::to_owned).to_vec();
    Process::new(folder, "server", arguments, Vec::new())
}

/// What a command printed as JSON.
fn json(ended: &Ended) -> serde_json::Value {
    serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {}", ended.stdout))
}

/// The id of the run that a command printed as JSON.
fn id(ended: &Ended) -> String {
    json(ended)["id"].as_str().unwrap().to_owned()
}

/// All of it is said there.
#[track_caller]
fn says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no `{part}` in:\n{text}");
    }
}
