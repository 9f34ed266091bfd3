//! A column under way.

use polars::prelude::{
    BinaryChunkedBuilder, BooleanChunkedBuilder, ChunkedBuilder, Float32Type, Float64Type, Int8Type, Int16Type,
    Int32Type, Int64Type, Int128Type, IntoSeries, PlSmallStr, PrimitiveChunkedBuilder, Series, StringChunkedBuilder,
    TimeUnit, TimeZone, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};

use super::values::{DAY, bits, civil, date_text, decimal, fixed, time};
use crate::extract_mysql::columns::{SourceColumn, SourceType};

/// Collects the values of a column.
pub(super) enum Builder {
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

impl Builder {
    pub(super) fn new(column: &SourceColumn, rows: usize) -> Self {
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

    pub(super) fn push(&mut self, value: Option<&[u8]>) -> Result<(), String> {
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

    pub(super) fn finish(self) -> Series {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extract_mysql::columns::Print;

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
