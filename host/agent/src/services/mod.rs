//! `services:` of a job: containers beside it that are ready before its first step, and gone with it.
//!
//! They share the network of the job: that of its container, where each is reached by its name, or that of this machine.
//! [`health`] decides when one is ready; [`Containers`] forgets none.

mod health;

use std::{sync::Arc, time::Duration};

use bollard::{
    exec::{CreateExecOptions, StartExecResults},
    models::{ContainerCreateBody, HostConfig},
    query_parameters::{InspectContainerOptions, LogsOptions},
};
use futures_util::{StreamExt, future::try_join_all};
use oxide_core::{outcome::Failure, pipeline::HealthCheck, plan::PlannedService, secret::Masker};
use tokio::time::Instant;
use uuid::Uuid;

use crate::{
    docker::{
        DOCKER_HINT,
        containers::{Container, Containers},
        in_words, need_image, signal_by_cookie,
    },
    environment::failure,
    processes::PROCESS_COOKIE,
};
use health::{Health, Try, Verdict};

/// A service without a health check is ready when it has run for so long.
const RUNS_FOR: Duration = Duration::from_millis(300);
/// How long the end of a health check is waited for that took too long.
const END_PATIENCE: Duration = Duration::from_secs(5);
/// So many lines of a service's log are told.
const TAIL_LINES: usize = 20;
/// So many of them are told in one line.
const SHOWN_LINES: usize = 3;
/// So much of what a health check printed is told.
const TOLD_CHARACTERS: usize = 400;
/// So much of what a health check or a service printed is read: more than is told, so that no secret is cut before it is masked.
const READ_BYTES_MAX: usize = 256 << 10;

/// A service with the values of its variables.
pub(crate) struct ReadyToStart {
    pub(crate) planned: PlannedService,
    pub(crate) env: Vec<(String, String)>,
}

/// The services of one attempt.
pub(crate) struct Services {
    running: Vec<Service>,
    masker: Arc<Masker>,
}

/// One of them.
struct Service {
    container: Container,
    planned: PlannedService,
    started: Instant,
}

/// What a service looks like from outside.
enum Standing {
    Runs,
    Ended(String),
}

impl Services {
    /// Starts services on this network of Docker and waits until all are ready.
    ///
    /// # Errors
    /// If one cannot be started, ends, or does not get ready; the failure holds the end of its log, masked.
    pub(crate) async fn start(
        services: Vec<ReadyToStart>,
        network: &str,
        containers: &Containers,
        masker: Arc<Masker>,
    ) -> Result<Services, Failure> {
        if services.is_empty() {
            return Ok(Services { running: Vec::new(), masker });
        }
        let docker = containers
            .connect()
            .await
            .map_err(|unreachable| failure(format!("services need Docker: {unreachable}")).with_hint(DOCKER_HINT))?;
        let mut running = Vec::new();
        for ReadyToStart { planned, env } in services {
            need_image(&docker, &planned.image).await?;
            let what = format!("the service `{}`", planned.name);
            let container = containers.start(&docker, &what, description(&planned, &env, network)).await;
            let container = container
                .map_err(|why| failure(format!("could not start {what} (image `{}`): {why}", planned.image)))?;
            running.push(Service { container, planned, started: Instant::now() });
        }
        let services = Services { running, masker };
        try_join_all(services.running.iter().map(|service| services.wait_until_ready(service))).await?;
        Ok(services)
    }

    async fn wait_until_ready(&self, service: &Service) -> Result<(), Failure> {
        let Some(check) = &service.planned.healthcheck else {
            tokio::time::sleep(RUNS_FOR).await;
            return match service.standing().await {
                Standing::Runs => Ok(()),
                Standing::Ended(how) => Err(self.not_ready(service, &how).await),
            };
        };
        let mut health = Health::default();
        loop {
            let tried = service.try_health(check, &self.masker).await;
            if let (false, Standing::Ended(how)) = (tried == Try::Passed, service.standing().await) {
                return Err(self.not_ready(service, &how).await);
            }
            let since_start = u64::try_from(service.started.elapsed().as_millis()).unwrap_or(u64::MAX);
            match health.take(check, &tried, since_start) {
                Verdict::Ready => return Ok(()),
                Verdict::Again => tokio::time::sleep(Duration::from_millis(check.interval_ms)).await,
                Verdict::Never(why) => return Err(self.not_ready(service, &why).await),
            }
        }
    }

    async fn not_ready(&self, service: &Service, why: &str) -> Failure {
        let tail = self.tail(service).await;
        let last = &tail[tail.len().saturating_sub(SHOWN_LINES)..];
        let last = match last {
            [] => "the service printed nothing".to_owned(),
            lines => format!("its log ends with `{}`", lines.join("` `")),
        };
        let message = format!("the service `{}` did not get ready: {why}; {last}", service.planned.name);
        let hint = format!(
            "check `image`, `env` and `healthcheck` of the service; `docker run {}` shows what it says by itself",
            service.planned.image
        );
        let message = self.masker.text(&message).into_owned();
        Failure { stderr_tail: tail.join("\n"), ..failure(message).with_hint(hint) }
    }

