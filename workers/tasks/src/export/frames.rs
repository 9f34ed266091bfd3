//! Postgres rows into Parquet, without losing a digit: what Parquet has no type for goes as text.

use futures::TryStreamExt;
use polars::prelude::{DataFrame, DataType, IntoColumn, NamedFrom, PlSmallStr, Schema, Series, TimeUnit, TimeZone};
use sqlx::{AssertSqlSafe, PgConnection, Row, postgres::PgRow, query, query_as};
use warehouse::{
    WarehouseError,
    ident::quote,
    lake::{Lake, SealedFile},
};
use workflow::error::TaskError;

use super::refused;

/// Rows of one row group, and of what is in memory.
const ROW_GROUP: usize = 64 * 1024;
/// Digits behind the point where a column of type `numeric` does not say how many.
const SCALE: usize = 9;

/// How a column travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wire {
    Bool,
    /// Any integer, and days or microseconds since 1970; `DataType` says which.
    Int,
    Float,
    /// As text, with this many digits behind the point.
    Decimal(usize, usize),
    Text,
}

struct ExportColumn {
    name: String,
    dtype: DataType,
    wire: Wire,
    /// What is selected for it.
    expression: String,
}

/// Writes the rows of `sluice_export`.
pub(super) async fn parquet(tx: &mut PgConnection, lake: &Lake, path: &str) -> Result<SealedFile, TaskError> {
    let columns = columns(&mut *tx).await?;
    let schema = Schema::from_iter(columns.iter().map(|c| (PlSmallStr::from(c.name.as_str()), c.dtype.clone())));
    let mut writer = lake.parquet_writer(path, schema.into())?;
    let list: Vec<&str> = columns.iter().map(|column| column.expression.as_str()).collect();
    let select = format!("select {} from sluice_export", list.join(", "));
    let mut chunks = query(AssertSqlSafe(select)).fetch(tx).try_chunks(ROW_GROUP);
    while let Some(rows) = chunks.try_next().await.map_err(|error| refused(error.1))? {
        let frame = frame(&columns, &rows)?;
        writer = tokio::task::spawn_blocking(move || writer.write(&frame).map(|()| writer))
            .await
            .map_err(WarehouseError::from)??;
    }
    Ok(tokio::task::spawn_blocking(move || writer.seal()).await.map_err(WarehouseError::from)??)
}

async fn columns(tx: &mut PgConnection) -> Result<Vec<ExportColumn>, TaskError> {
    let sql = include_str!("../../../../sql/engine/export_columns.sql");
    let found: Vec<(String, String)> = query_as(sql).fetch_all(tx).await.map_err(WarehouseError::from)?;
    if found.is_empty() {
        return Err(TaskError::user("the export has no columns"));
    }
    found.into_iter().map(|(name, data_type)| column(name, &data_type)).collect()
}

fn column(name: String, data_type: &str) -> Result<ExportColumn, TaskError> {
    let quoted = quote(&name)?;
    let micros = format!("case when isfinite({quoted}) then (extract(epoch from {quoted}) * 1000000)::bigint end");
    let days = format!("case when isfinite({quoted}) then ({quoted} - date '1970-01-01')::bigint end");
    let (dtype, wire, expression) = match data_type {
        "boolean" => (DataType::Boolean, Wire::Bool, quoted),
        "smallint" => (DataType::Int16, Wire::Int, format!("{quoted}::bigint")),
        "integer" => (DataType::Int32, Wire::Int, format!("{quoted}::bigint")),
        "bigint" => (DataType::Int64, Wire::Int, quoted),
        "real" => (DataType::Float32, Wire::Float, format!("{quoted}::float8")),
        "double precision" => (DataType::Float64, Wire::Float, quoted),
        "date" => (DataType::Date, Wire::Int, days),
        "timestamp without time zone" => (DataType::Datetime(TimeUnit::Microseconds, None), Wire::Int, micros),
        "timestamp with time zone" => {
            (DataType::Datetime(TimeUnit::Microseconds, Some(TimeZone::UTC)), Wire::Int, micros)
        }
        _ => match decimal(data_type) {
            Some((precision, scale)) => {
                (DataType::Decimal(precision, scale), Wire::Decimal(precision, scale), format!("{quoted}::text"))
            }
            None => (DataType::String, Wire::Text, format!("{quoted}::text")),
        },
    };
    Ok(ExportColumn { name, dtype, wire, expression })
}

