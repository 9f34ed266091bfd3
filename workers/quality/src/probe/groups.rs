//! Checks that are asked of each group of rows by itself: groups are judged one by one as they come, and only the worst
//! of those that failed are kept.

use std::cmp::Ordering;

use serde_json::{Map, Value, json};

use super::{Probe, RowCounts, SAMPLES, divide, judge_aggregate, judge_count, judge_rows, verdict};
use crate::{expectation::Bounds, outcome::Outcome, suite::Check, value::Scalar};

/// What was found of all groups so far.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    count: u64,
    failed: u64,
    vacuous: u64,
    total: RowCounts,
    /// At most [`SAMPLES`], the worst first.
    worst: Vec<Group>,
}

#[derive(Debug)]
struct Group {
    key: Vec<Option<Scalar>>,
    /// Bad rows, or how far beyond its bounds a number lies.
    badness: f32,
    numbers: Value,
}

impl Groups {
    /// Judges one more group by its numbers: for rows how many there are, are considered and are bad; for an aggregate
    /// how many there are, have a value, and the value; for a number of rows that. A group of which `when` leaves nothing
    /// is none.
    pub(crate) fn see(
        &mut self,
        check: &Check,
        probe: &Probe,
        key: Vec<Option<Scalar>>,
        values: &[Option<Scalar>],
    ) -> Result<(), String> {
        let number = |slot: usize| match values.get(slot) {
            Some(Some(Scalar::Decimal { units, .. })) => u64::try_from(*units).unwrap_or_default(),
            _ => 0,
        };
        if number(0) == 0 {
            return Ok(());
        }
        let value = |slot: usize| values.get(slot).cloned().flatten();
        let (outcome, numbers, badness, counts) = match probe {
            Probe::Rows(rows) => {
                let counts = RowCounts { elements: number(0), considered: number(1), unexpected: number(2) };
                let mut numbers = Map::new();
                numbers.insert("element_count".to_owned(), counts.elements.into());
                if rows.tells_missing {
                    numbers.insert("missing_count".to_owned(), (counts.elements - counts.considered).into());
                }
                numbers.insert("unexpected_count".to_owned(), counts.unexpected.into());
                let percent = super::judge::percent(counts.unexpected, counts.considered);
                numbers.insert("unexpected_percent".to_owned(), percent);
                numbers
                    .extend(check.tolerance.allowed(counts.considered).map(|n| ("allowed_count".to_owned(), n.into())));
                (verdict(check, counts), Value::Object(numbers), counts.unexpected as f32, counts)
            }
            Probe::Aggregate { metric, bounds, .. } => {
                let (elements, present) = (number(0), number(1));
                let value = divide(*metric, present, if present == 0 { None } else { value(2) });
                let (outcome, numbers) = judge_aggregate(bounds, (elements, present), value.as_ref())?;
                let counts = RowCounts { elements, considered: present, unexpected: 0 };
                (outcome, numbers, value.map_or(0.0, |value| beyond(bounds, &value)), counts)
            }
            Probe::RowCount(bounds) => {
                let rows = number(0);
                let (outcome, numbers) = judge_count(bounds, rows)?;
                let counts = RowCounts { elements: rows, considered: rows, unexpected: 0 };
                (outcome, numbers, beyond(bounds, &Scalar::int(rows)), counts)
            }
            _ => return Err("this expectation cannot be asked of groups".to_owned()),
        };
        self.count += 1;
        self.total.elements += counts.elements;
        self.total.considered += counts.considered;
        self.total.unexpected += counts.unexpected;
        match outcome {
            Outcome::Failed => {
                self.failed += 1;
                let group = Group { key, badness, numbers };
                let place = self.worst.partition_point(|known| known.order(&group).is_lt());
                self.worst.insert(place, group);
                self.worst.truncate(SAMPLES);
            }
            Outcome::Vacuous => self.vacuous += 1,
            Outcome::Passed | Outcome::Errored => {}
        }
        Ok(())
    }

    /// Whether any group did not hold.
    pub(crate) fn failed(&self) -> bool {
        self.failed > 0
    }

    /// The outcome of all: one group that failed fails it. `samples` are of bad rows of such groups, `indexes` their places
    /// where rows have one.
    pub(crate) fn judge(
        self,
        check: &Check,
        probe: &Probe,
        samples: Vec<Value>,
        indexes: Option<&[usize]>,
    ) -> (Outcome, Value) {
        let outcome = match (self.failed, self.count - self.vacuous) {
            (0, 0) => Outcome::Vacuous,
            (0, _) => Outcome::Passed,
            _ => Outcome::Failed,
        };
        let mut observed = match probe {
            Probe::Rows(rows) => judge_rows(check, rows, self.total, samples, indexes).1,
            Probe::Aggregate { .. } => json!({
                "element_count": self.total.elements,
                "missing_count": self.total.elements - self.total.considered,
            }),
            _ => json!({ "element_count": self.total.elements }),
        };
        let told = |group: Group| {
            let key = check.group_by.iter().cloned().zip(group.key);
            let key: Map<_, _> = key.map(|(name, value)| (name, value.map_or(Value::Null, |v| v.to_json()))).collect();
            let mut told = Map::from_iter([("group".to_owned(), Value::Object(key))]);
            told.extend(group.numbers.as_object().cloned().into_iter().flatten());
            Value::Object(told)
        };
        let worst: Vec<_> = self.worst.into_iter().map(told).collect();
        observed["groups"] = json!({
            "by": check.group_by,
            "count": self.count,
            "failed": self.failed,
            "vacuous": self.vacuous,
            "worst": worst,
        });
        (outcome, observed)
    }
}

impl Group {
    /// The worse first; of equals the lesser key.
    fn order(&self, other: &Self) -> Ordering {
        let keys = || {
            let pairs = self.key.iter().zip(&other.key);
            pairs.map(|(a, b)| order(a.as_ref(), b.as_ref())).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
        };
        other.badness.total_cmp(&self.badness).then_with(keys)
    }
}

fn order(a: Option<&Scalar>, b: Option<&Scalar>) -> Ordering {
    match (a, b) {
        (Some(a), Some(b)) => a.compare(b).unwrap_or(Ordering::Equal),
        (a, b) => a.is_none().cmp(&b.is_none()),
    }
}

/// How far a number lies beyond its bounds. In single precision, as the last digits of a deviation are an engine's own;
/// nothing for what is no number.
fn beyond(bounds: &Bounds, value: &Scalar) -> f32 {
    let Some(value) = value.as_f64() else { return 0.0 };
    if value.is_nan() {
        return f32::INFINITY;
    }
    let bound = |bound: &Option<Scalar>| bound.as_ref().and_then(Scalar::as_f64);
    let below = bound(&bounds.min).map_or(0.0, |min| min - value);
    let above = bound(&bounds.max).map_or(0.0, |max| value - max);
    #[expect(clippy::cast_possible_truncation, reason = "only the order of groups hangs on it")]
    let far = below.max(above).max(0.0) as f32;
    far
}
