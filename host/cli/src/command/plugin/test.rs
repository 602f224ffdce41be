//! `oxide plugin test`: runs the cases of a plugin, with scripts in the place of the world.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use oxide_core::diagnostic::Diagnostics;
use serde_json::json;
use tokio::{sync::Semaphore, task::JoinSet};

use crate::{
    exit_code::Exit,
    failure::Failure,
    local_engine,
    plugin_case::{
        accept,
        case::Case,
        compare,
        perform::{self, Bench, MemoryLog, Refused},
        report::{self, Ended, Verdict},
        subject::{self, Subject},
    },
    project,
    terminal::{Paint, Terminal, print},
};

/// Arguments of `oxide plugin test`.
#[derive(clap::Args)]
pub struct Arguments {
    /// The folder of a plugin with `plugin.wasm`, or a `.wasm` file.
    #[arg(default_value = ".", value_name = "DIR|FILE")]
    plugin: PathBuf,
    /// Where the cases are (default: `cases` beside the component).
    #[arg(long, value_name = "DIR")]
    cases: Option<PathBuf>,
    /// Only the cases with this text in their names.
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// Write what is seen into `expect` of the cases that differ.
    #[arg(long)]
    accept: bool,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// Runs the cases; the exit code says whether all are as they should be.
pub fn run(arguments: &Arguments, data_dir: Option<&Path>) -> Result<Exit, Failure> {
    let subject = Subject::find(&arguments.plugin)?;
    if let Some(source) = subject.newer_source() {
        let folder = arguments.plugin.display();
        eprintln!(
            "note: plugin.wasm is older than {}: `oxide plugin build {folder}` builds it again",
            source.display()
        );
    }
    let beside = subject.folder.as_deref().unwrap_or(Path::new(".")).join("cases");
    let folder = arguments.cases.clone().unwrap_or(beside);
    let cases = find(&folder, arguments.filter.as_deref())?;
    let compiled = project::data_directory(data_dir)?.join("compiled");
    let runtime = subject::runtime(compiled.clone(), None)?;
    let width = cases.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0).min(40);
    let paint = Paint { colour: Terminal::stdout().colour };
    let ended = local_engine::in_runtime(async {
        let plugin = subject.load(&runtime, &MemoryLog::default()).await?;
        let bench = Arc::new(Bench { subject, plugin, runtime, compiled });
        let at_once = std::thread::available_parallelism().map_or(1, usize::from);
        let turns = Arc::new(Semaphore::new(at_once));
        let mut running = JoinSet::new();
        for (index, (name, folder)) in cases.into_iter().enumerate() {
            let (bench, turns, accepts) = (Arc::clone(&bench), Arc::clone(&turns), arguments.accept);
            running.spawn(async move {
                let _turn = turns.acquire_owned().await;
                (index, one(&bench, name, &folder, accepts).await)
            });
        }
        // Shown in the order of their names, each as soon as those before it are.
        let mut ended: Vec<Option<Ended>> = (0..running.len()).map(|_| None).collect();
        let mut shown = 0;
        while let Some(one) = running.join_next().await {
            let (index, one) = one.map_err(|error| Failure::trouble("a case could not be run").because(&error))?;
            ended[index] = Some(one);
            while let Some(Some(next)) = ended.get(shown) {
                if !arguments.json {
                    print(&next.as_text(width, paint))?;
                }
                shown += 1;
            }
        }
        Ok(ended.into_iter().flatten().collect::<Vec<Ended>>())
    })?;
    let is_good = ended.iter().all(Ended::is_ok);
    if arguments.json {
        let cases: Vec<_> = ended.iter().map(Ended::as_json).collect();
        let failed = ended.iter().filter(|ended| !ended.is_ok()).count();
        print(&format!("{}\n", json!({ "cases": cases, "ok": cases.len() - failed, "failed": failed })))?;
    } else {
        print(&report::summary(&ended, &folder, paint))?;
    }
    Ok(if is_good { Exit::Success } else { Exit::RunFailed })
}

