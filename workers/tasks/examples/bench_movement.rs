//! Rows from MariaDB to Postgres by `extract_mysql` and `load`, next to what the two servers can do by themselves.
//!
//! `cargo run -p tasks --example bench_movement [ROWS]`, a million if not said.

mod shop;

use std::{collections::BTreeMap, path::Path, time::Instant};

use futures::TryStreamExt;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, MySqlConnection, PgConnection, PgPool};
use tasks::{extract_mysql::ExtractMysql, load::Load};
use testkit::bench::{Figure, peak_mib, report};
use warehouse::lake::Lake;
use workflow::{endpoint::Endpoint, kind::Registry};

#[tokio::main]
async fn main() {
    let rows: u64 = std::env::args().nth(1).map_or(1_000_000, |text| text.parse().expect("a number of rows"));
    let db = testkit::database().await;
    let mysql = testkit::mysql_database().await;
    let folder = tempfile::tempdir().expect("a folder");
    let mut shop = shop::filled(&mysql, rows).await;

    let registry = registry(&db.pool, &mysql, folder.path());
    // A first pass warms both servers, and shows what memory a tenth of the rows needs.
    let small = format!("create table small as select * from order_items limit {}", rows / 10);
    sqlx::raw_sql(AssertSqlSafe(small)).execute(&mut shop).await.expect("a small table");
    move_rows(&registry, &db.pool, "small").await;
    let small_peak = peak_mib();

    let (manifest, extract, load) = move_rows(&registry, &db.pool, "order_items").await;
    let peak = peak_mib();
    let loaded: i64 =
        sqlx::query_scalar("select count(*) from staging.order_items").fetch_one(&db.pool).await.expect("count");
    assert_eq!(u64::try_from(loaded).ok(), Some(rows), "every row arrived");

    let read = read_limit(&mut shop).await;
    let write = copy_limit(&db.url, &db.pool).await;
    let per_second = |seconds: f64| rows as f64 / seconds;
    let limit = per_second(read.max(write));
    let speed = per_second(extract + load);
    let files = manifest["files"][0]["bytes"].as_u64().unwrap_or(0) as f64 / 1e6;
    let note = format!(
        "extract {extract:.2} s, {files:.0} MB of Parquet, load {load:.2} s; limit: the slower of a bare \
                        read ({read:.2} s) and a bare COPY ({write:.2} s)"
    );
    report(
        "movement",
        &[
            Figure::new("movement_rows_per_s", speed, "rows/s", note).against(limit),
            Figure::new("movement_ratio", speed / limit, "ratio", "movement_rows_per_s over its limit"),
            Figure::new("movement_peak_mib", peak, "MiB", format!("{rows} rows; a tenth of them: {small_peak:.0} MiB")),
        ],
    );
}

fn registry(pool: &PgPool, mysql: &str, folder: &Path) -> Registry {
    let lake = Lake::open(folder.join("lake").to_str().expect("a UTF-8 path")).expect("a lake");
    let connections = BTreeMap::from([("shop".to_owned(), Endpoint::fixed("MariaDB", mysql))]);
    Registry::new().with(ExtractMysql::new(connections, pool.clone(), lake.clone())).with(Load::new(
        pool.clone(),
        lake,
        folder,
    ))
}

/// Extracts and loads a table; gives the manifest and the seconds of both.
async fn move_rows(registry: &Registry, pool: &PgPool, table: &str) -> (Value, f64, f64) {
    let run = async |kind: &str, config: Value, inputs: BTreeMap<String, Value>| {
        let (output, seconds) = shop::run(registry, pool, kind, config, inputs).await;
        (output.expect("the task"), seconds)
    };
    let (manifest, extract) = run("extract_mysql", json!({"table": table}), BTreeMap::new()).await;
    let load = json!({"from": "extract", "into": format!("staging.{table}")});
    let (_, load) = run("load", load, BTreeMap::from([("extract".to_owned(), manifest.clone())])).await;
    (manifest, extract, load)
}

/// Seconds in which the source gives every row to a client that looks at none.
async fn read_limit(shop: &mut MySqlConnection) -> f64 {
    let start = Instant::now();
    let mut rows = sqlx::query("select * from order_items").fetch(shop);
    while rows.try_next().await.expect("read").is_some() {}
    start.elapsed().as_secs_f64()
}

/// Seconds in which Postgres takes the same rows by binary COPY, encoded beforehand.
async fn copy_limit(url: &str, pool: &PgPool) -> f64 {
    let mut connection = PgConnection::connect(url).await.expect("connect to Postgres");
    let mut encoded: Vec<Vec<u8>> = Vec::new();
    {
        let mut out = connection
            .copy_out_raw("copy staging.order_items to stdout with (format binary)")
            .await
            .expect("read the rows");
        while let Some(part) = out.try_next().await.expect("read the rows") {
            match encoded.last_mut() {
                Some(last) if last.len() < 512 * 1024 => last.extend_from_slice(&part),
                _ => encoded.push(part.to_vec()),
            }
        }
    }
    sqlx::query("create table staging.limit_of_copy (like staging.order_items)")
        .execute(pool)
        .await
        .expect("make a table");
    let start = Instant::now();
    let mut copy =
        connection.copy_in_raw("copy staging.limit_of_copy from stdin with (format binary)").await.expect("start COPY");
    for part in encoded {
        copy.send(part).await.expect("send");
    }
    copy.finish().await.expect("end COPY");
    start.elapsed().as_secs_f64()
}
