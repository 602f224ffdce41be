//! Which pipeline, run, approval or agent of a server a person means.

use oxide_client::Client;
use oxide_core::{
    api::{
        agent::Agent,
        approval::ApprovalQuery,
        page::PageQuery,
        pipeline::{Pipeline, PipelineQuery},
        run::{Run, RunQuery},
    },
    approval::ApprovalStatus,
    id::{ApprovalId, RunId},
};

use super::refused;
use crate::failure::Failure;

/// How many rows one page of a search has.
const PAGE: u32 = 200;
/// How many runs a search by number looks at.
const RUNS_MAX: usize = 20_000;
/// How many runs an error names that says which ones may be meant.
const CANDIDATES_MAX: usize = 5;

/// The pipeline of this name.
pub async fn pipeline(client: &Client, project: Option<&str>, name: &str) -> Result<Option<Pipeline>, Failure> {
    let query = PipelineQuery {
        limit: Some(PAGE),
        project: project.map(str::to_owned),
        name: Some(name.to_owned()),
        ..PipelineQuery::default()
    };
    let page = client.pipelines(&query).await.map_err(|error| refused(&error))?;
    let mut found: Vec<Pipeline> = page.items.into_iter().filter(|pipeline| pipeline.name == name).collect();
    match found.len() {
        0 | 1 => Ok(found.pop()),
        _ => Err(Failure::usage(format!("several projects have a pipeline `{name}`"))
            .hint("say which: `--project NAME`, or `oxide config set project NAME`")),
    }
}

/// The run that a person means: its id or the beginning of it, `PIPELINE#NUMBER`, a number, or `latest`.
///
/// # Errors
/// No run fits, several begin with the same id, several pipelines have a run of this number, or the server does not answer.
pub async fn run(client: &Client, project: Option<&str>, reference: &str) -> Result<RunId, Failure> {
    if let Ok(id) = reference.parse::<RunId>() {
        return Ok(id);
    }
    let wanted = Wanted::read(reference).ok_or_else(|| none_such(reference))?;
    let mut query = RunQuery {
        limit: Some(PAGE),
        project: project.map(str::to_owned),
        pipeline: wanted.pipeline().map(str::to_owned),
        ..RunQuery::default()
    };
    let mut seen = 0;
    let mut found = Vec::new();
    loop {
        let page = client.runs(&query).await.map_err(|error| refused(&error))?;
        seen += page.items.len();
        found.extend(page.items.into_iter().filter(|run| wanted.is(run)));
        if page.next_cursor.is_none() || seen >= RUNS_MAX || wanted.is_settled_by(&found) {
            return choose(reference, &wanted, &found);
        }
        query.cursor = page.next_cursor;
    }
}

/// The agent of this id or name.
pub async fn agent(client: &Client, reference: &str) -> Result<Agent, Failure> {
    let mut query = PageQuery { limit: Some(PAGE), cursor: None };
    let mut found = Vec::new();
    loop {
        let page = client.agents(&query).await.map_err(|error| refused(&error))?;
        let fits = |agent: &Agent| agent.name == reference || agent.id.to_string().starts_with(reference);
        found.extend(page.items.into_iter().filter(fits));
        match page.next_cursor {
            Some(cursor) => query.cursor = Some(cursor),
            None => break,
        }
    }
    match found.len() {
        0 => Err(Failure::usage(format!("there is no agent `{reference}`")).hint("`oxide agents list` lists them")),
        1 => Ok(found.remove(0)),
        _ => {
            let ids: Vec<String> = found.iter().map(|agent| format!("{} ({})", agent.id, agent.name)).collect();
            Err(Failure::usage(format!("`{reference}` may be any of: {}", ids.join(", "))).hint("write more of the id"))
        }
    }
}

