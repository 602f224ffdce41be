//! Who may do what: roles of users, and tokens that may do less than their user.
//!
//! A [`Role`] is held in one project; an admin of the organization is an admin of every project. [`Rights`] are what is
//! left of it for one request: a token narrows them by its [`Scope`]s, and to its project if it is bound to one.

use std::{collections::BTreeMap, fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::ProjectId;

/// What somebody may do in a project. Each role may do all that the ones before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// May look at pipelines, runs and logs.
    Viewer,
    /// May start, cancel and retry runs.
    Runner,
    /// May change pipelines and secrets, and decide approvals.
    Maintainer,
    /// May change the project itself and its members.
    Admin,
}

impl Role {
    /// All roles, from the least to the greatest.
    pub const ALL: [Role; 4] = [Role::Viewer, Role::Runner, Role::Maintainer, Role::Admin];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Runner => "runner",
            Role::Maintainer => "maintainer",
            Role::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that is no role or no scope.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no {kind} `{word}`; write one of {}", known.join(", "))]
pub struct UnknownWord {
    kind: &'static str,
    word: String,
    known: Vec<&'static str>,
}

impl FromStr for Role {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Role, UnknownWord> {
        let found = Role::ALL.into_iter().find(|role| role.as_str() == word);
        found.ok_or_else(|| UnknownWord {
            kind: "role",
            word: word.to_owned(),
            known: Role::ALL.map(Role::as_str).to_vec(),
        })
    }
}

/// What a token may be used for. Its user's roles are the bound: no scope adds to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Scope {
    /// All that a viewer may.
    #[serde(rename = "read")]
    Read,
    /// All that a runner may.
    #[serde(rename = "run")]
    Run,
    /// All that a maintainer may.
    #[serde(rename = "maintain")]
    Maintain,
    /// All that the user may.
    #[serde(rename = "admin")]
    Admin,
    /// Pull plugins from the registry of the server, and nothing else.
    #[serde(rename = "registry:read")]
    RegistryRead,
    /// Pull plugins from the registry of the server and push them, and nothing else.
    #[serde(rename = "registry:write")]
    RegistryWrite,
}

impl Scope {
    /// All scopes.
    pub const ALL: [Scope; 6] =
        [Scope::Read, Scope::Run, Scope::Maintain, Scope::Admin, Scope::RegistryRead, Scope::RegistryWrite];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Scope::Read => "read",
            Scope::Run => "run",
            Scope::Maintain => "maintain",
            Scope::Admin => "admin",
            Scope::RegistryRead => "registry:read",
            Scope::RegistryWrite => "registry:write",
        }
    }

    /// The greatest role that it leaves in an area; none if it has nothing to do with that area.
    fn ceiling(self, area: Area) -> Option<Role> {
        match (self, area) {
            (Scope::Read, _) | (Scope::RegistryRead, Area::Registry) => Some(Role::Viewer),
            (Scope::Run, _) => Some(Role::Runner),
            (Scope::Maintain, _) | (Scope::RegistryWrite, Area::Registry) => Some(Role::Maintainer),
            (Scope::Admin, _) => Some(Role::Admin),
            (Scope::RegistryRead | Scope::RegistryWrite, Area::Api) => None,
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Scope {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Scope, UnknownWord> {
        let found = Scope::ALL.into_iter().find(|scope| scope.as_str() == word);
        found.ok_or_else(|| UnknownWord {
            kind: "scope",
            word: word.to_owned(),
            known: Scope::ALL.map(Scope::as_str).to_vec(),
        })
    }
}

/// The part of the server that a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Area {
    /// The API: projects, pipelines, runs and all that belongs to them.
    Api,
    /// The plugin registry below `/v2/`.
    Registry,
}

/// How a token narrows its user's rights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenLimit {
    /// What it may be used for. A token without scopes may do nothing.
    pub scopes: Vec<Scope>,
    /// The only project that it may be used for.
    pub project: Option<ProjectId>,
}

impl TokenLimit {
    /// The greatest role that the token leaves in an area.
    fn ceiling(&self, area: Area) -> Option<Role> {
        self.scopes.iter().filter_map(|scope| scope.ceiling(area)).max()
    }

    fn admits(&self, project: Option<ProjectId>) -> bool {
        self.project.is_none() || self.project == project
    }
}

/// What the caller of a request may do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rights {
    /// The user is an admin of the organization.
    pub is_admin: bool,
    /// The user's roles.
    pub roles: BTreeMap<ProjectId, Role>,
    /// What the token takes away; nothing if the user has signed in.
    pub limit: Option<TokenLimit>,
}

