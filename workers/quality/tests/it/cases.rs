//! One table of cases for both engines: rows, checks, and what each check must find.

use polars::prelude::{AnyValue, Column, DataFrame, DataType, IntoColumn, Series, TimeUnit};
use quality::{Evaluation, Outcome, Suite, Verdict, evaluate_frame};

/// The rows that every case looks at, as a frame.
pub(crate) fn frame() -> DataFrame {
    let ints = |name: &str, values: [Option<i64>; 6]| Column::new(name.into(), values.as_slice());
    let decimals = |name: &str, values: [Option<i128>; 6]| {
        let values: Vec<_> = values.map(|v| v.map_or(AnyValue::Null, |v| AnyValue::Decimal(v, 12, 2))).to_vec();
        Series::from_any_values_and_dtype(name.into(), &values, &DataType::Decimal(12, 2), true)
            .expect("decimals")
            .into_column()
    };
    let texts = |name: &str, values: [Option<&str>; 6]| Column::new(name.into(), values.as_slice());
    let days = Column::new("day".into(), [Some(19_723), Some(19_724), Some(19_725), Some(19_726), None, Some(19_728)])
        .cast(&DataType::Date)
        .expect("dates");
    let at = Column::new(
        "at".into(),
        [Some(1_704_067_200_000_000i64), Some(1_704_067_200_000_001), Some(1_704_153_600_000_000), None, None, Some(0)],
    )
    .cast(&DataType::Datetime(TimeUnit::Microseconds, None))
    .expect("timestamps");
    let columns = vec![
        ints("id", [1, 2, 3, 4, 5, 5].map(Some)),
        ints("quantity", [Some(1), Some(2), Some(-3), Some(0), None, Some(100)]),
        decimals("unit_price", [Some(150), Some(1), Some(200), None, Some(999), Some(10)]),
        decimals("line_total", [Some(150), Some(2), Some(-600), Some(0), None, Some(1001)]),
        texts("code", [Some("A1"), Some("B22"), Some("b3"), Some(""), None, Some("Ü%x")]),
        texts("city", [Some("Bonn"), Some("Köln"), Some("bonn"), Some("Bonn "), None, Some("Bonn")]),
        Column::new("weight".into(), [Some(0.5), Some(1.5), Some(f64::NAN), None, Some(2.0), Some(-0.25)]),
        Column::new("paid".into(), [Some(true), Some(false), None, Some(true), Some(true), Some(false)]),
        days,
        at,
        Series::full_null("nothing".into(), 6, &DataType::Int64).into_column(),
    ];
    DataFrame::new(6, columns).expect("a frame")
}

pub(crate) fn suite(checks: &str) -> Suite {
    let text = format!("suite: cases\nchecks:\n{checks}");
    Suite::parse("quality/cases.yaml", &text).unwrap_or_else(|faults| panic!("{faults:#?}\n{text}"))
}

