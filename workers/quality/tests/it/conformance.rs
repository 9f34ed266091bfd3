//! Great Expectations' own definition tests, over frames: the cases for pandas of the expectations that we have.
//!
//! The files are read where they are; they are no part of this project. Each case that ends otherwise than Great
//! Expectations says must stand in [`EXCEPTIONS`] with its reason, and each entry there must still be needed.

use std::{collections::BTreeMap, path::Path};

use polars::prelude::{AnyValue, Column, DataFrame, DataType, IntoColumn, Series, TimeUnit};
use quality::{Outcome, Suite, evaluate_frame};
use serde_json::{Map, Value, json};

/// Cases that end otherwise on purpose: expectation, title, reason.
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    ("expect_column_distinct_values_to_be_in_set", "vacuously_true_universal_set", NULL_SET),
    ("expect_column_max_to_be_between", "datetime_with_evaluation_parameter_except_sqlite", PARAMETER),
    (
        "expect_column_max_to_be_between",
        "test_empty_column_should_be_false_no_observed_value_with_which_to_compare",
        EMPTY,
    ),
    ("expect_column_mean_to_be_between", "vacuously_true_missing_min_and_max", NO_BOUND),
    (
        "expect_column_mean_to_be_between",
        "test_empty_column_should_be_false_no_observed_value_with_which_to_compare",
        EMPTY,
    ),
    ("expect_column_median_to_be_between", "vacuously_true_both_min_and_max_null", NO_BOUND),
    (
        "expect_column_median_to_be_between",
        "test_empty_column_should_be_false_no_observed_value_with_which_to_compare",
        EMPTY,
    ),
    ("expect_column_proportion_of_unique_values_to_be_between", "vacuously_true_null_min_and_max", NO_BOUND),
    ("expect_column_stdev_to_be_between", "vacuously_true", NO_BOUND),
    ("expect_column_unique_value_count_to_be_between", "vacuously_true_null_min_and_max", NO_BOUND),
    ("expect_column_value_lengths_to_be_between", "test_conditional_expectation_parser_errors", PARSER),
    ("expect_column_value_lengths_to_equal", "test_conditional_expectation_parser_errors", PARSER),
    ("expect_column_values_to_be_between", "basic_positive_now_test", PARAMETER),
    ("expect_column_values_to_be_between", "basic_negative_now_test_pandas_spark_select_sql", PARAMETER),
    ("expect_column_values_to_be_between", "basic_positive_now_timedelta_test", PARAMETER),
    ("expect_column_values_to_be_between", "basic_negative_now_timedelta_test_pandas_spark_select_sql", PARAMETER),
    ("expect_column_values_to_be_between", "basic_positive_datetime_test", PARAMETER),
    ("expect_column_values_to_be_between", "basic_negative_datetime_test_pandas_spark_select_sql", PARAMETER),
    ("expect_column_values_to_be_in_set", "test_conditional_expectation_passes", MIXED),
    ("expect_column_values_to_be_in_set", "test_conditional_expectation_parser_errors", PARSER),
    ("expect_table_columns_to_match_ordered_list", "null_list_provides_vacuously_true_expectation", NULL_SET),
    ("expect_table_columns_to_match_set", "negative_test_null_set_exact_match_true", NULL_SET),
    ("expect_table_columns_to_match_set", "positive_test_vacuously_true_null_set_exact_match_false", NULL_SET),
];

const NULL_SET: &str = "a set that is null is a slip of the pen, and refused";
const NO_BOUND: &str = "a check with neither bound checks nothing, and is refused";
const PARAMETER: &str = "suite parameters are not taken; a row condition in SQL says the same";
const EMPTY: &str = "nothing was there to check: vacuous, which is told apart from failed";
const PARSER: &str = "there is one language for conditions, SQL";
const MIXED: &str = "a condition that compares a number with text is refused";

/// Where the fixtures are, if they are there.
fn fixtures() -> Option<std::path::PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/gx-fixtures").canonicalize();
    if path.is_err() {
        eprintln!("gx-fixtures are not in ../shared/data: conformance checks nothing here");
    }
    path.ok()
}

#[derive(Default)]
struct Tally {
    agree: usize,
    excepted: usize,
    differ: Vec<String>,
    /// Data that no typed column can hold.
    untyped: usize,
}

