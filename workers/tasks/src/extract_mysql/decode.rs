//! Rows of `MySQL`'s binary protocol straight into Polars' column builders.
//!
//! The bytes of each value are read here, not by the driver's own conversions: those take zero dates for nulls
//! and make an object of every decimal.

use polars::prelude::{
    BinaryChunkedBuilder, BooleanChunkedBuilder, ChunkedBuilder, Column, DataFrame, Float32Type, Float64Type, Int8Type,
    Int16Type, Int32Type, Int64Type, Int128Type, IntoColumn, IntoSeries, PlSmallStr, PrimitiveChunkedBuilder, Series,
    StringChunkedBuilder, TimeUnit, TimeZone, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use sqlx::{
    Decode, MySql, Row,
    mysql::{MySqlRow, MySqlValueRef},
};
use warehouse::WarehouseError;

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

enum Builder {
    Int8(PrimitiveChunkedBuilder<Int8Type>),
    Int16(PrimitiveChunkedBuilder<Int16Type>),
    Int32(PrimitiveChunkedBuilder<Int32Type>),
    Int64(PrimitiveChunkedBuilder<Int64Type>),
    UInt8(PrimitiveChunkedBuilder<UInt8Type>),
    UInt16(PrimitiveChunkedBuilder<UInt16Type>),
    UInt32(PrimitiveChunkedBuilder<UInt32Type>),
    UInt64(PrimitiveChunkedBuilder<UInt64Type>),
    Bits(PrimitiveChunkedBuilder<UInt64Type>),
    Truth(BooleanChunkedBuilder),
    Float32(PrimitiveChunkedBuilder<Float32Type>),
    Float64(PrimitiveChunkedBuilder<Float64Type>),
    Decimal(PrimitiveChunkedBuilder<Int128Type>, usize, usize),
    Text(StringChunkedBuilder),
    Bytes(BinaryChunkedBuilder),
    DateText(StringChunkedBuilder, SourceType),
    Date(PrimitiveChunkedBuilder<Int32Type>),
    Moment(PrimitiveChunkedBuilder<Int64Type>, Option<TimeZone>),
    Time(PrimitiveChunkedBuilder<Int64Type>),
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
                    self.nulled[index] += u64::from(bytes(row, index).is_some_and(|value| civil(value).is_none()));
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
            if civil(value).is_none() {
                let reason = format!(
                    "{}: {} is not a date",
                    self.columns[index].name,
                    date_text(self.columns[index].kind, value)
                );
                let fields = self.columns.iter().enumerate().map(|(place, column)| {
                    let text = bytes(row, place).and_then(|value| bytes_as_text(column, value));
                    (column.name.clone(), text.map_or(serde_json::Value::Null, serde_json::Value::String))
                });
                let text = serde_json::Value::Object(fields.collect()).to_string();
                return Err(RowFault::Rejected { text, reason });
            }
        }
        Ok(())
    }
}

