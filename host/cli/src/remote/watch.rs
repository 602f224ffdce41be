//! Shows the log of a run of a server while it goes.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufWriter, IsTerminal as _, Write, stdout},
    time::Duration,
};

use oxide_client::{Client, LogPart, LogStream};
use oxide_core::{
    api::{
        log::{LogEnd, LogLine, LogLines, LogQuery},
        run::{Attempt, Job, RunDetails, Stage, Step},
    },
    id::{JobIndex, RunId, StepIndex},
    outcome::{Failure as StepFailure, FailureCause},
};

use super::{refused, waiting::Waiting};
use crate::{
    failure::Failure,
    progress::{LogText, remarks},
    terminal::{Paint, Terminal, on_one_line, without_controls},
};

/// How many lines are asked for at once.
const PAGE: u32 = 5_000;
/// When no line comes for so long at the beginning, the run is asked what it waits for.
const FIRST_SILENCE: Duration = Duration::from_millis(500);
/// The same after a line, and between two questions while it waits.
const SILENCE: Duration = Duration::from_secs(3);
/// The longest pause between two questions while it does not wait: most likely a step has nothing to say.
const LONGEST_SILENCE: Duration = Duration::from_secs(30);
/// How long lines that have come wait for what is told before them.
const ASIDE: Duration = Duration::from_secs(2);

/// How much is told of what steps left beside their logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Failures and the first annotations.
    Short,
    /// Failures, annotations and summaries.
    Whole,
}

/// How lines are shown.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// Only the lines themselves.
    pub plain: bool,
    /// Put the time before each line.
    pub times: bool,
}

/// Prints the log from line 1 on until the run (or the part that the query names) has ended, and then what its steps
/// left beside it: summaries, annotations, failures. An attempt whose agent was lost is told before the next one's lines.
/// What it waits for meanwhile is said on the standard error.
pub async fn watch(client: &Client, run: RunId, query: &LogQuery, style: Style) -> Result<Option<LogEnd>, Failure> {
    let mut shown = Shown::new(style, Names::of(&details(client, run).await?));
    let mut stream = client.follow_logs(run, query);
    let mut silence = Silence { client, run, pause: FIRST_SILENCE, waiting: Waiting::default() };
    let end = loop {
        match silence.until_next(&mut stream).await? {
            Some(LogPart::Lines(lines)) => {
                let attempt = (lines.job, lines.attempt);
                // If the server is away just now, it is told at the end: the lines do not wait for it.
                if shown.is_another(attempt)
                    && let Ok(Ok(now)) = tokio::time::timeout(ASIDE, client.run(run)).await
                {
                    let told = shown.earlier(&now, attempt, query, &mut stdout().lock());
                    told.map_err(|error| Failure::unwritable(&error))?;
                }
                shown.lines(&lines).map_err(|error| Failure::unwritable(&error))?;
            }
            Some(LogPart::End(end)) => break Some(end),
            None => break None,
        }
    };
    if !style.plain {
        let now = details(client, run).await?;
        let told = shown.remarks(&now, query, Extent::Whole, &mut stdout().lock());
        told.map_err(|error| Failure::unwritable(&error))?;
    }
    Ok(end)
}

/// Prints what the steps of a run left beside their logs.
pub async fn tell(client: &Client, run: RunId, extent: Extent) -> Result<(), Failure> {
    let now = details(client, run).await?;
    let mut shown = Shown::new(Style { plain: false, times: false }, Names::of(&now));
    let told = shown.remarks(&now, &LogQuery::default(), extent, &mut stdout().lock());
    told.map_err(|error| Failure::unwritable(&error))
}

/// Prints the log as it is now, from line 1 on, and what the steps left beside it.
pub async fn show(client: &Client, run: RunId, query: &LogQuery, style: Style) -> Result<(), Failure> {
    let now = details(client, run).await?;
    let mut shown = Shown::new(style, Names::of(&now));
    let mut query = LogQuery { limit: Some(PAGE), ..query.clone() };
    loop {
        let page = client.logs(run, &query).await.map_err(|error| refused(&error))?;
        for line in &page.items {
            let attempt = (line.job, line.attempt);
            if shown.is_another(attempt) {
                let told = shown.earlier(&now, attempt, &query, &mut stdout().lock());
                told.map_err(|error| Failure::unwritable(&error))?;
            }
            shown.line(line).map_err(|error| Failure::unwritable(&error))?;
        }
        match page.next_cursor {
            Some(cursor) => query.cursor = Some(cursor),
            None => break,
        }
    }
    if !style.plain {
        let told = shown.remarks(&now, &query, Extent::Whole, &mut stdout().lock());
        told.map_err(|error| Failure::unwritable(&error))?;
    }
    Ok(())
}

