//! Bounds of numbers, with room, at round numbers.

use serde_json::{Value, json};

use crate::{
    profile::{ColumnProfile, Quantiles, thousands},
    types::Type,
};

/// Numbers above this are not written as bounds: not all of their digits are known.
const LARGEST: f64 = 1e15;

/// What lies more than so many spreads outside of the middle 90 % is far off. A spread is the width of those.
const FAR: f64 = 50.0;

/// How many spreads outside of the middle 90 % the bound is where some values are far off.
const ROOM: f64 = 20.0;

/// The bounds of a column between `low` and `high`, and what speaks for them beyond those. Half as far again as what was
/// seen, but for values that are far off. A sign that no value has is kept out; a share stays one; a key has no upper
/// bound, for it grows.
pub(super) fn numbers(
    column: &ColumnProfile,
    low: f64,
    high: f64,
    is_key: bool,
) -> Option<(Vec<(&'static str, Value)>, String)> {
    if low.abs() > LARGEST || high.abs() > LARGEST || !low.is_finite() || !high.is_finite() {
        return None;
    }
    let mut evidence = column.quantiles.map(|q| format!("; 90 % from {} to {}", q.p05, q.p95)).unwrap_or_default();
    let mut limit = |seen: f64, edge: &dyn Fn(&Quantiles) -> f64| {
        let Some((limit, spreads)) = column.quantiles.as_ref().and_then(|q| far_off(seen, edge(q), q.p95 - q.p05))
        else {
            return seen * 1.5;
        };
        evidence
            .push_str(&format!("; {seen} is {} times their width away, so the bound is nearer", thousands(spreads)));
        limit
    };
    let is_whole = column.kind == Type::Int;
    let number = |value: f64| if value.fract() == 0.0 { whole(value) } else { json!(value) };
    let mut bounds = Vec::new();
    if low >= 1.0 && is_whole {
        bounds.push(("min_value", 1.into()));
    } else if low >= 0.0 {
        bounds.push(("min_value", 0.into()));
        if low > 0.0 {
            bounds.push(("strict_min", true.into()));
        }
    } else if !is_key {
        bounds.push(("min_value", number(-above(-limit(low, &|q| q.p05)))));
    }
    if !is_key {
        let is_share = !is_whole && low >= 0.0 && high <= 1.0;
        let most = if is_share {
            1.0
        } else if high <= 0.0 {
            0.0
        } else {
            above(limit(high, &|q| q.p95))
        };
        bounds.push(("max_value", number(most)));
    }
    Some((bounds, evidence))
}

/// A bound for values of which one is far off, and by how many spreads it is.
fn far_off(seen: f64, edge: f64, spread: f64) -> Option<(f64, u64)> {
    let away = seen - edge;
    // Where 90 % are one value, there is no telling what is far.
    if spread <= 0.0 || away.abs() <= FAR * spread {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive, and a figure to read")]
    let spreads = (away.abs() / spread).round() as u64;
    Some((edge + ROOM * spread * away.signum(), spreads))
}

/// A whole number, without a point in its JSON.
pub(super) fn whole(value: f64) -> Value {
    format!("{value:.0}").parse().unwrap_or_default()
}

/// The least round number that is not below a positive one; 0 for others.
pub(super) fn above(value: f64) -> f64 {
    if value <= 0.0 {
        return 0.0;
    }
    let scientific = format!("{value:e}");
    let power = scientific.split_once('e').map_or("0", |(_, power)| power);
    let written = |digits: f64| format!("{digits}e{power}").parse().unwrap_or(value);
    let rounded: Option<f64> =
        [1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0].into_iter().map(written).find(|round| *round >= value);
    let rounded = rounded.unwrap_or(value);
    // A length or a whole number has a whole bound.
    if value >= 1.0 { rounded.ceil() } else { rounded }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_round_and_hold() {
        for (value, round) in [(1.0, 1.0), (14.0 * 1.5, 25.0), (0.031, 0.04), (99.0, 100.0), (38_970.0, 40_000.0)] {
            assert!((above(value) - round).abs() < 1e-12, "{value}: {}", above(value));
        }
    }

    #[test]
    fn what_is_far_off_is_told_from_a_long_tail() {
        // Quantities of an online shop: 90 % from 1 to 29, and one of 80,995.
        assert_eq!(far_off(80_995.0, 29.0, 28.0), Some((589.0, 2892)));
        assert_eq!(far_off(-80_995.0, 1.0, 28.0), Some((-559.0, 2893)));
        // Its orders' values: 90 % from 5 to 958, the greatest 22,638.
        assert_eq!(far_off(22_638.0, 958.0, 953.0), None);
        assert_eq!(far_off(1_000.0, 1.0, 0.0), None);
    }
}
