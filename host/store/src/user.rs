//! Users, and how those who sign people in know them.

use oxide_core::{api::page::Page, id::UserId, time::Timestamp};

use crate::{
    PageRequest, Store, StoreError, Transaction,
    list::{List, cursor_of},
    row::{get, maybe_time, number, parse, time},
    sql::{Connection, Row, query},
};

/// What is known of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserRow {
    /// The id.
    pub id: UserId,
    /// The name; no other user has it.
    pub name: String,
    /// The e-mail address, if it is known.
    pub email: Option<String>,
    /// May do everything everywhere.
    pub is_admin: bool,
    /// When the user was made.
    pub created_at: Timestamp,
    /// Since when the user may not sign in, and no token of the user works.
    pub disabled_at: Option<Timestamp>,
}

/// How a user is known to a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityRow {
    /// The name of the provider.
    pub provider: String,
    /// What the provider calls the user; it never changes.
    pub subject: String,
    /// The user.
    pub user: UserId,
    /// Since when it is known.
    pub created_at: Timestamp,
}

const SELECT: &str = "SELECT id, name, email, is_admin, created_at, disabled_at FROM users";

pub(crate) fn read(row: &Row) -> Result<UserRow, StoreError> {
    Ok(UserRow {
        id: parse(row, "id")?,
        name: get(row, "name")?,
        email: get(row, "email")?,
        is_admin: number::<i64>(row, "is_admin")? != 0,
        created_at: time(row, "created_at")?,
        disabled_at: maybe_time(row, "disabled_at")?,
    })
}

async fn find(connection: &mut Connection, condition: &str, values: &[&str]) -> Result<Option<UserRow>, StoreError> {
    let statement = query("read a user", format!("{SELECT} WHERE {condition}"));
    let statement = values.iter().fold(statement, |statement, value| statement.bind(*value));
    statement.fetch_optional(connection).await?.as_ref().map(read).transpose()
}

const BY_IDENTITY: &str = "id = (SELECT user_id FROM identities WHERE provider = $1 AND subject = $2)";

impl Transaction {
    /// Stores a new user.
    ///
    /// # Errors
    /// [`StoreError::Taken`] if another one has the name; or the store cannot be written.
    pub async fn insert_user(&mut self, user: &UserRow) -> Result<(), StoreError> {
        query(
            "write a user",
            "INSERT INTO users (id, name, email, is_admin, created_at, disabled_at) VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(user.id)
        .bind(&user.name)
        .bind(&user.email)
        .bind(user.is_admin)
        .bind(user.created_at)
        .bind(user.disabled_at)
        .execute(self.connection())
        .await
        .map_err(StoreError::taken("user", &user.name))?;
        Ok(())
    }

    /// Stores what is known of a user now. `false` if there is no such user.
    ///
    /// # Errors
    /// [`StoreError::Taken`] if another one has the name; or the store cannot be written.
    pub async fn update_user(&mut self, user: &UserRow) -> Result<bool, StoreError> {
        let changed = query(
            "write a user",
            "UPDATE users SET name = $1, email = $2, is_admin = $3, disabled_at = $4 WHERE id = $5",
        )
        .bind(&user.name)
        .bind(&user.email)
        .bind(user.is_admin)
        .bind(user.disabled_at)
        .bind(user.id)
        .execute(self.connection())
        .await
        .map_err(StoreError::taken("user", &user.name))?;
        Ok(changed == 1)
    }

    /// Makes a user known to a provider. `false` if the provider's user is known already, as this user or another one.
    ///
    /// # Errors
    /// The store cannot be written, or there is no such user.
    pub async fn link_identity(&mut self, identity: &IdentityRow) -> Result<bool, StoreError> {
        let written = query(
            "write an identity",
            "INSERT INTO identities (provider, subject, user_id, created_at) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (provider, subject) DO NOTHING",
        )
        .bind(&identity.provider)
        .bind(&identity.subject)
        .bind(identity.user)
        .bind(identity.created_at)
        .execute(self.connection())
        .await?;
        Ok(written == 1)
    }

    /// Makes a user unknown to a provider. `false` if it was not known.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn unlink_identity(&mut self, provider: &str, subject: &str) -> Result<bool, StoreError> {
        let removed = query("remove an identity", "DELETE FROM identities WHERE provider = $1 AND subject = $2")
            .bind(provider)
            .bind(subject)
            .execute(self.connection())
            .await?;
        Ok(removed == 1)
    }

