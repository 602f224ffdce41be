//! Who asks, and what it may do: put into every request by the route's guard.

use std::{
    net::IpAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::{extract::FromRequestParts, http::request::Parts};
use oxide_core::{
    access::{Area, Denied, Rights, Role},
    id::{AgentId, ProjectId, SessionId, TokenId, UserId},
};
use serde_json::Value as Json;

use crate::{authenticate::authenticate, credential::Shown, error::ApiError, state::ServerState};

/// Somebody who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// No credential was needed, and none was looked at.
    Nobody,
    /// A user.
    User {
        /// The id.
        id: UserId,
        /// The name.
        name: String,
        /// What the user showed.
        by: By,
    },
    /// An agent with its credential.
    Agent {
        /// The id.
        id: AgentId,
    },
}

/// What a user shows to be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum By {
    /// An API token.
    Token(TokenId),
    /// The access token of a session, as a bearer token.
    Session(SessionId),
    /// The same in a cookie: it is a browser.
    Cookie(SessionId),
}

/// The caller of a request. Handlers take it as an argument.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Who it is.
    pub who: Who,
    /// What it may do.
    pub rights: Rights,
    /// From where it asks.
    pub address: IpAddr,
    needed: Option<Role>,
    shown: Option<Arc<Shown>>,
    notes: Arc<Notes>,
}

/// Somebody who is known by what it shows.
#[derive(Clone, Debug)]
pub struct Known {
    /// Who it is.
    pub who: Who,
    /// What it may do.
    pub rights: Rights,
    /// What it has shown.
    pub shown: Shown,
}

/// What handlers leave for the guard.
#[derive(Debug, Default)]
struct Notes {
    is_checked: AtomicBool,
    project: Mutex<Option<ProjectId>>,
    details: Mutex<Option<Json>>,
}

impl Caller {
    /// Somebody of whom nothing is known.
    pub(crate) fn nobody(address: IpAddr) -> Caller {
        let rights = Rights::default();
        Caller { who: Who::Nobody, rights, address, needed: None, shown: None, notes: Arc::default() }
    }

    /// A caller who has shown this.
    pub(crate) fn known(known: Known, address: IpAddr) -> Caller {
        let Known { who, rights, shown } = known;
        Caller { who, rights, address, needed: None, shown: Some(Arc::new(shown)), notes: Arc::default() }
    }

    /// The same, of a route that needs this role in the project that the handler finds.
    pub(crate) fn needs(self, needed: Option<Role>) -> Caller {
        Caller { needed, ..self }
    }

    /// Looks again at what the caller has shown, and learns what it may do now.
    ///
    /// # Errors
    /// 401 if it is no longer right.
    pub(crate) async fn look_again(&mut self, state: &ServerState) -> Result<(), ApiError> {
        if let Some(shown) = &self.shown {
            (self.who, self.rights) = authenticate(state, shown).await?;
        }
        Ok(())
    }

    /// May the caller do in this project what the route is for? Each handler of a project's route asks before it answers.
    ///
    /// # Errors
    /// 404 if the caller may not know of the project, 403 if it may and its role or token does not reach.
    pub fn check(&self, project: ProjectId) -> Result<(), ApiError> {
        self.check_role(project, self.needed.unwrap_or(Role::Admin))
    }

    /// The same with another role than the one of the route.
    ///
    /// # Errors
    /// As [`Caller::check`].
    pub fn check_role(&self, project: ProjectId, role: Role) -> Result<(), ApiError> {
        self.notes.is_checked.store(true, Ordering::Relaxed);
        *self.notes.project.lock().expect("nobody panics here") = Some(project);
        Ok(self.rights.check(Area::Api, project, role)?)
    }

    /// May the caller do for what belongs to no project what this role may?
    ///
    /// # Errors
    /// 403 if not.
    pub fn check_organization(&self, role: Role) -> Result<(), ApiError> {
        self.notes.is_checked.store(true, Ordering::Relaxed);
        Ok(self.rights.check_organization(Area::Api, role)?)
    }

    /// Has the caller this role in some project?
    pub fn may_somewhere(&self, role: Role) -> bool {
        let rights = &self.rights;
        rights.check_organization(Area::Api, role).is_ok()
            || rights.roles.keys().any(|project| rights.check(Area::Api, *project, role).is_ok())
    }

    /// Does the caller know of this project, and which role has it there?
    pub fn role(&self, project: ProjectId) -> Option<Role> {
        self.rights.role(Area::Api, project)
    }

    /// The projects whose things the caller may see in lists; none means all. A handler that filters by them has checked.
    pub fn visible_projects(&self) -> Option<Vec<ProjectId>> {
        self.notes.is_checked.store(true, Ordering::Relaxed);
        self.rights.visible_projects(Area::Api)
    }

    /// The answer for something that does not exist: the same as for what the caller may not see.
    pub fn hidden(&self) -> ApiError {
        self.notes.is_checked.store(true, Ordering::Relaxed);
        Denied::Hidden.into()
    }

    /// The user who asks.
    ///
    /// # Errors
    /// 403 if it is an agent.
    pub fn user(&self) -> Result<UserId, ApiError> {
        match &self.who {
            Who::User { id, .. } => Ok(*id),
            _ => Err(ApiError::forbidden("only users may do this")),
        }
    }

    /// The token of this request, if it is one.
    pub fn token(&self) -> Option<TokenId> {
        match &self.who {
            Who::User { by: By::Token(id), .. } => Some(*id),
            _ => None,
        }
    }

    /// The agent that asks.
    ///
    /// # Errors
    /// 403 if it is a user.
    pub fn agent(&self) -> Result<AgentId, ApiError> {
        match &self.who {
            Who::Agent { id } => Ok(*id),
            _ => Err(ApiError::forbidden("only agents may do this")),
        }
    }

    /// Who it is, for the audit log and for `created_by`.
    pub fn actor(&self) -> String {
        match &self.who {
            Who::Nobody => "nobody".into(),
            Who::User { name, .. } => format!("user:{name}"),
            Who::Agent { id } => format!("agent:{id}"),
        }
    }

    /// Adds facts to what the audit log will say of this request. No secrets.
    pub fn note(&self, details: Json) {
        *self.notes.details.lock().expect("nobody panics here") = Some(details);
    }

    /// Says to which project the request belongs, if nothing was checked.
    pub fn note_project(&self, project: ProjectId) {
        *self.notes.project.lock().expect("nobody panics here") = Some(project);
    }

    pub(crate) fn is_checked(&self) -> bool {
        self.notes.is_checked.load(Ordering::Relaxed)
    }

    pub(crate) fn noted(&self) -> (Option<ProjectId>, Option<Json>) {
        let project = *self.notes.project.lock().expect("nobody panics here");
        (project, self.notes.details.lock().expect("nobody panics here").clone())
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Caller, ApiError> {
        let caller = parts.extensions.get::<Caller>().cloned();
        caller.ok_or_else(|| ApiError::internal("tell who asks", "the route is not in the table of routes"))
    }
}
