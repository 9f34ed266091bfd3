//! Grafana's dashboards over a shop that has run its day: every query of every panel answers with something.

use serde_json::Value;
use sqlx::{AssertSqlSafe, PgConnection, query_scalar};
use testkit::{
    grafana::{Query, queries},
    prometheus::Prometheus,
};

use crate::project::Project;

/// Asks the shop's own Postgres, and a Prometheus that scrapes its page.
pub(crate) async fn all_show_something(shop: &Project, web: &str) {
    let mut postgres = shop.postgres().await;
    let prometheus = Prometheus::watching(web).await;
    let mut faults = Vec::new();
    let mut asked = [0, 0];
    for query in queries() {
        let (source, answer) = match query.source.as_str() {
            "sluice-postgres" => (0, rows(&mut postgres, &query).await),
            "sluice-prometheus" => (1, Ok(series(&prometheus, &query).await)),
            other => panic!("{}: unknown data source {other}", query.place),
        };
        asked[source] += 1;
        match answer {
            Ok(0) => faults.push(format!("{}: nothing\n  {}", query.place, query.text)),
            Ok(_) => {}
            Err(error) => faults.push(format!("{}: {error}", query.place)),
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(asked.iter().all(|queries| *queries > 5), "{asked:?} queries of each source");
}

/// Rows that have something in them.
async fn rows(postgres: &mut PgConnection, query: &Query) -> sqlx::Result<usize> {
    let sql =
        format!("select count(*) from ({}) as panel where jsonb_strip_nulls(to_jsonb(panel)) <> '{{}}'", query.sql());
    let rows: i64 = query_scalar(AssertSqlSafe(sql)).fetch_one(postgres).await?;
    Ok(usize::try_from(rows).unwrap_or(0))
}

async fn series(prometheus: &Prometheus, query: &Query) -> usize {
    match prometheus.query(&query.promql()).await {
        Value::Array(series) => series.len(),
        other => panic!("{}: {other}", query.place),
    }
}
