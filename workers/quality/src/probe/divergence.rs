//! How far the spread of a column is from a partition: relative entropy, as `SciPy`'s `entropy(observed, expected)` in
//! nats, with the holdouts of Great Expectations.

use serde_json::{Value, json};

use super::judge::{Frequencies, same};
use crate::{
    expectation::{Divergence, Partition},
    outcome::Outcome,
    value::Scalar,
};

/// Judges the values of a column by a partition of values, or by none.
pub(super) fn judge_divergence(divergence: &Divergence, seen: &Frequencies) -> Result<(Outcome, Value, Value), String> {
    let total: u64 = seen.iter().map(|(_, count)| count).sum();
    if total == 0 {
        return Ok((Outcome::Vacuous, Value::Null, Value::Null));
    }
    let weight = |count: u64| count as f64 / total as f64;
    match &divergence.partition {
        Some(Partition::Values { values, weights }) => {
            let extra: Vec<_> =
                seen.iter().filter(|(value, _)| !values.iter().any(|known| same(known, value))).collect();
            // What was not expected shares the holdout; what was, gives it.
            let scale = if extra.is_empty() { 1.0 } else { 1.0 - divergence.tail_holdout };
            let mut expected: Vec<_> = weights.iter().map(|weight| weight * scale).collect();
            expected.extend(extra.iter().map(|_| divergence.tail_holdout / extra.len() as f64));
            let count = |value| seen.iter().find(|(known, _)| same(known, value)).map_or(0, |(_, count)| *count);
            let mut observed: Vec<_> = values.iter().map(|value| weight(count(value))).collect();
            observed.extend(extra.iter().map(|(_, count)| weight(*count)));
            let names: Vec<_> =
                values.iter().chain(extra.iter().map(|(value, _)| value)).map(Scalar::to_json).collect();
            let shown = |weights: &[f64]| json!({ "values": names, "weights": weights });
            let (outcome, value) = judged(divergence, &observed, &expected);
            Ok((outcome, value, details(shown(&observed), shown(&expected))))
        }
        None if divergence.bucketize => {
            let numbers: Vec<_> =
                seen.iter().map(|(value, count)| (value.as_f64().unwrap_or(f64::NAN), *count)).collect();
            let (edges, weights) = own_bins(&numbers, total);
            let shown = json!({ "bins": edges, "weights": weights, "tail_weights": [0.0, 0.0] });
            let (outcome, value) = judged(divergence, &weights, &weights);
            Ok((outcome, value, details(shown.clone(), shown)))
        }
        None => {
            let weights: Vec<_> = seen.iter().map(|(_, count)| weight(*count)).collect();
            let names: Vec<_> = seen.iter().map(|(value, _)| value.to_json()).collect();
            let shown = json!({ "values": names, "weights": weights });
            let (outcome, value) = judged(divergence, &weights, &weights);
            Ok((outcome, value, details(shown.clone(), shown)))
        }
        Some(Partition::Bins { .. }) => Err("bins are counted, not listed".to_owned()),
    }
}

/// Judges a column by bins: `below` counts the values under each finite edge, and last, where the last edge is
/// finite, those not above it.
pub(crate) fn judge_histogram(
    divergence: &Divergence,
    elements: u64,
    present: u64,
    below: &[u64],
) -> Result<(Outcome, Value), String> {
    let Some(Partition::Bins { edges, weights, tails }) = &divergence.partition else {
        return Err("there are no bins".to_owned());
    };
    let missing = elements - present;
    let percent = if elements == 0 { Value::Null } else { json!(missing as f64 / elements as f64 * 100.0) };
    let mut result = json!({
        "element_count": elements, "missing_count": missing, "missing_percent": percent, "observed_value": null,
    });
    if present == 0 {
        return Ok((Outcome::Vacuous, result));
    }
    let (opens, closes) = (edges.first() == Some(&f64::NEG_INFINITY), edges.last() == Some(&f64::INFINITY));
    // How many values lie before each edge; the last edge belongs to the last bin.
    let mut before: Vec<u64> = below.to_vec();
    if opens {
        before.insert(0, 0);
    }
    if closes {
        before.push(present);
    } else if before.len() > edges.len() {
        before.remove(edges.len() - 1);
    }
    let (Some(first), Some(last)) = (before.first(), before.last()) else { return Err("there are no bins".to_owned()) };
    let weight = |count: u64| count as f64 / present as f64;
    let mut observed: Vec<f64> = before.windows(2).map(|pair| weight(pair[1].saturating_sub(pair[0]))).collect();
    let mut observed_tails = [weight(*first), weight(present.saturating_sub(*last))];

    let kept = 1.0 - divergence.tail_holdout - divergence.internal_holdout;
    let mut expected: Vec<f64> = weights.iter().map(|weight| weight * kept).collect();
    let empty = expected.iter().filter(|weight| **weight == 0.0).count();
    if divergence.internal_holdout > 0.0 && empty > 0 {
        let share = divergence.internal_holdout / empty as f64;
        expected.iter_mut().filter(|weight| **weight == 0.0).for_each(|weight| *weight = share);
    }
    let mut expected_tails = match (tails, opens || closes) {
        (Some(tails), _) => *tails,
        (None, false) => [divergence.tail_holdout / 2.0; 2],
        // One tail is a bin already; the holdout is for the other.
        (None, true) => [divergence.tail_holdout; 2],
    };
    let mut finite = edges.clone();
    if opens {
        finite.remove(0);
        (observed_tails[0], expected_tails[0]) = (observed.remove(0), expected.remove(0));
    }
    if closes {
        finite.pop();
        observed_tails[1] = observed.pop().unwrap_or_default();
        expected_tails[1] = expected.pop().unwrap_or_default();
    }
    let whole = |inner: &[f64], tails: [f64; 2]| {
        [tails[0]].into_iter().chain(inner.iter().copied()).chain([tails[1]]).collect::<Vec<_>>()
    };
    let (outcome, value) = judged(divergence, &whole(&observed, observed_tails), &whole(&expected, expected_tails));
    let shown = |weights: &[f64], tails: [f64; 2]| json!({ "bins": finite, "weights": weights, "tail_weights": tails });
    result["observed_value"] = value;
    result["details"] = details(shown(&observed, observed_tails), shown(&expected, expected_tails));
    Ok((outcome, result))
}

