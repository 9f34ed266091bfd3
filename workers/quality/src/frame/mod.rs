//! The engine over Polars frames: one lazy plan counts for every check at once; only checks that failed cost a
//! second look, for their rows.

mod answer;
mod backend;
mod batches;
mod groups;
mod opened;
mod others;
mod profile;

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use polars::prelude::{
    AnyValue, DataFrame, DataType, Expr, FillNullStrategy, IntoLazy, LazyFrame, NULL, PolarsResult, QuantileMethod,
    SortOptions, WindowMapping, col, len, lit, when,
};
use serde_json::Value;

use crate::{
    beside::Beside,
    expectation::{Measure, Metric},
    expression::Expression,
    outcome::{Evaluation, FailedRows, Outcome, outcome},
    probe::{
        Frequencies, Measured, Probe, RowCounts, RowProbe, SAMPLES, Unexpected, divide, judge_aggregate,
        judge_agreement, judge_contract, judge_count, judge_frequencies, judge_histogram, judge_quantiles, judge_rows,
        judge_unexpected_rows, probe, verdict,
    },
    suite::{Check, OnFail, Suite},
    types::{self, Backend, Schema, Type, condition, lower},
    value::Scalar,
};
use answer::{as_written, listed, rows_marked};
use backend::{Frames, kind, positional, scalar, stored};
pub use batches::{evaluate_file, evaluate_file_beside};
use groups::GroupJob;
pub use opened::Opened;
pub use profile::{profile_file, profile_frame};

/// Checks a batch that is in memory. Blocking: it keeps all cores busy, so call it where that may be.
///
/// A check that cannot be evaluated (a missing column, a type that does not fit) is `errored` in the result; the
/// others still count.
pub fn evaluate_frame(suite: &Suite, frame: &DataFrame) -> Evaluation {
    evaluate_frame_beside(suite, frame, &Beside::default())
}

/// The same where checks may compare the batch with other datasets. It blocks on them, so it must not be called from async
/// code.
pub fn evaluate_frame_beside(suite: &Suite, frame: &DataFrame, beside: &Beside) -> Evaluation {
    let began = Instant::now();
    let suite = &*suite.at(chrono::Utc::now());
    let engine = Engine { beside: beside.clone(), ..Engine::new(frame) };
    let jobs: Vec<_> = suite.checks.iter().map(|check| engine.job(check)).collect();
    let counted = engine.count(&jobs);
    let mut grouped = engine.groups(suite, &jobs);
    let share = began.elapsed().checked_div(u32::try_from(jobs.len()).unwrap_or(u32::MAX)).unwrap_or_default();
    let mut failed_rows = RowsByRule::default();
    let checks = suite
        .checks
        .iter()
        .zip(&jobs)
        .zip(counted)
        .enumerate()
        .map(|(place, ((check, job), values))| {
            let began = Instant::now();
            let judged = match (job, grouped.remove(&place)) {
                (Ok(asked), Some(groups)) => engine.judge_groups(suite, check, asked, groups, &mut failed_rows),
                _ => engine.judge(suite, check, job, values, &mut failed_rows),
            };
            outcome(suite, check, judged, share + began.elapsed())
        })
        .collect();
    Evaluation::new(frame.height(), checks, failed_rows.finish())
}

/// The columns of a frame, with their types.
pub(crate) fn frame_schema(frame: &DataFrame) -> Schema {
    Engine::new(frame).schema
}

/// What one check asks of the shared plan.
type Job = Result<Asked, String>;

struct Asked {
    probe: Probe,
    /// Expressions of the shared plan, each giving one value.
    counts: Vec<Expr>,
    /// The bad rows, for row checks.
    bad: Option<Expr>,
    /// The rows that `when` lets in, where there is one.
    within: Option<Expr>,
    /// The third count is that of different values, which is cheap; only where it shows that some value repeats
    /// are the repeated rows looked for.
    counts_distinct: bool,
    /// What is asked of each group, where the check is asked of groups; nothing is asked of the shared plan then.
    groups: Option<GroupJob>,
}

struct Engine {
    frame: DataFrame,
    schema: Schema,
    dtypes: Vec<DataType>,
    names: Vec<String>,
    beside: Beside,
}