/// The cases of a folder, sorted by name.
pub fn find(folder: &Path, filter: Option<&str>) -> Result<Vec<(String, PathBuf)>, Failure> {
    let entries = fs::read_dir(folder).map_err(|error| {
        Failure::usage(format!("there are no cases in `{}`", folder.display())).because(&error).hint(
            "a case is a folder with `case.yaml`, such as `cases/first/case.yaml`; or name another: `--cases DIR`",
        )
    })?;
    let mut all: Vec<(String, PathBuf)> = entries
        .flatten()
        // A folder without `case.yaml` is a case that fails: its name may be misspelt.
        .filter(|entry| entry.path().is_dir() && !entry.file_name().to_string_lossy().starts_with('.'))
        .map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path()))
        .collect();
    all.sort();
    let wanted = |(name, _): &(String, PathBuf)| filter.is_none_or(|filter| name.contains(filter));
    let chosen: Vec<_> = all.iter().filter(|case| wanted(case)).cloned().collect();
    match (all.is_empty(), chosen.is_empty()) {
        (false, false) => Ok(chosen),
        (true, _) => Err(Failure::usage(format!("there is no case in `{}`", folder.display()))
            .hint("a case is a folder with `case.yaml`, such as `cases/first/case.yaml`")),
        (false, true) => {
            let names: Vec<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
            Err(Failure::usage(format!("no case has `{}` in its name", filter.unwrap_or_default()))
                .hint(format!("the cases are: {}", names.join(", "))))
        }
    }
}

async fn one(bench: &Bench, name: String, folder: &Path, accepts: bool) -> Ended {
    let file = folder.join("case.yaml").display().to_string();
    let broken = |text: String| Ended {
        name: name.clone(),
        file: file.clone(),
        verdict: Verdict::Broken(text),
        usage: Default::default(),
    };
    let case = match Case::open(folder) {
        Ok(case) => case,
        Err(error) => return broken(error.diagnostics.render(&error.file, &error.source_text, colour())),
    };
    let refused = |diagnostics: Diagnostics| broken(diagnostics.sorted().render(&file, &case.source, colour()));
    let seen = match perform::perform(bench, &case).await {
        Ok(seen) => seen,
        Err(Refused::Case(diagnostics)) => return refused(diagnostics),
        Err(Refused::Trouble(text)) => return broken(format!("error: {text}\n")),
    };
    let mismatches = match compare::compare(&case, &bench.subject.description.outputs, &seen) {
        Ok(mismatches) => mismatches,
        // What was written cannot be an output: what came can.
        Err(_) if accepts => {
            let mut without = case.clone();
            if let Some(expect) = &mut without.expect {
                expect.outputs = Some(oxide_core::yaml::Node::map(Vec::new()));
            }
            let written = accept::accept(&without, &seen, &[])
                .map_err(|error| error.to_string())
                .and_then(|accepted| accept::write(&accepted, folder).map_err(|error| error.to_string()));
            return match written {
                Ok(()) => Ended { name, file, verdict: Verdict::Accepted, usage: seen.usage },
                Err(why) => broken(format!("not accepted: {why}\n")),
            };
        }
        Err(diagnostics) => return refused(diagnostics),
    };
    let is_new = case.expect.is_none();
    let usage = seen.usage.clone();
    if mismatches.is_empty() && !(accepts && is_new) {
        return Ended { name, file, verdict: Verdict::Ok { expects: !is_new }, usage };
    }
    let mut not_accepted = None;
    if accepts {
        let written = accept::accept(&case, &seen, &mismatches)
            .map_err(|error| error.to_string())
            .and_then(|accepted| accept::write(&accepted, folder).map_err(|error| error.to_string()));
        match written {
            Ok(()) => return Ended { name, file, verdict: Verdict::Accepted, usage },
            Err(why) => not_accepted = Some(why),
        }
    }
    let shows_log = mismatches.iter().any(|mismatch| mismatch.part == compare::Part::Log);
    let log = match shows_log {
        true => Vec::new(),
        false => compare::last_lines(&String::from_utf8_lossy(&seen.log)),
    };
    Ended { name, file, verdict: Verdict::Failed { mismatches, log, not_accepted }, usage }
}

fn colour() -> bool {
    Terminal::stdout().colour
}
