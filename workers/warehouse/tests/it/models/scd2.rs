//! Dimensions with history.

use chrono::{DateTime, TimeDelta, TimeZone, Utc};
use sqlx::PgPool;
use testkit::database;
use warehouse::models::{Catalog, Changes, ModelError, SourceFile};

use super::support::{catalog, model, publish, rows, sql, with};

const TABLES: &str = "create extension if not exists btree_gist;
    create table if not exists warehouse.d (
        d_key bigint generated always as identity primary key, id int not null, v int, w text,
        valid_from timestamptz not null, valid_to timestamptz, is_inferred boolean not null default false,
        check (valid_from < valid_to),
        exclude using gist (id with =, tstzrange(valid_from, valid_to) with &&))";

fn dimension(settings: &str) -> Catalog {
    let sql = "select id, v, w, changed_at, is_inferred from staging.d";
    let mut files = with(model("warehouse.d", "scd2", "id v w changed_at is_inferred", sql), settings);
    files.push(SourceFile { path: "sql/warehouse/d.sql".to_owned(), text: TABLES.to_owned() });
    catalog(files)
}

async fn source(pool: &PgPool) {
    sql(
        pool,
        "create schema if not exists staging;
               create table staging.d (id int, v int, w text, changed_at timestamptz, is_inferred boolean)",
    )
    .await;
}

fn at(hour: i64) -> DateTime<Utc> {
    let start = Utc.with_ymd_and_hms(2026, 1, 1, 0, 0, 0).single().expect("a valid time");
    start + TimeDelta::hours(hour)
}

async fn set(pool: &PgPool, id: i32, v: i32, w: Option<&str>, changed_at: DateTime<Utc>) {
    sqlx::query("delete from staging.d where id = $1").bind(id).execute(pool).await.expect("delete");
    sqlx::query("insert into staging.d values ($1, $2, $3, $4, false)")
        .bind(id)
        .bind(v)
        .bind(w)
        .bind(changed_at)
        .execute(pool)
        .await
        .expect("insert");
}

const HISTORY: &str = "select id, v, w, valid_from, valid_to, is_inferred from warehouse.d order by id, valid_from";

#[tokio::test]
async fn a_change_closes_a_version_and_opens_one_at_the_same_instant() {
    let db = database().await;
    source(&db.pool).await;
    let catalog = dimension("");
    set(&db.pool, 1, 10, Some("a"), at(1)).await;
    set(&db.pool, 2, 20, None, at(2)).await;
    publish(&db.pool, &catalog).await.expect("published");
    set(&db.pool, 1, 11, Some("a"), at(5)).await;
    // Touched in the source, but nothing that is kept has changed.
    set(&db.pool, 2, 20, None, at(6)).await;
    let reports = publish(&db.pool, &catalog).await.expect("published again");
    assert_eq!(reports[0].changes, Changes { inserted: 1, closed: 1, ..Changes::default() });
    let expected = [
        "(1,10,a,\"1900-01-01 00:00:00+00\",\"2026-01-01 05:00:00+00\",f)",
        "(1,11,a,\"2026-01-01 05:00:00+00\",,f)",
        "(2,20,,\"1900-01-01 00:00:00+00\",,f)",
    ];
    assert_eq!(rows(&db.pool, HISTORY).await, expected);
    let before = rows(&db.pool, "select ctid, xmin, * from warehouse.d order by d_key").await;
    assert_eq!(publish(&db.pool, &catalog).await.expect("repeated")[0].changes, Changes::default());
    assert_eq!(rows(&db.pool, "select ctid, xmin, * from warehouse.d order by d_key").await, before);
}

#[tokio::test]
async fn an_inferred_member_is_filled_in_under_its_own_key() {
    let db = database().await;
    source(&db.pool).await;
    let catalog = dimension("");
    sql(&db.pool, "insert into staging.d values (7, null, null, null, true)").await;
    publish(&db.pool, &catalog).await.expect("inferred");
    assert_eq!(rows(&db.pool, HISTORY).await, ["(7,,,\"1900-01-01 00:00:00+00\",,t)"]);
    set(&db.pool, 7, 70, Some("b"), at(3)).await;
    let reports = publish(&db.pool, &catalog).await.expect("filled in");
    assert_eq!(reports[0].changes, Changes { updated: 1, ..Changes::default() });
    assert_eq!(rows(&db.pool, HISTORY).await, ["(7,70,b,\"1900-01-01 00:00:00+00\",,f)"]);
    assert_eq!(rows(&db.pool, "select d_key from warehouse.d").await, ["(1)"]);
    // Known now: that a fact names it again changes nothing.
    sql(&db.pool, "update staging.d set v = null, w = null, changed_at = null, is_inferred = true").await;
    assert_eq!(publish(&db.pool, &catalog).await.expect("known")[0].changes, Changes::default());
}

