//! Lists of runs: what they hold, and that the database walks an index for each of them.

use oxide_core::{
    id::{PipelineId, ProjectId, RunId},
    outcome::Status,
    time::Timestamp,
};
use uuid::Uuid;

use super::{RunFilter, Statement};
use crate::{
    NewRun, OwnerId, PageRequest, RunOrigin, Store,
    row::get,
    sql::{Query, query},
    tests::{databases::on_each_database, run},
};

fn project(id: u128) -> ProjectId {
    ProjectId(Uuid::from_u128(id))
}

/// Runs 1 to 60: of projects 1 to 3 in turn, of two branches, every fifth failed, two at a time.
async fn insert_some(store: &Store) {
    for id in 1..=60 {
        let origin = RunOrigin {
            project: Some(project(id % 3 + 1)),
            pipeline: Some(PipelineId(Uuid::from_u128(id % 6 + 1))),
            git_branch: Some(if id % 2 == 0 { "main" } else { "dev" }.into()),
            ..RunOrigin::default()
        };
        let mut transaction = store.begin().await.unwrap();
        let new = NewRun { origin, ..run(id, if id % 6 == 0 { "deploy" } else { "build" }) };
        let created_at = Timestamp(i64::try_from(id / 2).unwrap());
        transaction.insert_run(&new, OwnerId::SERVER, created_at).await.unwrap();
        let status = if id % 5 == 0 { Status::Failure } else { Status::Success };
        query("set", "UPDATE runs SET status = $1, ended_at = 100 WHERE id = $2")
            .bind(status.as_str())
            .bind(new.id)
            .execute(transaction.connection())
            .await
            .unwrap();
        transaction.commit().await.unwrap();
    }
}

/// The ids of all pages.
async fn all(store: &Store, filter: &RunFilter, limit: u32) -> Vec<u128> {
    let mut found = Vec::new();
    let mut request = Some(PageRequest::first(limit));
    while let Some(wanted) = request {
        let page = store.runs(filter, &wanted).await.unwrap();
        assert!(page.items.len() <= limit as usize);
        found.extend(page.items.iter().map(|run| run.id.0.as_u128()));
        request = wanted.after(&page);
    }
    found
}

fn those(meets: impl Fn(u128) -> bool) -> Vec<u128> {
    (1..=60).rev().filter(|id| meets(*id)).collect()
}

on_each_database! {
    async fn each_filter_finds_its_runs_page_by_page(store: TestStore) {
        insert_some(&store).await;
        let any = RunFilter::default();
        assert_eq!(all(&store, &any, 7).await, those(|_| true));
        let failed = RunFilter { statuses: vec![Status::Failure], ..any.clone() };
        assert_eq!(all(&store, &failed, 5).await, those(|id| id % 5 == 0));
        let ended = RunFilter { statuses: vec![Status::Failure, Status::Success, Status::Running], ..any.clone() };
        assert_eq!(all(&store, &ended, 7).await, those(|_| true));
        let of_two = RunFilter { projects: Some(vec![project(1), project(3)]), ..any.clone() };
        assert_eq!(all(&store, &of_two, 7).await, those(|id| id % 3 != 1));
        let failed_there = RunFilter { statuses: vec![Status::Failure], ..of_two.clone() };
        assert_eq!(all(&store, &failed_there, 3).await, those(|id| id % 3 != 1 && id % 5 == 0));
        let of_pipeline = RunFilter { pipeline: Some(PipelineId(Uuid::from_u128(1))), ..of_two.clone() };
        assert_eq!(all(&store, &of_pipeline, 3).await, those(|id| id % 6 == 0));
        let named = RunFilter { pipeline_name: Some("deploy".into()), ..any.clone() };
        assert_eq!(all(&store, &named, 4).await, those(|id| id % 6 == 0));
        let of_branch = RunFilter { branch: Some("dev".into()), statuses: vec![Status::Failure], ..any.clone() };
        assert_eq!(all(&store, &of_branch, 4).await, those(|id| id % 2 == 1 && id % 5 == 0));
        let then = RunFilter { since: Some(Timestamp(10)), until: Some(Timestamp(20)), ..any.clone() };
        assert_eq!(all(&store, &then, 6).await, those(|id| (10..20).contains(&(id / 2))));
        let everywhere = RunFilter { projects: Some((1..=100).map(project).collect()), ..any.clone() };
        assert_eq!(all(&store, &everywhere, 50).await, those(|_| true), "more ranges than are merged");
        assert_eq!(all(&store, &RunFilter { projects: Some(Vec::new()), ..any.clone() }, 5).await, []);
        for wrong in ["x", "5b5d", &crate::list::cursor_of(&["no time", "id"])] {
            let request = PageRequest { limit: 5, cursor: Some(wrong.to_owned()) };
            assert!(matches!(store.runs(&any, &request).await, Err(crate::StoreError::BadCursor { .. })), "{wrong}");
        }
    }

    async fn runs_that_come_while_pages_are_turned_move_nothing(store: TestStore) {
        insert_some(&store).await;
        let first = PageRequest::first(10);
        let page = store.runs(&RunFilter::default(), &first).await.unwrap();
        let mut transaction = store.begin().await.unwrap();
        transaction.insert_run(&run(1000, "build"), OwnerId::SERVER, Timestamp(1000)).await.unwrap();
        transaction.commit().await.unwrap();
        let next = store.runs(&RunFilter::default(), &first.after(&page).unwrap()).await.unwrap();
        assert_eq!(next.items[0].id, RunId(Uuid::from_u128(50)));
    }
}