fn details(observed: Value, expected: Value) -> Value {
    json!({ "observed_partition": observed, "expected_partition": expected })
}

/// Null where it is infinite. Without a threshold it is only told.
fn judged(divergence: &Divergence, observed: &[f64], expected: &[f64]) -> (Outcome, Value) {
    let entropy = relative_entropy(observed, expected);
    let outcome = match divergence.threshold {
        None => Outcome::Vacuous,
        Some(threshold) if entropy <= threshold => Outcome::Passed,
        Some(_) => Outcome::Failed,
    };
    (outcome, if entropy.is_finite() { json!(entropy) } else { Value::Null })
}

/// `sum p ln(p / q)` of weights that are first brought to a sum of 1; infinite where something was not expected at
/// all.
fn relative_entropy(observed: &[f64], expected: &[f64]) -> f64 {
    let (p, q): (f64, f64) = (observed.iter().sum(), expected.iter().sum());
    let entropy: f64 = observed
        .iter()
        .zip(expected)
        .map(|(observed, expected)| (observed / p, expected / q))
        .map(|(p, q)| if p == 0.0 { 0.0 } else { p * (p / q).ln() })
        .sum();
    // Rounding may leave it just below zero, which it never is.
    if entropy < 0.0 { 0.0 } else { entropy }
}

/// Bins of one width from the least to the greatest number, as many as Sturges' rule says, with their weights.
fn own_bins(numbers: &[(f64, u64)], total: u64) -> (Vec<f64>, Vec<f64>) {
    let finite: Vec<_> = numbers.iter().filter(|(value, _)| value.is_finite()).collect();
    let (Some((least, _)), Some((greatest, _))) = (finite.first(), finite.last()) else {
        return (Vec::new(), Vec::new());
    };
    let sturges = total.ilog2() + u32::from(!total.is_power_of_two()) + 1;
    let bins = if greatest > least { sturges } else { 1 };
    let width = (greatest - least) / f64::from(bins);
    let mut edges: Vec<_> = (0..bins).map(|edge| least + width * f64::from(edge)).collect();
    let mut weights = vec![0.0; edges.len()];
    for (value, count) in finite {
        // The first edge is the least value, so no value is before it.
        let bin = edges.partition_point(|edge| edge <= value).saturating_sub(1);
        weights[bin] += *count as f64 / total as f64;
    }
    edges.push(*greatest);
    (edges, weights)
}

#[cfg(test)]
mod tests {
    use super::relative_entropy;

    #[test]
    fn entropies_are_those_of_scipy() {
        let close = |a: f64, b: f64| (a - b).abs() < 1e-12;
        assert!(close(relative_entropy(&[0.54, 0.32, 0.14], &[1.0, 1.0, 1.0]), 0.125_997_002_866_775_3));
        assert!(close(relative_entropy(&[0.5, 0.5, 0.0], &[2.0, 2.0, 0.0]), 0.0));
        assert!(relative_entropy(&[0.5, 0.5], &[1.0, 0.0]).is_infinite());
    }
}