async fn details(client: &Client, run: RunId) -> Result<RunDetails, Failure> {
    client.run(run).await.map_err(|error| refused(&error))
}

/// Says what a run waits for when no lines come.
struct Silence<'a> {
    client: &'a Client,
    run: RunId,
    /// How long nothing must come before it is asked.
    pause: Duration,
    waiting: Waiting,
}

impl Silence<'_> {
    async fn until_next(&mut self, stream: &mut LogStream) -> Result<Option<LogPart>, Failure> {
        let next = stream.next();
        tokio::pin!(next);
        loop {
            let question = async {
                tokio::time::sleep(self.pause).await;
                self.ask().await;
            };
            tokio::select! {
                part = &mut next => {
                    self.pause = SILENCE;
                    return part.map_err(|error| refused(&error));
                }
                () = question => {}
            }
        }
    }

    /// Asks the run. A server that cannot be reached is the business of the stream.
    async fn ask(&mut self) {
        let asked = self.client.run(self.run).await;
        let waits = asked.is_ok_and(|run| self.waiting.tell(&run.about));
        self.pause = if waits { SILENCE } else { (self.pause * 2).min(LONGEST_SILENCE) };
    }
}

/// A step of an attempt of a job.
type StepKey = (JobIndex, u32, StepIndex);

/// How the jobs and steps of a run are called.
#[derive(Debug, Default)]
struct Names {
    jobs: BTreeMap<JobIndex, String>,
    steps: BTreeMap<StepKey, String>,
}

impl Names {
    fn of(run: &RunDetails) -> Names {
        let mut names = Names::default();
        for job in run.stages.iter().flat_map(|stage| &stage.jobs) {
            names.jobs.insert(job.job, job.name.clone());
            for attempt in &job.attempts {
                let steps = attempt.steps.iter();
                names.steps.extend(steps.map(|step| ((job.job, attempt.attempt, step.step), step.name.clone())));
            }
        }
        names
    }

    /// `job › step`. A job that is not known is called as its stage, which it is unless it has a matrix.
    fn heading(&self, key: StepKey, stage: &str, step: Option<&str>) -> String {
        let (job, attempt, index) = key;
        let job = self.jobs.get(&job).map_or(stage, String::as_str);
        let known = step.or_else(|| self.steps.get(&key).map(String::as_str));
        let step = known.map_or_else(|| format!("step {}", index.0 + 1), str::to_owned);
        let attempt = if attempt > 1 { format!(" (attempt {attempt})") } else { String::new() };
        without_controls(&format!("{job} › {step}{attempt}"))
    }
}

/// The attempts in the part of a run that the query names, in the order of the run.
fn attempts<'a>(run: &'a RunDetails, query: &LogQuery) -> Vec<(&'a Stage, &'a Job, &'a Attempt)> {
    let mut found = Vec::new();
    for stage in run.stages.iter().filter(|stage| is_wanted(query.stage.as_deref(), &[stage.name.as_str()])) {
        for job in stage.jobs.iter().filter(|job| query.job.is_none_or(|wanted| job.job.0 == wanted)) {
            let attempts = job.attempts.iter().filter(|it| query.attempt.is_none_or(|wanted| it.attempt == wanted));
            found.extend(attempts.map(|attempt| (stage, job, attempt)));
        }
    }
    found
}

/// The steps of an attempt that the query names, in their order.
fn steps<'a>(attempt: &'a Attempt, query: &LogQuery) -> Vec<&'a Step> {
    let names_it = |step: &&Step| {
        let position = step.step.to_string();
        let names = [step.id.as_deref().unwrap_or(&step.name), step.name.as_str(), position.as_str()];
        is_wanted(query.step.as_deref(), &names)
    };
    attempt.steps.iter().filter(names_it).collect()
}

