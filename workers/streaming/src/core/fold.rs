//! What a bucket keeps of the values it has seen, and how buckets make a window. Numbers are kept as millionths where
//! they are added up or compared, so that a sum does not depend on the order of arrival and money stays exact.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::spec::{Fold, expr::Value};

/// Decimal places of [`millionths`].
pub(crate) const SCALE: u32 = 6;
/// A bucket tells so many distinct values apart; a window then says "at least".
const MOST_DISTINCT: usize = 4_096;

/// What the event at hand gives to a fold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Given<'e> {
    /// A null, which SQL's aggregates leave out, or an event that the filter does not let through.
    Nothing,
    /// The event itself.
    Event,
    /// A value, never null.
    Value(Value<'e>),
}

/// A value that outlives its event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Datum {
    /// No value.
    Null,
    /// A boolean.
    Bool(bool),
    /// A number.
    Number(f64),
    /// Text.
    Text(Box<str>),
}

impl Datum {
    /// The value as expressions see it.
    pub(crate) fn value(&self) -> Value<'_> {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(*value),
            Self::Number(value) => Value::Number(*value),
            Self::Text(text) => Value::Text(text),
        }
    }
}

impl Datum {
    /// As JSON.
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Null => serde_json::Value::Null,
            Self::Bool(value) => (*value).into(),
            Self::Number(value) => (*value).into(),
            Self::Text(text) => (&**text).into(),
        }
    }
}

impl From<Value<'_>> for Datum {
    fn from(value: Value<'_>) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(value),
            Value::Number(value) => Self::Number(value),
            Value::Text(text) => Self::Text(text.into()),
        }
    }
}

/// An event that a fold remembers: its place in the log, its time, and the value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Seen {
    pub(crate) offset: i64,
    pub(crate) at: i64,
    pub(crate) value: Datum,
}

/// The state of one fold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Folded {
    Sum {
        sum: i128,
        count: u64,
    },
    Moments {
        count: u64,
        mean: f64,
        squares: f64,
    },
    Min(Option<i128>),
    Max(Option<i128>),
    /// Hashes of the values, ascending.
    Distinct(Vec<u64>),
    /// Bins and how many values are in each.
    Quantiles(BTreeMap<i32, u32>),
    First(Option<Seen>),
    Last(Option<Seen>),
}

impl Folded {
    pub(crate) fn new(fold: Fold) -> Self {
        match fold {
            Fold::Sum => Self::Sum { sum: 0, count: 0 },
            Fold::Moments => Self::Moments { count: 0, mean: 0.0, squares: 0.0 },
            Fold::Min => Self::Min(None),
            Fold::Max => Self::Max(None),
            Fold::Distinct => Self::Distinct(Vec::new()),
            Fold::Quantiles => Self::Quantiles(BTreeMap::new()),
            Fold::First => Self::First(None),
            Fold::Last => Self::Last(None),
        }
    }

    /// Takes in what an event gives.
    pub(crate) fn take(&mut self, given: Given<'_>, offset: i64, at: i64) {
        let (value, number) = match given {
            Given::Nothing => return,
            Given::Event => (Value::Null, None),
            Given::Value(value @ Value::Number(number)) => (value, Some(number)),
            Given::Value(value) => (value, None),
        };
        match self {
            Self::Sum { sum, count } => {
                *count += 1;
                *sum = sum.saturating_add(number.map_or(0, millionths));
            }
            // Welford: stable however far the values are from zero.
            Self::Moments { count, mean, squares } => {
                let Some(number) = number else { return };
                *count += 1;
                let before = number - *mean;
                *mean += before / *count as f64;
                *squares += before * (number - *mean);
            }
            Self::Min(least) => {
                if let Some(value) = number.map(millionths) {
                    *least = Some(least.map_or(value, |least| least.min(value)));
                }
            }
            Self::Max(greatest) => {
                if let Some(value) = number.map(millionths) {
                    *greatest = Some(greatest.map_or(value, |greatest| greatest.max(value)));
                }
            }
            Self::Distinct(hashes) => {
                let hash = hash_of(value);
                if let Err(at) = hashes.binary_search(&hash)
                    && hashes.len() < MOST_DISTINCT
                {
                    hashes.insert(at, hash);
                }
            }
            Self::Quantiles(bins) => {
                if let Some(number) = number {
                    *bins.entry(bin(number)).or_default() += 1;
                }
            }
            Self::First(seen @ None) | Self::Last(seen) => *seen = Some(Seen { offset, at, value: value.into() }),
            Self::First(Some(_)) => {}
        }
    }

