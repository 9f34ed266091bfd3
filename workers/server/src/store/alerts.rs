//! Alerts, and the messages that tell of them.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::{FromRow, PgPool};
use utoipa::ToSchema;

use super::Page;
use crate::error::StoreError;

/// Something that someone should look at.
#[derive(Debug, Clone, Serialize, FromRow, ToSchema)]
pub(crate) struct Alert {
    pub(crate) alert_id: i64,
    /// The stream or DAG that raised it.
    pub(crate) source: String,
    pub(crate) rule: String,
    /// `low`, `medium`, `high` or `critical`.
    pub(crate) severity: String,
    /// What it is about: a card, a device, a product, a run.
    pub(crate) key: String,
    pub(crate) message: String,
    /// When it happened.
    pub(crate) event_time: DateTime<Utc>,
    /// When we noticed.
    pub(crate) raised_at: DateTime<Utc>,
    /// When the first message about it went out.
    pub(crate) delivered_at: Option<DateTime<Utc>>,
    #[schema(value_type = Object)]
    pub(crate) detail: Value,
    /// `open` or `closed`.
    pub(crate) state: String,
}

/// A message of the outbox.
#[derive(Debug, Serialize, FromRow, ToSchema)]
pub(crate) struct Delivery {
    pub(crate) outbox_id: i64,
    pub(crate) channel: String,
    pub(crate) subject: String,
    /// `pending`, `sending`, `delivered` or `failed`.
    pub(crate) state: String,
    pub(crate) attempts: i32,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) delivered_at: Option<DateTime<Utc>>,
    /// Where it went: a file in the outbox folder, or the server that took it.
    pub(crate) location: Option<String>,
    pub(crate) error: Option<String>,
    pub(crate) alert_id: Option<i64>,
}

/// What to list alerts by.
#[derive(Debug, Default)]
pub(crate) struct AlertFilter {
    pub(crate) source: Option<String>,
    pub(crate) severity: Option<String>,
    pub(crate) state: Option<String>,
    pub(crate) before: Option<i64>,
    pub(crate) limit: i64,
}

/// A page of alerts.
pub(crate) async fn list(pool: &PgPool, filter: &AlertFilter) -> Result<Page<Alert>, StoreError> {
    let rows = sqlx::query_as(include_str!("../../../../sql/web/alerts.sql"))
        .bind(&filter.source)
        .bind(&filter.severity)
        .bind(&filter.state)
        .bind(filter.before)
        .bind(filter.limit + 1)
        .fetch_all(pool)
        .await?;
    Ok(Page::cut(rows, filter.limit, |alert: &Alert| alert.alert_id.to_string()))
}

/// Alerts raised after `alert_id`, oldest first.
pub(crate) async fn after(pool: &PgPool, alert_id: i64, limit: i64) -> Result<Vec<Alert>, StoreError> {
    sqlx::query_as(include_str!("../../../../sql/web/alerts_after.sql"))
        .bind(alert_id)
        .bind(limit)
        .fetch_all(pool)
        .await
}

/// A page of messages.
pub(crate) async fn deliveries(
    pool: &PgPool,
    state: Option<&str>,
    channel: Option<&str>,
    before: Option<i64>,
    limit: i64,
) -> Result<Page<Delivery>, StoreError> {
    let rows = sqlx::query_as(include_str!("../../../../sql/web/deliveries.sql"))
        .bind(state)
        .bind(channel)
        .bind(before)
        .bind(limit + 1)
        .fetch_all(pool)
        .await?;
    Ok(Page::cut(rows, limit, |message: &Delivery| message.outbox_id.to_string()))
}
