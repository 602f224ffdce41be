//! `oxide plugin bench`: what a plugin takes to compile, to load and to call, beside the least that any plugin takes.

use std::{
    borrow::Cow,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use oxide_agent::environment::ByHand;
use oxide_core::{grant::Grants, limit::Limits, limit::Usage, quantity, secret::Placeholders};
use oxide_runtime::{Plugin, RunInfo, Runtime, StepCall, compile::background_processes};
use serde_json::{Value as Json, json};

use super::{by_hand::StepArguments, test};
use crate::{
    exit_code::Exit,
    failure::Failure,
    local_engine,
    plugin_case::{
        case::Case,
        files::Scratch,
        perform::{self, Bench, MemoryLog, Refused},
        subject::{self, Subject},
    },
    terminal::{Paint, Terminal, print},
};

/// The least that a plugin can be; its text stands beside it.
const FLOOR: &[u8] = include_bytes!("bench/floor.wasm");
/// How long better code is waited for.
const BACKGROUND: Duration = Duration::from_secs(180);
/// Calls that are not counted.
const WARM_UP: u32 = 3;

/// Arguments of `oxide plugin bench`.
#[derive(clap::Args)]
pub struct Arguments {
    /// A `.wasm` file, a folder with `plugin.wasm`, or a built-in such as `oxide/run@1`.
    plugin: PathBuf,
    #[command(flatten)]
    step: StepArguments,
    /// Call it as this case says, in the place of `--with` and `--grant`.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["with", "with_file", "grants", "secrets", "limits"])]
    case: Option<String>,
    /// Where the cases are (default: `cases` beside the component).
    #[arg(long, value_name = "DIR", requires = "case")]
    cases: Option<PathBuf>,
    /// How many calls are measured.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    iterations: u32,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// What was measured.
struct Measured {
    compile: Duration,
    better_code: Option<Duration>,
    load: Duration,
    calls: Calls,
    floor: Calls,
    floor_load: Duration,
}

/// The times of calls, sorted.
struct Calls {
    times: Vec<Duration>,
    usage: Usage,
}

/// Measures the plugin.
pub fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    let subject = Subject::find(&arguments.plugin)?;
    let case = match &arguments.case {
        Some(name) => Some(case(name, arguments.cases.as_deref(), &subject)?),
        None => None,
    };
    let scratch =
        Scratch::new().map_err(|error| Failure::trouble("could not make a directory to measure in").because(&error))?;
    // Checked before anything is compiled.
    if case.is_none() {
        arguments.step.read(&subject, scratch.path())?;
    }
    let measured = local_engine::in_runtime(measure(arguments, &subject, case.as_ref(), &scratch))?;
    print(&match arguments.json {
        true => format!("{}\n", as_json(&subject, &measured)),
        false => as_text(&subject, &measured, Paint { colour: Terminal::stdout().colour }),
    })?;
    Ok(Exit::Success)
}

fn case(name: &str, folder: Option<&Path>, subject: &Subject) -> Result<Case, Failure> {
    let beside = subject.folder.as_deref().unwrap_or(Path::new(".")).join("cases");
    let found = test::find(folder.unwrap_or(&beside), None)?;
    let Some((_, folder)) = found.iter().find(|(known, _)| known == name) else {
        let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
        return Err(
            Failure::usage(format!("there is no case `{name}`")).hint(format!("the cases are: {}", names.join(", ")))
        );
    };
    Case::open(folder).map_err(|error| {
        let colour = Terminal::stderr().colour;
        Failure::invalid_pipeline(error.diagnostics.render(&error.file, &error.source_text, colour))
    })
}

async fn measure(
    arguments: &Arguments,
    subject: &Subject,
    case: Option<&Case>,
    scratch: &Scratch,
) -> Result<Measured, Failure> {
    let compiled = scratch.path().join("compiled");
    let quiet = MemoryLog::default();
    let cold = subject::runtime(compiled.clone(), None)?;
    let began = Instant::now();
    subject.load(&cold, &quiet).await?;
    let compile = began.elapsed();
    // Large plugins get better code in the background, which takes a processor: it is waited for.
    let mut better_code = None;
    while !background_processes().is_empty() && began.elapsed() < BACKGROUND {
        tokio::time::sleep(Duration::from_millis(20)).await;
        better_code = Some(began.elapsed());
    }
    drop(cold);
    let floor = floor()?;
    let runtime = subject::runtime(compiled.clone(), None)?;
    floor.load(&runtime, &quiet).await?;
    drop(runtime);

    let runtime = subject::runtime(compiled.clone(), None)?;
    let began = Instant::now();
    let floor_plugin = floor.load(&runtime, &quiet).await?;
    let floor_load = began.elapsed();
    let began = Instant::now();
    let plugin = subject.load(&runtime, &quiet).await?;
    let load = began.elapsed();

    let floor_step = || Ok(floor_call(scratch.path()));
    let floor_calls = call_often(&runtime, &floor_plugin, arguments.iterations, floor_step).await?;
    let calls = match case {
        Some(case) => {
            let copy = Subject {
                name: subject.name.clone(),
                bytes: subject.bytes.clone(),
                description: subject.description.clone(),
                is_built_in: subject.is_built_in,
                folder: subject.folder.clone(),
            };
            let bench = Bench { subject: copy, plugin, runtime, compiled };
            call_case(&bench, case, arguments.iterations).await?
        }
        None => by_hand(arguments, subject, &runtime, &plugin, scratch.path()).await?,
    };
    Ok(Measured { compile, better_code, load, calls, floor: floor_calls, floor_load })
}

fn floor() -> Result<Subject, Failure> {
    let description = oxide_runtime::describe(FLOOR)
        .map_err(|error| Failure::trouble("the smallest plugin is none").because(&error))?;
    let bytes = Cow::Borrowed(FLOOR);
    Ok(Subject { name: "floor".to_owned(), bytes, description, is_built_in: true, folder: None })
}

fn floor_call(workspace: &Path) -> StepCall {
    StepCall {
        plugin_name: "floor".to_owned(),
        inputs: None,
        grants: Grants::default(),
        limits: Limits::default(),
        run_info: RunInfo::default(),
        project: "bench".to_owned(),
        workspace: workspace.to_path_buf(),
        environment: Arc::new(crate::plugin_case::script::environment::ScriptedEnvironment::new(
            Default::default(),
            workspace.to_path_buf(),
            Default::default(),
        )),
        containers: Arc::new(oxide_runtime::containers::NoContainerEngine),
        responder: None,
        log: Arc::new(MemoryLog::default()),
        secrets: Placeholders::default(),
        masker: Arc::default(),
    }
}

/// Calls with what the command line gives, each in the same workspace of the measurement.
async fn by_hand(
    arguments: &Arguments,
    subject: &Subject,
    runtime: &Runtime,
    plugin: &Plugin,
    scratch: &Path,
) -> Result<Calls, Failure> {
    let workspace = scratch.join("workspace");
    std::fs::create_dir_all(&workspace)
        .map_err(|error| Failure::trouble("could not make a workspace to measure in").because(&error))?;
    let host = ByHand::begin(workspace.clone(), &scratch.join("by-hand"))
        .map_err(|error| Failure::trouble("could not make a home for the commands").because(&error))?;
    let step = || {
        let step = arguments.step.read(subject, &workspace)?;
        Ok(StepCall {
            plugin_name: subject.name.clone(),
            inputs: step.inputs,
            grants: step.grants,
            limits: step.limits,
            run_info: RunInfo { run: "bench".to_owned(), trigger: "manual".to_owned(), ..RunInfo::default() },
            project: "bench".to_owned(),
            workspace: workspace.clone(),
            environment: host.environment(),
            containers: ByHand::containers(),
            responder: None,
            log: Arc::new(MemoryLog::default()),
            secrets: step.secrets,
            masker: step.masker,
        })
    };
    let calls = call_often(runtime, plugin, arguments.iterations, step).await;
    host.end().await;
    calls
}

async fn call_often(
    runtime: &Runtime,
    plugin: &Plugin,
    iterations: u32,
    step: impl Fn() -> Result<StepCall, Failure>,
) -> Result<Calls, Failure> {
    let mut calls = Calls { times: Vec::new(), usage: Usage::default() };
    for number in 0..WARM_UP + iterations {
        let call = step()?;
        let began = Instant::now();
        let result = runtime.call(plugin, call).await;
        let time = began.elapsed();
        if let Err(failure) = result.outcome {
            let failed = Failure::unusable(format!("the plugin failed, so nothing was measured: {}", failure.message));
            let hint = "give it what it needs: `--with NAME=VALUE`, `--grant NAME`, or a case with `--case NAME`";
            return Err(failed.hint(failure.hint.unwrap_or_else(|| hint.to_owned())));
        }
        if number >= WARM_UP {
            calls.add(time, result.usage);
        }
    }
    Ok(calls.sorted())
}

async fn call_case(bench: &Bench, case: &Case, iterations: u32) -> Result<Calls, Failure> {
    let refused = |refused: Refused| match refused {
        Refused::Case(diagnostics) => {
            let file = case.folder.join("case.yaml").display().to_string();
            Failure::invalid_pipeline(diagnostics.sorted().render(&file, &case.source, Terminal::stderr().colour))
        }
        Refused::Trouble(text) => Failure::trouble(text),
    };
    let mut calls = Calls { times: Vec::new(), usage: Usage::default() };
    for number in 0..WARM_UP + iterations {
        let (prepared, call) = perform::prepare(bench, case).await.map_err(refused)?;
        let (runtime, plugin) = prepared.callee(bench);
        let began = Instant::now();
        let result = runtime.call(plugin, call).await;
        let time = began.elapsed();
        let expects_failure = case.expect.as_ref().is_some_and(|expect| expect.failure.is_some());
        if let (Err(failure), false) = (&result.outcome, expects_failure) {
            let text = format!("the plugin failed, so nothing was measured: {}", failure.message);
            let hint = format!("`oxide plugin test --filter {}` shows what differs", case.name);
            return Err(Failure::unusable(text).hint(hint));
        }
        if number >= WARM_UP {
            calls.add(time, result.usage);
        }
    }
    Ok(calls.sorted())
}

impl Calls {
    fn add(&mut self, time: Duration, usage: Usage) {
        self.times.push(time);
        self.usage.fuel = self.usage.fuel.max(usage.fuel);
        self.usage.memory_bytes = self.usage.memory_bytes.max(usage.memory_bytes);
    }

    fn sorted(mut self) -> Calls {
        self.times.sort();
        self
    }

    /// The time that so many of a hundred calls do not exceed.
    fn percentile(&self, hundredth: usize) -> Duration {
        let last = self.times.len().saturating_sub(1);
        let at = (self.times.len() * hundredth).div_ceil(100).saturating_sub(1).min(last);
        self.times.get(at).copied().unwrap_or_default()
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn as_json(subject: &Subject, measured: &Measured) -> Json {
    let calls = |calls: &Calls| {
        json!({
            "calls": calls.times.len(),
            "p50_us": micros(calls.percentile(50)),
            "p99_us": micros(calls.percentile(99)),
            "fuel": calls.usage.fuel,
            "memory_bytes": calls.usage.memory_bytes,
        })
    };
    json!({
        "plugin": subject.name,
        "digest": subject.description.digest,
        "size_bytes": subject.description.size_bytes,
        "compile_us": micros(measured.compile),
        "better_code_after_us": measured.better_code.map(micros),
        "load_us": micros(measured.load),
        "call": calls(&measured.calls),
        "floor": { "load_us": micros(measured.floor_load), "call": calls(&measured.floor) },
    })
}

fn as_text(subject: &Subject, measured: &Measured, paint: Paint) -> String {
    let time = |duration: Duration| quantity::measured_us(micros(duration));
    let mut text = format!(
        "{} {}\n\n",
        paint.bold(&subject.name),
        paint.dim(&format!("({})", quantity::bytes(subject.description.size_bytes)))
    );
    let mut row = |name: &str, value: String, floor: String| {
        let line = format!("{name:<26}{value:>12}{floor:>12}");
        text.push_str(line.trim_end());
        text.push('\n');
    };
    row("", "plugin".to_owned(), "floor".to_owned());
    let compile = if subject.is_built_in { "compile in this process" } else { "compile (first use)" };
    row(compile, time(measured.compile), String::new());
    if let Some(after) = measured.better_code {
        row("better code ready after", time(after), String::new());
    }
    let (calls, floor) = (&measured.calls, &measured.floor);
    row("load from the cache", time(measured.load), time(measured.floor_load));
    row("warm call, p50", time(calls.percentile(50)), time(floor.percentile(50)));
    row("warm call, p99", time(calls.percentile(99)), time(floor.percentile(99)));
    row("fuel", quantity::count(calls.usage.fuel), quantity::count(floor.usage.fuel));
    row("memory", quantity::bytes(calls.usage.memory_bytes), quantity::bytes(floor.usage.memory_bytes));
    let count = quantity::how_many(calls.times.len() as u64, "call");
    text.push_str(&paint.dim(&format!(
        "\n{count} after {WARM_UP} to warm up; floor: a plugin that does nothing, measured in the same run\n"
    )));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_floor_is_what_its_text_says_and_a_plugin() {
        assert_eq!(wat::parse_str(include_str!("bench/floor.wat")).unwrap(), FLOOR);
        let floor = floor().unwrap();
        assert!(floor.description.imports.iter().all(|import| import.capability.is_none()));
    }

    #[test]
    fn a_percentile_is_a_time_that_was_measured() {
        let times =
            |count: u64| Calls { times: (1..=count).map(Duration::from_secs).collect(), usage: Usage::default() };
        let seconds = |calls: Calls, hundredth| calls.percentile(hundredth).as_secs();
        assert_eq!((seconds(times(100), 50), seconds(times(100), 99)), (50, 99));
        assert_eq!((seconds(times(1), 50), seconds(times(1), 99)), (1, 1));
        assert_eq!((seconds(times(3), 50), seconds(times(3), 99)), (2, 3));
        assert_eq!(seconds(times(0), 50), 0);
    }
}