/// Why something may not be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The caller may not even know that it is there.
    #[error("there is nothing here that you may see")]
    Hidden,
    /// The user's role does not reach.
    #[error("this needs the role {needed}, and you have the role {has}")]
    Role {
        /// The user's role.
        has: Role,
        /// What would be enough.
        needed: Role,
    },
    /// The user may, and the token's scopes say no.
    #[error("you may do this, but not with this token: it needs the role {needed}, which none of its scopes reaches")]
    Scope {
        /// What would be enough.
        needed: Role,
    },
    /// The user may, and the token is for one project only.
    #[error("you may do this, but not with this token: it is bound to one project")]
    Bound,
}

impl Denied {
    /// What to do about it.
    pub fn hint(self) -> String {
        match self {
            Denied::Hidden => "check the name, or ask an admin of the project to add you to it".into(),
            Denied::Role { needed, .. } => format!("ask an admin to give you the role {needed}"),
            Denied::Scope { needed } => {
                let scope = Scope::ALL.into_iter().find(|scope| scope.ceiling(Area::Api) == Some(needed));
                let scope = scope.map_or("admin", Scope::as_str);
                format!("make a token with the scope `{scope}`, or sign in")
            }
            Denied::Bound => "make a token that is not bound to a project, or sign in".into(),
        }
    }
}

impl Rights {
    /// The user's role in a project, whatever the token says.
    fn role_of_user(&self, project: ProjectId) -> Option<Role> {
        if self.is_admin { Some(Role::Admin) } else { self.roles.get(&project).copied() }
    }

    /// The role that the caller has in a project; none if the caller may not know of it.
    pub fn role(&self, area: Area, project: ProjectId) -> Option<Role> {
        let role = self.role_of_user(project)?;
        match &self.limit {
            None => Some(role),
            Some(limit) if limit.admits(Some(project)) => Some(role.min(limit.ceiling(area)?)),
            Some(_) => None,
        }
    }

    /// The role that the caller has for what belongs to no project, such as agents: whoever is known may look.
    pub fn organization_role(&self, area: Area) -> Option<Role> {
        let role = if self.is_admin { Role::Admin } else { Role::Viewer };
        match &self.limit {
            None => Some(role),
            Some(limit) if limit.admits(None) => Some(role.min(limit.ceiling(area)?)),
            Some(_) => None,
        }
    }

    /// May the caller do in this project what this role may?
    ///
    /// # Errors
    /// It says why not. [`Denied::Hidden`] tells nothing about the project, not even that it exists.
    pub fn check(&self, area: Area, project: ProjectId, needed: Role) -> Result<(), Denied> {
        let role = self.role_of_user(project).ok_or(Denied::Hidden)?;
        self.check_role(area, Some(project), role, needed)
    }

    /// May the caller do for the organization what this role may?
    ///
    /// # Errors
    /// It says why not.
    pub fn check_organization(&self, area: Area, needed: Role) -> Result<(), Denied> {
        let role = if self.is_admin { Role::Admin } else { Role::Viewer };
        self.check_role(area, None, role, needed)
    }

    /// Do the scopes of the token reach this role, whatever the role of the user is?
    ///
    /// # Errors
    /// [`Denied::Scope`] if not.
    pub fn check_scope(&self, area: Area, needed: Role) -> Result<(), Denied> {
        match &self.limit {
            Some(limit) if limit.ceiling(area) < Some(needed) => Err(Denied::Scope { needed }),
            _ => Ok(()),
        }
    }

    fn check_role(&self, area: Area, project: Option<ProjectId>, role: Role, needed: Role) -> Result<(), Denied> {
        match &self.limit {
            // A token for one project is to tell nothing about the others.
            Some(limit) if !limit.admits(project) && project.is_some() => Err(Denied::Hidden),
            _ if role < needed => Err(Denied::Role { has: role, needed }),
            Some(limit) if !limit.admits(project) => Err(Denied::Bound),
            _ => self.check_scope(area, needed),
        }
    }

    /// The projects that the caller may see in lists; none means all of them.
    pub fn visible_projects(&self, area: Area) -> Option<Vec<ProjectId>> {
        let limit = self.limit.as_ref();
        if limit.is_some_and(|limit| limit.ceiling(area).is_none()) {
            return Some(Vec::new());
        }
        match (self.is_admin, limit.and_then(|limit| limit.project)) {
            (true, None) => None,
            (true, Some(bound)) => Some(vec![bound]),
            (false, _) => Some(self.roles.keys().copied().filter(|id| self.role(area, *id).is_some()).collect()),
        }
    }
}

#[cfg(test)]
mod tests;
