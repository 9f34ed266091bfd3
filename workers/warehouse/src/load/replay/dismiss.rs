//! Held rows that are given up, with a reason.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::json;
use sqlx::PgPool;

use super::{Chosen, ReplayError};
use crate::runs::{Act, Actor, record, without_nul};

/// What was given up, or would be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Dismissed {
    /// The dataset.
    pub dataset: String,
    /// Nothing was done.
    pub preview: bool,
    /// How many rows, by the load that had held them back.
    pub loads: BTreeMap<i64, i64>,
}

/// Gives open rows up: they are never published, and count as dealt with. They stay where they are, with the reason.
pub async fn dismiss(
    pool: &PgPool,
    chosen: &Chosen,
    reason: &str,
    actor: &Actor,
    preview: bool,
) -> Result<Dismissed, ReplayError> {
    let reason = reason.trim();
    if reason.is_empty() {
        return Err(ReplayError::NoReason);
    }
    let mut transaction = pool.begin().await?;
    let (numbers, seqs) = chosen.arrays();
    let given_up: Vec<i64> = sqlx::query_scalar(include_str!("../../../../../sql/engine/dismiss_rows.sql"))
        .bind(&chosen.dataset)
        .bind(chosen.run_id)
        .bind(chosen.load_id)
        .bind(&chosen.rule)
        .bind(numbers)
        .bind(seqs)
        .bind(without_nul(reason))
        .fetch_all(&mut *transaction)
        .await?;
    let mut loads = BTreeMap::new();
    for load_id in &given_up {
        *loads.entry(*load_id).or_default() += 1;
    }
    if chosen.rows.as_ref().is_some_and(|rows| rows.len() != given_up.len()) {
        // What was given up just now is open again for whoever asks why the others are not.
        transaction.rollback().await?;
        let mut connection = pool.acquire().await?;
        chosen.all_open(&mut connection, given_up.len()).await?;
        return Err(ReplayError::Refused("rows that are named were settled meanwhile".to_owned()));
    }
    let dismissed = Dismissed { dataset: chosen.dataset.clone(), preview, loads };
    if preview {
        transaction.rollback().await?;
        return Ok(dismissed);
    }
    if !given_up.is_empty() {
        let detail = json!({ "dataset": dismissed.dataset, "loads": dismissed.loads, "rule": chosen.rule });
        let act = Act { run_id: chosen.run_id, reason: Some(reason), detail, ..Act::of("dismiss") };
        record(&mut transaction, actor, act).await?;
    }
    transaction.commit().await?;
    Ok(dismissed)
}