/// The approval of this id; of one that waits, the beginning of it will do.
pub async fn approval(client: &Client, project: Option<&str>, reference: &str) -> Result<ApprovalId, Failure> {
    if let Ok(id) = reference.parse::<ApprovalId>() {
        return Ok(id);
    }
    let listed = "`oxide approvals list` lists those that wait";
    let Some(beginning) = beginning_of_id(reference) else {
        return Err(Failure::usage(format!(
            "`{reference}` is no id of an approval, nor the first 4 characters of one"
        ))
        .hint(listed));
    };
    let mut query = ApprovalQuery {
        limit: Some(PAGE),
        project: project.map(str::to_owned),
        status: Some(ApprovalStatus::Waiting),
        ..ApprovalQuery::default()
    };
    let mut found = Vec::new();
    loop {
        let page = client.approvals(&query).await.map_err(|error| refused(&error))?;
        found.extend(page.items.into_iter().filter(|approval| approval.id.to_string().starts_with(&beginning)));
        match page.next_cursor {
            Some(cursor) => query.cursor = Some(cursor),
            None => break,
        }
    }
    match found.as_slice() {
        [] => Err(Failure::usage(format!("no approval that waits begins with `{reference}`")).hint(listed)),
        [approval] => Ok(approval.id),
        _ => {
            let shown = found.iter().map(|it| format!("{} ({} › {})", it.id, it.pipeline_name, it.stage));
            let shown = shown.collect::<Vec<_>>().join(", ");
            Err(Failure::usage(format!("`{reference}` may be any of: {shown}")).hint("write more of the id"))
        }
    }
}

/// What can be the beginning of an id, as ids are written. One that is too short, or empty, is none.
fn beginning_of_id(reference: &str) -> Option<String> {
    let is_id = reference.len() >= 4 && reference.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
    is_id.then(|| reference.to_ascii_lowercase())
}

fn none_such(reference: &str) -> Failure {
    Failure::usage(format!("there is no run `{reference}` on the server")).hint("`oxide runs --remote` lists them")
}

/// The one run that is meant among those that fit, which are given newest first.
fn choose(reference: &str, wanted: &Wanted<'_>, found: &[Run]) -> Result<RunId, Failure> {
    let candidates = wanted.candidates(found);
    let first = match candidates.as_slice() {
        [] => return Err(none_such(reference)),
        [run] => return Ok(run.id),
        [first, ..] => *first,
    };
    let shown = candidates.iter().take(CANDIDATES_MAX).map(|run| wanted.shown(run)).collect::<Vec<_>>().join(", ");
    let more = if candidates.len() > CANDIDATES_MAX { ", …" } else { "" };
    let failure = Failure::usage(format!("`{reference}` may be any of: {shown}{more}"));
    Err(match wanted {
        Wanted::Id(_) => failure.hint("write more of the id"),
        _ => failure.hint(format!("write the name of the pipeline, too, such as `{}`", wanted.shown(first))),
    })
}

/// What a person wrote for a run.
#[derive(Debug, PartialEq)]
enum Wanted<'a> {
    Latest,
    Number { pipeline: Option<&'a str>, number: u64 },
    Id(String),
}

impl<'a> Wanted<'a> {
    fn read(reference: &'a str) -> Option<Wanted<'a>> {
        let (pipeline, number) = match reference.split_once('#') {
            Some((pipeline, number)) => (Some(pipeline).filter(|name| !name.is_empty()), number),
            None => (None, reference),
        };
        if reference == "latest" {
            return Some(Wanted::Latest);
        }
        if let (Ok(number), false) = (number.parse(), number.starts_with('0')) {
            return Some(Wanted::Number { pipeline, number });
        }
        beginning_of_id(reference).map(Wanted::Id)
    }

    fn pipeline(&self) -> Option<&str> {
        match self {
            Wanted::Number { pipeline, .. } => *pipeline,
            _ => None,
        }
    }

    fn is(&self, run: &Run) -> bool {
        match self {
            Wanted::Latest => true,
            Wanted::Number { pipeline, number } => {
                run.number == *number && pipeline.is_none_or(|name| name == run.pipeline_name)
            }
            Wanted::Id(beginning) => run.id.to_string().starts_with(beginning),
        }
    }

    /// Those that may be meant of the runs that fit, which are given newest first. `latest` and a number of a named pipeline
    /// mean the newest.
    fn candidates<'r>(&self, found: &'r [Run]) -> Vec<&'r Run> {
        let mut candidates: Vec<&'r Run> = Vec::new();
        for run in found {
            let is_another = match self {
                Wanted::Latest | Wanted::Number { pipeline: Some(_), .. } => candidates.is_empty(),
                Wanted::Number { pipeline: None, .. } => {
                    candidates.iter().all(|candidate| candidate.pipeline_name != run.pipeline_name)
                }
                Wanted::Id(_) => true,
            };
            if is_another {
                candidates.push(run);
            }
        }
        candidates
    }

    /// Can older runs change nothing any more?
    fn is_settled_by(&self, found: &[Run]) -> bool {
        let enough = match self {
            Wanted::Latest | Wanted::Number { pipeline: Some(_), .. } => 1,
            Wanted::Number { pipeline: None, .. } | Wanted::Id(_) => CANDIDATES_MAX + 1,
        };
        self.candidates(found).len() >= enough
    }

    /// How a candidate is named.
    fn shown(&self, run: &Run) -> String {
        let name = format!("{}#{}", run.pipeline_name, run.number);
        match self {
            Wanted::Id(_) => format!("{} ({name})", run.id),
            _ => name,
        }
    }
}

