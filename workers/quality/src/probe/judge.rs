//! From what an engine counted to an outcome and what is told of it.

use std::cmp::Ordering;

use serde_json::{Map, Value, json};

use super::{AskedOfFrequencies, RowCounts, RowProbe, SAMPLES, divergence::judge_divergence};
use crate::{
    contract::{Change, nulls, observed as observed_changes},
    expectation::{Bounds, Metric, SetRelation},
    outcome::Outcome,
    suite::Check,
    value::Scalar,
};

/// How many different values a result lists.
const LISTED: usize = 100;

/// The different values of a column that are not null, sorted, with how often each is there.
pub(crate) type Frequencies = Vec<(Scalar, u64)>;

pub(super) fn percent(part: u64, whole: u64) -> Value {
    if whole == 0 { Value::Null } else { json!(part as f64 / whole as f64 * 100.0) }
}

/// What is told of a check on a column beside its result: how many rows there were, how many without a value.
fn told(elements: u64, present: u64) -> Map<String, Value> {
    let missing = elements.saturating_sub(present);
    [
        ("element_count".to_owned(), elements.into()),
        ("missing_count".to_owned(), missing.into()),
        ("missing_percent".to_owned(), percent(missing, elements)),
    ]
    .into_iter()
    .collect()
}

fn observed(value: Value, mut beside: Map<String, Value>) -> Value {
    beside.insert("observed_value".to_owned(), value);
    Value::Object(beside)
}

fn passes(holds: bool) -> Outcome {
    if holds { Outcome::Passed } else { Outcome::Failed }
}

/// Judges a row check; `samples` are values of its first bad rows, `indexes` their places where rows have one.
pub(crate) fn judge_rows(
    check: &Check,
    probe: &RowProbe,
    counts: RowCounts,
    samples: Vec<Value>,
    indexes: Option<&[usize]>,
) -> (Outcome, Value) {
    let RowCounts { elements, considered, unexpected } = counts;
    let mut observed = Map::new();
    observed.insert("element_count".to_owned(), elements.into());
    if probe.tells_missing {
        observed.insert("missing_count".to_owned(), (elements - considered).into());
        observed.insert("missing_percent".to_owned(), percent(elements - considered, elements));
    }
    observed.insert("unexpected_count".to_owned(), unexpected.into());
    observed.insert("unexpected_percent".to_owned(), percent(unexpected, considered));
    observed.insert("unexpected_percent_total".to_owned(), percent(unexpected, elements));
    observed.insert("unexpected_percent_nonmissing".to_owned(), percent(unexpected, considered));
    if let Some(allowed) = check.tolerance.allowed(considered).filter(|_| check.group_by.is_empty()) {
        observed.insert("allowed_count".to_owned(), allowed.into());
    }
    observed.insert("partial_unexpected_list".to_owned(), Value::Array(samples));
    if let Some(indexes) = indexes {
        let first = &indexes[..indexes.len().min(SAMPLES)];
        observed.insert("partial_unexpected_index_list".to_owned(), json!(first));
    }
    (verdict(check, counts), Value::Object(observed))
}

/// Whether a row check holds, by its counts alone.
pub(crate) fn verdict(check: &Check, counts: RowCounts) -> Outcome {
    if counts.considered == 0 {
        Outcome::Vacuous
    } else {
        passes(check.tolerance.bears(counts.considered, counts.unexpected))
    }
}

/// Judges a contract by how the columns differ and by the nulls in those that may have none.
pub(crate) fn judge_contract(changes: &[Change], not_null: &[String], counts: &[u64]) -> (Outcome, Value) {
    let found = not_null.iter().zip(counts).filter(|(_, count)| **count > 0).map(|(name, count)| nulls(name, *count));
    let all: Vec<_> = changes.iter().cloned().chain(found).collect();
    (passes(all.iter().all(|change| change.allowed)), observed_changes(&all))
}

/// Judges a number of rows.
pub(crate) fn judge_count(bounds: &Bounds, rows: u64) -> Result<(Outcome, Value), String> {
    let told = json!({ "observed_value": rows });
    if bounds.are_open() {
        return Ok((Outcome::Vacuous, told));
    }
    Ok((passes(bounds.hold(&Scalar::int(rows))?), told))
}

/// Judges a query by how many rows it found; `samples` are the first of them.
pub(crate) fn judge_unexpected_rows(found: u64, samples: Vec<Value>) -> (Outcome, Value) {
    let text = format!("{found} unexpected row{}", if found == 1 { "" } else { "s" });
    let details = json!({ "unexpected_rows_count": found, "unexpected_rows": samples });
    (passes(found == 0), json!({ "observed_value": text, "details": details }))
}

/// The metric from what an engine computed over `count` values: means and fractions are divided here, once, so that
/// both engines round alike.
pub(crate) fn divide(metric: Metric, count: u64, value: Option<Scalar>) -> Option<Scalar> {
    match metric {
        Metric::Mean | Metric::DistinctFraction => Some(Scalar::Float(value?.as_f64()? / count as f64)),
        _ => value,
    }
}

