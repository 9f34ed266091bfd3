//! Checks that are asked of each group of rows: one plan for all checks that group by the same columns.

use std::collections::BTreeMap;

use polars::prelude::{AnyValue, DataFrame, DataType, Expr, NULL, PolarsResult, col, len, lit, when};
use serde_json::Value;

use super::{
    Asked, Engine, Job, RowsByRule,
    answer::{as_written, rows_marked},
};
use crate::{
    expectation::Metric,
    outcome::Outcome,
    probe::{Groups, Probe, SAMPLES},
    suite::{Check, Suite},
    types::Type,
    value::Scalar,
};

/// What a check asks of each group.
pub(super) struct GroupJob {
    numbers: Vec<Number>,
    /// Which rows are considered, for row checks.
    considered: Option<Expr>,
}

/// A number of a group: a column of the size of the frame, and what is made of its values. Without a column it is the number
/// of rows.
#[derive(Clone, PartialEq)]
struct Number {
    of: Option<Expr>,
    made: Made,
}

#[derive(Clone, Copy, PartialEq)]
enum Made {
    Count,
    Sum,
    Min,
    Max,
    GreatestFloat,
    Median,
    Stdev,
    Distinct,
}

impl Number {
    fn rows(mask: Option<&Expr>) -> Self {
        Self { of: mask.cloned(), made: Made::Sum }
    }

    fn written(&self, column: Option<Expr>) -> Expr {
        let Some(value) = column else { return len() };
        match self.made {
            Made::Count => value.count(),
            Made::Sum => value.sum(),
            Made::Min => value.min(),
            Made::Max => value.max(),
            // As for all rows together: not-a-number is the greatest.
            Made::GreatestFloat => when(value.clone().is_nan().any(true)).then(lit(f64::NAN)).otherwise(value.max()),
            Made::Median => value.median(),
            Made::Stdev => value.std(1),
            Made::Distinct => value.drop_nulls().n_unique(),
        }
    }
}

/// The groups of every check that is asked of groups, by its place in the suite.
pub(super) type GroupsByCheck = BTreeMap<usize, Result<Groups, String>>;

impl Engine {
    fn group_keys(&self, check: &Check) -> Vec<Expr> {
        check.group_by.iter().map(|name| self.backend().key(name)).collect()
    }

    pub(super) fn group_job(&self, check: &Check, probe: Probe, within: Option<Expr>) -> Job {
        let (numbers, considered, bad) = match &probe {
            Probe::Rows(rows) => {
                let (_, bad) = self.row_job(rows, within.as_ref(), &self.group_keys(check))?;
                let considered = self.considered(rows, within.as_ref())?;
                let numbers = vec![
                    Number::rows(within.as_ref()),
                    Number::rows(considered.as_ref()),
                    Number { of: Some(bad.clone()), made: Made::Sum },
                ];
                (numbers, considered, Some(bad))
            }
            Probe::RowCount(_) => (vec![Number::rows(within.as_ref())], None, None),
            Probe::Aggregate { column, metric, .. } => {
                (self.group_aggregate(column, *metric, within.as_ref())?, None, None)
            }
            _ => return Err("this expectation cannot be asked of groups".to_owned()),
        };
        let groups = Some(GroupJob { numbers, considered });
        Ok(Asked { probe, counts: Vec::new(), bad, within, counts_distinct: false, groups })
    }

    fn group_aggregate(&self, column: &str, metric: Metric, within: Option<&Expr>) -> Result<Vec<Number>, String> {
        let (value, kind) = self.measured(column, metric)?;
        let (computed, made) = match metric {
            Metric::Sum | Metric::Mean => (self.addend(column, value.clone(), kind), Made::Sum),
            Metric::Min => (value.clone(), Made::Min),
            Metric::Max if kind == Type::Float => (value.clone(), Made::GreatestFloat),
            Metric::Max => (value.clone(), Made::Max),
            Metric::Median => (value.clone().cast(DataType::Float64), Made::Median),
            Metric::Stdev => (value.clone().cast(DataType::Float64), Made::Stdev),
            Metric::Distinct | Metric::DistinctFraction => (self.backend().key(column), Made::Distinct),
        };
        let let_in = |value: Expr| match within {
            Some(within) => when(within.clone()).then(value).otherwise(lit(NULL)),
            None => value,
        };
        Ok(vec![
            Number::rows(within),
            Number { of: Some(let_in(value)), made: Made::Count },
            Number { of: Some(let_in(computed)), made },
        ])
    }

    /// Judges the groups of all checks that are asked of groups: one plan a grouping; where that fails, one a check, so
    /// that a fault stays with the check that has it.
    pub(super) fn groups(&self, suite: &Suite, jobs: &[Job]) -> GroupsByCheck {
        let mut groupings: Vec<(&[String], Vec<usize>)> = Vec::new();
        for (place, (check, job)) in suite.checks.iter().zip(jobs).enumerate() {
            if job.as_ref().is_ok_and(|asked| asked.groups.is_some()) {
                match groupings.iter_mut().find(|(by, _)| *by == check.group_by) {
                    Some((_, places)) => places.push(place),
                    None => groupings.push((&check.group_by, vec![place])),
                }
            }
        }
        let mut found = GroupsByCheck::new();
        for (_, places) in groupings {
            match self.grouping(suite, jobs, &places) {
                Ok(groups) => found.extend(places.into_iter().zip(groups)),
                Err(_) => {
                    for place in places {
                        let alone = self.grouping(suite, jobs, &[place]).map_err(|error| error.to_string());
                        let alone = alone.and_then(|mut groups| groups.pop().unwrap_or_else(|| Err(String::new())));
                        found.insert(place, alone);
                    }
                }
            }
        }
        found
    }

