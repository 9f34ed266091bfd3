//! The engine over Postgres: equal to the engine over frames, and safe from names and values.

use polars::prelude::{Column, DataFrame};
use quality::{
    Beside, Evaluation, Outcome, QualityError, RunRef, Suite, Table, Verdict, evaluate_frame, evaluate_frame_beside,
    evaluate_table, record,
};
use serde_json::Value;
use sqlx::{Connection, PgPool};

use crate::cases::{all_cases, assert_cases, frame, suite};

/// The rows of [`frame`] as a table.
const ROWS: &str = include_str!("cases.sql");

pub(crate) fn table(text: &str) -> Table {
    text.parse().expect("a table")
}

pub(crate) async fn cases() -> PgPool {
    let database = testkit::database().await;
    sqlx::raw_sql(ROWS).execute(&database.pool).await.expect("the rows");
    database.pool
}

/// Frames are worked on off the async threads.
pub(crate) async fn in_frame(suite: Suite, frame: DataFrame) -> Evaluation {
    tokio::task::spawn_blocking(move || evaluate_frame(&suite, &frame)).await.expect("an evaluation")
}

pub(crate) async fn in_frame_beside(suite: Suite, frame: DataFrame, beside: Beside) -> Evaluation {
    tokio::task::spawn_blocking(move || evaluate_frame_beside(&suite, &frame, &beside)).await.expect("an evaluation")
}

async fn evaluate(pool: &PgPool, suite: &Suite, name: &str) -> Evaluation {
    let mut connection = pool.acquire().await.expect("a connection");
    evaluate_table(&mut connection, suite, &table(name)).await.expect("an evaluation")
}

/// What was observed, with samples in an order of their own: a table has none.
pub(crate) fn comparable(evaluation: &Evaluation) -> Vec<(String, Outcome, Value)> {
    let sorted = |observed: &Value| {
        let mut observed = observed.clone();
        // Only a frame's rows have places, and each engine has its own names for types.
        let is_type = observed["details"].get("type").is_some();
        if let Some(observed) = observed.as_object_mut() {
            observed.remove("partial_unexpected_index_list");
            observed.retain(|key, _| !is_type || !matches!(key.as_str(), "observed_value" | "details"));
        }
        if let Some(samples) = observed.get_mut("partial_unexpected_list").and_then(Value::as_array_mut) {
            samples.sort_by_key(ToString::to_string);
        }
        // The two say in their own words why something cannot be evaluated.
        if observed.get("error").is_some() { Value::Null } else { observed }
    };
    evaluation.checks.iter().map(|c| (c.id.clone(), c.outcome, sorted(&c.observed))).collect()
}

#[tokio::test]
async fn tables_find_what_each_case_says_and_what_frames_find() {
    let pool = cases().await;
    let in_table = evaluate(&pool, &all_cases(), "public.cases").await;
    assert_cases(&in_table);
    let framed = comparable(&in_frame(all_cases(), frame()).await);
    for (a, b) in comparable(&in_table).iter().zip(&framed) {
        assert_eq!(a, b);
    }
    assert_eq!(in_table.rows, 6);
}

#[tokio::test]
async fn a_fault_in_the_data_stays_with_its_check() {
    let pool = cases().await;
    let checks = "  - expect_row: { id: overflows, sql: 'weight * 1e308 * 1e308 > 0', when: 'weight = 2' }
  - expect_column_values_to_not_be_null: { column: id }
";
    let found = evaluate(&pool, &suite(checks), "public.cases").await;
    let outcomes: Vec<_> = found.checks.iter().map(|check| check.outcome).collect();
    assert_eq!(outcomes, [Outcome::Errored, Outcome::Passed]);
    assert_eq!(found.rows, 6);
    assert_eq!(found.verdict, Verdict::Failed);
}

