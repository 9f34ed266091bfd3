//! The engine over Postgres tables: one query counts for every check at once; only checks that found bad rows cost
//! another, for samples.

mod backend;
mod regex;

use std::{fmt, str::FromStr, time::Instant};

use serde_json::Value;
use sqlx::{
    AssertSqlSafe, Connection, FromRow, PgConnection, Postgres, Row,
    postgres::{PgArguments, PgRow},
    query::Query,
};

use crate::{
    expectation::Metric,
    expression::Expression,
    outcome::{Evaluation, FailedRows, Outcome, outcome},
    probe::{
        Probe, RowCounts, RowProbe, SAMPLES, Unexpected, divide, judge_aggregate, judge_count, judge_distinct,
        judge_rows, probe, sample,
    },
    suite::{Check, Suite},
    types::{Backend, Schema, Type, condition, lower},
    value::{Scalar, read_date, read_instant, read_time, read_timestamp},
};
use backend::{Parameter, Statement, kind, quote};

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

/// A table, or a view, by its schema and name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Its schema.
    pub schema: String,
    /// Its name there.
    pub name: String,
}

impl fmt::Display for Table {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}.{}", self.schema, self.name)
    }
}

impl FromStr for Table {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('.') {
            Some((schema, name)) if !schema.is_empty() && !name.is_empty() && !name.contains('.') => {
                Ok(Self { schema: schema.to_owned(), name: name.to_owned() })
            }
            _ => Err(format!("`{text}` is not a table; write `schema.table`")),
        }
    }
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
    let engine = Engine { schema: columns(connection, table).await?, table };
    let jobs: Vec<_> = suite.checks.iter().map(|check| engine.job(check)).collect();
    let (rows, counted) = engine.count(connection, suite, &jobs).await?;
    let share = began.elapsed().checked_div(u32::try_from(jobs.len()).unwrap_or(u32::MAX)).unwrap_or_default();
    let mut checks = Vec::with_capacity(jobs.len());
    for ((check, job), values) in suite.checks.iter().zip(jobs).zip(counted) {
        let began = Instant::now();
        let judged = match (job, values) {
            (Ok(probe), Ok(values)) => engine.judge(connection, check, &probe, &values).await?,
            (Err(error), _) | (_, Err(error)) => Err(error),
        };
        checks.push(outcome(suite, check, judged, share + began.elapsed()));
    }
    Ok(Evaluation::new(rows, checks, FailedRows::new()))
}

#[derive(FromRow)]
struct ColumnRow {
    name: String,
    type_name: String,
    is_enum: bool,
    modifier: i32,
}

async fn columns(connection: &mut PgConnection, table: &Table) -> Result<Schema, QualityError> {
    let found: Vec<ColumnRow> = sqlx::query_as(include_str!("../../../../sql/quality/columns.sql"))
        .bind(&table.schema)
        .bind(&table.name)
        .fetch_all(connection)
        .await?;
    if found.is_empty() {
        return Err(QualityError::NoTable(table.clone()));
    }
    Ok(Schema(found.into_iter().map(|c| (c.name, kind(&c.type_name, c.is_enum, c.modifier))).collect()))
}

type Values = Vec<Option<String>>;

struct Engine<'a> {
    schema: Schema,
    table: &'a Table,
}

