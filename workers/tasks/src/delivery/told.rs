//! The alerts and other messages that a message tells of, for channels with a program behind them.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::{FromRow, PgPool, query_as, types::Json};
use warehouse::{
    alerts::explain,
    outbox::Payload,
    pool::{PATIENCE, answered},
};

use super::{Claimed, Undelivered};

/// All that a message tells of.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) alerts: Vec<ToldAlert>,
    /// Messages about no alert that found no place of their own.
    pub(super) messages: Vec<ToldMessage>,
}

impl Told {
    pub(super) async fn of(pool: &PgPool, message: &Claimed) -> Result<Self, Undelivered> {
        let unread = |error| Undelivered::later(format!("what it tells of cannot be read: {error}"));
        let (sql, id) = match (message.alert_id, message.case_id) {
            (Some(alert_id), _) => (include_str!("../../../../sql/delivery/told_alert.sql"), alert_id),
            // Of a case, one alert a rule.
            (None, Some(case_id)) => (include_str!("../../../../sql/delivery/told_case.sql"), case_id),
            (None, None) => (include_str!("../../../../sql/delivery/told_bundle.sql"), message.outbox_id),
        };
        let alerts = answered(PATIENCE, query_as(sql).bind(id).fetch_all(pool)).await.map_err(unread)?;
        if !message.is_bundle() {
            return Ok(Self { alerts, messages: Vec::new() });
        }
        let sql = include_str!("../../../../sql/delivery/told_messages.sql");
        let messages = query_as(sql).bind(message.outbox_id).fetch_all(pool);
        Ok(Self { alerts, messages: answered(PATIENCE, messages).await.map_err(unread)? })
    }
}

/// A message that another one tells of.
#[derive(Debug, Clone, FromRow)]
pub(super) struct ToldMessage {
    pub(super) subject: String,
    pub(super) payload: Json<Payload>,
    pub(super) created_at: DateTime<Utc>,
}

/// An alert, and what became of its case by now.
#[derive(Debug, Clone, FromRow)]
pub(super) struct ToldAlert {
    pub(super) alert_id: i64,
    pub(super) source: String,
    pub(super) rule: String,
    pub(super) severity: String,
    pub(super) key: String,
    pub(super) event_time: DateTime<Utc>,
    pub(super) raised_at: DateTime<Utc>,
    pub(super) message: String,
    pub(super) detail: Value,
    pub(super) case_id: Option<i64>,
    pub(super) case_state: Option<String>,
    pub(super) settled_at: Option<DateTime<Utc>>,
}

impl ToldAlert {
    pub(super) fn why(&self) -> Vec<String> {
        explain(&self.detail)
    }

    /// As a program gets it.
    pub(super) fn json(&self) -> Value {
        json!({
            "alert_id": self.alert_id, "source": self.source, "rule": self.rule, "version": self.detail["version"],
            "severity": self.severity, "key": self.key, "event_time": self.event_time, "raised_at": self.raised_at,
            "message": self.message, "why": self.why(), "detail": self.detail, "case_id": self.case_id,
            "case_state": self.case_state,
        })
    }
}
