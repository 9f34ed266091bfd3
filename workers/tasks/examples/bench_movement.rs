//! Rows from MariaDB through the lake and a gate to Postgres, by `extract_mysql` and `load`, next to what the two servers
//! can do by themselves; and whether every column arrived as it was.
//!
//! `cargo run -p tasks --example bench_movement [ROWS]`, two million of 16 columns if not said.

mod shop;

use std::{collections::BTreeMap, path::Path, time::Instant};

use futures::TryStreamExt;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, MySqlConnection, PgConnection, PgPool};
use tasks::{extract_mysql::ExtractMysql, load::Load};
use testkit::bench::{Figure, peak_mib, report};
use warehouse::lake::Lake;
use workflow::{endpoint::Endpoint, kind::Registry};

const TABLE: &str = "create table order_lines (
    id bigint unsigned primary key, order_id bigint unsigned not null, line_number smallint unsigned not null,
    customer_id int unsigned not null, product_id int unsigned not null, sku varchar(20) not null, quantity int not null,
    unit_price decimal(12, 2) not null, discount decimal(5, 3), line_total decimal(12, 2) not null, currency char(3) not null,
    status enum('new', 'paid', 'sent', 'back') not null, gift tinyint(1) not null, note varchar(60),
    created_at datetime(6) not null, updated_at datetime(6) not null)";
const ROWS: &str = "insert into order_lines
    select seq, seq div 3, seq mod 3, seq * 31 mod 100000, seq * 7919 mod 500, concat('SKU-', seq * 7919 mod 500),
           1 + seq mod 5, (seq mod 9973) / 100, if(seq mod 4 = 0, null, (seq mod 101) / 100), (seq mod 49999) / 100,
           elt(1 + seq mod 3, 'EUR', 'USD', 'GBP'), 1 + seq mod 4, seq mod 17 = 0,
           if(seq mod 10 = 0, null, concat('line ', seq, ' of an order')), '2026-01-01' + interval seq second,
           '2026-02-01' + interval seq * 1000003 microsecond
    from seq_1_to_";

const SUITE: &str = "suite: lines
on_fail: quarantine
checks:
  - expect_column_values_to_not_be_null: { column: id }
  - expect_column_values_to_be_unique: { column: id, on_fail: fail }
  - expect_column_values_to_not_be_null: { column: order_id }
  - expect_column_values_to_be_between: { column: quantity, min_value: 1, max_value: 100 }
  - expect_column_values_to_be_between: { column: unit_price, min_value: 0 }
  - expect_column_values_to_be_between: { column: discount, min_value: 0, max_value: 1 }
  - expect_column_values_to_be_in_set: { column: currency, value_set: [EUR, USD, GBP] }
  - expect_column_values_to_be_in_set: { column: status, value_set: [new, paid, sent, back] }
  - expect_column_value_lengths_to_be_between: { column: note, max_value: 60 }
  - expect_row: { id: updated.after_created, sql: updated_at >= created_at }
";

#[tokio::main]
async fn main() {
    let rows: u64 = std::env::args().nth(1).map_or(2_000_000, |text| text.parse().expect("a number of rows"));
    let db = testkit::database().await;
    let mysql = testkit::mysql_database().await;
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("quality")).expect("a folder");
    std::fs::write(folder.path().join("quality/lines.yaml"), SUITE).expect("write the suite");
    let mut shop = shop::filled(&mysql, TABLE, ROWS, rows).await;

    let registry = registry(&db.pool, &mysql, folder.path());
    // A first pass warms both servers, and shows what memory a tenth of the rows needs.
    let small = format!("create table small as select * from order_lines limit {}", rows / 10);
    sqlx::raw_sql(AssertSqlSafe(small)).execute(&mut shop).await.expect("a small table");
    move_rows(&registry, &db.pool, "small").await;
    let small_peak = peak_mib();

    let (manifest, extract, load) = move_rows(&registry, &db.pool, "order_lines").await;
    let peak = peak_mib();
    let unlike = unlike(&mut shop, &db.pool).await;
    assert!(unlike.is_empty(), "columns that did not arrive as they were: {unlike:?}");

    let read = read_limit(&mut shop).await;
    let write = copy_limit(&db.url, &db.pool).await;
    let per_second = |seconds: f64| rows as f64 / seconds;
    let speed = per_second(extract + load);
    let files = manifest["files"].as_array().into_iter().flatten().filter_map(|file| file["bytes"].as_f64());
    let note = format!(
        "{rows} rows of {} columns: extract {extract:.2} s, {:.0} MB of Parquet, gate and load {load:.2} s; limit: a bare \
         binary COPY; count, sum and checksum of every column are the same on both sides",
        COLUMNS.len(),
        files.sum::<f64>() / 1e6
    );
    report(
        "movement",
        &[
            Figure::new("movement_read_rows_per_s", per_second(read), "rows/s", "the source gives every row to nobody"),
            Figure::new("movement_copy_rows_per_s", per_second(write), "rows/s", "binary COPY of rows encoded before"),
            Figure::new("movement_rows_per_s", speed, "rows/s", note).against(per_second(write)),
            Figure::new("movement_extract_rows_per_s", per_second(extract), "rows/s", "limit: the bare read")
                .against(per_second(read)),
            Figure::new("movement_load_rows_per_s", per_second(load), "rows/s", "limit: the bare COPY")
                .against(per_second(write)),
            Figure::new("movement_peak_mib", peak, "MiB", format!("{rows} rows; a tenth of them: {small_peak:.0} MiB")),
        ],
    );
}

