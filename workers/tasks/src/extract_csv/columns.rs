//! Fields into typed columns. A field that is no value of its column's type says why, in words for the quarantine.

use std::str::FromStr;

use chrono::{DateTime, NaiveDate, NaiveDateTime};
use polars::prelude::{Column, DataType, Field as PolarsField, IntoColumn, NamedFrom, Series, TimeUnit};
use serde::Deserialize;

use super::records::Field;

/// The type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CsvType {
    Text,
    Integer,
    Decimal { precision: u32, scale: u32 },
    Float,
    Boolean,
    Date,
    Timestamp,
}

impl FromStr for CsvType {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text {
            "text" => Self::Text,
            "integer" => Self::Integer,
            "float" => Self::Float,
            "boolean" => Self::Boolean,
            "date" => Self::Date,
            "timestamp" => Self::Timestamp,
            _ => {
                let wrong = || {
                    format!(
                        "unknown type `{text}`; known: text, integer, decimal(P,S), float, boolean, date, timestamp"
                    )
                };
                let inside = text.strip_prefix("decimal(").and_then(|rest| rest.strip_suffix(')')).ok_or_else(wrong)?;
                let (precision, scale) = inside.split_once(',').unwrap_or((inside, "0"));
                let read = |digits: &str| digits.trim().parse::<u32>().map_err(|_| wrong());
                let (precision, scale) = (read(precision)?, read(scale)?);
                if !(1..=38).contains(&precision) || scale > precision {
                    return Err(format!("`{text}`: a decimal has 1 to 38 digits, and no more behind its point"));
                }
                Self::Decimal { precision, scale }
            }
        })
    }
}

/// What a column of the result is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Spec {
    /// Its name in the file.
    pub(super) from: String,
    /// Its name in the result.
    pub(super) name: String,
    pub(super) kind: CsvType,
    /// How dates and times are written, in strftime's terms; ISO 8601 if not said.
    pub(super) format: Option<String>,
}

/// A column as a DAG file writes it: a type, or a mapping.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SpecMap {
    #[serde(rename = "type", default = "text")]
    pub(super) kind: String,
    #[serde(default)]
    pub(super) from: Option<String>,
    #[serde(default)]
    pub(super) format: Option<String>,
}

fn text() -> String {
    "text".to_owned()
}

/// A value of a row that has been read in full.
#[derive(Debug, PartialEq)]
pub(super) enum Cell {
    Null,
    Text(String),
    Integer(i64),
    Decimal(i128),
    Float(f64),
    Boolean(bool),
    Date(i32),
    Timestamp(i64),
}

impl Spec {
    /// The value of `field`, or what is wrong with it.
    pub(super) fn read(&self, field: Field, nulls: &[String]) -> Result<Cell, String> {
        let wrong = |what: &str| format!("`{}` is not valid UTF-8{what}", self.name);
        let text = String::from_utf8(field.bytes).map_err(|_| wrong(""))?;
        if !field.quoted && nulls.contains(&text) {
            return Ok(Cell::Null);
        }
        if self.kind == CsvType::Text {
            return if text.contains('\0') {
                Err(format!("`{}` holds a NUL character", self.name))
            } else {
                Ok(Cell::Text(text))
            };
        }
        let plain = text.trim();
        if plain.is_empty() || nulls.iter().any(|null| null == plain) {
            return Ok(Cell::Null);
        }
        let value = match self.kind {
            CsvType::Text => None,
            CsvType::Integer => integer(plain).map(Cell::Integer),
            CsvType::Decimal { precision, scale } => decimal(plain, precision, scale).map(Cell::Decimal),
            CsvType::Float => plain.parse().ok().filter(|value: &f64| value.is_finite()).map(Cell::Float),
            CsvType::Boolean => boolean(plain).map(Cell::Boolean),
            CsvType::Date => self.date(plain).map(Cell::Date),
            CsvType::Timestamp => self.timestamp(plain).map(Cell::Timestamp),
        };
        value.ok_or_else(|| format!("`{}`: `{}` is not {}", self.name, shortened(plain), self.wanted()))
    }

    fn wanted(&self) -> String {
        let like = |what: &str, iso: &str| match &self.format {
            Some(format) => format!("{what} written as {format}"),
            None => format!("{what} such as {iso}"),
        };
        match self.kind {
            CsvType::Text => "text".to_owned(),
            CsvType::Integer => "a whole number of 64 bits".to_owned(),
            CsvType::Decimal { precision, scale } => format!("a decimal({precision},{scale})"),
            CsvType::Float => "a number".to_owned(),
            CsvType::Boolean => "true or false".to_owned(),
            CsvType::Date => like("a date", "2024-01-31"),
            CsvType::Timestamp => like("a timestamp", "2024-01-31 23:59:59"),
        }
    }

