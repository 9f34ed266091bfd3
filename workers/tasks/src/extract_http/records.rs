//! JSON records into columns with types.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use polars::prelude::{DataFrame, DataType, IntoColumn, NamedFrom, PolarsResult, Series, TimeUnit, TimeZone};
use serde::Deserialize;
use serde_json::{Map, Value};
use warehouse::WarehouseError;

use super::Rejected;

/// What the values of a column are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ColumnType {
    /// Whole numbers of 64 bits.
    Integer,
    /// Numbers, as 64-bit floats. An amount of money is better `text` and cast later.
    Number,
    /// True or false.
    Boolean,
    /// Text; numbers and truth values as they are written.
    Text,
    /// `2025-12-31`.
    Date,
    /// RFC 3339, `2025-12-31T23:59:59Z`; kept in UTC to the microsecond.
    Timestamp,
    /// Anything, as JSON text.
    Json,
}

impl ColumnType {
    fn dtype(self) -> DataType {
        match self {
            Self::Integer => DataType::Int64,
            Self::Number => DataType::Float64,
            Self::Boolean => DataType::Boolean,
            Self::Text | Self::Json => DataType::String,
            Self::Date => DataType::Date,
            Self::Timestamp => DataType::Datetime(TimeUnit::Microseconds, Some(TimeZone::UTC)),
        }
    }

    /// Whether a value that is not null has this type.
    fn holds(self, value: &Value) -> bool {
        match self {
            Self::Integer => value.as_i64().is_some(),
            Self::Number => value.is_number(),
            Self::Boolean => value.is_boolean(),
            Self::Text => value.is_string() || value.is_number() || value.is_boolean(),
            Self::Date => value.as_str().is_some_and(|text| date(text).is_some()),
            Self::Timestamp => value.as_str().is_some_and(|text| instant(text).is_some()),
            Self::Json => true,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Integer => "an integer",
            Self::Number => "a number",
            Self::Boolean => "true or false",
            Self::Text => "a text",
            Self::Date => "a date",
            Self::Timestamp => "a timestamp",
            Self::Json => "JSON",
        }
    }

    fn series(self, name: &str, values: &[&Value]) -> PolarsResult<Series> {
        let name = name.into();
        match self {
            Self::Integer => Ok(Series::new(name, values.iter().map(|v| v.as_i64()).collect::<Vec<_>>())),
            Self::Number => Ok(Series::new(name, values.iter().map(|v| v.as_f64()).collect::<Vec<_>>())),
            Self::Boolean => Ok(Series::new(name, values.iter().map(|v| v.as_bool()).collect::<Vec<_>>())),
            Self::Text => Ok(Series::new(name, values.iter().map(|v| text(v)).collect::<Vec<_>>())),
            Self::Json => {
                let texts = values.iter().map(|v| (!v.is_null()).then(|| v.to_string())).collect::<Vec<_>>();
                Ok(Series::new(name, texts))
            }
            Self::Date => {
                let days = values.iter().map(|v| v.as_str().and_then(date)).collect::<Vec<_>>();
                Series::new(name, days).cast(&self.dtype())
            }
            Self::Timestamp => {
                let micros = values.iter().map(|v| v.as_str().and_then(instant)).collect::<Vec<_>>();
                Series::new(name, micros).cast(&self.dtype())
            }
        }
    }
}

/// The types that are tried for a column of which nothing is said, the narrowest first.
const NARROWEST_FIRST: [ColumnType; 7] = [
    ColumnType::Integer,
    ColumnType::Number,
    ColumnType::Boolean,
    ColumnType::Date,
    ColumnType::Timestamp,
    ColumnType::Text,
    ColumnType::Json,
];

/// Records as they come.
pub(super) struct Records {
    said: BTreeMap<String, ColumnType>,
    rows: Vec<Map<String, Value>>,
    rejected: Rejected,
    content: Vec<u8>,
}

impl Records {
    /// Records of these columns; of any, if none is named.
    pub(super) fn new(said: BTreeMap<String, ColumnType>) -> Self {
        Self { said, rows: Vec::new(), rejected: Rejected::default(), content: Vec::new() }
    }

    /// Adds the records of a page.
    pub(super) fn add(&mut self, page: &str, records: &[Value]) {
        for (index, record) in records.iter().enumerate() {
            self.content.extend_from_slice(record.to_string().as_bytes());
            self.content.push(b'\n');
            match self.fault(record) {
                None => self.rows.extend(record.as_object().cloned()),
                Some(reason) => self.rejected.add(page, index + 1, record, reason),
            }
        }
    }

