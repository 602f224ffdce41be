//! The audit log: who did what. It grows only; the database itself refuses to change it.

use oxide_core::{api::page::Page, id::ProjectId, time::Timestamp};
use serde_json::Value as Json;

use crate::{
    PageRequest, Store, StoreError, Transaction,
    list::List,
    row::{get, json, maybe_parse, number, time, to_json},
    sql::{Row, write_rows},
};

/// Something that was done.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditRecord {
    /// When.
    pub at: Timestamp,
    /// Who: `user:NAME`, `agent:ID`, or what the server calls itself.
    pub actor: String,
    /// What.
    pub action: String,
    /// To what.
    pub target: String,
    /// The project that it belongs to.
    pub project: Option<ProjectId>,
    /// From where.
    pub address: Option<String>,
    /// More about it. Never a secret.
    pub details: Json,
}

/// An entry of the log.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditRow {
    /// Its number; later entries have greater ones.
    pub seq: u64,
    /// What was done.
    pub record: AuditRecord,
}

/// Which entries are wanted.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    /// Only what belongs to these projects; none means everything.
    pub projects: Option<Vec<ProjectId>>,
    /// Only what this actor did.
    pub actor: Option<String>,
    /// Only this action.
    pub action: Option<String>,
    /// Only what was done to this.
    pub target: Option<String>,
    /// Only from this time on.
    pub from: Option<Timestamp>,
    /// Only what was done before this time.
    pub before: Option<Timestamp>,
}

fn read(row: &Row) -> Result<AuditRow, StoreError> {
    Ok(AuditRow {
        seq: number(row, "seq")?,
        record: AuditRecord {
            at: time(row, "at")?,
            actor: get(row, "actor")?,
            action: get(row, "action")?,
            target: get(row, "target")?,
            project: maybe_parse(row, "project")?,
            address: get(row, "address")?,
            details: json(row, "details")?,
        },
    })
}

impl Transaction {
    /// Adds entries to the audit log.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn append_audit(&mut self, records: &[AuditRecord]) -> Result<(), StoreError> {
        let sql = ("INSERT INTO audit (at, actor, action, target, project, address, details) ", "");
        write_rows(self.connection(), "write the audit log", sql, records, |values, record| {
            values
                .bind(record.at)
                .bind(&record.actor)
                .bind(&record.action)
                .bind(&record.target)
                .bind(record.project)
                .bind(&record.address)
                .bind(to_json(&record.details))
        })
        .await?;
        Ok(())
    }
}

impl Store {
    /// Entries of the audit log, newest first.
    ///
    /// # Errors
    /// The cursor is none, or the store cannot be read.
    pub async fn audit(&self, filter: &AuditFilter, request: &PageRequest) -> Result<Page<AuditRow>, StoreError> {
        let select = "SELECT seq, at, actor, action, target, project, address, details FROM audit";
        let rows = List::new("read the audit log", select)
            .one_of("project", filter.projects.as_deref())
            .maybe("actor = ?", filter.actor.as_deref())
            .maybe("action = ?", filter.action.as_deref())
            .maybe("target = ?", filter.target.as_deref())
            .maybe("at >= ?", filter.from)
            .maybe("at < ?", filter.before)
            .maybe("seq < ?", request.key::<i64>()?)
            .fetch(&mut self.reader().await?, "seq DESC", request)
            .await?;
        let entries = rows.iter().map(read).collect::<Result<_, _>>()?;
        Ok(request.page(entries, |last: &AuditRow| last.seq.to_string()))
    }
}
