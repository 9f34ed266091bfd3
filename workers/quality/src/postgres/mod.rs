//! The engine over Postgres tables: one query counts for every check at once; only checks that found bad rows cost
//! another, for samples.

mod answer;
mod backend;
mod broken;
mod count;
mod groups;
mod look;
mod others;
mod profile;
mod regex;
mod rows;
mod table;
mod tests;

use std::{sync::Arc, time::Instant};

use serde_json::Value;
use sqlx::PgConnection;

use crate::{
    expectation::{Expectation, Measure, Metric, OtherDataset},
    expression::Expression,
    outcome::{Evaluation, FailedRows, Outcome, outcome},
    probe::{
        Measured, Probe, RowProbe, divide, judge_aggregate, judge_agreement, judge_contract, judge_count,
        judge_frequencies, judge_histogram, judge_quantiles, judge_rows, judge_unexpected_rows, probe,
    },
    suite::{Check, Suite},
    types::{Backend, Schema, Type, condition},
};
use answer::{Values, read};
use backend::{Statement, quote};
pub use broken::{BrokenRows, broken_rows};
use groups::Marks;
pub(crate) use look::unexpected_rows;
use others::Others;
pub(crate) use others::{missing_keys, other_number};
pub use profile::{profile_columns, profile_table};
pub use table::Table;
use table::columns;
pub(crate) use table::columns as table_schema;
use tests::Answers;

/// Why a suite could not be run on a table at all.
#[derive(Debug, thiserror::Error)]
pub enum QualityError {
    /// There is no such table.
    #[error("there is no table `{0}`")]
    NoTable(Table),
    /// The database did not answer, or refused.
    #[error("the database refused a check")]
    Database(#[from] sqlx::Error),
}

/// Checks a table as it is now. Reads only; may be called inside a transaction.
///
/// The result names no rows to hold back: nothing is split out of a table that is already there.
pub async fn evaluate_table(
    connection: &mut PgConnection,
    suite: &Suite,
    table: &Table,
) -> Result<Evaluation, QualityError> {
    let began = Instant::now();
    let suite = &*suite.at(chrono::Utc::now());
    let mut engine =
        Engine { schema: columns(connection, table).await?, table, answers: Arc::default(), others: Others::new() };
    engine.ask(connection, suite).await?;
    engine.learn_others(connection, suite).await?;
    let jobs: Vec<_> = suite.checks.iter().map(|check| engine.job(check)).collect();
    let (rows, counted) = engine.count(connection, suite, &jobs).await?;
    let mut grouped = engine.groups(connection, suite, &jobs).await?;
    let share = began.elapsed().checked_div(u32::try_from(jobs.len()).unwrap_or(u32::MAX)).unwrap_or_default();
    let mut checks = Vec::with_capacity(jobs.len());
    for (place, ((check, job), values)) in suite.checks.iter().zip(jobs).zip(counted).enumerate() {
        let began = Instant::now();
        let judged = match (job, values, grouped.remove(&place)) {
            (Ok(probe), _, Some(Ok(groups))) => engine.judge_groups(connection, check, &probe, groups).await?,
            (Ok(probe), Ok(values), None) => engine.judge(connection, check, &probe, &values).await?,
            (Err(error), ..) | (_, Err(error), _) | (.., Some(Err(error))) => Err(error),
        };
        checks.push(outcome(suite, check, judged, share + began.elapsed()));
    }
    Ok(Evaluation::new(rows, checks, FailedRows::new()))
}

struct Engine<'a> {
    schema: Schema,
    table: &'a Table,
    answers: Arc<Answers>,
    others: Others,
}

