//! The repository's own models, built on the small shop that the warehouse's tests use.

use std::{collections::BTreeMap, path::Path};

use async_trait::async_trait;
use chrono::{TimeDelta, Utc};
use chrono_tz::Tz;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use warehouse::models::{Catalog, GateOutcome, GateRequest, ModelGate, ModelRunner};
use workflow::{
    error::TaskError,
    kind::{DataInterval, Fence, TaskContext},
    log::TaskLog,
};

/// A gate that finds nothing wrong.
struct Open;

#[async_trait]
impl ModelGate for Open {
    async fn evaluate(&self, _request: GateRequest<'_>) -> Result<GateOutcome, TaskError> {
        Ok(GateOutcome { suite_hash: "none".to_owned(), failed: Vec::new(), warned: Vec::new(), record: None })
    }
}

/// Stages the small shop and publishes every model.
pub(crate) async fn publish(pool: &PgPool) {
    sqlx::raw_sql(include_str!("../../../warehouse/tests/fixtures/shop.sql")).execute(pool).await.expect("staged");
    let opened = include_str!("../../../warehouse/tests/it/models/open_attempt.sql");
    let (run_id, attempt_id, token): (i64, i64, i64) =
        sqlx::query_as(opened).fetch_one(pool).await.expect("an open attempt");
    let start = Utc::now();
    let task = TaskContext {
        dag: "daily_sales".to_owned(),
        run_id,
        task: "build".to_owned(),
        attempt: 1,
        fence: Fence { attempt_id, token },
        logical_time: start,
        interval: DataInterval { start, end: start + TimeDelta::days(1) },
        timezone: Tz::UTC,
        params: serde_json::Value::Null,
        inputs: BTreeMap::new(),
        log: TaskLog::discard(),
        cancel: CancellationToken::new(),
    };
    let catalog = Catalog::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")).expect("sound models");
    let words: Vec<String> = catalog.models().iter().map(|model| model.name().to_owned()).collect();
    let runner = ModelRunner { pool, catalog: &catalog, task: &task, timezone: Tz::Europe__Berlin, gate: &Open };
    runner.run(&words).await.expect("published");
}