/// A check, how it must end, and how many rows must break it.
const CASES: &[(&str, Outcome, Option<u64>)] = &[
    ("expect_column_values_to_not_be_null: { column: quantity }", Outcome::Failed, Some(1)),
    ("expect_column_values_to_not_be_null: { column: quantity, mostly: 0.8 }", Outcome::Passed, Some(1)),
    ("expect_column_values_to_not_be_null: { column: id }", Outcome::Passed, Some(0)),
    ("expect_column_values_to_not_be_null: { column: quantity, at_most: 1 }", Outcome::Passed, Some(1)),
    ("expect_column_values_to_not_be_null: { column: quantity, at_most: 1, mostly: 0.9 }", Outcome::Failed, Some(1)),
    ("expect_column_values_to_be_null: { column: quantity, mostly: 0.1, at_most: 4 }", Outcome::Failed, Some(5)),
    ("expect_column_values_to_be_unique: { column: id, group_by: city }", Outcome::Passed, Some(0)),
    ("expect_column_values_to_be_unique: { column: id, group_by: paid }", Outcome::Passed, Some(0)),
    ("expect_column_values_to_be_unique: { column: paid, group_by: id }", Outcome::Passed, Some(0)),
    ("expect_column_values_to_be_unique: { column: city, group_by: [paid] }", Outcome::Passed, Some(0)),
    (
        "expect_column_values_to_be_between: { column: quantity, min_value: 1, group_by: paid }",
        Outcome::Failed,
        Some(2),
    ),
    (
        "expect_column_values_to_be_between: { column: quantity, min_value: 1, group_by: paid, at_most: 1 }",
        Outcome::Passed,
        Some(2),
    ),
    (
        "expect_column_values_to_be_between: { column: nothing, min_value: 1, group_by: paid }",
        Outcome::Vacuous,
        Some(0),
    ),
    (
        "expect_column_values_to_be_between: { column: quantity, min_value: 1, group_by: missing }",
        Outcome::Errored,
        None,
    ),
    ("expect_column_sum_to_be_between: { column: unit_price, min_value: 2.1, group_by: paid }", Outcome::Failed, None),
    (
        "expect_column_max_to_be_between: { column: weight, max_value: 2, group_by: paid, when: 'id < 3' }",
        Outcome::Passed,
        None,
    ),
    ("expect_table_row_count_to_be_between: { min_value: 2, group_by: paid }", Outcome::Failed, None),
    ("expect_table_row_count_to_be_between: { max_value: 3, group_by: [paid] }", Outcome::Passed, None),
    ("expect_column_values_to_be_null: { column: quantity }", Outcome::Failed, Some(5)),
    ("expect_column_values_to_be_null: { column: nothing }", Outcome::Passed, Some(0)),
    ("expect_column_values_to_be_unique: { column: id }", Outcome::Failed, Some(2)),
    ("expect_column_values_to_be_unique: { column: code }", Outcome::Passed, Some(0)),
    ("expect_column_values_to_be_unique: { column: id, when: 'quantity is not null' }", Outcome::Passed, Some(0)),
    ("expect_column_values_to_be_between: { column: quantity, min_value: 1 }", Outcome::Failed, Some(2)),
    (
        "expect_column_values_to_be_between: { column: quantity, min_value: -3, max_value: 100 }",
        Outcome::Passed,
        Some(0),
    ),
    (
        "expect_column_values_to_be_between: { column: quantity, min_value: -3, max_value: 100, strict_min: true, strict_max: true }",
        Outcome::Failed,
        Some(2),
    ),
    ("expect_column_values_to_be_between: { column: quantity, min_value: 0.5 }", Outcome::Failed, Some(2)),
    ("expect_column_values_to_be_between: { column: unit_price, min_value: 0.02 }", Outcome::Failed, Some(1)),
    ("expect_column_values_to_be_between: { column: unit_price, max_value: 9.989 }", Outcome::Failed, Some(1)),
    ("expect_column_values_to_be_between: { column: weight, max_value: 2 }", Outcome::Failed, Some(1)),
    ("expect_column_values_to_be_between: { column: day, min_value: '2024-01-02' }", Outcome::Failed, Some(1)),
    ("expect_column_values_to_be_between: { column: at, max_value: '2024-01-01 00:00:00' }", Outcome::Failed, Some(2)),
    ("expect_column_values_to_be_between: { column: city, min_value: C, max_value: c }", Outcome::Failed, Some(3)),
    ("expect_column_values_to_be_between: { column: nothing, min_value: 1 }", Outcome::Vacuous, Some(0)),
    ("expect_column_values_to_be_between: { column: city, min_value: 1 }", Outcome::Errored, None),
    ("expect_column_values_to_be_between: { column: missing, min_value: 1 }", Outcome::Errored, None),
    ("expect_column_values_to_be_in_set: { column: quantity, value_set: [1, 2, 100] }", Outcome::Failed, Some(2)),
    (
        "expect_column_values_to_be_in_set: { column: quantity, value_set: [1, 2, 100, -3, 0, 7, 8, 9, 10, 11] }",
        Outcome::Passed,
        Some(0),
    ),
    ("expect_column_values_to_be_in_set: { column: quantity, value_set: [1.0, 2.5] }", Outcome::Failed, Some(4)),
    (
        "expect_column_values_to_be_in_set: { column: unit_price, value_set: [1.5, 0.01, 2, 9.99, 0.1] }",
        Outcome::Passed,
        Some(0),
    ),
    ("expect_column_values_to_be_in_set: { column: paid, value_set: [true] }", Outcome::Failed, Some(2)),
    ("expect_column_values_to_be_in_set: { column: city, value_set: [Bonn] }", Outcome::Failed, Some(3)),
    (
        "expect_column_values_to_not_be_in_set: { column: city, value_set: [Bonn, a, b, c, d, e, f, g, h] }",
        Outcome::Failed,
        Some(2),
    ),
    ("expect_column_values_to_be_in_set: { column: day, value_set: ['2024-01-01'] }", Outcome::Failed, Some(4)),
    ("expect_column_values_to_match_regex: { column: code, regex: '^[A-Z]\\d+$' }", Outcome::Failed, Some(3)),
    ("expect_column_values_to_match_regex: { column: city, regex: '(?i)^BONN\\b' }", Outcome::Failed, Some(1)),
    ("expect_column_values_to_match_regex: { column: city, regex: 'K.ln' }", Outcome::Failed, Some(4)),
    ("expect_column_values_to_not_match_regex: { column: city, regex: '\\s$' }", Outcome::Failed, Some(1)),
    (
        "expect_column_values_to_match_regex_list: { column: code, regex_list: ['^A', '^b'], match_on: any }",
        Outcome::Failed,
        Some(3),
    ),
    (
        "expect_column_values_to_match_regex_list: { column: code, regex_list: ['^A', '1$'], match_on: all }",
        Outcome::Failed,
        Some(4),
    ),
    (
        "expect_column_values_to_not_match_regex_list: { column: code, regex_list: ['^A', '^b'] }",
        Outcome::Failed,
        Some(2),
    ),
    ("expect_column_values_to_match_like_pattern: { column: code, like_pattern: '_%' }", Outcome::Failed, Some(1)),
    ("expect_column_values_to_match_like_pattern: { column: code, like_pattern: '_\\%%' }", Outcome::Failed, Some(4)),
    ("expect_column_values_to_not_match_like_pattern: { column: code, like_pattern: 'B%' }", Outcome::Failed, Some(1)),
    (
        "expect_column_value_lengths_to_be_between: { column: code, min_value: 1, max_value: 2 }",
        Outcome::Failed,
        Some(3),
    ),
    ("expect_column_value_z_scores_to_be_less_than: { column: quantity, threshold: 1.5 }", Outcome::Failed, Some(1)),
    (
        "expect_column_value_z_scores_to_be_less_than: { column: quantity, threshold: 0.5, double_sided: false, when: 'id < 5' }",
        Outcome::Failed,
        Some(1),
    ),
    ("expect_column_value_z_scores_to_be_less_than: { column: code, threshold: 1 }", Outcome::Errored, None),
    // NaN is above every number.
    ("expect_column_values_to_be_increasing: { column: weight, order_by: day }", Outcome::Failed, Some(1)),
    (
        "expect_column_values_to_be_increasing: { column: id, strictly: true, order_by: line_total }",
        Outcome::Failed,
        Some(3),
    ),
    ("expect_column_values_to_be_decreasing: { column: at, order_by: id, when: 'id < 5' }", Outcome::Failed, Some(2)),
    ("expect_column_values_to_be_in_type_list: { column: id, type_list: [int, BIGINT] }", Outcome::Passed, None),
    ("expect_column_values_to_be_of_type: { column: missing, type_: int }", Outcome::Errored, None),
    ("expect_column_values_to_be_json_parseable: { column: code }", Outcome::Failed, Some(5)),
    (
        "expect_column_values_to_match_json_schema: { column: city, json_schema: { type: string } }",
        Outcome::Failed,
        Some(5),
    ),
    (
        "expect_column_values_to_match_strftime_format: { column: code, strftime_format: 'A%d' }",
        Outcome::Failed,
        Some(4),
    ),
    ("expect_column_values_to_be_dateutil_parseable: { column: city, mostly: 0.1 }", Outcome::Failed, Some(5)),
    ("expect_column_values_to_be_dateutil_parseable: { column: id }", Outcome::Errored, None),
    ("expect_column_most_common_value_to_be_in_set: { column: city, value_set: [Bonn] }", Outcome::Passed, None),
    ("expect_column_most_common_value_to_be_in_set: { column: code, value_set: [A1] }", Outcome::Failed, None),
    (
        "expect_column_most_common_value_to_be_in_set: { column: code, value_set: [A1], ties_okay: true }",
        Outcome::Passed,
        None,
    ),
    (
        "expect_column_quantile_values_to_be_between: { column: quantity, quantile_ranges: { quantiles: [0, 0.5, 1], value_ranges: [[-3, -3], [1, 1], [100, null]] } }",
        Outcome::Passed,
        None,
    ),
    (
        "expect_column_quantile_values_to_be_between: { column: nothing, quantile_ranges: { quantiles: [0.5], value_ranges: [[0, 1]] } }",
        Outcome::Vacuous,
        None,
    ),
    (
        "expect_column_kl_divergence_to_be_less_than: { column: paid, partition_object: { values: [true, false], weights: [0.5, 0.5] }, threshold: 0.1 }",
        Outcome::Passed,
        None,
    ),
    (
        "expect_column_kl_divergence_to_be_less_than: { column: quantity, partition_object: { bins: [-.inf, 0, 2, 100], weights: [0.2, 0.4, 0.4] }, threshold: 0.01 }",
        Outcome::Passed,
        None,
    ),
    (
        "expect_column_kl_divergence_to_be_less_than: { column: unit_price, partition_object: { bins: [0, 1, 2], weights: [0.5, 0.5] }, threshold: 0.5 }",
        Outcome::Failed,
        None,
    ),
    ("expect_column_kl_divergence_to_be_less_than: { column: quantity }", Outcome::Vacuous, None),
    ("expect_column_mean_to_be_between: { column: quantity }", Outcome::Vacuous, None),
    ("expect_column_distinct_values_to_be_in_set: { column: paid, value_set: null }", Outcome::Vacuous, None),
    ("expect_table_row_count_to_be_between: { }", Outcome::Vacuous, None),
    (
        "expect_column_values_to_not_be_null: { column: quantity, row_condition: 'id != 5 & quantity > 0', condition_parser: pandas }",
        Outcome::Passed,
        Some(0),
    ),
    (
        "expect_column_values_to_be_between: { column: day, min_value: { $PARAMETER: 'datetime(2024, 1, 2)' } }",
        Outcome::Failed,
        Some(1),
    ),
    ("expect_column_values_to_be_unique: { column: unit_price }", Outcome::Passed, Some(0)),
    ("expect_compound_columns_to_be_unique: { column_list: [unit_price, id] }", Outcome::Passed, Some(0)),
    (
        "expect_column_unique_value_count_to_be_between: { column: unit_price, min_value: 5, max_value: 5 }",
        Outcome::Passed,
        None,
    ),
    (
        "expect_column_distinct_values_to_equal_set: { column: unit_price, value_set: [0.01, 0.1, 1.5, 2, 9.99] }",
        Outcome::Passed,
        None,
    ),
    ("expect_column_value_lengths_to_equal: { column: city, value: 4 }", Outcome::Failed, Some(1)),
    (
        "expect_column_pair_values_a_to_be_greater_than_b: { column_A: line_total, column_B: unit_price, or_equal: true }",
        Outcome::Failed,
        Some(3),
    ),
    (
        "expect_column_pair_values_a_to_be_greater_than_b: { column_A: line_total, column_B: unit_price, or_equal: true, ignore_row_if: either_value_is_missing }",
        Outcome::Failed,
        Some(1),
    ),
    ("expect_column_pair_values_to_be_equal: { column_A: id, column_B: quantity }", Outcome::Failed, Some(4)),
    (
        "expect_column_pair_values_to_be_in_set: { column_A: id, column_B: quantity, value_pairs_set: [[1, 1], [2, 2], [5, null]] }",
        Outcome::Failed,
        Some(3),
    ),
    ("expect_compound_columns_to_be_unique: { column_list: [id, quantity] }", Outcome::Passed, Some(0)),
    ("expect_compound_columns_to_be_unique: { column_list: [paid, nothing] }", Outcome::Failed, Some(5)),
    (
        "expect_select_column_values_to_be_unique_within_record: { column_list: [id, quantity] }",
        Outcome::Failed,
        Some(2),
    ),
    ("expect_multicolumn_sum_to_equal: { column_list: [id, quantity], sum_total: 4 }", Outcome::Failed, Some(4)),
    ("expect_row: { sql: 'quantity * unit_price = line_total' }", Outcome::Failed, Some(1)),
    (
        "expect_row: { sql: \"case when quantity > 0 then paid is not null else city like 'b%' end\" }",
        Outcome::Failed,
        Some(1),
    ),
    ("expect_row: { sql: 'abs(quantity) < 50 and length(trim(city)) = 4' }", Outcome::Failed, Some(1)),
    ("expect_row: { sql: \"lower(city) in ('bonn', 'köln') or upper(code) = 'ZZ'\" }", Outcome::Failed, Some(1)),
    ("expect_row: { sql: 'line_total / quantity < 2' }", Outcome::Failed, Some(1)),
    ("expect_row: { sql: 'coalesce(quantity, 0) - id < 0' }", Outcome::Failed, Some(3)),
    ("expect_row: { sql: 'quantity is distinct from 100' }", Outcome::Failed, Some(1)),
    ("expect_row: { sql: \"at >= date '2024-01-01' and day < '2024-01-04'\" }", Outcome::Failed, Some(2)),
    ("expect_row: { sql: 'not paid', when: 'id > 4' }", Outcome::Failed, Some(1)),
    ("expect_row: { sql: '-quantity <= 0' }", Outcome::Failed, Some(1)),
    ("expect_row: { sql: '1 = 2' }", Outcome::Failed, Some(6)),
    ("expect_row: { sql: 'city + 1 > 2' }", Outcome::Errored, None),
    ("expect_column_to_exist: { column: city }", Outcome::Passed, None),
    ("expect_column_to_exist: { column: city, column_index: 5 }", Outcome::Passed, None),
    ("expect_column_to_exist: { column: city, column_index: 4 }", Outcome::Failed, None),
    ("expect_column_to_exist: { column: missing }", Outcome::Failed, None),
    ("expect_table_row_count_to_be_between: { min_value: 1, max_value: 6 }", Outcome::Passed, None),
    ("expect_table_row_count_to_be_between: { min_value: 7 }", Outcome::Failed, None),
    ("expect_table_row_count_to_equal: { value: 4, when: 'quantity >= 0' }", Outcome::Passed, None),
    ("expect_table_column_count_to_equal: { value: 11 }", Outcome::Passed, None),
    ("expect_table_columns_to_match_set: { column_set: [id, city], exact_match: false }", Outcome::Passed, None),
    ("expect_table_columns_to_match_set: { column_set: [id, city] }", Outcome::Failed, None),
    ("expect_column_sum_to_be_between: { column: quantity, min_value: 100, max_value: 100 }", Outcome::Passed, None),
    (
        "expect_column_sum_to_be_between: { column: line_total, min_value: 5.53, max_value: 5.53 }",
        Outcome::Passed,
        None,
    ),
    ("expect_column_sum_to_be_between: { column: line_total, max_value: 5.52 }", Outcome::Failed, None),
    ("expect_column_sum_to_be_between: { column: nothing, min_value: 0 }", Outcome::Vacuous, None),
    ("expect_column_mean_to_be_between: { column: quantity, min_value: 20, max_value: 20 }", Outcome::Passed, None),
    ("expect_column_min_to_be_between: { column: quantity, min_value: -3, max_value: -3 }", Outcome::Passed, None),
    ("expect_column_min_to_be_between: { column: city, min_value: Bonn, max_value: Bonn }", Outcome::Passed, None),
    ("expect_column_max_to_be_between: { column: day, max_value: '2024-01-05' }", Outcome::Failed, None),
    ("expect_column_max_to_be_between: { column: at, max_value: '2024-01-02' }", Outcome::Passed, None),
    ("expect_column_median_to_be_between: { column: quantity, min_value: 1, max_value: 1 }", Outcome::Passed, None),
    ("expect_column_stdev_to_be_between: { column: quantity, min_value: 44, max_value: 45 }", Outcome::Passed, None),
    ("expect_column_mean_to_be_between: { column: city, min_value: 1 }", Outcome::Errored, None),
    (
        "expect_column_unique_value_count_to_be_between: { column: id, min_value: 5, max_value: 5 }",
        Outcome::Passed,
        None,
    ),
    (
        "expect_column_proportion_of_unique_values_to_be_between: { column: city, max_value: 0.8 }",
        Outcome::Passed,
        None,
    ),
    ("expect_column_distinct_values_to_be_in_set: { column: paid, value_set: [true, false] }", Outcome::Passed, None),
    ("expect_column_distinct_values_to_be_in_set: { column: code, value_set: [A1] }", Outcome::Failed, None),
    ("expect_column_distinct_values_to_contain_set: { column: id, value_set: [1, 5] }", Outcome::Passed, None),
    ("expect_column_distinct_values_to_equal_set: { column: id, value_set: [1, 2, 3, 4, 5] }", Outcome::Passed, None),
    ("expect_column_distinct_values_to_equal_set: { column: id, value_set: [1, 2] }", Outcome::Failed, None),
];

