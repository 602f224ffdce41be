//! Commands on the machine of the agent with what the development shell of a flake brings: `nix develop`.
//!
//! The shell is evaluated once for a job, by the first command that needs it: a flake in the workspace is there only after
//! the checkout. What it exports, its `shellHook` included, becomes the environment of all commands, which are then
//! commands on the host like others: they start as quickly, and are ended in the same way.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use bytes::Bytes;
use oxide_core::{
    id::{AgentId, AttemptId},
    outcome::Failure,
    protocol::LogStream,
};
use oxide_runtime::environment::{
    CommandSpec, Environment, EnvironmentError, EnvironmentKind, Exit, LogLimitReached, LogSink, OutputTo, Process,
};
use tokio::sync::OnceCell;

use super::{
    JobEnvironment, StepEnvironment, failure,
    host::{DEFAULT_PATH, HostEnvironment, look_up},
};
use crate::workspace::JobDirectory;

/// The program; it needs `bash`, too, as Nix itself does.
const NIX: &str = "nix";
/// Both are called experimental by Nix and are off if its settings do not name them.
const FEATURES: [&str; 2] = ["--extra-experimental-features", "nix-command flakes"];
/// Nix would look for an interactive shell in the network, were it asked to run a command in the development shell. The
/// script of that shell does the same without.
const ENTER_SHELL: &str = r#". "$1"; env -0 > "$2""#;
/// The largest script of a shell.
const SCRIPT_BYTES_MAX: usize = 32 << 20;
/// What belongs to the shell in which it was entered, or to its time.
const NOT_KEPT: [&str; 5] = ["_", "PWD", "OLDPWD", "SHLVL", "BASHOPTS"];
/// Directories for temporary files, which the shell makes for itself anew.
const TEMPORARY: [&str; 5] = ["TMPDIR", "TMP", "TEMP", "TEMPDIR", "NIX_BUILD_TOP"];
/// How Nix itself is set up on this machine. Commands do not see it: it may hold access tokens.
const SETTINGS_OF_NIX: [&str; 15] = [
    "NIX_CONFIG",
    "NIX_CONF_DIR",
    "NIX_DATA_DIR",
    "NIX_LOCALSTATE_DIR",
    "NIX_LOG_DIR",
    "NIX_PATH",
    "NIX_REMOTE",
    "NIX_SSL_CERT_FILE",
    "NIX_STATE_DIR",
    "NIX_STORE_DIR",
    "NIX_USER_CONF_FILES",
    "SSL_CERT_FILE",
    "http_proxy",
    "https_proxy",
    "no_proxy",
];

/// The host with a development shell, as one attempt sees it.
pub(super) struct NixEnvironment {
    shared: Arc<Shared>,
}

struct Shared {
    flake: String,
    host: HostEnvironment,
    /// The same with what the shell exports.
    shell: OnceCell<HostEnvironment>,
    settings: Vec<(String, String)>,
    tmp: PathBuf,
}

impl NixEnvironment {
    /// The environment of a job. The flake is not looked at yet.
    ///
    /// # Errors
    /// If Nix is not there, or the text cannot be a flake.
    pub(super) fn new(
        flake: &str,
        agent: AgentId,
        attempt: AttemptId,
        directory: &JobDirectory,
    ) -> Result<NixEnvironment, Failure> {
        let path = std::env::var("PATH").ok().filter(|path| !path.is_empty());
        let path = path.unwrap_or_else(|| DEFAULT_PATH.to_owned());
        let settings = SETTINGS_OF_NIX.iter().filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?)));
        NixEnvironment::with(flake, agent, attempt, directory, &path, settings.collect())
    }

    fn with(
        flake: &str,
        agent: AgentId,
        attempt: AttemptId,
        directory: &JobDirectory,
        path: &str,
        settings: Vec<(String, String)>,
    ) -> Result<NixEnvironment, Failure> {
        if flake.starts_with('-') || flake.trim().is_empty() {
            let hint = "write it as `nix develop` takes it: `environment: { nix: \".\" }` or `{ nix: \".#ci\" }`";
            return Err(failure(format!("`{flake}` cannot be a flake")).with_hint(hint));
        }
        for program in [NIX, "bash"] {
            if look_up(program, path, Path::new("/")).is_none() {
                let message =
                    format!("the stage runs in a Nix shell, but there is no program `{program}` on this agent");
                let hint = "install Nix on its machine (https://nixos.org/download) and start the agent again: it then has \
                            the capability `nix`; `oxide agents list` shows which agents have it";
                return Err(failure(message).with_hint(hint));
            }
        }
        let host = HostEnvironment::new(agent, attempt, directory);
        let (flake, tmp) = (flake.to_owned(), directory.tmp());
        Ok(NixEnvironment { shared: Arc::new(Shared { flake, host, shell: OnceCell::new(), settings, tmp }) })
    }
}

