//! Agents join with a token that works once, and are what their last heartbeat says.

use oxide_core::{
    event::AgentStatus,
    id::{AgentId, AgentTokenId},
    protocol::{AgentCapability, SystemMetrics},
    time::Timestamp,
};
use uuid::Uuid;

use super::databases::on_each_database;
use crate::{
    AgentRow, AgentTokenRow, Credential, CredentialHash, CredentialKind, Joining, OFFLINE_AFTER_MS, PageRequest, Store,
    WriteBatch,
};

fn agent(id: u128, name: &str) -> AgentRow {
    AgentRow {
        id: AgentId(Uuid::from_u128(id)),
        name: name.into(),
        labels: vec!["linux".into(), "arm64".into()],
        capabilities: vec![AgentCapability::Docker],
        slots: 2,
        version: "0.1.0".into(),
        registered_at: Timestamp(5),
        status: AgentStatus::Idle,
        last_heartbeat_at: None,
        metrics: None,
        draining: false,
        deregistered_at: None,
    }
}

async fn add_token(store: &Store, id: u128, expires_at: i64) -> CredentialHash {
    add_token_with(store, id, expires_at, None).await
}

async fn add_token_with(store: &Store, id: u128, expires_at: i64, labels: Option<&[&str]>) -> CredentialHash {
    let credential = Credential::generate(CredentialKind::Registration).unwrap();
    let row = AgentTokenRow {
        id: AgentTokenId(Uuid::from_u128(id)),
        name: "rack 1".into(),
        labels: labels.map(|labels| labels.iter().map(ToString::to_string).collect()),
        created_by: None,
        created_at: Timestamp(1),
        expires_at: Timestamp(expires_at),
        used_at: None,
        used_by: None,
    };
    let mut transaction = store.begin().await.unwrap();
    transaction.insert_agent_token(&row, &credential.hash()).await.unwrap();
    transaction.commit().await.unwrap();
    credential.hash()
}

async fn join(store: &Store, token: &CredentialHash, id: u128, now: i64) -> Joining {
    let mut transaction = store.begin().await.unwrap();
    let credential = CredentialHash::of(&format!("credential {id}"));
    let joining = transaction.join_agent(token, &agent(id, "box"), &credential, Timestamp(now)).await.unwrap();
    transaction.commit().await.unwrap();
    joining
}

async fn write(store: &Store, rows: impl IntoIterator<Item = AgentRow>) {
    let mut batch = WriteBatch::default();
    rows.into_iter().for_each(|row| batch.agent(row));
    let mut transaction = store.begin().await.unwrap();
    transaction.write(&batch).await.unwrap();
    transaction.commit().await.unwrap();
}

#[test]
fn how_an_agent_is_follows_from_its_last_heartbeat() {
    let heard = |at| AgentRow { last_heartbeat_at: Some(Timestamp(at)), ..agent(1, "box") };
    let end = OFFLINE_AFTER_MS as i64;
    assert_eq!(agent(1, "box").status_at(Timestamp(0)), AgentStatus::Offline);
    assert_eq!(heard(0).status_at(Timestamp(end - 1)), AgentStatus::Idle);
    assert_eq!(heard(0).status_at(Timestamp(end)), AgentStatus::Offline);
    assert_eq!(heard(50).status_at(Timestamp(0)), AgentStatus::Idle, "a clock that was set back");
    let busy = AgentRow { status: AgentStatus::Busy, ..heard(0) };
    assert_eq!(busy.status_at(Timestamp(1)), AgentStatus::Busy);
    assert_eq!(AgentRow { draining: true, ..busy.clone() }.status_at(Timestamp(1)), AgentStatus::Draining);
    assert_eq!(AgentRow { draining: true, ..busy.clone() }.status_at(Timestamp(end)), AgentStatus::Offline);
    let gone = AgentRow { deregistered_at: Some(Timestamp(1)), ..busy };
    assert_eq!(gone.status_at(Timestamp(1)), AgentStatus::Offline);
}