#[tokio::test]
async fn hostile_names_and_values_are_names_and_values() {
    let database = testkit::database().await;
    sqlx::raw_sql(r#"create schema "S x"; create table "S x"."t""; drop" ("a""b" text, "*" int); insert into "S x"."t""; drop" values ('''; drop table x; --', 1), (null, 2);"#)
        .execute(&database.pool)
        .await
        .expect("a table");
    let checks = r#"  - expect_column_values_to_be_in_set: { column: 'a"b', value_set: ["'; drop table x; --", 'a"b', '{', ','] }
  - expect_column_values_to_be_between: { column: '*', min_value: 2 }
  - expect_row: { sql: '"*" > 1 or "a""b" like ''%x%''' }
"#;
    let mut connection = database.pool.acquire().await.expect("a connection");
    let table = Table { schema: "S x".into(), name: "t\"; drop".into() };
    let found = evaluate_table(&mut connection, &suite(checks), &table).await.expect("an evaluation");
    let outcomes: Vec<_> = found.checks.iter().map(|c| (c.outcome, &c.observed["unexpected_count"])).collect();
    assert_eq!(
        outcomes,
        [(Outcome::Passed, &Value::from(0)), (Outcome::Failed, &Value::from(1)), (Outcome::Passed, &Value::from(0))]
    );
}

#[tokio::test]
async fn an_empty_table_is_vacuous_and_a_missing_one_is_an_error() {
    let pool = cases().await;
    sqlx::raw_sql("create table public.empty (like public.cases)").execute(&pool).await.expect("a table");
    let checks = "  - expect_column_values_to_not_be_null: { column: id }
  - expect_column_max_to_be_between: { column: id, max_value: 1 }
  - expect_column_distinct_values_to_be_in_set: { column: id, value_set: [1] }
";
    let in_table = evaluate(&pool, &suite(checks), "public.empty").await;
    assert!(in_table.checks.iter().all(|check| check.outcome == Outcome::Vacuous), "{in_table:?}");
    let framed = in_frame(suite(checks), frame().head(Some(0))).await;
    assert_eq!(comparable(&in_table), comparable(&framed));
    let mut connection = pool.acquire().await.expect("a connection");
    let missing = evaluate_table(&mut connection, &suite(checks), &table("public.absent")).await;
    assert!(matches!(missing, Err(QualityError::NoTable(_))), "{missing:?}");
}

#[tokio::test]
async fn queries_find_unexpected_rows_and_write_nothing() {
    let pool = cases().await;
    sqlx::raw_sql(
        "create table public.other (id int); insert into public.other select generate_series(1, 6);
         create function public.writes() returns int language sql as 'insert into public.other values (7) returning id'",
    )
    .execute(&pool)
    .await
    .expect("tables");
    let checks =
        "  - unexpected_rows_expectation: { id: none, unexpected_rows_query: 'select * from {batch} where id > 5' }
  - unexpected_rows_expectation: { id: two, unexpected_rows_query: 'select id, city from {batch} where id > 4;' }
  - unexpected_rows_expectation:
      { id: when, unexpected_rows_query: 'select b.id from {batch} b join public.other using (id)', when: id < 3 }
  - unexpected_rows_expectation: { id: writes, unexpected_rows_query: 'select public.writes() from {batch}' }
  - unexpected_rows_expectation: { id: two_statements, unexpected_rows_query: 'select 1; drop table public.other' }
  - expect_table_row_count_to_equal_other_table: { id: as_many, other_table_name: other }
  - expect_table_row_count_to_equal_other_table: { id: fewer, other_table_name: public.other, when: id < 5 }
  - expect_table_row_count_to_equal_other_table: { id: missing, other_table_name: nowhere.other }
";
    let found = evaluate(&pool, &suite(checks), "public.cases").await;
    let outcomes: Vec<_> = found.checks.iter().map(|check| (check.id.as_str(), check.outcome)).collect();
    let wanted = [
        ("none", Outcome::Passed),
        ("two", Outcome::Failed),
        ("when", Outcome::Failed),
        ("writes", Outcome::Errored),
        ("two_statements", Outcome::Errored),
        ("as_many", Outcome::Passed),
        ("fewer", Outcome::Failed),
        ("missing", Outcome::Errored),
    ];
    assert_eq!(outcomes, wanted, "{found:#?}");
    assert_eq!(found.checks[1].observed["observed_value"], "2 unexpected rows");
    assert_eq!(found.checks[1].observed["details"]["unexpected_rows"][0]["id"], 5);
    assert_eq!(found.checks[2].observed["observed_value"], "2 unexpected rows");
    assert_eq!(found.checks[6].observed["observed_value"], serde_json::json!({ "self": 4, "other": 6 }));
    let rows: i64 = sqlx::query_scalar("select count(*) from public.other").fetch_one(&pool).await.expect("a count");
    assert_eq!(rows, 6);
    let framed = in_frame(suite(checks), frame()).await;
    assert!(framed.checks.iter().all(|check| check.outcome == Outcome::Errored), "{framed:?}");
}

#[tokio::test]
async fn outcomes_are_recorded_in_the_callers_transaction() {
    let database = testkit::database().await;
    let checks = "  - expect_column_values_to_not_be_null: { column: a, on_fail: warn }
  - expect_column_values_to_be_in_set: { column: a, value_set: [x], owner: money, tags: [finance] }
owner: shop
tags: [sales]
";
    let frame = DataFrame::new(2, vec![Column::new("a".into(), [Some("nul \0 byte"), None])]).expect("a frame");
    let (suite, run) = (suite(checks), RunRef { run_id: Some(7), task: Some("check".into()), load_id: None });
    let evaluation = in_frame(suite.clone(), frame).await;
    let mut connection = database.pool.acquire().await.expect("a connection");
    for keep in [false, true] {
        let mut transaction = connection.begin().await.expect("a transaction");
        record(&mut transaction, &run, "staging.a", &suite, &evaluation).await.expect("recorded");
        if keep {
            transaction.commit().await.expect("a commit");
        }
    }
    let rows: Vec<(i64, String, String, String, Value)> = sqlx::query_as(
        "select run_id, check_id, outcome, dataset, observed from sluice.check_results order by check_id desc",
    )
    .fetch_all(&mut *connection)
    .await
    .expect("rows");
    let answers: Vec<(Option<String>, Vec<String>)> =
        sqlx::query_as("select owner, tags from sluice.check_results order by check_id desc")
            .fetch_all(&mut *connection)
            .await
            .expect("rows");
    let of = |owner: &str, tags: &[&str]| (Some(owner.to_owned()), tags.iter().map(|tag| (*tag).to_owned()).collect());
    assert_eq!(answers, [of("shop", &["sales"]), of("money", &["sales", "finance"])]);
    let ids: Vec<_> = rows.iter().map(|row| (row.0, row.1.as_str(), row.2.as_str(), row.3.as_str())).collect();
    assert_eq!(ids, [(7, "a.not_null", "failed", "staging.a"), (7, "a.in_set", "failed", "staging.a")]);
    assert_eq!(rows[1].4["partial_unexpected_list"][0], "nul \u{2400} byte");
}
