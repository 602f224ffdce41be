//! Approvals, and what people answered. What the answers amount to is decided by [`oxide_core::approval`].

use std::collections::BTreeMap;

use oxide_core::{
    api::page::Page,
    approval::{ApprovalStatus, Approver, Vote},
    id::{ApprovalId, ProjectId, RunId, StageIndex, UserId},
    time::Timestamp,
};

use crate::{
    PageRequest, Store, StoreError, Transaction,
    list::List,
    row::{get, json, maybe_parse, maybe_time, number, parse, time, to_json, to_word, word},
    sql::{Connection, Row, query, write_rows},
};

/// What is known of an approval, but for its votes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApprovalRow {
    /// The id.
    pub id: ApprovalId,
    /// The run.
    pub run: RunId,
    /// The stage that waits.
    pub stage: StageIndex,
    /// Who may answer.
    pub approvers: Vec<Approver>,
    /// How many must agree.
    pub minimum: u32,
    /// How it stands.
    pub status: ApprovalStatus,
    /// When people were asked.
    pub created_at: Timestamp,
    /// Until when they may answer.
    pub expires_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

/// The answer of a user. Each user has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VoteRow {
    /// The approval.
    pub approval: ApprovalId,
    /// The user.
    pub user: UserId,
    /// What was said, with the name that the user had then.
    pub vote: Vote,
}

/// An approval with all that is shown of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApprovalDetails {
    /// The approval.
    pub approval: ApprovalRow,
    /// The project of its run.
    pub project: Option<ProjectId>,
    /// The name of the pipeline.
    pub pipeline_name: String,
    /// The name of the stage.
    pub stage_name: String,
    /// The answers, in the order in which they came.
    pub votes: Vec<VoteRow>,
}

/// What became of a vote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Voting {
    /// It is stored; these are all votes now, in the order in which they came.
    Stored(Vec<Vote>),
    /// The user has answered before; that answer stays.
    Before(Vote),
    /// The approval has ended.
    Ended(ApprovalStatus),
    /// There is no such approval.
    Missing,
}

/// Which approvals are wanted.
#[derive(Clone, Debug, Default)]
pub struct ApprovalFilter {
    /// Only those of these projects; none means all.
    pub projects: Option<Vec<ProjectId>>,
    /// Only those of this run.
    pub run: Option<RunId>,
    /// Only those that stand like this.
    pub status: Option<ApprovalStatus>,
}

const COLUMNS: &str = "approvals.id AS id, approvals.run AS run, approvals.stage AS stage, approvers, minimum, \
                       approvals.status AS status, approvals.created_at AS created_at, expires_at, \
                       approvals.ended_at AS ended_at";

fn read(row: &Row) -> Result<ApprovalRow, StoreError> {
    Ok(ApprovalRow {
        id: parse(row, "id")?,
        run: parse(row, "run")?,
        stage: StageIndex(number(row, "stage")?),
        approvers: json(row, "approvers")?,
        minimum: number(row, "minimum")?,
        status: word(row, "status")?,
        created_at: time(row, "created_at")?,
        expires_at: time(row, "expires_at")?,
        ended_at: maybe_time(row, "ended_at")?,
    })
}

fn read_vote(row: &Row) -> Result<VoteRow, StoreError> {
    Ok(VoteRow {
        approval: parse(row, "approval")?,
        user: parse(row, "user_id")?,
        vote: Vote {
            user: get(row, "user_name")?,
            decision: word(row, "decision")?,
            comment: get(row, "comment")?,
            at: time(row, "at")?,
        },
    })
}

/// Writes approvals as they are to be.
pub(crate) async fn write(connection: &mut Connection, approvals: &[&ApprovalRow]) -> Result<(), StoreError> {
    let sql = (
        "INSERT INTO approvals (id, run, stage, approvers, minimum, status, created_at, expires_at, ended_at) ",
        " ON CONFLICT (id) DO UPDATE SET status = excluded.status, ended_at = excluded.ended_at",
    );
    write_rows(connection, "write approvals", sql, approvals, |values, approval| {
        values
            .bind(approval.id)
            .bind(approval.run)
            .bind(approval.stage)
            .bind(to_json(&approval.approvers))
            .bind(approval.minimum)
            .bind(to_word(&approval.status))
            .bind(approval.created_at)
            .bind(approval.expires_at)
            .bind(approval.ended_at)
    })
    .await?;
    Ok(())
}

