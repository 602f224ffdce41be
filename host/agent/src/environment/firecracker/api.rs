//! Firecracker's API: HTTP over the Unix socket of one machine.
//!
//! Only what a machine of a job needs. Field names and paths are those of Firecracker's own description of its API.

use std::{
    fs::File,
    io,
    os::fd::AsRawFd,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Method, Request, StatusCode, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use tokio::net::UnixStream;

/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long Firecracker may take to listen.
const START_PATIENCE: Duration = Duration::from_secs(10);
/// The longest answer.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// `PUT /logger`: where Firecracker's own words go; else they stand between those of the machine.
#[derive(Serialize)]
pub(super) struct Logger<'a> {
    pub(super) log_path: &'a Path,
    pub(super) level: &'a str,
}

/// `PUT /machine-config`.
#[derive(Serialize)]
pub(super) struct MachineConfig {
    pub(super) vcpu_count: u32,
    pub(super) mem_size_mib: u64,
}

/// `PUT /boot-source`.
#[derive(Serialize)]
pub(super) struct BootSource<'a> {
    pub(super) kernel_image_path: &'a str,
    pub(super) boot_args: &'a str,
}

/// `PUT /drives/{drive_id}`.
#[derive(Serialize)]
pub(super) struct Drive<'a> {
    pub(super) drive_id: &'a str,
    pub(super) path_on_host: &'a Path,
    pub(super) is_root_device: bool,
    pub(super) is_read_only: bool,
}

/// `PUT /actions`.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(tag = "action_type")]
pub(super) enum Action {
    /// Starts the machine.
    InstanceStart,
    /// Presses the three keys; there is no other way to signal a machine from outside.
    SendCtrlAltDel,
}

/// Firecracker's words for what it refuses.
#[derive(Deserialize)]
struct Fault {
    fault_message: String,
}

/// Why the API was of no help.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApiError {
    /// It cannot be reached.
    #[error("could not reach the API of Firecracker at {socket}")]
    Connect {
        /// The socket.
        socket: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// The request broke off.
    #[error("Firecracker did not answer `{request}`")]
    Exchange {
        /// The request.
        request: String,
        /// Why.
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The answer is a refusal.
    #[error("Firecracker refused `{request}`: {words}")]
    Refused {
        /// The request.
        request: String,
        /// Its words, or the status.
        words: String,
    },
}

/// The API of one machine.
#[derive(Debug)]
pub(super) struct Api {
    socket: PathBuf,
    /// A path of a socket has 107 bytes at most; from the directory on, ours is short.
    directory: File,
}

impl Api {
    /// The API behind this socket, which need not be there yet.
    pub(super) fn at(socket: PathBuf) -> io::Result<Api> {
        let directory = File::open(socket.parent().unwrap_or(Path::new("/")))?;
        Ok(Api { socket, directory })
    }

    /// Waits until Firecracker listens.
    pub(super) async fn wait_until_it_listens(&self) -> Result<(), ApiError> {
        let deadline = Instant::now() + START_PATIENCE;
        loop {
            match self.connect().await {
                Ok(_) => return Ok(()),
                Err(error) if Instant::now() > deadline => return Err(error),
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    }

    /// Says where Firecracker's own words go.
    pub(super) async fn logger(&self, logger: &Logger<'_>) -> Result<(), ApiError> {
        self.put("/logger", logger).await
    }

    /// Says how large the machine is.
    pub(super) async fn machine_config(&self, config: &MachineConfig) -> Result<(), ApiError> {
        self.put("/machine-config", config).await
    }

    /// Says what it boots.
    pub(super) async fn boot_source(&self, source: &BootSource<'_>) -> Result<(), ApiError> {
        self.put("/boot-source", source).await
    }

    /// Adds a drive; the machine sees them in the order in which they were added.
    pub(super) async fn drive(&self, drive: &Drive<'_>) -> Result<(), ApiError> {
        self.put(&format!("/drives/{}", drive.drive_id), drive).await
    }

    /// Does something with the machine.
    pub(super) async fn action(&self, action: Action) -> Result<(), ApiError> {
        self.put("/actions", &action).await
    }

    async fn connect(&self) -> Result<UnixStream, ApiError> {
        let name = self.socket.file_name().unwrap_or_default();
        let path = Path::new("/proc/self/fd").join(self.directory.as_raw_fd().to_string()).join(name);
        let connected = UnixStream::connect(path).await;
        connected.map_err(|cause| ApiError::Connect { socket: self.socket.clone(), cause })
    }

    async fn put(&self, path: &str, body: &impl Serialize) -> Result<(), ApiError> {
        let request = format!("PUT {path}");
        let stream = self.connect().await?;
        let exchange = exchange(stream, path, body);
        let answered = tokio::time::timeout(PATIENCE, exchange).await.unwrap_or_else(|elapsed| Err(elapsed.into()));
        let (status, text) = answered.map_err(|cause| ApiError::Exchange { request: request.clone(), cause })?;
        if status.is_success() {
            return Ok(());
        }
        let words = match serde_json::from_slice(&text) {
            Ok(Fault { fault_message }) => fault_message,
            Err(_) => status.to_string(),
        };
        Err(ApiError::Refused { request, words })
    }
}

async fn exchange(
    stream: UnixStream,
    path: &str,
    body: &impl Serialize,
) -> Result<(StatusCode, Bytes), Box<dyn std::error::Error + Send + Sync>> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let carrying = tokio::spawn(connection);
    let request = Request::builder()
        .method(Method::PUT)
        .uri(path)
        .header("host", "localhost")
        .header("accept", "application/json")
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(serde_json::to_vec(body)?)))?;
    let answer = sender.send_request(request).await?;
    let status = answer.status();
    let text = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await?.to_bytes();
    carrying.abort();
    Ok((status, text))
}
