//! Grafana's dashboards and Prometheus' rules, tried on a real Postgres and a real Prometheus.

use std::{collections::BTreeSet, path::Path};

use serde_json::Value;
use sqlx::{AssertSqlSafe, PgPool};
use tokio::process::Command;

use crate::{
    TestServer, marts,
    prometheus::{Prometheus, compose},
    seed,
};

/// One query of one panel.
pub(crate) struct Query {
    pub(crate) place: String,
    pub(crate) source: String,
    pub(crate) text: String,
}

/// Every query of every dashboard.
pub(crate) fn queries() -> Vec<Query> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../grafana/dashboards");
    let mut queries = Vec::new();
    for entry in std::fs::read_dir(folder).expect("grafana/dashboards") {
        let path = entry.expect("an entry").path();
        let text = std::fs::read_to_string(&path).expect("a dashboard");
        let dashboard: Value = serde_json::from_str(&text).expect("JSON");
        for panel in dashboard["panels"].as_array().expect("panels") {
            for target in panel["targets"].as_array().into_iter().flatten() {
                let text = target["rawSql"].as_str().or(target["expr"].as_str()).expect("a query");
                queries.push(Query {
                    place: format!("{} / {}", dashboard["title"], panel["title"]),
                    source: target["datasource"]["uid"].as_str().expect("a data source").to_owned(),
                    text: text.to_owned(),
                });
            }
        }
    }
    queries
}

fn over_all_time(sql: &str) -> String {
    since(sql, "'2020-01-01T00:00:00Z'")
}

/// Puts a span of time where Grafana puts the one chosen on the page.
pub(crate) fn since(sql: &str, start_of_span: &str) -> String {
    const MACRO: &str = "$__timeFilter(";
    let mut out = String::new();
    let mut rest = sql;
    while let Some(start) = rest.find(MACRO) {
        let (column, after) = rest[start + MACRO.len()..].split_once(')').expect("a closed macro");
        out.push_str(&rest[..start]);
        out.push_str(column);
        out.push_str(&format!(" between {start_of_span} and now() + interval '1 day'"));
        rest = after;
    }
    out.push_str(rest);
    assert!(!out.contains("$__"), "a macro that this test does not know: {out}");
    out
}

async fn rows(pool: &PgPool, sql: &str) -> Result<i64, sqlx::Error> {
    let counted = format!(
        "select count(*) from ({}) as panel where jsonb_strip_nulls(to_jsonb(panel)) <> '{{}}'",
        over_all_time(sql)
    );
    sqlx::query_scalar(AssertSqlSafe(counted)).fetch_one(pool).await
}

#[tokio::test]
async fn every_panel_shows_something() {
    let database = seed::platform().await;
    marts::publish(&database.pool).await;
    let server = TestServer::over(database).await;
    let prometheus = Prometheus::watching(&server).await;
    let mut sources = BTreeSet::new();
    let mut faults = Vec::new();
    for query in queries() {
        match query.source.as_str() {
            "sluice-postgres" => match rows(server.pool(), &query.text).await {
                // The small shop has no month before this one to compare with.
                Ok(0) if query.text.contains("change_percent") => {}
                Ok(0) => faults.push(format!("{}: no rows", query.place)),
                Ok(_) => {}
                Err(error) => faults.push(format!("{}: {error}", query.place)),
            },
            "sluice-prometheus" => {
                let result = prometheus.query(&query.text.replace("$__rate_interval", "1m")).await;
                if result.as_array().is_none_or(Vec::is_empty) {
                    faults.push(format!("{}: no series", query.place));
                }
            }
            other => faults.push(format!("{}: unknown data source {other}", query.place)),
        }
        sources.insert(query.source);
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert_eq!(sources.len(), 2);
}

#[tokio::test]
async fn a_failed_run_fires_an_alert_and_its_success_ends_it() {
    let server = TestServer::seeded().await;
    let prometheus = Prometheus::watching(&server).await;
    let quiet = !prometheus.firing().await.contains(&"SluiceRunFailed".to_owned());
    assert!(quiet, "no DAG's latest run has failed");
    let end = "update sluice.dag_run set state = $1 where run_id = (select max(run_id) from sluice.dag_run where dag = 'ratings')";
    for (state, wanted) in [("failed", true), ("success", false)] {
        sqlx::query(end).bind(state).execute(server.pool()).await.expect("updated");
        prometheus
            .until(&format!("an alert that {}", if wanted { "fires" } else { "ends" }), async || {
                prometheus.firing().await.contains(&"SluiceRunFailed".to_owned()) == wanted
            })
            .await;
    }
}

#[tokio::test]
async fn rules_and_configuration_pass_promtool() {
    for arguments in
        [["check", "rules", "alerts.yml"], ["check", "config", "prometheus.yml"], ["test", "rules", "alerts.test.yml"]]
    {
        let output = Command::new("promtool").args(arguments).current_dir(compose()).output().await;
        let output =
            output.expect("promtool is not installed; `make test` installs it, or: apt-get install prometheus");
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "promtool {arguments:?}: {}", String::from_utf8_lossy(&said));
    }
}

#[test]
fn every_rule_is_shown_to_fire_and_to_stay_quiet() {
    let rules = std::fs::read_to_string(compose().join("alerts.yml")).expect("alerts.yml");
    let tests = std::fs::read_to_string(compose().join("alerts.test.yml")).expect("alerts.test.yml");
    let names: Vec<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(names.len() >= 7);
    for name in names {
        assert!(tests.contains(&format!("name: {name} fires")), "{name} is not shown to fire");
        assert!(tests.contains(&format!("name: {name} is quiet")), "{name} is not shown to stay quiet");
    }
}
