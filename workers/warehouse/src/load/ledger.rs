//! The load ledger: one row a batch that was published or refused.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::{PgConnection, PgPool, types::Json};

use super::{Audit, LoadRequest, Outcome, Verdict, publish::Tally, terms::Terms};
use crate::error::WarehouseError;

#[derive(sqlx::FromRow)]
struct Row {
    load_id: i64,
    dataset: String,
    read: i64,
    loaded: i64,
    quarantined: i64,
    deduplicated: i64,
    verdict: String,
    sums: Json<std::collections::BTreeMap<String, serde_json::Value>>,
}

impl Row {
    fn into_outcome(self) -> Outcome {
        let verdict = match self.verdict.as_str() {
            "passed" => Verdict::Passed,
            "warned" => Verdict::Warned,
            "quarantined" => Verdict::Quarantined,
            "failed" => Verdict::Failed,
            _ => Verdict::Unchecked,
        };
        Outcome {
            load_id: self.load_id,
            dataset: self.dataset,
            read: self.read,
            loaded: self.loaded,
            quarantined: self.quarantined,
            deduplicated: self.deduplicated,
            verdict,
            sums: self.sums.0,
            repeated: true,
        }
    }
}

/// A load of a run, as people read it.
#[derive(Debug, Clone, Serialize, sqlx::FromRow)]
pub struct LoadRow {
    /// Its number over all runs.
    pub load_id: i64,
    /// The task.
    pub task: Option<String>,
    /// The table.
    pub dataset: String,
    /// See [`Verdict`].
    pub verdict: String,
    /// Rows that the batch had.
    pub read: i64,
    /// Rows that were published.
    pub loaded: i64,
    /// Rows that the gate held back.
    pub quarantined: i64,
    /// Rows that were there before.
    pub deduplicated: i64,
    /// When it was published, or refused.
    pub published_at: DateTime<Utc>,
}

/// The loads of a run, oldest first.
pub async fn of_run(pool: &PgPool, run_id: i64) -> Result<Vec<LoadRow>, WarehouseError> {
    Ok(sqlx::query_as(include_str!("../../../../sql/runs/list_loads.sql")).bind(run_id).fetch_all(pool).await?)
}

/// What the ledger says of a batch that was published. One that its gate refused does not count: it may be
/// tried again, against a mended suite.
pub async fn find(
    pool: &PgPool,
    dataset: &str,
    interval: (DateTime<Utc>, DateTime<Utc>),
    batch_id: &str,
) -> Result<Option<Outcome>, WarehouseError> {
    let mut connection = pool.acquire().await?;
    find_on(&mut connection, dataset, interval, batch_id).await
}

pub(super) async fn find_on(
    connection: &mut PgConnection,
    dataset: &str,
    interval: (DateTime<Utc>, DateTime<Utc>),
    batch_id: &str,
) -> Result<Option<Outcome>, WarehouseError> {
    let row: Option<Row> = sqlx::query_as(include_str!("../../../../sql/engine/find_load.sql"))
        .bind(dataset)
        .bind(interval.0)
        .bind(interval.1)
        .bind(batch_id)
        .fetch_optional(connection)
        .await?;
    Ok(row.map(Row::into_outcome))
}

/// Claims the batch: its new ledger row, or `None` where another load has published it. A replay names the load whose rows
/// it took up, and has no lease.
pub(super) async fn insert(
    connection: &mut PgConnection,
    request: &LoadRequest,
    audit: &Audit,
    tally: &Tally,
    replay_of: Option<i64>,
) -> Result<Option<i64>, WarehouseError> {
    let suite = audit.suite.as_ref();
    let id = sqlx::query_scalar(include_str!("../../../../sql/engine/insert_load.sql"))
        .bind(request.target.to_string())
        .bind(&request.manifest.batch_id)
        .bind(request.run_id)
        .bind(&request.task)
        .bind(request.interval.0)
        .bind(request.interval.1)
        .bind(suite.map(|s| &s.0))
        .bind(suite.map(|s| &s.1))
        .bind(audit.verdict.as_str())
        .bind(tally.read)
        .bind(tally.loaded)
        .bind(tally.quarantined)
        .bind(tally.deduplicated)
        .bind(Json(&tally.sums))
        .bind(replay_of.is_none().then_some(request.fence.token))
        .bind(Json(Terms::of(request, audit)))
        .bind(replay_of)
        .fetch_optional(connection)
        .await?;
    Ok(id)
}