    /// The groups of these checks, which all have one grouping.
    fn grouping(&self, suite: &Suite, jobs: &[Job], places: &[usize]) -> PolarsResult<Vec<Result<Groups, String>>> {
        let mut columns: Vec<Expr> = Vec::new();
        let mut numbers: Vec<(Number, Expr)> = Vec::new();
        let mut slots = Vec::new();
        let asked = |place: usize| jobs.get(place).and_then(|job| job.as_ref().ok());
        for place in places {
            let mut own = Vec::new();
            for number in asked(*place).and_then(|asked| asked.groups.as_ref()).iter().flat_map(|job| &job.numbers) {
                let slot = numbers.iter().position(|(known, _)| known == number).unwrap_or_else(|| {
                    let column = number.of.as_ref().map(|of| {
                        let column = columns.iter().position(|known| known == of).unwrap_or_else(|| {
                            columns.push(of.clone());
                            columns.len() - 1
                        });
                        col(format!("v{column}"))
                    });
                    numbers.push((number.clone(), number.written(column).alias(format!("n{}", numbers.len()))));
                    numbers.len() - 1
                });
                own.push(slot);
            }
            slots.push(own);
        }
        let keys = places.first().map(|place| self.group_keys(&suite.checks[*place])).unwrap_or_default();
        let named = |prefix: &str, all: Vec<Expr>| {
            let name = |(place, one): (usize, Expr)| one.alias(format!("{prefix}{place}"));
            all.into_iter().enumerate().map(name).collect::<Vec<_>>()
        };
        let names: Vec<_> = (0..keys.len()).map(|place| col(format!("k{place}"))).collect();
        let rows = as_written(self.lazy()).select([named("k", keys), named("v", columns)].concat());
        let seen =
            rows.group_by(names).agg(numbers.into_iter().map(|(_, number)| number).collect::<Vec<_>>()).collect()?;
        let mut found = Vec::new();
        for (place, own) in places.iter().zip(slots) {
            let check = &suite.checks[*place];
            found.push(match asked(*place) {
                Some(asked) => self.judge_each(check, &asked.probe, &seen, &own),
                None => Err("not compiled".to_owned()),
            });
        }
        Ok(found)
    }

    fn judge_each(&self, check: &Check, probe: &Probe, seen: &DataFrame, slots: &[usize]) -> Result<Groups, String> {
        let mut groups = Groups::default();
        let value = |name: String, row: usize| {
            let column = seen.column(&name).map_err(|error| error.to_string())?;
            Ok::<_, String>(super::scalar(&column.get(row).unwrap_or(AnyValue::Null)))
        };
        for row in 0..seen.height() {
            let mut key = Vec::with_capacity(check.group_by.len());
            for (place, name) in check.group_by.iter().enumerate() {
                // Decimals are grouped by their digits.
                let is_number = self.schema.get(name).is_ok_and(Type::is_number);
                key.push(match value(format!("k{place}"), row)? {
                    Some(Scalar::Text(digits)) if is_number => Scalar::number(&digits),
                    other => other,
                });
            }
            let numbers = slots.iter().map(|slot| value(format!("n{slot}"), row)).collect::<Result<Vec<_>, _>>()?;
            groups.see(check, probe, key, &numbers)?;
        }
        Ok(groups)
    }

    pub(super) fn judge_groups(
        &self,
        suite: &Suite,
        check: &Check,
        asked: &Asked,
        groups: Result<Groups, String>,
        failed_rows: &mut RowsByRule,
    ) -> Result<(Outcome, Value), String> {
        let groups = groups?;
        let (Probe::Rows(rows), Some(bad)) = (&asked.probe, &asked.bad) else {
            return Ok(groups.judge(check, &asked.probe, Vec::new(), None));
        };
        let mut places = Vec::new();
        if groups.failed() {
            let considered = asked.groups.as_ref().and_then(|job| job.considered.as_ref());
            places = self.bad_in_failed_groups(check, bad, considered).map_err(|error| error.to_string())?;
        }
        let samples = places.iter().take(SAMPLES).map(|row| self.sample(*row, &rows.columns)).collect();
        let judged = groups.judge(check, &asked.probe, samples, Some(&places));
        if judged.0 == Outcome::Failed {
            failed_rows.add(&check.id, suite.policy(check), places);
        }
        Ok(judged)
    }

    /// The bad rows of the groups that do not bear so many.
    fn bad_in_failed_groups(&self, check: &Check, bad: &Expr, considered: Option<&Expr>) -> PolarsResult<Vec<usize>> {
        if !check.tolerance.is_given() {
            return self.indexes(bad);
        }
        let keys = self.group_keys(check);
        let named = keys.into_iter().enumerate().map(|(place, key)| key.alias(format!("k{place}")));
        let names: Vec<_> = (0..check.group_by.len()).map(|place| col(format!("k{place}"))).collect();
        let considered = considered.cloned().unwrap_or_else(|| bad.clone().is_null().or(lit(true)));
        let marks = [considered.alias("considered"), bad.clone().alias("bad")];
        let of_group = |name: &str| col(name).cast(DataType::Float64).sum().over(names.clone());
        let (considered, unexpected) = (of_group("considered")?, of_group("bad")?);
        let mut borne = lit(true);
        if let Some(mostly) = check.tolerance.mostly {
            borne = borne.and(((considered.clone() - unexpected.clone()) / considered).gt_eq(lit(mostly)));
        }
        if let Some(most) = check.tolerance.at_most {
            borne = borne.and(unexpected.lt_eq(lit(most as f64)));
        }
        let rows = self.lazy().select(named.chain(marks).collect::<Vec<_>>());
        rows_marked(rows, &col("bad").and(borne.not()))
    }
}