impl Engine<'_> {
    fn from(&self) -> String {
        self.table.quoted()
    }

    fn statement(&self) -> Statement {
        Statement { answers: self.answers.clone(), ..Statement::default() }
    }

    /// Puts the tests of the suite that Postgres does not have to the texts that they are about.
    async fn ask(&mut self, connection: &mut PgConnection, suite: &Suite) -> Result<(), QualityError> {
        let mut answers = Answers::default();
        for check in &suite.checks {
            if let Expectation::Text { column, test } = &check.expectation
                && self.schema.get(column) == Ok(Type::Text)
            {
                let written = Statement::default().column(column, Type::Text);
                answers.ask(connection, &self.from(), &written, test).await?;
            }
        }
        self.answers = Arc::new(answers);
        Ok(())
    }

    fn job(&self, check: &Check) -> Result<Probe, String> {
        let probe = probe(check, &self.schema)?;
        // What does not compile is the check's own fault; it must not spoil the query of the others.
        if check.group_by.is_empty() {
            self.counts(check, &probe, &mut self.statement())?;
        } else {
            self.group_counts(check, &probe, &mut self.statement(), &mut Marks::default())?;
        }
        Ok(probe)
    }

    fn condition(&self, expression: &Expression, statement: &mut Statement) -> Result<String, String> {
        condition(expression, &self.schema, statement)
    }

    fn within(&self, check: &Check, statement: &mut Statement) -> Result<String, String> {
        match &check.when {
            Some(when) => self.condition(&Expression::IsTrue(Box::new(when.clone())), statement),
            None => Ok("true".to_owned()),
        }
    }

    /// The rows of a row check that are bad, as a condition; duplicates are counted elsewhere.
    fn considered(&self, check: &Check, rows: &RowProbe, statement: &mut Statement) -> Result<String, String> {
        let within = self.within(check, statement)?;
        let considered = self.condition(&rows.considered, statement)?;
        Ok(if check.when.is_none() { considered } else { format!("({within} and {considered})") })
    }

    fn keys(columns: &[String]) -> String {
        columns.iter().map(|name| quote(name)).collect::<Vec<_>>().join(", ")
    }
    /// A table that was named without its schema is one of the schema of this.
    fn placed(&self, other: &OtherDataset) -> OtherDataset {
        match other {
            OtherDataset::Table(table) if table.schema.is_empty() => {
                OtherDataset::Table(Table { schema: self.table.schema.clone(), name: table.name.clone() })
            }
            other => other.clone(),
        }
    }

    /// The type that a metric of a column comes back in.
    fn metric_type(&self, column: &str, metric: Metric) -> Type {
        let own = self.schema.get(column).unwrap_or(Type::Other);
        match metric {
            Metric::Min | Metric::Max => own,
            Metric::Sum if own != Type::Float => Type::Decimal(0),
            Metric::Mean | Metric::Distinct | Metric::DistinctFraction => Type::Decimal(0),
            Metric::Sum | Metric::Median | Metric::Stdev => Type::Float,
        }
    }

    async fn judge(
        &self,
        connection: &mut PgConnection,
        check: &Check,
        probe: &Probe,
        values: &Values,
    ) -> Result<Result<(Outcome, Value), String>, QualityError> {
        let number = |slot: usize| values.get(slot).cloned().flatten().and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
        Ok(match probe {
            Probe::Decided(outcome, observed) => Ok((*outcome, observed.clone())),
            Probe::RowCount(bounds) => judge_count(bounds, number(0)),
            Probe::Contract { changes, not_null } => {
                let nulls: Vec<_> = (0..not_null.len()).map(number).collect();
                Ok(judge_contract(changes, not_null, &nulls))
            }
            Probe::Aggregate { column, metric, bounds } => {
                let kind = self.metric_type(column, *metric);
                let value = values.get(2).cloned().flatten().filter(|_| number(1) > 0);
                let value = value.and_then(|text| read(&text, kind));
                judge_aggregate(bounds, (number(0), number(1)), divide(*metric, number(1), value).as_ref())
            }
            Probe::Frequencies { column, asked } => {
                let seen = self.frequencies(connection, check, column).await?;
                seen.and_then(|seen| judge_frequencies(asked, number(0), &seen))
            }
            Probe::Quantiles { quantiles, ranges, .. } => {
                let found: Vec<_> = values.iter().skip(2).flatten().filter_map(|text| text.parse().ok()).collect();
                judge_quantiles(quantiles, ranges, (number(0), number(1)), &found)
            }
            Probe::Histogram { divergence, .. } => {
                let below: Vec<_> = (2..values.len()).map(number).collect();
                judge_histogram(divergence, number(0), number(1), &below)
            }
            Probe::Agreement { measure, other, when, judged } => {
                let other = self.placed(other);
                let there = other_number(connection, &other, measure, when.as_ref()).await?;
                let kind = match measure {
                    Measure::Sum { column, .. } => self.metric_type(column, Metric::Sum),
                    Measure::Rows => Type::Int,
                };
                let sum = values.get(2).cloned().flatten().filter(|_| number(1) > 0).and_then(|text| read(&text, kind));
                there.map(|there| judge_agreement(measure, judged, &Measured { rows: number(0), sum }, &there))
            }
            Probe::UnexpectedRows(query) => {
                let found = self.unexpected_rows(connection, check, query).await?;
                found.map(|(count, samples)| judge_unexpected_rows(count, samples))
            }
            Probe::Rows(rows) => {
                let counts = match self.row_counts(connection, check, rows, [number(0), number(1), number(2)]).await? {
                    Ok(counts) => counts,
                    Err(error) => return Ok(Err(error)),
                };
                let samples =
                    if counts.unexpected > 0 { self.samples(connection, check, rows).await? } else { Ok(Vec::new()) };
                samples.map(|samples| judge_rows(check, rows, counts, samples, None))
            }
        })
    }
}
