//! Suites over Parquet files that need not fit into memory: one pass counts for every check at once, batch by batch; only
//! checks that failed cost a second look, for samples of their rows.

mod job;
mod keys;
mod plan;
mod ranks;
mod scan;
mod source;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeSet,
    path::Path,
    sync::{Mutex, PoisonError},
    time::Instant,
};

use polars::prelude::{DataFrame, Expr, IntoLazy, PolarsError, PolarsResult, col, len};
use serde_json::Value;

use super::{
    answer::{listed, marked},
    backend::{Frames, kind, positional, scalar, stored},
    evaluate_frame_beside,
};
use crate::{
    beside::Beside,
    data::read_file,
    outcome::{Evaluation, FailedRows, Outcome, outcome},
    probe::{
        Frequencies, Probe, RowCounts, RowProbe, SAMPLES, divide, judge_aggregate, judge_count, judge_frequencies,
        judge_histogram, judge_quantiles, judge_rows,
    },
    suite::{Check, Suite},
    types::{self, Backend, Schema, Type},
    value::Scalar,
};
use job::{Asked, Bad};
use plan::{Found, Measure, Plan};
use scan::{columns, pass, scan};
use source::Source;

/// Different values of a column of a file that are held at most, for checks that look at each with its frequency.
const DIFFERENT: usize = 4_000_000;

/// Checks a file as [`read_file`] reads it, with the rows of [`Evaluation::failed_rows`] left out: nobody holds them
/// back. Blocking.
///
/// Of Parquet a few batches of some 260,000 rows are in memory at a time, and 256 MiB at most of keys that are looked
/// at for uniqueness; more keys than that take several passes over their columns. What needs all of its values at once
/// is: all rows for a check of order by another column, and the different values, up to four million, of a check of
/// their set or frequencies. A CSV file is read whole, for its types are those that all of its rows fit.
///
/// # Errors
/// Where the file cannot be read, to its last row.
pub fn evaluate_file(suite: &Suite, path: &Path) -> PolarsResult<Evaluation> {
    evaluate_file_beside(suite, path, &Beside::default())
}

/// The same where checks may compare the file with other datasets, as
/// [`evaluate_frame_beside`](super::evaluate_frame_beside) does. What asks another dataset, or groups, has all rows in memory.
///
/// # Errors
/// As [`evaluate_file`].
pub fn evaluate_file_beside(suite: &Suite, path: &Path, beside: &Beside) -> PolarsResult<Evaluation> {
    let whole = |suite: &Suite| Ok::<_, PolarsError>(evaluate_frame_beside(suite, &read_file(path)?, beside));
    match Source::parquet(path)? {
        Some(source) => evaluate(suite, source, whole),
        None => Ok(Evaluation { failed_rows: FailedRows::new(), ..whole(suite)? }),
    }
}

/// What `source` holds; `whole` judges checks that need all rows at once.
fn evaluate(
    suite: &Suite,
    source: Source,
    whole: impl Fn(&Suite) -> PolarsResult<Evaluation>,
) -> PolarsResult<Evaluation> {
    let began = Instant::now();
    let suite = &*suite.at(chrono::Utc::now());
    let engine = Engine::new(source);
    let mut plan = Plan::default();
    let mut jobs: Vec<_> = suite.checks.iter().map(|check| engine.job(check, &mut plan)).collect();
    let found = scan(&engine.source, &plan)?;
    // Outliers are counted once the mean is known.
    let mut later = Plan::default();
    for job in &mut jobs {
        if let Ok(Some(asked)) = job
            && let Err(error) = engine.outliers(asked, &found, &mut later)
        {
            *job = Err(error);
        }
    }
    let later = if later.values.is_empty() { None } else { Some(scan(&engine.source, &later)?) };
    let apart: Vec<_> = suite.checks.iter().zip(&jobs).filter(|(_, job)| matches!(job, Ok(None))).collect();
    let apart = Suite { checks: apart.into_iter().map(|(check, _)| check.clone()).collect(), ..suite.clone() };
    let share = began.elapsed().checked_div(u32::try_from(jobs.len()).unwrap_or(u32::MAX)).unwrap_or_default();
    let mut apart = if apart.checks.is_empty() { Vec::new() } else { whole(&apart)?.checks }.into_iter();
    let mut checks = Vec::new();
    for (check, job) in suite.checks.iter().zip(&jobs) {
        let began = Instant::now();
        let judged = match job {
            Ok(Some(asked)) => {
                let found = if asked.later { later.as_ref().unwrap_or(&found) } else { &found };
                engine.judge(check, asked, found)
            }
            Ok(None) => {
                checks.extend(apart.next());
                continue;
            }
            Err(error) => Err(error.clone()),
        };
        checks.push(outcome(suite, check, judged, share + began.elapsed()));
    }
    Ok(Evaluation::new(engine.source.rows, checks, FailedRows::new()))
}

