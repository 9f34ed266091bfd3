//! Frames to the rows of Postgres' binary COPY format.
//!
//! A value that the target cannot hold makes its row fail, and is sent as NULL (text with NUL characters: with
//! each of them spelled `\0`), so that the row stays countable until whoever stages it takes it out.

use std::ops::ControlFlow;

use polars::prelude::{ChunkedArray, DataFrame, DataType, Int64Chunked, PolarsNumericType, Series};

use super::{
    json, numeric,
    types::{PgType, to_micros},
};
use crate::error::WarehouseError;

/// What a binary COPY begins with: signature, flags, length of an extension.
pub(super) const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// What it ends with.
pub(super) const TRAILER: &[u8] = &(-1i16).to_be_bytes();

const DAYS_1970_TO_2000: i64 = 10_957;
const MICROS_1970_TO_2000: i64 = 946_684_800_000_000;
/// The largest integer below which every integer is a double.
const EXACT_DOUBLE: u64 = 1 << 53;

/// A value that its column cannot hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CellFault {
    /// Place of its row in the batch, from 0.
    pub row: i64,
    /// Its column.
    pub column: String,
    /// Why not: `99999 is out of range for smallint`.
    pub reason: String,
}

/// Writes the value of one row; an error is why it cannot.
type Cells<'a> = Box<dyn Fn(usize, &mut Vec<u8>) -> Result<(), String> + 'a>;

/// Appends the rows of `frame`, whose columns are `types` in order. `first` is the place of the first row in
/// the batch; where rows are `numbered`, a column with their places comes first. After each row `sent` may take what
/// is there, and ends the work where it says so.
pub(super) fn encode(
    frame: &DataFrame,
    types: &[PgType],
    first: i64,
    numbered: bool,
    out: &mut Vec<u8>,
    faults: &mut Vec<CellFault>,
    mut sent: impl FnMut(&mut Vec<u8>) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, WarehouseError> {
    if frame.height() == 0 {
        return Ok(ControlFlow::Continue(()));
    }
    let columns: Vec<Series> = frame
        .columns()
        .iter()
        .zip(types)
        .map(|(column, pg)| physical(column.as_materialized_series(), *pg))
        .collect::<Result<_, _>>()?;
    let cells: Vec<Cells<'_>> = columns
        .iter()
        .zip(frame.columns())
        .zip(types)
        .map(|((series, column), pg)| cells(series, column.dtype(), *pg))
        .collect::<Result<_, _>>()?;
    let fields = cells.len() + usize::from(numbered);
    let fields = i16::try_from(fields).unwrap_or(i16::MAX).to_be_bytes();
    for (row, number) in (0..frame.height()).zip(first..) {
        out.extend_from_slice(&fields);
        if numbered {
            eight(out, number.to_be_bytes());
        }
        for (index, cell) in cells.iter().enumerate() {
            let start = out.len();
            if let Err(reason) = cell(row, out) {
                // Text that was repaired stands; anything else becomes NULL.
                if out.len() == start {
                    null(out);
                }
                faults.push(CellFault { row: number, column: frame.columns()[index].name().to_string(), reason });
            }
        }
        if sent(out).is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}

/// One chunk of the storage type that [`cells`] reads: 64-bit integers for whatever is an integer inside.
fn physical(series: &Series, pg: PgType) -> Result<Series, WarehouseError> {
    let plain = series.to_physical_repr().into_owned();
    let wide = match (plain.dtype(), pg) {
        (DataType::Null, _) => plain.cast(&DataType::Int64),
        (DataType::Float32 | DataType::Float64, _) => plain.cast(&DataType::Float64),
        (DataType::UInt64, _) => Ok(plain),
        (dtype, _) if dtype.is_integer() && *dtype != DataType::Int128 => plain.cast(&DataType::Int64),
        _ => Ok(plain),
    };
    Ok(wide.map_err(WarehouseError::frame(format!("cannot read column `{}`", series.name())))?.rechunk())
}

fn cells<'a>(series: &'a Series, dtype: &DataType, pg: PgType) -> Result<Cells<'a>, WarehouseError> {
    let failed = || WarehouseError::frame(format!("cannot read column `{}`", series.name()));
    let nothing: Cells<'a> = Box::new(|_, out| {
        null(out);
        Ok(())
    });
    if *dtype == DataType::Null {
        return Ok(nothing);
    }
    let integers = || series.i64().map_err(failed());
    Ok(match (series.dtype(), pg) {
        (DataType::Boolean, PgType::Bool) => {
            let Some(array) = series.bool().map_err(failed())?.downcast_iter().next() else { return Ok(nothing) };
            Box::new(move |row, out| {
                match array.get(row) {
                    Some(truth) => value(out, &[u8::from(truth)]),
                    None => null(out),
                }
                Ok(())
            })
        }
        (DataType::UInt64, PgType::Numeric(limits)) => {
            let decimal = decimals(0, limits);
            numbers(series.u64().map_err(failed())?, move |number, out| decimal(i128::from(number), out))
        }
        (DataType::UInt64, _) => numbers(series.u64().map_err(failed())?, move |number, out| {
            let signed = i64::try_from(number).map_err(|_| out_of_range(number, pg))?;
            integer(signed, pg, out)
        }),
        (DataType::Int128, PgType::Numeric(limits)) => {
            let DataType::Decimal(_, scale) = dtype else { return Ok(unfit(dtype, pg)) };
            let scale = u32::try_from(*scale).unwrap_or(0);
            numbers(series.i128().map_err(failed())?, decimals(scale, limits))
        }
        (DataType::Float64, PgType::Float8) => numbers(series.f64().map_err(failed())?, |number, out| {
            eight(out, number.to_be_bytes());
            Ok(())
        }),
        (DataType::Float64, PgType::Float4) => numbers(series.f64().map_err(failed())?, |number, out| {
            #[expect(clippy::cast_possible_truncation, reason = "the column came from 32-bit floats")]
            four(out, (number as f32).to_be_bytes());
            Ok(())
        }),
        (DataType::Int64, _) => temporal_or_integer(integers()?, dtype, pg),
        (DataType::Binary, PgType::Bytea) => {
            let Some(array) = series.binary().map_err(failed())?.downcast_iter().next() else { return Ok(nothing) };
            Box::new(move |row, out| {
                match array.get(row) {
                    Some(bytes) => value(out, bytes),
                    None => null(out),
                }
                Ok(())
            })
        }
        (DataType::String, _) => {
            let Some(array) = series.str().map_err(failed())?.downcast_iter().next() else { return Ok(nothing) };
            Box::new(move |row, out| {
                if let Some(string) = array.get(row) {
                    text(string, pg, out)
                } else {
                    null(out);
                    Ok(())
                }
            })
        }
        _ => unfit(dtype, pg),
    })
}

