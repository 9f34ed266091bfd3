//! What all checks of a suite ask of a frame, and how what single batches told becomes one value.

use std::cmp::Ordering;

use polars::prelude::Expr;

use super::{
    keys::{Key, Keys},
    ranks::{Rank, Ranks},
};
use crate::value::Scalar;

/// What a pass over the rows has to find; what several checks ask for is in it once.
#[derive(Default)]
pub(super) struct Plan {
    /// Expressions that give one value a batch.
    pub(super) values: Vec<Expr>,
    pub(super) keys: Vec<Key>,
    pub(super) ranks: Vec<(Expr, Vec<Rank>)>,
}

/// A value of all rows; the numbers are places in the plan.
#[derive(Debug, Clone)]
pub(super) enum Measure {
    /// Numbers of batches, added.
    Sum(usize),
    /// The least of the batches.
    Least(usize),
    /// The greatest of the batches.
    Greatest(usize),
    /// The mean.
    Mean(Moments),
    /// The sample standard deviation.
    Deviation(Moments),
    /// Values out of order.
    Disorder(Disorder),
    /// Values that differ.
    Distinct(usize),
    /// Rows that share their values with another.
    Repeated(usize),
    /// A value by its rank.
    Ranked(usize, Rank),
}

/// How many values a batch has, their mean and their deviation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moments {
    count: usize,
    mean: usize,
    deviation: usize,
}

/// How many values of a batch are out of order, and its first and last value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Disorder {
    wrong: usize,
    first: usize,
    last: usize,
    descending: bool,
    strictly: bool,
}

impl Plan {
    pub(super) fn value(&mut self, value: Expr) -> usize {
        place(&mut self.values, value)
    }

    pub(super) fn sum(&mut self, value: Expr) -> Measure {
        Measure::Sum(self.value(value))
    }

    pub(super) fn moments(&mut self, value: &Expr) -> Moments {
        Moments {
            count: self.value(value.clone().count()),
            mean: self.value(value.clone().mean()),
            deviation: self.value(value.clone().std(1)),
        }
    }

    /// Of values that are null where they do not count; `wrong` tells which are out of order in their batch.
    pub(super) fn disorder(&mut self, values: &Expr, wrong: Expr, descending: bool, strictly: bool) -> Disorder {
        Disorder {
            wrong: self.value(wrong.sum()),
            first: self.value(values.clone().drop_nulls().first()),
            last: self.value(values.clone().drop_nulls().last()),
            descending,
            strictly,
        }
    }

    pub(super) fn key(&mut self, key: Key) -> usize {
        place(&mut self.keys, key)
    }

    pub(super) fn rank(&mut self, value: Expr, rank: Rank) -> Measure {
        let place = self.ranks.iter().position(|(known, _)| *known == value).unwrap_or_else(|| {
            self.ranks.push((value, Vec::new()));
            self.ranks.len() - 1
        });
        self.ranks[place].1.push(rank);
        Measure::Ranked(place, rank)
    }
}

fn place<T: PartialEq>(all: &mut Vec<T>, one: T) -> usize {
    all.iter().position(|known| *known == one).unwrap_or_else(|| {
        all.push(one);
        all.len() - 1
    })
}

/// A value that was asked for, or why there is none.
pub(super) type Told = Result<Option<Scalar>, String>;

/// What was found.
pub(super) struct Found {
    /// Of each batch, what its values are.
    pub(super) values: Vec<Vec<Told>>,
    pub(super) keys: Vec<Result<Keys, String>>,
    pub(super) ranks: Vec<Result<Ranks, String>>,
}

impl Found {
    /// The value of all rows.
    pub(super) fn value(&self, measure: &Measure) -> Told {
        match measure {
            Measure::Sum(slot) => self.fold(*slot, add),
            Measure::Least(slot) => self.fold(*slot, |a, b| better(a, b, Ordering::Less)),
            Measure::Greatest(slot) => self.fold(*slot, |a, b| better(a, b, Ordering::Greater)),
            Measure::Mean(moments) => Ok(self.moments(*moments)?.map(|(_, mean, _)| Scalar::Float(mean))),
            Measure::Deviation(moments) => {
                Ok(self.moments(*moments)?.and_then(|(_, _, deviation)| deviation.map(Scalar::Float)))
            }
            Measure::Disorder(disorder) => {
                let mut wrong = self.fold(disorder.wrong, add)?.unwrap_or(Scalar::int(0));
                for batch in 0..self.values.len() {
                    if self.begins_wrong(batch, disorder)? {
                        wrong = add(wrong, Scalar::int(1))?;
                    }
                }
                Ok(Some(wrong))
            }
            Measure::Distinct(key) => Ok(Some(Scalar::int(self.keys(*key)?.found().distinct))),
            Measure::Repeated(key) => Ok(Some(Scalar::int(self.keys(*key)?.found().repeated))),
            Measure::Ranked(ranks, rank) => {
                let ranks = self.ranks[*ranks].as_ref().map_err(Clone::clone)?;
                Ok(ranks.found(*rank).map(Scalar::Float))
            }
        }
    }