impl Engine {
    fn new(frame: &DataFrame) -> Self {
        let dtypes: Vec<_> = frame.dtypes();
        let names: Vec<_> = frame.get_column_names().iter().map(ToString::to_string).collect();
        let column = |(name, dtype): (&String, _)| types::Column {
            name: name.clone(),
            kind: kind(dtype),
            stored: stored(dtype),
        };
        let schema = Schema(names.iter().zip(&dtypes).map(column).collect());
        let mut frame = frame.clone();
        let positions: Vec<_> = (0..frame.width()).map(positional).collect();
        // As many names as columns, each of its own: it cannot fail.
        let _ = frame.set_column_names(&positions);
        Self { frame, schema, dtypes, names, beside: Beside::default() }
    }

    fn backend(&self) -> Frames<'_> {
        Frames { schema: &self.schema, dtypes: &self.dtypes }
    }

    fn lazy(&self) -> LazyFrame {
        self.frame.clone().lazy()
    }

    /// A condition as a column of as many rows as the frame has, even where it names no column.
    fn mask(&self, expression: &Expression) -> Result<Expr, String> {
        let mask = condition(expression, &self.schema, &mut self.backend())?;
        Ok(if expression.columns().is_empty() { col(positional(0)).is_null().or(lit(true)).and(mask) } else { mask })
    }

    fn job(&self, check: &Check) -> Job {
        let probe = probe(check, &self.schema)?;
        let within = match &check.when {
            Some(when) => Some(self.mask(&Expression::IsTrue(Box::new(when.clone())))?),
            None => None,
        };
        if !check.group_by.is_empty() {
            return self.group_job(check, probe, within);
        }
        let mut counts_distinct = false;
        let (counts, bad) = match &probe {
            Probe::Rows(rows) => {
                let (mut counts, bad) = self.row_job(rows, within.as_ref(), &[])?;
                if let Unexpected::Duplicates(columns) = &rows.unexpected
                    && let [column] = columns.as_slice()
                {
                    let value = self.backend().key(column);
                    let value =
                        within.as_ref().map_or_else(|| value.clone(), |within| value.clone().filter(within.clone()));
                    counts[2] = value.drop_nulls().n_unique();
                    counts_distinct = true;
                }
                (counts, Some(bad))
            }
            Probe::RowCount(_) | Probe::Frequencies { .. } => (vec![row_count(within.as_ref())], None),
            Probe::Aggregate { column, metric, .. } => {
                let mut counts = vec![row_count(within.as_ref())];
                counts.extend(self.aggregate_job(column, *metric, within.as_ref())?);
                (counts, None)
            }
            Probe::Quantiles { column, quantiles, .. } => {
                let value = self.number(column)?;
                let value =
                    within.as_ref().map_or_else(|| value.clone(), |within| value.clone().filter(within.clone()));
                let quantile = |at: &f64| value.clone().quantile(lit(*at), QuantileMethod::Equiprobable);
                let counts = [row_count(within.as_ref()), value.clone().count()];
                (counts.into_iter().chain(quantiles.iter().map(quantile)).collect(), None)
            }
            Probe::Histogram { conditions, .. } => {
                let mut counts = vec![row_count(within.as_ref())];
                for condition in conditions {
                    let mask = self.mask(condition)?;
                    counts.push(within.iter().fold(mask, |mask, within| mask.and(within.clone())).sum());
                }
                (counts, None)
            }
            Probe::Contract { not_null, .. } => {
                let mut counts = Vec::new();
                for name in not_null {
                    let null = self.mask(&Expression::column(name.clone()).is_null())?;
                    counts.push(within.iter().fold(null, |null, within| null.and(within.clone())).sum());
                }
                (counts, None)
            }
            Probe::Agreement { measure, .. } => {
                let mut counts = vec![row_count(within.as_ref())];
                if let Measure::Sum { column, .. } = measure {
                    counts.extend(self.aggregate_job(column, Metric::Sum, within.as_ref())?);
                }
                (counts, None)
            }
            Probe::UnexpectedRows(_) | Probe::Decided(..) => (Vec::new(), None),
        };
        Ok(Asked { probe, counts, bad, within, counts_distinct, groups: None })
    }

    /// The rows that a check is about; nothing where it is about all.
    fn considered(&self, rows: &RowProbe, within: Option<&Expr>) -> Result<Option<Expr>, String> {
        let every = rows.considered == Expression::always();
        Ok(match (every, within) {
            (true, None) => None,
            (true, Some(within)) => Some(within.clone()),
            (false, None) => Some(self.mask(&rows.considered)?),
            (false, Some(within)) => Some(within.clone().and(self.mask(&rows.considered)?)),
        })
    }

    /// How many rows there are, are considered and are bad, and which are bad; what is bad beside other rows is so within
    /// each group of `by`.
    fn row_job(&self, rows: &RowProbe, within: Option<&Expr>, by: &[Expr]) -> Result<(Vec<Expr>, Expr), String> {
        let considered = self.considered(rows, within)?;
        let bad = match &rows.unexpected {
            Unexpected::Where(expression) => {
                let bad = self.mask(expression)?;
                considered.clone().map_or_else(|| bad.clone(), |considered| considered.and(bad.clone()))
            }
            Unexpected::Duplicates(columns) => {
                let keys = columns.iter().map(|name| self.backend().key(name));
                let keys: Vec<_> = by.iter().cloned().chain(keys).collect();
                let group = considered.clone().map_or_else(len, Expr::sum);
                let repeated = group.over(keys).map_err(|e| e.to_string())?.gt(lit(1));
                considered.clone().map_or_else(|| repeated.clone(), |considered| considered.and(repeated.clone()))
            }
            Unexpected::Absent(reference) => {
                self.absent(reference, &considered.clone().unwrap_or_else(|| lit(true)))?
            }
            Unexpected::Outliers { column, threshold, double_sided } => {
                let considered = considered.clone().unwrap_or_else(|| lit(true));
                self.outliers(column, *threshold, *double_sided, &considered, by)?
            }
            Unexpected::Disordered { column, descending, strictly, order_by } => {
                let considered = considered.clone().unwrap_or_else(|| lit(true));
                self.disordered((column, *descending, *strictly), order_by.as_deref(), &considered, by)?
            }
        };
        Ok((vec![row_count(within), row_count(considered.as_ref()), bad.clone().sum()], bad))
    }

    /// A column of numbers in double precision.
    fn number(&self, column: &str) -> Result<Expr, String> {
        let (value, _) = lower(&Expression::column(column), &self.schema, &mut self.backend())?;
        Ok(value.cast(DataType::Float64))
    }

    fn outliers(
        &self,
        column: &str,
        threshold: f64,
        both: bool,
        considered: &Expr,
        by: &[Expr],
    ) -> Result<Expr, String> {
        let value = self.number(column)?;
        let among = value.clone().filter(considered.clone());
        let (mut mean, mut deviation) = (among.clone().mean(), among.std(1));
        if !by.is_empty() {
            let over = |number: Expr| number.over(by).map_err(|error| error.to_string());
            (mean, deviation) = (over(mean)?, over(deviation)?);
        }
        let score = (value - mean) / deviation.clone();
        let distance =
            if both { when(score.clone().lt(lit(0.0))).then(-score.clone()).otherwise(score) } else { score };
        let far = deviation.gt(lit(0.0)).and(distance.lt(lit(threshold)).not());
        Ok(considered.clone().and(far).fill_null(lit(false)))
    }

    fn disordered(
        &self,
        (column, descending, strictly): (&str, bool, bool),
        order_by: Option<&str>,
        considered: &Expr,
        by: &[Expr],
    ) -> Result<Expr, String> {
        let (value, _) = lower(&Expression::column(column), &self.schema, &mut self.backend())?;
        let looked_at = when(considered.clone()).then(value.clone()).otherwise(lit(NULL));
        let mut before = looked_at.fill_null_with_strategy(FillNullStrategy::Forward(None)).shift(lit(1));
        if order_by.is_some() || !by.is_empty() {
            let options = SortOptions::default().with_nulls_last(true);
            let order = order_by.map(|order| (vec![self.backend().raw(order)], options));
            let by = Some(by.to_vec()).filter(|by| !by.is_empty());
            before =
                before.over_with_options(by, order, WindowMapping::GroupsToRows).map_err(|error| error.to_string())?;
        }
        let wrong = match (descending, strictly) {
            (false, false) => value.lt(before),
            (false, true) => value.lt_eq(before),
            (true, false) => value.gt(before),
            (true, true) => value.gt_eq(before),
        };
        Ok(considered.clone().and(wrong).fill_null(lit(false)))
    }

    fn aggregate_job(&self, column: &str, metric: Metric, within: Option<&Expr>) -> Result<Vec<Expr>, String> {
        let (value, kind) = self.measured(column, metric)?;
        let value = within.map_or_else(|| value.clone(), |within| value.clone().filter(within.clone()));
        let float = || value.clone().cast(DataType::Float64);
        let sum = || self.addend(column, value.clone(), kind).sum();
        let distinct = || {
            let key = self.backend().key(column);
            within.map_or_else(|| key.clone(), |within| key.clone().filter(within.clone())).drop_nulls().n_unique()
        };
        Ok(match metric {
            Metric::Sum => vec![value.clone().count(), sum()],
            // Exact types are summed exactly and divided once; both engines then round alike.
            Metric::Mean => vec![value.clone().count(), sum()],
            Metric::Min => vec![value.clone().count(), value.min()],
            // Not-a-number is the greatest number to conditions and to Postgres; Polars' own maximum leaves it out.
            Metric::Max if kind == Type::Float => {
                let greatest =
                    when(value.clone().is_nan().any(true)).then(lit(f64::NAN)).otherwise(value.clone().max());
                vec![value.count(), greatest]
            }
            Metric::Max => vec![value.clone().count(), value.max()],
            Metric::Median => vec![value.clone().count(), float().median()],
            Metric::Stdev => vec![value.clone().count(), float().std(1)],
            Metric::Distinct | Metric::DistinctFraction => vec![value.clone().count(), distinct()],
        })
    }

    /// A column as a metric takes it, with its type.
    fn measured(&self, column: &str, metric: Metric) -> Result<(Expr, Type), String> {
        let mut backend = self.backend();
        let (value, kind) = lower(&Expression::column(column), &self.schema, &mut backend)?;
        Ok(match kind.summed_as().filter(|_| metric.is_arithmetic()) {
            Some(number) if number != kind => (backend.cast(value, kind, number), number),
            _ => (value, kind),
        })
    }

    /// A value of `column` in a type that holds sums of it.
    fn addend(&self, column: &str, value: Expr, kind: Type) -> Expr {
        match (kind, &self.dtypes[self.schema.names().position(|n| n == column).unwrap_or_default()]) {
            (Type::Int, DataType::Int64) => self.backend().cast(value, Type::Int, Type::Decimal(0)),
            (Type::Int, _) => value.cast(DataType::Int64),
            _ => value,
        }
    }

    /// The values that each job asked for, from one plan; where that fails, from one plan a job, so that a fault
    /// stays with the check that has it.
    fn count(&self, jobs: &[Job]) -> Vec<Result<Vec<Option<Scalar>>, String>> {
        let mut all: Vec<Expr> = Vec::new();
        let mut slots = Vec::new();
        for job in jobs {
            let mut own = Vec::new();
            for expression in job.iter().flat_map(|asked| &asked.counts) {
                let slot = all.iter().position(|known| known == expression).unwrap_or_else(|| {
                    all.push(expression.clone());
                    all.len() - 1
                });
                own.push(slot);
            }
            slots.push(own);
        }
        match self.values(&all) {
            Ok(values) => {
                slots.into_iter().map(|own| Ok(own.into_iter().map(|slot| values[slot].clone()).collect())).collect()
            }
            Err(_) => jobs
                .iter()
                .map(|job| match job {
                    Ok(asked) => self.values(&asked.counts).map_err(|error| error.to_string()),
                    Err(_) => Ok(Vec::new()),
                })
                .collect(),
        }
    }

    fn values(&self, expressions: &[Expr]) -> PolarsResult<Vec<Option<Scalar>>> {
        if expressions.is_empty() {
            return Ok(Vec::new());
        }
        let named: Vec<_> =
            expressions.iter().enumerate().map(|(slot, e)| e.clone().alias(format!("v{slot}"))).collect();
        let row = as_written(self.lazy()).select(named).collect()?;
        row.columns().iter().map(|column| Ok(scalar(&column.get(0)?))).collect()
    }

    fn judge(
        &self,
        suite: &Suite,
        check: &Check,
        job: &Job,
        values: Result<Vec<Option<Scalar>>, String>,
        failed_rows: &mut RowsByRule,
    ) -> Result<(Outcome, Value), String> {
        let asked = job.as_ref().map_err(Clone::clone)?;
        let values = values?;
        let number = |slot: usize| match values.get(slot) {
            Some(Some(Scalar::Decimal { units, .. })) => u64::try_from(*units).unwrap_or_default(),
            _ => 0,
        };
        match &asked.probe {
            Probe::Decided(outcome, observed) => Ok((*outcome, observed.clone())),
            Probe::RowCount(bounds) => judge_count(bounds, number(0)),
            Probe::Contract { changes, not_null } => {
                let nulls: Vec<_> = (0..not_null.len()).map(number).collect();
                Ok(judge_contract(changes, not_null, &nulls))
            }
            Probe::Aggregate { metric, bounds, .. } => {
                let value = if number(1) == 0 { None } else { values.get(2).cloned().flatten() };
                judge_aggregate(bounds, (number(0), number(1)), divide(*metric, number(1), value).as_ref())
            }
            Probe::Frequencies { column, asked: question } => {
                let seen = self.frequencies(column, asked.within.as_ref()).map_err(|e| e.to_string())?;
                judge_frequencies(question, number(0), &seen)
            }
            Probe::Quantiles { quantiles, ranges, .. } => {
                let found: Vec<_> = values.iter().skip(2).flatten().filter_map(Scalar::as_f64).collect();
                judge_quantiles(quantiles, ranges, (number(0), number(1)), &found)
            }
            Probe::Histogram { divergence, .. } => {
                let below: Vec<_> = (2..values.len()).map(number).collect();
                judge_histogram(divergence, number(0), number(1), &below)
            }
            Probe::Agreement { measure, other, when, judged } => {
                let there = self.other_number(measure, other, when.as_ref())?;
                Ok(judge_agreement(measure, judged, &Measured::of(&values), &there))
            }
            Probe::UnexpectedRows(query) => {
                let (count, samples) = self.beside.unexpected_rows(&self.schema, check, query)?;
                Ok(judge_unexpected_rows(count, samples))
            }
            Probe::Rows(rows) => {
                let mut counts = RowCounts { elements: number(0), considered: number(1), unexpected: number(2) };
                if asked.counts_distinct {
                    counts.unexpected = counts.considered - counts.unexpected;
                }
                let (mut samples, mut places) = (Vec::new(), Vec::new());
                if let Some(bad) = asked.bad.as_ref().filter(|_| counts.unexpected > 0) {
                    let indexes = self.indexes(bad).map_err(|error| error.to_string())?;
                    counts.unexpected = indexes.len() as u64;
                    samples = indexes.iter().take(SAMPLES).map(|row| self.sample(*row, &rows.columns)).collect();
                    places = indexes.iter().take(SAMPLES).copied().collect();
                    if verdict(check, counts) == Outcome::Failed {
                        failed_rows.add(&check.id, suite.policy(check), indexes);
                    }
                }
                Ok(judge_rows(check, rows, counts, samples, Some(&places)))
            }
        }
    }

    fn frequencies(&self, column: &str, within: Option<&Expr>) -> PolarsResult<Frequencies> {
        let kind = self.schema.get(column).map_err(|e| polars::prelude::PolarsError::ComputeError(e.into()))?;
        if kind == Type::Null {
            return Ok(Vec::new());
        }
        let rows = within.map_or_else(|| self.lazy(), |within| self.lazy().filter(within.clone()));
        let present = rows.select([self.backend().key(column).alias("v")]).filter(col("v").is_not_null());
        let seen = present.group_by([col("v")]).agg([len().alias("n")]).collect()?;
        listed(&seen, kind)
    }

    fn indexes(&self, bad: &Expr) -> PolarsResult<Vec<usize>> {
        rows_marked(self.lazy(), bad)
    }

    /// The value of a row, or its values: a list for a pair, a mapping for more.
    fn sample(&self, row: usize, columns: &[String]) -> Value {
        let value = |name: &String| {
            let index = self.names.iter().position(|known| known == name).unwrap_or_default();
            let value = self.frame.columns()[index].get(row).unwrap_or(AnyValue::Null);
            scalar(&value).map_or(Value::Null, |value| value.to_json())
        };
        crate::probe::sample(columns, value)
    }
}

