//! Postgres types that a frame's column can become, and which column fits which.

use std::fmt;

use polars::prelude::{DataType, TimeUnit};

/// A Postgres type that COPY can be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PgType {
    /// `boolean`
    Bool,
    /// `smallint`
    Int2,
    /// `integer`
    Int4,
    /// `bigint`
    Int8,
    /// `numeric`, or `numeric(precision, scale)`
    Numeric(Option<(u32, u32)>),
    /// `real`
    Float4,
    /// `double precision`
    Float8,
    /// `text`, or `varchar(n)` with its most characters
    Text(Option<u32>),
    /// `bytea`
    Bytea,
    /// `date`
    Date,
    /// `time`
    Time,
    /// `timestamp`
    Timestamp,
    /// `timestamptz`
    Timestamptz,
    /// `interval`
    Interval,
    /// `json`
    Json,
    /// `jsonb`
    Jsonb,
    /// `uuid`
    Uuid,
}

impl PgType {
    /// Whether it holds whole numbers and no others.
    pub fn is_whole(self) -> bool {
        matches!(self, Self::Int2 | Self::Int4 | Self::Int8 | Self::Numeric(Some((_, 0))))
    }

    /// Reads what `format_type` prints. `None`: a type that we do not write.
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "boolean" => Self::Bool,
            "smallint" => Self::Int2,
            "integer" => Self::Int4,
            "bigint" => Self::Int8,
            "numeric" => Self::Numeric(None),
            "real" => Self::Float4,
            "double precision" => Self::Float8,
            "text" | "character varying" => Self::Text(None),
            "bytea" => Self::Bytea,
            "date" => Self::Date,
            "time without time zone" | "time" => Self::Time,
            "timestamp without time zone" | "timestamp" => Self::Timestamp,
            "timestamp with time zone" | "timestamptz" => Self::Timestamptz,
            "interval" => Self::Interval,
            "json" => Self::Json,
            "jsonb" => Self::Jsonb,
            "uuid" => Self::Uuid,
            _ => {
                let (base, arguments) = name.strip_suffix(')')?.split_once('(')?;
                match base {
                    "numeric" => {
                        let (precision, scale) = arguments.split_once(',').unwrap_or((arguments, "0"));
                        Self::Numeric(Some((precision.trim().parse().ok()?, scale.trim().parse().ok()?)))
                    }
                    "character varying" | "varchar" => Self::Text(Some(arguments.parse().ok()?)),
                    _ => return None,
                }
            }
        })
    }

    /// The type that holds every value of such a column and nothing less exact.
    pub fn natural(dtype: &DataType) -> Option<Self> {
        Some(match dtype {
            DataType::Boolean => Self::Bool,
            DataType::Int8 | DataType::UInt8 | DataType::Int16 => Self::Int2,
            DataType::UInt16 | DataType::Int32 => Self::Int4,
            DataType::UInt32 | DataType::Int64 => Self::Int8,
            DataType::UInt64 => Self::Numeric(Some((20, 0))),
            DataType::Decimal(precision, scale) => {
                Self::Numeric(Some((u32::try_from(*precision).ok()?, u32::try_from(*scale).ok()?)))
            }
            DataType::Float32 => Self::Float4,
            DataType::Float64 => Self::Float8,
            DataType::String | DataType::Null => Self::Text(None),
            DataType::Binary => Self::Bytea,
            DataType::Date => Self::Date,
            DataType::Time => Self::Time,
            DataType::Datetime(_, None) => Self::Timestamp,
            DataType::Datetime(_, Some(_)) => Self::Timestamptz,
            DataType::Duration(_) => Self::Interval,
            _ => return None,
        })
    }

    /// Whether a column of `dtype` can go into this type, value by value: a single value that does not fit
    /// makes its own row fail, never the column.
    pub fn accepts(self, dtype: &DataType) -> bool {
        let integer = dtype.is_integer() && !matches!(dtype, DataType::Int128 | DataType::UInt128);
        match self {
            _ if *dtype == DataType::Null => true,
            Self::Bool => *dtype == DataType::Boolean,
            Self::Int2 | Self::Int4 | Self::Int8 => integer,
            // What no frame holds as a decimal comes as text.
            Self::Numeric(None | Some((39.., _))) if *dtype == DataType::String => true,
            Self::Numeric(_) => integer || matches!(dtype, DataType::Decimal(..)),
            Self::Float4 => *dtype == DataType::Float32,
            Self::Float8 => {
                matches!(dtype, DataType::Float32 | DataType::Float64) || (integer && *dtype != DataType::UInt64)
            }
            Self::Text(_) | Self::Json | Self::Jsonb | Self::Uuid => *dtype == DataType::String,
            Self::Bytea => *dtype == DataType::Binary,
            Self::Date => *dtype == DataType::Date,
            Self::Time => *dtype == DataType::Time,
            Self::Timestamp => matches!(dtype, DataType::Datetime(_, None)),
            Self::Timestamptz => matches!(dtype, DataType::Datetime(_, Some(_))),
            Self::Interval => matches!(dtype, DataType::Duration(_)),
        }
    }
}

