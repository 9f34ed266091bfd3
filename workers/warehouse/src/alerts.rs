//! Alerts: raised once, told to every channel named.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::PgConnection;

use crate::{
    error::WarehouseError,
    outbox::{self, Message, Notice, Payload},
};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know.
    Low,
    /// Someone should look today.
    Medium,
    /// Someone should look now.
    High,
    /// The shop is losing money.
    Critical,
}

impl Severity {
    /// As stored in `sluice.alert.severity`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// Something that people should know.
#[derive(Debug, Clone, PartialEq)]
pub struct Alert {
    /// What makes a repeat the same alert.
    pub dedupe_key: String,
    /// The stream or DAG that raises it.
    pub source: String,
    /// The rule, check or task.
    pub rule: String,
    /// How bad it is.
    pub severity: Severity,
    /// Whom or what it is about: a card, a product, a dataset.
    pub key: String,
    /// When it happened, which may be long before it is raised.
    pub event_time: DateTime<Utc>,
    /// One sentence.
    pub message: String,
    /// Facts for machines.
    pub detail: Value,
    /// Facts for people, in order: name and value.
    pub fields: Vec<(String, String)>,
    /// Where to read on.
    pub link: Option<String>,
}

/// Records an alert as part of its key's case and queues one notice a channel, in the caller's transaction.
/// `None`: the same alert was raised before, and nothing was done.
pub async fn raise(
    connection: &mut PgConnection,
    alert: &Alert,
    channels: &[String],
) -> Result<Option<i64>, WarehouseError> {
    let Some(alert_id) = write(connection, alert, true).await? else { return Ok(None) };
    let why = explain(&alert.detail);
    for channel in channels {
        let message = Message {
            dedupe_key: format!("{}@{channel}", alert.dedupe_key),
            channel: channel.clone(),
            alert_id: Some(alert_id),
            subject: format!("[{}] {}: {}", alert.severity.as_str(), alert.source, alert.message),
            payload: Payload::Notice(Notice {
                severity: alert.severity.as_str().to_owned(),
                title: alert.message.clone(),
                text: format!("{} in {}, for {}", alert.rule, alert.source, alert.key),
                why: why.clone(),
                fields: alert.fields.clone(),
                link: alert.link.clone(),
                brief: false,
            }),
        };
        outbox::enqueue(connection, &message).await?;
    }
    Ok(Some(alert_id))
}

/// Records an alert that settles itself: it is part of no case, and nobody is told here.
pub async fn note(connection: &mut PgConnection, alert: &Alert) -> Result<Option<i64>, WarehouseError> {
    write(connection, alert, false).await
}

async fn write(connection: &mut PgConnection, alert: &Alert, joins: bool) -> Result<Option<i64>, WarehouseError> {
    let id = sqlx::query_scalar(include_str!("../../../sql/engine/raise_alert.sql"))
        .bind(&alert.dedupe_key)
        .bind(&alert.source)
        .bind(&alert.rule)
        .bind(alert.severity.as_str())
        .bind(&alert.key)
        .bind(alert.event_time)
        .bind(&alert.message)
        .bind(&alert.detail)
        .bind(joins)
        .fetch_one(connection)
        .await?;
    Ok(id)
}

/// Why an alert was raised, a sentence each: as its detail tells it, or else from the values and the condition there.
pub fn explain(detail: &Value) -> Vec<String> {
    if let Some(why) = detail["why"].as_array() {
        return why.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    }
    let (Some(values), Some(condition)) = (detail["values"].as_object(), detail["condition"].as_str()) else {
        let reason = detail["reason"].as_str().or_else(|| detail["observed"]["reason"].as_str());
        return reason.map(str::to_owned).into_iter().collect();
    };
    let mut why: Vec<_> = values.iter().map(|(name, value)| format!("{name} is {}", short(value))).collect();
    why.push(format!("the rule fires when {condition}"));
    why
}

/// A number with no more digits than it has.
fn short(value: &Value) -> String {
    match value.as_f64() {
        Some(number) if number.fract() != 0.0 => format!("{number:.2}"),
        Some(number) => format!("{number:.0}"),
        None => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn why_is_what_the_detail_says_or_what_its_numbers_do() {
        let own =
            json!({ "why": ["count(*) over burst is 7, 6 was allowed"], "values": { "count": 7 }, "condition": "x" });
        assert_eq!(explain(&own), ["count(*) over burst is 7, 6 was allowed"]);
        let old = json!({ "values": { "count": 3, "sum(amount)": 2412.5 }, "condition": "count >= 2 and sum(amount) >= 2000" });
        assert_eq!(
            explain(&old),
            ["count is 3", "sum(amount) is 2412.50", "the rule fires when count >= 2 and sum(amount) >= 2000"]
        );
        assert_eq!(explain(&json!({ "observed": { "reason": "too few rows" } })), ["too few rows"]);
        assert_eq!(explain(&json!({ "run_id": 1, "reason": "2 rows are held back" })), ["2 rows are held back"]);
        assert!(explain(&json!({})).is_empty());
    }
}
