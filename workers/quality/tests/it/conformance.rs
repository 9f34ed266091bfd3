//! Great Expectations' own definition tests, over frames: the cases for pandas of the expectations that we have.
//!
//! The files are read where they are; they are no part of this project. Each case that ends otherwise than Great
//! Expectations says must stand in [`EXCEPTIONS`] with its reason, and each entry there must still be needed.

use std::{collections::BTreeMap, path::Path};

use polars::prelude::{AnyValue, Column, DataFrame, DataType, IntoColumn, Series, TimeUnit};
use quality::{Outcome, Suite, evaluate_frame};
use serde_json::{Map, Value, json};

/// Cases that end otherwise on purpose: expectation, title, reason.
const EXCEPTIONS: &[(&str, &str, &str)] = &[];

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
    if !quality::expectation::catalogue().iter().any(|entry| entry.name == name) {
        return;
    }
    let tally = tallies.entry(name.to_owned()).or_default();
    for dataset in file["datasets"].as_array().into_iter().flatten() {
        if skipped(dataset) {
            continue;
        }
        let frame = frame(&dataset["data"], &dataset["schemas"]["pandas"]);
        for test in dataset["tests"].as_array().into_iter().flatten().filter(|test| !skipped(test)) {
            let Some(frame) = &frame else {
                tally.untyped += 1;
                continue;
            };
            let title = test["title"].as_str().unwrap_or_default();
            let excepted = EXCEPTIONS.iter().find(|(of, known, _)| *of == name && *known == title);
            match (run_case(name, test, frame), excepted) {
                (Ok(()), None) => tally.agree += 1,
                (Ok(()), Some(_)) => tally.differ.push(format!("{title}: agrees by now, so it is no exception")),
                (Err(_), Some(_)) => tally.excepted += 1,
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
        return if found.outcome == Outcome::Errored { Ok(()) } else { Err(format!("{} instead of an error", found.outcome)) };
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
    arguments.retain(|key, value| !(value.is_null() && matches!(key.as_str(), "mostly" | "match_on" | "ignore_row_if")));
    if let Some(condition) = arguments.remove("row_condition") {
        let sql = condition.as_str().ok_or("a row condition that is no text")?.replace("==", "=").replace('"', "'");
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

/// The data as a frame; `None` where a column holds values of several types.
fn frame(data: &Value, schema: &Value) -> Option<DataFrame> {
    let columns = data.as_object()?.iter().map(|(name, values)| column(name, values.as_array()?, &schema[name]));
    let columns: Vec<Column> = columns.collect::<Option<_>>()?;
    let height = columns.first().map_or(0, Column::len);
    DataFrame::new(height, columns).ok()
}

fn column(name: &str, values: &[Value], kind: &Value) -> Option<Column> {
    let name = name.into();
    let present = || values.iter().filter(|value| !value.is_null());
    let kind = kind.as_str().unwrap_or_default();
    let series = if kind.starts_with("datetime") {
        let read = |value: &Value| value.as_str().map_or(Some(AnyValue::Null), |text| Some(AnyValue::Datetime(moment(text)?, TimeUnit::Microseconds, None)));
        let values: Vec<_> = values.iter().map(read).collect::<Option<_>>()?;
        Series::from_any_values_and_dtype(name, &values, &DataType::Datetime(TimeUnit::Microseconds, None), true).ok()?
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
    let formats = ["%b %d %Y %H:%M:%S", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y/%m/%d %H:%M:%S", "%m/%d/%Y %H:%M:%S"];
    let read = |format: &&str| chrono::NaiveDateTime::parse_from_str(text, format).ok();
    let day = || chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0);
    formats.iter().find_map(read).or_else(day).map(|at| at.and_utc().timestamp_micros())
}