/// Writes votes. A user's first vote stays.
pub(crate) async fn write_votes(connection: &mut Connection, votes: &[&VoteRow]) -> Result<(), StoreError> {
    let sql = (
        "INSERT INTO approval_votes (approval, user_id, user_name, decision, comment, at) ",
        " ON CONFLICT (approval, user_id) DO NOTHING",
    );
    write_rows(connection, "write votes", sql, votes, |values, row| {
        values
            .bind(row.approval)
            .bind(row.user)
            .bind(&row.vote.user)
            .bind(to_word(&row.vote.decision))
            .bind(&row.vote.comment)
            .bind(row.vote.at)
    })
    .await?;
    Ok(())
}

async fn find(connection: &mut Connection, id: ApprovalId) -> Result<Option<ApprovalRow>, StoreError> {
    let row = query("read an approval", format!("SELECT {COLUMNS} FROM approvals WHERE approvals.id = $1")).bind(id);
    row.fetch_optional(connection).await?.as_ref().map(read).transpose()
}

/// The votes of these approvals, in the order in which they came.
async fn votes_of(
    connection: &mut Connection,
    ids: &[ApprovalId],
) -> Result<BTreeMap<ApprovalId, Vec<VoteRow>>, StoreError> {
    let mut votes = BTreeMap::<_, Vec<VoteRow>>::new();
    if ids.is_empty() {
        return Ok(votes);
    }
    let placeholders: Vec<String> = (1..=ids.len()).map(|place| format!("${place}")).collect();
    let text = format!(
        "SELECT approval, user_id, user_name, decision, comment, at FROM approval_votes WHERE approval IN ({}) \
         ORDER BY at, user_id",
        placeholders.join(", ")
    );
    let statement = ids.iter().fold(query("read the votes of approvals", text), |statement, id| statement.bind(*id));
    for row in &statement.fetch_all(connection).await? {
        let vote = read_vote(row)?;
        votes.entry(vote.approval).or_default().push(vote);
    }
    Ok(votes)
}

async fn open_approvals(connection: &mut Connection, run: Option<RunId>) -> Result<Vec<ApprovalRow>, StoreError> {
    let select = format!("SELECT {COLUMNS} FROM approvals WHERE approvals.ended_at IS NULL");
    let statement = match run {
        Some(run) => query("read open approvals", format!("{select} AND approvals.run = $1 ORDER BY id")).bind(run),
        None => query("read open approvals", format!("{select} ORDER BY id")),
    };
    statement.fetch_all(connection).await?.iter().map(read).collect()
}

