//! The engine over Postgres tables: one query counts for every check at once; only checks that found bad rows cost
//! another, for samples.

mod backend;
mod broken;
mod profile;
mod regex;
mod tests;

use std::{fmt, str::FromStr, sync::Arc, time::Instant};

use serde_json::Value;
use sqlx::{
    AssertSqlSafe, Connection, FromRow, PgConnection, Postgres, Row,
    postgres::{PgArguments, PgRow},
    query::Query,
};

use crate::{
    expectation::{Expectation, Metric},
    expression::Expression,
    outcome::{Evaluation, FailedRows, Outcome, outcome},
    probe::{
        Frequencies, Probe, RowCounts, RowProbe, SAMPLES, Unexpected, divide, judge_aggregate, judge_count,
        judge_frequencies, judge_histogram, judge_other_count, judge_quantiles, judge_rows, judge_unexpected_rows,
        probe, sample,
    },
    suite::{Check, Suite},
    types::{Backend, Column, Schema, Type, condition, lower},
    value::{Scalar, read_date, read_instant, read_time, read_timestamp},
};
use backend::{Parameter, Statement, kind, quote, stored};
pub use broken::{BrokenRows, broken_rows};
pub use profile::{profile_columns, profile_table};
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
    let suite = &*suite.at(chrono::Utc::now());
    let mut engine = Engine { schema: columns(connection, table).await?, table, answers: Arc::default() };
    engine.ask(connection, suite).await?;
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
    let column = |c: ColumnRow| Column {
        kind: kind(&c.type_name, c.is_enum, c.modifier),
        stored: stored(&c.type_name),
        name: c.name,
    };
    Ok(Schema(found.into_iter().map(column).collect()))
}

type Values = Vec<Option<String>>;

struct Engine<'a> {
    schema: Schema,
    table: &'a Table,
    answers: Arc<Answers>,
}

/// Where the bad rows of a row check are found: a relation with the columns of the table, and a condition.
struct Marked {
    from: String,
    bad: String,
}

/// The column that such a relation has beside the table's.
const MARK: &str = "\"sluice.mark\"";