/// How an attempt ended that cannot say it by the failure of a step: its agent was lost, or it was repeated without one.
fn ending(job: &Job, attempt: &Attempt, query: &LogQuery) -> Option<String> {
    let failures: Vec<&StepFailure> = steps(attempt, query).into_iter().filter_map(failure_of).collect();
    let lost = failures.iter().find(|failure| is_loss(failure));
    let is_repeated = job.attempts.iter().any(|other| other.attempt > attempt.attempt);
    let what = if lost.is_some() {
        "was lost"
    } else if failures.is_empty() && is_repeated && attempt.status.is_failure() && query.step.is_none() {
        "failed"
    } else {
        return None;
    };
    let said = attempt.reason.as_deref().or(lost.map(|failure| failure.message.as_str()));
    let reason = on_one_line(said.unwrap_or("nobody said why"));
    Some(format!("attempt {} of {} {what}: {reason}", attempt.attempt, without_controls(&job.name)))
}

fn failure_of(step: &Step) -> Option<&StepFailure> {
    step.record.as_ref()?.failure.as_ref()
}

fn is_loss(failure: &StepFailure) -> bool {
    failure.cause == FailureCause::AgentLost
}

fn is_wanted(wanted: Option<&str>, names: &[&str]) -> bool {
    wanted.is_none_or(|wanted| names.contains(&wanted))
}

/// What has been printed so far.
struct Shown {
    style: Style,
    paint: Paint,
    as_it_is: bool,
    names: Names,
    heading: Option<StepKey>,
    /// The attempts, beside first ones, of which lines were printed.
    begun: BTreeSet<(JobIndex, u32)>,
    /// The attempts of which it was told how they ended.
    told: BTreeSet<(JobIndex, u32)>,
}

impl Shown {
    fn new(style: Style, names: Names) -> Shown {
        let as_it_is = style.plain && !stdout().is_terminal();
        let paint = Paint { colour: Terminal::stdout().colour };
        let (begun, told) = (BTreeSet::new(), BTreeSet::new());
        Shown { style, paint, as_it_is, names, heading: None, begun, told }
    }

    fn lines(&mut self, lines: &LogLines) -> std::io::Result<()> {
        let mut out = BufWriter::new(stdout().lock());
        self.heading(&mut out, (lines.job, lines.attempt, lines.step), &lines.stage, Some(&lines.name))?;
        for line in &lines.lines {
            self.text().write_text(line.at, line.stream, line.text.as_bytes(), &mut out)?;
        }
        out.flush()
    }

    fn line(&mut self, line: &LogLine) -> std::io::Result<()> {
        let mut out = stdout().lock();
        self.heading(&mut out, (line.job, line.attempt, line.step), &line.stage, None)?;
        self.text().write_text(line.at, line.stream, line.text.as_bytes(), &mut out)
    }

    /// Does another attempt of a job begin with the next lines, before which it is told how those before it ended?
    fn is_another(&mut self, attempt: (JobIndex, u32)) -> bool {
        !self.style.plain && attempt.1 > 1 && self.begun.insert(attempt)
    }

    /// Says how the earlier attempts of a job ended.
    fn earlier(
        &mut self,
        run: &RunDetails,
        (job, number): (JobIndex, u32),
        query: &LogQuery,
        out: &mut dyn Write,
    ) -> std::io::Result<()> {
        for (_, of, attempt) in attempts(run, query) {
            if of.job == job && attempt.attempt < number {
                self.ending(of, attempt, query, out)?;
            }
        }
        Ok(())
    }

    /// Says how an attempt ended, unless its steps say it or it was said.
    fn ending(&mut self, job: &Job, attempt: &Attempt, query: &LogQuery, out: &mut dyn Write) -> std::io::Result<()> {
        match ending(job, attempt, query) {
            Some(line) if self.told.insert((job.job, attempt.attempt)) => {
                self.heading = None;
                writeln!(out, "{}", self.paint.yellow(&line))
            }
            _ => Ok(()),
        }
    }

    /// Says of each step what it left for people, and of one that failed why, and what to do: its log does not know, and it
    /// may have none. An attempt whose agent was lost is told by its number.
    fn remarks(
        &mut self,
        run: &RunDetails,
        query: &LogQuery,
        extent: Extent,
        out: &mut dyn Write,
    ) -> std::io::Result<()> {
        let whole = format!("oxide logs --remote {}", run.about.id);
        let others = (extent == Extent::Short).then_some(whole.as_str());
        for (stage, job, attempt) in attempts(run, query) {
            for step in steps(attempt, query) {
                let Some(mut record) = step.record.clone() else { continue };
                record.failure = record.failure.take().filter(|failure| !is_loss(failure));
                let lines = remarks::of_step(&record, "  ", others, self.paint);
                if lines.is_empty() {
                    continue;
                }
                self.heading(out, (job.job, attempt.attempt, step.step), &stage.name, Some(&step.name))?;
                for line in lines {
                    writeln!(out, "{line}")?;
                }
            }
            self.ending(job, attempt, query, out)?;
        }
        Ok(())
    }

