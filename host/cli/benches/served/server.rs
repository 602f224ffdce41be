//! The server that is measured.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use oxide_client::Client;
use oxide_core::{
    api::{
        pipeline::NewPipeline,
        run::{NewRun, RunDetails},
        sign_in::Setup,
    },
    id::{PipelineId, RunId},
};
use tempfile::TempDir;

/// A server with its own agent, which ends when this is dropped.
pub struct BenchServer {
    folder: TempDir,
    process: Child,
    /// Host and port.
    pub address: String,
    /// The token of its administrator.
    pub token: String,
}

impl BenchServer {
    /// Starts one on SQLite and signs in.
    pub async fn start() -> BenchServer {
        // Fails if it was done before, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = TempDir::new().unwrap();
        let address = format!("127.0.0.1:{}", TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port());
        let log = folder.path().join("log");
        let file = fs::File::create(&log).unwrap();
        let process = Command::new(env!("CARGO_BIN_EXE_oxide"))
            .args(["server", "--listen", &address, "--data-dir"])
            .arg(folder.path().join("data"))
            .env("DOCKER_CONFIG", folder.path())
            .env("OXIDE_SERVER_RATE_LIMIT_PER_TOKEN", "10000000")
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap();
        let mut server = BenchServer { folder, process, address, token: String::new() };
        let began = Instant::now();
        let code = loop {
            let text = fs::read_to_string(&log).unwrap();
            match text.split_whitespace().find(|word| word.starts_with("oxide_set_")) {
                Some(code) => break code.to_owned(),
                None => assert!(began.elapsed() < Duration::from_secs(30), "the server does not start:\n{text}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        let setup = Setup { code, name: Some("ada".to_owned()), email: None };
        server.token = server.client().set_up(&setup).await.unwrap().token.token;
        server
    }

    /// A client, as the administrator.
    pub fn client(&self) -> Client {
        let token = Some(self.token.clone()).filter(|token| !token.is_empty());
        Client::new(&format!("http://{}", self.address), token, None).unwrap()
    }

    /// The process.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// A folder for what is measured with.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file into that folder.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// Stores a pipeline.
    pub async fn pipeline(&self, source: String) -> PipelineId {
        let new = NewPipeline { source, ..NewPipeline::default() };
        self.client().create_pipeline(&new).await.unwrap().about.id
    }

    /// Starts a run.
    pub async fn run(&self, pipeline: PipelineId) -> RunId {
        self.client().start_run(pipeline, &NewRun::default()).await.unwrap().id
    }

    /// Waits until a run has ended, asking rarely; it must have succeeded.
    pub async fn ended(&self, run: RunId) -> RunDetails {
        loop {
            let details = self.client().run(run).await.unwrap();
            if details.about.status.is_final() {
                let status = details.about.status;
                assert_eq!(status, oxide_core::outcome::Status::Success, "{:?}", details.about.reason);
                return details;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// How long a question takes that the server answers without a look at anything: the floor of what is asked of it.
    pub async fn round_trips(&self, count: usize) -> Vec<Duration> {
        let (client, url) = (reqwest::Client::new(), format!("http://{}/api/v1/health", self.address));
        let mut times = Vec::new();
        for _ in 0..count {
            let begin = Instant::now();
            client.get(&url).send().await.unwrap().bytes().await.unwrap();
            times.push(begin.elapsed());
        }
        times
    }
}

impl Drop for BenchServer {
    fn drop(&mut self) {
        // An error says that it has ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