    fn date(&self, text: &str) -> Option<i32> {
        let date = match &self.format {
            Some(format) => NaiveDate::parse_from_str(text, format).ok()?,
            None => text.parse().ok()?,
        };
        i32::try_from(date.signed_duration_since(DateTime::UNIX_EPOCH.date_naive()).num_days()).ok()
    }

    fn timestamp(&self, text: &str) -> Option<i64> {
        if let Some(format) = &self.format {
            let at = NaiveDateTime::parse_from_str(text, format).ok();
            let at = at.or_else(|| NaiveDate::parse_from_str(text, format).ok()?.and_hms_opt(0, 0, 0));
            return at.map(|at| at.and_utc().timestamp_micros());
        }
        ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M"]
            .iter()
            .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())
            .map(|at| at.and_utc().timestamp_micros())
            .or_else(|| DateTime::parse_from_rfc3339(text).ok().map(|at| at.timestamp_micros()))
    }

    /// The column's place in a frame's schema.
    pub(super) fn field(&self) -> PolarsField {
        let dtype = match self.kind {
            CsvType::Text => DataType::String,
            CsvType::Integer => DataType::Int64,
            CsvType::Decimal { precision, scale } => DataType::Decimal(precision as usize, scale as usize),
            CsvType::Float => DataType::Float64,
            CsvType::Boolean => DataType::Boolean,
            CsvType::Date => DataType::Date,
            CsvType::Timestamp => DataType::Datetime(TimeUnit::Microseconds, None),
        };
        PolarsField::new(self.name.as_str().into(), dtype)
    }
}

fn integer(text: &str) -> Option<i64> {
    // Spreadsheets write whole numbers of a column with gaps as `17850.0`.
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    if fraction.is_empty() || fraction.bytes().any(|byte| byte != b'0') { None } else { whole.parse().ok() }
}

fn decimal(text: &str, precision: u32, scale: u32) -> Option<i128> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let kept = fraction.trim_end_matches('0');
    let all_digits = whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !all_digits || kept.len() > scale as usize {
        return None;
    }
    let units: i128 = format!("{whole}{kept:0<width$}", width = scale as usize).parse().ok()?;
    if units >= 10i128.checked_pow(precision)? {
        return None;
    }
    Some(if text.starts_with('-') { -units } else { units })
}

fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "t" | "yes" | "y" | "1" => Some(true),
        "false" | "f" | "no" | "n" | "0" => Some(false),
        _ => None,
    }
}

fn shortened(text: &str) -> String {
    const SHOWN: usize = 40;
    if text.chars().count() <= SHOWN { text.to_owned() } else { text.chars().take(SHOWN).chain(['…']).collect() }
}

/// Values of one column, until they make a frame.
pub(super) struct Values {
    field: PolarsField,
    cells: Cells,
}

enum Cells {
    Text(Vec<Option<String>>),
    Integer(Vec<Option<i64>>),
    Decimal(Vec<Option<i128>>),
    Float(Vec<Option<f64>>),
    Boolean(Vec<Option<bool>>),
    Date(Vec<Option<i32>>),
    Timestamp(Vec<Option<i64>>),
}

impl Values {
    pub(super) fn new(spec: &Spec) -> Self {
        let cells = match spec.kind {
            CsvType::Text => Cells::Text(Vec::new()),
            CsvType::Integer => Cells::Integer(Vec::new()),
            CsvType::Decimal { .. } => Cells::Decimal(Vec::new()),
            CsvType::Float => Cells::Float(Vec::new()),
            CsvType::Boolean => Cells::Boolean(Vec::new()),
            CsvType::Date => Cells::Date(Vec::new()),
            CsvType::Timestamp => Cells::Timestamp(Vec::new()),
        };
        Self { field: spec.field(), cells }
    }

