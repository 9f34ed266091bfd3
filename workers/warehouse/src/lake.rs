//! The lake: Parquet files below one root, a local folder today.
//!
//! Paths are relative and use `/`. A file appears whole or not at all: it is written aside and renamed.

use std::{
    fs::File,
    io::BufWriter,
    path::{Path, PathBuf},
    sync::Arc,
};

use futures::TryStreamExt;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload, local::LocalFileSystem, path::Path as StorePath};
use polars::{
    io::parquet::write::BatchedWriter,
    prelude::{
        DataFrame, ParquetCompression, ParquetReader, ParquetWriter, Schema, SchemaRef, SerReader, StatisticsOptions,
    },
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use workflow::kind::TaskContext;

use crate::error::WarehouseError;

/// A Parquet file of the lake, as manifests name it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LakeFile {
    /// Path in the lake.
    pub path: String,
    /// Rows.
    pub rows: u64,
    /// Bytes on disk.
    pub bytes: u64,
}

/// Where files go. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Lake {
    store: Arc<dyn ObjectStore>,
    root: PathBuf,
}

impl Lake {
    /// Opens a folder (made if absent) or a `file://` URL.
    pub fn open(url_or_dir: &str) -> Result<Self, WarehouseError> {
        let address = |problem: &str| WarehouseError::Address {
            what: "the lake",
            value: url_or_dir.to_owned(),
            problem: problem.to_owned(),
        };
        let folder = match url_or_dir.split_once("://") {
            None => url_or_dir,
            Some(("file", path)) => path,
            Some(("s3", _)) => return Err(address("this build stores files in a folder only; give a folder")),
            Some(_) => return Err(address("expected a folder or a file:// URL")),
        };
        let file = |source| WarehouseError::File { path: folder.to_owned(), source };
        std::fs::create_dir_all(folder).map_err(file)?;
        let root = std::fs::canonicalize(folder).map_err(file)?;
        let store = LocalFileSystem::new_with_prefix(&root)
            .map_err(|source| WarehouseError::Lake { path: folder.to_owned(), source })?;
        Ok(Self { store: Arc::new(store), root })
    }

    /// Where a path of the lake stands on this machine's disk.
    pub fn local_path(&self, path: &str) -> Result<PathBuf, WarehouseError> {
        let clean = store_path(path)?;
        Ok(self.root.join(Path::new(clean.as_ref())))
    }

    /// Writes `bytes` at `path`, over what was there.
    pub async fn put(&self, path: &str, bytes: impl Into<PutPayload>) -> Result<(), WarehouseError> {
        self.store.put(&store_path(path)?, bytes.into()).await.map_err(failed(path))?;
        Ok(())
    }

    /// The bytes at `path`.
    pub async fn get(&self, path: &str) -> Result<Vec<u8>, WarehouseError> {
        let found = self.store.get(&store_path(path)?).await.map_err(failed(path))?;
        Ok(found.bytes().await.map_err(failed(path))?.to_vec())
    }

    /// Paths and sizes below a folder of the lake, in order.
    pub async fn list(&self, folder: &str) -> Result<Vec<(String, u64)>, WarehouseError> {
        let prefix = store_path(folder)?;
        let mut found: Vec<_> = self
            .store
            .list(Some(&prefix))
            .map_ok(|meta| (meta.location.to_string(), meta.size))
            .try_collect()
            .await
            .map_err(failed(folder))?;
        found.sort();
        Ok(found)
    }

    /// Writes a frame as one Parquet file, over what was there.
    pub async fn write_parquet(&self, path: &str, frame: &mut DataFrame) -> Result<LakeFile, WarehouseError> {
        let mut writer = self.parquet_writer(path, frame.schema().clone())?;
        // Columns are shared, so this copies no data.
        let frame = frame.clone();
        tokio::task::spawn_blocking(move || {
            writer.write(&frame)?;
            writer.finish()
        })
        .await?
    }

    /// Starts a Parquet file that grows by row groups; it appears in the lake when it is finished.
    pub fn parquet_writer(&self, path: &str, schema: SchemaRef) -> Result<LakeWriter, WarehouseError> {
        LakeWriter::create(path, self.local_path(path)?, &schema)
    }

    /// Reads a whole Parquet file.
    pub async fn read_parquet(&self, path: &str) -> Result<DataFrame, WarehouseError> {
        let lake = self.clone();
        let path = path.to_owned();
        tokio::task::spawn_blocking(move || lake.read_rows(&path, None)).await?
    }

    /// Reads a Parquet file, or `(from, count)` rows of it. Blocks: call it off the async threads.
    pub fn read_rows(&self, path: &str, rows: Option<(usize, usize)>) -> Result<DataFrame, WarehouseError> {
        ParquetReader::new(self.open_file(path)?)
            .with_slice(rows)
            .finish()
            .map_err(WarehouseError::frame(format!("cannot read `{path}` as Parquet")))
    }