impl fmt::Display for PgType {
    /// As in DDL.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Bool => "boolean",
            Self::Int2 => "smallint",
            Self::Int4 => "integer",
            Self::Int8 => "bigint",
            Self::Numeric(None) => "numeric",
            Self::Numeric(Some((precision, scale))) => return write!(out, "numeric({precision},{scale})"),
            Self::Float4 => "real",
            Self::Float8 => "double precision",
            Self::Text(None) => "text",
            Self::Text(Some(most)) => return write!(out, "character varying({most})"),
            Self::Bytea => "bytea",
            Self::Date => "date",
            Self::Time => "time without time zone",
            Self::Timestamp => "timestamp without time zone",
            Self::Timestamptz => "timestamp with time zone",
            Self::Interval => "interval",
            Self::Json => "json",
            Self::Jsonb => "jsonb",
            Self::Uuid => "uuid",
        })
    }
}

/// `(multiplier, divisor)` that turns a Polars time unit into microseconds.
pub(super) fn to_micros(unit: TimeUnit) -> (i64, i64) {
    match unit {
        TimeUnit::Milliseconds => (1000, 1),
        TimeUnit::Microseconds => (1, 1),
        TimeUnit::Nanoseconds => (1, 1000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_read_again() {
        for name in [
            "boolean",
            "smallint",
            "integer",
            "bigint",
            "numeric",
            "numeric(12,2)",
            "real",
            "double precision",
            "text",
            "character varying(40)",
            "bytea",
            "date",
            "time without time zone",
            "timestamp without time zone",
            "timestamp with time zone",
            "interval",
            "json",
            "jsonb",
            "uuid",
        ] {
            assert_eq!(PgType::parse(name).map(|t| t.to_string()).as_deref(), Some(name));
        }
        assert_eq!(PgType::parse("point"), None);
    }

    #[test]
    fn every_type_that_a_frame_brings_is_accepted_by_its_natural_type() {
        let utc = DataType::Datetime(TimeUnit::Microseconds, Some(polars::prelude::TimeZone::UTC));
        for dtype in [
            DataType::Boolean,
            DataType::Int8,
            DataType::Int16,
            DataType::Int32,
            DataType::Int64,
            DataType::UInt8,
            DataType::UInt16,
            DataType::UInt32,
            DataType::UInt64,
            DataType::Float32,
            DataType::Float64,
            DataType::Decimal(12, 2),
            DataType::String,
            DataType::Binary,
            DataType::Date,
            DataType::Time,
            DataType::Datetime(TimeUnit::Nanoseconds, None),
            utc,
            DataType::Duration(TimeUnit::Microseconds),
        ] {
            let natural = PgType::natural(&dtype).expect("a type");
            assert!(natural.accepts(&dtype), "{dtype:?} in {natural}");
        }
        assert!(!PgType::Numeric(None).accepts(&DataType::Float64), "money never comes from a float");
        assert!(PgType::Numeric(Some((65, 30))).accepts(&DataType::String), "wider than a frame's decimal");
        assert!(!PgType::Numeric(Some((12, 2))).accepts(&DataType::String));
    }
}
