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

/// Records an alert and queues one notice a channel, in the caller's transaction.
/// `None`: the same alert was raised before, and nothing was done.
pub async fn raise(
    connection: &mut PgConnection,
    alert: &Alert,
    channels: &[String],
) -> Result<Option<i64>, WarehouseError> {
    let id: Option<i64> = sqlx::query_scalar(include_str!("../../../sql/engine/raise_alert.sql"))
        .bind(&alert.dedupe_key)
        .bind(&alert.source)
        .bind(&alert.rule)
        .bind(alert.severity.as_str())
        .bind(&alert.key)
        .bind(alert.event_time)
        .bind(&alert.message)
        .bind(&alert.detail)
        .fetch_optional(&mut *connection)
        .await?;
    let Some(alert_id) = id else { return Ok(None) };
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
                fields: alert.fields.clone(),
                link: alert.link.clone(),
            }),
        };
        outbox::enqueue(connection, &message).await?;
    }
    Ok(Some(alert_id))
}