    /// Says which step the lines that follow are of, if those before were of another one.
    fn heading(&mut self, out: &mut dyn Write, key: StepKey, stage: &str, step: Option<&str>) -> std::io::Result<()> {
        if self.style.plain || self.heading.replace(key) == Some(key) {
            return Ok(());
        }
        writeln!(out, "{}", self.paint.bold(&self.names.heading(key, stage, step)))
    }

    fn text(&self) -> LogText<'_> {
        let indent = if self.style.plain { "" } else { "  " };
        LogText { indent, paint: self.paint, times: self.style.times, as_it_is: self.as_it_is }
    }
}

#[cfg(test)]
mod tests {
    use oxide_core::{
        api::{
            plugin::PluginRef,
            run::{Run, RunGit},
        },
        effects::StepEffects,
        event::{Annotation, Severity, StepRecord},
        limit::{Limits, Usage},
        outcome::Status,
        time::Timestamp,
    };
    use serde_json::{Map, Value as Json};

    use super::*;

    const AT: Timestamp = Timestamp(0);

    fn step(index: u32, name: &str, failure: Option<StepFailure>) -> Step {
        let status = if failure.is_some() { Status::Failure } else { Status::Success };
        let record = StepRecord {
            status,
            reason: None,
            failure,
            try_number: 1,
            started_at: AT,
            ended_at: AT,
            usage: Usage::default(),
            limits: Limits::default(),
            effects: StepEffects::default(),
            outputs: Map::new(),
            annotations: Vec::new(),
            summary: String::new(),
        };
        Step {
            step: StepIndex(index),
            id: None,
            name: name.to_owned(),
            plugin: PluginRef { reference: "oxide/run@1".to_owned(), digest: String::new() },
            status,
            reason: None,
            started_at: Some(AT),
            ended_at: Some(AT),
            record: Some(Box::new(record)),
        }
    }

    fn job(index: u32, name: &str, steps: Vec<Step>) -> Job {
        let attempt = Attempt {
            attempt: 1,
            agent: None,
            status: Status::Failure,
            reason: None,
            queued_at: AT,
            started_at: Some(AT),
            ended_at: Some(AT),
            steps,
        };
        Job {
            job: JobIndex(index),
            name: name.to_owned(),
            matrix: Map::new(),
            runs_on: Vec::new(),
            status: Status::Failure,
            reason: None,
            ended_at: Some(AT),
            attempts: vec![attempt],
        }
    }

    /// A stage `test` of two cells; the second fails for want of a secret.
    fn run() -> RunDetails {
        let failure = StepFailure::new(FailureCause::Environment, "the secret `NOPE` is not set");
        let jobs = vec![
            job(0, "test (v=1)", vec![step(0, "echo", None)]),
            job(1, "test (v=2)", vec![step(0, "echo", None), step(1, "push", Some(failure.with_hint("set it")))]),
        ];
        let stage = Stage {
            name: "test".to_owned(),
            depends_on: Vec::new(),
            status: Status::Failure,
            reason: None,
            approval: None,
            started_at: Some(AT),
            ended_at: Some(AT),
            jobs,
        };
        let about = Run {
            id: RunId(uuid::Uuid::nil()),
            number: 1,
            project: None,
            pipeline: None,
            pipeline_name: "shop".to_owned(),
            pipeline_version: None,
            status: Status::Failure,
            reason: None,
            trigger: Json::Null,
            git: RunGit::default(),
            priority: 0,
            created_by: None,
            retry_of: None,
            created_at: AT,
            started_at: Some(AT),
            ended_at: Some(AT),
            duration_ms: Some(0),
        };
        RunDetails { about, stages: vec![stage] }
    }

    #[test]
    fn headings_name_the_cell_and_the_step() {
        let names = Names::of(&run());
        assert_eq!(names.heading((JobIndex(0), 1, StepIndex(0)), "test", None), "test (v=1) › echo");
        assert_eq!(names.heading((JobIndex(1), 2, StepIndex(0)), "test", Some("x")), "test (v=2) › x (attempt 2)");
        assert_eq!(names.heading((JobIndex(7), 1, StepIndex(1)), "test", None), "test › step 2");
    }