    /// A user by its id.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn user(&mut self, id: UserId) -> Result<Option<UserRow>, StoreError> {
        find(self.connection(), "id = $1", &[&id.to_string()]).await
    }

    /// The user that a provider knows by this subject.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn user_by_identity(&mut self, provider: &str, subject: &str) -> Result<Option<UserRow>, StoreError> {
        find(self.connection(), BY_IDENTITY, &[provider, subject]).await
    }

    /// How many admins of the organization there are that may sign in.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn count_admins(&mut self) -> Result<u64, StoreError> {
        count_admins(self.connection()).await
    }
}

impl Store {
    /// A user by its id.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn user(&self, id: UserId) -> Result<Option<UserRow>, StoreError> {
        find(&mut self.reader().await?, "id = $1", &[&id.to_string()]).await
    }

    /// A user by its name.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn user_by_name(&self, name: &str) -> Result<Option<UserRow>, StoreError> {
        find(&mut self.reader().await?, "name = $1", &[name]).await
    }

    /// The user that a provider knows by this subject.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn user_by_identity(&self, provider: &str, subject: &str) -> Result<Option<UserRow>, StoreError> {
        find(&mut self.reader().await?, BY_IDENTITY, &[provider, subject]).await
    }

    /// The users with this e-mail address, whatever the case of its letters: two at most, for who has one of several is not
    /// told by it.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn users_by_email(&self, email: &str) -> Result<Vec<UserRow>, StoreError> {
        let rows = query("look for a user", format!("{SELECT} WHERE lower(email) = lower($1) ORDER BY id LIMIT 2"))
            .bind(email)
            .fetch_all(&mut self.reader().await?)
            .await?;
        rows.iter().map(read).collect()
    }

    /// Users by name.
    ///
    /// # Errors
    /// The cursor is none, or the store cannot be read.
    pub async fn users(&self, request: &PageRequest) -> Result<Page<UserRow>, StoreError> {
        let cursor = request.texts::<1>()?.map(|[name]| name);
        let rows = List::new("list users", SELECT)
            .maybe("name > ?", cursor)
            .fetch(&mut self.reader().await?, "name", request)
            .await?;
        let users = rows.iter().map(read).collect::<Result<_, _>>()?;
        Ok(request.page(users, |last: &UserRow| cursor_of(&[&last.name])))
    }

    /// How providers know a user.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn identities(&self, user: UserId) -> Result<Vec<IdentityRow>, StoreError> {
        let rows = query(
            "read the identities of a user",
            "SELECT provider, subject, user_id, created_at FROM identities WHERE user_id = $1 ORDER BY provider, subject",
        )
        .bind(user)
        .fetch_all(&mut self.reader().await?)
        .await?;
        let read = |row: &Row| {
            Ok(IdentityRow {
                provider: get(row, "provider")?,
                subject: get(row, "subject")?,
                user: parse(row, "user_id")?,
                created_at: time(row, "created_at")?,
            })
        };
        rows.iter().map(read).collect()
    }

    /// How many admins of the organization there are that may sign in.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn count_admins(&self) -> Result<u64, StoreError> {
        count_admins(&mut self.reader().await?).await
    }
}

async fn count_admins(connection: &mut Connection) -> Result<u64, StoreError> {
    let text = "SELECT COUNT(*) AS admins FROM users WHERE is_admin = 1 AND disabled_at IS NULL";
    number(&query("count the admins", text).fetch_one(connection).await?, "admins")
}
