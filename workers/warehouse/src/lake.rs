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
use tokio::io::AsyncWriteExt;
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

    /// Starts a file of another format; it appears in the lake when it is sealed and placed.
    pub async fn text_writer(&self, path: &str) -> Result<TextWriter, WarehouseError> {
        TextWriter::create(path, self.local_path(path)?).await
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

/// A file that has no name in the lake yet, at an address of its own beside the one it is for. Dropped, it is gone.
struct Temporary {
    path: String,
    at: PathBuf,
    target: PathBuf,
}

impl Temporary {
    fn new(path: &str, target: PathBuf) -> Result<Self, WarehouseError> {
        if let Some(folder) = target.parent() {
            std::fs::create_dir_all(folder).map_err(|source| WarehouseError::File { path: path.to_owned(), source })?;
        }
        // Two writers of one path, in one process or on two machines, stay apart until the later rename wins.
        let mut at = target.clone().into_os_string();
        at.push(format!(".{}.partial", Uuid::now_v7().simple()));
        Ok(Self { path: path.to_owned(), at: PathBuf::from(at), target })
    }

    fn failed(&self) -> impl Fn(std::io::Error) -> WarehouseError + '_ {
        |source| WarehouseError::File { path: self.path.clone(), source }
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // Once it has its name it is not here any more; otherwise what is left is a file that nobody names.
        let _ = std::fs::remove_file(&self.at);
    }
}

/// A whole and durable file that only waits for its name. Dropped without it, it leaves nothing in the lake.
#[must_use]
pub struct SealedFile {
    temporary: Temporary,
    rows: u64,
    bytes: u64,
}

impl SealedFile {
    /// Puts the file in its place, over what was there.
    pub fn place(self) -> Result<LakeFile, WarehouseError> {
        let Self { temporary, rows, bytes } = self;
        std::fs::rename(&temporary.at, &temporary.target).map_err(temporary.failed())?;
        Ok(LakeFile { path: temporary.path.clone(), rows, bytes })
    }
}

/// A Parquet file under way. Dropped unfinished, it leaves nothing in the lake.
pub struct LakeWriter {
    temporary: Temporary,
    writer: BatchedWriter<BufWriter<File>>,
    /// The same open file, to make it durable before it is named.
    file: File,
    rows: u64,
}

impl LakeWriter {
    fn create(path: &str, target: PathBuf, schema: &Schema) -> Result<Self, WarehouseError> {
        let temporary = Temporary::new(path, target)?;
        let file = File::create(&temporary.at).map_err(temporary.failed())?;
        let out = BufWriter::with_capacity(1 << 20, file.try_clone().map_err(temporary.failed())?);
        let writer = ParquetWriter::new(out)
            .with_compression(ParquetCompression::Snappy)
            .with_statistics(StatisticsOptions::default())
            .set_parallel(false)
            .batched(schema)
            .map_err(WarehouseError::frame(format!("cannot write `{path}` as Parquet")))?;
        Ok(Self { temporary, writer, file, rows: 0 })
    }

    /// Adds the frame's rows as one row group. Blocks.
    pub fn write(&mut self, frame: &DataFrame) -> Result<(), WarehouseError> {
        let mut frame = frame.clone();
        frame.rechunk_mut();
        self.rows += frame.height() as u64;
        let failed = WarehouseError::frame(format!("cannot write `{}` as Parquet", self.temporary.path));
        self.writer.write_batch(&frame).map_err(failed)
    }

    /// Rows written so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Ends the file, which then waits for its name. Blocks.
    pub fn seal(self) -> Result<SealedFile, WarehouseError> {
        let Self { temporary, writer, file, rows } = self;
        let failed = WarehouseError::frame(format!("cannot write `{}` as Parquet", temporary.path));
        writer.finish().map_err(failed)?;
        drop(writer);
        file.sync_all().map_err(temporary.failed())?;
        let bytes = file.metadata().map_err(temporary.failed())?.len();
        Ok(SealedFile { temporary, rows, bytes })
    }

    /// Ends the file and puts it in its place. Blocks.
    pub fn finish(self) -> Result<LakeFile, WarehouseError> {
        self.seal()?.place()
    }
}

/// A file of any other format under way. Dropped unfinished, it leaves nothing in the lake.
pub struct TextWriter {
    temporary: Temporary,
    out: tokio::io::BufWriter<tokio::fs::File>,
    bytes: u64,
}

impl TextWriter {
    async fn create(path: &str, target: PathBuf) -> Result<Self, WarehouseError> {
        let temporary = Temporary::new(path, target)?;
        let file = tokio::fs::File::create(&temporary.at).await.map_err(temporary.failed())?;
        Ok(Self { temporary, out: tokio::io::BufWriter::with_capacity(1 << 20, file), bytes: 0 })
    }

    /// Adds these bytes.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), WarehouseError> {
        self.bytes += bytes.len() as u64;
        self.out.write_all(bytes).await.map_err(self.temporary.failed())
    }

    /// Ends the file, which holds so many rows and then waits for its name.
    pub async fn seal(mut self, rows: u64) -> Result<SealedFile, WarehouseError> {
        self.out.flush().await.map_err(self.temporary.failed())?;
        self.out.get_ref().sync_all().await.map_err(self.temporary.failed())?;
        Ok(SealedFile { temporary: self.temporary, rows, bytes: self.bytes })
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