/// A column, and its text in Postgres as MariaDB prints it.
const COLUMNS: [(&str, &str); 16] = [
    ("id", "id::text"),
    ("order_id", "order_id::text"),
    ("line_number", "line_number::text"),
    ("customer_id", "customer_id::text"),
    ("product_id", "product_id::text"),
    ("sku", "sku"),
    ("quantity", "quantity::text"),
    ("unit_price", "unit_price::text"),
    ("discount", "discount::text"),
    ("line_total", "line_total::text"),
    ("currency", "currency"),
    ("status", "status"),
    ("gift", "gift::int::text"),
    ("note", "note"),
    ("created_at", "to_char(created_at, 'YYYY-MM-DD HH24:MI:SS.US')"),
    ("updated_at", "to_char(updated_at, 'YYYY-MM-DD HH24:MI:SS.US')"),
];

/// Columns whose values differ between source and target: in number, or in the sum of 60 bits of each value's MD5.
async fn unlike(shop: &mut MySqlConnection, pool: &PgPool) -> Vec<&'static str> {
    let mine = COLUMNS.map(|(name, _)| {
        format!(
            "concat_ws(' ', count({name}), sum(cast(conv(left(md5(cast({name} as char)), 15), 16, 10) as unsigned)))"
        )
    });
    let theirs = COLUMNS.map(|(name, text)| {
        format!("concat_ws(' ', count({name}), sum(('x' || left(md5({text}), 15))::bit(60)::bigint))")
    });
    let sql = format!("select cast(concat_ws('|', {}) as char) from order_lines", mine.join(", "));
    let source: String = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(shop).await.expect("sum up the source");
    let sql = format!("select concat_ws('|', {}) from staging.order_lines", theirs.join(", "));
    let target: String = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(pool).await.expect("sum up the target");
    let sums = source.split('|').zip(target.split('|'));
    COLUMNS.iter().zip(sums).filter(|(_, (mine, theirs))| mine != theirs).map(|((name, _), _)| *name).collect()
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
    let load = json!({"from": "extract", "into": format!("staging.{table}"), "gate": {"suite": "lines"}});
    let (_, load) = run("load", load, BTreeMap::from([("extract".to_owned(), manifest.clone())])).await;
    (manifest, extract, load)
}

/// Seconds in which the source gives every row to a client that looks at none.
async fn read_limit(shop: &mut MySqlConnection) -> f64 {
    let start = Instant::now();
    let mut rows = sqlx::query("select * from order_lines").fetch(shop);
    while rows.try_next().await.expect("read").is_some() {}
    start.elapsed().as_secs_f64()
}

/// Seconds in which Postgres takes the same rows by binary COPY, encoded beforehand.
async fn copy_limit(url: &str, pool: &PgPool) -> f64 {
    let mut connection = PgConnection::connect(url).await.expect("connect to Postgres");
    let mut encoded: Vec<Vec<u8>> = Vec::new();
    {
        let mut out = connection
            .copy_out_raw("copy staging.order_lines to stdout with (format binary)")
            .await
            .expect("read the rows");
        while let Some(part) = out.try_next().await.expect("read the rows") {
            match encoded.last_mut() {
                Some(last) if last.len() < 512 * 1024 => last.extend_from_slice(&part),
                _ => encoded.push(part.to_vec()),
            }
        }
    }
    sqlx::query("create table staging.limit_of_copy (like staging.order_lines)")
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
