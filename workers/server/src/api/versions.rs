//! Versions of DAGs, what changed between them, and the workers that run them.

use axum::{Json, extract::State as Extract};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use warehouse::runs as store;
use workflow::plan;

use super::{
    extract::{ApiPath, ApiQuery},
    runs::no_dag,
};
use crate::{
    actions::refused,
    error::{ApiError, Problem},
    state::State,
};

/// A version of a DAG.
#[derive(Debug, Serialize, ToSchema)]
#[expect(clippy::struct_field_names, reason = "the API names it as the view does")]
pub(super) struct Version {
    /// The hash of its content.
    version: String,
    /// When it was first seen.
    created_at: DateTime<Utc>,
    /// Whether new runs are made from it.
    current: bool,
    /// How many runs keep it.
    runs: i64,
}

/// The versions of a DAG that were ever deployed or run, newest first.
#[utoipa::path(get, path = "/api/v1/dags/{dag}/versions", tag = "runs", params(("dag" = String, Path)),
    responses((status = 200, body = Vec<Version>), (status = 404, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn list_versions(
    Extract(state): Extract<State>,
    ApiPath(dag): ApiPath<String>,
) -> Result<Json<Vec<Version>>, ApiError> {
    let rows = store::versions(state.pool(), &dag).await.map_err(refused)?;
    if rows.is_empty() {
        return Err(no_dag(&dag));
    }
    let versions = rows.into_iter().map(|row| Version {
        version: row.version,
        created_at: row.created_at,
        current: row.current,
        runs: row.runs,
    });
    Ok(Json(versions.collect()))
}

/// Which versions to compare.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct DiffQuery {
    /// The old version, or how it begins.
    old: String,
    /// The new version, or how it begins; the deployed one where absent.
    new: Option<String>,
}

/// A key whose value changed.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct KeyChange {
    /// Its path: `backoff.from`.
    key: String,
    /// What it was; absent where the old version does not have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Value)]
    old: Option<Value>,
    /// What it is; absent where the new version does not have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Value)]
    new: Option<Value>,
}

impl From<plan::Change> for KeyChange {
    fn from(plan::Change { key, old, new }: plan::Change) -> Self {
        Self { key, old, new }
    }
}

/// A task that both versions have and that differs.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TaskChange {
    task: String,
    changes: Vec<KeyChange>,
}

/// What changed between two versions of a DAG.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Diff {
    dag: String,
    old: String,
    new: String,
    /// Keys of the DAG itself.
    changes: Vec<KeyChange>,
    /// Tasks that only the new version has.
    added: Vec<String>,
    /// Tasks that only the old version has.
    removed: Vec<String>,
    /// Tasks that differ.
    changed: Vec<TaskChange>,
}

impl From<plan::PlanDiff> for Diff {
    fn from(diff: plan::PlanDiff) -> Self {
        let keys = |changes: Vec<plan::Change>| changes.into_iter().map(KeyChange::from).collect();
        let changed = diff.changed.into_iter().map(|t| TaskChange { task: t.task, changes: keys(t.changes) }).collect();
        Self {
            dag: diff.dag,
            old: diff.old,
            new: diff.new,
            changes: keys(diff.changes),
            added: diff.added,
            removed: diff.removed,
            changed,
        }
    }
}

/// What changed between two versions of a DAG, every default filled in.
#[utoipa::path(get, path = "/api/v1/dags/{dag}/diff", tag = "runs", params(("dag" = String, Path), DiffQuery),
    responses(
        (status = 200, body = Diff),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    ))]
pub(super) async fn diff(
    Extract(state): Extract<State>,
    ApiPath(dag): ApiPath<String>,
    ApiQuery(query): ApiQuery<DiffQuery>,
) -> Result<Json<Diff>, ApiError> {
    let old = store::find_version(state.pool(), &dag, &query.old).await.map_err(refused)?;
    let new = match &query.new {
        Some(text) => store::find_version(state.pool(), &dag, text).await.map_err(refused)?,
        None => store::current_plan(state.pool(), &dag).await.map_err(refused)?.ok_or_else(|| no_dag(&dag))?,
    };
    Ok(Json(plan::diff(&old, &new).into()))
}

/// A task that a worker runs.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Work {
    run_id: i64,
    dag: String,
    task: String,
    /// Which attempt.
    attempt: i32,
    /// Since when.
    since: DateTime<Utc>,
}

/// A process that works.
#[derive(Debug, Serialize, ToSchema)]
#[expect(clippy::struct_field_names, reason = "the API names it as the view does")]
pub(super) struct Worker {
    /// Its name, new at each start.
    worker: String,
    /// Its machine.
    host: String,
    /// Its process there.
    pid: i32,
    /// Of Sluice.
    version: String,
    /// Tasks at once.
    slots: i32,
    /// The queues that it serves; none means all.
    queues: Vec<String>,
    /// The labels that it has.
    labels: Vec<String>,
    started_at: DateTime<Utc>,
    /// Its last sign of life.
    seen_at: DateTime<Utc>,
    /// Whether that is recent.
    alive: bool,
    /// What it runs.
    tasks: Vec<Work>,
}

/// The workers, and what each of them runs.
#[utoipa::path(get, path = "/api/v1/workers", tag = "runs", responses((status = 200, body = Vec<Worker>)))]
pub(super) async fn list_workers(Extract(state): Extract<State>) -> Result<Json<Vec<Worker>>, ApiError> {
    let workers = store::workers(state.pool()).await?.into_iter().map(|row| Worker {
        worker: row.worker,
        host: row.host,
        pid: row.pid,
        version: row.version,
        slots: row.slots,
        queues: row.queues,
        labels: row.labels,
        started_at: row.started_at,
        seen_at: row.seen_at,
        alive: row.alive,
        tasks: row
            .tasks
            .into_iter()
            .map(|t| Work { run_id: t.run_id, dag: t.dag, task: t.task, attempt: t.attempt, since: t.since })
            .collect(),
    });
    Ok(Json(workers.collect()))
}
