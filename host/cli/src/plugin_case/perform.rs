//! Runs one case: a fresh workspace, the script, one call, and everything that can be seen afterwards.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use oxide_blobs::{Blobs, Limits as BlobLimits, Location};
use oxide_core::{
    diagnostic::{Diagnostic, Diagnostics},
    event::Annotation,
    grant::{Grants, SecretGrant},
    limit::{Limits, Usage},
    outcome::Failure,
    plugin::Capability,
    protocol::LogStream,
    secret::{Masker, Placeholders},
};
use oxide_runtime::{
    Plugin, RunInfo, Runtime, StepCall,
    environment::{Bytes, LogLimitReached, LogSink, async_trait},
};
use serde_json::{Map, Value as Json};
use uuid::Uuid;

use super::{
    case::Case,
    files::{Files, Scratch, copy_folder, read_files},
    script::{
        Problem, Problems,
        containers::ScriptedContainers,
        environment::ScriptedEnvironment,
        git,
        http::{self, ScriptedWeb},
        stored,
    },
    subject::{self, Subject},
};
use crate::command::plugin::by_hand::{evaluate, typed_inputs};

/// How long a case may take if it does not say.
const TIMEOUT_MS: u64 = 60_000;
/// What a case may write to its log if it does not say.
const LOG_BYTES: u64 = 16 << 20;

/// What could be seen of a case.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The outputs, or why there are none.
    pub outcome: Result<Map<String, Json>, Failure>,
    /// The whole log.
    pub log: Vec<u8>,
    /// The annotations.
    pub annotations: Vec<Annotation>,
    /// The summary.
    pub summary: String,
    /// The workspace before the call.
    pub before: Files,
    /// The workspace after it.
    pub after: Files,
    /// The entries of the cache that the case speaks of.
    pub cache: Vec<(String, Option<Files>)>,
    /// The artifacts that the case speaks of.
    pub artifacts: Vec<(String, Option<Files>)>,
    /// What was used up.
    pub usage: Usage,
    /// What did not go as the script says.
    pub problems: Vec<Problem>,
}

/// Why a case could not be run.
pub enum Refused {
    /// What it says does not fit the plugin.
    Case(Diagnostics),
    /// The machine is in the way, or the case's files are.
    Trouble(String),
}

impl From<String> for Refused {
    fn from(text: String) -> Self {
        Refused::Trouble(text)
    }
}

/// A plugin that cases are run with.
pub struct Bench {
    /// The plugin.
    pub subject: Subject,
    /// It, ready to be called.
    pub plugin: Arc<Plugin>,
    /// Where it was loaded.
    pub runtime: Runtime,
    /// The directory of compiled code.
    pub compiled: std::path::PathBuf,
}

/// Everything that a call of a case needs, and what looks at it afterwards.
pub struct Prepared {
    scratch: Scratch,
    blobs: Option<Arc<Blobs>>,
    runtime: Option<(Runtime, Arc<Plugin>)>,
    environment: Arc<ScriptedEnvironment>,
    web: Arc<ScriptedWeb>,
    containers: Arc<ScriptedContainers>,
    problems: Problems,
    log: Arc<MemoryLog>,
    before: Files,
    run: String,
}

impl Prepared {
    /// What is called: the plugin as it was loaded, or with a store of the case's own.
    pub fn callee<'a>(&'a self, bench: &'a Bench) -> (&'a Runtime, &'a Plugin) {
        match &self.runtime {
            Some((runtime, plugin)) => (runtime, plugin),
            None => (&bench.runtime, &bench.plugin),
        }
    }
}