fn temporal_or_integer<'a>(array: &'a Int64Chunked, dtype: &DataType, pg: PgType) -> Cells<'a> {
    match (dtype, pg) {
        (DataType::Date, PgType::Date) => numbers(array, |days, out| {
            let days = i32::try_from(days - DAYS_1970_TO_2000).map_err(|_| format!("day {days} is out of range"))?;
            four(out, days.to_be_bytes());
            Ok(())
        }),
        (DataType::Time, PgType::Time) => numbers(array, |nanos, out| {
            eight(out, micros(nanos, 1, 1000)?.to_be_bytes());
            Ok(())
        }),
        (DataType::Datetime(unit, _), PgType::Timestamp | PgType::Timestamptz) => {
            let (multiplier, divisor) = to_micros(*unit);
            numbers(array, move |instant, out| {
                let micros = micros(instant, multiplier, divisor)?
                    .checked_sub(MICROS_1970_TO_2000)
                    .ok_or_else(|| out_of_range(instant, pg))?;
                eight(out, micros.to_be_bytes());
                Ok(())
            })
        }
        (DataType::Duration(unit), PgType::Interval) => {
            let (multiplier, divisor) = to_micros(*unit);
            numbers(array, move |span, out| {
                // 16 bytes: microseconds, then no days and no months.
                out.extend_from_slice(&16i32.to_be_bytes());
                out.extend_from_slice(&micros(span, multiplier, divisor)?.to_be_bytes());
                out.extend_from_slice(&[0; 8]);
                Ok(())
            })
        }
        (dtype, PgType::Numeric(limits)) if dtype.is_integer() => {
            let decimal = decimals(0, limits);
            numbers(array, move |number, out| decimal(i128::from(number), out))
        }
        (dtype, _) if dtype.is_integer() => numbers(array, move |number, out| integer(number, pg, out)),
        _ => unfit(dtype, pg),
    }
}

fn numbers<'a, T: PolarsNumericType>(
    array: &'a ChunkedArray<T>,
    write: impl Fn(T::Native, &mut Vec<u8>) -> Result<(), String> + 'a,
) -> Cells<'a> {
    let Some(array) = array.downcast_iter().next() else {
        return Box::new(|_, out| {
            null(out);
            Ok(())
        });
    };
    let values: &[T::Native] = array.values();
    let validity = array.validity();
    Box::new(move |row, out| {
        if validity.is_some_and(|valid| !valid.get_bit(row)) {
            null(out);
            return Ok(());
        }
        let start = out.len();
        write(values[row], out).inspect_err(|_| out.truncate(start))
    })
}