/// Precision and scale of a numeric type.
fn decimal(data_type: &str) -> Option<(usize, usize)> {
    if data_type == "numeric" {
        return Some((38, SCALE));
    }
    let (precision, scale) = data_type.strip_prefix("numeric(")?.strip_suffix(')')?.split_once(',')?;
    let (precision, scale): (usize, usize) = (precision.trim().parse().ok()?, scale.trim().parse().ok()?);
    (precision <= 38).then_some((precision, scale))
}

fn frame(columns: &[ExportColumn], rows: &[PgRow]) -> Result<DataFrame, TaskError> {
    let mut made = Vec::with_capacity(columns.len());
    for (index, column) in columns.iter().enumerate() {
        let name = PlSmallStr::from(column.name.as_str());
        let series = match column.wire {
            Wire::Bool => Series::new(name, values::<bool>(rows, index)?),
            Wire::Int => Series::new(name, values::<i64>(rows, index)?),
            Wire::Float => Series::new(name, values::<f64>(rows, index)?),
            Wire::Text => Series::new(name, values::<String>(rows, index)?),
            Wire::Decimal(_, scale) => {
                let texts = values::<String>(rows, index)?;
                let units: Option<Vec<Option<i128>>> = texts
                    .iter()
                    .map(|text| text.as_deref().map_or(Some(None), |t| units(t, scale).map(Some)))
                    .collect();
                let units = units.ok_or_else(|| {
                    TaskError::user(format!(
                        "the column `{}` has a number that does not fit {}; cast it in the query, for example to \
                         numeric(12, 2)",
                        column.name, column.dtype
                    ))
                })?;
                made.push(decimals(name, units, &column.dtype)?.into_column());
                continue;
            }
        };
        let series = series.cast(&column.dtype).map_err(WarehouseError::frame("cannot make a column of the export"))?;
        made.push(series.into_column());
    }
    Ok(DataFrame::new_infer_height(made).map_err(WarehouseError::frame("cannot make a frame of the export"))?)
}

fn decimals(name: PlSmallStr, units: Vec<Option<i128>>, dtype: &DataType) -> Result<Series, WarehouseError> {
    use polars::prelude::{ChunkedArray, Int128Type, IntoSeries, NewChunkedArray};
    let DataType::Decimal(precision, scale) = dtype else {
        return Ok(Series::new_empty(name, dtype));
    };
    let units = ChunkedArray::<Int128Type>::from_iter_options(name, units.into_iter());
    Ok(units.into_decimal_unchecked(*precision, *scale).into_series())
}

/// `-12.5` with two digits behind the point is -1250 hundredths. None where digits would be lost.
fn units(text: &str, scale: usize) -> Option<i128> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let kept = fraction.get(..scale.min(fraction.len()))?;
    if fraction[kept.len()..].bytes().any(|digit| digit != b'0') {
        return None;
    }
    let units: i128 = format!("{whole}{kept:0<scale$}").parse().ok()?;
    (units.unsigned_abs() < 10_u128.pow(38)).then_some(units)
}

fn values<'r, T>(rows: &'r [PgRow], index: usize) -> Result<Vec<Option<T>>, TaskError>
where
    T: sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
{
    let values: Result<_, sqlx::Error> = rows.iter().map(|row| row.try_get(index)).collect();
    Ok(values.map_err(WarehouseError::from)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_every_digit_or_are_refused() {
        assert_eq!(units("-12.5", 2), Some(-1250));
        assert_eq!(units("-0.05", 2), Some(-5));
        assert_eq!(units("7", 2), Some(700));
        assert_eq!(units("1.2300", 2), Some(123));
        assert_eq!(units("1.234", 2), None);
        assert_eq!(units("NaN", 2), None);
        assert_eq!(decimal("numeric(12,2)"), Some((12, 2)));
        assert_eq!(decimal("text"), None);
    }
}