/// Runs a case.
///
/// # Errors
/// [`Refused`] if it could not be run at all. That the plugin fails is no error.
pub async fn perform(bench: &Bench, case: &Case) -> Result<Seen, Refused> {
    let (prepared, call) = prepare(bench, case).await?;
    let (runtime, plugin) = prepared.callee(bench);
    let result = runtime.call(plugin, call).await;
    let after = read_files(&prepared.scratch.path().join("workspace"))?;
    prepared.environment.finish();
    prepared.web.finish();
    prepared.containers.finish();
    let mut seen = Seen {
        outcome: result.outcome,
        log: prepared.log.take(),
        annotations: result.annotations,
        summary: result.summary,
        before: prepared.before,
        after,
        cache: Vec::new(),
        artifacts: Vec::new(),
        usage: result.usage,
        problems: prepared.problems.take(),
    };
    if let (Some(expect), Some(blobs)) = (&case.expect, &prepared.blobs) {
        let place = |kind: &str, number: usize| prepared.scratch.path().join(format!("seen-{kind}-{number}"));
        for (number, (key, ..)) in expect.cache.iter().enumerate() {
            seen.cache.push((key.clone(), stored::cached(blobs, key, &place("cache", number)).await?));
        }
        for (number, (name, ..)) in expect.artifacts.iter().enumerate() {
            let found = stored::artifact(blobs, &prepared.run, name, &place("artifact", number)).await?;
            seen.artifacts.push((name.clone(), found));
        }
    }
    Ok(seen)
}

/// Makes a workspace and a script for a call.
///
/// # Errors
/// [`Refused`], before anything is called.
pub async fn prepare(bench: &Bench, case: &Case) -> Result<(Prepared, StepCall), Refused> {
    let scratch = Scratch::new().map_err(|error| format!("could not make a workspace: {error}"))?;
    let workspace = scratch.path().join("workspace");
    let files = case.folder.join("files");
    if files.exists() && !files.is_dir() {
        return Err(format!("`{}` must be a folder: it is copied into the workspace", files.display()).into());
    }
    let is_inside = || Ok::<_, std::io::Error>(files.canonicalize()?.starts_with(case.folder.canonicalize()?));
    if files.is_symlink() && !is_inside().unwrap_or(false) {
        return Err(format!("`{}` is a link that leads out of the folder of the case", files.display()).into());
    }
    match files.is_dir() {
        true => copy_folder(&files, &workspace)?,
        false => std::fs::create_dir(&workspace).map_err(|error| format!("could not make a workspace: {error}"))?,
    }
    let before = read_files(&workspace)?;
    let git = match &case.git {
        Some(repository) => git::make(repository, &scratch.path().join("repository"))
            .map_err(|problem| Refused::Case(Diagnostic::at(repository.span, problem).into()))?,
        None => facts(&case.run_info),
    };
    let run_info = with_facts(case.run_info.clone(), &git);
    let (blobs, runtime) = own_store(bench, case, scratch.path()).await?;
    if let Some(blobs) = &blobs {
        stored::fill(case, blobs, &run_info, scratch.path()).await?;
    }

    let grants = grants(case, &bench.subject);
    let reveal = |name: &String| grants.secrets.get(name) == Some(&SecretGrant::Reveal);
    let secrets =
        Placeholders::new(case.secrets.iter().map(|(name, value)| (name.clone(), value.clone(), reveal(name))), || {
            Uuid::new_v4().as_u128()
        });
    let how_to_set = |name: &str| format!("add it to the case: `secrets: {{ {name}: some-value }}`");
    let with = evaluate(&case.with, &secrets, &git, &how_to_set).map_err(|error| Refused::Case(error.into()))?;
    let inputs = typed_inputs(&with, &bench.subject.description).map_err(Refused::Case)?;

    let problems = Problems::default();
    let environment = Arc::new(ScriptedEnvironment::new(case.environment.clone(), workspace.clone(), problems.clone()));
    let web = Arc::new(ScriptedWeb::new(case.http.clone(), problems.clone()));
    let containers = Arc::new(ScriptedContainers::new(case.containers.clone(), problems.clone()));
    let log = Arc::new(MemoryLog::default());
    let usual = Limits { timeout_ms: TIMEOUT_MS, log_bytes: LOG_BYTES, ..Limits::default() };
    let call = StepCall {
        plugin_name: bench.subject.name.clone(),
        inputs,
        grants,
        limits: case.limits.apply(usual),
        run_info: run_info.clone(),
        project: stored::PROJECT.to_owned(),
        workspace,
        environment: environment.clone(),
        containers: containers.clone(),
        responder: Some(web.clone()),
        log: log.clone(),
        masker: Arc::new(Masker::new(case.secrets.values())),
        secrets,
    };
    let run = run_info.run;
    Ok((Prepared { scratch, blobs, runtime, environment, web, containers, problems, log, before, run }, call))
}

