//! Projects, users, their roles, tokens and sessions.

use std::collections::BTreeMap;

use oxide_core::{
    access::{Role, Scope},
    id::{ProjectId, SessionId, TokenId, UserId},
    time::Timestamp,
};
use uuid::Uuid;

use super::databases::on_each_database;
use crate::{
    Credential, CredentialHash, CredentialKind, EXCHANGE_GRACE_MS, IdentityRow, NewSession, PageRequest, ProjectRow,
    Renewal, SignInState, Store, StoreError, TokenRow, TokenState, UserRow, row::get, sql::query,
};

pub(super) fn project(id: u128, name: &str) -> ProjectRow {
    ProjectRow {
        id: ProjectId(Uuid::from_u128(id)),
        name: name.into(),
        description: None,
        repository: Some("https://example.com/a.git".into()),
        created_at: Timestamp(1),
    }
}

pub(super) fn user(id: u128, name: &str) -> UserRow {
    UserRow {
        id: UserId(Uuid::from_u128(id)),
        name: name.into(),
        email: Some(format!("{name}@example.com")),
        is_admin: false,
        created_at: Timestamp(1),
        disabled_at: None,
    }
}

pub(super) async fn add_project(store: &Store, id: u128, name: &str) -> ProjectId {
    let mut transaction = store.begin().await.unwrap();
    transaction.insert_project(&project(id, name)).await.unwrap();
    transaction.commit().await.unwrap();
    ProjectId(Uuid::from_u128(id))
}

pub(super) async fn add_user(store: &Store, id: u128, name: &str) -> UserId {
    let mut transaction = store.begin().await.unwrap();
    transaction.insert_user(&user(id, name)).await.unwrap();
    transaction.commit().await.unwrap();
    UserId(Uuid::from_u128(id))
}

fn token(id: u128, user: UserId) -> TokenRow {
    TokenRow {
        id: TokenId(Uuid::from_u128(id)),
        user,
        name: format!("token {id}"),
        prefix: "oxide_pat_123456".into(),
        scopes: vec![Scope::Run, Scope::RegistryWrite],
        project: None,
        made_by: None,
        created_at: Timestamp(10),
        expires_at: Some(Timestamp(1_000_000)),
        last_used_at: None,
        revoked_at: None,
    }
}

fn session(id: u128, at: i64) -> NewSession {
    NewSession {
        id: SessionId(Uuid::from_u128(id)),
        refresh_hash: CredentialHash::of(&format!("refresh {id}")),
        created_at: Timestamp(at),
        expires_at: Timestamp(at + 1_000_000),
    }
}

async fn renew(store: &Store, old: u128, new: NewSession) -> Renewal {
    let mut transaction = store.begin().await.unwrap();
    let renewal = transaction.renew_session(&CredentialHash::of(&format!("refresh {old}")), &new).await.unwrap();
    transaction.commit().await.unwrap();
    renewal
}

async fn is_ended(store: &Store, id: u128) -> bool {
    store.session(SessionId(Uuid::from_u128(id))).await.unwrap().unwrap().revoked_at.is_some()
}

