//! The lake: Parquet files below one root, a folder or a bucket.
//!
//! Paths are relative and use `/`. A file appears whole or not at all: in a folder it is written aside and renamed, in a
//! bucket its last request names it. Of two writers of one path the later wins, and neither sees the other's bytes.

mod bucket;
mod read;
mod write;

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload, local::LocalFileSystem, path::Path as StorePath};
use polars::prelude::{DataFrame, Schema, SchemaRef};
use serde::{Deserialize, Serialize};
use workflow::{kind::TaskContext, project::S3};

use self::bucket::Bucket;
pub use self::{
    read::ParquetFile,
    write::{LakeWriter, SealedFile, TextWriter},
};

use crate::error::WarehouseError;

/// A Parquet file of the lake, as manifests name it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LakeFile {
    /// Path in the lake.
    pub path: String,
    /// Rows.
    pub rows: u64,
    /// Bytes of the file.
    pub bytes: u64,
}

/// Where files go. Cheap to clone.
#[derive(Clone)]
pub struct Lake {
    store: Arc<dyn ObjectStore>,
    place: Place,
}

impl fmt::Debug for Lake {
    /// The place alone: a store knows its key.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("Lake").field(&self.place).finish()
    }
}

#[derive(Debug, Clone)]
enum Place {
    /// A folder of this machine, absolute.
    Folder(PathBuf),
    Bucket(Arc<Bucket>),
}

impl Lake {
    /// Opens a folder (made if absent), a `file://` URL, or `s3://bucket/prefix` without settings.
    pub fn open(place: &str) -> Result<Self, WarehouseError> {
        Self::open_with(place, &S3::default(), [])
    }

    /// As [`Lake::open`]. A bucket is reached by the settings in `s3`, and by the variables `AWS_*` in `environment` for
    /// what is not set there. Connects to nothing: the first request tells whether the bucket is there.
    pub fn open_with(
        place: &str,
        s3: &S3,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, WarehouseError> {
        let folder = match place.split_once("://") {
            None => place,
            Some(("file", path)) => path,
            Some(("s3", _)) => {
                let (store, bucket) = bucket::open(place, s3, environment)?;
                return Ok(Self { store, place: Place::Bucket(Arc::new(bucket)) });
            }
            Some(_) => return Err(unusable(place, "expected a folder, a file:// URL or s3://bucket/prefix")),
        };
        let file = |source| WarehouseError::File { path: folder.to_owned(), source };
        std::fs::create_dir_all(folder).map_err(file)?;
        let root = std::fs::canonicalize(folder).map_err(file)?;
        let store = LocalFileSystem::new_with_prefix(&root)
            .map_err(|source| WarehouseError::Lake { path: folder.to_owned(), source })?;
        Ok(Self { store: Arc::new(store), place: Place::Folder(root) })
    }

    /// Writes `bytes` at `path`, over what was there.
    pub async fn put(&self, path: &str, bytes: impl Into<PutPayload>) -> Result<(), WarehouseError> {
        self.store.put(&store_path(path)?, bytes.into()).await.map_err(self.failed(path))?;
        Ok(())
    }

    /// The bytes at `path`.
    pub async fn get(&self, path: &str) -> Result<Vec<u8>, WarehouseError> {
        let found = self.store.get(&store_path(path)?).await.map_err(self.failed(path))?;
        Ok(found.bytes().await.map_err(self.failed(path))?.to_vec())
    }

    /// Removes the file at `path`, if there is one.
    pub async fn remove(&self, path: &str) -> Result<(), WarehouseError> {
        match self.store.delete(&store_path(path)?).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.failed(path)(error)),
        }
    }

    /// Paths and sizes below a folder of the lake, in order.
    pub async fn list(&self, folder: &str) -> Result<Vec<(String, u64)>, WarehouseError> {
        Ok(self.list_dated(folder).await?.into_iter().map(|(path, bytes, _)| (path, bytes)).collect())
    }

    /// As [`Lake::list`], with the time of each file's last writing.
    pub async fn list_dated(&self, folder: &str) -> Result<Vec<(String, u64, DateTime<Utc>)>, WarehouseError> {
        let prefix = store_path(folder)?;
        let mut found: Vec<_> = self
            .store
            .list(Some(&prefix))
            .map_ok(|meta| (meta.location.to_string(), meta.size, meta.last_modified))
            .try_collect()
            .await
            .map_err(self.failed(folder))?;
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
    ///
    /// # Panics
    /// Outside of a Tokio runtime where the lake is a bucket.
    pub fn parquet_writer(&self, path: &str, schema: SchemaRef) -> Result<LakeWriter, WarehouseError> {
        LakeWriter::create(self, path, &schema)
    }

    /// Starts a file of another format; it appears in the lake when it is sealed and placed.
    pub async fn text_writer(&self, path: &str) -> Result<TextWriter, WarehouseError> {
        TextWriter::create(self, path).await
    }

    /// Reads a whole Parquet file.
    pub async fn read_parquet(&self, path: &str) -> Result<DataFrame, WarehouseError> {
        let lake = self.clone();
        let path = path.to_owned();
        tokio::task::spawn_blocking(move || lake.open_parquet(&path)?.rows(None)).await?
    }

    /// Opens a Parquet file; from a bucket it comes to a temporary file of this machine first. Blocks: call it off the
    /// async threads.
    ///
    /// # Panics
    /// Outside of a Tokio runtime where the lake is a bucket.
    pub fn open_parquet(&self, path: &str) -> Result<ParquetFile, WarehouseError> {
        ParquetFile::open(self, path)
    }

    /// The columns of a Parquet file, without reading its rows. Blocks, and panics, as [`Lake::open_parquet`].
    pub fn parquet_schema(&self, path: &str) -> Result<Schema, WarehouseError> {
        ParquetFile::open_end(self, path)?.schema()
    }

    fn failed<'a>(&'a self, path: &'a str) -> impl Fn(object_store::Error) -> WarehouseError + 'a {
        move |error| match (&self.place, error) {
            (Place::Bucket(bucket), error) => bucket.fault(path, error),
            (Place::Folder(_), object_store::Error::NotFound { .. }) => WarehouseError::Missing(path.to_owned()),
            (Place::Folder(_), source) => WarehouseError::Lake { path: path.to_owned(), source },
        }
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

/// Where a path of the lake stands below a folder of this machine.
fn below(root: &Path, path: &str) -> Result<PathBuf, WarehouseError> {
    let clean = store_path(path)?;
    Ok(root.join(Path::new(clean.as_ref())))
}

fn unusable(place: &str, problem: impl Into<String>) -> WarehouseError {
    WarehouseError::Address { what: "the lake", value: place.to_owned(), problem: problem.into() }
}
