//! Frames to Parquet files, on a thread of its own, while the next rows are read.

use polars::prelude::{Column, DataFrame, IntoColumn, NamedFrom, SchemaRef, Series};
use tokio::{sync::mpsc, task::JoinHandle};
use warehouse::{
    WarehouseError,
    lake::{Lake, LakeFile, LakeWriter},
};
use workflow::error::TaskError;

/// Rows after which a new file begins.
const FILE: u64 = 2_000_000;
/// Frames that may wait to be written.
const WAITING: usize = 2;

/// The files of a batch.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) files: Vec<LakeFile>,
    pub(super) rejected: Vec<LakeFile>,
}

/// Where frames go.
pub(super) struct Sink {
    lake: Lake,
    stem: String,
    source: String,
    frames: mpsc::Sender<DataFrame>,
    writer: JoinHandle<Result<Vec<LakeFile>, WarehouseError>>,
    rejected: Vec<(String, String)>,
}

impl Sink {
    /// Files are `<stem>.parquet`, `<stem>-2.parquet` and so on; at least one, be it empty.
    pub(super) fn start(lake: Lake, stem: String, source: String, schema: SchemaRef) -> Self {
        let (frames, receiver) = mpsc::channel(WAITING);
        let (to, name) = (lake.clone(), stem.clone());
        let writer = tokio::task::spawn_blocking(move || write(&to, &name, &schema, receiver));
        Self { lake, stem, source, frames, writer, rejected: Vec::new() }
    }

    /// Hands a frame on; waits while the disk is behind.
    pub(super) async fn write(&mut self, frame: DataFrame) -> Result<(), TaskError> {
        if self.frames.send(frame).await.is_ok() {
            return Ok(());
        }
        // The writer ended, so it has an error to tell.
        match (&mut self.writer).await {
            Ok(Err(error)) => Err(error.into()),
            Ok(Ok(_)) => Err(TaskError::internal("the Parquet writer ended before its frames")),
            Err(panic) => Err(WarehouseError::from(panic).into()),
        }
    }

    /// Notes a row that could not be read.
    pub(super) fn reject(&mut self, text: String, reason: String) {
        self.rejected.push((text, reason));
    }

    /// Ends the files.
    pub(super) async fn finish(self) -> Result<Written, TaskError> {
        drop(self.frames);
        let files = self.writer.await.map_err(WarehouseError::from)??;
        let mut rejected = Vec::new();
        if !self.rejected.is_empty() {
            let mut frame = rejected_frame(&self.source, &self.rejected)?;
            rejected.push(self.lake.write_parquet(&format!("{}-rejected.parquet", self.stem), &mut frame).await?);
        }
        Ok(Written { files, rejected })
    }
}

fn write(
    lake: &Lake,
    stem: &str,
    schema: &SchemaRef,
    mut frames: mpsc::Receiver<DataFrame>,
) -> Result<Vec<LakeFile>, WarehouseError> {
    let begin = |number: usize| -> Result<LakeWriter, WarehouseError> {
        let suffix = if number == 1 { String::new() } else { format!("-{number}") };
        lake.parquet_writer(&format!("{stem}{suffix}.parquet"), schema.clone())
    };
    let mut files = Vec::new();
    let mut file = begin(1)?;
    while let Some(frame) = frames.blocking_recv() {
        if file.rows() >= FILE {
            files.push(file.finish()?);
            file = begin(files.len() + 1)?;
        }
        file.write(&frame)?;
    }
    files.push(file.finish()?);
    Ok(files)
}

fn rejected_frame(source: &str, rows: &[(String, String)]) -> Result<DataFrame, WarehouseError> {
    let text = |name: &str, values: Vec<&str>| -> Column { Series::new(name.into(), values).into_column() };
    // A table has no lines.
    let lines: Vec<Option<i64>> = vec![None; rows.len()];
    DataFrame::new_infer_height(vec![
        text("source_file", vec![source; rows.len()]),
        Series::new("source_line".into(), lines).into_column(),
        text("text", rows.iter().map(|(text, _)| text.as_str()).collect()),
        text("reason", rows.iter().map(|(_, reason)| reason.as_str()).collect()),
    ])
    .map_err(WarehouseError::frame("cannot make a frame of the rejected rows"))
}
