//! The numbers of batches in Postgres: kept, found again, and judged by.

use chrono::{Days, TimeZone, Utc};
use polars::prelude::{Column, DataFrame};
use quality::{Batch, Evaluation, Outcome, RunRef, Suite, keep_numbers, watch};
use sqlx::PgConnection;

use crate::postgres::in_frame;

const SUITE: &str = "suite: orders
profile: [total]
anomalies:
  - { metric: row_count, direction: down }
  - { metric: mean, column: total, minimum: 5 }
  - { metric: null_share, column: missing }
  - { id: revenue, sql: 'select sum(total) from {batch}', minimum: 5, on_fail: fail, severity: critical }
  - { id: broken, sql: select 1 / 0 }
";

fn suite() -> Suite {
    Suite::parse("quality/orders.yaml", SUITE).unwrap_or_else(|faults| panic!("{faults:#?}"))
}

fn batch(day: u64) -> Batch {
    let at = Utc.with_ymd_and_hms(2026, 3, 1, 23, 0, 0).single().expect("a time") + Days::new(day);
    Batch { dataset: "staging.orders".into(), task: "load".into(), at, day: at.date_naive() + Days::new(1) }
}

/// Judges a batch of so many orders of 10 each, and keeps its numbers.
async fn judge(connection: &mut PgConnection, day: u64, orders: usize, load_id: Option<i64>) -> Evaluation {
    let totals = Column::new("total".into(), vec![10.0; orders]);
    let frame = DataFrame::new(orders, vec![totals]).expect("a frame");
    let suite = suite();
    let profile = suite.watched.profile_frame(&frame).expect("a profile");
    let mut evaluation = in_frame(suite.clone(), frame).await;
    let rows = format!("select 10.0::float8 as total from generate_series(1, {orders})");
    let (batch, run) = (batch(day), RunRef { run_id: Some(1), task: Some("load".into()), load_id });
    let numbers = watch(connection, &suite, &batch, Some(&rows), Some(&profile), &mut evaluation).await;
    let numbers = numbers.expect("numbers");
    keep_numbers(connection, &run, &suite, &batch, &numbers).await.expect("kept");
    evaluation
}

fn ended(evaluation: &Evaluation) -> Vec<(&str, Outcome)> {
    evaluation.checks.iter().map(|check| (&*check.id, check.outcome)).collect()
}

async fn load(connection: &mut PgConnection, verdict: &str) -> i64 {
    sqlx::query_scalar(
        "insert into sluice.load_ledger (dataset, batch_id, interval_start, interval_end, verdict, read, loaded, quarantined, deduplicated)
         values ('staging.orders', gen_random_uuid()::text, now(), now(), $1, 0, 0, 0, 0) returning load_id",
    )
    .bind(verdict)
    .fetch_one(connection)
    .await
    .expect("a load")
}

#[tokio::test]
async fn a_batch_is_judged_by_those_that_were_published_before_it() {
    use Outcome::{Errored, Failed, Passed, Vacuous};
    let database = testkit::database().await;
    let mut connection = database.pool.acquire().await.expect("a connection");
    let wanted = |count, mean, revenue| {
        let fixed = [("total.mean.anomaly", mean), ("missing.null_share.anomaly", Errored), ("revenue", revenue)];
        [vec![("row_count.anomaly", count)], fixed.to_vec(), vec![("broken", Errored)]].concat()
    };
    for day in 0..14 {
        let load_id = load(&mut connection, "passed").await;
        let found = judge(&mut connection, day, 100 + usize::try_from(day % 5).expect("small"), Some(load_id)).await;
        let judged = if day < 5 { Vacuous } else { Passed };
        assert_eq!(ended(&found), wanted(Vacuous, judged, judged), "day {day}");
    }
    // A refused batch teaches nothing: seven of nothing would.
    for day in 14..40 {
        let load_id = load(&mut connection, "failed").await;
        let found = judge(&mut connection, day, 3, Some(load_id)).await;
        assert_eq!(ended(&found), wanted(Failed, Passed, Failed), "day {day}");
        assert_eq!(found.verdict, quality::Verdict::Failed);
        let reason = found.checks[0].summary();
        assert!(
            reason.starts_with("row_count.anomaly failed: row_count 3; the median of 14 batches is 102"),
            "{reason}"
        );
    }
    let error = |found: &Evaluation, place: usize| found.checks[place].observed["error"].as_str().map(str::to_owned);
    let found = judge(&mut connection, 41, 101, None).await;
    assert_eq!(ended(&found), wanted(Passed, Passed, Passed));
    assert_eq!(error(&found, 2).as_deref(), Some("there is no column `missing`"));
    assert_eq!(error(&found, 4).as_deref(), Some("division by zero"));
}

#[tokio::test]
async fn a_repeat_takes_the_place_of_what_was_kept_and_is_judged_by_what_came_before_its_data() {
    let database = testkit::database().await;
    let mut connection = database.pool.acquire().await.expect("a connection");
    for day in 0..20 {
        judge_alone(&mut connection, day, 100).await;
    }
    // The same task of the same run again, and data of the middle, loaded late.
    let found = judge_alone(&mut connection, 16, 9000).await;
    let reason = found.checks[0].observed["reason"].as_str().expect("a reason");
    assert!(reason.contains("16 batches"), "{reason}");
    let kept: Vec<(String, i64)> = sqlx::query_as(
        "select \"column\", count(*) from sluice.profiles where data_at = $1 and not refused group by 1 order by 1",
    )
    .bind(batch(16).at)
    .fetch_all(&mut *connection)
    .await
    .expect("rows");
    assert_eq!(kept, [(String::new(), 1), ("total".to_owned(), 1)]);
    let mean: f64 =
        sqlx::query_scalar("select (metrics ->> 'mean')::float8 from sluice.profiles where place = 1 limit 1")
            .fetch_one(&mut *connection)
            .await
            .expect("a mean");
    assert!((mean - 10.0).abs() < 1e-9, "{mean}");
}

async fn judge_alone(connection: &mut PgConnection, day: u64, orders: usize) -> Evaluation {
    let totals = Column::new("total".into(), vec![10.0; orders]);
    let frame = DataFrame::new(orders, vec![totals]).expect("a frame");
    let suite = suite();
    let profile = suite.watched.profile_frame(&frame).expect("a profile");
    let mut evaluation = in_frame(suite.clone(), frame).await;
    let run = RunRef { run_id: i64::try_from(day).ok(), task: Some("load".into()), load_id: None };
    let numbers = watch(connection, &suite, &batch(day), None, Some(&profile), &mut evaluation).await.expect("numbers");
    keep_numbers(connection, &run, &suite, &batch(day), &numbers).await.expect("kept");
    evaluation
}