    fn fault(&self, record: &Value) -> Option<String> {
        let Value::Object(fields) = record else { return Some("the record is not an object".to_owned()) };
        let mut wrong = self.said.iter().filter_map(|(name, kind)| {
            let value = fields.get(name).filter(|value| !value.is_null())?;
            (!kind.holds(value)).then(|| format!("`{name}` is {value}, not {}", kind.name()))
        });
        wrong.next()
    }

    /// All that was received, line by line: the same content has the same bytes.
    pub(super) fn content(&self) -> &[u8] {
        &self.content
    }

    /// Columns in the order of their first mention, each with its type.
    fn columns(&self) -> Vec<(String, ColumnType)> {
        if !self.said.is_empty() {
            return self.said.iter().map(|(name, kind)| (name.clone(), *kind)).collect();
        }
        let mut names: Vec<&String> = Vec::new();
        for name in self.rows.iter().flat_map(Map::keys) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let narrowest = |name: &str| {
            let values = || self.rows.iter().filter_map(|row| row.get(name)).filter(|value| !value.is_null());
            let fits = NARROWEST_FIRST.into_iter().find(|kind| values().all(|value| kind.holds(value)));
            // A column without any value may hold anything later.
            if values().next().is_none() { ColumnType::Text } else { fits.unwrap_or(ColumnType::Json) }
        };
        names.into_iter().map(|name| (name.clone(), narrowest(name))).collect()
    }

    /// Postgres types that the frame cannot tell.
    pub(super) fn types(&self) -> BTreeMap<String, String> {
        let json = self.columns().into_iter().filter(|(_, kind)| *kind == ColumnType::Json);
        json.map(|(name, _)| (name, "jsonb".to_owned())).collect()
    }

    /// The records as a frame, and those that were rejected.
    pub(super) fn into_frames(self) -> Result<(DataFrame, Rejected), WarehouseError> {
        let columns = self.columns().into_iter().map(|(name, kind)| {
            let values: Vec<&Value> = self.rows.iter().map(|row| row.get(&name).unwrap_or(&Value::Null)).collect();
            Ok(kind.series(&name, &values)?.into_column())
        });
        let frame = columns
            .collect::<PolarsResult<Vec<_>>>()
            .and_then(DataFrame::new_infer_height)
            .map_err(WarehouseError::frame("cannot make a frame of the records"))?;
        Ok((frame, self.rejected))
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

/// Days since 1970.
fn date(text: &str) -> Option<i32> {
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    i32::try_from(date.signed_duration_since(NaiveDate::default()).num_days()).ok()
}

/// Microseconds since 1970.
fn instant(text: &str) -> Option<i64> {
    Some(DateTime::parse_from_rfc3339(text).ok()?.with_timezone(&Utc).timestamp_micros())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn types_are_the_narrowest_that_hold_every_value() {
        let mut records = Records::new(BTreeMap::new());
        let page = json!([
            {"i": 1, "n": 1, "b": true, "d": "2026-03-01", "t": "2026-03-01T10:00:00+01:00", "s": "x", "j": {"a": 1}},
            {"i": null, "n": 1.5, "b": null, "d": null, "t": null, "s": 2, "j": [1], "late": "x"},
        ]);
        records.add("p", page.as_array().expect("a list"));
        let (frame, _) = records.into_frames().expect("a frame");
        let types: Vec<_> = frame.schema().iter().map(|(name, dtype)| format!("{name} {dtype}")).collect();
        let expected = ["i i64", "n f64", "b bool", "d date", "t datetime[μs, UTC]", "s str", "j str", "late str"];
        assert_eq!(types, expected);
        assert_eq!(
            frame.column("t").expect("t").cast(&DataType::Int64).expect("micros").i64().expect("i64").get(0),
            Some(1_772_355_600_000_000)
        );
    }

    #[test]
    fn a_record_of_another_type_is_rejected_with_its_place() {
        let said = BTreeMap::from([("id".to_owned(), ColumnType::Integer), ("at".to_owned(), ColumnType::Timestamp)]);
        let mut records = Records::new(said);
        let page = json!([{"id": 1, "other": 2}, {"id": "one"}, 7, {"id": 2, "at": "yesterday"}]);
        records.add("http://x/p", page.as_array().expect("a list"));
        let (frame, rejected) = records.into_frames().expect("a frame");
        assert_eq!((frame.height(), frame.width()), (1, 2));
        assert_eq!(rejected.place, [2, 3, 4]);
        let expected = [
            "`id` is \"one\", not an integer",
            "the record is not an object",
            "`at` is \"yesterday\", not a timestamp",
        ];
        assert_eq!(rejected.reason, expected);
    }
}