async fn hundred_thousand_runs(store: &Store) {
    let mut transaction = store.begin().await.unwrap();
    transaction.insert_run(&run(1, "build"), OwnerId::SERVER, Timestamp(0)).await.unwrap();
    query(
        "fill the store",
        "WITH RECURSIVE many (n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM many WHERE n < 100000) \
         INSERT INTO runs (id, pipeline, number, status, plan, source, project, owner, created_at, ended_at, project_id, \
         pipeline_id, git_branch) \
         SELECT printf('00000000-0000-7000-8000-%012d', n), 'build', n, CASE n % 1000 WHEN 0 THEN 'running' ELSE 'success' END, \
         plan, source, project, owner, n, n, printf('00000000-0000-0000-0000-%012d', n % 20 + 1), \
         printf('00000000-0000-0000-0000-%012d', n % 50 + 1), CASE n % 100 WHEN 0 THEN 'rare' ELSE 'main' END \
         FROM many, (SELECT plan, source, project, owner FROM runs WHERE number = 1)",
    )
    .execute(transaction.connection())
    .await
    .unwrap();
    transaction.commit().await.unwrap();
}

/// The plan of SQLite for a page, without that of the merge of ranges, which sorts some pages.
async fn plan_of(store: &Store, filter: &RunFilter) -> String {
    let statement = Statement::new(filter, Some((50_000, "x".into())), 51);
    let text = format!("EXPLAIN QUERY PLAN {}", statement.text());
    let explain = statement.values.into_iter().fold(query("explain", text), Query::bind);
    let rows = explain.fetch_all(&mut store.reader().await.unwrap()).await.unwrap();
    rows.iter().map(|row| get::<String>(row, "detail").unwrap()).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn pages_of_a_hundred_thousand_runs_are_found_by_an_index() {
    let test = crate::tests::databases::TestStore::in_a_file().await;
    hundred_thousand_runs(&test).await;
    let any = RunFilter::default;
    let (running, two) = (vec![Status::Running], Some(vec![project(1), project(2)]));
    for (name, filter, index) in [
        ("all", any(), "runs_recent"),
        ("state", RunFilter { statuses: running.clone(), ..any() }, "runs_by_status"),
        ("projects", RunFilter { projects: two.clone(), ..any() }, "runs_of_project"),
        ("state in projects", RunFilter { projects: two, statuses: running, ..any() }, "runs_of_project"),
        ("pipeline", RunFilter { pipeline: Some(PipelineId(Uuid::from_u128(3))), ..any() }, "runs_of_pipeline"),
        ("branch", RunFilter { branch: Some("rare".into()), ..any() }, "runs_of_branch"),
        ("time", RunFilter { until: Some(Timestamp(500)), ..any() }, "runs_recent"),
    ] {
        let plan = plan_of(&test, &filter).await;
        let ranges: Vec<&str> =
            plan.lines().filter(|line| line.contains(" runs ") || line.ends_with(" runs")).collect();
        assert!(!ranges.is_empty() && ranges.iter().all(|line| line.contains(index)), "{name}:\n{plan}");
        let asked = std::time::Instant::now();
        let page = test.runs(&filter, &PageRequest::first(50)).await.unwrap();
        assert!(page.items.len() == 50 || name == "state in projects", "{name}: {}", page.items.len());
        eprintln!("{name}: {:?}", asked.elapsed());
        assert!(asked.elapsed().as_secs() < 20, "{name} took {:?}", asked.elapsed());
    }
}
