//! `reconcile` over a table of which one row was inserted, one changed and one deleted, next to what either server needs to
//! sum up the same checksums once.
//!
//! `cargo run -p tasks --example bench_reconcile [ROWS]`, five million if not said.

mod shop;

use std::{collections::BTreeMap, time::Instant};

use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, MySqlConnection, PgPool};
use tasks::{extract_mysql::ExtractMysql, load::Load, reconcile::Reconcile};
use testkit::bench::{Figure, peak_mib, report};
use warehouse::lake::Lake;
use workflow::{endpoint::Endpoint, kind::Registry};

const TABLE: &str = "create table order_items (
    id bigint unsigned primary key, order_id bigint unsigned not null, line_number smallint unsigned not null,
    product_id bigint unsigned not null, quantity int not null, unit_price decimal(12, 2) not null,
    line_total decimal(12, 2) not null, note varchar(60) not null, created_at datetime(6) not null,
    updated_at datetime(6) not null)";
const ROWS: &str = "insert into order_items
    select seq, seq div 3, seq mod 3, seq * 7919 mod 500, 1 + seq mod 5, (seq mod 9973) / 100, (seq mod 49999) / 100,
           concat('line ', seq, ' of an order'), '2026-01-01' + interval seq second,
           '2026-01-01' + interval seq * 1000003 microsecond
    from seq_1_to_";

/// An inserted, a changed and a deleted row.
const DRIFT: &str = "insert into order_items select id + 7, order_id, 1, 1, 1, 1, 1, 'new', created_at, updated_at
                     from order_items order by id desc limit 1;
                     update order_items set quantity = quantity + 1 where id = 4711;
                     delete from order_items where id = 1234";

#[tokio::main]
async fn main() {
    let rows: u64 = std::env::args().nth(1).map_or(5_000_000, |text| text.parse().expect("a number of rows"));
    let db = testkit::database().await;
    let mysql = testkit::mysql_database().await;
    let folder = tempfile::tempdir().expect("a folder");
    let mut shop = shop::filled(&mysql, TABLE, ROWS, rows).await;
    let lake = Lake::open(folder.path().join("lake").to_str().expect("a UTF-8 path")).expect("a lake");
    let connections = BTreeMap::from([("shop".to_owned(), Endpoint::fixed("MariaDB", mysql.as_str()))]);
    let registry = Registry::new()
        .with(ExtractMysql::new(connections.clone(), db.pool.clone(), lake.clone()))
        .with(Load::new(db.pool.clone(), lake.clone(), folder.path()))
        .with(Reconcile::new(connections, db.pool.clone(), lake, folder.path()));
    let run = async |kind: &str, config: Value, inputs: BTreeMap<String, Value>| {
        shop::run(&registry, &db.pool, kind, config, inputs).await
    };
    let (manifest, _) = run("extract_mysql", json!({"table": "order_items"}), BTreeMap::new()).await;
    let inputs = BTreeMap::from([("extract".to_owned(), manifest.expect("extract"))]);
    let load = json!({"from": "extract", "into": "staging.order_items", "key": ["id"]});
    run("load", load, inputs).await.0.expect("load");

    let keys = |repair| json!({"table": "order_items", "target": "staging.order_items", "key": "id", "repair": repair});
    let (alike, same) = run("reconcile", keys(false), BTreeMap::new()).await;
    assert_eq!(alike.expect("alike")["source_rows"], json!(rows));
    sqlx::raw_sql(DRIFT).execute(&mut shop).await.expect("change rows");
    let (mended, found) = run("reconcile", keys(true), BTreeMap::new()).await;
    let mended = mended.expect("mended");
    assert_eq!([&mended["missing"], &mended["extra"], &mended["different"]], [&json!(1), &json!(1), &json!(1)]);
    let (alike, _) = run("reconcile", keys(false), BTreeMap::new()).await;
    assert_eq!(alike.expect("alike")["left"], json!(0));

    let (source, target) = (source_limit(&mut shop).await, target_limit(&db.pool).await);
    let note = format!(
        "{rows} rows of 10 columns, {} statements a server; limit: the slower of MariaDB ({source:.2} s) and Postgres \
         ({target:.2} s), each alone, taking MD5 of each row's columns",
        mended["statements"]
    );
    let limit = source.max(target);
    report(
        "reconcile",
        &[
            Figure::new("reconcile_alike_s", same, "s", "nothing differs").against(limit),
            Figure::new("reconcile_mend_s", found, "s", note).against(limit),
            Figure::new("reconcile_peak_mib", peak_mib(), "MiB", "the extract and load before it included"),
        ],
    );
}

const COLUMNS: &str = "concat_ws('|', id, order_id, line_number, product_id, quantity, unit_price, line_total, note, \
                       created_at, updated_at)";

/// Seconds in which MariaDB takes the MD5 of each row.
async fn source_limit(shop: &mut MySqlConnection) -> f64 {
    let start = Instant::now();
    let sql = format!("select count(distinct left(md5({COLUMNS}), 1)) from order_items");
    sqlx::query(AssertSqlSafe(sql)).fetch_one(shop).await.expect("sum up");
    start.elapsed().as_secs_f64()
}

/// Seconds in which Postgres does.
async fn target_limit(pool: &PgPool) -> f64 {
    let start = Instant::now();
    let sql = format!("select max(md5({COLUMNS})) from staging.order_items");
    sqlx::query(AssertSqlSafe(sql)).fetch_one(pool).await.expect("sum up");
    start.elapsed().as_secs_f64()
}
