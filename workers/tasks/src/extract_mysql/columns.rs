//! What the columns of a `MySQL` table are, and what they become without loss.

use polars::prelude::{DataType, Field, Schema, SchemaRef, TimeUnit, TimeZone};
use sqlx::MySqlConnection;
use workflow::{diagnostic::did_you_mean, error::TaskError};

use super::failed;

/// A column to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SourceColumn {
    pub(crate) name: String,
    pub(crate) kind: SourceType,
    /// Whether a row may do without a value.
    pub(crate) nullable: bool,
    /// How the source prints it.
    pub(crate) print: Print,
}

/// What a column's text shows beside its value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Print {
    /// Zeros before a number.
    pub(crate) zerofill: bool,
    /// Digits of a second.
    pub(crate) fraction: u64,
    /// Text is UTF-8 of four bytes already.
    pub(crate) utf8mb4: bool,
}

/// What a column holds. Signed integers are apart from unsigned ones; `TINYINT(1)` is a number, since it may
/// hold 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SourceType {
    Int8,
    Int16,
    Int32,
    Int64,
    UInt8,
    UInt16,
    UInt32,
    UInt64,
    Year,
    /// `BIT(1)`.
    Truth,
    /// `BIT(n)`, as a number.
    Bits,
    Float32,
    Float64,
    /// Precision at most 38, and scale.
    Decimal(usize, usize),
    /// Precision beyond 38 digits, which no frame holds, and scale: text until it is `numeric` in Postgres.
    WideDecimal(usize, usize),
    Text,
    Uuid,
    Json,
    Bytes,
    Date,
    /// A date or, where true, a datetime or timestamp, as the source writes it: what is no date has a place too.
    DateText(bool),
    /// No zone.
    Datetime,
    /// An instant.
    Timestamp,
    /// A length of time, since it goes from -838:59:59 to 838:59:59.
    Time,
}

impl SourceType {
    /// Whether it is a whole number, and nothing that only looks like one.
    pub(crate) fn is_whole(self) -> bool {
        matches!(
            self,
            Self::Int8
                | Self::Int16
                | Self::Int32
                | Self::Int64
                | Self::UInt8
                | Self::UInt16
                | Self::UInt32
                | Self::UInt64
        )
    }

    /// What it is in a frame.
    pub(crate) fn dtype(self) -> DataType {
        match self {
            Self::Int8 => DataType::Int8,
            Self::Int16 | Self::Year => DataType::Int16,
            Self::Int32 => DataType::Int32,
            Self::Int64 => DataType::Int64,
            Self::UInt8 => DataType::UInt8,
            Self::UInt16 => DataType::UInt16,
            Self::UInt32 => DataType::UInt32,
            Self::UInt64 | Self::Bits => DataType::UInt64,
            Self::Truth => DataType::Boolean,
            Self::Float32 => DataType::Float32,
            Self::Float64 => DataType::Float64,
            Self::Decimal(precision, scale) => DataType::Decimal(precision, scale),
            Self::Text | Self::Json | Self::Uuid | Self::WideDecimal(..) | Self::DateText(_) => DataType::String,
            Self::Bytes => DataType::Binary,
            Self::Date => DataType::Date,
            Self::Datetime => DataType::Datetime(TimeUnit::Microseconds, None),
            Self::Timestamp => DataType::Datetime(TimeUnit::Microseconds, Some(TimeZone::UTC)),
            Self::Time => DataType::Duration(TimeUnit::Microseconds),
        }
    }

    /// The Postgres type of its own, where a frame cannot tell it.
    pub(crate) fn hint(self) -> Option<String> {
        match self {
            Self::Json => Some("jsonb".to_owned()),
            Self::Uuid => Some("uuid".to_owned()),
            Self::WideDecimal(precision, scale) => Some(format!("numeric({precision},{scale})")),
            _ => None,
        }
    }

    /// The same as text, where it may hold what is no date.
    pub(crate) fn dates_as_text(self) -> Self {
        match self {
            Self::Date => Self::DateText(false),
            Self::Datetime | Self::Timestamp => Self::DateText(true),
            other => other,
        }
    }
}

#[derive(sqlx::FromRow)]
struct Row {
    name: String,
    data_type: String,
    column_type: String,
    nullable: bool,
    numeric_precision: Option<u64>,
    numeric_scale: Option<u64>,
    datetime_precision: Option<u64>,
    character_set: Option<String>,
    json_checked: bool,
}

