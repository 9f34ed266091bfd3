//! The cases for pandas, over frames.

use polars::prelude::{AnyValue, Column, DataFrame, DataType, IntoColumn, Series, TimeUnit, TimeZone};
use quality::evaluate_frame;
use serde_json::Value;

use super::{
    Judged,
    fixtures::{Case, Dataset, Target, names_any},
    judge, meant, suite,
};

pub(super) fn run(dataset: &Dataset) -> Vec<(Case, Judged)> {
    let (frame, mixed) = frame(&dataset.data, &dataset.schemas["pandas"]);
    let one = |case: &Case| {
        let all = case.expectation.starts_with("expect_table") && !mixed.is_empty();
        let judged = (!all && !names_any(&case.arguments, &mixed)).then(|| {
            let found = suite(case, &Value::Null).map(|suite| evaluate_frame(&suite, &frame));
            judge(case, Target::Frames, found)
        });
        (case.clone(), judged)
    };
    meant(dataset, Target::Frames).map(one).collect()
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
    let series = if kind.starts_with("datetime") || kind == "timestamp" {
        // A pandas `Timestamp` column here is one with a zone.
        let zone = (kind == "timestamp").then_some(TimeZone::UTC);
        let read = |value: &Value| {
            value.as_str().map_or(Some(AnyValue::Null), |text| {
                Some(AnyValue::Datetime(moment(text.trim_end_matches('Z'))?, TimeUnit::Microseconds, zone.as_ref()))
            })
        };
        let values: Vec<_> = values.iter().map(read).collect::<Option<_>>()?;
        let dtype = DataType::Datetime(TimeUnit::Microseconds, zone.clone());
        Series::from_any_values_and_dtype(name, &values, &dtype, true).ok()?
    } else if present().count() == 0 {
        Series::new_null(name, values.len())
    } else if matches!(kind, "str" | "string") || present().all(Value::is_string) {
        let text = |value: &Value| match value {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        };
        Series::from_iter(values.iter().map(text)).with_name(name)
    } else if present().all(Value::is_boolean) {
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
