//! Rows that a gate held back, gone through it again, or given up.

use std::collections::BTreeMap;

use axum::{Json, extract::State as Extract};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;
use warehouse::load::replay::{self as store, Chosen, CorrectedRow, Correction, Replay, ReplayError};

use super::extract::ApiJson;
use crate::{
    access::By,
    error::{ApiError, Problem},
    replay::SuiteJudge,
    state::State,
};

/// A held row, corrected.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CorrectedWish {
    /// The load that holds it back.
    load_id: i64,
    /// Its number there.
    seq: i64,
    /// All its columns.
    #[schema(value_type = Object)]
    row: Box<RawValue>,
}

/// Held rows to take through their gate again.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReplayWish {
    /// The dataset, `schema.table`.
    dataset: String,
    /// Only rows of the loads of this run.
    #[serde(default)]
    run_id: Option<i64>,
    /// Only rows of this load.
    #[serde(default)]
    load_id: Option<i64>,
    /// Only rows that broke this rule.
    #[serde(default)]
    rule: Option<String>,
    /// Just these rows, as corrected.
    #[serde(default)]
    rows: Option<Vec<CorrectedWish>>,
    /// SQL expressions over the row, by the column that each sets.
    #[serde(default)]
    set: BTreeMap<String, String>,
    /// Let rows replace rows of their key that may be newer.
    #[serde(default)]
    overwrite: bool,
    /// Show what would become of them, and change nothing.
    #[serde(default)]
    preview: bool,
}

/// What became of the rows of one load.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ReplayedLoad {
    /// The load that had held them back.
    load_id: i64,
    /// The load that the replay is; none in a preview.
    replay: Option<i64>,
    /// The suite that judged.
    suite: Option<String>,
    /// How many took part.
    read: i64,
    /// Published.
    loaded: i64,
    /// Still held back.
    quarantined: i64,
    /// Settled without being written: said twice, or a newer version is there.
    deduplicated: i64,
    /// The rules that rows are held back by now, with how many rows each.
    rules: BTreeMap<String, i64>,
    /// Checks that were not asked, as they are about a whole batch.
    left_out: Vec<String>,
}

/// What a replay did, or would do.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Replayed {
    dataset: String,
    /// Nothing was done.
    preview: bool,
    /// By load, oldest first.
    loads: Vec<ReplayedLoad>,
}

/// Takes rows that a gate held back through it again: those that pass are published, those that fail stay held. All in one
/// transaction, with a ledger row for each load whose rows take part.
#[utoipa::path(post, path = "/api/v1/quarantine/replay", tag = "data", request_body = ReplayWish,
    responses(
        (status = 200, body = Replayed),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 409, body = Problem, content_type = "application/problem+json"),
    ))]
pub(super) async fn replay(
    Extract(state): Extract<State>,
    By(actor): By,
    ApiJson(wish): ApiJson<ReplayWish>,
) -> Result<Json<Replayed>, ApiError> {
    let set = wish.set.iter().map(|(column, expression)| Correction::of(column, expression));
    let set = set.collect::<Result<_, _>>().map_err(ApiError::BadRequest)?;
    let corrected = wish.rows.map(|rows| {
        rows.into_iter().map(|row| CorrectedRow { load_id: row.load_id, seq: row.seq, row: row.row }).collect()
    });
    let chosen =
        Chosen { dataset: wish.dataset, run_id: wish.run_id, load_id: wish.load_id, rule: wish.rule, rows: None };
    let asked = Replay { chosen, corrected, set, overwrite: wish.overwrite };
    let judge = SuiteJudge { project: state.options().folder.clone() };
    let done = store::replay(state.pool(), &judge, &asked, &actor, wish.preview).await.map_err(refused)?;
    let load = |load: store::ReplayedLoad| ReplayedLoad {
        load_id: load.load_id,
        replay: load.replay,
        suite: load.suite,
        read: load.read,
        loaded: load.loaded,
        quarantined: load.quarantined,
        deduplicated: load.deduplicated,
        rules: load.rules,
        left_out: load.left_out,
    };
    let loads = done.loads.into_iter().map(load).collect();
    Ok(Json(Replayed { dataset: done.dataset, preview: done.preview, loads }))
}

/// A row by the load that holds it and its number there.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RowNumber {
    load_id: i64,
    seq: i64,
}

/// Held rows to give up.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DismissWish {
    /// The dataset, `schema.table`.
    dataset: String,
    /// Why; it is kept with the rows and in the audit log.
    #[schema(min_length = 1)]
    reason: String,
    /// Only rows of the loads of this run.
    #[serde(default)]
    run_id: Option<i64>,
    /// Only rows of this load.
    #[serde(default)]
    load_id: Option<i64>,
    /// Only rows that broke this rule.
    #[serde(default)]
    rule: Option<String>,
    /// Just these rows.
    #[serde(default)]
    rows: Option<Vec<RowNumber>>,
    /// Show how many it would be, and change nothing.
    #[serde(default)]
    preview: bool,
}

/// What was given up, or would be.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Dismissed {
    dataset: String,
    /// Nothing was done.
    preview: bool,
    /// How many rows, by the load that had held them back.
    loads: BTreeMap<i64, i64>,
}

/// Gives up rows that a gate held back. They stay where they are, with the reason.
#[utoipa::path(post, path = "/api/v1/quarantine/dismiss", tag = "data", request_body = DismissWish,
    responses(
        (status = 200, body = Dismissed),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 409, body = Problem, content_type = "application/problem+json"),
    ))]
pub(super) async fn dismiss(
    Extract(state): Extract<State>,
    By(actor): By,
    ApiJson(wish): ApiJson<DismissWish>,
) -> Result<Json<Dismissed>, ApiError> {
    let rows = wish.rows.map(|rows| rows.into_iter().map(|row| (row.load_id, row.seq)).collect());
    let chosen = Chosen { dataset: wish.dataset, run_id: wish.run_id, load_id: wish.load_id, rule: wish.rule, rows };
    let done = store::dismiss(state.pool(), &chosen, &wish.reason, &actor, wish.preview).await.map_err(refused)?;
    Ok(Json(Dismissed { dataset: done.dataset, preview: done.preview, loads: done.loads }))
}

fn refused(error: ReplayError) -> ApiError {
    match error {
        ReplayError::Refused(_) | ReplayError::NoReason => ApiError::BadRequest(error.to_string()),
        ReplayError::NotOpen(_) => ApiError::Conflict(error.to_string()),
        ReplayError::Warehouse(warehouse::WarehouseError::Database(error)) => ApiError::Store(error),
        ReplayError::Warehouse(error @ warehouse::WarehouseError::Name { .. }) => {
            ApiError::BadRequest(error.to_string())
        }
        ReplayError::Warehouse(error) => ApiError::Internal(Box::new(error)),
    }
}