    pub(super) fn keys(&self, key: usize) -> Result<&Keys, String> {
        self.keys[key].as_ref().map_err(Clone::clone)
    }

    /// The batches in which there are rows that a sum counts.
    pub(super) fn batches_with(&self, measure: &Measure) -> Vec<usize> {
        let Measure::Sum(slot) = measure else { return (0..self.values.len()).collect() };
        let some = |values: &Vec<Told>| !matches!(&values[*slot], Ok(Some(Scalar::Decimal { units: 0, .. }) | None));
        self.values.iter().enumerate().filter(|(_, values)| some(values)).map(|(batch, _)| batch).collect()
    }

    /// The last value that counts before a batch.
    pub(super) fn last_before(&self, batch: usize, disorder: &Disorder) -> Told {
        for values in self.values[..batch].iter().rev() {
            if let Some(last) = values[disorder.last].clone()? {
                return Ok(Some(last));
            }
        }
        Ok(None)
    }

    /// Whether the first value of a batch is out of order with the last one before.
    fn begins_wrong(&self, batch: usize, disorder: &Disorder) -> Result<bool, String> {
        let (Some(first), Some(last)) =
            (&self.values[batch][disorder.first].clone()?, self.last_before(batch, disorder)?)
        else {
            return Ok(false);
        };
        let order = first.compare(&last).ok_or("values that do not compare")?;
        Ok(match (order, disorder.descending) {
            (Ordering::Equal, _) => disorder.strictly,
            (Ordering::Less, descending) => !descending,
            (Ordering::Greater, descending) => descending,
        })
    }

    /// The batches that hold values out of order.
    pub(super) fn batches_in_disorder(&self, disorder: &Disorder) -> Result<Vec<usize>, String> {
        let mut found = self.batches_with(&Measure::Sum(disorder.wrong));
        for batch in 0..self.values.len() {
            if self.begins_wrong(batch, disorder)? && !found.contains(&batch) {
                found.push(batch);
            }
        }
        found.sort_unstable();
        Ok(found)
    }

    fn fold(&self, slot: usize, join: impl Fn(Scalar, Scalar) -> Result<Scalar, String>) -> Told {
        let mut folded = None;
        for values in &self.values {
            folded = match (folded, values[slot].clone()?) {
                (Some(before), Some(value)) => Some(join(before, value)?),
                (before, value) => before.or(value),
            };
        }
        Ok(folded)
    }

    /// Count, mean and deviation of all rows, from those of the batches (Chan, Golub and `LeVeque`, 1979).
    fn moments(&self, moments: Moments) -> Result<Option<(f64, f64, Option<f64>)>, String> {
        let float = |told: &Told| told.clone().map(|value| value.and_then(|value| value.as_f64()));
        let mut all: Option<(f64, f64, Option<f64>)> = None;
        for values in &self.values {
            let count = float(&values[moments.count])?.unwrap_or(0.0);
            let Some(mean) = float(&values[moments.mean])?.filter(|_| count > 0.0) else { continue };
            let own = (count, mean, float(&values[moments.deviation])?);
            all = Some(match all {
                None => own,
                Some(before) => together(before, own),
            });
        }
        Ok(all)
    }
}

fn together(a: (f64, f64, Option<f64>), b: (f64, f64, Option<f64>)) -> (f64, f64, Option<f64>) {
    let squares = |(count, _, deviation): (f64, f64, Option<f64>)| deviation.map_or(0.0, |d| d * d * (count - 1.0));
    let (count, distance) = (a.0 + b.0, b.1 - a.1);
    let all = squares(a) + squares(b) + distance * distance * a.0 * b.0 / count;
    (count, a.1 + distance * b.0 / count, Some((all / (count - 1.0)).sqrt()))
}

fn add(a: Scalar, b: Scalar) -> Result<Scalar, String> {
    match (a, b) {
        (Scalar::Decimal { units: a, scale: s }, Scalar::Decimal { units: b, scale: t }) if s == t => a
            .checked_add(b)
            .map(|units| Scalar::Decimal { units, scale: s })
            .ok_or_else(|| "a sum of too many digits".to_owned()),
        (a, b) => match (a.as_f64(), b.as_f64()) {
            (Some(a), Some(b)) => Ok(Scalar::Float(a + b)),
            _ => Err(format!("cannot add {a} and {b}")),
        },
    }
}

fn better(a: Scalar, b: Scalar, wanted: Ordering) -> Result<Scalar, String> {
    let order = b.compare(&a).ok_or_else(|| format!("cannot compare {a} with {b}"))?;
    Ok(if order == wanted { b } else { a })
}
