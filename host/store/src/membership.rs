//! Memberships: what users may do in which project.

use std::collections::BTreeMap;

use oxide_core::{
    access::Role,
    api::page::Page,
    id::{ProjectId, UserId},
};

use crate::{
    PageRequest, Store, StoreError, Transaction,
    list::{List, cursor_of},
    row::{get, parse},
    sql::{Row, query},
};

/// A member of a project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberRow {
    /// The project.
    pub project: ProjectId,
    /// The user.
    pub user: UserId,
    /// The name of the user.
    pub user_name: String,
    /// What the user may do there.
    pub role: Role,
}

fn read(row: &Row) -> Result<MemberRow, StoreError> {
    Ok(MemberRow {
        project: parse(row, "project")?,
        user: parse(row, "user_id")?,
        user_name: get(row, "user_name")?,
        role: parse(row, "role")?,
    })
}

impl Transaction {
    /// Makes a user a member of a project, or gives a member another role.
    ///
    /// # Errors
    /// The store cannot be written, or there is no such user or project.
    pub async fn put_member(&mut self, project: ProjectId, user: UserId, role: Role) -> Result<(), StoreError> {
        query(
            "write a member",
            "INSERT INTO memberships (project, user_id, role) VALUES ($1, $2, $3) \
             ON CONFLICT (project, user_id) DO UPDATE SET role = excluded.role",
        )
        .bind(project)
        .bind(user)
        .bind(role.as_str())
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Takes a user out of a project. `false` if the user was no member.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn remove_member(&mut self, project: ProjectId, user: UserId) -> Result<bool, StoreError> {
        let removed = query("remove a member", "DELETE FROM memberships WHERE project = $1 AND user_id = $2")
            .bind(project)
            .bind(user)
            .execute(self.connection())
            .await?;
        Ok(removed == 1)
    }
}

impl Store {
    /// The members of a project by name.
    ///
    /// # Errors
    /// The cursor is none, or the store cannot be read.
    pub async fn members(&self, project: ProjectId, request: &PageRequest) -> Result<Page<MemberRow>, StoreError> {
        let select = "SELECT memberships.project AS project, memberships.user_id AS user_id, \
                      memberships.role AS role, users.name AS user_name \
                      FROM memberships JOIN users ON users.id = memberships.user_id";
        let cursor = request.texts::<1>()?.map(|[name]| name);
        let rows = List::new("list the members of a project", select)
            .only("memberships.project = ?", project)
            .maybe("users.name > ?", cursor)
            .fetch(&mut self.reader().await?, "users.name", request)
            .await?;
        let members = rows.iter().map(read).collect::<Result<_, _>>()?;
        Ok(request.page(members, |last: &MemberRow| cursor_of(&[&last.user_name])))
    }

    /// What a user may do in which projects.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn roles(&self, user: UserId) -> Result<BTreeMap<ProjectId, Role>, StoreError> {
        let rows = query("read the roles of a user", "SELECT project, role FROM memberships WHERE user_id = $1")
            .bind(user)
            .fetch_all(&mut self.reader().await?)
            .await?;
        rows.iter().map(|row| Ok((parse(row, "project")?, parse(row, "role")?))).collect()
    }

    /// What a user may do in a project; none if the user is no member.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn role(&self, project: ProjectId, user: UserId) -> Result<Option<Role>, StoreError> {
        let text = "SELECT role FROM memberships WHERE project = $1 AND user_id = $2";
        let row = query("read the role of a user", text).bind(project).bind(user);
        row.fetch_optional(&mut self.reader().await?).await?.map(|row| parse(&row, "role")).transpose()
    }
}