#[async_trait]
impl JobEnvironment for NixEnvironment {
    fn network(&self) -> String {
        self.shared.host.network()
    }

    fn for_step(&self, variables: Vec<(String, String)>) -> Arc<dyn StepEnvironment> {
        let entering = self.shared.host.for_step(Vec::new());
        Arc::new(NixStep { shared: Arc::clone(&self.shared), variables, entering, inside: OnceCell::new() })
    }

    async fn end(&self) {
        self.shared.host.end().await;
    }
}

/// The environment as one step sees it.
struct NixStep {
    shared: Arc<Shared>,
    variables: Vec<(String, String)>,
    /// The host without the shell, where the shell is evaluated.
    entering: Arc<dyn StepEnvironment>,
    inside: OnceCell<Arc<dyn StepEnvironment>>,
}

impl NixStep {
    /// The host with the shell, which is evaluated if no step has done so. What fails is tried again by the next command.
    async fn inside(&self, log: &Arc<dyn LogSink>) -> Result<&dyn StepEnvironment, EnvironmentError> {
        let enter = async {
            let shell = self.shared.shell.get_or_try_init(|| self.shared.evaluate(&*self.entering, log)).await?;
            Ok(shell.for_step(self.variables.clone()))
        };
        self.inside.get_or_try_init(|| enter).await.map(|inside| &**inside)
    }
}

impl Shared {
    /// Evaluates the shell and enters it once.
    async fn evaluate(
        &self,
        entering: &dyn StepEnvironment,
        log: &Arc<dyn LogSink>,
    ) -> Result<HostEnvironment, EnvironmentError> {
        say(log, &format!("entering the development shell of the flake `{}`", self.flake)).await;
        let (script, exported) = (self.tmp.join("nix-shell.sh"), self.tmp.join("nix-shell.env"));
        let text = self.script(entering, log).await?;
        let write = std::fs::write(&script, text);
        write.map_err(|error| EnvironmentError::Other(format!("could not write {}: {error}", script.display())))?;
        let arguments = ["--noprofile", "--norc", "-c", ENTER_SHELL, "bash"].map(str::to_owned).into_iter();
        let files = [&script, &exported].map(|path| path.to_string_lossy().into_owned());
        let enter = command("bash", arguments.chain(files).collect(), OutputTo::Log);
        let exit = entering.spawn(enter, Arc::clone(log)).await?.wait().await?;
        let bytes = std::fs::read(&exported).unwrap_or_default();
        if bytes.is_empty() {
            let how = match exit {
                Exit::Code(code) => format!("exit code {code}"),
                Exit::Signalled(signal) => format!("signal {signal}"),
            };
            let flake = &self.flake;
            let text = format!(
                "the development shell of the flake `{flake}` ended while it was entered ({how}); look at its `shellHook`"
            );
            return Err(EnvironmentError::Other(text));
        }
        for path in [script, exported] {
            // What stays goes with the job's other temporary files.
            let _ = std::fs::remove_file(path);
        }
        Ok(self.host.with_variables(|ours| merged(ours, exported_variables(&bytes), &self.tmp)))
    }

