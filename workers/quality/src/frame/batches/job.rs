//! What one check asks of the shared plan.

use polars::prelude::{DataType, Expr, FillNullStrategy, NULL, col, len, lit, when};

use super::{
    super::backend::positional,
    Engine,
    keys::Key,
    plan::{Disorder, Found, Measure, Plan},
    ranks::Rank,
};
use crate::{
    expectation::Metric,
    expression::Expression,
    probe::{Probe, RowProbe, Unexpected, probe},
    suite::Check,
    types::{Backend, Type, condition, lower},
};

/// What a check asks, or why it cannot be asked; nothing where it needs all rows at once.
pub(super) type Job = Result<Option<Asked>, String>;

pub(super) struct Asked {
    pub(super) probe: Probe,
    pub(super) counts: Vec<Measure>,
    /// The bad rows, for row checks.
    pub(super) bad: Option<Bad>,
    /// The rows that `when` lets in, where there is one.
    pub(super) within: Option<Expr>,
    /// Whether the counts are found by the second plan.
    pub(super) later: bool,
}

/// How the bad rows of a check are found.
pub(super) enum Bad {
    /// Each by itself.
    Rows(Expr),
    /// Those that share a key with another.
    Repeated { key: usize },
    /// Those out of order, in a batch before which this value came last.
    Disorder { disorder: Disorder, kind: Type, mask: MaskAfter },
}

/// When the bad rows of a check are known.
enum How {
    /// In the first pass.
    Now(Bad),
    /// When that has found a mean.
    Later,
    /// With all rows in memory.
    Whole,
}

/// Makes a mask for the rows after a value.
pub(super) type MaskAfter = Box<dyn Fn(Option<Expr>) -> Expr>;

impl Engine {
    pub(super) fn job(&self, check: &Check, plan: &mut Plan) -> Job {
        let probe = probe(check, &self.schema)?;
        if !check.group_by.is_empty() {
            return Ok(None);
        }
        let within = match &check.when {
            Some(when) => Some(self.mask(&Expression::IsTrue(Box::new(when.clone())))?),
            None => None,
        };
        let inside = |value: Expr| within.iter().fold(value, |value, within| value.filter(within.clone()));
        let (mut counts, mut bad) = (Vec::new(), None);
        if !matches!(probe, Probe::Decided(..)) {
            counts.push(plan.sum(row_count(within.as_ref())));
        }
        match &probe {
            Probe::Rows(rows) => {
                let considered = self.considered(rows, within.as_ref())?;
                counts.push(plan.sum(row_count(considered.as_ref())));
                match self.row_job(rows, within.as_ref(), considered.as_ref(), &mut counts, plan)? {
                    How::Now(found) => bad = Some(found),
                    How::Later => {}
                    How::Whole => return Ok(None),
                }
            }
            Probe::RowCount(_) | Probe::Frequencies { .. } | Probe::Decided(..) => {}
            Probe::Aggregate { column, metric, .. } => {
                self.aggregate_job(column, *metric, within.as_ref(), &mut counts, plan)?;
            }
            Probe::Quantiles { column, quantiles, .. } => {
                let value = inside(self.number(column)?);
                counts.push(plan.sum(value.clone().count()));
                counts.extend(quantiles.iter().map(|at| plan.rank(value.clone(), Rank::Quantile(*at))));
            }
            Probe::Histogram { conditions, .. } => {
                for condition in conditions {
                    let mask = self.mask(condition)?;
                    let mask = within.iter().fold(mask, |mask, within| mask.and(within.clone()));
                    counts.push(plan.sum(mask.sum()));
                }
            }
            _ => return Ok(None),
        }
        Ok(Some(Asked { probe, counts, bad, within, later: false }))
    }

    /// A condition as a column of as many rows as the frame has, even where it names no column.
    fn mask(&self, expression: &Expression) -> Result<Expr, String> {
        let mask = condition(expression, &self.schema, &mut self.backend())?;
        Ok(if expression.columns().is_empty() { col(positional(0)).is_null().or(lit(true)).and(mask) } else { mask })
    }

    /// The rows that a row check is about; nothing where those are all.
    fn considered(&self, rows: &RowProbe, within: Option<&Expr>) -> Result<Option<Expr>, String> {
        Ok(match (rows.considered == Expression::always(), within) {
            (true, within) => within.cloned(),
            (false, None) => Some(self.mask(&rows.considered)?),
            (false, Some(within)) => Some(within.clone().and(self.mask(&rows.considered)?)),
        })
    }

