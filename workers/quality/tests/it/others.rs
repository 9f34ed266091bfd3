//! Checks against other datasets: keys that must exist there, numbers that must agree.

use polars::prelude::{Column, DataFrame};
use quality::{Beside, Evaluation, Outcome, evaluate_table};
use serde_json::json;

use crate::{
    cases::suite,
    postgres::{comparable, in_frame_beside, table},
};

const TABLES: &str = "
    create table public.orders (id int, customer int, country text, part text, total numeric(10,2));
    insert into public.orders values (1, 10, 'DE', 'a', 1.10), (2, 11, 'DE', 'b', 2.20), (3, 99, 'FR', 'a', 3.30),
        (4, null, 'FR', 'b', 4.40), (5, 12, null, 'zz', null), (6, 99, 'x', null, 0.05);
    create table public.customers (id bigint, country text, part text, total double precision);
    insert into public.customers values (10, 'DE', 'a', 1.25), (11, 'DE', 'b', 2.25), (12, 'FR', 'a', 3.25), (null, null, 'zz', 4.25);
    create table public.nobody (id int, total int);
";

fn orders() -> DataFrame {
    let cents = [Some(110i64), Some(220), Some(330), Some(440), None, Some(5)];
    let total = Column::new("total".into(), cents.map(|c| c.map(|c| c as f64 / 100.0)).as_slice());
    let total = total.cast(&polars::prelude::DataType::Decimal(10, 2)).expect("decimals");
    let columns = vec![
        Column::new("id".into(), [1i32, 2, 3, 4, 5, 6].as_slice()),
        Column::new("customer".into(), [Some(10i32), Some(11), Some(99), None, Some(12), Some(99)].as_slice()),
        Column::new("country".into(), [Some("DE"), Some("DE"), Some("FR"), Some("FR"), None, Some("x")].as_slice()),
        Column::new("part".into(), [Some("a"), Some("b"), Some("a"), Some("b"), Some("zz"), None].as_slice()),
        total,
    ];
    DataFrame::new(6, columns).expect("a frame")
}

fn customers() -> DataFrame {
    let columns = vec![
        Column::new("id".into(), [Some(10i64), Some(11), Some(12), None].as_slice()),
        Column::new("country".into(), [Some("DE"), Some("DE"), Some("FR"), None].as_slice()),
        Column::new("part".into(), ["a", "b", "a", "zz"].as_slice()),
        Column::new("total".into(), [1.25, 2.25, 3.25, 4.25].as_slice()),
    ];
    DataFrame::new(4, columns).expect("a frame")
}

fn file(path: &str) -> Result<DataFrame, String> {
    match path {
        "customers.parquet" => Ok(customers()),
        "nobody.parquet" => Ok(customers().head(Some(0))),
        _ => Err("no such file".to_owned()),
    }
}

const CHECKS: &str = "
  - expect_column_values_to_exist_in: { id: customer, column: customer, dataset: public.customers, other_column: id }
  - expect_column_values_to_exist_in:
      { id: borne, column: customer, dataset: public.customers, other_column: id, at_most: 2 }
  - expect_column_values_to_exist_in:
      { id: by_country, column: customer, dataset: public.customers, other_column: id, group_by: country, at_most: 0 }
  - expect_column_values_to_exist_in:
      { id: paid, column: customer, dataset: public.customers, other_column: id, when: total < 1 }
  - expect_compound_columns_to_exist_in: { id: pair, column_list: [country, part], dataset: public.customers }
  - expect_column_values_to_exist_in: { id: none, column: customer, dataset: public.customers, other_column: id, when: id = 4 }
  - expect_column_values_to_exist_in: { id: text, column: part, dataset: public.customers }
  - expect_column_values_to_exist_in: { id: empty, column: part, dataset: public.customers, when: part = 'zz' }
  - expect_table_row_count_to_agree_with: { id: rows, dataset: public.customers, tolerance: 1 }
  - expect_table_row_count_to_agree_with: { id: rows_percent, dataset: public.customers, tolerance: 50 % }
  - expect_table_row_count_to_agree_with: { id: some_rows, dataset: public.customers, other_when: part <> 'zz', when: id < 4 }
  - expect_column_sum_to_agree_with: { id: sum, column: total, dataset: public.customers, tolerance: 0.06 }
  - expect_column_sum_to_agree_with: { id: sum_exact, column: total, dataset: public.customers }
  - expect_column_sum_to_agree_with: { id: no_sum, column: total, dataset: public.nobody, when: id = 5 }
  - expect_column_sum_to_agree_with: { id: nothing_there, column: total, dataset: public.nobody, tolerance: 50 % }
  - expect_column_values_to_exist_in: { id: other_type, column: country, dataset: public.customers, other_column: id }
  - expect_column_values_to_exist_in: { id: no_column, column: country, dataset: public.customers, other_column: land }
  - expect_column_values_to_exist_in: { id: no_table, column: country, dataset: public.absent }
  - expect_column_sum_to_agree_with: { id: no_numbers, column: total, dataset: public.customers, other_column: part }
";