impl Engine<'_> {
    fn from(&self) -> String {
        format!("{}.{}", quote(&self.table.schema), quote(&self.table.name))
    }

    fn job(&self, check: &Check) -> Result<Probe, String> {
        let probe = probe(check, &self.schema)?;
        // What does not compile is the check's own fault; it must not spoil the query of the others.
        self.counts(check, &probe, &mut Statement::default())?;
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
        Ok(format!("({within} and {})", self.condition(&rows.considered, statement)?))
    }

    fn keys(columns: &[String]) -> String {
        columns.iter().map(|name| quote(name)).collect::<Vec<_>>().join(", ")
    }

    /// The expressions that give the check's numbers, each one value.
    fn counts(&self, check: &Check, probe: &Probe, statement: &mut Statement) -> Result<Vec<String>, String> {
        let filtered = |mask: &str| format!("count(*) filter (where {mask})");
        Ok(match probe {
            Probe::Decided(..) | Probe::Distinct { .. } => Vec::new(),
            Probe::RowCount(_) => vec![filtered(&self.within(check, statement)?)],
            Probe::Rows(rows) => {
                let elements = filtered(&self.within(check, statement)?);
                let considered = self.considered(check, rows, statement)?;
                let unexpected = match &rows.unexpected {
                    Unexpected::Where(bad) => {
                        let considered = self.considered(check, rows, statement)?;
                        filtered(&format!("({considered} and {})", self.condition(bad, statement)?))
                    }
                    Unexpected::Duplicates(columns) => {
                        let (from, keys) = (self.from(), Self::keys(columns));
                        let considered = self.considered(check, rows, statement)?;
                        format!(
                            "(select coalesce(sum(n), 0) from (select count(*) as n from {from} where {considered} \
                             group by {keys} having count(*) > 1) as duplicates)"
                        )
                    }
                };
                vec![elements, filtered(&considered), unexpected]
            }
            Probe::Aggregate { column, metric, .. } => {
                let (value, kind) = lower(&Expression::column(column), &self.schema, statement)?;
                let (value, kind) = match kind.summed_as().filter(|_| metric.is_arithmetic()) {
                    Some(number) if number != kind => (statement.cast(value, kind, number), number),
                    _ => (value, kind),
                };
                let filter = match &check.when {
                    Some(_) => format!(" filter (where {})", self.within(check, statement)?),
                    None => String::new(),
                };
                let collation = if kind == Type::Text { " collate \"C\"" } else { "" };
                let computed = match metric {
                    // A sum of doubles has no exact type to lose.
                    Metric::Sum | Metric::Mean => format!("sum({value})"),
                    Metric::Min => format!("min({value}{collation})"),
                    Metric::Max => format!("max({value}{collation})"),
                    Metric::Median => {
                        format!("percentile_cont(0.5) within group (order by ({value})::double precision)")
                    }
                    Metric::Stdev => format!("stddev_samp(({value})::double precision)"),
                    Metric::Distinct | Metric::DistinctFraction => format!("count(distinct {value})"),
                };
                vec![format!("count({value}){filter}"), format!("{computed}{filter}")]
            }
        })
    }

    /// The numbers of all checks from one query; where that fails, from one query a check, so that a fault stays
    /// with the check that has it.
    async fn count(
        &self,
        connection: &mut PgConnection,
        suite: &Suite,
        jobs: &[Result<Probe, String>],
    ) -> Result<(usize, Vec<Result<Values, String>>), QualityError> {
        let mut statement = Statement::default();
        let mut all = vec!["count(*)".to_owned()];
        let mut slots = Vec::new();
        for (check, job) in suite.checks.iter().zip(jobs) {
            let own = match job {
                Ok(probe) => self.counts(check, probe, &mut statement).unwrap_or_default(),
                Err(_) => Vec::new(),
            };
            slots.push(all.len()..all.len() + own.len());
            all.extend(own);
        }
        let rows = |values: &Values| values.first().cloned().flatten().and_then(|n| n.parse().ok()).unwrap_or(0);
        if let Ok(values) = self.values(connection, &all, statement).await? {
            let counted = slots.into_iter().map(|own| Ok(values[own].to_vec())).collect();
            return Ok((rows(&values), counted));
        }
        let total = self.values(connection, &all[..1], Statement::default()).await?;
        let mut counted = Vec::new();
        for (check, job) in suite.checks.iter().zip(jobs) {
            let mut statement = Statement::default();
            let own = match job {
                Ok(probe) => self.counts(check, probe, &mut statement).unwrap_or_default(),
                Err(_) => Vec::new(),
            };
            counted.push(self.values(connection, &own, statement).await?);
        }
        Ok((total.as_ref().map_or(0, rows), counted))
    }

    /// Evaluates aggregates over the whole table. The inner error is the database's word on the statement; the outer
    /// one means that it could not be asked.
    async fn values(
        &self,
        connection: &mut PgConnection,
        expressions: &[String],
        statement: Statement,
    ) -> Result<Result<Values, String>, QualityError> {
        if expressions.is_empty() {
            return Ok(Ok(Vec::new()));
        }
        // JSON writes times in ISO 8601 and floats in full, whatever the session's settings are.
        let selected: Vec<_> = expressions.iter().map(|e| format!("to_jsonb({e}) #>> '{{}}'")).collect();
        let sql = format!("select {} from {}", selected.join(", "), self.from());
        let row = attempt(connection, sql, statement).await?;
        Ok(row.map(|rows| rows.first().map(texts).unwrap_or_default()))
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
            Probe::Aggregate { column, metric, bounds } => {
                let own = self.schema.get(column).unwrap_or(Type::Other);
                let kind = match metric {
                    Metric::Min | Metric::Max => own,
                    Metric::Sum if own != Type::Float => Type::Decimal(0),
                    Metric::Mean | Metric::Distinct | Metric::DistinctFraction => Type::Decimal(0),
                    Metric::Sum | Metric::Median | Metric::Stdev => Type::Float,
                };
                let value = values.get(1).cloned().flatten().filter(|_| number(0) > 0);
                let value = value.and_then(|text| read(&text, kind));
                judge_aggregate(bounds, divide(*metric, number(0), value).as_ref())
            }
            Probe::Distinct { column, values, relation } => {
                let seen = self.distinct(connection, check, column).await?;
                seen.map(|seen| judge_distinct(values, *relation, &seen))
            }
            Probe::Rows(rows) => {
                let counts = RowCounts { elements: number(0), considered: number(1), unexpected: number(2) };
                let samples =
                    if counts.unexpected > 0 { self.samples(connection, check, rows).await? } else { Ok(Vec::new()) };
                samples.map(|samples| judge_rows(check, rows, counts, samples))
            }
        })
    }

    async fn distinct(
        &self,
        connection: &mut PgConnection,
        check: &Check,
        column: &str,
    ) -> Result<Result<Vec<Scalar>, String>, QualityError> {
        let mut statement = Statement::default();
        let written = lower(&Expression::column(column), &self.schema, &mut statement)
            .and_then(|(value, kind)| Ok((value, kind, self.within(check, &mut statement)?)));
        let (value, kind, within) = match written {
            Ok(written) => written,
            Err(error) => return Ok(Err(error)),
        };
        let collation = if kind == Type::Text { " collate \"C\"" } else { "" };
        let sql = format!(
            "select to_jsonb(v) #>> '{{}}' from (select distinct {value}{collation} as v from {} \
             where {within} and {value} is not null order by v) as seen",
            self.from()
        );
        let rows = attempt(connection, sql, statement).await?;
        Ok(rows.map(|rows| rows.iter().flat_map(texts).flatten().filter_map(|text| read(&text, kind)).collect()))
    }

    async fn samples(
        &self,
        connection: &mut PgConnection,
        check: &Check,
        rows: &RowProbe,
    ) -> Result<Result<Vec<Value>, String>, QualityError> {
        let mut statement = Statement::default();
        let sql = match self.sample_query(check, rows, &mut statement) {
            Ok(sql) => sql,
            Err(error) => return Ok(Err(error)),
        };
        let found = attempt(connection, sql, statement).await?;
        let show = |row: &PgRow| {
            let values = texts(row);
            sample(&rows.columns, |name| {
                let place = rows.columns.iter().position(|column| column == name).unwrap_or_default();
                let kind = self.schema.get(name).unwrap_or(Type::Other);
                let text = values.get(place).cloned().flatten();
                text.map_or(Value::Null, |text| read(&text, kind).map_or(Value::String(text), |value| value.to_json()))
            })
        };
        Ok(found.map(|found| found.iter().map(show).collect()))
    }

    fn sample_query(&self, check: &Check, rows: &RowProbe, statement: &mut Statement) -> Result<String, String> {
        let shown: Vec<_> = rows.columns.iter().map(|name| format!("to_jsonb({}) #>> '{{}}'", quote(name))).collect();
        let shown = if shown.is_empty() { "null::text".to_owned() } else { shown.join(", ") };
        let from = self.from();
        let considered = self.considered(check, rows, statement)?;
        Ok(match &rows.unexpected {
            Unexpected::Where(bad) => {
                let bad = self.condition(bad, statement)?;
                format!("select {shown} from {from} where {considered} and {bad} limit {SAMPLES}")
            }
            Unexpected::Duplicates(columns) => {
                let keys = Self::keys(columns);
                format!(
                    "select {shown} from (select *, count(*) over (partition by {keys}) as \"sluice.copies\" \
                     from {from} where {considered}) as counted where \"sluice.copies\" > 1 limit {SAMPLES}"
                )
            }
        })
    }
}

