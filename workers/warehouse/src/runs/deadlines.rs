//! Deadlines: a run or a task that has not ended in time is told once, whether it ever started or not.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::PgPool;

use super::RunError;
use crate::alerts::{self, Alert, Severity};

#[derive(sqlx::FromRow)]
struct Late {
    run_id: i64,
    dag: String,
    task: Option<String>,
    state: String,
    logical_time: DateTime<Utc>,
    deadline_at: DateTime<Utc>,
    channels: Option<Value>,
    timezone: Option<String>,
}

/// Raises an alert for whatever should have ended by `now`, and tells the channels of its DAG's `on_failure`. Gives
/// how many. Any process may call it at any time.
pub async fn miss_deadlines(pool: &PgPool, now: DateTime<Utc>) -> Result<usize, RunError> {
    let mut missed = 0;
    for sql in
        [include_str!("../../../../sql/runs/missed_runs.sql"), include_str!("../../../../sql/runs/missed_tasks.sql")]
    {
        let mut transaction = pool.begin().await?;
        let late: Vec<Late> = sqlx::query_as(sql).bind(now).fetch_all(&mut *transaction).await?;
        for late in &late {
            let channels: Vec<String> = late
                .channels
                .as_ref()
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(|channel| channel.as_str().map(str::to_owned))
                .collect();
            alerts::raise(&mut transaction, &late.alert(), &channels).await?;
        }
        transaction.commit().await?;
        missed += late.len();
    }
    Ok(missed)
}

impl Late {
    fn alert(&self) -> Alert {
        let zone = self.timezone.as_deref().and_then(|name| name.parse::<chrono_tz::Tz>().ok()).unwrap_or_default();
        let local = |t: DateTime<Utc>| t.with_timezone(&zone).format("%Y-%m-%d %H:%M %Z").to_string();
        let (run_id, dag) = (self.run_id, &self.dag);
        let (name, key) = match &self.task {
            None => (dag.clone(), format!("run {run_id}")),
            Some(task) => (format!("{dag}.{task}"), format!("run {run_id}, task {task}")),
        };
        Alert {
            dedupe_key: format!("deadline:{run_id}:{}", self.task.as_deref().unwrap_or_default()),
            source: dag.clone(),
            rule: "deadline".to_owned(),
            severity: Severity::High,
            key,
            event_time: self.deadline_at,
            message: format!("{name} has not ended by {}; it is {}", local(self.deadline_at), self.state),
            detail: json!({"run_id": run_id, "task": self.task, "state": self.state, "deadline_at": self.deadline_at}),
            fields: vec![
                ("Run".to_owned(), run_id.to_string()),
                ("Logical time".to_owned(), local(self.logical_time)),
                ("Look".to_owned(), format!("sluice why {run_id}")),
            ],
            link: None,
        }
    }
}
