//! Archived runs: programs and browsers get of them what they got before.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{TestServer, page};

#[tokio::test]
async fn programs_and_pages_find_an_archived_run() {
    let server = TestServer::seeded().await;
    let ended = "select run_id from sluice.dag_run where state in ('success', 'failed', 'cancelled') order by run_id";
    let runs: Vec<i64> = sqlx::query_scalar(ended).fetch_all(server.pool()).await.expect(ended);
    let failed: i64 = sqlx::query_scalar("select max(run_id) from sluice.dag_run where state = 'failed'")
        .fetch_one(server.pool())
        .await
        .expect("a run that failed");
    let task: String =
        sqlx::query_scalar("select task from sluice.tasks where run_id = $1 and state = 'failed' limit 1")
            .bind(failed)
            .fetch_one(server.pool())
            .await
            .expect("a task that failed");
    let mut asked = vec!["/api/v1/runs?limit=200".to_owned(), "/api/v1/runs?limit=200&state=failed".to_owned()];
    for run_id in &runs {
        asked.push(format!("/api/v1/runs/{run_id}"));
    }
    asked.push(format!("/api/v1/runs/{failed}/tasks/{task}/logs"));
    let all = async || {
        let mut answers = Vec::new();
        for address in &asked {
            let answer = server.get(address).await;
            assert_eq!(answer.status, 200, "{address}: {}", answer.text);
            let mut body = answer.json();
            // What is under way takes longer by the moment.
            if let Some(items) = body["items"].as_array_mut() {
                items.retain(|run| !run["finished_at"].is_null() || run["seq"].is_number());
            }
            answers.push((address.clone(), body));
        }
        answers
    };
    let before = all().await;
    let why = server.get(&format!("/api/v1/runs/{failed}/why")).await.json();
    let moved: Vec<i64> = sqlx::query_scalar("select * from sluice.archive_runs($1, now())")
        .bind(&runs)
        .fetch_all(server.pool())
        .await
        .expect("archived");
    assert_eq!(moved.len(), runs.len());
    assert_eq!(all().await, before);
    let told = server.get(&format!("/api/v1/runs/{failed}/why")).await.json();
    let because = |why: &Value| {
        let answers = why.as_array().expect("answers").iter();
        answers.map(|answer| answer["because"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(because(&told), because(&why));
    for address in page::addresses(&server).await {
        assert_eq!(server.get(&address).await.status, 200, "{address}");
    }
    assert!(server.get(&format!("/runs/{failed}")).await.text.contains(&task));

    // And refuses to change it.
    let refused = server.post(&format!("/api/v1/runs/{failed}/retry"), Some(json!({}))).await;
    assert_eq!((refused.status, refused.kind.as_str()), (409, "application/problem+json"), "{}", refused.text);
    let said = format!("run {failed} is archived: it can be read, and is not changed any more");
    assert_eq!(refused.json()["detail"], said);
}

/// The counters of `/metrics` that count runs, attempts and tasks, by name and labels.
async fn counters(server: &TestServer) -> BTreeMap<String, f64> {
    let text = server.get("/metrics").await.text;
    let counts = ["sluice_runs_total", "sluice_attempts_total", "sluice_task_duration_seconds_"];
    let lines = text.lines().filter(|line| counts.iter().any(|name| line.starts_with(name)));
    let count = |line: &str| {
        let (name, value) = line.rsplit_once(' ').expect("a sample");
        // Sums of floats depend on the order.
        let value = (value.parse::<f64>().expect("a number") * 1e6).round() / 1e6;
        (name.to_owned(), value)
    };
    lines.map(count).collect()
}

#[tokio::test]
async fn counters_do_not_fall_when_a_month_of_the_archive_is_dropped() {
    let server = TestServer::seeded().await;
    let before = counters(&server).await;
    assert!(before.keys().any(|name| name.starts_with("sluice_task_duration_seconds_bucket")), "{before:?}");
    let moved: Vec<i64> = sqlx::query_scalar(
        "select * from sluice.archive_runs(
             array(select run_id from sluice.dag_run where finished_at is not null), now() + interval '1 day')",
    )
    .fetch_all(server.pool())
    .await
    .expect("archived");
    assert!(moved.len() > 10, "{moved:?}");
    assert_eq!(counters(&server).await, before);
    let months = "select sluice.archive_months(now() + interval '2 months')";
    let months: Vec<chrono::NaiveDate> = sqlx::query_scalar(months).fetch_all(server.pool()).await.expect("months");
    // A second one that drops a month counts nothing twice.
    for month in months.iter().chain(&months) {
        warehouse::runs::drop_month(server.pool(), *month).await.expect("dropped");
    }
    let left: i64 = sqlx::query_scalar("select count(*) from sluice_archive.dag_run")
        .fetch_one(server.pool())
        .await
        .expect("a count");
    assert_eq!(left, 0);
    assert_eq!(counters(&server).await, before);
}
