//! An evaluation in the shape of Great Expectations' validation result, for tools that read that.

use serde_json::{Map, Value, json};

use crate::{Check, CheckOutcome, Evaluation, Outcome, Suite, Verdict};

/// `{success, results: [{success, expectation_config, result, exception_info}], statistics, suite_name, meta}`.
///
/// Beyond Great Expectations' keys each result carries `outcome`, which tells a vacuous check from one that passed.
/// A check whose failure only warns is a failed result, but does not unmake the whole's `success`.
pub fn validation_result(suite: &Suite, evaluation: &Evaluation) -> Value {
    let results: Vec<_> =
        suite.checks.iter().zip(&evaluation.checks).map(|(check, outcome)| result(suite, check, outcome)).collect();
    let evaluated = evaluation.checks.len();
    let unsuccessful = evaluation.checks.iter().filter(|check| !success(check)).count();
    let percent =
        if evaluated == 0 { Value::Null } else { json!((evaluated - unsuccessful) as f64 / evaluated as f64 * 100.0) };
    json!({
        "success": evaluation.verdict <= Verdict::Warned,
        "results": results,
        "suite_name": suite.name,
        "statistics": {
            "evaluated_expectations": evaluated,
            "successful_expectations": evaluated - unsuccessful,
            "unsuccessful_expectations": unsuccessful,
            "success_percent": percent,
        },
        "meta": {
            "verdict": evaluation.verdict.as_str(),
            "rows": evaluation.rows,
            "suite_hash": suite.hash,
            "rows_to_quarantine": evaluation.failed_rows.len(),
        },
    })
}

fn success(check: &CheckOutcome) -> bool {
    matches!(check.outcome, Outcome::Passed | Outcome::Vacuous)
}

fn result(suite: &Suite, check: &Check, outcome: &CheckOutcome) -> Value {
    let error = outcome.observed.get("error").cloned();
    let result = if error.is_some() { Value::Object(Map::new()) } else { outcome.observed.clone() };
    json!({
        "success": success(outcome),
        "expectation_config": {
            "type": check.expectation_type,
            "kwargs": check.arguments,
            "id": check.id,
            "meta": {
                "on_fail": outcome.on_fail,
                "description": check.description,
                "owner": suite.owner_of(check),
                "tags": suite.tags_of(check),
            },
            "severity": check.severity,
        },
        "result": result,
        "outcome": outcome.outcome,
        "exception_info": {
            "raised_exception": error.is_some(),
            "exception_message": error,
        },
    })
}
