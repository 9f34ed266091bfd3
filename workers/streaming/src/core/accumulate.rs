//! What a window keeps of the values it has seen. Numbers are kept as millionths, so that a sum does not depend
//! on the order of arrival and money stays exact.

use std::{borrow::Cow, collections::HashSet};

use crate::spec::Function;

use super::record::Cell;

/// Millionths of one.
pub(crate) const SCALE: u32 = 6;

/// What an event gives to one aggregate.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Input<'e> {
    /// A null, which SQL's aggregates leave out.
    Nothing,
    Number(f64),
    /// For `distinct`.
    Text(Cow<'e, str>),
}

/// The state of one aggregate in one window.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Accumulator {
    Sum(i128),
    Average { sum: i128, count: u64 },
    Min(Option<i128>),
    Max(Option<i128>),
    Distinct(HashSet<Box<str>>),
}

impl Accumulator {
    pub(crate) fn new(function: Function) -> Self {
        match function {
            Function::Sum => Self::Sum(0),
            Function::Average => Self::Average { sum: 0, count: 0 },
            Function::Min => Self::Min(None),
            Function::Max => Self::Max(None),
            Function::Distinct => Self::Distinct(HashSet::new()),
        }
    }

    /// Takes an input in.
    pub(crate) fn take(&mut self, input: &Input<'_>) {
        match input {
            Input::Nothing => {}
            Input::Number(number) => self.add(*number),
            Input::Text(text) => self.see(text),
        }
    }

    /// The value that it will have once it has taken `input` in.
    pub(crate) fn value_with(&self, input: &Input<'_>) -> Option<f64> {
        match (self, input) {
            (Self::Distinct(seen), Input::Text(text)) => {
                Some((seen.len() + usize::from(!seen.contains(&**text))) as f64)
            }
            (Self::Distinct(_), _) | (_, Input::Nothing | Input::Text(_)) => self.value(),
            (_, Input::Number(number)) => {
                let mut after = self.clone();
                after.add(*number);
                after.value()
            }
        }
    }

    /// Takes in a number. Nulls do not come here.
    fn add(&mut self, number: f64) {
        let value = millionths(number);
        match self {
            Self::Sum(sum) => *sum = sum.saturating_add(value),
            Self::Average { sum, count } => {
                *sum = sum.saturating_add(value);
                *count += 1;
            }
            Self::Min(least) => *least = Some(least.map_or(value, |l| l.min(value))),
            Self::Max(greatest) => *greatest = Some(greatest.map_or(value, |g| g.max(value))),
            Self::Distinct(_) => {}
        }
    }

    /// Takes in a value for `distinct`.
    fn see(&mut self, text: &str) {
        let Self::Distinct(seen) = self else { return };
        if !seen.contains(text) {
            seen.insert(text.into());
        }
    }

    /// The aggregate's value; `None` where SQL would say null.
    pub(crate) fn value(&self) -> Option<f64> {
        let one = 10_f64.powi(6);
        match self {
            Self::Sum(sum) => Some(*sum as f64 / one),
            Self::Average { count: 0, .. } => None,
            Self::Average { sum, count } => Some(*sum as f64 / one / *count as f64),
            Self::Min(value) | Self::Max(value) => value.map(|v| v as f64 / one),
            Self::Distinct(seen) => Some(seen.len() as f64),
        }
    }

    /// A sum in millionths; 0 for every other aggregate.
    pub(crate) fn sum(&self) -> i128 {
        match self {
            Self::Sum(sum) => *sum,
            _ => 0,
        }
    }
}

/// The text by which a value groups; `None` for null and for what is not a scalar.
pub(crate) fn key_text<'c>(cell: &'c Cell<'_>) -> Option<Cow<'c, str>> {
    Some(match cell {
        Cell::Null | Cell::Nested => return None,
        Cell::Bool(value) => (if *value { "true" } else { "false" }).into(),
        Cell::Integer(value) => value.to_string().into(),
        Cell::Float(value) => value.to_string().into(),
        Cell::Text(text) => text.as_ref().into(),
    })
}

/// A double is within half a millionth of every decimal with six places below 4e9, so rounding finds it again.
#[expect(clippy::cast_possible_truncation, reason = "saturates, and the sum that follows does as well")]
fn millionths(number: f64) -> i128 {
    (number * 1e6).round() as i128
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_of_money_are_exact_in_any_order() {
        let mut cents = Accumulator::new(Function::Sum);
        for _ in 0..1_000 {
            cents.add(0.1);
            cents.add(19.99 * 3.0);
        }
        assert_eq!(cents.sum(), 100_000_000 + 59_970_000_000);
    }
}
