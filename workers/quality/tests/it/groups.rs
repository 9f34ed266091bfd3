//! Checks that are asked of each group of rows.

use polars::prelude::{Column, DataFrame};
use quality::{Evaluation, Outcome, evaluate_table};
use serde_json::json;

use crate::{
    cases::suite,
    postgres::{comparable, in_frame, table},
};

/// 90 rows in 30 groups of 3; in the groups 5 to 29 the first `bad` rows are below zero.
const ROWS: &str = "select g as country, n, case when g >= 5 and n < (g % 3) + 1 then -1 else 1 end as v, n * 10 as w
    from generate_series(0, 29) g, generate_series(0, 2) n";

fn rows() -> DataFrame {
    let each = || (0..30i64).flat_map(|country| (0..3i64).map(move |n| (country, n)));
    let column = |name: &str, of: fn((i64, i64)) -> i64| Column::new(name.into(), each().map(of).collect::<Vec<_>>());
    let bad = |(country, n): (i64, i64)| if country >= 5 && n < country % 3 + 1 { -1 } else { 1 };
    let columns = vec![
        column("country", |(country, _)| country),
        column("n", |(_, n)| n),
        column("v", bad),
        column("w", |(_, n)| n * 10),
    ];
    DataFrame::new(90, columns).expect("a frame")
}

const CHECKS: &str = "
  - expect_column_values_to_be_between: { id: one_bad_row_borne, column: v, min_value: 0, at_most: 1, group_by: [country] }
  - expect_column_values_to_be_between: { id: any, column: v, min_value: 0, group_by: country, on_fail: quarantine }
  - expect_column_mean_to_be_between: { id: mean, column: v, min_value: -0.5, group_by: country }
  - expect_column_values_to_be_unique: { id: unique, column: n, group_by: country }
  - expect_column_values_to_be_increasing: { id: order, column: n, order_by: w, strictly: true, group_by: country }
  - expect_table_row_count_to_be_between: { id: rows, min_value: 4, group_by: country, when: country < 2 }
";

fn assert_found(found: &Evaluation) {
    let check = |id: &str| found.checks.iter().find(|check| check.id == id).expect("a check");
    let borne = check("one_bad_row_borne");
    assert_eq!(borne.outcome, Outcome::Failed);
    let groups = &borne.observed["groups"];
    // Of 25 groups with bad rows, those of one such row (the 8 that are divisible by 3) are borne.
    assert_eq!((&groups["count"], &groups["failed"], &groups["vacuous"]), (&json!(30), &json!(17), &json!(0)));
    assert_eq!(
        groups["worst"][0],
        json!({ "group": { "country": 5 }, "element_count": 3, "missing_count": 0, "unexpected_count": 3,
                "unexpected_percent": 100.0, "allowed_count": 1 })
    );
    assert_eq!(groups["worst"].as_array().map(Vec::len), Some(17));
    assert_eq!(borne.observed["unexpected_count"], json!(8 + 8 * 2 + 9 * 3));
    assert!(
        borne.summary().starts_with("one_bad_row_borne failed: 17 of 30 groups by country, worst 5: 3 of 3 rows; 8: ")
    );

    let any = &check("any").observed["groups"];
    assert_eq!(any["failed"], 25);
    assert_eq!(any["worst"].as_array().map(Vec::len), Some(20), "the list is bounded");

    let mean = &check("mean").observed["groups"];
    assert_eq!((&mean["failed"], &mean["worst"][0]["observed_value"]), (&json!(9), &json!(-1.0)));
    assert_eq!(check("unique").outcome, Outcome::Passed);
    assert_eq!(check("order").outcome, Outcome::Passed);
    let counted = &check("rows").observed["groups"];
    assert_eq!((&counted["count"], &counted["failed"]), (&json!(2), &json!(2)), "groups of what `when` leaves");
}

#[tokio::test]
async fn each_group_is_judged_by_itself_and_the_worst_are_named() {
    let framed = in_frame(suite(CHECKS), rows()).await;
    assert_found(&framed);

    let database = testkit::database().await;
    let mut connection = database.pool.acquire().await.expect("a connection");
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!("create table public.grouped as {ROWS}")))
        .execute(&mut *connection)
        .await
        .expect("rows");
    let in_table =
        evaluate_table(&mut connection, &suite(CHECKS), &table("public.grouped")).await.expect("an evaluation");
    assert_found(&in_table);
    let without_samples = |found: &Evaluation| {
        comparable(found)
            .into_iter()
            .map(|(id, outcome, observed)| (id, outcome, observed["groups"].clone()))
            .collect::<Vec<_>>()
    };
    assert_eq!(without_samples(&framed), without_samples(&in_table));
}

#[tokio::test]
async fn only_rows_of_groups_that_failed_are_held_back() {
    let checks = "
  - expect_column_values_to_be_between: { id: b, column: v, min_value: 0, at_most: 1, group_by: country, on_fail: quarantine }
";
    let found = in_frame(suite(checks), rows()).await;
    let held: Vec<_> = found.failed_rows.keys().copied().collect();
    assert_eq!(held.len(), 8 * 2 + 9 * 3);
    // The group 6 has one bad row, its first, and bears it; all three of the group 5 are bad.
    assert!(held.contains(&15) && held.contains(&16) && held.contains(&17) && !held.contains(&18));
}

#[tokio::test]
async fn no_groups_are_nothing_to_check() {
    let checks = "
  - expect_column_values_to_be_between: { column: v, min_value: 0, group_by: country, when: country > 99 }
  - expect_column_mean_to_be_between: { column: v, min_value: 0, group_by: country, when: country > 99 }
";
    let found = in_frame(suite(checks), rows()).await;
    assert!(found.checks.iter().all(|check| check.outcome == Outcome::Vacuous), "{found:#?}");
    assert_eq!(found.checks[0].id, "v.between.by.country");
}