#[cfg(test)]
mod tests {
    use oxide_core::{api::run::RunGit, outcome::Status, time::Timestamp};
    use serde_json::Value as Json;

    use super::*;
    use crate::exit_code::Exit;

    const FIRST: &str = "01a20000-1111-7000-8000-000000000000";
    const SECOND: &str = "01a20000-2222-7000-8000-000000000000";
    const THIRD: &str = "01a20000-3333-7000-8000-000000000000";

    fn a_run(id: &str, pipeline: &str, number: u64) -> Run {
        Run {
            id: id.parse().unwrap(),
            number,
            project: None,
            pipeline: None,
            pipeline_name: pipeline.to_owned(),
            pipeline_version: None,
            status: Status::Success,
            reason: None,
            trigger: Json::Null,
            git: RunGit::default(),
            priority: 0,
            created_by: None,
            retry_of: None,
            created_at: Timestamp(0),
            started_at: None,
            ended_at: None,
            duration_ms: None,
        }
    }

    /// What is chosen of these runs: the id, or what is said instead.
    fn chosen(reference: &str, runs: &[Run]) -> String {
        let wanted = Wanted::read(reference).unwrap();
        let found: Vec<Run> = runs.iter().filter(|run| wanted.is(run)).cloned().collect();
        match choose(reference, &wanted, &found) {
            Ok(id) => id.to_string(),
            Err(failure) => {
                assert_eq!(failure.exit, Exit::Usage);
                failure.in_one_line()
            }
        }
    }

    #[test]
    fn a_beginning_that_several_ids_have_names_them() {
        let runs = [a_run(THIRD, "b", 1), a_run(SECOND, "a", 2), a_run(FIRST, "a", 1)];
        assert_eq!(
            chosen("01a2", &runs),
            format!("`01a2` may be any of: {THIRD} (b#1), {SECOND} (a#2), {FIRST} (a#1); write more of the id")
        );
        assert_eq!(chosen("01A20000-2", &runs), SECOND);
        assert!(chosen("01a3", &runs).starts_with("there is no run `01a3` on the server"));
        let many: Vec<Run> = (1..=7).map(|number| a_run(FIRST, "a", number)).collect();
        let told = chosen("01a2", &many);
        assert!(told.contains("(a#5), …; ") && !told.contains("a#6"), "{told}");
    }

    #[test]
    fn a_number_that_several_pipelines_have_names_them() {
        let runs = [a_run(THIRD, "b", 1), a_run(SECOND, "a", 2), a_run(FIRST, "a", 1)];
        let told = "may be any of: b#1, a#1; write the name of the pipeline, too, such as `b#1`";
        assert_eq!(chosen("1", &runs), format!("`1` {told}"));
        assert_eq!(chosen("#1", &runs), format!("`#1` {told}"));
        assert_eq!(chosen("2", &runs), SECOND);
        assert_eq!(chosen("a#1", &runs), FIRST);
        assert_eq!(chosen("latest", &runs), THIRD);
    }

    #[test]
    fn the_search_goes_on_while_older_runs_may_fit_too() {
        let newest = [a_run(THIRD, "b", 1)];
        let is_settled = |reference| Wanted::read(reference).unwrap().is_settled_by(&newest);
        assert!(is_settled("latest") && is_settled("b#1"));
        assert!(!is_settled("1") && !is_settled("01a2"));
    }

    #[test]
    fn a_run_is_named_in_several_ways() {
        assert_eq!(Wanted::read("latest"), Some(Wanted::Latest));
        assert_eq!(Wanted::read("12"), Some(Wanted::Number { pipeline: None, number: 12 }));
        assert_eq!(Wanted::read("#12"), Some(Wanted::Number { pipeline: None, number: 12 }));
        assert_eq!(Wanted::read("build#3"), Some(Wanted::Number { pipeline: Some("build"), number: 3 }));
        assert_eq!(Wanted::read("0192AB"), Some(Wanted::Id("0192ab".into())));
        assert_eq!(Wanted::read("abc"), None);
        assert_eq!(Wanted::read("nonsense"), None);
        assert_eq!((beginning_of_id("01920000").as_deref(), beginning_of_id("")), (Some("01920000"), None));
    }
}