impl Builder {
    fn new(column: &SourceColumn, rows: usize) -> Self {
        let name = PlSmallStr::from_str(&column.name);
        match column.kind {
            SourceType::Int8 => Self::Int8(PrimitiveChunkedBuilder::new(name, rows)),
            SourceType::Int16 | SourceType::Year => Self::Int16(PrimitiveChunkedBuilder::new(name, rows)),
            SourceType::Int32 => Self::Int32(PrimitiveChunkedBuilder::new(name, rows)),
            SourceType::Int64 => Self::Int64(PrimitiveChunkedBuilder::new(name, rows)),
            SourceType::UInt8 => Self::UInt8(PrimitiveChunkedBuilder::new(name, rows)),
            SourceType::UInt16 => Self::UInt16(PrimitiveChunkedBuilder::new(name, rows)),
            SourceType::UInt32 => Self::UInt32(PrimitiveChunkedBuilder::new(name, rows)),
            SourceType::UInt64 => Self::UInt64(PrimitiveChunkedBuilder::new(name, rows)),
            SourceType::Bits => Self::Bits(PrimitiveChunkedBuilder::new(name, rows)),
            SourceType::Truth => Self::Truth(BooleanChunkedBuilder::new(name, rows)),
            SourceType::Float32 => Self::Float32(PrimitiveChunkedBuilder::new(name, rows)),
            SourceType::Float64 => Self::Float64(PrimitiveChunkedBuilder::new(name, rows)),
            SourceType::Decimal(precision, scale) => {
                Self::Decimal(PrimitiveChunkedBuilder::new(name, rows), precision, scale)
            }
            SourceType::Text | SourceType::Json | SourceType::Uuid | SourceType::WideDecimal(..) => {
                Self::Text(StringChunkedBuilder::new(name, rows))
            }
            SourceType::DateText(_) => Self::DateText(StringChunkedBuilder::new(name, rows), column.kind),
            SourceType::Bytes => Self::Bytes(BinaryChunkedBuilder::new(name, rows)),
            SourceType::Date => Self::Date(PrimitiveChunkedBuilder::new(name, rows)),
            SourceType::Datetime => Self::Moment(PrimitiveChunkedBuilder::new(name, rows), None),
            SourceType::Timestamp => Self::Moment(PrimitiveChunkedBuilder::new(name, rows), Some(TimeZone::UTC)),
            SourceType::Time => Self::Time(PrimitiveChunkedBuilder::new(name, rows)),
        }
    }

    fn push(&mut self, value: Option<&[u8]>) -> Result<(), String> {
        let Some(value) = value else {
            self.push_null();
            return Ok(());
        };
        match self {
            Self::Int8(builder) => builder.append_value(i8::from_le_bytes(fixed(value)?)),
            Self::Int16(builder) => builder.append_value(i16::from_le_bytes(fixed(value)?)),
            Self::Int32(builder) => builder.append_value(i32::from_le_bytes(fixed(value)?)),
            Self::Int64(builder) => builder.append_value(i64::from_le_bytes(fixed(value)?)),
            Self::UInt8(builder) => builder.append_value(u8::from_le_bytes(fixed(value)?)),
            Self::UInt16(builder) => builder.append_value(u16::from_le_bytes(fixed(value)?)),
            Self::UInt32(builder) => builder.append_value(u32::from_le_bytes(fixed(value)?)),
            Self::UInt64(builder) => builder.append_value(u64::from_le_bytes(fixed(value)?)),
            Self::Bits(builder) => builder.append_value(bits(value)?),
            Self::Truth(builder) => builder.append_value(bits(value)? != 0),
            Self::Float32(builder) => builder.append_value(f32::from_le_bytes(fixed(value)?)),
            Self::Float64(builder) => builder.append_value(f64::from_le_bytes(fixed(value)?)),
            Self::Decimal(builder, _, scale) => builder.append_value(decimal(value, *scale)?),
            Self::Text(builder) => builder.append_value(std::str::from_utf8(value).map_err(|e| e.to_string())?),
            Self::Bytes(builder) => builder.append_value(value),
            Self::DateText(builder, kind) => builder.append_value(date_text(*kind, value)),
            Self::Date(builder) => match civil(value) {
                Some((days, _)) => builder.append_value(days),
                None => builder.append_null(),
            },
            Self::Moment(builder, _) => match civil(value) {
                Some((days, micros)) => builder.append_value(i64::from(days) * DAY + micros),
                None => builder.append_null(),
            },
            Self::Time(builder) => builder.append_value(time(value)?),
        }
        Ok(())
    }

