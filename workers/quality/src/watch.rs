//! The numbers of batches in Postgres: each is held against those before it, and kept for those after it.

mod numbers;

use std::time::{Duration, Instant};

use chrono::{DateTime, NaiveDate, Utc};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, FromRow, PgConnection};

use crate::{
    CheckOutcome, Evaluation, Outcome, RunRef, Suite,
    anomaly::{Judgement, Metric, Point, Rule},
    profile::Profile,
    record::without_nul,
};

/// So many earlier batches are looked at: a window of weekdays needs seven times as many.
pub(crate) const MOST_POINTS: usize = 400;

/// A batch among those of its dataset.
#[derive(Debug, Clone)]
pub struct Batch {
    /// Its target.
    pub dataset: String,
    /// The task that judges it. What another task finds of the same dataset is another series.
    pub task: String,
    /// Where its data interval begins.
    pub at: DateTime<Utc>,
    /// That day in the DAG's time zone.
    pub day: NaiveDate,
}

/// The numbers of a batch, ready to be kept: those of the whole under the name `''`, then those of each column.
#[derive(Debug, Clone, PartialEq)]
pub struct Numbers(Vec<(String, Value)>);

/// Tells the numbers of a batch, judges those that its suite watches by the batches before it, and adds the outcomes to
/// `evaluation`. `rows` is a query that gives the batch's rows, for metrics in SQL; where there is none, those are errored.
pub async fn watch(
    connection: &mut PgConnection,
    suite: &Suite,
    batch: &Batch,
    rows: Option<&str>,
    profile: Option<&Profile>,
    evaluation: &mut Evaluation,
) -> Result<Numbers, sqlx::Error> {
    let mut numbers = numbers::of(evaluation, profile);
    let rules = &suite.watched.rules;
    let mut found = Vec::new();
    for rule in rules {
        let begun = Instant::now();
        let value = match &rule.metric {
            Metric::Sql(query) if evaluation.rows > 0 => ask(connection, query, rows).await?,
            _ => numbers.value(rule, evaluation.rows),
        };
        if let (Ok(Some(value)), Metric::Sql(_)) = (&value, &rule.metric) {
            numbers.set(&rule.key(), *value);
        }
        found.push((rule, value, begun.elapsed()));
    }
    let before = points(connection, batch, &suite.name, rules).await?;
    let rows = u64::try_from(evaluation.rows).unwrap_or(u64::MAX);
    let judged = found.into_iter().zip(before).map(|((rule, value, took), before)| {
        let judged = value.map(|value| match value {
            Some(value) => rule.judge(Point { day: batch.day, value }, rows, &before, &suite.watched.calendar),
            None => nothing(rule),
        });
        outcome(rule, judged, took)
    });
    let mut checks = std::mem::take(&mut evaluation.checks);
    checks.extend(judged);
    *evaluation = Evaluation::new(evaluation.rows, checks, std::mem::take(&mut evaluation.failed_rows));
    Ok(numbers)
}

/// Keeps the numbers of a batch, in place of those that an earlier attempt kept, in the caller's transaction.
pub async fn keep_numbers(
    connection: &mut PgConnection,
    run: &RunRef,
    suite: &Suite,
    batch: &Batch,
    numbers: &Numbers,
) -> Result<(), sqlx::Error> {
    sqlx::query(include_str!("../../../sql/quality/forget_numbers.sql"))
        .bind(run.run_id)
        .bind(&batch.task)
        .bind(run.load_id)
        .bind(&suite.name)
        .bind(&batch.dataset)
        .execute(&mut *connection)
        .await?;
    let columns: Vec<String> = numbers.0.iter().map(|(column, _)| column.replace('\0', "\u{2400}")).collect();
    let metrics: Vec<Value> = numbers.0.iter().map(|(_, metrics)| without_nul(metrics)).collect();
    sqlx::query(include_str!("../../../sql/quality/keep_numbers.sql"))
        .bind(run.run_id)
        .bind(&batch.task)
        .bind(run.load_id)
        .bind(&suite.name)
        .bind(&batch.dataset)
        .bind(batch.at)
        .bind(batch.day)
        .bind(columns)
        .bind(metrics)
        .execute(connection)
        .await?;
    Ok(())
}

