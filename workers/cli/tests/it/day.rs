//! The shop's whole day, twice: everything succeeds, every sum balances, and a repeat doubles nothing.

use serde_json::Value;
use sqlx::{Connection, PgConnection, query_as, query_scalar};

use crate::project::Project;

#[tokio::test(flavor = "multi_thread")]
async fn the_day_runs_to_its_report_and_a_second_one_doubles_nothing() {
    let shop = Project::shop();
    // The page has to step on to another port, and the ratings that it serves are found there.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("a bound socket").port();
    let settings = std::fs::read_to_string(shop.path("sluice.yaml")).expect("settings");
    shop.write("sluice.yaml", &settings.replace("web: {", &format!("web: {{ port: {port},")));
    let (shop, first) = pass(shop).await;
    check(&first);
    let before = tables(&shop).await;
    assert!(before.iter().all(|(table, rows)| *rows > 0 || table.is_empty()), "{before:?}");
    let (shop, second) = pass(shop).await;
    check(&second);
    let after = tables(&shop).await;
    assert_eq!(before, after, "the second pass changed what it had nothing to add to");
    drop(shop);
}

async fn pass(shop: Project) -> (Project, Value) {
    let run = move || {
        let summary = shop.json(["demo", "--once", "--json"]);
        (shop, summary)
    };
    tokio::task::spawn_blocking(run).await.expect("the demo ends")
}

fn check(summary: &Value) {
    let list = |name: &str| summary[name].as_array().unwrap_or_else(|| panic!("no list `{name}` in {summary:#}"));
    let dags: Vec<_> = list("runs").iter().filter_map(|run| run["dag"].as_str()).collect();
    for dag in ["shop_history", "shop_events", "daily_sales", "ratings", "low_stock", "exports", "daily_report"] {
        assert!(dags.contains(&dag), "no run of {dag} in {summary:#}");
    }
    assert!(list("runs").iter().all(|run| run["state"] == "success"), "{summary:#}");
    for load in list("loads") {
        let number = |name: &str| load[name].as_i64().expect("a count");
        assert_eq!(number("read"), number("loaded") + number("quarantined") + number("deduplicated"), "{load}");
    }
    let sum = |name: &str| list("loads").iter().filter_map(|load| load[name].as_i64()).sum::<i64>();
    assert!(sum("loaded") > 0, "{summary:#}");
    assert!(summary["stream"]["events"].as_i64() > Some(0), "{summary:#}");
    assert!(summary["stream"]["alerts"].as_i64() > Some(0), "{summary:#}");
    assert!(summary["stream"]["alert_latency_ms"]["p99"].is_number(), "{summary:#}");
    assert!(list("deliveries").iter().any(|row| row["delivered"].as_i64() > Some(0)), "{summary:#}");
}

/// What must not grow: rows and money of the star schema, counted after the services are up again.
async fn tables(shop: &Project) -> Vec<(String, i64)> {
    assert!(shop.sluice(["up", "postgres"]).status.success());
    let status = shop.json(["status", "--json"]);
    let services = status["services"].as_array().expect("services");
    let postgres = services.iter().find(|s| s["name"] == "postgres").expect("Postgres");
    let mut connection = PgConnection::connect(postgres["url"].as_str().expect("a URL")).await.expect("connect");
    let mut found = Vec::new();
    for table in ["staging.orders", "staging.order_items", "warehouse.fact_order_lines", "warehouse.fact_payments"] {
        let rows = sqlx::AssertSqlSafe(format!("select count(*) from {table}"));
        found.push((table.to_owned(), query_scalar(rows).fetch_one(&mut connection).await.expect("count")));
    }
    let (lines, doubled): (i64, i64) =
        query_as("select count(*), count(*) - count(distinct id) from staging.order_items")
            .fetch_one(&mut connection)
            .await
            .expect("count doubled lines");
    assert_eq!(doubled, 0, "{lines} lines");
    // The overlap of an incremental extract reads the newest rows again; what is held back already stays held once.
    let held: i64 =
        query_scalar("select count(*) from sluice.quarantine").fetch_one(&mut connection).await.expect("held");
    found.push(("sluice.quarantine".to_owned(), held));
    connection.close().await.expect("close");
    assert!(shop.sluice(["down"]).status.success());
    found
}