    /// Takes in another bucket's.
    pub(crate) fn merge(&mut self, other: &Self) {
        match (self, other) {
            (Self::Sum { sum, count }, Self::Sum { sum: more, count: others }) => {
                *sum = sum.saturating_add(*more);
                *count += others;
            }
            // Chan, Golub and LeVeque's way of joining two of Welford's.
            (
                Self::Moments { count, mean, squares },
                Self::Moments { count: others, mean: their_mean, squares: their_squares },
            ) => {
                let (ours, theirs) = (*count as f64, *others as f64);
                if *others > 0 {
                    let apart = their_mean - *mean;
                    *mean += apart * theirs / (ours + theirs);
                    *squares += their_squares + apart * apart * ours * theirs / (ours + theirs);
                    *count += others;
                }
            }
            (Self::Min(ours), Self::Min(Some(theirs))) => *ours = Some(ours.map_or(*theirs, |ours| ours.min(*theirs))),
            (Self::Max(ours), Self::Max(Some(theirs))) => *ours = Some(ours.map_or(*theirs, |ours| ours.max(*theirs))),
            (Self::Distinct(ours), Self::Distinct(theirs)) => {
                ours.extend(theirs);
                ours.sort_unstable();
                ours.dedup();
            }
            (Self::Quantiles(ours), Self::Quantiles(theirs)) => {
                for (bin, count) in theirs {
                    *ours.entry(*bin).or_default() += count;
                }
            }
            _ => {}
        }
    }

    /// A remembered event.
    pub(crate) fn seen(&self) -> Option<&Seen> {
        match self {
            Self::First(seen) | Self::Last(seen) => seen.as_ref(),
            _ => None,
        }
    }

    /// How many values a sum has taken.
    pub(crate) fn count(&self) -> u64 {
        match self {
            Self::Sum { count, .. } | Self::Moments { count, .. } => *count,
            _ => 0,
        }
    }

    /// The sum, the extreme, or the number of distinct values; `None` where SQL would say null.
    pub(crate) fn number(&self) -> Option<f64> {
        let one = 10_f64.powi(6);
        match self {
            Self::Sum { count: 0, .. } => None,
            Self::Sum { sum, .. } => Some(*sum as f64 / one),
            Self::Min(value) | Self::Max(value) => value.map(|value| value as f64 / one),
            Self::Distinct(hashes) => Some(hashes.len() as f64),
            Self::Quantiles(bins) => median(bins),
            Self::Moments { .. } | Self::First(_) | Self::Last(_) => None,
        }
    }

    pub(crate) fn average(&self) -> Option<f64> {
        match self {
            Self::Sum { count: 0, .. } => None,
            Self::Sum { sum, count } => Some(*sum as f64 / 10_f64.powi(6) / *count as f64),
            _ => None,
        }
    }

    /// The sample's standard deviation, of two values at least, and the mean.
    pub(crate) fn deviation(&self) -> Option<(f64, f64)> {
        match self {
            Self::Moments { count: 2.., mean, squares } => {
                Some(((squares.max(0.0) / (self.count() - 1) as f64).sqrt(), *mean))
            }
            _ => None,
        }
    }
}

/// Stable across processes and versions, as snapshots keep it.
fn hash_of(value: Value<'_>) -> u64 {
    match value {
        Value::Null => 0,
        Value::Bool(value) => 1 + u64::from(value),
        Value::Number(value) => xxh3_64_with_seed(&value.to_bits().to_le_bytes(), 1),
        Value::Text(text) => xxh3_64(text.as_bytes()),
    }
}

