//! Files of the lake under way. In a folder such a file stands beside its place under a name of its own; on the way to a
//! bucket it is an [`Upload`].

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use polars::{
    io::parquet::write::BatchedWriter,
    prelude::{DataFrame, ParquetCompression, ParquetWriter, Schema, StatisticsOptions},
};
use tokio::io::AsyncWriteExt;
use uuid::Uuid;

use super::{
    Lake, LakeFile, Place, below,
    bucket::{Upload, through},
};
use crate::error::WarehouseError;

/// Bytes that are gathered before they go to disk.
const BUFFER: usize = 1 << 20;

/// A file that has no name in the folder yet, at an address of its own beside the one it is for. Dropped, it is gone.
struct Temporary {
    path: String,
    at: PathBuf,
    target: PathBuf,
}

impl Temporary {
    fn new(root: &Path, path: &str) -> Result<Self, WarehouseError> {
        let target = below(root, path)?;
        if let Some(folder) = target.parent() {
            std::fs::create_dir_all(folder).map_err(|source| WarehouseError::File { path: path.to_owned(), source })?;
        }
        // Two writers of one path, in one process or on two machines, stay apart until the later rename wins.
        let mut at = target.clone().into_os_string();
        at.push(format!(".{}.partial", Uuid::now_v7().simple()));
        Ok(Self { path: path.to_owned(), at: PathBuf::from(at), target })
    }

    fn failed(&self) -> impl Fn(io::Error) -> WarehouseError + '_ {
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
    content: Sealed,
    rows: u64,
    bytes: u64,
}

enum Sealed {
    Temporary(Temporary),
    Upload(Upload),
}

impl SealedFile {
    /// Puts the file in its place, over what was there: a rename, or one request to the bucket.
    pub async fn place(self) -> Result<LakeFile, WarehouseError> {
        let Self { content, rows, bytes } = self;
        match content {
            Sealed::Temporary(temporary) => rename(temporary, rows, bytes),
            Sealed::Upload(upload) => upload_now(upload, rows, bytes).await,
        }
    }

    fn place_blocking(self) -> Result<LakeFile, WarehouseError> {
        let Self { content, rows, bytes } = self;
        match content {
            Sealed::Temporary(temporary) => rename(temporary, rows, bytes),
            Sealed::Upload(upload) => upload.runtime().block_on(upload_now(upload, rows, bytes)),
        }
    }
}

fn rename(temporary: Temporary, rows: u64, bytes: u64) -> Result<LakeFile, WarehouseError> {
    std::fs::rename(&temporary.at, &temporary.target).map_err(temporary.failed())?;
    Ok(LakeFile { path: temporary.path.clone(), rows, bytes })
}

async fn upload_now(upload: Upload, rows: u64, bytes: u64) -> Result<LakeFile, WarehouseError> {
    let path = upload.path().to_owned();
    upload.place().await?;
    Ok(LakeFile { path, rows, bytes })
}

/// A Parquet file under way. Dropped unfinished, it leaves nothing in the lake.
pub struct LakeWriter {
    path: String,
    writer: BatchedWriter<Out>,
    target: Target,
    rows: u64,
}

enum Target {
    /// With the same open file, to make it durable before it is named.
    Folder(Temporary, File),
    Bucket(Arc<Mutex<Shared>>),
}

/// What the Parquet writer writes to.
enum Out {
    File(BufWriter<File>),
    Upload(Arc<Mutex<Shared>>),
}

/// An upload, and what its bucket said when it failed: Polars hands on an I/O error's text alone.
struct Shared {
    upload: Upload,
    fault: Option<WarehouseError>,
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.write(bytes),
            Self::Upload(shared) => {
                let Shared { upload, fault } = &mut *shared.lock().unwrap_or_else(PoisonError::into_inner);
                upload.push_blocking(bytes).map_err(|error| through(error, fault))?;
                Ok(bytes.len())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::File(file) => file.flush(),
            // The last bytes go with the file's name.
            Self::Upload(_) => Ok(()),
        }
    }
}

impl Target {
    /// The bucket's own fault where there is one, else what Polars said.
    fn failed(&self, path: &str) -> impl FnOnce(polars::error::PolarsError) -> WarehouseError {
        let known = match self {
            Self::Folder(..) => None,
            Self::Bucket(shared) => shared.lock().unwrap_or_else(PoisonError::into_inner).fault.take(),
        };
        let what = format!("cannot write `{path}` as Parquet");
        move |source| known.unwrap_or(WarehouseError::Frame { what, source })
    }
}

