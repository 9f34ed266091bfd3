//! What a check found, against what its case says.

use quality::{CheckOutcome, Outcome};
use serde_json::Value;

use super::fixtures::{Case, Target};

/// Checks every key of the case's `out`; one that nobody knows is a difference too.
pub(super) fn result(case: &Case, target: Target, found: &CheckOutcome) -> Result<(), String> {
    if case.fails() {
        return match found.outcome {
            Outcome::Errored => Ok(()),
            other => Err(format!("{other} instead of an error")),
        };
    }
    for (key, wanted) in case.out.as_object().into_iter().flatten() {
        match (key.as_str(), wanted) {
            ("success", _) => success(wanted, found)?,
            ("result", Value::Object(result)) => {
                result.iter().try_for_each(|(key, wanted)| value(case, target, key, wanted, found))?;
            }
            _ => value(case, target, key, wanted, found)?,
        }
    }
    Ok(())
}

fn success(wanted: &Value, found: &CheckOutcome) -> Result<(), String> {
    let success = matches!(found.outcome, Outcome::Passed | Outcome::Vacuous);
    if wanted.as_bool() == Some(success) {
        return Ok(());
    }
    Err(format!("{} {} instead of success {wanted}", found.outcome, found.observed))
}

fn value(case: &Case, target: Target, key: &str, wanted: &Value, found: &CheckOutcome) -> Result<(), String> {
    let observed = &found.observed;
    let tolerance = case.tolerance.unwrap_or(1e-9);
    let details = &observed["details"];
    let (same, actual) = match key {
        "observed_value" => (alike(wanted, &observed[key], tolerance), &observed[key]),
        "observed_value_list" => {
            let any = list(wanted).iter().any(|wanted| alike(wanted, &observed["observed_value"], tolerance));
            (any, &observed["observed_value"])
        }
        "unexpected_list" | "partial_unexpected_list" => {
            let actual = &observed["partial_unexpected_list"];
            let all = list(wanted).len() <= 20;
            (all && (alike(wanted, actual, 1e-9) || (target == Target::Tables && same_set(wanted, actual))), actual)
        }
        // A table's rows have no places.
        "unexpected_index_list" | "partial_unexpected_index_list" if target == Target::Tables => return Ok(()),
        "unexpected_index_list" | "partial_unexpected_index_list" => {
            let place = |item: &Value| item.get("pk_index").unwrap_or(item).clone();
            let wanted = Value::Array(list(wanted).iter().map(place).collect());
            let actual = &observed["partial_unexpected_index_list"];
            (wanted == *actual, actual)
        }
        "value_counts" => {
            let actual = &details["value_counts"];
            (list(wanted).iter().all(|one| list(actual).iter().any(|other| alike(one, other, 1e-9))), actual)
        }
        "observed_partition" | "expected_partition" => (alike(wanted, &details[key], 1e-9), &details[key]),
        // What Python could not count is nothing of the data.
        "details" if wanted.get("partial_unexpected_counts_error").is_some() => return Ok(()),
        "details" => (alike(wanted, details, 1e-9), details),
        "element_count"
        | "missing_count"
        | "missing_percent"
        | "unexpected_count"
        | "unexpected_percent"
        | "unexpected_percent_total"
        | "unexpected_percent_nonmissing" => (alike(wanted, &observed[key], 1e-9), &observed[key]),
        // How often each of the values in the list is in it: nothing that the list does not say.
        "partial_unexpected_counts" => return Ok(()),
        other => return Err(format!("nobody compares `{other}`")),
    };
    if same { Ok(()) } else { Err(format!("{key} {actual} instead of {wanted}")) }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// The same items, in whatever order.
fn same_set(a: &Value, b: &Value) -> bool {
    let mut rest = list(b).to_vec();
    list(a).iter().all(|item| {
        let place = rest.iter().position(|other| alike(item, other, 1e-9));
        place.map(|place| rest.remove(place)).is_some()
    }) && rest.is_empty()
}

fn alike(a: &Value, b: &Value, tolerance: f64) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => {
            let (a, b) = (a.as_f64().unwrap_or(f64::NAN), b.as_f64().unwrap_or(f64::NAN));
            (a - b).abs() <= tolerance * a.abs().max(1.0)
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| alike(a, b, tolerance))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter().all(|(key, value)| b.get(key).is_some_and(|other| alike(value, other, tolerance)))
        }
        // We show a pair as a list.
        (Value::Object(a), Value::Array(b)) => {
            a.len() == b.len() && a.values().zip(b).all(|(a, b)| alike(a, b, tolerance))
        }
        (Value::String(a), Value::String(b)) => a == b || a.replace(' ', "T").trim_end_matches("T00:00:00") == *b,
        (a, b) => a == b,
    }
}
