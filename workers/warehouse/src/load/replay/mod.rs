//! A replay: rows that a gate held back, corrected or judged by a suite that has changed, go through it again.
//!
//! Everything is one transaction: the rows are locked, written as a batch of their own into staging tables that nobody else
//! ever sees, judged by the suite as it is now, and published by the key and the strategy of the load that held them. Each
//! load whose rows take part gets a ledger row of its replay, in which `read = loaded + quarantined + deduplicated` as in
//! any; rows that pass are settled, once, and rows that fail stay open with what they broke now. A preview is the same,
//! rolled back.
//!
//! A replay never puts an older row over a newer one unasked ([`Replay::overwrite`]).

mod batch;
mod correction;
mod dismiss;

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::Serialize;
use serde_json::{Value, json};
use sqlx::{PgConnection, PgPool};

use self::batch::Batch;
pub use self::{
    correction::{CorrectedRow, Correction},
    dismiss::{Dismissed, dismiss},
};
use super::target;
use crate::{
    error::WarehouseError,
    ident::TableName,
    runs::{Act, Actor, record},
};

/// Why a replay was refused, or failed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// What was asked for cannot be done. Says why.
    #[error("{0}")]
    Refused(String),
    /// Rows that were named are not open: they were replayed or dismissed meanwhile.
    #[error("{}", .0.join("; "))]
    NotOpen(Vec<String>),
    /// Rows are dismissed for a reason.
    #[error("a reason is needed: it is kept with the rows and in the audit log")]
    NoReason,
    /// Postgres.
    #[error(transparent)]
    Warehouse(#[from] WarehouseError),
}

impl From<sqlx::Error> for ReplayError {
    fn from(error: sqlx::Error) -> Self {
        Self::Warehouse(error.into())
    }
}

/// Which of the rows that a dataset's gates hold back.
#[derive(Debug, Clone, Default)]
pub struct Chosen {
    /// The dataset, `schema.table`.
    pub dataset: String,
    /// Of the loads of this run.
    pub run_id: Option<i64>,
    /// Of this load.
    pub load_id: Option<i64>,
    /// That broke this rule.
    pub rule: Option<String>,
    /// Just these: load and number.
    pub rows: Option<Vec<(i64, i64)>>,
}

/// A replay that someone asks for.
#[derive(Debug, Clone, Default)]
pub struct Replay {
    /// The rows.
    pub chosen: Chosen,
    /// Rows as a person corrected them; no others take part then.
    pub corrected: Option<Vec<CorrectedRow>>,
    /// What is set in each row.
    pub set: Vec<Correction>,
    /// Rows may replace rows of their key that may be newer; never one whose cursor is greater.
    pub overwrite: bool,
}

/// What a suite is asked about rows that stand in a table.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The suite in `quality/`.
    pub suite: &'a str,
    /// What a failed check does that does not say so itself.
    pub on_fail: Option<&'a str>,
    /// Where they stand: a view.
    pub rows: &'a TableName,
    /// Its column that numbers them.
    pub number: &'a str,
}

/// What it says.
#[derive(Debug, Default)]
pub struct Judged {
    /// Content hash of the suite.
    pub suite_hash: String,
    /// Rows to hold back, by number, with every rule that each broke.
    pub failed: Vec<(i64, Vec<String>)>,
    /// Some row broke a check that only warns.
    pub warned: bool,
    /// Checks that were not asked, as they are about a whole batch.
    pub left_out: Vec<String>,
}

/// Judges held rows one by one. The engine is not in this crate: whoever replays brings it.
#[async_trait]
pub trait RowJudge: Send + Sync {
    /// Evaluates the suite as it is now. Refuses where a check cannot be evaluated: a row is not let through unjudged.
    async fn judge(&self, connection: &mut PgConnection, asked: Asked<'_>) -> Result<Judged, ReplayError>;
}

/// What became of the rows of one load.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReplayedLoad {
    /// The load that had held them back.
    pub load_id: i64,
    /// The ledger row of the replay; none in a preview.
    pub replay: Option<i64>,
    /// The suite that judged.
    pub suite: Option<String>,
    /// Its content hash.
    pub suite_hash: Option<String>,
    /// How many took part.
    pub read: i64,
    /// Published.
    pub loaded: i64,
    /// Still held back.
    pub quarantined: i64,
    /// Settled without being written: said twice, or a newer version is there.
    pub deduplicated: i64,
    /// The rules that rows are held back by now, with how many rows each.
    pub rules: BTreeMap<String, i64>,
    /// Checks that were not asked, as they are about a whole batch.
    pub left_out: Vec<String>,
}

/// What a replay did, or would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Replayed {
    /// The dataset.
    pub dataset: String,
    /// Nothing was done.
    pub preview: bool,
    /// By load, oldest first.
    pub loads: Vec<ReplayedLoad>,
}