    /// What a row check counts, and how its bad rows are found.
    fn row_job(
        &self,
        rows: &RowProbe,
        within: Option<&Expr>,
        considered: Option<&Expr>,
        counts: &mut Vec<Measure>,
        plan: &mut Plan,
    ) -> Result<How, String> {
        let considering = |mask: Expr| considered.map_or_else(|| mask.clone(), |among| among.clone().and(mask.clone()));
        let every = || considered.cloned().unwrap_or_else(|| lit(true));
        Ok(How::Now(match &rows.unexpected {
            Unexpected::Where(expression) => {
                let bad = considering(self.mask(expression)?);
                counts.push(plan.sum(bad.clone().sum()));
                Bad::Rows(bad)
            }
            Unexpected::Duplicates(names) => {
                // One column is considered without its nulls, or with all rows.
                let present = names.len() == 1 && rows.considered != Expression::always();
                let among = if present { within } else { considered };
                let columns = names.iter().map(|name| self.backend().index(name)).collect();
                let key = plan.key(Key { columns, among: among.cloned(), nulls: !present });
                counts.push(Measure::Repeated(key));
                Bad::Repeated { key }
            }
            Unexpected::Outliers { column, .. } => {
                let among = self.number(column)?.filter(every());
                let moments = plan.moments(&among);
                counts.extend([Measure::Mean(moments), Measure::Deviation(moments)]);
                return Ok(How::Later);
            }
            Unexpected::Disordered { column, descending, strictly, order_by: None } => {
                let (value, kind) = lower(&Expression::column(column), &self.schema, &mut self.backend())?;
                let looked_at = when(every()).then(value.clone()).otherwise(lit(NULL));
                let before = looked_at.clone().fill_null_with_strategy(FillNullStrategy::Forward(None)).shift(lit(1));
                let (every, descending, strictly) = (every(), *descending, *strictly);
                let out_of_order = move |before: Expr| {
                    let value = value.clone();
                    let wrong = match (descending, strictly) {
                        (false, false) => value.lt(before),
                        (false, true) => value.lt_eq(before),
                        (true, false) => value.gt(before),
                        (true, true) => value.gt_eq(before),
                    };
                    every.clone().and(wrong).fill_null(lit(false))
                };
                let disorder = plan.disorder(&looked_at, out_of_order(before.clone()), descending, strictly);
                counts.push(Measure::Disorder(disorder));
                let mask: MaskAfter = Box::new(move |last: Option<Expr>| {
                    let before = before.clone();
                    out_of_order(match last {
                        Some(last) => before.fill_null(last),
                        None => before,
                    })
                });
                Bad::Disorder { disorder, kind, mask }
            }
            Unexpected::Disordered { .. } | Unexpected::Absent(_) => return Ok(How::Whole),
        }))
    }

    /// A column of numbers in double precision.
    fn number(&self, column: &str) -> Result<Expr, String> {
        let (value, _) = lower(&Expression::column(column), &self.schema, &mut self.backend())?;
        Ok(value.cast(DataType::Float64))
    }

    /// Now that the mean and the deviation are found, asks for the rows that are far from it.
    pub(super) fn outliers(&self, asked: &mut Asked, found: &Found, plan: &mut Plan) -> Result<(), String> {
        let Probe::Rows(rows) = &asked.probe else { return Ok(()) };
        let Unexpected::Outliers { column, threshold, double_sided } = &rows.unexpected else { return Ok(()) };
        let float = |measure: &Measure| Ok::<_, String>(found.value(measure)?.and_then(|value| value.as_f64()));
        let [.., mean, deviation] = asked.counts.as_slice() else { return Err("nothing was counted".to_owned()) };
        let (mean, deviation) = (float(mean)?, float(deviation)?);
        let considered = self.considered(rows, asked.within.as_ref())?;
        let every = considered.clone().unwrap_or_else(|| lit(true));
        let far = match (mean, deviation) {
            (Some(mean), Some(deviation)) if deviation > 0.0 || deviation.is_nan() => {
                let score = (self.number(column)? - lit(mean)) / lit(deviation);
                let distance = if *double_sided {
                    when(score.clone().lt(lit(0.0))).then(-score.clone()).otherwise(score)
                } else {
                    score
                };
                distance.lt(lit(*threshold)).not()
            }
            _ => lit(false),
        };
        let bad = every.and(far).fill_null(lit(false));
        asked.counts = vec![
            plan.sum(row_count(asked.within.as_ref())),
            plan.sum(row_count(considered.as_ref())),
            plan.sum(bad.clone().sum()),
        ];
        asked.bad = Some(Bad::Rows(bad));
        asked.later = true;
        Ok(())
    }

    fn aggregate_job(
        &self,
        column: &str,
        metric: Metric,
        within: Option<&Expr>,
        counts: &mut Vec<Measure>,
        plan: &mut Plan,
    ) -> Result<(), String> {
        let mut backend = self.backend();
        let (value, kind) = lower(&Expression::column(column), &self.schema, &mut backend)?;
        let (value, kind) = match kind.summed_as().filter(|_| metric.is_arithmetic()) {
            Some(number) if number != kind => (backend.cast(value, kind, number), number),
            _ => (value, kind),
        };
        let value = within.map_or_else(|| value.clone(), |within| value.clone().filter(within.clone()));
        let float = || value.clone().cast(DataType::Float64);
        let index = self.backend().index(column);
        let sum = || match (kind, &self.source.dtypes[index]) {
            (Type::Int, DataType::Int64) => self.backend().cast(value.clone(), Type::Int, Type::Decimal(0)).sum(),
            (Type::Int, _) => value.clone().cast(DataType::Int64).sum(),
            _ => value.clone().sum(),
        };
        counts.push(plan.sum(value.clone().count()));
        counts.push(match metric {
            // Exact types are summed exactly and divided once; both engines then round alike.
            Metric::Sum | Metric::Mean => plan.sum(sum()),
            Metric::Min => Measure::Least(plan.value(value.min())),
            // Not-a-number is the greatest number to conditions and to Postgres; Polars' own maximum leaves it out.
            Metric::Max if kind == Type::Float => {
                let greatest =
                    when(value.clone().is_nan().any(true)).then(lit(f64::NAN)).otherwise(value.clone().max());
                Measure::Greatest(plan.value(greatest))
            }
            Metric::Max => Measure::Greatest(plan.value(value.max())),
            Metric::Median => plan.rank(float(), Rank::Median),
            Metric::Stdev => Measure::Deviation(plan.moments(&float())),
            Metric::Distinct | Metric::DistinctFraction => {
                Measure::Distinct(plan.key(Key { columns: vec![index], among: within.cloned(), nulls: false }))
            }
        });
        Ok(())
    }
}

/// How many rows there are, or how many a mask lets in.
fn row_count(mask: Option<&Expr>) -> Expr {
    mask.map_or_else(len, |mask| mask.clone().sum())
}
