//! Just the rows of some keys, as a batch.

use futures::TryStreamExt;
use sqlx::{AssertSqlSafe, MySqlConnection};
use warehouse::{
    lake::{Lake, LakeFile},
    manifest::Manifest,
};
use workflow::error::TaskError;

use super::{
    ZeroDates,
    columns::{self, SourceColumn},
    failed,
    sink::Sink,
};

/// Keys that one statement names.
const NAMED: usize = 1_000;

/// What to read, and where to.
pub(crate) struct Wanted<'a> {
    /// The lake.
    pub(crate) lake: Lake,
    /// The files' path there, without its ending.
    pub(crate) stem: String,
    /// `connection.table`
    pub(crate) dataset: String,
    /// The table.
    pub(crate) table: &'a str,
    /// Its columns.
    pub(crate) columns: &'a [SourceColumn],
    /// The whole number that names a row: a column, or an expression.
    pub(crate) key: &'a str,
    /// The keys to read.
    pub(crate) keys: &'a [i128],
    /// What becomes of dates that are none.
    pub(crate) zero_dates: ZeroDates,
    /// Identity of the content asked for.
    pub(crate) batch_id: String,
}

/// Reads the rows, in the snapshot that the connection is in.
pub(crate) async fn read(connection: &mut MySqlConnection, wanted: Wanted<'_>) -> Result<Manifest, TaskError> {
    let Wanted { lake, stem, dataset, table, columns, key, keys, zero_dates, batch_id } = wanted;
    let mut sink = Sink::start(lake, stem, dataset.clone(), columns, zero_dates);
    let names: Vec<String> = columns.iter().map(|column| columns::quote(&column.name)).collect();
    for some in keys.chunks(NAMED) {
        let named: Vec<String> = some.iter().map(ToString::to_string).collect();
        let sql = format!(
            "select {} from {} where {} in ({})",
            names.join(", "),
            columns::quote(table),
            key,
            named.join(", ")
        );
        let mut rows = sqlx::query(AssertSqlSafe(sql)).persistent(false).fetch(&mut *connection);
        while let Some(row) = rows.try_next().await.map_err(failed)? {
            sink.push(row).await?;
        }
    }
    let written = sink.finish().await?;
    let rows = |files: &[LakeFile]| files.iter().map(|file| file.rows).sum();
    Ok(Manifest {
        dataset,
        rows: rows(&written.files),
        files: written.files,
        rejected: (!written.rejected.is_empty()).then_some(written.rejected),
        mark: None,
        batch_id,
        order_by: None,
        types: columns.iter().filter_map(|column| Some((column.name.clone(), column.kind.hint()?))).collect(),
    })
}
