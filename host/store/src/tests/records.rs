//! What is kept of what was done: the audit log, webhooks, uses of plugins; and small values.

use std::collections::{BTreeMap, BTreeSet};

use oxide_core::{
    api::webhook::Forge,
    id::{DeliveryId, ProjectId},
    plugin::Capability,
    time::Timestamp,
};
use serde_json::json;
use uuid::Uuid;

use super::databases::on_each_database;
use crate::{
    AuditFilter, AuditRecord, DeliveryContent, DeliveryFilter, DeliveryRow, PageRequest, PluginUseRow, Store, row::get,
    sql::query,
};

const WEB: ProjectId = ProjectId(Uuid::from_u128(1));

fn record(at: i64, actor: &str, project: Option<ProjectId>) -> AuditRecord {
    AuditRecord {
        at: Timestamp(at),
        actor: actor.into(),
        action: if at % 2 == 0 { "create_project".into() } else { "revoke_token".into() },
        target: format!("/api/v1/things/{at}"),
        project,
        address: Some("192.0.2.7".into()),
        details: json!({ "at": at, "nested": ["a", null] }),
    }
}

on_each_database! {
    async fn the_audit_log_is_read_back_and_never_changed(store: TestStore) {
        let records: Vec<_> =
            (0..100).map(|at| record(at, if at < 50 { "user:ann" } else { "user:ben" }, (at < 10).then_some(WEB))).collect();
        let mut transaction = store.begin().await.unwrap();
        transaction.append_audit(&records).await.unwrap();
        transaction.commit().await.unwrap();
        let list = |filter: AuditFilter| {
            let store = Store::clone(&store);
            async move {
                let mut request = Some(PageRequest::first(30));
                let mut all = Vec::new();
                while let Some(now) = request {
                    let page = store.audit(&filter, &now).await.unwrap();
                    request = now.after(&page);
                    all.extend(page.items.into_iter().map(|row| row.record));
                }
                all
            }
        };
        let newest_first: Vec<_> = records.iter().rev().cloned().collect();
        assert_eq!(list(AuditFilter::default()).await, newest_first);
        let by_ann = AuditFilter { actor: Some("user:ann".into()), ..AuditFilter::default() };
        assert_eq!(list(by_ann).await, newest_first[50..]);
        let of_web = AuditFilter { projects: Some(vec![WEB]), ..AuditFilter::default() };
        assert_eq!(list(of_web).await.len(), 10);
        let some = AuditFilter {
            action: Some("revoke_token".into()), from: Some(Timestamp(10)), before: Some(Timestamp(21)),
            ..AuditFilter::default()
        };
        assert_eq!(list(some).await.len(), 5);
        let target = AuditFilter { target: Some("/api/v1/things/42".into()), ..AuditFilter::default() };
        assert_eq!(list(target).await, [records[42].clone()]);

        for text in ["UPDATE audit SET actor = 'nobody' WHERE seq = 1", "DELETE FROM audit WHERE seq = 1"] {
            let mut transaction = store.begin().await.unwrap();
            let refused = query("change the audit log", text).execute(transaction.connection()).await;
            let error = format!("{:?}", refused.unwrap_err());
            assert!(error.contains("entries of the audit log"), "{error}");
        }
        assert_eq!(list(AuditFilter::default()).await, newest_first);
    }

    async fn a_webhook_is_kept_and_delivered_once_more(store: TestStore) {
        let id = |id: u128| DeliveryId(Uuid::from_u128(id));
        let row = DeliveryRow {
            id: id(1),
            forge: Forge::Github,
            project: Some(WEB),
            event: "push".into(),
            forge_id: Some("guid-1".into()),
            signature_ok: true,
            received_at: Timestamp(10),
            result: None,
            redelivery_of: None,
            body_digest: Some("aa".into()),
        };
        let content = DeliveryContent {
            headers: BTreeMap::from([("x-github-event".into(), "push".into())]),
            body: b"{\"zero\":\"\0\xff\"}".to_vec(),
        };
        let bad = DeliveryRow { id: id(2), signature_ok: false, ..row.clone() };
        let mut transaction = store.begin().await.unwrap();
        transaction.insert_delivery(&row, &content).await.unwrap();
        transaction.insert_delivery(&bad, &content).await.unwrap();
        assert!(transaction.set_delivery_result(row.id, "no pipeline listens to it").await.unwrap());
        assert!(!transaction.set_delivery_result(id(9), "x").await.unwrap());
        assert_eq!(transaction.redeliver(id(9), id(8), Timestamp(50)).await.unwrap(), None);
        let again = transaction.redeliver(row.id, id(3), Timestamp(50)).await.unwrap().unwrap();
        transaction.commit().await.unwrap();
        let expected = DeliveryRow { id: id(3), received_at: Timestamp(50), redelivery_of: Some(row.id), ..row.clone() };
        assert_eq!(again, expected);
        assert_eq!(store.delivery(id(3)).await.unwrap(), Some((again.clone(), content.clone())));
        let known = async |forge_id, body, since| {
            let body = Some((body, Timestamp(since)));
            let found = store.known_delivery((WEB, Forge::Github), forge_id, body).await;
            found.unwrap().map(|row| row.id)
        };
        for (forge_id, found) in [(Some("guid-1"), Some(again.id)), (Some("guid-2"), None), (None, None)] {
            let known = store.known_delivery((WEB, Forge::Github), forge_id, None).await.unwrap();
            assert_eq!(known.map(|row| row.id), found);
        }
        assert_eq!(known(Some("guid-1"), "", 0).await, Some(again.id));
        assert_eq!(known(None, "aa", 49).await, Some(again.id));
        assert_eq!((known(None, "aa", 50).await, known(Some("guid-2"), "bb", 0).await), (None, None));
        let first = store.delivery(row.id).await.unwrap().unwrap().0;
        assert_eq!(first.result.as_deref(), Some("no pipeline listens to it"));
        let mut transaction = store.begin().await.unwrap();
        assert_eq!(transaction.prune_refused_deliveries(WEB, 1).await.unwrap(), 0);
        if !store.is_postgres() {
            let text = format!("EXPLAIN QUERY PLAN {}", crate::delivery::PRUNE_REFUSED);
            let explain = query("explain", text).bind(WEB).bind(1_u32);
            let plan = explain.fetch_all(transaction.connection()).await.unwrap();
            let plan: Vec<String> = plan.iter().map(|row| get(row, "detail").unwrap()).collect();
            assert_eq!(plan.iter().filter(|line| line.contains("deliveries_refused")).count(), 2, "{plan:?}");
        }
        transaction.insert_delivery(&DeliveryRow { id: id(4), ..bad.clone() }, &content).await.unwrap();
        assert_eq!(transaction.prune_refused_deliveries(WEB, 1).await.unwrap(), 1);
        assert_eq!(transaction.prune_refused_deliveries(WEB, 0).await.unwrap(), 1);
        transaction.commit().await.unwrap();
        let filter = DeliveryFilter { projects: Some(vec![WEB]), forge: Some(Forge::Github), event: Some("push".into()) };
        let page = store.deliveries(&filter, &PageRequest::first(1)).await.unwrap();
        let rest = store.deliveries(&filter, &PageRequest::first(1).after(&page).unwrap()).await.unwrap();
        assert_eq!((page.items, rest.items), (vec![again], vec![first]));
        let mut transaction = store.begin().await.unwrap();
        assert_eq!(transaction.prune_deliveries(Timestamp(50)).await.unwrap(), 1);
    }

    async fn a_cursor_never_goes_back(store: TestStore) {
        assert_eq!(store.cursor("nats").await.unwrap(), 0);
        let mut transaction = store.begin().await.unwrap();
        for (seq, then) in [(7, 7), (5, 7), (9, 9)] {
            transaction.put_cursor("nats", seq).await.unwrap();
            assert_eq!(transaction.cursor("nats").await.unwrap(), then);
        }
        transaction.commit().await.unwrap();
        assert_eq!((store.cursor("nats").await.unwrap(), store.cursor("other").await.unwrap()), (9, 0));
    }

    async fn a_setting_is_claimed_by_one(store: TestStore) {
        let racers: Vec<_> = (0..8)
            .map(|racer| {
                let store = Store::clone(&store);
                tokio::spawn(async move {
                    let mut transaction = store.begin().await.unwrap();
                    let is_ours = transaction.claim_setting("setup", &json!({ "by": racer })).await.unwrap();
                    transaction.commit().await.unwrap();
                    is_ours.then_some(racer)
                })
            })
            .collect();
        let mut winners = Vec::new();
        for racer in racers {
            winners.extend(racer.await.unwrap());
        }
        assert_eq!(winners.len(), 1);
        let value: serde_json::Value = store.setting("setup").await.unwrap().unwrap();
        assert_eq!(value["by"], winners[0]);
        let mut transaction = store.begin().await.unwrap();
        transaction.put_setting("setup", &5u32).await.unwrap();
        assert_eq!(transaction.setting::<u32>("setup").await.unwrap(), Some(5));
        assert!(transaction.setting::<bool>("setup").await.is_err());
        assert!(transaction.remove_setting("setup").await.unwrap() && !transaction.remove_setting("setup").await.unwrap());
        transaction.commit().await.unwrap();
        assert_eq!(store.setting::<u32>("setup").await.unwrap(), None);
    }

    async fn uses_of_plugins_add_up(store: TestStore) {
        let plugin = |digest: &str, at, uses| PluginUseRow {
            digest: format!("sha256:{digest}"),
            reference: "ghcr.io/acme/lint:1".into(),
            capabilities: BTreeSet::from([Capability::Workspace]),
            first_used_at: Timestamp(at),
            last_used_at: Timestamp(at),
            uses,
        };
        let racers: Vec<_> = (1..=8)
            .map(|at| {
                let store = Store::clone(&store);
                tokio::spawn(async move {
                    let mut transaction = store.begin().await.unwrap();
                    // In any order: two that write the same ones must not wait for each other for ever.
                    let mut uses = vec![plugin("aa", 0, 2), plugin("bb", at, 1)];
                    if at % 2 == 0 {
                        uses.reverse();
                    }
                    transaction.add_plugin_uses(&uses).await.unwrap();
                    transaction.commit().await.unwrap();
                })
            })
            .collect();
        for racer in racers {
            racer.await.unwrap();
        }
        let first = store.plugin_uses(&PageRequest::first(1)).await.unwrap();
        let second = store.plugin_uses(&PageRequest::first(1).after(&first).unwrap()).await.unwrap();
        assert_eq!(first.items, [plugin("aa", 0, 16)]);
        assert_eq!((second.items[0].uses, second.items[0].last_used_at), (8, Timestamp(8)));
        assert_eq!(store.plugin_use("sha256:aa").await.unwrap(), Some(plugin("aa", 0, 16)));
        assert_eq!(store.plugin_use("sha256:cc").await.unwrap(), None);
    }
}
