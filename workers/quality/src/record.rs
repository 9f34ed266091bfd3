//! Outcomes as rows of `sluice.check_result`.

use serde_json::Value;
use sqlx::PgConnection;

use crate::{CheckOutcome, Evaluation, Suite, versions};

/// Where an evaluation belongs.
#[derive(Debug, Clone, Default)]
pub struct RunRef {
    /// The run, if one asked for it.
    pub run_id: Option<i64>,
    /// The task of that run.
    pub task: Option<String>,
    /// The load that it gates.
    pub load_id: Option<i64>,
}

/// Writes every outcome of `evaluation`, and keeps the suite's content, in the caller's transaction if there is one.
pub async fn record(
    connection: &mut PgConnection,
    run: &RunRef,
    dataset: &str,
    suite: &Suite,
    evaluation: &Evaluation,
) -> Result<(), sqlx::Error> {
    versions::keep(connection, suite).await?;
    let of = |part: fn(&CheckOutcome) -> String| evaluation.checks.iter().map(part).collect::<Vec<_>>();
    let observed: Vec<Value> = evaluation.checks.iter().map(|check| without_nul(&check.observed)).collect();
    let milliseconds: Vec<f64> = evaluation.checks.iter().map(|check| check.duration.as_secs_f64() * 1e3).collect();
    let (mut owners, mut tags) = (Vec::new(), Vec::new());
    for outcome in &evaluation.checks {
        let check = suite.checks.iter().find(|check| check.id == outcome.id);
        owners.push(check.map_or(suite.owner.as_deref(), |check| suite.owner_of(check)).map(str::to_owned));
        tags.push(Value::from(check.map_or_else(|| suite.tags.clone(), |check| suite.tags_of(check))));
    }
    sqlx::query(include_str!("../../../sql/quality/record.sql"))
        .bind(run.run_id)
        .bind(&run.task)
        .bind(run.load_id)
        .bind(&suite.name)
        .bind(&suite.hash)
        .bind(dataset)
        .bind(of(|check| check.id.clone()))
        .bind(of(|check| check.outcome.as_str().to_owned()))
        .bind(of(|check| check.on_fail.as_str().to_owned()))
        .bind(observed)
        .bind(milliseconds)
        .bind(owners)
        .bind(tags)
        .execute(connection)
        .await?;
    Ok(())
}

/// The same value without the character that `jsonb` cannot hold; its picture stands in its place.
pub(crate) fn without_nul(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(text.replace('\0', "\u{2400}")),
        Value::Array(items) => items.iter().map(without_nul).collect(),
        Value::Object(map) => {
            Value::Object(map.iter().map(|(key, item)| (key.replace('\0', "\u{2400}"), without_nul(item))).collect())
        }
        other => other.clone(),
    }
}
