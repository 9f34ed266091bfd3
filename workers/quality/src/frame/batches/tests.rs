//! However the rows are cut into batches, what is found is the same.

use std::fs::File;

use polars::prelude::{AnyValue, Column, DataFrame, DataType, IntoColumn, ParquetWriter, Series, TimeUnit};

use super::{super::evaluate_frame, evaluate, evaluate_file, source::Source};
use crate::{outcome::Evaluation, suite::Suite};

/// Every way in which a check is counted, over columns of every kind.
const CHECKS: &str = "suite: batches
checks:
  - expect_table_row_count_to_be_between: { id: check.0, min_value: 1 }
  - expect_column_values_to_not_be_null: { id: check.1, column: i }
  - expect_column_values_to_be_between: { id: check.2, column: f, max_value: 1 }
  - expect_row: { id: check.3, sql: \"i > 0 or s like 'a%'\" }
  - expect_column_values_to_be_in_set: { id: check.4, column: s, value_set: [a, b], when: \"i > 0\" }
  - expect_column_values_to_be_unique: { id: check.5, column: id }
  - expect_column_values_to_be_unique: { id: check.6, column: i }
  - expect_column_values_to_be_unique: { id: check.7, column: i, when: \"b\" }
  - expect_column_values_to_be_unique: { id: check.8, column: d }
  - expect_column_values_to_be_unique: { id: check.9, column: f }
  - expect_column_values_to_be_unique: { id: check.10, column: s }
  - expect_column_values_to_be_unique: { id: check.11, column: at }
  - expect_compound_columns_to_be_unique: { id: check.12, column_list: [i, s] }
  - expect_compound_columns_to_be_unique: { id: check.13, column_list: [i, d, b], ignore_row_if: never }
  - expect_select_column_values_to_be_unique_within_record: { id: check.14, column_list: [i, id] }
  - expect_column_values_to_be_increasing: { id: check.15, column: id }
  - expect_column_values_to_be_increasing: { id: check.16, column: i, strictly: true }
  - expect_column_values_to_be_decreasing: { id: check.17, column: at }
  - expect_column_values_to_be_decreasing: { id: check.18, column: s, when: \"b\" }
  - expect_column_values_to_be_increasing: { id: check.19, column: f }
  - expect_column_values_to_be_increasing: { id: by.another, column: i, order_by: at }
  - expect_column_value_z_scores_to_be_less_than: { id: check.20, column: i, threshold: 1, double_sided: true }
  - expect_column_value_z_scores_to_be_less_than: { id: check.21, column: f, threshold: 1, double_sided: false, when: \"b\" }
  - expect_column_sum_to_be_between: { id: check.22, column: i, min_value: 1 }
  - expect_column_sum_to_be_between: { id: check.23, column: d, min_value: 1, when: \"b\" }
  - expect_column_mean_to_be_between: { id: check.24, column: d, min_value: 1 }
  - expect_column_min_to_be_between: { id: check.25, column: at, min_value: '2020-01-01' }
  - expect_column_max_to_be_between: { id: check.26, column: f, max_value: 3 }
  - expect_column_max_to_be_between: { id: check.27, column: s, max_value: c }
  - expect_column_median_to_be_between: { id: check.28, column: i, min_value: 1 }
  - expect_column_median_to_be_between: { id: check.29, column: f, min_value: 1, when: \"b\" }
  - expect_column_quantile_values_to_be_between: { id: check.30, column: d, quantile_ranges: { quantiles: [0, 0.1, 0.5, 0.9, 1], value_ranges: [[0, 1], [0, 1], [0, 9], [null, 9], [1, null]] } }
  - expect_column_stdev_to_be_between: { id: check.31, column: i, min_value: 1 }
  - expect_column_unique_value_count_to_be_between: { id: check.32, column: s, min_value: 2 }
  - expect_column_unique_value_count_to_be_between: { id: check.33, column: f, min_value: 2, when: \"b\" }
  - expect_column_proportion_of_unique_values_to_be_between: { id: check.34, column: d, min_value: 0.5 }
  - expect_column_distinct_values_to_be_in_set: { id: check.35, column: s, value_set: [a, b] }
  - expect_column_distinct_values_to_contain_set: { id: check.36, column: d, value_set: [1.00] }
  - expect_column_most_common_value_to_be_in_set: { id: check.37, column: i, value_set: [1], when: \"b\" }
";

struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    fn number(&mut self, bound: u64) -> Option<i64> {
        let number = i64::try_from(self.below(bound)).expect("a number");
        (self.below(7) > 0).then_some(number)
    }
}

fn rows(chance: &mut Chance, rows: usize) -> DataFrame {
    let bound = [3, 60, 1 << 40][usize::try_from(chance.below(3)).expect("an index")];
    let mut column = |name: &str, dtype: DataType, value: &dyn Fn(&mut Chance) -> AnyValue<'static>| {
        let values: Vec<_> = (0..rows).map(|_| value(chance)).collect();
        Series::from_any_values_and_dtype(name.into(), &values, &dtype, true).expect("a column").into_column()
    };
    let some = |value: Option<i64>, of: &dyn Fn(i64) -> AnyValue<'static>| value.map_or(AnyValue::Null, of);
    let at = DataType::Datetime(TimeUnit::Microseconds, None);
    let columns = vec![
        Column::new("id".into(), (0..rows).map(|row| i64::try_from(row).expect("a number")).collect::<Vec<_>>()),
        column("i", DataType::Int64, &|c| some(c.number(bound), &|n| AnyValue::Int64(n - 2))),
        column("d", DataType::Decimal(20, 2), &|c| {
            some(c.number(bound), &|n| AnyValue::Decimal(i128::from(n) * 50, 20, 2))
        }),
        // Eighths add up to the same in every order.
        column("f", DataType::Float64, &|c| {
            some(c.number(40), &|n| AnyValue::Float64(if n == 0 { f64::NAN } else { n as f64 / 8.0 - 2.0 }))
        }),
        column("s", DataType::String, &|c| {
            some(c.number(bound.min(900)), &|n| {
                AnyValue::StringOwned(
                    ["a", "b", "c"]
                        .get(usize::try_from(n).expect("an index"))
                        .map_or(format!("text {n}"), ToString::to_string)
                        .into(),
                )
            })
        }),
        column("at", at, &|c| {
            some(c.number(bound), &|n| {
                AnyValue::Datetime(1_600_000_000_000_000 + n * 1_000_000, TimeUnit::Microseconds, None)
            })
        }),
        column("b", DataType::Boolean, &|c| some(c.number(2), &|n| AnyValue::Boolean(n == 1))),
    ];
    DataFrame::new(rows, columns).expect("a frame")
}

/// What was found, with deviations rounded: they are summed in another order.
fn found(evaluation: &Evaluation) -> Vec<String> {
    let one = |check: &crate::outcome::CheckOutcome| {
        let mut observed = check.observed.clone();
        if check.expectation.contains("stdev") {
            observed["observed_value"] = observed["observed_value"].as_f64().map(|value| format!("{value:.9e}")).into();
        }
        format!("{} {} {observed}", check.id, check.outcome)
    };
    evaluation.checks.iter().map(one).collect()
}

fn suite() -> Suite {
    Suite::parse("batches.yaml", CHECKS).unwrap_or_else(|faults| panic!("{faults:#?}"))
}

#[test]
fn batches_find_what_the_whole_shows() {
    let suite = suite();
    for seed in 0..40 {
        let mut chance = Chance(seed);
        let height = usize::try_from(chance.below(60)).expect("a number");
        let frame = rows(&mut chance, height);
        let whole = evaluate_frame(&suite, &frame);
        assert_eq!(whole.ended(crate::Outcome::Errored).count(), 0, "{:#?}", found(&whole));
        for size in [1, 7, 32] {
            let at_once = |suite: &Suite| Ok(evaluate_frame(suite, &frame));
            let cut = evaluate(&suite, Source::frame(&frame, size), at_once).expect("an evaluation");
            for (cut, whole) in found(&cut).iter().zip(found(&whole)) {
                assert_eq!(*cut, whole, "seed {seed}, {height} rows in batches of {size}");
            }
        }
    }
}

#[test]
fn a_folder_of_files_is_checked_as_its_rows_are() {
    let suite = suite();
    let folder = tempfile::tempdir().expect("a folder");
    let mut whole: Option<DataFrame> = None;
    for (place, height) in [70_000, 0, 1, 640_000].into_iter().enumerate() {
        let mut part = rows(&mut Chance(2), height);
        let path = folder.path().join(format!("part-{place}.parquet"));
        let written = ParquetWriter::new(File::create(&path).expect("a file"));
        written.with_row_group_size(Some(1 << (12 + 4 * place))).finish(&mut part).expect("written");
        match &mut whole {
            Some(whole) => whole.vstack_mut(&part).map(|_| ()).expect("the same columns"),
            None => whole = Some(part),
        }
    }
    let whole = whole.expect("files");
    let by_file = evaluate_file(&suite, folder.path()).expect("an evaluation");
    let by_rows = evaluate_frame(&suite, &whole);
    assert_eq!(by_file.rows, 710_001);
    for (by_file, by_rows) in found(&by_file).iter().zip(found(&by_rows)) {
        assert_eq!(*by_file, by_rows);
    }
    assert!(by_file.failed_rows.is_empty());
}

#[test]
fn a_file_that_is_cut_off_is_not_checked() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("rows.parquet");
    let mut frame = rows(&mut Chance(1), 1000);
    ParquetWriter::new(File::create(&path).expect("a file")).finish(&mut frame).expect("written");
    let length = path.metadata().expect("a file").len();
    File::options().write(true).open(&path).expect("a file").set_len(length / 2).expect("cut off");
    assert!(evaluate_file(&suite(), &path).is_err());
}