    /// The script that makes a shell into the development shell.
    async fn script(
        &self,
        entering: &dyn StepEnvironment,
        log: &Arc<dyn LogSink>,
    ) -> Result<Vec<u8>, EnvironmentError> {
        let arguments = FEATURES.into_iter().chain(["print-dev-env", "--no-write-lock-file", &self.flake]);
        let mut evaluate = command(NIX, arguments.map(str::to_owned).collect(), OutputTo::Piped);
        evaluate.env.clone_from(&self.settings);
        let mut nix = entering.spawn(evaluate, Arc::clone(log)).await?;
        let mut script = Vec::new();
        loop {
            let piece = nix.read(LogStream::Stdout, 64 << 10).await?;
            if piece.is_empty() {
                break;
            }
            script.extend_from_slice(&piece);
            if script.len() > SCRIPT_BYTES_MAX {
                let text = format!("the development shell of the flake `{}` is larger than 32 MiB", self.flake);
                return Err(EnvironmentError::Limit(text));
            }
        }
        match nix.wait().await? {
            Exit::Code(0) => Ok(script),
            _ => Err(EnvironmentError::Other(format!(
                "Nix could not make the development shell of the flake `{}`: the log says why; if the flake is in the \
                 repository, the checkout must be an earlier step",
                self.flake
            ))),
        }
    }
}

fn command(program: &str, args: Vec<String>, stdout: OutputTo) -> CommandSpec {
    let (env, working_directory, stdin) = (Vec::new(), PathBuf::new(), Vec::new());
    CommandSpec { program: program.to_owned(), args, env, working_directory, stdin, stdout, stderr: OutputTo::Log }
}

async fn say(log: &Arc<dyn LogSink>, text: &str) {
    // A full log has said so already.
    let _ = log.write(LogStream::Host, Bytes::from(format!("{text}\n"))).await;
}

/// What `env -0` printed. What is not UTF-8 cannot be a variable of a command here.
fn exported_variables(bytes: &[u8]) -> Vec<(String, String)> {
    let texts = bytes.split(|byte| *byte == 0).filter_map(|variable| std::str::from_utf8(variable).ok());
    texts.filter_map(|text| text.split_once('=')).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// The variables of commands in the shell: what it exports, then what is always ours.
fn merged(ours: &[(String, String)], exported: Vec<(String, String)>, tmp: &Path) -> Vec<(String, String)> {
    let is_ours = |name: &str| name != "PATH" && ours.iter().any(|(known, _)| known == name);
    let may_be_kept = |name: &str| {
        !is_ours(name) && !super::is_cookie(name) && !NOT_KEPT.contains(&name) && !TEMPORARY.contains(&name)
    };
    let mut all: Vec<_> = exported.into_iter().filter(|(name, _)| may_be_kept(name)).collect();
    let has_path = all.iter().any(|(name, _)| name == "PATH");
    all.extend(ours.iter().filter(|(name, _)| !(has_path && name == "PATH")).cloned());
    let missing: Vec<_> = TEMPORARY.iter().filter(|name| !all.iter().any(|(known, _)| known == *name)).collect();
    all.extend(missing.into_iter().map(|name| ((*name).to_owned(), tmp.to_string_lossy().into_owned())));
    all
}

/// A log for what is asked without one.
struct NoLog;

#[async_trait]
impl LogSink for NoLog {
    async fn write(&self, _: LogStream, _: Bytes) -> Result<(), LogLimitReached> {
        Ok(())
    }
}

#[async_trait]
impl Environment for NixStep {
    fn kind(&self) -> EnvironmentKind {
        EnvironmentKind::Nix
    }

    fn workspace_path(&self) -> String {
        self.entering.workspace_path()
    }

    async fn find_program(&self, name: &str) -> Result<Option<String>, EnvironmentError> {
        let log: Arc<dyn LogSink> = Arc::new(NoLog);
        self.inside(&log).await?.find_program(name).await
    }

    async fn spawn(&self, spec: CommandSpec, log: Arc<dyn LogSink>) -> Result<Box<dyn Process>, EnvironmentError> {
        self.inside(&log).await?.spawn(spec, log).await
    }
}

#[async_trait]
impl StepEnvironment for NixStep {
    async fn terminate(&self) -> bool {
        let entering = self.entering.terminate().await;
        match self.inside.get() {
            Some(inside) => inside.terminate().await || entering,
            None => entering,
        }
    }
}

#[cfg(test)]
mod tests;