#[tokio::test]
async fn an_older_row_is_left_out_and_an_equally_old_one_corrects() {
    let db = database().await;
    source(&db.pool).await;
    let catalog = dimension("");
    set(&db.pool, 1, 10, None, at(1)).await;
    publish(&db.pool, &catalog).await.expect("first");
    set(&db.pool, 1, 11, None, at(5)).await;
    publish(&db.pool, &catalog).await.expect("second");
    set(&db.pool, 1, 12, None, at(4)).await;
    assert_eq!(publish(&db.pool, &catalog).await.expect("older")[0].changes.stale, 1);
    set(&db.pool, 1, 13, None, at(5)).await;
    let changes = publish(&db.pool, &catalog).await.expect("as old")[0].changes;
    assert_eq!(changes, Changes { updated: 1, ..Changes::default() });
    assert_eq!(rows(&db.pool, "select v from warehouse.d order by valid_from").await, ["(10)", "(13)"]);
}

#[tokio::test]
async fn a_mass_close_is_refused_and_nothing_changes() {
    let db = database().await;
    source(&db.pool).await;
    let catalog = dimension("scd2: { max_closed_percent: 40, missing: close }\n");
    for id in 0..40 {
        set(&db.pool, id, 0, None, at(0)).await;
    }
    publish(&db.pool, &catalog).await.expect("first");
    let before = rows(&db.pool, HISTORY).await;
    sql(
        &db.pool,
        "delete from staging.d where id < 10; update staging.d set v = 1, changed_at = changed_at + '1h'
                   where id between 10 and 16",
    )
    .await;
    let error = publish(&db.pool, &catalog).await.expect_err("17 of 40 are more than 40 %");
    assert!(matches!(error, ModelError::MassClose { closed: 17, open: 40, .. }), "{error}");
    assert_eq!(rows(&db.pool, HISTORY).await, before);
    sql(&db.pool, "update staging.d set v = 0 where id = 16").await;
    let changes = publish(&db.pool, &catalog).await.expect("16 of 40 are not")[0].changes;
    assert_eq!((changes.closed, changes.inserted), (6, 6));
    let gone = "select count(*) from warehouse.d where id < 10 and valid_to is not null";
    assert_eq!(rows(&db.pool, gone).await, ["(10)"], "members that are missing are closed");
    // One comes back: its new version begins after the old one ended.
    set(&db.pool, 3, 5, None, at(2)).await;
    publish(&db.pool, &catalog).await.expect("back");
    assert_eq!(rows(&db.pool, "select count(*) from warehouse.d where id = 3").await, ["(2)"]);
}

#[tokio::test]
async fn rows_without_a_date_are_refused() {
    let db = database().await;
    source(&db.pool).await;
    sql(&db.pool, "insert into staging.d values (1, 1, null, null, false)").await;
    let error = publish(&db.pool, &dimension("")).await.expect_err("refused").to_string();
    assert!(error.contains("1 rows have no `changed_at`"), "{error}");
}

/// Whatever happens in the source, the dimension tells the state of every member at every instant at which it
/// was looked at; versions of a member neither overlap nor leave gaps, and a repeat changes nothing.
#[tokio::test]
async fn history_reconstructs() {
    let db = database().await;
    source(&db.pool).await;
    let catalog = dimension("scd2: { max_closed_percent: 100 }\n");
    // A small generator of our own: the same sequence on every machine.
    let mut state = 88_172_645_463_325_252_u64;
    let mut random = |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    let mut seen: Vec<(DateTime<Utc>, i32, i32)> = Vec::new();
    for step in 1..=25 {
        for id in 0..12 {
            if random(3) == 0 {
                let v = i32::try_from(random(4)).expect("small");
                set(&db.pool, id, v, None, at(step * 10)).await;
            }
        }
        publish(&db.pool, &catalog).await.unwrap_or_else(|error| panic!("step {step}: {error}"));
        let repeated = publish(&db.pool, &catalog).await.expect("repeated");
        assert_eq!(repeated[0].changes, Changes::default(), "step {step}");
        let now: Vec<(i32, i32)> =
            sqlx::query_as("select id, v from staging.d").fetch_all(&db.pool).await.expect("read");
        seen.extend(now.into_iter().map(|(id, v)| (at(step * 10 + 5), id, v)));
    }
    assert!(seen.len() > 200, "only {} states seen", seen.len());
    for (instant, id, v) in seen {
        let found: Vec<i32> = sqlx::query_scalar(
            "select v from warehouse.d where id = $1 and valid_from <= $2 and (valid_to is null or $2 < valid_to)",
        )
        .bind(id)
        .bind(instant)
        .fetch_all(&db.pool)
        .await
        .expect("read");
        assert_eq!(found, [v], "member {id} at {instant}");
    }
    let gaps =
        "select id from (select id, valid_from, lag(valid_to) over (partition by id order by valid_from) as ended
                from warehouse.d) as x where ended <> valid_from";
    assert!(rows(&db.pool, gaps).await.is_empty());
}
