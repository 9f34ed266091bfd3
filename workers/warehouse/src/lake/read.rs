//! Parquet files of the lake, opened on this machine's disk.
//!
//! Polars wants a file. One of a folder is opened where it is; one of a bucket comes to a temporary file that has no
//! name and is gone when it is closed, so however long it is, memory holds one piece of it.

use std::{
    fs::File,
    io::{Seek, SeekFrom, Write},
};

use futures::TryStreamExt;
use object_store::ObjectStoreExt;
use polars::prelude::{DataFrame, ParquetReader, Schema, SerReader};
use tokio::runtime::Handle;

use super::{Lake, Place, below, store_path};
use crate::error::WarehouseError;

/// What is fetched for the end of a file at first: the schema of some hundred columns and row groups fits.
const END: u64 = 64 << 10;
/// Bytes behind the footer: its length and `PAR1`.
const TRAILER: u64 = 8;

/// An opened Parquet file. All of its methods block.
pub struct ParquetFile {
    path: String,
    file: File,
}

impl ParquetFile {
    pub(super) fn open(lake: &Lake, path: &str) -> Result<Self, WarehouseError> {
        let file = match &lake.place {
            Place::Folder(root) => File::open(below(root, path)?).map_err(|source| match source.kind() {
                std::io::ErrorKind::NotFound => WarehouseError::Missing(path.to_owned()),
                _ => WarehouseError::File { path: path.to_owned(), source },
            })?,
            Place::Bucket(_) => Handle::current().block_on(fetch(lake, path))?,
        };
        Ok(Self { path: path.to_owned(), file })
    }

    /// As [`ParquetFile::open`], good for the schema alone: of a file in a bucket only the end is fetched.
    pub(super) fn open_end(lake: &Lake, path: &str) -> Result<Self, WarehouseError> {
        match &lake.place {
            Place::Folder(_) => Self::open(lake, path),
            Place::Bucket(_) => {
                Ok(Self { path: path.to_owned(), file: Handle::current().block_on(fetch_end(lake, path))? })
            }
        }
    }

    /// All rows, or `(from, count)` of them.
    pub fn rows(&self, rows: Option<(usize, usize)>) -> Result<DataFrame, WarehouseError> {
        self.reader()?
            .with_slice(rows)
            .finish()
            .map_err(WarehouseError::frame(format!("cannot read `{}` as Parquet", self.path)))
    }

    /// The columns.
    pub fn schema(&self) -> Result<Schema, WarehouseError> {
        // No rows are read: the frame carries the logical types that the file's own schema spells.
        Ok(self.rows(Some((0, 0)))?.schema().as_ref().clone())
    }

    /// Rows of each row group, in order.
    pub fn row_group_sizes(&self) -> Result<Vec<usize>, WarehouseError> {
        let mut reader = self.reader()?;
        let metadata =
            reader.get_metadata().map_err(WarehouseError::frame(format!("cannot read `{}` as Parquet", self.path)))?;
        let mut rows = Vec::with_capacity(metadata.row_groups.len());
        for group in &metadata.row_groups {
            rows.push(group.num_rows());
        }
        Ok(rows)
    }

    fn reader(&self) -> Result<ParquetReader<File>, WarehouseError> {
        Ok(ParquetReader::new(self.file.try_clone().map_err(failed(&self.path))?))
    }
}

/// The whole object, piece by piece.
async fn fetch(lake: &Lake, path: &str) -> Result<File, WarehouseError> {
    let mut file = tempfile::tempfile().map_err(failed(path))?;
    let found = lake.store.get(&store_path(path)?).await.map_err(lake.failed(path))?;
    let mut pieces = found.into_stream();
    while let Some(piece) = pieces.try_next().await.map_err(lake.failed(path))? {
        file.write_all(&piece).map_err(failed(path))?;
    }
    Ok(file)
}

/// The object's end, where it stands in the object; before it the file has a hole.
async fn fetch_end(lake: &Lake, path: &str) -> Result<File, WarehouseError> {
    let at = store_path(path)?;
    let size = lake.store.head(&at).await.map_err(lake.failed(path))?.size;
    let mut file = tempfile::tempfile().map_err(failed(path))?;
    let mut wanted = END.min(size);
    loop {
        let end = lake.store.get_range(&at, size - wanted..size).await.map_err(lake.failed(path))?;
        let footer = end.len().checked_sub(8).and_then(|from| end[from..].first_chunk::<4>().copied());
        let needed = footer.map_or(wanted, |length| (u64::from(u32::from_le_bytes(length)) + TRAILER).min(size));
        if needed > wanted {
            wanted = needed;
            continue;
        }
        file.seek(SeekFrom::Start(size - wanted)).map_err(failed(path))?;
        file.write_all(&end).map_err(failed(path))?;
        return Ok(file);
    }
}

fn failed(path: &str) -> impl Fn(std::io::Error) -> WarehouseError + '_ {
    |source| WarehouseError::File { path: path.to_owned(), source }
}