/// Judges an aggregate over `present` of `elements` rows; null where there was nothing to compute it from. Without
/// bounds it is only told.
pub(crate) fn judge_aggregate(
    bounds: &Bounds,
    (elements, present): (u64, u64),
    value: Option<&Scalar>,
) -> Result<(Outcome, Value), String> {
    let told = told(elements, present);
    let Some(value) = value else { return Ok((Outcome::Vacuous, observed(Value::Null, told))) };
    let outcome = if bounds.are_open() { Outcome::Vacuous } else { passes(bounds.hold(value)?) };
    Ok((outcome, observed(value.to_json(), told)))
}

/// Judges quantiles; empty where there was nothing to compute them from.
pub(crate) fn judge_quantiles(
    quantiles: &[f64],
    ranges: &[Bounds],
    (elements, present): (u64, u64),
    values: &[f64],
) -> Result<(Outcome, Value), String> {
    let told = told(elements, present);
    if present == 0 || values.len() != quantiles.len() {
        let nothing = json!({ "quantiles": quantiles, "values": vec![Value::Null; quantiles.len()] });
        return Ok((Outcome::Vacuous, observed(nothing, told)));
    }
    let holds = ranges
        .iter()
        .zip(values)
        .map(|(range, value)| range.hold(&Scalar::Float(*value)))
        .collect::<Result<Vec<_>, _>>()?;
    let outcome =
        if ranges.iter().all(Bounds::are_open) { Outcome::Vacuous } else { passes(holds.iter().all(|holds| *holds)) };
    let shown: Vec<_> = values.iter().map(|value| Scalar::Float(*value).to_json()).collect();
    let mut result = observed(json!({ "quantiles": quantiles, "values": shown }), told);
    result["details"] = json!({ "success_details": holds });
    Ok((outcome, result))
}

/// Judges the values of a column by how often each is there.
pub(crate) fn judge_frequencies(
    asked: &AskedOfFrequencies,
    elements: u64,
    seen: &Frequencies,
) -> Result<(Outcome, Value), String> {
    let told = told(elements, seen.iter().map(|(_, count)| count).sum());
    Ok(match asked {
        AskedOfFrequencies::Set { values, relation } => {
            let (outcome, details) = judge_set(values.as_deref(), *relation, seen);
            let shown: Vec<_> = seen.iter().take(LISTED).map(|(value, _)| value.to_json()).collect();
            let mut result = observed(json!(shown), told);
            result["distinct_count"] = seen.len().into();
            result["details"] = details;
            (outcome, result)
        }
        AskedOfFrequencies::MostCommon { values, ties_okay } => {
            let most = seen.iter().map(|(_, count)| *count).max();
            let modes: Vec<_> = seen.iter().filter(|(_, count)| Some(*count) == most).map(|(value, _)| value).collect();
            let outcome = match values {
                _ if modes.is_empty() => Outcome::Vacuous,
                None => Outcome::Vacuous,
                Some(values) => {
                    let inside = modes.iter().any(|mode| values.iter().any(|known| same(known, mode)));
                    passes(inside && (*ties_okay || modes.len() == 1))
                }
            };
            let shown: Vec<_> = modes.iter().take(LISTED).map(|value| value.to_json()).collect();
            (outcome, observed(json!(shown), told))
        }
        AskedOfFrequencies::Divergence(divergence) => {
            let (outcome, value, details) = judge_divergence(divergence, seen)?;
            let mut result = observed(value, told);
            result["details"] = details;
            (outcome, result)
        }
    })
}

pub(super) fn same(a: &Scalar, b: &Scalar) -> bool {
    a.compare(b).is_some_and(Ordering::is_eq)
}

fn judge_set(values: Option<&[Scalar]>, relation: SetRelation, seen: &Frequencies) -> (Outcome, Value) {
    let counts: Vec<_> =
        seen.iter().take(LISTED).map(|(value, count)| json!({ "value": value.to_json(), "count": count })).collect();
    let details = json!({ "value_counts": counts });
    let Some(values) = values.filter(|_| !seen.is_empty()) else { return (Outcome::Vacuous, details) };
    let within = seen.iter().all(|(value, _)| values.iter().any(|known| same(known, value)));
    let contains = values.iter().all(|value| seen.iter().any(|(known, _)| same(known, value)));
    let holds = match relation {
        SetRelation::Within => within,
        SetRelation::Contains => contains,
        SetRelation::Equal => within && contains,
    };
    (passes(holds), details)
}

/// What a sample shows of a bad row: its value, a list for a pair, a mapping for more.
pub(crate) fn sample(columns: &[String], value: impl Fn(&String) -> Value) -> Value {
    match columns {
        [one] => value(one),
        [a, b] => json!([value(a), value(b)]),
        many => Value::Object(many.iter().map(|name| (name.clone(), value(name))).collect()),
    }
}
