//! Rows to Parquet files on two threads: one makes frames of them, another writes these, while the source sends the next.
//!
//! A file gets its name once [`Sink::finish`] says that all of its rows came; a sink that is dropped leaves nothing.

use polars::prelude::{Column, DataFrame, IntoColumn, NamedFrom, SchemaRef, Series};
use sqlx::mysql::MySqlRow;
use tokio::{
    sync::mpsc,
    task::{JoinHandle, spawn_blocking},
};
use warehouse::{
    WarehouseError,
    lake::{Lake, LakeFile, LakeWriter},
};
use workflow::error::TaskError;

use super::{
    ROW_GROUP, ZeroDates,
    columns::{self, SourceColumn},
    decode::{Decoder, RowFault},
};

/// Rows after which a new file begins.
const FILE: u64 = 2_000_000;
/// Rows that go to the decoder in one piece: one by one, handing over would cost more than decoding.
const PIECE: usize = 512;
/// Pieces that may wait to be decoded, and frames to be written.
const WAITING: usize = 2;

/// What became of the rows.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) files: Vec<LakeFile>,
    pub(super) rejected: Vec<LakeFile>,
    /// Columns of which dates that are none became nulls, and how many did.
    pub(super) nulled: Vec<(String, u64)>,
    /// The last row that came.
    pub(super) last: Option<MySqlRow>,
}

/// A message to the next thread. Where the sender is gone without an end, what came is not whole.
enum Next<T> {
    Some(T),
    End,
}

/// Where rows go.
pub(super) struct Sink {
    lake: Lake,
    stem: String,
    source: String,
    piece: Vec<MySqlRow>,
    pieces: mpsc::Sender<Next<Vec<MySqlRow>>>,
    decoder: JoinHandle<Result<Option<Decoded>, TaskError>>,
    writer: JoinHandle<Result<Vec<LakeFile>, WarehouseError>>,
}

#[derive(Debug, Default)]
struct Decoded {
    /// Text and reason.
    rejected: Vec<(String, String)>,
    nulled: Vec<(String, u64)>,
    last: Option<MySqlRow>,
}

impl Sink {
    /// Files are `<stem>.parquet`, `<stem>-2.parquet` and so on; at least one, be it empty.
    pub(super) fn start(
        lake: Lake,
        stem: String,
        source: String,
        columns: &[SourceColumn],
        zero_dates: ZeroDates,
    ) -> Self {
        let (pieces, undecoded) = mpsc::channel(WAITING);
        let (frames, unwritten) = mpsc::channel(WAITING);
        let (name, rows) = (source.clone(), Decoder::new(columns, zero_dates, ROW_GROUP));
        let decoder = spawn_blocking(move || decode(&name, rows, undecoded, &frames));
        let (to, at, schema) = (lake.clone(), stem.clone(), columns::schema(columns));
        let writer = spawn_blocking(move || write(&to, &at, &schema, unwritten));
        Self { lake, stem, source, piece: Vec::with_capacity(PIECE), pieces, decoder, writer }
    }

    /// Hands a row on; waits while the disk is behind.
    pub(super) async fn push(&mut self, row: MySqlRow) -> Result<(), TaskError> {
        self.piece.push(row);
        if self.piece.len() < PIECE {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE));
        if self.pieces.send(Next::Some(piece)).await.is_ok() {
            return Ok(());
        }
        // The decoder ended, so one of the two has an error to tell.
        match ended(&mut self.decoder, &mut self.writer).await {
            Err(error) => Err(error),
            Ok(_) => Err(TaskError::internal("the decoder ended before its rows")),
        }
    }

    /// Ends the files.
    pub(super) async fn finish(mut self) -> Result<Written, TaskError> {
        for message in [Next::Some(std::mem::take(&mut self.piece)), Next::End] {
            // Who does not take them has an error to tell.
            let _ = self.pieces.send(message).await;
        }
        let (decoded, files) = ended(&mut self.decoder, &mut self.writer).await?;
        let mut rejected = Vec::new();
        if !decoded.rejected.is_empty() {
            let mut frame = rejected_frame(&self.source, &decoded.rejected)?;
            rejected.push(self.lake.write_parquet(&format!("{}-rejected.parquet", self.stem), &mut frame).await?);
        }
        Ok(Written { files, rejected, nulled: decoded.nulled, last: decoded.last })
    }
}