/// How many rows there are, or how many a mask lets in.
fn row_count(mask: Option<&Expr>) -> Expr {
    mask.map_or_else(len, |mask| mask.clone().sum())
}

/// Collects the bad rows of failed checks. Those of a check that only warns count where another holds the row back.
#[derive(Default)]
struct RowsByRule {
    held: FailedRows,
    also: Vec<(Arc<str>, Vec<usize>)>,
    order: Vec<Arc<str>>,
}

impl RowsByRule {
    fn add(&mut self, id: &str, policy: OnFail, rows: Vec<usize>) {
        let id: Arc<str> = id.into();
        self.order.push(id.clone());
        if policy == OnFail::Quarantine {
            for row in rows {
                self.held.entry(row).or_default().push(id.clone());
            }
        } else {
            self.also.push((id, rows));
        }
    }

    fn finish(mut self) -> FailedRows {
        for (id, rows) in self.also {
            for row in rows {
                if let Some(rules) = self.held.get_mut(&row) {
                    rules.push(id.clone());
                }
            }
        }
        let place: BTreeMap<_, _> = self.order.iter().enumerate().map(|(place, id)| (id.clone(), place)).collect();
        for rules in self.held.values_mut() {
            rules.sort_by_key(|rule| place.get(rule));
        }
        self.held
    }
}