    fn push_null(&mut self) {
        match self {
            Self::Int8(builder) => builder.append_null(),
            Self::Int16(builder) => builder.append_null(),
            Self::Int32(builder) | Self::Date(builder) => builder.append_null(),
            Self::Int64(builder) | Self::Moment(builder, _) | Self::Time(builder) => builder.append_null(),
            Self::UInt8(builder) => builder.append_null(),
            Self::UInt16(builder) => builder.append_null(),
            Self::UInt32(builder) => builder.append_null(),
            Self::UInt64(builder) | Self::Bits(builder) => builder.append_null(),
            Self::Truth(builder) => builder.append_null(),
            Self::Float32(builder) => builder.append_null(),
            Self::Float64(builder) => builder.append_null(),
            Self::Decimal(builder, ..) => builder.append_null(),
            Self::Text(builder) | Self::DateText(builder, _) => builder.append_null(),
            Self::Bytes(builder) => builder.append_null(),
        }
    }

    fn finish(self) -> Series {
        match self {
            Self::Int8(builder) => builder.finish().into_series(),
            Self::Int16(builder) => builder.finish().into_series(),
            Self::Int32(builder) => builder.finish().into_series(),
            Self::Int64(builder) => builder.finish().into_series(),
            Self::UInt8(builder) => builder.finish().into_series(),
            Self::UInt16(builder) => builder.finish().into_series(),
            Self::UInt32(builder) => builder.finish().into_series(),
            Self::UInt64(builder) | Self::Bits(builder) => builder.finish().into_series(),
            Self::Truth(builder) => builder.finish().into_series(),
            Self::Float32(builder) => builder.finish().into_series(),
            Self::Float64(builder) => builder.finish().into_series(),
            Self::Decimal(builder, precision, scale) => {
                builder.finish().into_decimal_unchecked(precision, scale).into_series()
            }
            Self::Text(builder) | Self::DateText(builder, _) => builder.finish().into_series(),
            Self::Bytes(builder) => builder.finish().into_series(),
            Self::Date(builder) => builder.finish().into_date().into_series(),
            Self::Moment(builder, zone) => builder.finish().into_datetime(TimeUnit::Microseconds, zone).into_series(),
            Self::Time(builder) => builder.finish().into_duration(TimeUnit::Microseconds).into_series(),
        }
    }
}

/// Microseconds of a day.
const DAY: i64 = 86_400_000_000;

/// A value as the source would print it; none where it is null.
pub(super) fn as_text(column: &SourceColumn, value: MySqlValueRef<'_>) -> Option<String> {
    let value = <&[u8] as Decode<MySql>>::decode(value).ok()?;
    bytes_as_text(column, value)
}

fn bytes(row: &MySqlRow, index: usize) -> Option<&[u8]> {
    // The one error is that the value is null.
    row.try_get_raw(index).ok().and_then(|value| <&[u8] as Decode<MySql>>::decode(value).ok())
}

fn bytes_as_text(column: &SourceColumn, value: &[u8]) -> Option<String> {
    Some(match column.kind {
        SourceType::Int8 => i8::from_le_bytes(fixed(value).ok()?).to_string(),
        SourceType::Int16 => i16::from_le_bytes(fixed(value).ok()?).to_string(),
        SourceType::Int32 => i32::from_le_bytes(fixed(value).ok()?).to_string(),
        SourceType::Int64 => i64::from_le_bytes(fixed(value).ok()?).to_string(),
        SourceType::UInt8 => u8::from_le_bytes(fixed(value).ok()?).to_string(),
        SourceType::UInt16 | SourceType::Year => u16::from_le_bytes(fixed(value).ok()?).to_string(),
        SourceType::UInt32 => u32::from_le_bytes(fixed(value).ok()?).to_string(),
        SourceType::UInt64 => u64::from_le_bytes(fixed(value).ok()?).to_string(),
        SourceType::Bits | SourceType::Truth => bits(value).ok()?.to_string(),
        SourceType::Float32 => f32::from_le_bytes(fixed(value).ok()?).to_string(),
        SourceType::Float64 => f64::from_le_bytes(fixed(value).ok()?).to_string(),
        SourceType::Date | SourceType::Datetime | SourceType::Timestamp | SourceType::DateText(_) => {
            date_text(column.kind, value)
        }
        SourceType::Time => format!("{} µs", time(value).ok()?),
        SourceType::Bytes => workflow::hex::encode(value),
        SourceType::Decimal(..)
        | SourceType::WideDecimal(..)
        | SourceType::Text
        | SourceType::Uuid
        | SourceType::Json => String::from_utf8_lossy(value).into_owned(),
    })
}