/// A store of the case's own, for plugins that keep something: no case sees what another has kept.
async fn own_store(
    bench: &Bench,
    case: &Case,
    scratch: &Path,
) -> Result<(Option<Arc<Blobs>>, Option<(Runtime, Arc<Plugin>)>), Refused> {
    let can_use = bench.subject.description.can_use();
    if !can_use.contains(&Capability::Cache) && !can_use.contains(&Capability::Artifacts) {
        let nothing_stored = case.cache.is_empty() && case.artifacts.is_empty();
        return match nothing_stored {
            true => Ok((None, None)),
            false => Err("the case fills cache or artifacts, and the plugin asks for neither".to_owned().into()),
        };
    }
    let store = Blobs::open(&Location::Directory(scratch.join("blobs")), BlobLimits::default());
    let blobs = Arc::new(store.map_err(|error| format!("could not make a store: {}", error.in_one_line()))?);
    let runtime = subject::runtime(bench.compiled.clone(), Some(blobs.clone()))
        .map_err(|_| "could not start the component runtime once more".to_owned())?;
    let plugin = bench.subject.load(&runtime, &MemoryLog::default()).await;
    let plugin = plugin.map_err(|_| "could not load the plugin once more".to_owned())?;
    Ok((Some(blobs), Some((runtime, plugin))))
}

/// What the case grants, or all that the plugin can use: the hosts of the script, and every secret of the case.
fn grants(case: &Case, subject: &Subject) -> Grants {
    let mut grants = match &case.grants {
        Some(written) => written.grants.clone(),
        None => {
            Grants { capabilities: subject.description.can_use(), http: http::hosts(&case.http), ..Grants::default() }
        }
    };
    case.secrets.keys().for_each(|name| grants.spend(name));
    grants
}

/// The facts of `git` in expressions, from what the case says of its run.
fn facts(run_info: &RunInfo) -> Map<String, Json> {
    let reference = run_info.git_ref.as_deref().unwrap_or("");
    let facts = [
        ("sha", run_info.commit.clone()),
        ("ref", run_info.git_ref.clone()),
        ("branch", reference.strip_prefix("refs/heads/").map(str::to_owned)),
        ("tag", reference.strip_prefix("refs/tags/").map(str::to_owned)),
        ("repository", run_info.repository.clone()),
    ];
    facts.into_iter().filter_map(|(name, value)| Some((name.to_owned(), Json::from(value?)))).collect()
}

/// What the case says of its run, and the facts of the repository where it says nothing.
fn with_facts(run_info: RunInfo, git: &Map<String, Json>) -> RunInfo {
    let fact = |name: &str| git.get(name).and_then(Json::as_str).map(str::to_owned);
    RunInfo {
        commit: run_info.commit.or_else(|| fact("sha")),
        git_ref: run_info.git_ref.or_else(|| fact("ref")),
        repository: run_info.repository.or_else(|| fact("repository")),
        ..run_info
    }
}

/// A log that is kept.
#[derive(Default)]
pub struct MemoryLog(Mutex<Vec<u8>>);

impl MemoryLog {
    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl LogSink for MemoryLog {
    async fn write(&self, _: LogStream, bytes: Bytes) -> Result<(), LogLimitReached> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&bytes);
        Ok(())
    }
}
