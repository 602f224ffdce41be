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
    loop {
        let page = client.runs(&query).await.map_err(|error| refused(&error))?;
        seen += page.items.len();
        if let Some(run) = page.items.iter().find(|run| wanted.is(run)) {
            return Ok(run.id);
        }
        if page.next_cursor.is_none() || seen >= RUNS_MAX {
            return Err(none_such(reference));
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
}

#[cfg(test)]
mod tests {
    use super::*;

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
