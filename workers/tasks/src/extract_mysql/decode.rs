//! Rows of `MySQL`'s binary protocol straight into Polars' column builders.
//!
//! The bytes of each value are read here, not by the driver's own conversions: those take zero dates for nulls
//! and make an object of every decimal.

mod builder;
mod values;

use polars::prelude::{Column, DataFrame, IntoColumn};
use sqlx::{
    Decode, MySql, Row,
    mysql::{MySqlRow, MySqlValueRef},
};
use warehouse::WarehouseError;

use self::{
    builder::Builder,
    values::{date_text, is_date, text},
};
use super::{
    ZeroDates,
    columns::{SourceColumn, SourceType},
};

/// Why a row is not in the frame.
#[derive(Debug)]
pub(super) enum RowFault {
    /// It holds something that is no value; it goes to the rejected rows as text.
    Rejected {
        /// The row as JSON text.
        text: String,
        /// Which value, and what is wrong.
        reason: String,
    },
    /// The protocol was not understood.
    Broken(String),
}

/// Collects rows into frames.
pub(super) struct Decoder {
    columns: Vec<SourceColumn>,
    zero_dates: ZeroDates,
    capacity: usize,
    builders: Vec<Builder>,
    /// Columns that can hold a date which is none.
    dates: Vec<usize>,
    /// Dates of each column that were none, and became null.
    nulled: Vec<u64>,
    rows: usize,
}

impl Decoder {
    pub(super) fn new(columns: &[SourceColumn], zero_dates: ZeroDates, capacity: usize) -> Self {
        let dates = columns
            .iter()
            .enumerate()
            .filter(|(_, c)| matches!(c.kind, SourceType::Date | SourceType::Datetime | SourceType::Timestamp))
            .map(|(index, _)| index)
            .collect();
        let builders = columns.iter().map(|column| Builder::new(column, capacity)).collect();
        let nulled = vec![0; columns.len()];
        Self { columns: columns.to_vec(), zero_dates, capacity, builders, dates, nulled, rows: 0 }
    }

    /// Columns of which dates that are none became nulls, and how many did.
    pub(super) fn nulled(&self) -> impl Iterator<Item = (&str, u64)> {
        let counted = self.columns.iter().zip(&self.nulled);
        counted.filter(|(_, count)| **count > 0).map(|(column, count)| (column.name.as_str(), *count))
    }

    /// Rows collected since the last frame.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Adds a row.
    pub(super) fn push(&mut self, row: &MySqlRow) -> Result<(), RowFault> {
        match self.zero_dates {
            ZeroDates::Reject => self.refuse_zero_dates(row)?,
            ZeroDates::Null => {
                for &index in &self.dates {
                    self.nulled[index] += u64::from(bytes(row, index).is_some_and(|value| !is_date(value)));
                }
            }
            // What is left to look at is the cursor, and a mark must be a date.
            ZeroDates::Text => self.refuse_zero_dates(row)?,
        }
        for (index, builder) in self.builders.iter_mut().enumerate() {
            builder
                .push(bytes(row, index))
                .map_err(|reason| RowFault::Broken(format!("column `{}`: {reason}", self.columns[index].name)))?;
        }
        self.rows += 1;
        Ok(())
    }

    /// The rows collected so far, as a frame.
    pub(super) fn take(&mut self) -> Result<DataFrame, WarehouseError> {
        let fresh = self.columns.iter().map(|column| Builder::new(column, self.capacity)).collect();
        let full = std::mem::replace(&mut self.builders, fresh);
        self.rows = 0;
        let columns: Vec<Column> = full.into_iter().map(|builder| builder.finish().into_column()).collect();
        DataFrame::new_infer_height(columns).map_err(WarehouseError::frame("cannot make a frame of the rows read"))
    }

    fn refuse_zero_dates(&self, row: &MySqlRow) -> Result<(), RowFault> {
        for &index in &self.dates {
            let Some(value) = bytes(row, index) else { continue };
            if !is_date(value) {
                let reason = format!(
                    "{}: {} is not a date",
                    self.columns[index].name,
                    date_text(self.columns[index].kind, value)
                );
                let fields = self.columns.iter().enumerate().map(|(place, column)| {
                    let text = bytes(row, place).and_then(|value| text(column, value));
                    (column.name.clone(), text.map_or(serde_json::Value::Null, serde_json::Value::String))
                });
                let text = serde_json::Value::Object(fields.collect()).to_string();
                return Err(RowFault::Rejected { text, reason });
            }
        }
        Ok(())
    }
}

/// A value as the source would print it; none where it is null.
pub(super) fn as_text(column: &SourceColumn, value: MySqlValueRef<'_>) -> Option<String> {
    let value = <&[u8] as Decode<MySql>>::decode(value).ok()?;
    text(column, value)
}

fn bytes(row: &MySqlRow, index: usize) -> Option<&[u8]> {
    // The one error is that the value is null.
    row.try_get_raw(index).ok().and_then(|value| <&[u8] as Decode<MySql>>::decode(value).ok())
}