#[derive(FromRow)]
struct Found {
    rule: i64,
    day: NaiveDate,
    value: f64,
}

/// What each rule's number was before, the latest first.
async fn points(
    connection: &mut PgConnection,
    batch: &Batch,
    suite: &str,
    rules: &[Rule],
) -> Result<Vec<Vec<Point>>, sqlx::Error> {
    let mut points = vec![Vec::new(); rules.len()];
    if rules.is_empty() {
        return Ok(points);
    }
    let found: Vec<Found> = sqlx::query_as(include_str!("../../../sql/quality/points.sql"))
        .bind(&batch.dataset)
        .bind(suite)
        .bind(&batch.task)
        .bind(batch.at)
        .bind(rules.iter().map(|rule| rule.column().unwrap_or_default().to_owned()).collect::<Vec<_>>())
        .bind(rules.iter().map(Rule::key).collect::<Vec<_>>())
        .bind(i64::try_from(MOST_POINTS).unwrap_or(i64::MAX))
        .fetch_all(connection)
        .await?;
    for Found { rule, day, value } in found {
        if let Some(of_rule) = usize::try_from(rule).ok().and_then(|rule| points.get_mut(rule)) {
            of_rule.push(Point { day, value });
        }
    }
    Ok(points)
}

/// What a query of the suite's gives: it may read whatever the connection may, and write nothing.
async fn ask(
    connection: &mut PgConnection,
    query: &str,
    rows: Option<&str>,
) -> Result<Result<Option<f64>, String>, sqlx::Error> {
    const BATCH: &str = "_sluice_batch";
    let query = query.trim().trim_end_matches(';');
    let sql = match rows {
        _ if !query.contains("{batch}") => format!("select (\n{query}\n)::float8"),
        Some(rows) => {
            format!("with {BATCH} as ({rows}) select (\n{}\n)::float8", query.replace("{batch}", BATCH))
        }
        None => return Ok(Err("this batch is in no table that a query could read".to_owned())),
    };
    let mut transaction = connection.begin().await?;
    sqlx::query("set local transaction_read_only = on").execute(&mut *transaction).await?;
    let value = sqlx::query_scalar::<_, Option<f64>>(AssertSqlSafe(sql)).persistent(false);
    let value = value.fetch_one(&mut *transaction).await;
    match value {
        Ok(value) => {
            transaction.rollback().await?;
            Ok(match value {
                Some(value) if !value.is_finite() => Err(format!("the query gives {value}")),
                value => Ok(value),
            })
        }
        Err(sqlx::Error::Database(fault)) => {
            transaction.rollback().await?;
            Ok(Err(fault.message().to_owned()))
        }
        Err(error) => Err(error),
    }
}

fn nothing(rule: &Rule) -> Judgement {
    let reason = format!("there is no {}: nothing to judge", rule.subject());
    let observed = json!({ "observed_value": null, "reason": reason });
    Judgement { outcome: Outcome::Vacuous, reason, median: None, tolerance: None, observed }
}

fn outcome(rule: &Rule, judged: Result<Judgement, String>, duration: Duration) -> CheckOutcome {
    let (outcome, observed) = match judged {
        Ok(judged) => (judged.outcome, judged.observed),
        Err(error) => (Outcome::Errored, json!({ "error": error })),
    };
    CheckOutcome {
        id: rule.id.clone(),
        expectation: ANOMALY,
        outcome,
        on_fail: rule.on_fail,
        severity: rule.severity,
        observed,
        duration,
    }
}

/// What the outcome of an anomaly has for an expectation.
pub const ANOMALY: &str = "anomaly";