/// The columns of a table, in its own order; or those that are named, in theirs.
pub(crate) async fn read(
    connection: &mut MySqlConnection,
    table: &str,
    wanted: Option<&[String]>,
) -> Result<Vec<SourceColumn>, TaskError> {
    let rows: Vec<Row> = sqlx::query_as(include_str!("../../../../sql/extract/mysql_columns.sql"))
        .bind(table)
        .fetch_all(&mut *connection)
        .await
        .map_err(failed)?;
    if rows.is_empty() {
        let tables: Vec<String> = sqlx::query_scalar(
            "select cast(table_name as char) from information_schema.tables where table_schema = database()",
        )
        .fetch_all(connection)
        .await
        .map_err(failed)?;
        let hint = did_you_mean(table, tables.iter().map(String::as_str));
        return Err(TaskError::user(format!("the source has no table `{table}`; {hint}")));
    }
    let Some(wanted) = wanted else { return understood(table, rows.iter()) };
    let chosen = wanted.iter().map(|name| {
        rows.iter().find(|row| row.name == *name).ok_or_else(|| {
            let hint = did_you_mean(name, rows.iter().map(|row| row.name.as_str()));
            TaskError::user(format!("`{table}` has no column `{name}`; {hint}"))
        })
    });
    understood(table, chosen.collect::<Result<Vec<_>, _>>()?.into_iter())
}

/// The columns, or every one of them that cannot be moved.
fn understood<'a>(table: &str, rows: impl Iterator<Item = &'a Row>) -> Result<Vec<SourceColumn>, TaskError> {
    let (mut columns, mut refused) = (Vec::new(), Vec::new());
    for row in rows {
        match row.kind() {
            Some(kind) => {
                let (name, print) = (row.name.clone(), row.print());
                columns.push(SourceColumn { name, kind, nullable: row.nullable, print });
            }
            None => refused.push(row),
        }
    }
    let Some(first) = refused.first() else { return Ok(columns) };
    let names: Vec<String> = refused.iter().map(|row| format!("`{}` ({})", row.name, row.data_type)).collect();
    let instead = if SPATIAL.contains(&first.data_type.as_str()) {
        format!("select st_astext({0}) as {0}", quote(&first.name))
    } else {
        format!("select cast({0} as char) as {0}", quote(&first.name))
    };
    Err(TaskError::user(format!(
        "`{table}`: there is no exact Postgres type for {}; leave it out by naming the others in `columns`, or extract a \
         view with `{instead}`",
        names.join(", ")
    )))
}

/// The schema of the frames.
pub(crate) fn schema(columns: &[SourceColumn]) -> SchemaRef {
    let fields = columns.iter().map(|column| Field::new(column.name.as_str().into(), column.kind.dtype()));
    std::sync::Arc::new(Schema::from_iter(fields))
}

/// A name in `MySQL`'s quotes.
pub(crate) fn quote(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// Types of shapes: their bytes are a format of `MySQL`'s own.
const SPATIAL: &[&str] = &[
    "geometry",
    "point",
    "linestring",
    "polygon",
    "multipoint",
    "multilinestring",
    "multipolygon",
    "geometrycollection",
    "geomcollection",
];

impl Row {
    fn print(&self) -> Print {
        Print {
            zerofill: self.column_type.contains("zerofill"),
            fraction: self.datetime_precision.unwrap_or(0),
            utf8mb4: self.character_set.as_deref() == Some("utf8mb4"),
        }
    }

    /// What it holds; none for a type that has no exact counterpart.
    fn kind(&self) -> Option<SourceType> {
        let unsigned = self.column_type.contains("unsigned");
        let size = |text: &str| usize::try_from(text.parse::<u64>().unwrap_or_default()).unwrap_or_default();
        let digits = |value: Option<u64>| usize::try_from(value.unwrap_or_default()).unwrap_or_default();
        let (precision, scale) = (digits(self.numeric_precision), digits(self.numeric_scale));
        Some(match (self.data_type.as_str(), unsigned) {
            ("tinyint", false) => SourceType::Int8,
            ("tinyint", true) => SourceType::UInt8,
            ("smallint", false) => SourceType::Int16,
            ("smallint", true) => SourceType::UInt16,
            ("mediumint" | "int", false) => SourceType::Int32,
            ("mediumint" | "int", true) => SourceType::UInt32,
            ("bigint", false) => SourceType::Int64,
            ("bigint", true) => SourceType::UInt64,
            ("year", _) => SourceType::Year,
            ("bit", _) if size(self.column_type.trim_matches(|c: char| !c.is_ascii_digit())) == 1 => SourceType::Truth,
            ("bit", _) => SourceType::Bits,
            ("float", _) => SourceType::Float32,
            ("double", _) => SourceType::Float64,
            ("decimal", _) if precision <= 38 => SourceType::Decimal(precision, scale),
            ("decimal", _) => SourceType::WideDecimal(precision, scale),
            ("json", _) => SourceType::Json,
            ("longtext", _) if self.json_checked => SourceType::Json,
            ("char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" | "enum" | "set", _) => {
                SourceType::Text
            }
            ("inet4" | "inet6", _) => SourceType::Text,
            ("uuid", _) => SourceType::Uuid,
            ("binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob", _) => SourceType::Bytes,
            ("date", _) => SourceType::Date,
            ("datetime", _) => SourceType::Datetime,
            ("timestamp", _) => SourceType::Timestamp,
            ("time", _) => SourceType::Time,
            _ => return None,
        })
    }
}