on_each_database! {
    async fn an_agent_joins_once_with_a_token(store: TestStore) {
        let token = add_token(&store, 1, 1000).await;
        assert_eq!(join(&store, &CredentialHash::of("oxide_reg_wrong"), 7, 10).await, Joining::Unknown);
        assert_eq!(join(&store, &token, 7, 1000).await, Joining::Expired);
        assert_eq!(join(&store, &token, 7, 10).await, Joining::Joined);
        assert_eq!(join(&store, &token, 8, 20).await, Joining::Used);
        let credential = CredentialHash::of("credential 7");
        assert_eq!(store.agent_by_credential(&credential).await.unwrap(), Some(agent(7, "box")));
        assert_eq!(store.agent(AgentId(Uuid::from_u128(8))).await.unwrap(), None);
        let tokens = store.agent_tokens(&PageRequest::first(5)).await.unwrap();
        let used = &tokens.items[0];
        assert_eq!((used.used_at, used.used_by), (Some(Timestamp(10)), Some(AgentId(Uuid::from_u128(7)))));
        let mut transaction = store.begin().await.unwrap();
        assert!(transaction.remove_agent_token(used.id).await.unwrap());
        assert!(!transaction.remove_agent_token(used.id).await.unwrap());
        transaction.commit().await.unwrap();
        add_token(&store, 2, 1000).await;
        let mut transaction = store.begin().await.unwrap();
        assert_eq!(transaction.prune_agent_tokens(Timestamp(1001)).await.unwrap(), 1);
    }

    async fn labels_of_a_token_are_those_of_the_agent(store: TestStore) {
        let (free, fixed) = (add_token(&store, 1, 1000).await, add_token_with(&store, 2, 1000, Some(&["big"])).await);
        join(&store, &free, 7, 10).await;
        join(&store, &fixed, 8, 10).await;
        let id = |id| AgentId(Uuid::from_u128(id));
        assert_eq!(store.fixed_labels(id(7)).await.unwrap(), None);
        assert_eq!(store.fixed_labels(id(9)).await.unwrap(), None);
        assert_eq!(store.fixed_labels(id(8)).await.unwrap(), Some(vec!["big".to_owned()]));
        assert_eq!(store.agent(id(8)).await.unwrap().unwrap().labels, ["big"]);
        assert_eq!(store.agent(id(7)).await.unwrap().unwrap().labels, agent(7, "box").labels);
    }

    async fn of_many_that_join_with_one_token_one_joins(store: TestStore) {
        let token = add_token(&store, 1, 1000).await;
        // Two servers on one store.
        let servers = [Store::clone(&store), store.opened_again().await];
        let racers: Vec<_> = (1..=12)
            .map(|id| {
                let (store, token) = (servers[id as usize % 2].clone(), token.clone());
                tokio::spawn(async move { join(&store, &token, id, 10).await })
            })
            .collect();
        let mut joined = 0;
        for racer in racers {
            match racer.await.unwrap() {
                Joining::Joined => joined += 1,
                other => assert_eq!(other, Joining::Used),
            }
        }
        assert_eq!((joined, store.agents().await.unwrap().len()), (1, 1));
    }

    async fn heartbeats_of_many_are_one_batch_and_leave_credentials(store: TestStore) {
        let token = add_token(&store, 1, 1000).await;
        join(&store, &token, 7, 10).await;
        let metrics = SystemMetrics { cpu_percent: 12.5, memory_used_bytes: 1 << 40, ..SystemMetrics::default() };
        let beating = |id: u128, at| AgentRow {
            last_heartbeat_at: Some(Timestamp(at)), metrics: Some(metrics), status: AgentStatus::Busy,
            ..agent(id, "box")
        };
        write(&store, (1..=200).map(|id| beating(id, 100))).await;
        write(&store, (1..=200).map(|id| beating(id, 200))).await;
        let found = store.agent_by_credential(&CredentialHash::of("credential 7")).await.unwrap();
        assert_eq!(found, Some(beating(7, 200)));
        assert_eq!(store.agents().await.unwrap().len(), 200);
        let mut request = Some(PageRequest::first(90));
        let mut ids = Vec::new();
        while let Some(now) = request {
            let page = store.list_agents(false, &now).await.unwrap();
            ids.extend(page.items.iter().map(|agent| agent.id.0.as_u128()));
            request = now.after(&page);
        }
        assert_eq!(ids, (1..=200).collect::<Vec<_>>(), "names are the same: then by id");
    }

    async fn agents_drain_and_go(store: TestStore) {
        write(&store, [agent(1, "one"), agent(2, "two")]).await;
        let (one, two) = (AgentId(Uuid::from_u128(1)), AgentId(Uuid::from_u128(2)));
        let mut transaction = store.begin().await.unwrap();
        assert!(transaction.drain_agent(one, true).await.unwrap());
        assert!(transaction.set_agent_credential(two, &CredentialHash::of("c")).await.unwrap());
        assert!(transaction.deregister_agent(two, Timestamp(9)).await.unwrap());
        assert!(!transaction.deregister_agent(two, Timestamp(10)).await.unwrap());
        assert!(!transaction.drain_agent(two, true).await.unwrap());
        assert!(transaction.agent(one).await.unwrap().unwrap().draining);
        transaction.commit().await.unwrap();
        let names = |rows: Vec<AgentRow>| rows.into_iter().map(|row| row.name).collect::<Vec<_>>();
        assert_eq!(names(store.agents().await.unwrap()), ["one"]);
        let request = PageRequest::first(9);
        assert_eq!(names(store.list_agents(false, &request).await.unwrap().items), ["one"]);
        assert_eq!(names(store.list_agents(true, &request).await.unwrap().items), ["one", "two"]);
        let gone = store.agent_by_credential(&CredentialHash::of("c")).await.unwrap().unwrap();
        assert_eq!(gone.deregistered_at, Some(Timestamp(9)), "it is told why it is refused");
    }
}