impl Transaction {
    /// Stores the answer of a user: the first one of each user, and only while the approval waits.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn vote(&mut self, row: &VoteRow) -> Result<Voting, StoreError> {
        // A change that changes nothing: until this transaction ends nobody else votes or ends it.
        let text = "UPDATE approvals SET minimum = minimum WHERE id = $1";
        let held = query("read an approval", text).bind(row.approval).execute(self.connection()).await?;
        let Some(approval) = (if held == 0 { None } else { find(self.connection(), row.approval).await? }) else {
            return Ok(Voting::Missing);
        };
        if approval.ended_at.is_some() {
            return Ok(Voting::Ended(approval.status));
        }
        let votes = votes_of(self.connection(), &[row.approval]).await?.remove(&row.approval).unwrap_or_default();
        if let Some(before) = votes.iter().find(|vote| vote.user == row.user) {
            return Ok(Voting::Before(before.vote.clone()));
        }
        write_votes(self.connection(), &[row]).await?;
        Ok(Voting::Stored(votes.into_iter().map(|row| row.vote).chain([row.vote.clone()]).collect()))
    }

    /// Ends an approval. `false` if there is no such approval, or it has ended.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn end_approval(
        &mut self,
        id: ApprovalId,
        status: ApprovalStatus,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        let text = "UPDATE approvals SET status = $1, ended_at = $2 WHERE id = $3 AND ended_at IS NULL";
        let ended = query("end an approval", text).bind(to_word(&status)).bind(at).bind(id);
        Ok(ended.execute(self.connection()).await? == 1)
    }

    /// The approvals of a run that wait, or of all runs.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn open_approvals(&mut self, run: Option<RunId>) -> Result<Vec<ApprovalRow>, StoreError> {
        open_approvals(self.connection(), run).await
    }

    /// The answers to an approval, in the order in which they came.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn votes(&mut self, id: ApprovalId) -> Result<Vec<VoteRow>, StoreError> {
        Ok(votes_of(self.connection(), &[id]).await?.remove(&id).unwrap_or_default())
    }
}

impl Store {
    /// The approvals of a run that wait, or of all runs.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn open_approvals(&self, run: Option<RunId>) -> Result<Vec<ApprovalRow>, StoreError> {
        open_approvals(&mut self.reader().await?, run).await
    }

    /// The answers to an approval, in the order in which they came.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn votes(&self, id: ApprovalId) -> Result<Vec<VoteRow>, StoreError> {
        Ok(votes_of(&mut self.reader().await?, &[id]).await?.remove(&id).unwrap_or_default())
    }

    /// An approval by its id.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn approval(&self, id: ApprovalId) -> Result<Option<ApprovalDetails>, StoreError> {
        let mut connection = self.reader().await?;
        let row = query("read an approval", format!("{} WHERE approvals.id = $1", select_details())).bind(id);
        let Some(row) = row.fetch_optional(&mut connection).await? else { return Ok(None) };
        let mut votes = votes_of(&mut connection, &[id]).await?;
        read_details(&row, &mut votes).map(Some)
    }

    /// Approvals, newest first.
    ///
    /// # Errors
    /// The cursor is none, or the store cannot be read.
    pub async fn approvals(
        &self,
        filter: &ApprovalFilter,
        request: &PageRequest,
    ) -> Result<Page<ApprovalDetails>, StoreError> {
        let mut connection = self.reader().await?;
        let rows = List::new("list approvals", &select_details())
            .one_of("runs.project_id", filter.projects.as_deref())
            .maybe("approvals.run = ?", filter.run)
            .maybe("approvals.status = ?", filter.status.as_ref().map(to_word))
            .maybe("approvals.id < ?", request.key::<ApprovalId>()?)
            .fetch(&mut connection, "approvals.id DESC", request)
            .await?;
        let ids = rows.iter().map(|row| parse(row, "id")).collect::<Result<Vec<_>, _>>()?;
        let mut votes = votes_of(&mut connection, &ids).await?;
        let approvals = rows.iter().map(|row| read_details(row, &mut votes)).collect::<Result<_, _>>()?;
        Ok(request.page(approvals, |last: &ApprovalDetails| last.approval.id.to_string()))
    }
}

fn select_details() -> String {
    format!(
        "SELECT {COLUMNS}, runs.project_id AS project, runs.pipeline AS pipeline_name, stages.name AS stage_name \
         FROM approvals JOIN runs ON runs.id = approvals.run \
         JOIN stages ON stages.run = approvals.run AND stages.stage = approvals.stage"
    )
}

fn read_details(row: &Row, votes: &mut BTreeMap<ApprovalId, Vec<VoteRow>>) -> Result<ApprovalDetails, StoreError> {
    let approval = read(row)?;
    Ok(ApprovalDetails {
        project: maybe_parse(row, "project")?,
        pipeline_name: get(row, "pipeline_name")?,
        stage_name: get(row, "stage_name")?,
        votes: votes.remove(&approval.id).unwrap_or_default(),
        approval,
    })
}