/// For a pair that [`PgType::accepts`] refuses; the contract check keeps it from happening.
fn unfit<'a>(dtype: &DataType, pg: PgType) -> Cells<'a> {
    let reason = format!("{dtype} cannot become {pg}");
    Box::new(move |_, _| Err(reason.clone()))
}

fn value(out: &mut Vec<u8>, bytes: &[u8]) {
    // A field of 2 GiB or more cannot be: a Polars view counts its bytes in 32 bits, and Postgres stops at 1 GiB.
    out.extend_from_slice(&i32::try_from(bytes.len()).unwrap_or(i32::MAX).to_be_bytes());
    out.extend_from_slice(bytes);
}

// Length and value in one piece: each append costs as much as what it appends.

fn two(out: &mut Vec<u8>, [a, b]: [u8; 2]) {
    out.extend_from_slice(&[0, 0, 0, 2, a, b]);
}

fn four(out: &mut Vec<u8>, [a, b, c, d]: [u8; 4]) {
    out.extend_from_slice(&[0, 0, 0, 4, a, b, c, d]);
}

fn eight(out: &mut Vec<u8>, bytes: [u8; 8]) {
    let mut cell = [0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0];
    cell[4..].copy_from_slice(&bytes);
    out.extend_from_slice(&cell);
}

fn null(out: &mut Vec<u8>) {
    out.extend_from_slice(&(-1i32).to_be_bytes());
}

fn integer(number: i64, pg: PgType, out: &mut Vec<u8>) -> Result<(), String> {
    match pg {
        PgType::Int2 => two(out, i16::try_from(number).map_err(|_| out_of_range(number, pg))?.to_be_bytes()),
        PgType::Int4 => four(out, i32::try_from(number).map_err(|_| out_of_range(number, pg))?.to_be_bytes()),
        PgType::Int8 => eight(out, number.to_be_bytes()),
        PgType::Float8 if number.unsigned_abs() <= EXACT_DOUBLE => eight(out, (number as f64).to_be_bytes()),
        _ => return Err(out_of_range(number, pg)),
    }
    Ok(())
}

/// Writes numbers with so many digits behind the point.
fn decimals(scale: u32, limits: Option<(u32, u32)>) -> impl Fn(i128, &mut Vec<u8>) -> Result<(), String> {
    let fit = limits.map(|(precision, digits)| numeric::Fit::new(scale, precision, digits));
    move |unscaled, out| {
        if let (Some(fit), Some((precision, digits))) = (&fit, limits)
            && !fit.holds(unscaled)
        {
            let point = if scale == 0 { String::new() } else { format!("e-{scale}") };
            return Err(format!("{unscaled}{point} is out of range for numeric({precision},{digits})"));
        }
        numeric::write(unscaled, scale, out);
        Ok(())
    }
}

fn micros(instant: i64, multiplier: i64, divisor: i64) -> Result<i64, String> {
    if instant % divisor != 0 {
        return Err(format!("{instant} ns is finer than a microsecond"));
    }
    (instant / divisor).checked_mul(multiplier).ok_or_else(|| format!("{instant} is out of range"))
}

fn text(string: &str, pg: PgType, out: &mut Vec<u8>) -> Result<(), String> {
    let nul = string.as_bytes().contains(&0);
    match pg {
        PgType::Text(limit) => {
            if nul {
                value(out, string.replace('\0', "\\0").as_bytes());
                let place = string.chars().take_while(|c| *c != '\0').count() + 1;
                return Err(format!("text holds a NUL character, at {place}"));
            }
            if let Some(most) = limit
                && string.len() > most as usize
                && string.chars().count() > most as usize
            {
                return Err(format!("text is longer than {most} characters"));
            }
            value(out, string.as_bytes());
        }
        PgType::Json | PgType::Jsonb => {
            json::check(string, pg == PgType::Jsonb)?;
            if pg == PgType::Json {
                value(out, string.as_bytes());
            } else {
                let length = i32::try_from(string.len() + 1).map_err(|_| "JSON is too long".to_owned())?;
                out.extend_from_slice(&length.to_be_bytes());
                // Version of the binary form of jsonb.
                out.push(1);
                out.extend_from_slice(string.as_bytes());
            }
        }
        PgType::Numeric(limits) => numeric::write_text(string, limits, out)?,
        PgType::Uuid => {
            let id = uuid::Uuid::parse_str(string).map_err(|_| "not a UUID".to_owned())?;
            value(out, id.as_bytes());
        }
        _ => return Err(format!("text cannot become {pg}")),
    }
    Ok(())
}

fn out_of_range(number: impl std::fmt::Display, pg: PgType) -> String {
    format!("{number} is out of range for {pg}")
}