    fn shown(run: &RunDetails) -> Shown {
        let shown = Shown::new(Style { plain: false, times: false }, Names::of(run));
        Shown { paint: Paint { colour: false }, ..shown }
    }

    fn told(run: &RunDetails, query: &LogQuery, extent: Extent) -> String {
        let mut shown = shown(run);
        let mut out = Vec::new();
        shown.remarks(run, query, extent, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_failed_is_told_with_its_hint() {
        let told = |query: &LogQuery| told(&run(), query, Extent::Whole);
        let whole = "test (v=2) › push\n  the secret `NOPE` is not set\n  hint: set it\n";
        let step = |step: &str| LogQuery { step: Some(step.to_owned()), ..LogQuery::default() };
        assert_eq!(told(&LogQuery::default()), whole);
        assert_eq!(told(&step("push")), whole);
        assert_eq!(told(&step("1")), whole);
        assert_eq!(told(&step("echo")), "");
        assert_eq!(told(&LogQuery { stage: Some("other".to_owned()), ..LogQuery::default() }), "");
    }

    #[test]
    fn an_attempt_that_was_lost_is_named_once_before_the_next_one() {
        let restarted = "the agent was restarted";
        let lost = StepFailure::new(FailureCause::AgentLost, restarted);
        let mut build = job(0, "build", vec![step(0, "make", Some(lost))]);
        build.attempts[0].reason = Some(restarted.to_owned());
        let again = job(0, "build", vec![step(0, "make", None)]).attempts.remove(0);
        build.attempts.push(Attempt { attempt: 2, status: Status::Success, ..again });
        let mut run = run();
        run.stages[0].jobs = vec![build];
        let (query, line) = (LogQuery::default(), "attempt 1 of build was lost: the agent was restarted\n");
        assert_eq!(told(&run, &query, Extent::Whole), line);
        assert_eq!(told(&run, &LogQuery { attempt: Some(2), ..query.clone() }, Extent::Whole), "");

        let (mut shown, mut out) = (shown(&run), Vec::new());
        let second = (JobIndex(0), 2);
        assert!(!shown.is_another((JobIndex(0), 1)) && shown.is_another(second) && !shown.is_another(second));
        shown.earlier(&run, second, &query, &mut out).unwrap();
        shown.remarks(&run, &query, Extent::Whole, &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), line);
    }

    #[test]
    fn an_attempt_that_failed_before_its_steps_is_told_if_there_is_another() {
        let mut build = job(0, "build", Vec::new());
        build.attempts[0].reason = Some("agent `a` was not heard of".to_owned());
        let mut run = run();
        run.stages[0].jobs = vec![build.clone()];
        assert_eq!(told(&run, &LogQuery::default(), Extent::Whole), "", "the run itself says it");
        let again = Attempt { attempt: 2, ..build.attempts[0].clone() };
        build.attempts.push(again);
        run.stages[0].jobs = vec![build];
        let line = "attempt 1 of build failed: agent `a` was not heard of\n";
        assert_eq!(told(&run, &LogQuery::default(), Extent::Short), line);
    }

    #[test]
    fn what_steps_left_for_people_is_told_in_short_or_as_a_whole() {
        let mut run = run();
        let record = run.stages[0].jobs[0].attempts[0].steps[0].record.as_mut().unwrap();
        let message = "is wrong".to_owned();
        let annotation =
            Annotation { file: Some("a.rs".to_owned()), line: Some(3), severity: Severity::Error, message };
        record.annotations = vec![annotation; 22];
        record.summary = "### 1 failed\n".to_owned();
        let query = LogQuery { step: Some("echo".to_owned()), ..LogQuery::default() };
        let (heading, line) = ("test (v=1) › echo\n", "  a.rs:3 error: is wrong\n");
        let whole = format!("{heading}  ### 1 failed\n{}", line.repeat(22));
        assert_eq!(told(&run, &query, Extent::Whole), whole);
        let rest = format!("  and 2 more annotations: `oxide logs --remote {}` shows them\n", run.about.id);
        assert_eq!(told(&run, &query, Extent::Short), format!("{heading}{}{rest}", line.repeat(20)));
    }
}