/// A double is within half a millionth of every decimal with six places below 4e9, so rounding finds it again.
#[expect(clippy::cast_possible_truncation, reason = "saturates, and the sum that follows does as well")]
pub(crate) fn millionths(number: f64) -> i128 {
    (number * 1e6).round() as i128
}

/// Values of one bin are within 1 % of each other's middle, as in the `DDSketch` of Masson, Rim and Lee (2019).
const BASE: f64 = 1.02;
/// Keeps the bins of small numbers, which are negative, apart from those of negative numbers.
const SHIFT: i32 = 50_000;

/// Ascends with the number; 0 is the bin of zero.
#[expect(clippy::cast_possible_truncation, reason = "the logarithm of a finite double to this base is below 36,000")]
fn bin(number: f64) -> i32 {
    if number == 0.0 {
        return 0;
    }
    let bin = SHIFT + number.abs().log(BASE).ceil() as i32;
    if number > 0.0 { bin } else { -bin }
}

/// The number that stands for those of a bin.
fn middle(bin: i32) -> f64 {
    if bin == 0 {
        return 0.0;
    }
    let size = 2.0 * BASE.powi(bin.abs() - SHIFT) / (BASE + 1.0);
    if bin > 0 { size } else { -size }
}

/// As SQL's `percentile_cont(0.5)` of the bins' middles.
fn median(bins: &BTreeMap<i32, u32>) -> Option<f64> {
    let all: u64 = bins.values().map(|count| u64::from(*count)).sum();
    let at = |rank: u64| {
        let mut below = 0;
        bins.iter().find_map(|(bin, count)| {
            below += u64::from(*count);
            (rank < below).then(|| middle(*bin))
        })
    };
    let all = all.checked_sub(1)?;
    Some(f64::midpoint(at(all / 2)?, at(all.div_ceil(2))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(fold: Fold, numbers: &[f64]) -> Folded {
        let mut folded = Folded::new(fold);
        for (offset, number) in (0..).zip(numbers) {
            folded.take(Given::Value(Value::Number(*number)), offset, offset);
        }
        folded
    }

    #[test]
    fn sums_of_money_are_exact_in_any_order() {
        let mut cents = Folded::new(Fold::Sum);
        for _ in 0..1_000 {
            cents.take(Given::Value(Value::Number(0.1)), 0, 0);
            cents.take(Given::Value(Value::Number(19.99 * 3.0)), 0, 0);
        }
        assert_eq!(cents, Folded::Sum { sum: 100_000_000 + 59_970_000_000, count: 2_000 });
    }

    #[test]
    fn a_median_is_within_one_percent() {
        for numbers in [&[1.0, 2.0, 1_000_000.0][..], &[-5.0, -1.0, 0.0, 7.0, 8.0], &[0.000_1, 0.000_2], &[3.5]] {
            let mut sorted = numbers.to_vec();
            sorted.sort_by(f64::total_cmp);
            let exact = f64::midpoint(sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
            let found = folded(Fold::Quantiles, numbers).number().expect("values");
            assert!((found - exact).abs() <= exact.abs() * 0.0101, "{numbers:?}: {found}, exactly {exact}");
        }
        assert_eq!(folded(Fold::Quantiles, &[]).number(), None);
    }

    #[test]
    fn two_buckets_make_one() {
        let all = [3.0, 9.5, -2.0, 9.5, 0.25];
        for fold in [Fold::Sum, Fold::Min, Fold::Max, Fold::Distinct, Fold::Quantiles] {
            let mut merged = folded(fold, &all[..2]);
            merged.merge(&folded(fold, &all[2..]));
            assert_eq!(merged, folded(fold, &all), "{fold:?}");
        }
        let mut merged = folded(Fold::Moments, &all[..2]);
        merged.merge(&folded(Fold::Moments, &all[2..]));
        let (whole, parts) = (folded(Fold::Moments, &all).deviation(), merged.deviation());
        let ((deviation, mean), (ours, our_mean)) = (whole.expect("five"), parts.expect("five"));
        assert!((deviation - ours).abs() < 1e-9 && (mean - our_mean).abs() < 1e-9);
        assert!((mean - 4.05).abs() < 1e-9);
    }
}