impl LakeWriter {
    pub(super) fn create(lake: &Lake, path: &str, schema: &Schema) -> Result<Self, WarehouseError> {
        let (target, out) = match &lake.place {
            Place::Folder(root) => {
                let temporary = Temporary::new(root, path)?;
                let file = File::create(&temporary.at).map_err(temporary.failed())?;
                let out = BufWriter::with_capacity(BUFFER, file.try_clone().map_err(temporary.failed())?);
                (Target::Folder(temporary, file), Out::File(out))
            }
            Place::Bucket(_) => {
                let shared = Arc::new(Mutex::new(Shared { upload: Upload::new(lake, path)?, fault: None }));
                (Target::Bucket(shared.clone()), Out::Upload(shared))
            }
        };
        let writer = ParquetWriter::new(out)
            .with_compression(ParquetCompression::Snappy)
            .with_statistics(StatisticsOptions::default())
            .set_parallel(false)
            .batched(schema)
            .map_err(WarehouseError::frame(format!("cannot write `{path}` as Parquet")))?;
        Ok(Self { path: path.to_owned(), writer, target, rows: 0 })
    }

    /// Adds the frame's rows as one row group. Blocks.
    pub fn write(&mut self, frame: &DataFrame) -> Result<(), WarehouseError> {
        let mut frame = frame.clone();
        frame.rechunk_mut();
        self.rows += frame.height() as u64;
        self.writer.write_batch(&frame).map_err(|error| self.target.failed(&self.path)(error))
    }

    /// Rows written so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Ends the file, which then waits for its name. Blocks.
    pub fn seal(self) -> Result<SealedFile, WarehouseError> {
        let Self { path, writer, target, rows } = self;
        writer.finish().map_err(|error| target.failed(&path)(error))?;
        drop(writer);
        match target {
            Target::Folder(temporary, file) => {
                file.sync_all().map_err(temporary.failed())?;
                let bytes = file.metadata().map_err(temporary.failed())?.len();
                Ok(SealedFile { content: Sealed::Temporary(temporary), rows, bytes })
            }
            Target::Bucket(shared) => {
                // The writer held the only other one.
                let Some(shared) = Arc::into_inner(shared) else { unreachable!("the Parquet writer was dropped") };
                let mut upload = shared.into_inner().unwrap_or_else(PoisonError::into_inner).upload;
                upload.runtime().block_on(upload.seal())?;
                let bytes = upload.bytes();
                Ok(SealedFile { content: Sealed::Upload(upload), rows, bytes })
            }
        }
    }

    /// Ends the file and puts it in its place. Blocks.
    pub fn finish(self) -> Result<LakeFile, WarehouseError> {
        self.seal()?.place_blocking()
    }
}

/// A file of any other format under way. Dropped unfinished, it leaves nothing in the lake.
pub struct TextWriter {
    out: Text,
    bytes: u64,
}

enum Text {
    Folder(Temporary, tokio::io::BufWriter<tokio::fs::File>),
    Bucket(Upload),
}

impl TextWriter {
    pub(super) async fn create(lake: &Lake, path: &str) -> Result<Self, WarehouseError> {
        let out = match &lake.place {
            Place::Folder(root) => {
                let temporary = Temporary::new(root, path)?;
                let file = tokio::fs::File::create(&temporary.at).await.map_err(temporary.failed())?;
                Text::Folder(temporary, tokio::io::BufWriter::with_capacity(BUFFER, file))
            }
            Place::Bucket(_) => Text::Bucket(Upload::new(lake, path)?),
        };
        Ok(Self { out, bytes: 0 })
    }

    /// Adds these bytes.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), WarehouseError> {
        self.bytes += bytes.len() as u64;
        match &mut self.out {
            Text::Folder(temporary, out) => out.write_all(bytes).await.map_err(temporary.failed()),
            Text::Bucket(upload) => upload.push(bytes).await,
        }
    }

    /// Ends the file, which holds so many rows and then waits for its name.
    pub async fn seal(self, rows: u64) -> Result<SealedFile, WarehouseError> {
        let content = match self.out {
            Text::Folder(temporary, mut out) => {
                out.flush().await.map_err(temporary.failed())?;
                out.get_ref().sync_all().await.map_err(temporary.failed())?;
                Sealed::Temporary(temporary)
            }
            Text::Bucket(mut upload) => {
                upload.seal().await?;
                Sealed::Upload(upload)
            }
        };
        Ok(SealedFile { content, rows, bytes: self.bytes })
    }
}