/// Runs a statement so that its failure leaves the connection, and a transaction around it, usable.
async fn attempt(
    connection: &mut PgConnection,
    sql: String,
    statement: Statement,
) -> Result<Result<Vec<PgRow>, String>, QualityError> {
    let mut savepoint = connection.begin().await?;
    let mut query: Query<'_, Postgres, PgArguments> = sqlx::query(AssertSqlSafe(sql)).persistent(false);
    for parameter in statement.parameters {
        query = match parameter {
            Parameter::One(value) => query.bind(value),
            Parameter::Many(values) => query.bind(values),
        };
    }
    let answer = query.fetch_all(&mut *savepoint).await;
    match answer {
        Ok(rows) => {
            savepoint.commit().await?;
            Ok(Ok(rows))
        }
        Err(sqlx::Error::Database(error)) => {
            savepoint.rollback().await?;
            Ok(Err(error.message().to_owned()))
        }
        Err(error) => Err(error.into()),
    }
}

fn texts(row: &PgRow) -> Values {
    (0..row.len()).map(|index| row.try_get::<Option<String>, _>(index).ok().flatten()).collect()
}

/// A value from the text that JSON gives it.
fn read(text: &str, kind: Type) -> Option<Scalar> {
    match kind {
        Type::Bool => text.parse().ok().map(Scalar::Bool),
        Type::Int | Type::Decimal(_) => Scalar::number(text),
        Type::Float => text.parse().ok().map(Scalar::Float),
        Type::Date => read_date(text).map(Scalar::Date),
        Type::Timestamp => read_timestamp(text).map(Scalar::Timestamp),
        Type::Instant => read_instant(text).map(Scalar::Instant),
        Type::Time => read_time(text).map(Scalar::Time),
        Type::Text | Type::Null | Type::Other => Some(Scalar::Text(text.to_owned())),
    }
}