    /// Adds what the column's own [`Spec::read`] gave.
    pub(super) fn push(&mut self, cell: Cell) {
        match (&mut self.cells, cell) {
            (Cells::Text(values), Cell::Text(value)) => values.push(Some(value)),
            (Cells::Integer(values), Cell::Integer(value)) => values.push(Some(value)),
            (Cells::Decimal(values), Cell::Decimal(value)) => values.push(Some(value)),
            (Cells::Float(values), Cell::Float(value)) => values.push(Some(value)),
            (Cells::Boolean(values), Cell::Boolean(value)) => values.push(Some(value)),
            (Cells::Date(values), Cell::Date(value)) => values.push(Some(value)),
            (Cells::Timestamp(values), Cell::Timestamp(value)) => values.push(Some(value)),
            (Cells::Text(values), _) => values.push(None),
            (Cells::Integer(values) | Cells::Timestamp(values), _) => values.push(None),
            (Cells::Decimal(values), _) => values.push(None),
            (Cells::Float(values), _) => values.push(None),
            (Cells::Boolean(values), _) => values.push(None),
            (Cells::Date(values), _) => values.push(None),
        }
    }

    /// Takes the values out as a column.
    pub(super) fn take(&mut self) -> Result<Column, polars::error::PolarsError> {
        let name = self.field.name().clone();
        let dtype = self.field.dtype();
        Ok(match &mut self.cells {
            Cells::Text(values) => Series::new(name, std::mem::take(values)),
            Cells::Integer(values) => Series::new(name, std::mem::take(values)),
            Cells::Float(values) => Series::new(name, std::mem::take(values)),
            Cells::Boolean(values) => Series::new(name, std::mem::take(values)),
            Cells::Date(values) => Series::new(name, std::mem::take(values)).cast(dtype)?,
            Cells::Timestamp(values) => Series::new(name, std::mem::take(values)).cast(dtype)?,
            Cells::Decimal(values) => decimals(name, std::mem::take(values), dtype),
        }
        .into_column())
    }
}

fn decimals(name: polars::prelude::PlSmallStr, values: Vec<Option<i128>>, dtype: &DataType) -> Series {
    use polars::prelude::{Int128Chunked, IntoSeries, NewChunkedArray};
    let (precision, scale) =
        if let DataType::Decimal(precision, scale) = dtype { (*precision, *scale) } else { (38, 0) };
    Int128Chunked::from_iter_options(name, values.into_iter()).into_decimal_unchecked(precision, scale).into_series()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(kind: &str, format: Option<&str>, text: &str) -> Result<Cell, String> {
        let spec = Spec {
            from: "x".into(),
            name: "x".into(),
            kind: kind.parse().expect("a type"),
            format: format.map(str::to_owned),
        };
        spec.read(Field { bytes: text.as_bytes().to_vec(), quoted: false }, &[String::new(), "NA".into()])
    }

    #[test]
    fn values_are_read_exactly_or_not_at_all() {
        assert_eq!(read("integer", None, "17850.0"), Ok(Cell::Integer(17850)));
        assert!(read("integer", None, "17850.5").is_err());
        assert!(read("integer", None, "9223372036854775808").is_err());
        assert_eq!(read("decimal(12,2)", None, "-0.50"), Ok(Cell::Decimal(-50)));
        assert_eq!(read("decimal(12,2)", None, "1.500"), Ok(Cell::Decimal(150)));
        assert!(read("decimal(12,2)", None, "1.505").is_err());
        assert!(read("decimal(3,2)", None, "10").is_err());
        assert!(read("decimal(3,2)", None, "1e3").is_err());
        assert_eq!(read("date", Some("%m/%d/%Y"), "11/8/2018"), Ok(Cell::Date(17843)));
        assert_eq!(
            read("date", None, "2024-02-30"),
            Err("`x`: `2024-02-30` is not a date such as 2024-01-31".to_owned())
        );
        assert_eq!(read("timestamp", None, "1970-01-01 00:00:00.000001"), Ok(Cell::Timestamp(1)));
        assert_eq!(read("boolean", None, "Yes"), Ok(Cell::Boolean(true)));
        assert_eq!(read("float", None, "NA"), Ok(Cell::Null));
        assert!(read("float", None, "inf").is_err());
        assert_eq!(read("text", None, ""), Ok(Cell::Null));
        assert!(read("text", None, "a\0b").is_err());
    }

    #[test]
    fn an_empty_text_in_quotes_is_an_empty_text() {
        let spec = Spec { from: "x".into(), name: "x".into(), kind: CsvType::Text, format: None };
        let quoted = Field { bytes: Vec::new(), quoted: true };
        assert_eq!(spec.read(quoted, &[String::new()]), Ok(Cell::Text(String::new())));
    }
}
