//! Parquet files, read a batch of rows at a time.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use polars::prelude::{
    DataFrame, DataType, FileMetadataRef, ParallelStrategy, ParquetReader, PolarsError, PolarsResult, SerReader,
};

use super::super::backend::positional;
use crate::data;

/// Rows of a batch: enough to keep the cores busy with, few enough to hold several batches in memory.
pub(super) const BATCH: usize = 1 << 18;

/// Rows in batches, each of which can be read on its own, and columns by their position.
pub(super) struct Source {
    data: Data,
    batches: Vec<Batch>,
    pub(super) rows: usize,
    pub(super) names: Vec<String>,
    pub(super) dtypes: Vec<DataType>,
}

enum Data {
    #[cfg(test)]
    Frame(DataFrame),
    Parquet(Vec<(PathBuf, FileMetadataRef)>),
}

#[derive(Clone, Copy)]
struct Batch {
    file: usize,
    /// Its first row in the file.
    start: usize,
    rows: usize,
    /// Rows of all batches before.
    before: usize,
}

impl Source {
    /// A frame in batches of `size` rows.
    #[cfg(test)]
    pub(super) fn frame(frame: &DataFrame, size: usize) -> Self {
        let mut source = Self::new(Data::Frame(frame.clone()), frame);
        source.cut(frame.height(), size);
        source
    }

    /// A Parquet file, or a folder of such; nothing where the folder is one that only Polars knows how to read.
    pub(super) fn parquet(path: &Path) -> PolarsResult<Option<Self>> {
        let Some(paths) = data::parquet_files(path)? else { return Ok(None) };
        let mut files = Vec::new();
        let mut first: Option<DataFrame> = None;
        for path in paths {
            let mut reader = ParquetReader::new(File::open(&path)?);
            let metadata = reader.get_metadata()?.clone();
            let empty = reader.with_slice(Some((0, 0))).finish()?;
            if first.get_or_insert_with(|| empty.clone()).schema() != empty.schema() {
                return Ok(None);
            }
            files.push((path, metadata));
        }
        let Some(first) = first else { return Ok(None) };
        let groups: Vec<Vec<usize>> = files.iter().map(|(_, file)| rows_of(file)).collect();
        let mut source = Self::new(Data::Parquet(files), &first);
        for (file, groups) in groups.iter().enumerate() {
            source.group(file, groups);
        }
        if source.batches.is_empty() {
            source.push(0, 0, 0);
        }
        Ok(Some(source))
    }

    fn new(data: Data, like: &DataFrame) -> Self {
        let names = like.get_column_names().iter().map(ToString::to_string).collect();
        Self { data, batches: Vec::new(), rows: 0, names, dtypes: like.dtypes() }
    }

    fn push(&mut self, file: usize, start: usize, rows: usize) {
        self.batches.push(Batch { file, start, rows, before: self.rows });
        self.rows += rows;
    }

    #[cfg(test)]
    fn cut(&mut self, rows: usize, size: usize) {
        for start in (0..rows.max(1)).step_by(size) {
            self.push(0, start, size.min(rows - start));
        }
    }

    /// Row groups of a file: small ones go together, and those much too large are cut.
    fn group(&mut self, file: usize, groups: &[usize]) {
        let (mut start, mut rows) = (0, 0);
        for group in groups {
            if rows > 0 && rows + group > BATCH {
                self.push(file, start, rows);
                (start, rows) = (start + rows, 0);
            }
            rows += group;
            while rows > 2 * BATCH {
                self.push(file, start, BATCH);
                (start, rows) = (start + BATCH, rows - BATCH);
            }
        }
        if rows > 0 {
            self.push(file, start, rows);
        }
    }

    pub(super) fn batches(&self) -> usize {
        self.batches.len()
    }

    /// Rows of all batches before this one.
    pub(super) fn before(&self, batch: usize) -> usize {
        self.batches[batch].before
    }

    /// The batch that holds a row.
    pub(super) fn batch_of(&self, row: usize) -> usize {
        self.batches.partition_point(|batch| batch.before + batch.rows <= row)
    }

    /// Some columns of a batch, under positional names; at least one, as rows without columns have no number.
    pub(super) fn read(&self, batch: usize, columns: &[usize]) -> PolarsResult<DataFrame> {
        let Batch { file, start, rows, .. } = self.batches[batch];
        let columns = if columns.is_empty() && !self.names.is_empty() { &[0][..] } else { columns };
        let names: Vec<_> = columns.iter().map(|index| positional(*index)).collect();
        match &self.data {
            #[cfg(test)]
            Data::Frame(frame) => {
                let offset = i64::try_from(start).unwrap_or(i64::MAX);
                let part = |(index, name): (&usize, String)| {
                    frame.columns()[*index].slice(offset, rows).with_name(name.into())
                };
                let parts: Vec<polars::prelude::Column> = columns.iter().zip(names).map(part).collect();
                DataFrame::new(rows, parts)
            }
            Data::Parquet(files) => {
                let (path, metadata) = &files[file];
                let mut reader = ParquetReader::new(File::open(path)?);
                reader.set_metadata(metadata.clone());
                let mut frame = reader
                    .read_parallel(ParallelStrategy::RowGroups)
                    .with_slice(Some((start, rows)))
                    .with_projection(Some(columns.to_vec()))
                    .finish()?;
                if frame.height() != rows {
                    let text = format!("{}: {} rows where its footer tells of {rows}", path.display(), frame.height());
                    return Err(PolarsError::ComputeError(text.into()));
                }
                frame.set_column_names(&names)?;
                Ok(frame)
            }
        }
    }
}

/// Rows of each row group of a file.
fn rows_of(file: &FileMetadataRef) -> Vec<usize> {
    let mut rows = Vec::with_capacity(file.row_groups.len());
    for group in &file.row_groups {
        rows.push(group.num_rows());
    }
    rows
}