    /// The columns of a Parquet file, without reading its rows. Blocks.
    pub fn parquet_schema(&self, path: &str) -> Result<Schema, WarehouseError> {
        // No rows are read: the frame carries the logical types that the file's own schema spells.
        Ok(self.read_rows(path, Some((0, 0)))?.schema().as_ref().clone())
    }

    /// Rows of each row group of a Parquet file, in order. Blocks.
    pub fn row_group_sizes(&self, path: &str) -> Result<Vec<usize>, WarehouseError> {
        let mut reader = ParquetReader::new(self.open_file(path)?);
        let metadata =
            reader.get_metadata().map_err(WarehouseError::frame(format!("cannot read `{path}` as Parquet")))?;
        let mut rows = Vec::with_capacity(metadata.row_groups.len());
        for group in &metadata.row_groups {
            rows.push(group.num_rows());
        }
        Ok(rows)
    }

    fn open_file(&self, path: &str) -> Result<File, WarehouseError> {
        File::open(self.local_path(path)?).map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => WarehouseError::Missing(path.to_owned()),
            _ => WarehouseError::File { path: path.to_owned(), source },
        })
    }
}

/// A Parquet file under way. Dropped unfinished, it leaves nothing in the lake.
pub struct LakeWriter {
    path: String,
    temporary: PathBuf,
    target: PathBuf,
    writer: Option<BatchedWriter<BufWriter<File>>>,
    /// The same open file, to make it durable before it is named.
    file: File,
    rows: u64,
}

impl LakeWriter {
    fn create(path: &str, target: PathBuf, schema: &Schema) -> Result<Self, WarehouseError> {
        let file = |source| WarehouseError::File { path: path.to_owned(), source };
        if let Some(folder) = target.parent() {
            std::fs::create_dir_all(folder).map_err(file)?;
        }
        // Two writers of one path, in one process or on two machines, stay apart until the later rename wins.
        let mut temporary = target.clone().into_os_string();
        temporary.push(format!(".{}.partial", Uuid::now_v7().simple()));
        let temporary = PathBuf::from(temporary);
        let handle = File::create(&temporary).map_err(file)?;
        let out = BufWriter::with_capacity(1 << 20, handle.try_clone().map_err(file)?);
        let writer = ParquetWriter::new(out)
            .with_compression(ParquetCompression::Snappy)
            .with_statistics(StatisticsOptions::default())
            .set_parallel(false)
            .batched(schema)
            .map_err(WarehouseError::frame(format!("cannot write `{path}` as Parquet")))?;
        Ok(Self { path: path.to_owned(), temporary, target, writer: Some(writer), file: handle, rows: 0 })
    }

    /// Adds the frame's rows as one row group. Blocks.
    pub fn write(&mut self, frame: &DataFrame) -> Result<(), WarehouseError> {
        let mut frame = frame.clone();
        frame.rechunk_mut();
        self.rows += frame.height() as u64;
        match &mut self.writer {
            Some(writer) => writer
                .write_batch(&frame)
                .map_err(WarehouseError::frame(format!("cannot write `{}` as Parquet", self.path))),
            None => Ok(()),
        }
    }

    /// Rows written so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Ends the file and puts it in its place. Blocks.
    pub fn finish(mut self) -> Result<LakeFile, WarehouseError> {
        if let Some(writer) = self.writer.take() {
            writer.finish().map_err(WarehouseError::frame(format!("cannot write `{}` as Parquet", self.path)))?;
        }
        let file = |source| WarehouseError::File { path: self.path.clone(), source };
        self.file.sync_all().map_err(file)?;
        std::fs::rename(&self.temporary, &self.target).map_err(file)?;
        let bytes = std::fs::metadata(&self.target).map_err(file)?.len();
        Ok(LakeFile { path: self.path.clone(), rows: self.rows, bytes })
    }
}

impl Drop for LakeWriter {
    fn drop(&mut self) {
        // After `finish` it is gone; otherwise what is left is an unfinished file that nobody names.
        let _ = std::fs::remove_file(&self.temporary);
    }
}

/// Name of the files of an attempt, without folder and ending: `run-12-345`, run and attempt. The attempt's id is its
/// own in the whole database, so no other task of the run and no other try of this one writes the same file.
pub fn attempt_stem(task: &TaskContext) -> String {
    format!("run-{}-{}", task.run_id, task.fence.attempt_id)
}

fn store_path(path: &str) -> Result<StorePath, WarehouseError> {
    let parsed = StorePath::parse(path).map_err(|error| WarehouseError::Address {
        what: "the lake path",
        value: path.to_owned(),
        problem: error.to_string(),
    })?;
    Ok(parsed)
}

fn failed(path: &str) -> impl Fn(object_store::Error) -> WarehouseError + '_ {
    move |source| match source {
        object_store::Error::NotFound { .. } => WarehouseError::Missing(path.to_owned()),
        source => WarehouseError::Lake { path: path.to_owned(), source },
    }
}