    /// The end of a service's log, masked.
    async fn tail(&self, service: &Service) -> Vec<String> {
        let options = LogsOptions { stdout: true, stderr: true, tail: TAIL_LINES.to_string(), ..Default::default() };
        let mut log = service.container.docker().logs(service.container.id(), Some(options));
        let mut bytes = Vec::new();
        while let Some(Ok(piece)) = log.next().await {
            bytes.extend_from_slice(piece.as_ref());
            if bytes.len() > READ_BYTES_MAX {
                break;
            }
        }
        let text = String::from_utf8_lossy(&bytes);
        let mut tail: Vec<String> =
            self.masker.text(&text).lines().map(|line| line.chars().take(500).collect()).collect();
        if bytes.len() > READ_BYTES_MAX {
            // It may end within a secret.
            tail.pop();
        }
        tail
    }

    /// How the services are, and the end of their logs: what a person wants to see beside a failed step.
    pub(crate) async fn report(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for service in &self.running {
            let standing = match service.standing().await {
                Standing::Runs => "runs".to_owned(),
                Standing::Ended(how) => how,
            };
            lines.push(format!("service `{}`: {standing}; the end of its log:", service.planned.name));
            lines.extend(self.tail(service).await.into_iter().map(|line| format!("  {line}")));
        }
        lines
    }

    /// Stops and removes all of them; they are gone when their `Removals` end.
    pub(crate) fn end(&self) {
        self.running.iter().for_each(|service| service.container.remove());
    }
}

impl Service {
    async fn standing(&self) -> Standing {
        let seen =
            self.container.docker().inspect_container(self.container.id(), None::<InspectContainerOptions>).await;
        let state = match seen {
            Ok(seen) => seen.state.unwrap_or_default(),
            Err(error) => return Standing::Ended(format!("its container is gone: {}", in_words(&error))),
        };
        if state.running == Some(true) {
            return Standing::Runs;
        }
        let code = state.exit_code.unwrap_or_default();
        match state.oom_killed {
            Some(true) => Standing::Ended(format!("it ended with exit code {code}, out of memory")),
            _ => Standing::Ended(format!("it ended with exit code {code}")),
        }
    }

    async fn try_health(&self, check: &HealthCheck, masker: &Masker) -> Try {
        let timeout = Duration::from_millis(check.timeout_ms);
        let process = Uuid::new_v4().to_string();
        match tokio::time::timeout(timeout, self.execute(&check.run, &process, masker)).await {
            Ok(Ok((0, _))) => Try::Passed,
            Ok(Ok((code, printed))) => Try::Failed { code, printed },
            Ok(Err(error)) => Try::Broken(in_words(&error)),
            Err(_) => {
                let (docker, container) = (self.container.docker(), self.container.id());
                let end = signal_by_cookie(docker, container, &process, "KILL");
                // An engine that is too busy to do it ends it with the container.
                let _ = tokio::time::timeout(END_PATIENCE, end).await;
                Try::TimedOut
            }
        }
    }

    /// Runs a line in the container: its exit code and the beginning of what it printed, masked and in one line. What it
    /// starts carries the cookie `process`.
    async fn execute(
        &self,
        line: &str,
        process: &str,
        masker: &Masker,
    ) -> Result<(i64, String), bollard::errors::Error> {
        let docker = self.container.docker();
        let cookie = format!("{PROCESS_COOKIE}={process}");
        let options = CreateExecOptions {
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            env: Some(vec![cookie.as_str()]),
            cmd: Some(vec!["sh", "-c", line]),
            ..Default::default()
        };
        let exec = docker.create_exec(self.container.id(), options).await?.id;
        let mut printed = Vec::new();
        if let StartExecResults::Attached { mut output, .. } = docker.start_exec(&exec, None).await? {
            while let Some(piece) = output.next().await {
                let piece = piece?;
                let room = READ_BYTES_MAX.saturating_sub(printed.len());
                printed.extend_from_slice(&piece.as_ref()[..piece.as_ref().len().min(room)]);
            }
        }
        let ended = docker.inspect_exec(&exec).await?;
        let text = String::from_utf8_lossy(&printed);
        let line = masker.text(&text).split_whitespace().collect::<Vec<_>>().join(" ");
        Ok((ended.exit_code.unwrap_or(-1), line.chars().take(TOLD_CHARACTERS).collect()))
    }
}

fn description(planned: &PlannedService, env: &[(String, String)], network: &str) -> ContainerCreateBody {
    ContainerCreateBody {
        image: Some(planned.image.clone()),
        env: Some(env.iter().map(|(name, value)| format!("{name}={value}")).collect()),
        host_config: Some(HostConfig {
            network_mode: Some(network.to_owned()),
            init: Some(true),
            nano_cpus: planned.cpus.map(|cpus| (cpus * 1e9) as i64),
            memory: planned.memory_bytes.and_then(|bytes| i64::try_from(bytes).ok()),
            // As much swap as nothing: the limit is the limit.
            memory_swap: planned.memory_bytes.and_then(|bytes| i64::try_from(bytes).ok()),
            pids_limit: Some(i64::from(planned.pids)),
            ..Default::default()
        }),
        ..Default::default()
    }
}