/// All cases as one suite, with ids of their own.
pub(crate) fn all_cases() -> Suite {
    let checks = CASES.iter().enumerate().fold(String::new(), |text, (index, (check, _, _))| {
        let close = check.rfind('}').expect("a flow mapping");
        let given = check[..close].trim_end();
        let comma = if given.ends_with('{') { "" } else { "," };
        format!("{text}  - {given}{comma} id: case.{index} }}\n")
    });
    suite(&checks)
}

pub(crate) fn assert_cases(evaluation: &Evaluation) {
    let wrong: Vec<_> = CASES
        .iter()
        .zip(&evaluation.checks)
        .filter(|((_, outcome, unexpected), found)| {
            found.outcome != *outcome || unexpected.is_some_and(|n| found.observed["unexpected_count"] != n)
        })
        .map(|((check, outcome, unexpected), found)| {
            format!("{check}\n  wanted {outcome} {unexpected:?}, found {} {}", found.outcome, found.observed)
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(evaluation.checks.len(), CASES.len());
}

#[test]
fn frames_find_what_each_case_says() {
    assert_cases(&evaluate_frame(&all_cases(), &frame()));
}

#[test]
fn rows_to_hold_back_come_with_every_rule_that_they_broke() {
    let suite = suite(
        "  - expect_column_values_to_be_between: { column: quantity, min_value: 1, on_fail: quarantine }
  - expect_column_values_to_not_be_null: { column: quantity, on_fail: quarantine }
  - expect_column_values_to_match_regex: { column: code, regex: '^[A-Z]', on_fail: warn }
  - expect_column_values_to_be_unique: { column: id, on_fail: quarantine, mostly: 0.5 }
",
    );
    let evaluation = evaluate_frame(&suite, &frame());
    let rows: Vec<_> = evaluation.failed_rows.iter().map(|(row, rules)| (*row, rules.join(" "))).collect();
    assert_eq!(
        rows,
        [
            (2, "quantity.between code.regex".to_owned()),
            (3, "quantity.between code.regex".to_owned()),
            (4, "quantity.not_null".to_owned()),
        ]
    );
    assert_eq!(evaluation.verdict, Verdict::Quarantined);
}

#[test]
fn verdicts_follow_the_policies() {
    let verdict = |checks: &str| evaluate_frame(&suite(checks), &frame()).verdict;
    let check = |on_fail: &str| {
        verdict(&format!("  - expect_column_values_to_not_be_null: {{ column: quantity, on_fail: {on_fail} }}\n"))
    };
    assert_eq!(check("warn"), Verdict::Warned);
    assert_eq!(check("quarantine"), Verdict::Quarantined);
    assert_eq!(check("fail"), Verdict::Failed);
    assert_eq!(verdict("  - expect_column_values_to_not_be_null: { column: id }\n"), Verdict::Passed);
    // A check that could not run guarded nothing.
    let missing = "  - expect_column_values_to_not_be_null: { column: missing, on_fail: quarantine }\n";
    assert_eq!(verdict(missing), Verdict::Failed);
}

#[test]
fn columns_with_hostile_names_are_columns_like_any_other() {
    let hostile = ["*", "^.*$", "a\"b", "c0"];
    let columns = hostile.map(|name| Column::new(name.into(), [Some(1i64), None]));
    let frame = DataFrame::new(2, columns.to_vec()).expect("a frame");
    for name in hostile {
        let quoted = serde_json::to_string(name).expect("a string");
        let check = format!("  - expect_column_values_to_not_be_null: {{ column: {quoted} }}\n");
        let evaluation = evaluate_frame(&suite(&check), &frame);
        assert_eq!(evaluation.checks[0].observed["unexpected_count"], 1, "{name}");
    }
}
