//! What a gate compares with the batches before: its numbers, kept with its results, and an alert for each anomaly.

use chrono::Utc;
use quality::{ANOMALY, Batch, CheckOutcome, Evaluation, Numbers, Outcome, RunRef, Suite, profile::Profile};
use serde_json::json;
use sqlx::{PgConnection, PgPool};
use warehouse::{
    WarehouseError,
    alerts::{self, Alert, Severity},
    ident,
};
use workflow::{error::TaskError, kind::TaskContext};

/// What was looked at.
pub(crate) struct LookedAt<'a> {
    /// Its target.
    pub(crate) dataset: String,
    /// A query that gives its rows, where a table has them.
    pub(crate) rows: Option<String>,
    /// What the suite wants to be kept of it.
    pub(crate) profile: Option<Profile>,
    /// Channels that are told of anomalies.
    pub(crate) notify: &'a [String],
}

/// The numbers of a batch that has been judged.
pub(crate) struct Watching {
    batch: Batch,
    numbers: Numbers,
    alerts: Vec<Alert>,
    notify: Vec<String>,
}

impl Watching {
    /// Judges the numbers of a batch, adds the outcomes to `evaluation`, and has them ready to be kept.
    pub(crate) async fn begin(
        pool: &PgPool,
        suite: &Suite,
        task: &TaskContext,
        looked_at: LookedAt<'_>,
        evaluation: &mut Evaluation,
    ) -> Result<Self, TaskError> {
        let LookedAt { dataset, rows, profile, notify } = looked_at;
        let at = task.interval.start;
        let day = at.with_timezone(&task.timezone).date_naive();
        let batch = Batch { dataset, task: task.task.clone(), at, day };
        let mut connection = pool.acquire().await.map_err(WarehouseError::from)?;
        let numbers =
            quality::watch(&mut connection, suite, &batch, rows.as_deref(), profile.as_ref(), evaluation).await;
        let numbers = numbers.map_err(WarehouseError::from)?;
        let anomalies = evaluation.checks.iter().filter(|check| check.expectation == ANOMALY);
        let alerts = anomalies.filter(|check| check.outcome == Outcome::Failed);
        let alerts = alerts.map(|check| alert(check, suite, &batch, task)).collect();
        Ok(Self { batch, numbers, alerts, notify: notify.to_vec() })
    }

    /// Keeps the numbers, and raises the alerts, in the transaction that writes the results.
    pub(crate) async fn keep(
        self,
        connection: &mut PgConnection,
        run: &RunRef,
        suite: &Suite,
    ) -> Result<(), WarehouseError> {
        quality::keep_numbers(connection, run, suite, &self.batch, &self.numbers).await?;
        for alert in &self.alerts {
            alerts::raise(connection, alert, &self.notify).await?;
        }
        Ok(())
    }
}

fn alert(check: &CheckOutcome, suite: &Suite, batch: &Batch, task: &TaskContext) -> Alert {
    let reason = check.observed["reason"].as_str().unwrap_or_default();
    Alert {
        // A batch that is loaded again tells nothing new of its data.
        dedupe_key: format!("anomaly:{}:{}:{}:{}", batch.dataset, suite.name, check.id, batch.at.to_rfc3339()),
        source: task.dag.clone(),
        rule: check.id.clone(),
        severity: match check.severity {
            quality::Severity::Info => Severity::Low,
            quality::Severity::Warning => Severity::Medium,
            quality::Severity::Critical => Severity::High,
        },
        key: batch.dataset.clone(),
        event_time: Utc::now(),
        message: format!("{}: {reason}", batch.dataset),
        detail: json!({ "run_id": task.run_id, "task": task.task, "day": batch.day, "observed": check.observed }),
        fields: vec![
            ("Run".to_owned(), task.run_id.to_string()),
            ("Suite".to_owned(), suite.name.clone()),
            ("Day".to_owned(), batch.day.to_string()),
        ],
        link: None,
    }
}

/// The query of all rows of a table.
pub(crate) fn rows_of(schema: &str, name: &str) -> Result<String, WarehouseError> {
    Ok(format!("select * from {}.{}", ident::quote(schema)?, ident::quote(name)?))
}