#[test]
fn frames_agree_with_great_expectations() {
    let Some(fixtures) = fixtures() else { return };
    let mut tallies: BTreeMap<String, Tally> = BTreeMap::new();
    for folder in std::fs::read_dir(fixtures).expect("a folder") {
        for file in std::fs::read_dir(folder.expect("a folder").path()).expect("a folder") {
            let text = std::fs::read_to_string(file.expect("a file").path()).expect("a text");
            // Python writes a number there that JSON does not have.
            let text = text.replace("Infinity", "1e308");
            run_file(&serde_json::from_str(&text).expect("JSON"), &mut tallies);
        }
    }
    let mut differ = Vec::new();
    let (mut agree, mut all) = (0, 0);
    for (name, tally) in &tallies {
        eprintln!(
            "{name}: {} agree, {} excepted, {} differ, {} not typed",
            tally.agree,
            tally.excepted,
            tally.differ.len(),
            tally.untyped
        );
        agree += tally.agree;
        all += tally.agree + tally.excepted + tally.differ.len();
        differ.extend(tally.differ.iter().map(|text| format!("{name}: {text}")));
    }
    eprintln!("{agree} of {all} cases agree");
    assert!(differ.is_empty(), "{} cases differ\n{}", differ.len(), differ.join("\n"));
    assert!(all > 250, "only {all} cases were found");
}

fn run_file(file: &Value, tallies: &mut BTreeMap<String, Tally>) {
    let Some(name) = file["expectation_type"].as_str() else { return };
    if !quality::expectation::catalogue().any(|entry| entry.name == name) {
        return;
    }
    let tally = tallies.entry(name.to_owned()).or_default();
    for dataset in file["datasets"].as_array().into_iter().flatten() {
        if skipped(dataset) {
            continue;
        }
        let (frame, mixed) = frame(&dataset["data"], &dataset["schemas"]["pandas"]);
        for test in dataset["tests"].as_array().into_iter().flatten().filter(|test| !skipped(test)) {
            if names_any(&test["in"], &mixed) || (name.starts_with("expect_table") && !mixed.is_empty()) {
                tally.untyped += 1;
                continue;
            }
            let title = test["title"].as_str().unwrap_or_default();
            let excepted = EXCEPTIONS.iter().find(|(of, known, _)| *of == name && *known == title);
            match (run_case(name, test, &frame), excepted) {
                (Ok(()), None) => tally.agree += 1,
                (Ok(()), Some(_)) => tally.differ.push(format!("{title}: agrees by now, so it is no exception")),
                (Err(difference), Some((.., reason))) => {
                    eprintln!("{name}: {title}: excepted, as {reason} ({difference})");
                    tally.excepted += 1;
                }
                (Err(difference), None) => tally.differ.push(format!("{title}: {difference}")),
            }
        }
    }
}

/// The fixtures' own rules for whom a case is.
fn skipped(of: &Value) -> bool {
    let names = |key: &str| match &of[key] {
        Value::String(one) => vec![one.clone()],
        Value::Array(many) => many.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect(),
        _ => Vec::new(),
    };
    let only = names("only_for");
    let meant = |name: &String| name == "pandas" || name.starts_with("pandas>=");
    (!only.is_empty() && !only.iter().any(meant)) || names("suppress_test_for").iter().any(|name| name == "pandas")
}

fn run_case(name: &str, test: &Value, frame: &DataFrame) -> Result<(), String> {
    let out = &test["out"];
    let fails = test.get("error").is_some() || out.get("traceback_substring").is_some();
    let suite = suite(name, &test["in"])?;
    let suite = match suite {
        Ok(suite) => suite,
        Err(_) if fails => return Ok(()),
        Err(fault) => return Err(format!("refused: {fault}")),
    };
    let found = &evaluate_frame(&suite, frame).checks[0];
    if fails {
        return if found.outcome == Outcome::Errored {
            Ok(())
        } else {
            Err(format!("{} instead of an error", found.outcome))
        };
    }
    let success = matches!(found.outcome, Outcome::Passed | Outcome::Vacuous);
    if out["success"].as_bool().is_some_and(|wanted| wanted != success) {
        return Err(format!("{} {} instead of success {}", found.outcome, found.observed, out["success"]));
    }
    for (wanted, key) in [("unexpected_list", "partial_unexpected_list"), ("observed_value", "observed_value")] {
        if let Some(wanted) = out.get(wanted)
            && !alike(wanted, &found.observed[key])
        {
            return Err(format!("{key} {} instead of {wanted}", found.observed[key]));
        }
    }
    Ok(())
}