impl Engine<'_> {
    fn from(&self) -> String {
        format!("{}.{}", quote(&self.table.schema), quote(&self.table.name))
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
        self.counts(check, &probe, &mut self.statement())?;
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

    /// The expressions that give the check's numbers, each one value.
    fn counts(&self, check: &Check, probe: &Probe, statement: &mut Statement) -> Result<Vec<String>, String> {
        Ok(match probe {
            Probe::Decided(..) | Probe::UnexpectedRows(_) => Vec::new(),
            Probe::RowCount(_) | Probe::OtherRowCount(_) | Probe::Frequencies { .. } => {
                vec![filtered(&self.within(check, statement)?)]
            }
            Probe::Quantiles { column, quantiles, .. } => {
                let (value, _) = lower(&Expression::column(column), &self.schema, statement)?;
                let value = statement.cast(value, self.schema.get(column)?, Type::Float);
                let within = self.within(check, statement)?;
                let mut counts = vec![filtered(&within), filtered(&format!("{within} and {value} is not null"))];
                counts.extend(quantiles.iter().map(|at| {
                    format!("percentile_disc({at:?}::double precision) within group (order by {value}) filter (where {within})")
                }));
                counts
            }
            Probe::Histogram { conditions, .. } => {
                let mut counts = vec![filtered(&self.within(check, statement)?)];
                for condition in conditions {
                    let within = self.within(check, statement)?;
                    counts.push(filtered(&format!("{within} and {}", self.condition(condition, statement)?)));
                }
                counts
            }
            Probe::Rows(rows) => {
                let elements = filtered(&self.within(check, statement)?);
                let considered = self.considered(check, rows, statement)?;
                let unexpected = match &rows.unexpected {
                    Unexpected::Where(bad) => {
                        let considered = self.considered(check, rows, statement)?;
                        filtered(&format!("({considered} and {})", self.condition(bad, statement)?))
                    }
                    Unexpected::Duplicates(columns) => {
                        if let Some(different) = self.different(check, rows, statement)? {
                            different
                        } else {
                            self.repeated(check, rows, columns, statement)?
                        }
                    }
                    Unexpected::Outliers { .. } => filtered(&self.marked(check, rows, statement)?.bad),
                    Unexpected::Disordered { .. } => {
                        let Marked { from, bad } = self.marked(check, rows, statement)?;
                        format!("(select count(*) from {from} where {bad})")
                    }
                };
                let present = match (&check.when, rows.considered.only_present()) {
                    (None, Some(column)) => format!("count({})", quote(column)),
                    _ => filtered(&considered),
                };
                vec![elements, present, unexpected]
            }
            Probe::Aggregate { column, metric, .. } => {
                let (value, kind) = lower(&Expression::column(column), &self.schema, statement)?;
                let (value, kind) = match kind.summed_as().filter(|_| metric.is_arithmetic()) {
                    Some(number) if number != kind => (statement.cast(value, kind, number), number),
                    _ => (value, kind),
                };
                let elements = filtered(&self.within(check, statement)?);
                let filter = match &check.when {
                    Some(_) => format!(" filter (where {})", self.within(check, statement)?),
                    None => String::new(),
                };
                let collation = if kind == Type::Text { " collate \"C\"" } else { "" };
                let computed = match metric {
                    // A sum of doubles has no exact type to lose.
                    Metric::Sum | Metric::Mean => format!("sum({value})"),
                    // Postgres has no least boolean: false is below true.
                    Metric::Min if kind == Type::Bool => format!("bool_and({value})"),
                    Metric::Max if kind == Type::Bool => format!("bool_or({value})"),
                    Metric::Min => format!("min({value}{collation})"),
                    Metric::Max => format!("max({value}{collation})"),
                    Metric::Median => {
                        format!("percentile_cont(0.5) within group (order by ({value})::double precision)")
                    }
                    Metric::Stdev => format!("stddev_samp(({value})::double precision)"),
                    Metric::Distinct | Metric::DistinctFraction => format!("count(distinct {value})"),
                };
                vec![elements, format!("count({value}){filter}"), format!("{computed}{filter}")]
            }
        })
    }

    /// How many values of the one column differ that a check wants to be unique: told in the same scan. Where some repeat,
    /// [`Self::repeated`] is asked.
    fn different(&self, check: &Check, rows: &RowProbe, statement: &mut Statement) -> Result<Option<String>, String> {
        let (Unexpected::Duplicates(columns), Some(_)) = (&rows.unexpected, rows.considered.only_present()) else {
            return Ok(None);
        };
        let filter = match &check.when {
            Some(_) => format!(" filter (where {})", self.within(check, statement)?),
            None => String::new(),
        };
        let text = columns.iter().any(|name| self.schema.get(name) == Ok(Type::Text));
        // Sorted byte by byte, which is faster than in a language's order.
        let key = if text { format!("{}::text collate \"C\"", Self::keys(columns)) } else { Self::keys(columns) };
        Ok(Some(format!("count(distinct {key}){filter}")))
    }

    /// How many rows share their keys with another.
    fn repeated(
        &self,
        check: &Check,
        rows: &RowProbe,
        columns: &[String],
        statement: &mut Statement,
    ) -> Result<String, String> {
        let (from, keys) = (self.from(), Self::keys(columns));
        let considered = self.considered(check, rows, statement)?;
        Ok(format!(
            "(select coalesce(sum(n), 0) from (select count(*) as n from {from} where {considered} \
             group by {keys} having count(*) > 1) as duplicates)"
        ))
    }

    /// The counts of a row check, and where only different values were counted and some repeat, of the rows that do.
    async fn row_counts(
        &self,
        connection: &mut PgConnection,
        check: &Check,
        rows: &RowProbe,
        [elements, considered, unexpected]: [u64; 3],
    ) -> Result<Result<RowCounts, String>, QualityError> {
        let counts = |unexpected| RowCounts { elements, considered, unexpected };
        let (Unexpected::Duplicates(columns), Some(_)) = (&rows.unexpected, rows.considered.only_present()) else {
            return Ok(Ok(counts(unexpected)));
        };
        if considered == unexpected {
            return Ok(Ok(counts(0)));
        }
        let mut statement = self.statement();
        let repeated = match self.repeated(check, rows, columns, &mut statement) {
            Ok(repeated) => repeated,
            Err(error) => return Ok(Err(error)),
        };
        let told = self.values(connection, &[repeated], statement).await?;
        Ok(told.map(|told| counts(told.into_iter().flatten().next().and_then(|n| n.parse().ok()).unwrap_or(0))))
    }

    /// The numbers of all checks from one query; where that fails, from one query a check, so that a fault stays
    /// with the check that has it.
    async fn count(
        &self,
        connection: &mut PgConnection,
        suite: &Suite,
        jobs: &[Result<Probe, String>],
    ) -> Result<(usize, Vec<Result<Values, String>>), QualityError> {
        let mut statement = self.statement();
        let mut all = vec!["count(*)".to_owned()];
        let mut slots = Vec::new();
        for (check, job) in suite.checks.iter().zip(jobs) {
            let own = match job {
                Ok(probe) => self.counts(check, probe, &mut statement).unwrap_or_default(),
                Err(_) => Vec::new(),
            };
            let slot = |expression: String| {
                all.iter().position(|known| *known == expression).unwrap_or_else(|| {
                    all.push(expression);
                    all.len() - 1
                })
            };
            slots.push(own.into_iter().map(slot).collect::<Vec<_>>());
        }
        let rows = |values: &Values| values.first().cloned().flatten().and_then(|n| n.parse().ok()).unwrap_or(0);
        if let Ok(values) = self.values(connection, &all, statement).await? {
            let counted =
                slots.into_iter().map(|own| Ok(own.into_iter().map(|slot| values[slot].clone()).collect())).collect();
            return Ok((rows(&values), counted));
        }
        let total = self.values(connection, &all[..1], Statement::default()).await?;
        let mut counted = Vec::new();
        for (check, job) in suite.checks.iter().zip(jobs) {
            let mut statement = self.statement();
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
            Probe::OtherRowCount(other) => {
                let other = self.other_count(connection, other).await?;
                other.map(|other| judge_other_count(number(0), other))
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

    async fn frequencies(
        &self,
        connection: &mut PgConnection,
        check: &Check,
        column: &str,
    ) -> Result<Result<Frequencies, String>, QualityError> {
        let mut statement = self.statement();
        let written = lower(&Expression::column(column), &self.schema, &mut statement)
            .and_then(|(value, kind)| Ok((value, kind, self.within(check, &mut statement)?)));
        let (value, kind, within) = match written {
            Ok(written) => written,
            Err(error) => return Ok(Err(error)),
        };
        let collation = if kind == Type::Text { " collate \"C\"" } else { "" };
        let sql = format!(
            "select to_jsonb(v) #>> '{{}}', n::text from (select {value}{collation} as v, count(*) as n from {} \
             where {within} and {value} is not null group by 1 order by 1) as seen",
            self.from()
        );
        let rows = attempt(connection, sql, statement).await?;
        let pair = |row: &PgRow| match texts(row).as_slice() {
            [Some(value), Some(count)] => Some((read(value, kind)?, count.parse().ok()?)),
            _ => None,
        };
        Ok(rows.map(|rows| rows.iter().filter_map(pair).collect()))
    }

    async fn other_count(
        &self,
        connection: &mut PgConnection,
        other: &str,
    ) -> Result<Result<u64, String>, QualityError> {
        let other =
            other.parse().unwrap_or_else(|_| Table { schema: self.table.schema.clone(), name: other.to_owned() });
        let sql = format!("select count(*)::text from {}.{}", quote(&other.schema), quote(&other.name));
        let rows = attempt(connection, sql, self.statement()).await?;
        Ok(rows.map(|rows| rows.first().and_then(|row| texts(row).pop()??.parse().ok()).unwrap_or_default()))
    }

    /// How many rows a query of the suite's finds, and the first of them. It may read whatever the connection may, and
    /// write nothing.
    async fn unexpected_rows(
        &self,
        connection: &mut PgConnection,
        check: &Check,
        query: &str,
    ) -> Result<Result<(u64, Vec<Value>), String>, QualityError> {
        let mut statement = self.statement();
        let batch = match &check.when {
            None => self.from(),
            Some(_) => match self.within(check, &mut statement) {
                Ok(within) => format!("(select * from {} where {within})", self.from()),
                Err(error) => return Ok(Err(error)),
            },
        };
        let query = query.trim().trim_end_matches(';').replace("{batch}", &batch);
        let sql = format!(
            "select to_jsonb(found) #>> '{{}}', (count(*) over ())::text from (\n{query}\n) as found limit {SAMPLES}"
        );
        let mut transaction = connection.begin().await?;
        sqlx::query("set local transaction_read_only = on").execute(&mut *transaction).await?;
        let rows = attempt(&mut transaction, sql, statement).await?;
        transaction.rollback().await?;
        Ok(rows.map(|rows| {
            let rows: Vec<_> = rows.iter().map(texts).collect();
            let count = rows.first().and_then(|row| row.get(1)?.as_ref()?.parse().ok()).unwrap_or_default();
            let shown = rows.iter().filter_map(|row| serde_json::from_str(row.first()?.as_ref()?).ok());
            (count, shown.collect())
        }))
    }

    async fn samples(
        &self,
        connection: &mut PgConnection,
        check: &Check,
        rows: &RowProbe,
    ) -> Result<Result<Vec<Value>, String>, QualityError> {
        let mut statement = self.statement();
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
        let Marked { from, bad } = self.marked(check, rows, statement)?;
        Ok(format!("select {shown} from {from} where {bad} limit {SAMPLES}"))
    }

    /// The bad rows of a row check.
    fn marked(&self, check: &Check, rows: &RowProbe, statement: &mut Statement) -> Result<Marked, String> {
        let from = self.from();
        let considered = self.considered(check, rows, statement)?;
        let marking = |mark: String| format!("(select *, {mark} as {MARK} from {from} where {considered}) as marked");
        Ok(match &rows.unexpected {
            Unexpected::Where(bad) => {
                let bad = self.condition(bad, statement)?;
                Marked { bad: format!("({considered} and {bad})"), from }
            }
            Unexpected::Duplicates(columns) => {
                let keys = Self::keys(columns);
                Marked { from: marking(format!("count(*) over (partition by {keys})")), bad: format!("{MARK} > 1") }
            }
            Unexpected::Outliers { column, threshold, double_sided } => {
                let (value, kind) = lower(&Expression::column(column), &self.schema, statement)?;
                let value = statement.cast(value, kind, Type::Float);
                let of_all = |how: &str| format!("(select {how}({value}) from {from} where {considered})");
                let (mean, deviation) = (of_all("avg"), of_all("stddev_samp"));
                let distance = format!("({value} - {mean}) / {deviation}");
                let distance = if *double_sided { format!("abs({distance})") } else { distance };
                // Written so that nothing is divided by zero.
                let far = format!("case when {deviation} > 0 then not ({distance} < {threshold:?}) else false end");
                Marked { bad: format!("({considered} and {far})"), from }
            }
            Unexpected::Disordered { column, descending, strictly, order_by } => {
                let order = order_by.as_ref().map(|order| quote(order)).ok_or(
                    "the rows of a table have no order of their own: name the column that orders them with `order_by`",
                )?;
                let (value, kind) = lower(&Expression::column(column), &self.schema, statement)?;
                let collation = if kind == Type::Text { " collate \"C\"" } else { "" };
                let mark = format!("lag({value}) over (order by {order} nulls last)");
                let wrong = match (descending, strictly) {
                    (false, false) => "<",
                    (false, true) => "<=",
                    (true, false) => ">",
                    (true, true) => ">=",
                };
                Marked { from: marking(mark), bad: format!("{value}{collation} {wrong} {MARK}{collation}") }
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

/// How many rows meet a condition.
fn filtered(mask: &str) -> String {
    if mask == "true" { "count(*)".to_owned() } else { format!("count(*) filter (where {mask})") }
}
