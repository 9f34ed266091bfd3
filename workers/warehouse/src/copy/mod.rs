//! Frames into Postgres by binary COPY: exact types, bounded memory.
//!
//! Frames come from an iterator on a thread of its own and are encoded on another, while this side sends what is
//! ready. At most one frame waits, and a few megabytes of encoded rows are in flight.

mod encode;
mod json;
mod numeric;
mod types;

use std::ops::ControlFlow;

use polars::prelude::{DataFrame, Schema};
use sqlx::PgConnection;
use tokio::sync::mpsc;

pub use self::{encode::CellFault, types::PgType};
use crate::{
    error::WarehouseError,
    ident::{TableName, quote_all},
};

/// Bytes of encoded rows that go to Postgres in one message.
const MESSAGE: usize = 512 * 1024;
/// Rows that are brought into the form that is encoded in one go.
const SLICE: usize = 64 * 1024;
/// Frames that may wait to be encoded.
const AHEAD: usize = 1;
/// Messages that may wait for Postgres.
const IN_FLIGHT: usize = 4;

/// A column of a table that COPY writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyColumn {
    /// Its name, the same in frame and table.
    pub name: String,
    /// Its type in the table.
    pub pg: PgType,
}

/// What a COPY did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CopyReport {
    /// Rows written, those with a fault included.
    pub rows: u64,
    /// Values that the table cannot hold; they were written as NULL, or as text with `\0` spelled out.
    pub faults: Vec<CellFault>,
}

/// Where a COPY writes.
#[derive(Debug, Clone)]
pub struct CopyTarget {
    /// The table.
    pub table: TableName,
    /// Its columns; every frame must have them, and may have more.
    pub columns: Vec<CopyColumn>,
    /// A `bigint` column that numbers the rows of the batch from 0.
    pub sequence: Option<String>,
}

/// The columns that a table made for such a schema would have. `hints` name the types that a frame cannot tell.
pub fn natural_columns(schema: &Schema, hint: impl Fn(&str) -> Option<String>) -> Result<Vec<CopyColumn>, Vec<String>> {
    let mut problems = Vec::new();
    let mut columns = Vec::new();
    for (name, dtype) in schema.iter() {
        let pg = match hint(name) {
            Some(hinted) => PgType::parse(&hinted).filter(|pg| pg.accepts(dtype)),
            None => PgType::natural(dtype),
        };
        match pg {
            Some(pg) => columns.push(CopyColumn { name: name.to_string(), pg }),
            None => problems.push(format!("column `{name}` of type {dtype} has no Postgres type")),
        }
    }
    if problems.is_empty() { Ok(columns) } else { Err(problems) }
}

/// Copies every frame that the iterator yields, in order. The iterator runs on a blocking thread.
/// On an error nothing is written.
pub async fn copy_frames<I>(
    connection: &mut PgConnection,
    target: &CopyTarget,
    frames: I,
) -> Result<CopyReport, WarehouseError>
where
    I: Iterator<Item = Result<DataFrame, WarehouseError>> + Send + 'static,
{
    let names = target.sequence.as_deref().into_iter().chain(target.columns.iter().map(|c| c.name.as_str()));
    let statement = format!("copy {} ({}) from stdin with (format binary)", target.table.quoted(), quote_all(names)?);
    let (sender, mut receiver) = mpsc::channel(IN_FLIGHT);
    let columns = target.columns.clone();
    let numbered = target.sequence.is_some();
    let (ahead, mut waiting) = mpsc::channel(AHEAD);
    let reader = tokio::task::spawn_blocking(move || {
        for frame in frames {
            // Who does not take it has an error to tell, or is gone with the connection.
            if ahead.blocking_send(frame).is_err() {
                return;
            }
        }
    });
    let encoder = tokio::task::spawn_blocking(move || {
        encode_all(std::iter::from_fn(|| waiting.blocking_recv()), &columns, numbered, &sender)
    });

    let mut copy = connection.copy_in_raw(&statement).await?;
    while let Some(message) = receiver.recv().await {
        if let Err(error) = copy.send(message).await {
            // The channel closes, and with it the encoder ends.
            drop(receiver);
            return Err(error.into());
        }
    }
    let encoded = encoder.await?;
    // A reader that panicked looks like one at its end.
    let encoded = reader.await.map_err(WarehouseError::from).and(encoded);
    match encoded {
        Ok(report) => {
            copy.finish().await?;
            Ok(report)
        }
        Err(error) => {
            copy.abort("the batch could not be read").await?;
            Err(error)
        }
    }
}

/// As [`copy_frames`], for one frame.
pub async fn copy_frame(
    connection: &mut PgConnection,
    target: &CopyTarget,
    frame: DataFrame,
) -> Result<CopyReport, WarehouseError> {
    copy_frames(connection, target, std::iter::once(Ok(frame))).await
}

fn encode_all<I>(
    frames: I,
    columns: &[CopyColumn],
    numbered: bool,
    sender: &mpsc::Sender<Vec<u8>>,
) -> Result<CopyReport, WarehouseError>
where
    I: Iterator<Item = Result<DataFrame, WarehouseError>>,
{
    let names: Vec<&str> = columns.iter().map(|c| c.name.as_str()).collect();
    let types: Vec<PgType> = columns.iter().map(|c| c.pg).collect();
    let mut report = CopyReport::default();
    let mut message = Vec::with_capacity(MESSAGE + MESSAGE / 4);
    message.extend_from_slice(encode::HEADER);
    let send = |message: &mut Vec<u8>| {
        if message.len() < MESSAGE {
            return ControlFlow::Continue(());
        }
        let full = std::mem::replace(message, Vec::with_capacity(MESSAGE + MESSAGE / 4));
        if sender.blocking_send(full).is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    for frame in frames {
        let frame = frame?
            .select(names.iter().copied())
            .map_err(WarehouseError::frame("the batch lacks a column of its table"))?;
        for offset in (0..frame.height()).step_by(SLICE) {
            let slice = frame.slice(i64::try_from(offset).unwrap_or(i64::MAX), SLICE);
            let first = i64::try_from(report.rows).unwrap_or(i64::MAX);
            if encode::encode(&slice, &types, first, numbered, &mut message, &mut report.faults, send)?.is_break() {
                return Ok(report);
            }
            report.rows += slice.height() as u64;
        }
    }
    message.extend_from_slice(encode::TRAILER);
    // A receiver that is gone has its own error to report.
    let _ = sender.blocking_send(message);
    Ok(report)
}