/// The case's arguments as a suite of one check.
fn suite(name: &str, arguments: &Value) -> Result<Result<Suite, String>, String> {
    let mut arguments = arguments.as_object().cloned().unwrap_or_default();
    for ours in ["catch_exceptions", "result_format", "include_config", "condition_parser"] {
        arguments.remove(ours);
    }
    arguments
        .retain(|key, value| !(value.is_null() && matches!(key.as_str(), "mostly" | "match_on" | "ignore_row_if")));
    if let Some(condition) = arguments.remove("row_condition") {
        let sql = condition
            .as_str()
            .ok_or("a row condition that is no text")?
            .replace("==", "=")
            .replace('"', "'")
            .replace(" & ", " and ");
        arguments.insert("when".to_owned(), sql.into());
    }
    let check: Map<_, _> = [(name.to_owned(), Value::Object(arguments))].into_iter().collect();
    // JSON is YAML.
    let text = json!({ "suite": "case", "checks": [check] }).to_string();
    Ok(Suite::parse("quality/case.yaml", &text)
        .map_err(|faults| faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")))
}

fn alike(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => {
            let (a, b) = (a.as_f64().unwrap_or(f64::NAN), b.as_f64().unwrap_or(f64::NAN));
            (a - b).abs() <= 1e-9 * a.abs().max(1.0)
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| alike(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, value)| b.get(key).is_some_and(|other| alike(value, other)))
        }
        (Value::Object(a), Value::Array(b)) => a.len() == b.len() && a.values().zip(b).all(|(a, b)| alike(a, b)),
        (Value::String(a), Value::String(b)) => a == b || a.replace(' ', "T").trim_end_matches("T00:00:00") == *b,
        (a, b) => a == b,
    }
}

/// Whether an argument is one of these names, or a list with one of them.
fn names_any(arguments: &Value, names: &[String]) -> bool {
    match arguments {
        Value::String(text) => names.contains(text),
        Value::Array(items) => items.iter().any(|item| names_any(item, names)),
        Value::Object(map) => map.iter().any(|(key, item)| match item.as_str() {
            Some(text) if key == "row_condition" => names.iter().any(|name| text.contains(name)),
            _ => names_any(item, names),
        }),
        _ => false,
    }
}

/// The data as a frame, and the columns that hold values of several types, which no typed column can.
fn frame(data: &Value, schema: &Value) -> (DataFrame, Vec<String>) {
    let mut mixed = Vec::new();
    let mut columns = Vec::new();
    for (name, values) in data.as_object().into_iter().flatten() {
        match column(name, values.as_array().map_or(&[], Vec::as_slice), &schema[name]) {
            Some(column) => columns.push(column),
            None => mixed.push(name.clone()),
        }
    }
    let height = columns.first().map_or(0, Column::len);
    (DataFrame::new(height, columns).expect("columns of one length"), mixed)
}

fn column(name: &str, values: &[Value], kind: &Value) -> Option<Column> {
    let name = name.into();
    let present = || values.iter().filter(|value| !value.is_null());
    let kind = kind.as_str().unwrap_or_default();
    let series = if kind.starts_with("datetime") {
        let read = |value: &Value| {
            value.as_str().map_or(Some(AnyValue::Null), |text| {
                Some(AnyValue::Datetime(moment(text)?, TimeUnit::Microseconds, None))
            })
        };
        let values: Vec<_> = values.iter().map(read).collect::<Option<_>>()?;
        Series::from_any_values_and_dtype(name, &values, &DataType::Datetime(TimeUnit::Microseconds, None), true)
            .ok()?
    } else if present().count() == 0 {
        Series::new_null(name, values.len())
    } else if matches!(kind, "str" | "string") || (present().all(Value::is_string) && present().count() > 0) {
        let text = |value: &Value| match value {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        };
        Series::from_iter(values.iter().map(text)).with_name(name)
    } else if present().all(Value::is_boolean) && present().count() > 0 {
        Series::from_iter(values.iter().map(Value::as_bool)).with_name(name)
    } else if present().all(|value| value.is_i64() || value.is_u64()) && kind != "float" {
        Series::from_iter(values.iter().map(Value::as_i64)).with_name(name)
    } else if present().all(Value::is_number) {
        Series::from_iter(values.iter().map(Value::as_f64)).with_name(name)
    } else {
        return None;
    };
    Some(series.into_column())
}

fn moment(text: &str) -> Option<i64> {
    let formats =
        ["%b %d %Y %H:%M:%S", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y/%m/%d %H:%M:%S", "%m/%d/%Y %H:%M:%S"];
    let read = |format: &&str| chrono::NaiveDateTime::parse_from_str(text, format).ok();
    let day = || chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0);
    formats.iter().find_map(read).or_else(day).map(|at| at.and_utc().timestamp_micros())
}