fn assert_found(found: &Evaluation) {
    use Outcome::{Errored, Failed, Passed, Vacuous};
    let ended: Vec<_> = found.checks.iter().map(|check| (check.id.as_str(), check.outcome)).collect();
    let wanted = [
        ("customer", Failed),
        ("borne", Passed),
        ("by_country", Failed),
        ("paid", Failed),
        ("pair", Failed),
        ("none", Vacuous),
        ("text", Passed),
        ("empty", Passed),
        ("rows", Failed),
        ("rows_percent", Passed),
        ("some_rows", Passed),
        ("sum", Passed),
        ("sum_exact", Failed),
        ("no_sum", Vacuous),
        ("nothing_there", Failed),
        ("other_type", Errored),
        ("no_column", Errored),
        ("no_table", Errored),
        ("no_numbers", Errored),
    ];
    assert_eq!(ended, wanted, "{found:#?}");
    let seen = |id: &str| &found.checks.iter().find(|check| check.id == id).expect("a check").observed;
    assert_eq!((&seen("customer")["unexpected_count"], &seen("customer")["missing_count"]), (&json!(2), &json!(1)));
    assert_eq!(seen("customer")["partial_unexpected_list"], json!([99, 99]));
    // FR and b are there, but not together; a pair of which one is null is left out.
    assert_eq!(seen("pair")["partial_unexpected_list"], json!([["FR", "b"]]));
    assert_eq!(seen("pair")["missing_count"], 2);
    assert_eq!(seen("by_country")["groups"]["failed"], 2);
    assert_eq!(seen("rows")["observed_value"], json!({ "self": 6, "other": 4, "difference": 2, "tolerance": "1" }));
    assert!(seen("no_column")["error"].as_str().is_some_and(|error| error.contains("there is no column `land`")));
}

#[tokio::test]
async fn every_way_to_another_dataset_finds_the_same() {
    let database = testkit::database().await;
    sqlx::raw_sql(TABLES).execute(&database.pool).await.expect("tables");
    let mut connection = database.pool.acquire().await.expect("a connection");
    let in_table =
        evaluate_table(&mut connection, &suite(CHECKS), &table("public.orders")).await.expect("an evaluation");
    assert_found(&in_table);

    let beside_tables = Beside::default().with_postgres(database.pool.clone());
    let framed = in_frame_beside(suite(CHECKS), orders(), beside_tables).await;
    assert_found(&framed);

    let among_files =
        CHECKS.replace("public.customers", "customers.parquet").replace("public.nobody", "nobody.parquet");
    let among_files = among_files.replace("public.absent", "absent.parquet");
    let beside_files = in_frame_beside(suite(&among_files), orders(), Beside::default().with_files(file)).await;
    assert_found(&beside_files);

    assert_eq!(comparable(&in_table), comparable(&framed));
    assert_eq!(comparable(&framed), comparable(&beside_files));
}

#[tokio::test]
async fn a_query_is_asked_of_the_batch_where_postgres_has_it() {
    let database = testkit::database().await;
    sqlx::raw_sql(TABLES).execute(&database.pool).await.expect("tables");
    let checks = "
  - unexpected_rows_expectation: { id: found, unexpected_rows_query: 'select id from {batch} where total > 4' }
  - unexpected_rows_expectation:
      { id: when, unexpected_rows_query: 'select * from {batch} natural join {batch} as b', when: total < 0.01 }
  - unexpected_rows_expectation: { id: wrong, unexpected_rows_query: 'select nothing from {batch}' }
";
    let batch = "(select id, total from public.orders where id > 1)".to_owned();
    let beside = Beside::default().with_postgres(database.pool.clone()).with_batch(batch);
    let found = in_frame_beside(suite(checks), orders(), beside).await;
    let ended: Vec<_> = found.checks.iter().map(|check| check.outcome).collect();
    assert_eq!(ended, [Outcome::Failed, Outcome::Passed, Outcome::Errored], "{found:#?}");
    assert_eq!(found.checks[0].observed["details"]["unexpected_rows"], json!([{ "id": 4 }]));
    let alone = in_frame_beside(suite(checks), orders(), Beside::default()).await;
    assert!(alone.checks.iter().all(|check| check.outcome == Outcome::Errored), "{alone:#?}");
}

#[tokio::test]
async fn what_cannot_be_reached_is_errored() {
    let checks = "
  - expect_column_values_to_exist_in: { id: table, column: customer, dataset: public.customers, other_column: id }
  - expect_table_row_count_to_agree_with: { id: file, dataset: customers.parquet }
";
    let found = in_frame_beside(suite(checks), orders(), Beside::default()).await;
    let errors: Vec<_> =
        found.checks.iter().map(|check| check.observed["error"].as_str().unwrap_or_default()).collect();
    assert_eq!(
        errors,
        [
            "the table `public.customers` cannot be reached from here",
            "the file `customers.parquet` cannot be reached from here"
        ]
    );
}

#[tokio::test]
async fn keys_go_to_postgres_in_parts_and_none_is_lost_between_two() {
    let database = testkit::database().await;
    sqlx::raw_sql(
        "create table public.known as select n as id from generate_series(0, 120000) n where n not in (0, 49999, 50000, 120000)",
    )
    .execute(&database.pool)
    .await
    .expect("a table");
    let rows = DataFrame::new(120_001, vec![Column::new("id".into(), (0..=120_000i64).collect::<Vec<_>>())]);
    let checks = "  - expect_column_values_to_exist_in: { column: id, dataset: public.known, on_fail: quarantine }\n";
    let beside = Beside::default().with_postgres(database.pool.clone());
    let found = in_frame_beside(suite(checks), rows.expect("a frame"), beside).await;
    assert_eq!(found.failed_rows.keys().copied().collect::<Vec<_>>(), [0, 49_999, 50_000, 120_000]);
}