struct Engine {
    source: Source,
    schema: Schema,
}

impl Engine {
    fn new(source: Source) -> Self {
        let column = |(name, dtype): (&String, _)| types::Column {
            name: name.clone(),
            kind: kind(dtype),
            stored: stored(dtype),
        };
        let schema = Schema(source.names.iter().zip(&source.dtypes).map(column).collect());
        Self { source, schema }
    }

    fn backend(&self) -> Frames<'_> {
        Frames { schema: &self.schema, dtypes: &self.source.dtypes }
    }

    fn judge(&self, check: &Check, asked: &Asked, found: &Found) -> Result<(Outcome, Value), String> {
        let values = asked.counts.iter().map(|count| found.value(count)).collect::<Result<Vec<_>, _>>()?;
        let number = |slot: usize| match values.get(slot) {
            Some(Some(Scalar::Decimal { units, .. })) => u64::try_from(*units).unwrap_or_default(),
            _ => 0,
        };
        match &asked.probe {
            Probe::Decided(outcome, observed) => Ok((*outcome, observed.clone())),
            Probe::RowCount(bounds) => judge_count(bounds, number(0)),
            Probe::Aggregate { metric, bounds, .. } => {
                let value = if number(1) == 0 { None } else { values.get(2).cloned().flatten() };
                judge_aggregate(bounds, (number(0), number(1)), divide(*metric, number(1), value).as_ref())
            }
            Probe::Frequencies { column, asked: question } => {
                let seen = self.frequencies(column, asked.within.as_ref())?;
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
            Probe::Rows(rows) => {
                let counts = RowCounts { elements: number(0), considered: number(1), unexpected: number(2) };
                let (mut samples, mut places) = (Vec::new(), Vec::new());
                if let Some(bad) = asked.bad.as_ref().filter(|_| counts.unexpected > 0) {
                    places = self.bad_rows(bad, found, &asked.counts[2])?;
                    samples = self.samples(&places, rows).map_err(|error| error.to_string())?;
                }
                Ok(judge_rows(check, rows, counts, samples, Some(&places)))
            }
            _ => Err("it was to be looked at with all rows".to_owned()),
        }
    }

    fn frequencies(&self, column: &str, within: Option<&Expr>) -> Result<Frequencies, String> {
        let kind = self.schema.get(column)?;
        if kind == Type::Null {
            return Ok(Vec::new());
        }
        let key = self.backend().key(column);
        let grouped = |rows: DataFrame, count: Expr| rows.lazy().group_by([col("v")]).agg([count.alias("n")]).collect();
        let of_batch = |frame: &DataFrame| {
            let rows = frame.clone().lazy();
            let rows = within.map_or_else(|| rows.clone(), |within| rows.clone().filter(within.clone()));
            grouped(rows.select([key.clone().alias("v")]).filter(col("v").is_not_null()).collect()?, len())
        };
        let merge = |all: &mut Merged, more: DataFrame| -> PolarsResult<()> {
            let Some(seen) = &mut all.seen else {
                all.seen = Some(more);
                return Ok(());
            };
            seen.vstack_mut(&more)?;
            if seen.height() > 2 * all.different + DIFFERENT / 4 {
                *seen = grouped(seen.clone(), col("n").sum())?;
                all.different = seen.height();
            }
            Ok(())
        };
        let all = Mutex::new(Merged::default());
        let batches: Vec<_> = (0..self.source.batches()).collect();
        let needed = columns(within.into_iter().chain([&key]));
        let read = pass(&self.source, &batches, &needed, |_, frame| {
            let merged = of_batch(frame);
            let all = &mut *all.lock().unwrap_or_else(PoisonError::into_inner);
            // Where there are too many, no more are taken.
            if all.fault.is_none() && all.different <= DIFFERENT {
                all.fault = merged.and_then(|more| merge(all, more)).err().map(|error| error.to_string());
            }
        });
        read.map_err(|error| error.to_string())?;
        let all = all.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some(fault) = all.fault {
            return Err(fault);
        }
        let Some(seen) = all.seen else { return Ok(Vec::new()) };
        let seen = grouped(seen, col("n").sum()).map_err(|error| error.to_string())?;
        if seen.height() > DIFFERENT {
            return Err(format!("`{column}` has more than {DIFFERENT} different values, too many to look at each"));
        }
        listed(&seen, kind).map_err(|error| error.to_string())
    }

    /// The first rows that a check found bad.
    fn bad_rows(&self, bad: &Bad, found: &Found, counted: &Measure) -> Result<Vec<usize>, String> {
        let told = |error: PolarsError| error.to_string();
        let mut rows = Vec::new();
        match bad {
            Bad::Rows(mask) => {
                let needed = columns([mask]).into_iter().collect::<Vec<_>>();
                for batch in found.batches_with(counted) {
                    if rows.len() >= SAMPLES {
                        break;
                    }
                    let frame = self.source.read(batch, &needed).map_err(told)?;
                    self.mark(batch, &marked(&frame, mask).map_err(told)?, &mut rows);
                }
            }
            Bad::Repeated { key } => {
                let keys = found.keys(*key)?;
                let mut needed = columns(&keys.key().among);
                needed.extend(&keys.key().columns);
                let needed: Vec<_> = needed.into_iter().collect();
                for batch in 0..self.source.batches() {
                    if rows.len() >= SAMPLES {
                        break;
                    }
                    let frame = self.source.read(batch, &needed).map_err(told)?;
                    let counts = match &keys.key().among {
                        Some(among) => marked(&frame, among).map_err(told)?,
                        None => (0..frame.height()).collect(),
                    };
                    let repeated = keys.repeated(&frame).map_err(told)?;
                    let repeated = counts.into_iter().zip(repeated).filter(|(_, bad)| *bad).map(|(row, _)| row);
                    self.mark(batch, &repeated.collect::<Vec<_>>(), &mut rows);
                }
            }
            Bad::Disorder { disorder, kind, mask } => {
                for batch in found.batches_in_disorder(disorder)? {
                    let last = found.last_before(batch, disorder)?;
                    let mask = mask(last.map(|last| self.backend().literal(Some(&last), *kind)));
                    let needed = columns([&mask]).into_iter().collect::<Vec<_>>();
                    let frame = self.source.read(batch, &needed).map_err(told)?;
                    self.mark(batch, &marked(&frame, &mask).map_err(told)?, &mut rows);
                    if rows.len() >= SAMPLES {
                        break;
                    }
                }
            }
        }
        Ok(rows)
    }

    /// Takes rows of a batch into the rows of all, as many as are shown.
    fn mark(&self, batch: usize, places: &[usize], rows: &mut Vec<usize>) {
        let room = SAMPLES.saturating_sub(rows.len());
        rows.extend(places.iter().take(room).map(|place| self.source.before(batch) + place));
    }

    /// What samples show of some rows, which are in order.
    fn samples(&self, rows: &[usize], probe: &RowProbe) -> PolarsResult<Vec<Value>> {
        let places: BTreeSet<_> = probe.columns.iter().map(|name| self.backend().index(name)).collect();
        let places: Vec<_> = places.into_iter().collect();
        let mut shown = Vec::new();
        let mut read: Option<(usize, DataFrame)> = None;
        for row in rows {
            let batch = self.source.batch_of(*row);
            let frame = match read {
                Some((known, frame)) if known == batch => frame,
                _ => self.source.read(batch, &places)?,
            };
            let at = row - self.source.before(batch);
            let value = |name: &String| {
                let column = frame.column(&positional(self.backend().index(name))).ok()?;
                scalar(&column.get(at).ok()?).map(|value| value.to_json())
            };
            shown.push(crate::probe::sample(&probe.columns, |name| value(name).unwrap_or(Value::Null)));
            read = Some((batch, frame));
        }
        Ok(shown)
    }
}

/// Values with their frequencies, put together from batches.
#[derive(Default)]
struct Merged {
    seen: Option<DataFrame>,
    /// How many different ones there were when they were last put together.
    different: usize,
    fault: Option<String>,
}