/// What both threads came to. A decoder whose frames nobody takes has nothing to say, and the writer has.
async fn ended(
    decoder: &mut JoinHandle<Result<Option<Decoded>, TaskError>>,
    writer: &mut JoinHandle<Result<Vec<LakeFile>, WarehouseError>>,
) -> Result<(Decoded, Vec<LakeFile>), TaskError> {
    let decoded = decoder.await.map_err(WarehouseError::from)??;
    let files = writer.await.map_err(WarehouseError::from)??;
    let decoded = decoded.ok_or_else(|| TaskError::internal("the Parquet writer ended before its frames"))?;
    Ok((decoded, files))
}

/// Makes frames of rows. None where nobody takes them, or not all rows came.
fn decode(
    source: &str,
    mut decoder: Decoder,
    mut pieces: mpsc::Receiver<Next<Vec<MySqlRow>>>,
    frames: &mpsc::Sender<Next<DataFrame>>,
) -> Result<Option<Decoded>, TaskError> {
    let mut decoded = Decoded::default();
    loop {
        let piece = match pieces.blocking_recv() {
            Some(Next::Some(piece)) => piece,
            Some(Next::End) => break,
            None => return Ok(None),
        };
        for row in &piece {
            match decoder.push(row) {
                Ok(()) => {}
                Err(RowFault::Rejected { text, reason }) => decoded.rejected.push((text, reason)),
                Err(RowFault::Broken(reason)) => {
                    return Err(TaskError::internal(format!("cannot read `{source}`: {reason}")));
                }
            }
        }
        if decoder.rows() >= ROW_GROUP && frames.blocking_send(Next::Some(decoder.take()?)).is_err() {
            return Ok(None);
        }
        decoded.last = piece.into_iter().next_back().or(decoded.last);
    }
    if decoder.rows() > 0 && frames.blocking_send(Next::Some(decoder.take()?)).is_err() {
        return Ok(None);
    }
    decoded.nulled = decoder.nulled().map(|(column, count)| (column.to_owned(), count)).collect();
    Ok(frames.blocking_send(Next::End).is_ok().then_some(decoded))
}

/// Writes frames to files. None of the last file's rows has a name where not all frames came.
fn write(
    lake: &Lake,
    stem: &str,
    schema: &SchemaRef,
    mut frames: mpsc::Receiver<Next<DataFrame>>,
) -> Result<Vec<LakeFile>, WarehouseError> {
    let begin = |number: usize| -> Result<LakeWriter, WarehouseError> {
        let suffix = if number == 1 { String::new() } else { format!("-{number}") };
        lake.parquet_writer(&format!("{stem}{suffix}.parquet"), schema.clone())
    };
    let mut files = Vec::new();
    let mut file = begin(1)?;
    loop {
        match frames.blocking_recv() {
            Some(Next::Some(frame)) => {
                if file.rows() >= FILE {
                    files.push(file.finish()?);
                    file = begin(files.len() + 1)?;
                }
                file.write(&frame)?;
            }
            Some(Next::End) => {
                files.push(file.finish()?);
                return Ok(files);
            }
            None => return Ok(files),
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn start(lake: &Lake) -> Sink {
        Sink::start(lake.clone(), "raw/t".to_owned(), "shop.t".to_owned(), &[], ZeroDates::Reject)
    }

    #[tokio::test]
    async fn only_a_batch_that_ended_has_files() {
        let folder = tempfile::tempdir().expect("a folder");
        let lake = Lake::open(folder.path().to_str().expect("a UTF-8 path")).expect("a lake");
        let Sink { pieces, decoder, writer, .. } = start(&lake);
        drop(pieces);
        assert!(decoder.await.expect("a thread").expect("no fault").is_none());
        assert_eq!(writer.await.expect("a thread").expect("no fault"), []);
        let left = || std::fs::read_dir(folder.path().join("raw")).expect("a folder").count();
        assert_eq!(left(), 0);

        let written = start(&lake).finish().await.expect("written");
        assert_eq!((written.files.len(), left()), (1, 1));
    }
}