fn fixed<const N: usize>(value: &[u8]) -> Result<[u8; N], String> {
    value.try_into().map_err(|_| format!("{} bytes where {N} were expected", value.len()))
}

/// Big-endian bits.
fn bits(value: &[u8]) -> Result<u64, String> {
    if value.len() > 8 {
        return Err(format!("{} bytes of bits", value.len()));
    }
    Ok(value.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

/// `-123.45` at `scale` 2 is -12345.
fn decimal(text: &[u8], scale: usize) -> Result<i128, String> {
    let fault = || format!("`{}` is not a decimal", String::from_utf8_lossy(text));
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let mut number: i128 = 0;
    // Most decimals fit 64 bits, where arithmetic is quick.
    let mut small: u64 = 0;
    let mut taken = 0;
    let mut after_point = None;
    for byte in digits {
        match byte {
            b'0'..=b'9' => {
                let digit = byte - b'0';
                if taken < 18 {
                    small = small * 10 + u64::from(digit);
                } else {
                    if taken == 18 {
                        number = i128::from(small);
                    }
                    number = number.checked_mul(10).and_then(|n| n.checked_add(i128::from(digit))).ok_or_else(fault)?;
                }
                taken += 1;
                if let Some(places) = &mut after_point {
                    *places += 1;
                }
            }
            b'.' if after_point.is_none() => after_point = Some(0),
            _ => return Err(fault()),
        }
    }
    if taken <= 18 {
        number = i128::from(small);
    }
    let places: usize = after_point.unwrap_or(0);
    let missing = scale.checked_sub(places).and_then(|m| u32::try_from(m).ok()).ok_or_else(fault)?;
    let scaled = number.checked_mul(10i128.pow(missing)).ok_or_else(fault)?;
    Ok(if negative { -scaled } else { scaled })
}

/// Days since 1970 and microseconds of the day; none where year, month or day is zero, or the month has no such day
/// (`ALLOW_INVALID_DATES`).
fn civil(value: &[u8]) -> Option<(i32, i64)> {
    let [_, y0, y1, month, day, rest @ ..] = value else { return None };
    let year = u16::from_le_bytes([*y0, *y1]);
    if year == 0 || *month == 0 || *day == 0 || *day > days_of(year, *month) {
        return None;
    }
    let micros = match rest {
        [] => 0,
        [hour, minute, second, fraction @ ..] => clock(*hour, *minute, *second) + micros(fraction),
        _ => return None,
    };
    Some((days(i32::from(year), i32::from(*month), i32::from(*day)), micros))
}

/// Days that a month has.
fn days_of(year: u16, month: u8) -> u8 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to a day of the proleptic Gregorian calendar, counted in years that begin in March,
/// so that the leap day comes last.
fn days(year: i32, month: i32, day: i32) -> i32 {
    let year = if month <= 2 { year - 1 } else { year };
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    // 719468 days lie between 0000-03-01 and 1970-01-01.
    year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - 719_468
}

/// Microseconds of a length of time.
fn time(value: &[u8]) -> Result<i64, String> {
    match value {
        [0] => Ok(0),
        [_, negative, d0, d1, d2, d3, hour, minute, second, fraction @ ..] => {
            let days = i64::from(u32::from_le_bytes([*d0, *d1, *d2, *d3]));
            let span = days * DAY + clock(*hour, *minute, *second) + micros(fraction);
            Ok(if *negative == 0 { span } else { -span })
        }
        _ => Err(format!("{} bytes of time", value.len())),
    }
}

fn clock(hour: u8, minute: u8, second: u8) -> i64 {
    (i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second)) * 1_000_000
}

fn micros(fraction: &[u8]) -> i64 {
    match fraction {
        [a, b, c, d] => i64::from(u32::from_le_bytes([*a, *b, *c, *d])),
        _ => 0,
    }
}

/// A date as `MySQL` writes it, all its digits: marks of one cursor are of one width, though the protocol leaves
/// out a time that is zero.
fn date_text(kind: SourceType, value: &[u8]) -> String {
    let part = |index: usize| value.get(index).copied().unwrap_or(0);
    let year = u16::from_le_bytes([part(1), part(2)]);
    let date = format!("{year:04}-{:02}-{:02}", part(3), part(4));
    let fraction = micros(value.get(8..).unwrap_or_default());
    if matches!(kind, SourceType::Date | SourceType::DateText(false)) {
        return date;
    }
    format!("{date} {:02}:{:02}:{:02}.{fraction:06}", part(5), part(6), part(7))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extract_mysql::columns::Print;

    #[test]
    fn decimals_are_exact() {
        assert_eq!(decimal(b"-123.45", 2), Ok(-12_345));
        assert_eq!(decimal(b"0.00", 2), Ok(0));
        assert_eq!(decimal(b"5", 3), Ok(5_000));
        assert_eq!(decimal(b"99999999999999999999999999999999.999999", 6), Ok(10i128.pow(38) - 1));
        assert!(decimal(b"1e5", 2).is_err());
        assert!(decimal(b"1.234", 2).is_err());
    }

    #[test]
    fn days_agree_with_the_calendar() {
        for (y, m, d) in [(1970, 1, 1), (2000, 2, 29), (1900, 3, 1), (9999, 12, 31), (1000, 1, 1), (2026, 11, 21)] {
            let day = chrono::NaiveDate::from_ymd_opt(y, m, d).expect("a day");
            let epoch = chrono::NaiveDate::from_ymd_opt(1970, 1, 1).expect("a day");
            let signed = |n: u32| i32::try_from(n).expect("small");
            assert_eq!(i64::from(days(y, signed(m), signed(d))), day.signed_duration_since(epoch).num_days(), "{day}");
        }
    }

    #[test]
    fn zero_dates_are_no_dates() {
        assert_eq!(civil(&[0]), None);
        assert_eq!(civil(&[4, 0xE8, 0x07, 0, 1]), None, "2024-00-01");
        assert_eq!(civil(&[4, 0xB2, 0x07, 1, 1]), Some((0, 0)), "1970-01-01");
        assert_eq!(civil(&[4, 0xE7, 0x07, 2, 29]), None, "2023-02-29");
        assert!(civil(&[4, 0xE8, 0x07, 2, 29]).is_some(), "2024-02-29");
        assert_eq!(date_text(SourceType::Date, &[0]), "0000-00-00");
        assert_eq!(date_text(SourceType::Datetime, &[0]), "0000-00-00 00:00:00.000000");
    }

    #[test]
    fn every_source_type_gives_the_type_that_its_schema_says() {
        for kind in [
            SourceType::Int8,
            SourceType::Int16,
            SourceType::Int32,
            SourceType::Int64,
            SourceType::UInt8,
            SourceType::UInt16,
            SourceType::UInt32,
            SourceType::UInt64,
            SourceType::Year,
            SourceType::Truth,
            SourceType::Bits,
            SourceType::Float32,
            SourceType::Float64,
            SourceType::Decimal(12, 2),
            SourceType::WideDecimal(65, 30),
            SourceType::Text,
            SourceType::Uuid,
            SourceType::DateText(true),
            SourceType::Json,
            SourceType::Bytes,
            SourceType::Date,
            SourceType::Datetime,
            SourceType::Timestamp,
            SourceType::Time,
        ] {
            let column = SourceColumn { name: "x".to_owned(), kind, nullable: true, print: Print::default() };
            let mut builder = Builder::new(&column, 1);
            builder.push(None).expect("null");
            let dtype = builder.finish().dtype().clone();
            assert_eq!(dtype, kind.dtype(), "{kind:?}");
        }
    }
}