on_each_database! {
    async fn projects_have_names_of_their_own_and_are_listed_by_them(store: TestStore) {
        for (id, name) in [(1, "web"), (2, "api"), (3, "Zoo"), (4, "ünicode")] {
            add_project(&store, id, name).await;
        }
        let mut transaction = store.begin().await.unwrap();
        let taken = transaction.insert_project(&project(5, "web")).await.unwrap_err();
        assert_eq!(taken.to_string(), "there is already a project `web`; choose another name");
        drop(transaction);
        let mut transaction = store.begin().await.unwrap();
        let renamed = ProjectRow { description: Some("d".into()), ..project(1, "api") };
        assert!(matches!(transaction.update_project(&renamed).await, Err(StoreError::Taken { .. })));
        drop(transaction);
        let renamed = ProjectRow { name: "site".into(), ..renamed };
        let mut transaction = store.begin().await.unwrap();
        assert!(transaction.update_project(&renamed).await.unwrap());
        assert!(!transaction.update_project(&project(9, "none")).await.unwrap());
        transaction.commit().await.unwrap();
        assert_eq!(store.project(renamed.id).await.unwrap().as_ref(), Some(&renamed));
        assert_eq!(store.project_by_name("site").await.unwrap(), Some(renamed));
        assert_eq!(store.project_by_name("web").await.unwrap(), None);

        let mut request = Some(PageRequest::first(3));
        let mut pages = Vec::new();
        while let Some(now) = request {
            let page = store.projects(None, &now).await.unwrap();
            pages.push(page.items.iter().map(|project| project.name.clone()).collect::<Vec<_>>());
            request = now.after(&page);
        }
        assert_eq!(pages, [vec!["Zoo", "api", "site"], vec!["ünicode"]], "the order of bytes in both databases");
        let bad = PageRequest { limit: 3, cursor: Some("site".into()) };
        assert!(matches!(store.projects(None, &bad).await, Err(StoreError::BadCursor { .. })));
        let ids = [2, 3, 77].map(|id| ProjectId(Uuid::from_u128(id)));
        assert_eq!(store.projects_by_id(&ids).await.unwrap().len(), 2);
        assert_eq!(store.projects_by_id(&[]).await.unwrap(), []);
    }

    async fn users_are_found_as_they_are_known(store: TestStore) {
        let ann = add_user(&store, 1, "ann").await;
        let ben = add_user(&store, 2, "ben").await;
        let identity = |subject: &str, user| IdentityRow {
            provider: "github".into(), subject: subject.into(), user, created_at: Timestamp(3),
        };
        let mut transaction = store.begin().await.unwrap();
        assert!(transaction.link_identity(&identity("42", ann)).await.unwrap());
        assert!(!transaction.link_identity(&identity("42", ben)).await.unwrap(), "it stays Ann's");
        assert_eq!(transaction.user_by_identity("github", "42").await.unwrap().unwrap().id, ann);
        assert_eq!(transaction.count_admins().await.unwrap(), 0);
        let admin = UserRow { is_admin: true, email: Some("Ben@Example.com".into()), ..user(2, "ben") };
        assert!(transaction.update_user(&admin).await.unwrap());
        transaction.commit().await.unwrap();
        assert_eq!(store.count_admins().await.unwrap(), 1);
        assert_eq!(store.identities(ann).await.unwrap(), [identity("42", ann)]);
        assert_eq!(store.user_by_identity("gitlab", "42").await.unwrap(), None);
        assert_eq!(store.users_by_email("BEN@example.COM").await.unwrap(), std::slice::from_ref(&admin));
        assert_eq!(store.users_by_email("nobody@example.com").await.unwrap(), []);
        assert_eq!(store.user_by_name("ben").await.unwrap(), Some(admin.clone()));
        let mut transaction = store.begin().await.unwrap();
        let disabled = UserRow { disabled_at: Some(Timestamp(9)), ..admin };
        transaction.update_user(&disabled).await.unwrap();
        assert!(transaction.unlink_identity("github", "42").await.unwrap());
        assert!(!transaction.unlink_identity("github", "42").await.unwrap());
        assert!(matches!(transaction.insert_user(&user(3, "ann")).await, Err(StoreError::Taken { kind: "user", .. })));
        drop(transaction);
        assert_eq!(store.count_admins().await.unwrap(), 1, "what failed was not committed");
        let names = store.users(&PageRequest::first(1)).await.unwrap();
        assert_eq!((names.items[0].name.as_str(), names.next_cursor.is_some()), ("ann", true));
    }

    async fn members_have_one_role_in_each_project(store: TestStore) {
        let (web, api) = (add_project(&store, 1, "web").await, add_project(&store, 2, "api").await);
        let (ann, ben) = (add_user(&store, 11, "ann").await, add_user(&store, 12, "ben").await);
        let mut transaction = store.begin().await.unwrap();
        for (project, user, role) in
            [(web, ann, Role::Viewer), (web, ben, Role::Admin), (api, ann, Role::Runner), (web, ann, Role::Maintainer)]
        {
            transaction.put_member(project, user, role).await.unwrap();
        }
        transaction.commit().await.unwrap();
        assert_eq!(store.roles(ann).await.unwrap(), BTreeMap::from([(web, Role::Maintainer), (api, Role::Runner)]));
        assert_eq!(store.role(web, ben).await.unwrap(), Some(Role::Admin));
        assert_eq!(store.role(api, ben).await.unwrap(), None);
        let first = store.members(web, &PageRequest::first(1)).await.unwrap();
        let second = store.members(web, &PageRequest::first(1).after(&first).unwrap()).await.unwrap();
        assert_eq!((first.items[0].user_name.as_str(), second.items[0].user_name.as_str()), ("ann", "ben"));
        assert_eq!(second.next_cursor, None);
        assert_eq!(store.projects(Some(ben), &PageRequest::first(9)).await.unwrap().items.len(), 1);
        let mut transaction = store.begin().await.unwrap();
        assert!(transaction.remove_member(web, ann).await.unwrap());
        assert!(!transaction.remove_member(web, ann).await.unwrap());
        assert!(transaction.remove_project(api).await.unwrap());
        assert!(!transaction.remove_project(api).await.unwrap());
        transaction.commit().await.unwrap();
        assert_eq!(store.roles(ann).await.unwrap(), BTreeMap::new());
    }

    async fn a_token_is_found_by_its_hash_and_used_once_a_minute(store: TestStore) {
        let (ann, web) = (add_user(&store, 1, "ann").await, add_project(&store, 5, "web").await);
        let credential = Credential::generate(CredentialKind::Api).unwrap();
        let mut transaction = store.begin().await.unwrap();
        transaction.insert_token(&token(1, ann), &credential.hash()).await.unwrap();
        let bound = TokenRow { project: Some(web), expires_at: None, ..token(2, ann) };
        transaction.insert_token(&bound, &CredentialHash::of("other")).await.unwrap();
        transaction.commit().await.unwrap();
        let (found, of) = store.token_by_hash(&CredentialHash::of(credential.expose())).await.unwrap().unwrap();
        assert_eq!((&found, &of), (&token(1, ann), &user(1, "ann")));
        assert_eq!(store.token_by_hash(&CredentialHash::of("wrong")).await.unwrap(), None);
        assert_eq!(found.state(Timestamp(999_999)), TokenState::Usable);
        assert_eq!(found.state(Timestamp(1_000_000)), TokenState::Expired);
        assert_eq!(bound.limit().project, Some(web));

        assert!(found.is_touch_due(Timestamp(100)));
        let mut transaction = store.begin().await.unwrap();
        for (at, is_written) in [(100, true), (60_099, false), (60_100, true), (200, false)] {
            assert_eq!(transaction.touch_token(found.id, Timestamp(at)).await.unwrap(), is_written, "{at}");
        }
        transaction.commit().await.unwrap();
        let touched = store.token(found.id).await.unwrap().unwrap();
        assert_eq!(touched.last_used_at, Some(Timestamp(60_100)));
        assert!(!touched.is_touch_due(Timestamp(120_000)) && touched.is_touch_due(Timestamp(120_100)));

        let newest = store.tokens(Some(ann), &PageRequest::first(1)).await.unwrap();
        assert_eq!((newest.items[0].id, newest.next_cursor.is_some()), (bound.id, true));
        let mut transaction = store.begin().await.unwrap();
        assert!(transaction.revoke_token(found.id, Timestamp(50)).await.unwrap());
        assert!(!transaction.revoke_token(found.id, Timestamp(60)).await.unwrap());
        assert_eq!(transaction.revoke_tokens_of(ann, Timestamp(70)).await.unwrap(), 1);
        transaction.commit().await.unwrap();
        let (found, _) = store.token_by_hash(&credential.hash()).await.unwrap().unwrap();
        assert_eq!((found.state(Timestamp(51)), found.revoked_at), (TokenState::Revoked, Some(Timestamp(50))));
    }

    async fn a_token_ends_with_the_one_that_made_it(store: TestStore) {
        let ann = add_user(&store, 1, "ann").await;
        let mut transaction = store.begin().await.unwrap();
        let id = |id| TokenId(Uuid::from_u128(id));
        for (number, made_by) in [(1, None), (2, Some(id(1))), (3, Some(id(2))), (4, None)] {
            let row = TokenRow { made_by, ..token(number, ann) };
            assert!(transaction.insert_token(&row, &CredentialHash::of(&number.to_string())).await.unwrap());
        }
        assert!(transaction.revoke_token(id(1), Timestamp(50)).await.unwrap());
        assert!(!transaction.revoke_token(id(1), Timestamp(60)).await.unwrap());
        let late = TokenRow { made_by: Some(id(3)), ..token(5, ann) };
        assert!(!transaction.insert_token(&late, &CredentialHash::of("5")).await.unwrap());
        transaction.commit().await.unwrap();
        let mut states = Vec::new();
        for number in 1..=4 {
            states.push(store.token(id(number)).await.unwrap().unwrap().revoked_at.is_some());
        }
        assert_eq!(states, [true, true, true, false]);
        assert_eq!(store.token(id(5)).await.unwrap(), None);
    }

    async fn a_token_that_is_made_while_its_own_is_revoked_ends_too(store: TestStore) {
        let ann = add_user(&store, 1, "ann").await;
        let id = |id| TokenId(Uuid::from_u128(id));
        let mut transaction = store.begin().await.unwrap();
        for (number, made_by) in [(1, None), (2, Some(id(1)))] {
            let row = TokenRow { made_by, ..token(number, ann) };
            assert!(transaction.insert_token(&row, &CredentialHash::of(&number.to_string())).await.unwrap());
        }
        transaction.commit().await.unwrap();
        let mut making = store.begin().await.unwrap();
        let child = TokenRow { made_by: Some(id(2)), ..token(3, ann) };
        assert!(making.insert_token(&child, &CredentialHash::of("3")).await.unwrap());
        let others: Store = (*store).clone();
        let revoking = tokio::spawn(async move {
            let mut transaction = others.begin().await.unwrap();
            assert!(transaction.revoke_token(id(1), Timestamp(50)).await.unwrap());
            transaction.commit().await.unwrap();
        });
        // SQLite lets nobody else begin.
        while store.is_postgres() {
            let text = "SELECT COUNT(*) AS waiting FROM pg_stat_activity \
                        WHERE datname = current_database() AND wait_event_type = 'Lock'";
            let row = query("count who waits", text).fetch_optional(&mut store.reader().await.unwrap()).await.unwrap();
            if get::<i64>(&row.unwrap(), "waiting").unwrap() > 0 {
                break;
            }
        }
        making.commit().await.unwrap();
        revoking.await.unwrap();
        for number in 1..=3 {
            assert!(store.token(id(number)).await.unwrap().unwrap().revoked_at.is_some(), "{number}");
        }
    }

    async fn a_refresh_token_works_once_and_a_stolen_one_ends_all(store: TestStore) {
        let ann = add_user(&store, 1, "ann").await;
        let mut transaction = store.begin().await.unwrap();
        transaction.insert_session(ann, &session(1, 0)).await.unwrap();
        transaction.insert_session(ann, &session(9, 0)).await.unwrap();
        transaction.commit().await.unwrap();
        assert_eq!(renew(&store, 1, session(2, 100)).await, Renewal::Renewed(ann));
        assert_eq!(renew(&store, 2, session(3, 200)).await, Renewal::Renewed(ann));
        assert_eq!(renew(&store, 2, session(4, 300)).await, Renewal::JustRenewed, "two windows of one browser");
        assert!(!is_ended(&store, 3).await);
        assert_eq!(renew(&store, 77, session(5, 300)).await, Renewal::Unknown);
        assert_eq!(renew(&store, 9, session(6, 1_000_001)).await, Renewal::Expired);
        let late = 300 + EXCHANGE_GRACE_MS as i64;
        assert_eq!(renew(&store, 1, session(7, late)).await, Renewal::Reused(ann));
        for (id, ended) in [(1, true), (2, true), (3, true), (9, false)] {
            assert_eq!(is_ended(&store, id).await, ended, "{id}");
        }
        assert_eq!(renew(&store, 3, session(8, late)).await, Renewal::Revoked);
        let mut transaction = store.begin().await.unwrap();
        assert_eq!(transaction.end_sessions_of(ann, Timestamp(late)).await.unwrap(), 1);
        assert_eq!(transaction.prune_sessions(Timestamp(1_000_150)).await.unwrap(), 3);
        transaction.commit().await.unwrap();
        assert_eq!(store.session_by_refresh(&CredentialHash::of("refresh 3")).await.unwrap().unwrap().user, ann);
    }

    async fn of_several_that_renew_at_the_same_time_one_does(store: TestStore) {
        let ann = add_user(&store, 1, "ann").await;
        let mut transaction = store.begin().await.unwrap();
        transaction.insert_session(ann, &session(1, 0)).await.unwrap();
        transaction.commit().await.unwrap();
        let racers: Vec<_> = (2..10)
            .map(|id| {
                let store = Store::clone(&store);
                tokio::spawn(async move { renew(&store, 1, session(id, 100)).await })
            })
            .collect();
        let mut renewed = 0;
        for racer in racers {
            match racer.await.unwrap() {
                Renewal::Renewed(_) => renewed += 1,
                other => assert_eq!(other, Renewal::JustRenewed),
            }
        }
        assert_eq!(renewed, 1);
    }

    async fn a_sign_in_ends_once_and_in_time(store: TestStore) {
        let begun = |state: &str| SignInState {
            state: state.into(), provider: "github".into(), verifier: "v3rifier".into(), redirect: "/".into(),
            expires_at: Timestamp(100),
        };
        let mut transaction = store.begin().await.unwrap();
        for state in ["a", "b", "c"] {
            transaction.begin_sign_in(&begun(state)).await.unwrap();
        }
        assert_eq!(transaction.take_sign_in("a", Timestamp(99)).await.unwrap(), Some(begun("a")));
        assert_eq!(transaction.take_sign_in("a", Timestamp(99)).await.unwrap(), None);
        assert_eq!(transaction.take_sign_in("b", Timestamp(100)).await.unwrap(), None);
        assert_eq!(transaction.prune_sign_ins(Timestamp(100)).await.unwrap(), 1);
        transaction.commit().await.unwrap();
        assert!(!format!("{:?}", begun("secret-state")).contains("secret-state"));
    }
}
