//! The shop's whole day, twice: everything succeeds, every sum balances, every panel of every dashboard shows something,
//! and a repeat doubles nothing.

use std::process::Output;

use serde_json::Value;
use sqlx::{Connection, query_as, query_scalar};

use crate::{
    panels,
    project::{Project, text},
};

#[tokio::test(flavor = "multi_thread")]
async fn the_day_runs_to_its_report_and_a_second_one_doubles_nothing() {
    let shop = Project::shop();
    // The page has to step on to another port, and the ratings that it serves are found there.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("a bound socket").port();
    let settings = std::fs::read_to_string(shop.path("sluice.yaml")).expect("settings");
    shop.write("sluice.yaml", &settings.replace("web: {", &format!("web: {{ port: {port},")));
    let (shop, first) = pass(shop, &["demo", "--once", "--json"]).await;
    check(&first);
    let (shop, up) = command(shop, &["up", "postgres"]).await;
    assert!(up.status.success(), "{}", text(&up));
    let before = tables(&shop).await;
    assert!(before.iter().all(|(table, rows)| *rows > 0 || table.is_empty()), "{before:?}");

    // The second one lives on: what its traffic sells waits in the shop for the next load.
    let (shop, second) = pass(shop, &["demo", "--json"]).await;
    check(&second);
    let after = tables(&shop).await;
    assert_eq!(before, after, "the second pass changed what it had nothing to add to");

    // One task of one DAG fails, so that there is a failure to show.
    shop.write(
        "dags/broken.yaml",
        "dag: broken\ntasks:\n  stumble: { kind: command, command: [\"false\"], attempts: 1 }\n",
    );
    let (shop, failed) = command(shop, &["run", "broken", "--wait"]).await;
    assert_eq!(failed.status.code(), Some(1), "{}", text(&failed));
    panels::all_show_something(&shop, second["urls"]["web"].as_str().expect("the page's address")).await;
    let (shop, down) = command(shop, &["down"]).await;
    assert!(down.status.success(), "{}", text(&down));
    drop(shop);
}

/// Runs a command, which may take long.
async fn command(shop: Project, args: &'static [&'static str]) -> (Project, Output) {
    let run = move || {
        let output = shop.sluice(args);
        (shop, output)
    };
    tokio::task::spawn_blocking(run).await.expect("the command ends")
}

async fn pass(shop: Project, args: &'static [&'static str]) -> (Project, Value) {
    let (shop, output) = command(shop, args).await;
    assert!(output.status.success(), "{}", text(&output));
    let summary = serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", text(&output)));
    (shop, summary)
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

/// What must not grow: rows and money of the star schema.
async fn tables(shop: &Project) -> Vec<(String, i64)> {
    let mut connection = shop.postgres().await;
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
    found
}
