//! A load: write, audit, publish.
//!
//! 1. [`ledger::find`]: a batch that was published before is not loaded again.
//! 2. [`Staged::stage`] copies the batch into a table of this attempt alone and marks what must not be
//!    published: duplicates, rows without a key, values that the target cannot hold.
//! 3. The caller audits the rows that are left ([`Staged::dropped`] says which are not) and says what it found
//!    in an [`Audit`].
//! 4. [`Staged::publish`] does the rest in one transaction: fence, lock of the target, ledger row, rows,
//!    quarantine, check results, high-water mark. Readers see all of it or nothing.
//!
//! Always: read = loaded + quarantined + deduplicated, for rows and for every balanced sum.

mod balance;
mod expression;
pub mod ledger;
pub mod marks;
mod publish;
mod relation;
mod repair;
pub mod replay;
mod staging;
pub mod target;
mod terms;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::PgConnection;
use workflow::kind::Fence;

pub use self::{
    balance::Balance,
    repair::{Repair, Seen},
    staging::Staged,
};
use crate::{alerts::Alert, error::WarehouseError, ident::TableName, manifest::Manifest};

/// A column of the batch that says where a row stood in its source: its file. Not part of the target.
pub const SOURCE_FILE: &str = "_source_file";
/// As [`SOURCE_FILE`]: its line there, from 1.
pub const SOURCE_LINE: &str = "_source_line";

/// Which rows of a batch say the same twice.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Deduplicate {
    /// None.
    #[default]
    Never,
    /// Those that are alike in every column; the first stays.
    Identical,
    /// Those that are alike in these columns; the first stays.
    By(Vec<String>),
}

/// What to load, where to, and on whose behalf.
#[derive(Debug, Clone)]
pub struct LoadRequest {
    /// The table that readers see.
    pub target: TableName,
    /// The batch.
    pub manifest: Manifest,
    /// Columns that name a row: it replaces the row of the same key. Empty: rows are appended.
    pub key: Vec<String>,
    /// Rows of the batch that say the same twice.
    pub deduplicate: Deduplicate,
    /// Sums that must balance.
    pub balance: Vec<Balance>,
    /// The run.
    pub run_id: i64,
    /// The task.
    pub task: String,
    /// The run's data interval.
    pub interval: (DateTime<Utc>, DateTime<Utc>),
    /// The lease that must hold.
    pub fence: Fence,
}

/// How a batch did at its gate, as stored in `sluice.load_ledger.verdict`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Every check passed.
    Passed,
    /// Some check failed, and the gate only warns.
    Warned,
    /// The rows that failed were held back.
    Quarantined,
    /// Nothing was published.
    Failed,
    /// There is no gate.
    Unchecked,
}

impl Verdict {
    /// As stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Warned => "warned",
            Self::Quarantined => "quarantined",
            Self::Failed => "failed",
            Self::Unchecked => "unchecked",
        }
    }
}

/// Writes check results in the publishing transaction, for the load of that id.
pub type RecordChecks =
    Box<dyn for<'c> FnOnce(&'c mut PgConnection, i64) -> BoxFuture<'c, Result<(), WarehouseError>> + Send + Sync>;

/// What the audit of a staged batch found.
pub struct Audit {
    /// The verdict of the gate. [`Verdict::Failed`] publishes nothing.
    pub verdict: Verdict,
    /// Name and content hash of the suite that judged.
    pub suite: Option<(String, String)>,
    /// What a failed check does that does not say so itself, in the suite's words; a replay judges by the same.
    pub on_fail: Option<&'static str>,
    /// Rows to hold back, by their place in the batch, with every rule that each broke.
    pub failed: Vec<(i64, Vec<String>)>,
    /// Writes the outcomes of the checks.
    pub record: Option<RecordChecks>,
    /// Raised in the same transaction, to these channels.
    pub alert: Option<(Alert, Vec<String>)>,
}

impl Audit {
    /// No gate: everything goes through.
    pub fn unchecked() -> Self {
        Self { verdict: Verdict::Unchecked, suite: None, on_fail: None, failed: Vec::new(), record: None, alert: None }
    }
}

/// What a load did, as the ledger has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The ledger row.
    pub load_id: i64,
    /// The target.
    pub dataset: String,
    /// Rows of the batch, unreadable ones included.
    pub read: i64,
    /// Rows that readers can see.
    pub loaded: i64,
    /// Rows held back.
    pub quarantined: i64,
    /// Rows that said the same twice.
    pub deduplicated: i64,
    /// How the gate judged.
    pub verdict: Verdict,
    /// Each balanced sum, by where its rows went.
    #[serde(default)]
    pub sums: BTreeMap<String, Value>,
    /// The batch had been published before; nothing was done now.
    #[serde(default)]
    pub repeated: bool,
}
