//! Not-a-number is the greatest number, to both engines.

use polars::prelude::{Column, DataFrame};
use quality::{Outcome, evaluate_table};

use crate::{
    cases::suite,
    postgres::{comparable, in_frame, table},
};

/// A check and how it must end on `some` (1, NaN, null, 3), `only` (NaN) and `none` (1, 3).
const CASES: &[(&str, [Outcome; 3])] = &[
    ("expect_column_max_to_be_between: { max_value: 3 }", [Outcome::Failed, Outcome::Failed, Outcome::Passed]),
    ("expect_column_max_to_be_between: { min_value: 3 }", [Outcome::Passed, Outcome::Passed, Outcome::Passed]),
    (
        "expect_column_max_to_be_between: { max_value: 3, when: 'value <= 3' }",
        [Outcome::Passed, Outcome::Vacuous, Outcome::Passed],
    ),
    ("expect_column_min_to_be_between: { max_value: 1 }", [Outcome::Passed, Outcome::Failed, Outcome::Passed]),
    ("expect_column_min_to_be_between: { min_value: 1 }", [Outcome::Passed, Outcome::Passed, Outcome::Passed]),
    ("expect_column_sum_to_be_between: { max_value: 4 }", [Outcome::Failed, Outcome::Failed, Outcome::Passed]),
    ("expect_column_mean_to_be_between: { max_value: 2 }", [Outcome::Failed, Outcome::Failed, Outcome::Passed]),
    ("expect_column_median_to_be_between: { max_value: 3 }", [Outcome::Passed, Outcome::Failed, Outcome::Passed]),
    ("expect_column_stdev_to_be_between: { max_value: 2 }", [Outcome::Failed, Outcome::Vacuous, Outcome::Passed]),
    (
        "expect_column_unique_value_count_to_be_between: { max_value: 2 }",
        [Outcome::Failed, Outcome::Passed, Outcome::Passed],
    ),
    ("expect_column_values_to_be_between: { max_value: 3 }", [Outcome::Failed, Outcome::Failed, Outcome::Passed]),
    ("expect_column_values_to_be_between: { min_value: 1 }", [Outcome::Passed, Outcome::Passed, Outcome::Passed]),
];

#[tokio::test]
async fn both_engines_agree_on_what_is_no_number() {
    let database = testkit::empty_database().await;
    let mut connection = database.pool.acquire().await.expect("a connection");
    let checks: String = CASES
        .iter()
        .enumerate()
        .map(|(index, (check, _))| {
            format!("  - {}\n", check.replace("{ ", &format!("{{ id: c{index}, column: value, ")))
        })
        .collect();
    let columns: [&[Option<f64>]; 3] =
        [&[Some(1.0), Some(f64::NAN), None, Some(3.0)], &[Some(f64::NAN)], &[Some(1.0), Some(3.0)]];
    let mut differ = Vec::new();
    for (place, values) in columns.into_iter().enumerate() {
        let name = ["some", "only", "none"][place];
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!("create table \"{name}\" (value double precision)")))
            .execute(&mut *connection)
            .await
            .expect("a table");
        sqlx::query(sqlx::AssertSqlSafe(format!("insert into \"{name}\" select unnest($1::double precision[])")))
            .bind(values)
            .execute(&mut *connection)
            .await
            .expect("rows");
        let in_table = evaluate_table(&mut connection, &suite(&checks), &table(&format!("public.{name}"))).await;
        let in_table = comparable(&in_table.expect("an evaluation"));
        let frame = DataFrame::new(values.len(), vec![Column::new("value".into(), values)]).expect("a frame");
        let framed = comparable(&in_frame(suite(&checks), frame).await);
        for ((framed, in_table), (check, outcomes)) in framed.iter().zip(&in_table).zip(CASES) {
            if framed != in_table || framed.1 != outcomes[place] {
                differ.push(format!("{name}: {check}\n  wanted {}\n  {framed:?}\n  {in_table:?}", outcomes[place]));
            }
        }
    }
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}
