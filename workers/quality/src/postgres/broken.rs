//! Rows of a table that break checks about single rows, by a number that the table has for each.

use std::sync::Arc;

use sqlx::PgConnection;

use super::{
    Engine, QualityError, Table,
    answer::{attempt, texts},
    backend::quote,
    others::Others,
    rows::Marked,
    table::columns,
};
use crate::{
    outcome::FailedRows,
    probe::Probe,
    suite::{OnFail, Suite},
};

/// What a suite says of single rows.
#[derive(Debug, Clone, Default)]
pub struct BrokenRows {
    /// Rows to hold back, by number, with the ids of all the rules that each broke, those that only warn among them.
    pub failed: FailedRows,
    /// Some row broke a check that only warns.
    pub warned: bool,
    /// Checks that could not be evaluated and do more than warn, each with the reason.
    pub errored: Vec<String>,
    /// Checks that were not asked: they are about a whole batch.
    pub left_out: Vec<String>,
}

/// Asks the checks of `suite` that judge a row by itself, or by those beside it with the same values, about a table that
/// numbers its rows in `number`. `mostly` does not count: of a few rows it would say nothing about the batch. Reads only.
pub async fn broken_rows(
    connection: &mut PgConnection,
    suite: &Suite,
    table: &Table,
    number: &str,
) -> Result<BrokenRows, QualityError> {
    let (suite, left_out) = suite.clone().for_single_rows();
    let suite = &*suite.at(chrono::Utc::now());
    let mut engine =
        Engine { schema: columns(connection, table).await?, table, answers: Arc::default(), others: Others::new() };
    engine.ask(connection, suite).await?;
    engine.learn_others(connection, suite).await?;
    let mut broken = BrokenRows { left_out, ..BrokenRows::default() };
    let mut held = FailedRows::new();
    for check in &suite.checks {
        let holds = suite.policy(check) != OnFail::Warn;
        let found = match engine.job(check) {
            Ok(Probe::Rows(rows)) => {
                let mut statement = engine.statement();
                match engine.marked(check, &rows, &mut statement) {
                    Ok(Marked { from, bad }) => {
                        let sql = format!("select {}::text from {from} where {bad}", quote(number));
                        attempt(connection, sql, statement).await?
                    }
                    Err(error) => Err(error),
                }
            }
            Ok(_) => Ok(Vec::new()),
            Err(error) => Err(error),
        };
        match found {
            Ok(rows) => {
                let rule: Arc<str> = check.id.as_str().into();
                for row in rows {
                    let place = texts(&row).pop().flatten().and_then(|text| text.parse().ok());
                    let Some(place) = place else { continue };
                    held.entry(place).or_default().push(rule.clone());
                    if holds {
                        broken.failed.entry(place).or_default();
                    } else {
                        broken.warned = true;
                    }
                }
            }
            Err(error) if holds => broken.errored.push(format!("{}: {error}", check.id)),
            Err(_) => broken.warned = true,
        }
    }
    for (place, rules) in &mut broken.failed {
        *rules = held.remove(place).unwrap_or_default();
    }
    Ok(broken)
}
