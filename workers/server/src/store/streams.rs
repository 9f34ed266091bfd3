//! How far each stream has come, and what it could not use.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::{FromRow, PgPool};
use utoipa::ToSchema;

use super::Page;
use crate::error::StoreError;

/// One partition of a stream. `counted + deduplicated + late + malformed` accounts for every record read.
#[derive(Debug, Serialize, FromRow, ToSchema)]
pub(crate) struct Partition {
    pub(crate) stream: String,
    pub(crate) topic: String,
    pub(crate) partition: i32,
    pub(crate) start_offset: i64,
    pub(crate) committed_offset: i64,
    /// Records not yet accounted for.
    pub(crate) lag: i64,
    pub(crate) watermark: Option<DateTime<Utc>>,
    pub(crate) counted: i64,
    pub(crate) deduplicated: i64,
    pub(crate) late: i64,
    pub(crate) malformed: i64,
    pub(crate) updated_at: DateTime<Utc>,
    /// How far the watermark is behind the clock.
    pub(crate) delay_seconds: Option<f64>,
}

/// What a rule or aggregate counted in the last hour.
#[derive(Debug, FromRow)]
pub(crate) struct RuleActivity {
    pub(crate) stream: String,
    pub(crate) agg: String,
    pub(crate) windows: i64,
    pub(crate) open: i64,
    pub(crate) events: i64,
    pub(crate) last_window_end: Option<DateTime<Utc>>,
}

/// A record that a stream could not use. Its payload stays in the database.
#[derive(Debug, Serialize, FromRow, ToSchema)]
pub(crate) struct DeadLetter {
    pub(crate) dead_letter_id: i64,
    pub(crate) stream: String,
    pub(crate) topic: String,
    pub(crate) partition: i32,
    pub(crate) record_offset: i64,
    /// `malformed`, `late` or `rejected`.
    pub(crate) reason: String,
    pub(crate) detail: String,
    pub(crate) at: DateTime<Utc>,
    /// When it was also written to the dead-letter topic.
    pub(crate) produced_at: Option<DateTime<Utc>>,
}

/// All partitions of all streams.
pub(crate) async fn partitions(pool: &PgPool) -> Result<Vec<Partition>, StoreError> {
    sqlx::query_as(include_str!("../../../../sql/web/streams.sql")).fetch_all(pool).await
}

/// What each stream counted in the last hour.
pub(crate) async fn activity(pool: &PgPool) -> Result<Vec<RuleActivity>, StoreError> {
    sqlx::query_as(include_str!("../../../../sql/web/stream_rules.sql")).fetch_all(pool).await
}

/// A page of dead letters.
pub(crate) async fn dead_letters(
    pool: &PgPool,
    stream: Option<&str>,
    reason: Option<&str>,
    before: Option<i64>,
    limit: i64,
) -> Result<Page<DeadLetter>, StoreError> {
    let rows = sqlx::query_as(include_str!("../../../../sql/web/dead_letters.sql"))
        .bind(stream)
        .bind(reason)
        .bind(before)
        .bind(limit + 1)
        .fetch_all(pool)
        .await?;
    Ok(Page::cut(rows, limit, |letter: &DeadLetter| letter.dead_letter_id.to_string()))
}
