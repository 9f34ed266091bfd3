//! What the columns of a `MySQL` table are, and what they become without loss.

use polars::prelude::{DataType, Field, Schema, SchemaRef, TimeUnit, TimeZone};
use sqlx::MySqlConnection;
use workflow::{diagnostic::did_you_mean, error::TaskError};

use super::failed;

/// A column to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SourceColumn {
    pub(super) name: String,
    pub(super) kind: SourceType,
    /// Whether a row may do without a value.
    pub(super) nullable: bool,
}

/// What a column holds. Signed integers are apart from unsigned ones; `TINYINT(1)` is a number, since it may
/// hold 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SourceType {
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
    /// Precision at most 38 and scale; a wider one is [`Self::Text`].
    Decimal(usize, usize),
    Text,
    Json,
    Bytes,
    Date,
    /// No zone.
    Datetime,
    /// An instant.
    Timestamp,
    /// A length of time, since it goes from -838:59:59 to 838:59:59.
    Time,
}

impl SourceType {
    /// What it is in a frame.
    pub(super) fn dtype(self) -> DataType {
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
            Self::Text | Self::Json => DataType::String,
            Self::Bytes => DataType::Binary,
            Self::Date => DataType::Date,
            Self::Datetime => DataType::Datetime(TimeUnit::Microseconds, None),
            Self::Timestamp => DataType::Datetime(TimeUnit::Microseconds, Some(TimeZone::UTC)),
            Self::Time => DataType::Duration(TimeUnit::Microseconds),
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
    json_checked: bool,
}

/// The columns of a table, in its own order; or those that are named, in theirs.
pub(super) async fn read(
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
    let all: Vec<SourceColumn> = rows.iter().map(Row::column).collect();
    let Some(wanted) = wanted else { return Ok(all) };
    wanted
        .iter()
        .map(|name| {
            all.iter().find(|column| column.name == *name).cloned().ok_or_else(|| {
                let hint = did_you_mean(name, all.iter().map(|column| column.name.as_str()));
                TaskError::user(format!("`{table}` has no column `{name}`; {hint}"))
            })
        })
        .collect()
}

/// The schema of the frames.
pub(super) fn schema(columns: &[SourceColumn]) -> SchemaRef {
    let fields = columns.iter().map(|column| Field::new(column.name.as_str().into(), column.kind.dtype()));
    std::sync::Arc::new(Schema::from_iter(fields))
}

/// A name in `MySQL`'s quotes.
pub(super) fn quote(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

impl Row {
    fn column(&self) -> SourceColumn {
        let unsigned = self.column_type.contains("unsigned");
        let size = |text: &str| usize::try_from(text.parse::<u64>().unwrap_or_default()).unwrap_or_default();
        let digits = |value: Option<u64>| usize::try_from(value.unwrap_or_default()).unwrap_or_default();
        let kind = match (self.data_type.as_str(), unsigned) {
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
            ("decimal", _) if digits(self.numeric_precision) <= 38 => {
                SourceType::Decimal(digits(self.numeric_precision), digits(self.numeric_scale))
            }
            ("json", _) => SourceType::Json,
            ("longtext", _) if self.json_checked => SourceType::Json,
            ("binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob", _) => SourceType::Bytes,
            ("geometry" | "point" | "linestring" | "polygon", _) => SourceType::Bytes,
            ("multipoint" | "multilinestring" | "multipolygon" | "geometrycollection", _) => SourceType::Bytes,
            ("date", _) => SourceType::Date,
            ("datetime", _) => SourceType::Datetime,
            ("timestamp", _) => SourceType::Timestamp,
            ("time", _) => SourceType::Time,
            // char, varchar, the texts, enum, set, uuid, inet6, decimals beyond 38 digits.
            _ => SourceType::Text,
        };
        SourceColumn { name: self.name.clone(), kind, nullable: self.nullable }
    }
}
