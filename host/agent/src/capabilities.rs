//! What the machine of an agent can do, found out by trying.

use std::{fs::OpenOptions, path::Path, process::Stdio, time::Duration};

use oxide_core::protocol::AgentCapability;
use tokio::process::Command;

use crate::docker;

/// How long something may take to show that it is there.
const PATIENCE: Duration = Duration::from_secs(5);

/// What this machine can do now. Docker is looked for at this address, or where it usually is.
pub async fn detect(docker_host: Option<&str>) -> Vec<AgentCapability> {
    let (docker, nix, firecracker) =
        tokio::join!(in_time(async { docker::connect(docker_host).await.is_ok() }), runs("nix"), runs("firecracker"));
    let found = AgentCapability::ALL.into_iter().filter(|capability| match capability {
        AgentCapability::Docker => docker,
        AgentCapability::Nix => nix,
        AgentCapability::Kvm => firecracker && opens_for_writing(Path::new("/dev/kvm")),
        AgentCapability::Host => true,
    });
    found.collect()
}

async fn runs(program: &str) -> bool {
    let mut command = Command::new(program);
    command.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    in_time(async move { command.status().await.is_ok_and(|status| status.success()) }).await
}

async fn in_time(found_out: impl Future<Output = bool>) -> bool {
    tokio::time::timeout(PATIENCE, found_out).await.unwrap_or(false)
}

/// A device that is there may still be closed to us.
fn opens_for_writing(path: &Path) -> bool {
    OpenOptions::new().read(true).write(true).open(path).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_not_there_is_not_told() {
        assert!(!detect(Some("unix:///nonexistent/docker.sock")).await.contains(&AgentCapability::Docker));
        assert!(!runs("no-such-program").await && !runs("false").await);
        assert!(runs("true").await);
        assert!(!opens_for_writing(Path::new("/nonexistent/kvm")) && opens_for_writing(Path::new("/dev/null")));
    }

    #[tokio::test]
    async fn a_real_docker_is_found() {
        let Some(host) = std::env::var("OXIDE_TEST_DOCKER_HOST").ok().filter(|host| !host.is_empty()) else { return };
        assert!(detect(Some(&host)).await.contains(&AgentCapability::Docker));
    }
}
