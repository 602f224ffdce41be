//! Everybody who may come, each with a credential of its own for the whole story.

use std::time::Duration;

use oxide_core::{
    access::{Role, Scope},
    id::{AgentId, ProjectId, UserId},
};
use uuid::Uuid;

use crate::support::TestServer;

/// Somebody who comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comer {
    Nobody,
    Nonsense,
    Expired,
    Revoked,
    Disabled,
    Member(Role),
    /// A member of another project.
    Stranger,
    /// An admin of the project with a token that only reads.
    Reader,
    /// An admin of the project with a token for another project.
    Bound,
    /// An administrator with a token that is for the registry only.
    Puller,
    Administrator,
    Agent,
    Deregistered,
}

impl Comer {
    pub const ALL: [Comer; 16] = [
        Comer::Nobody,
        Comer::Nonsense,
        Comer::Expired,
        Comer::Revoked,
        Comer::Disabled,
        Comer::Member(Role::Viewer),
        Comer::Member(Role::Runner),
        Comer::Member(Role::Maintainer),
        Comer::Member(Role::Admin),
        Comer::Stranger,
        Comer::Reader,
        Comer::Bound,
        Comer::Puller,
        Comer::Administrator,
        Comer::Agent,
        Comer::Deregistered,
    ];

    /// The role in the project that the story is about.
    pub fn role(self) -> Option<Role> {
        match self {
            Comer::Member(role) => Some(role),
            Comer::Reader | Comer::Bound => Some(Role::Admin),
            _ => None,
        }
    }
}

/// A comer with what it shows.
#[derive(Clone, Debug)]
pub struct Guest {
    pub comer: Comer,
    pub credential: String,
    pub user: Option<UserId>,
    pub agent: Option<AgentId>,
}

/// All comers of a server.
pub async fn guests(server: &TestServer) -> Vec<Guest> {
    let other = server.project("other").await;
    // Its token expires before the others come.
    let expired = guest(server, Comer::Expired, other).await;
    server.pass(Duration::from_secs(25 * 60 * 60));
    let mut guests = vec![expired];
    for comer in Comer::ALL.into_iter().filter(|comer| *comer != Comer::Expired) {
        guests.push(guest(server, comer, other).await);
    }
    guests
}

async fn guest(server: &TestServer, comer: Comer, other: ProjectId) -> Guest {
    let name = format!("u{}", Uuid::now_v7().simple());
    let is_admin =
        matches!(comer, Comer::Puller | Comer::Administrator | Comer::Expired | Comer::Revoked | Comer::Disabled);
    match comer {
        Comer::Nobody => Guest { comer, credential: String::new(), user: None, agent: None },
        Comer::Nonsense => {
            let credential = "oxide_pat_0000000000000000000000000000000000000000000000000000000000000000".into();
            Guest { comer, credential, user: None, agent: None }
        }
        Comer::Agent | Comer::Deregistered => {
            let (credential, id) = server.agent(&name).await;
            if comer == Comer::Deregistered {
                let mut transaction = server.store.begin().await.unwrap();
                assert!(transaction.deregister_agent(id, server.now()).await.unwrap());
                transaction.commit().await.unwrap();
            }
            Guest { comer, credential, user: None, agent: Some(id) }
        }
        _ => {
            let user = server.user(&name, is_admin).await;
            let (scopes, project): (&[Scope], _) = match comer {
                Comer::Reader => (&[Scope::Read], None),
                Comer::Bound => (&Scope::ALL, Some(other)),
                Comer::Puller => (&[Scope::RegistryRead], None),
                _ => (&Scope::ALL, None),
            };
            let (credential, token) = server.token(user, scopes, project).await;
            let mut transaction = server.store.begin().await.unwrap();
            match comer {
                Comer::Stranger => transaction.put_member(other, user, Role::Admin).await.unwrap(),
                Comer::Revoked => assert!(transaction.revoke_token(token, server.now()).await.unwrap()),
                Comer::Disabled => {
                    let mut row = transaction.user(user).await.unwrap().unwrap();
                    row.disabled_at = Some(server.now());
                    transaction.update_user(&row).await.unwrap();
                }
                _ => {}
            }
            transaction.commit().await.unwrap();
            Guest { comer, credential, user: Some(user), agent: None }
        }
    }
}
