use std::cell::Cell;

use chrono::{DateTime, TimeDelta, TimeZone, Utc};
use simshop::{Body, Event, Traffic};
use sqlx::{AssertSqlSafe, MySqlPool, query_as, query_scalar};
use tasks::generate::{Config, csv, live, mysql};
use tokio_util::sync::CancellationToken;
use workflow::error::ErrorDomain;

const TABLES: [&str; 15] = [
    "categories",
    "suppliers",
    "products",
    "product_prices",
    "customers",
    "distribution_centers",
    "shippers",
    "inventory",
    "orders",
    "order_items",
    "payments",
    "shipments",
    "inventory_movements",
    "generator_truth",
    "generator_chunk",
];

fn now() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 6, 1, 12, 30, 0).single().expect("an instant")
}

fn small() -> Config {
    Config { scale: 0.4, days: 60, ..Config::default() }
}

async fn shop() -> MySqlPool {
    MySqlPool::connect(&testkit::mysql_database().await).await.expect("connect to the shop")
}

/// Everything in the shop, as one checksum a table.
async fn checksums(pool: &MySqlPool) -> Vec<(String, i64)> {
    let mut sums = Vec::new();
    for table in TABLES.iter().filter(|table| !table.starts_with("generator_")) {
        // Column by column: CHECKSUM TABLE of a table with a virtual column changes each time MariaDB opens the table.
        let columns: String = query_scalar(
            "select cast(group_concat(concat('ifnull(', column_name, ', char(0))') order by ordinal_position) as char)
             from information_schema.columns where table_schema = database() and table_name = ?",
        )
        .bind(table.to_string())
        .fetch_one(pool)
        .await
        .expect("the columns");
        let digest = format!("select cast(sum(crc32(concat_ws('|', {columns}))) as signed) from {table}");
        sums.push((table.to_string(), query_scalar(AssertSqlSafe(digest)).fetch_one(pool).await.expect("a digest")));
    }
    sums
}

async fn count(pool: &MySqlPool, table: &str) -> i64 {
    query_scalar(AssertSqlSafe(format!("select count(*) from {table}"))).fetch_one(pool).await.expect("a count")
}

#[tokio::test]
async fn a_second_run_changes_nothing_and_a_killed_one_is_completed() {
    let (whole, broken) = (shop().await, shop().await);
    let never = CancellationToken::new();
    let first = mysql::write(&whole, &small(), now(), &never, drop).await.expect("a first run");
    assert_eq!(first.chunks_written, first.chunks);
    assert_eq!(count(&whole, "customers").await, 4_000);
    assert!(count(&whole, "generator_truth").await > 50);
    let sums = checksums(&whole).await;

    // Later in the day, and without saying where the past ends: the first run's end holds.
    let later = now() + TimeDelta::hours(5);
    let second = mysql::write(&whole, &small(), later, &never, drop).await.expect("a second run");
    assert_eq!((second.chunks_written, second.until), (0, first.until));
    assert_eq!(checksums(&whole).await, sums);

    let stop = CancellationToken::new();
    let lines = Cell::new(0);
    let halfway = |_line: String| {
        lines.set(lines.get() + 1);
        if lines.get() == 4 {
            stop.cancel();
        }
    };
    mysql::write(&broken, &small(), now(), &stop, halfway).await.expect_err("a run that was stopped");
    assert!(count(&broken, "orders").await < count(&whole, "orders").await);
    mysql::write(&broken, &small(), later, &never, drop).await.expect("the run that completes it");
    assert_eq!(checksums(&broken).await, sums);
}

#[tokio::test]
async fn a_shop_made_from_other_settings_is_left_alone() {
    let pool = shop().await;
    let never = CancellationToken::new();
    let tiny = Config { scale: 0.01, days: 3, ..Config::default() };
    mysql::write(&pool, &tiny, now(), &never, drop).await.expect("a first run");
    let sums = checksums(&pool).await;
    let other = Config { seed: 43, ..tiny };
    let refused = mysql::write(&pool, &other, now(), &never, drop).await.expect_err("another seed");
    assert_eq!(refused.domain, ErrorDomain::User);
    assert!(refused.to_string().contains("\"seed\":42"), "{refused}");
    assert_eq!(checksums(&pool).await, sums);
}

#[tokio::test]
async fn live_orders_and_their_events_tell_of_the_same() {
    let pool = shop().await;
    let never = CancellationToken::new();
    let tiny = Config { scale: 0.05, days: 5, ..Config::default() };
    // The living shop finds an empty database, and another time the past that it has by then.
    let first = mysql::complete(&pool, &tiny, Utc::now(), &never, drop).await.expect("a past");
    assert_eq!(first.chunks_written, first.chunks);
    let again = mysql::complete(&pool, &Config::default(), Utc::now(), &never, drop).await.expect("the same past");
    assert_eq!((again.chunks_written, again.until), (0, first.until));
    let before = count(&pool, "orders").await;

    let stop = CancellationToken::new();
    let mut events: Vec<Event> = Vec::new();
    let traffic = Traffic {
        events_per_s: 4_000.0,
        attack_every: Some(TimeDelta::seconds(2)),
        new_customer_rate: 0.5,
        ..Traffic::default()
    };
    let tally = live::run(&pool, traffic, &stop, |event| {
        events.push(event);
        let orders = events.iter().filter(|event| event.sale.is_some()).count();
        if orders == 12 {
            stop.cancel();
        }
        async { Ok(()) }
    })
    .await
    .expect("live traffic");
    assert_eq!(tally.orders, 12);
    assert_eq!(tally.events, events.len() as u64);
    assert_eq!(count(&pool, "orders").await, before + 12);
    for event in &events {
        let Body::Order(order) = &event.body else { continue };
        let (customer, total, payment): (u64, String, String) = query_as(
            "select o.customer_id, cast(o.total as char), p.status from orders o join payments p on p.order_id = o.id \
             where o.id = ?",
        )
        .bind(order.order_id)
        .fetch_one(&pool)
        .await
        .expect("the order of an event");
        assert_eq!(customer, order.customer_id);
        assert_eq!(total, order.amount.to_string());
        assert_eq!(payment, order.status);
    }
    let drift: i64 = query_scalar(
        "select count(*) from inventory i where i.on_hand >= 0 and i.on_hand <> (select sum(m.quantity) \
         from inventory_movements m where m.product_id = i.product_id \
         and m.distribution_center_id = i.distribution_center_id)",
    )
    .fetch_one(&pool)
    .await
    .expect("a count");
    assert_eq!(drift, 0, "the shelves are the sum of what moved");
}

#[test]
fn csv_files_hold_the_same_rows_each_time() {
    let dir = tempfile::tempdir().expect("a folder");
    let settings = Config { scale: 0.01, days: 3, ..Config::default() }.settings(now());
    let counts = csv::write(dir.path(), &settings).expect("files");
    let read = |table: &str| std::fs::read_to_string(dir.path().join(format!("{table}.csv"))).expect("a file");
    let customers = read("customers");
    assert_eq!(customers.lines().count() as u64, counts["customers"] + 1);
    assert!(customers.starts_with("id,customer_number,email,"));
    csv::write(dir.path(), &settings).expect("files again");
    assert_eq!(read("customers"), customers);
}
