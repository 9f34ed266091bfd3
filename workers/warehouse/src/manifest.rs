//! What an extract hands to a load: the files of one batch, how many rows, and up to where it read.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::lake::LakeFile;

/// The output of every extract kind and the input of `load` and `validate`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// What the rows are: `shop.orders`, a file's name.
    pub dataset: String,
    /// Parquet files of one schema. Their order, and the order of the rows inside, is the order of the batch.
    pub files: Vec<LakeFile>,
    /// Rows in `files`.
    pub rows: u64,
    /// Parquet files of rows that could not be read: `source_file`, `source_line`, `text`, `reason`.
    #[serde(default)]
    pub rejected: Option<Vec<LakeFile>>,
    /// Where an incremental extract got to; the load makes it the new high-water mark when it publishes.
    #[serde(default)]
    pub mark: Option<Mark>,
    /// Identity of the content that was asked for. Two attempts at the same content have the same one.
    pub batch_id: String,
    /// The column whose greater value is the newer version of a row, where rows are extracted by it. A load
    /// never puts an older version over a newer one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_by: Option<String>,
    /// Postgres types that the frame cannot tell: `jsonb` for a column of JSON text. Used where a load makes
    /// its target.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub types: BTreeMap<String, String>,
}

impl Manifest {
    /// Rows that the files hold.
    pub fn file_rows(&self) -> u64 {
        self.files.iter().map(|file| file.rows).sum()
    }

    /// Rows that could not be read.
    pub fn rejected_rows(&self) -> u64 {
        self.rejected.iter().flatten().map(|file| file.rows).sum()
    }
}

/// A high-water mark: the last row that an incremental extract has seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Whose mark it is.
    pub of: Reading,
    /// Value of the cursor column, as the source writes it, to its last digit.
    pub cursor: String,
    /// Value of the key column.
    pub key: String,
}

/// What an incremental extract reads. A task that reads another table, or by another column, has other marks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// The DAG.
    pub dag: String,
    /// The extract.
    pub task: String,
    /// Where the table is, by its name in `sluice.yaml`.
    pub connection: String,
    /// The table.
    pub source: String,
    /// The cursor column.
    pub column: String,
}