/// A row that takes part.
#[derive(Debug, sqlx::FromRow)]
struct Held {
    load_id: i64,
    seq: i64,
    rules: Vec<String>,
    unreadable: bool,
    unjudged: bool,
    stood: Option<Value>,
}

/// Takes held rows through their gate again. With `preview` nothing stays but what the answer says.
pub async fn replay(
    pool: &PgPool,
    judge: &dyn RowJudge,
    wish: &Replay,
    actor: &Actor,
    preview: bool,
) -> Result<Replayed, ReplayError> {
    let target = TableName::parse(&wish.chosen.dataset)?;
    let mut chosen = wish.chosen.clone();
    if let Some(rows) = &wish.corrected {
        chosen.rows = Some(correction::numbers(rows)?);
    }
    let mut transaction = pool.begin().await?;
    // Loads and replays of one target take turns.
    target::lock(&mut transaction, &target).await?;
    let held = pick(&mut transaction, &chosen).await?;
    let mut corrected: BTreeMap<(i64, i64), &CorrectedRow> =
        wish.corrected.iter().flatten().map(|row| ((row.load_id, row.seq), row)).collect();
    let mut groups: BTreeMap<i64, Vec<Held>> = BTreeMap::new();
    for row in held {
        groups.entry(row.load_id).or_default().push(row);
    }
    let mut loads = Vec::new();
    for (load_id, rows) in groups {
        let later = corrected.split_off(&(load_id + 1, i64::MIN));
        let own: BTreeMap<i64, &CorrectedRow> = corrected.into_iter().map(|((_, seq), row)| (seq, row)).collect();
        corrected = later;
        let batch = Batch::stage(pool, &mut transaction, &target, wish, (load_id, rows), &own).await?;
        loads.push(batch.publish(&mut transaction, judge, wish.overwrite).await?);
    }
    let mut replayed = Replayed { dataset: chosen.dataset, preview, loads };
    if preview {
        transaction.rollback().await?;
        replayed.loads.iter_mut().for_each(|load| load.replay = None);
        return Ok(replayed);
    }
    if !replayed.loads.is_empty() {
        let set: BTreeMap<_, _> = wish.set.iter().map(|set| (set.column(), set.sql())).collect();
        let loads: Vec<_> = replayed
            .loads
            .iter()
            .map(|load| {
                json!({ "load_id": load.load_id, "replay": load.replay, "read": load.read, "loaded": load.loaded,
                        "quarantined": load.quarantined, "deduplicated": load.deduplicated })
            })
            .collect();
        let detail = json!({ "dataset": replayed.dataset, "loads": loads, "set": set,
                             "corrected": wish.corrected.as_ref().map_or(0, Vec::len), "overwrite": wish.overwrite });
        let act = Act { run_id: chosen.run_id, detail, ..Act::of("replay") };
        record(&mut transaction, actor, act).await?;
    }
    transaction.commit().await?;
    Ok(replayed)
}

/// The rows, locked. Rows that were named must all be open.
async fn pick(connection: &mut PgConnection, chosen: &Chosen) -> Result<Vec<Held>, ReplayError> {
    let (loads, seqs) = chosen.arrays();
    let held: Vec<Held> = sqlx::query_as(include_str!("../../../../../sql/engine/replay_pick.sql"))
        .bind(&chosen.dataset)
        .bind(chosen.run_id)
        .bind(chosen.load_id)
        .bind(&chosen.rule)
        .bind(&loads)
        .bind(&seqs)
        .fetch_all(&mut *connection)
        .await?;
    chosen.all_open(connection, held.len()).await?;
    Ok(held)
}

impl Chosen {
    /// The rows that are named, as Postgres takes them.
    fn arrays(&self) -> (Option<Vec<i64>>, Option<Vec<i64>>) {
        let side = |side: fn(&(i64, i64)) -> i64| self.rows.as_ref().map(|rows| rows.iter().map(side).collect());
        (side(|row| row.0), side(|row| row.1))
    }

    /// Refuses where rows are named that were not `found` open.
    async fn all_open(&self, connection: &mut PgConnection, found: usize) -> Result<(), ReplayError> {
        let Some(rows) = self.rows.as_ref().filter(|rows| rows.len() != found) else { return Ok(()) };
        let (loads, seqs) = self.arrays();
        let missing: Vec<(i64, i64, String)> =
            sqlx::query_as(include_str!("../../../../../sql/engine/replay_missing.sql"))
                .bind(loads)
                .bind(seqs)
                .bind(&self.dataset)
                .fetch_all(connection)
                .await?;
        if missing.is_empty() {
            return Err(ReplayError::Refused(format!(
                "{} of the {} rows that are named are not among those that were chosen besides",
                rows.len() - found,
                rows.len()
            )));
        }
        Err(ReplayError::NotOpen(missing.into_iter().map(|(.., why)| why).collect()))
    }
}
