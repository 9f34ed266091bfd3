//! Other datasets that a dataset is compared with.

use std::{fmt, str::FromStr};

use serde_json::Value;

use crate::{postgres::Table, value::Scalar};

/// A dataset beside the one that is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OtherDataset {
    /// A table of Postgres.
    Table(Table),
    /// A Parquet or CSV file, by its path; `lake:…` is one of the lake.
    File(String),
}

impl FromStr for OtherDataset {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_file = ["lake:", "/"].iter().any(|start| text.starts_with(start))
            || [".parquet", ".csv", ".csv.gz", "/"].iter().any(|end| text.ends_with(end));
        if is_file {
            return Ok(Self::File(text.to_owned()));
        }
        let table = text.parse().map(Self::Table);
        table.map_err(|_| format!("`{text}` is neither a table (`schema.table`) nor a file (`….parquet`, `….csv`)"))
    }
}

impl fmt::Display for OtherDataset {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Table(table) => table.fmt(out),
            Self::File(path) => out.write_str(path),
        }
    }
}

/// A number that two datasets are to agree on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Measure {
    /// How many rows there are.
    Rows,
    /// The sum of a column.
    Sum {
        /// The column here.
        column: String,
        /// The column there.
        other_column: String,
    },
}

/// How far two numbers may lie apart.
#[derive(Debug, Clone, PartialEq)]
pub enum Deviation {
    /// By this much.
    Absolute(Scalar),
    /// By this many percent of the other dataset's number.
    Percent(f64),
}

impl Deviation {
    /// Reads a number, or a text such as `0.5 %`; no deviation where it is null.
    pub(crate) fn read(written: &Value) -> Result<Self, String> {
        let wrong = || format!("expected a number of 0 or more, or a text such as `0.5 %`, found `{written}`");
        match written {
            Value::Null => Ok(Self::Absolute(Scalar::int(0))),
            Value::String(text) => {
                let percent = text.trim().strip_suffix('%').ok_or_else(wrong)?;
                let percent: f64 = percent.trim().parse().map_err(|_| wrong())?;
                if percent.is_finite() && percent >= 0.0 { Ok(Self::Percent(percent)) } else { Err(wrong()) }
            }
            Value::Number(number) => {
                let number = Scalar::number(&number.to_string()).ok_or_else(wrong)?;
                let positive = number.compare(&Scalar::int(0)).is_some_and(std::cmp::Ordering::is_ge);
                if positive { Ok(Self::Absolute(number)) } else { Err(wrong()) }
            }
            _ => Err(wrong()),
        }
    }

    /// Whether `difference` of a number from `other` is within.
    pub(crate) fn bears(&self, difference: &Scalar, other: &Scalar) -> bool {
        let most = match self {
            Self::Absolute(most) => Some(most.clone()),
            Self::Percent(percent) => other.as_f64().map(|other| Scalar::Float(other.abs() * percent / 100.0)),
        };
        let within = |most: &Scalar| difference.absolute().compare(most).is_some_and(std::cmp::Ordering::is_le);
        most.as_ref().is_some_and(within)
    }
}

impl fmt::Display for Deviation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absolute(most) => most.fmt(out),
            Self::Percent(percent) => write!(out, "{percent} %"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn datasets_are_told_apart_by_how_they_are_written() {
        let is_file = |text: &str| matches!(text.parse(), Ok(OtherDataset::File(_)));
        assert!(is_file("lake:dim/customers.parquet") && is_file("data/countries.csv") && is_file("parts/"));
        assert_eq!(
            "staging.orders".parse::<OtherDataset>().map(|other| other.to_string()),
            Ok("staging.orders".into())
        );
        assert!("orders".parse::<OtherDataset>().is_err());
    }

    #[test]
    fn deviations_are_numbers_or_percents() {
        let bears = |written: Value, own: &str, other: &str| {
            let number = |text: &str| Scalar::number(text).expect("a number");
            let (own, other) = (number(own), number(other));
            Deviation::read(&written).expect("a deviation").bears(&own.minus(&other), &other)
        };
        assert!(bears(Value::Null, "10.00", "10.0") && !bears(Value::Null, "10.01", "10"));
        assert!(bears(json!(0.01), "10.01", "10") && !bears(json!(0.01), "9.98", "10"));
        assert!(bears(json!("1 %"), "99", "100") && !bears(json!("1%"), "98.9", "100"));
        assert!(!bears(json!("50 %"), "1", "0"));
        for wrong in [json!(-1), json!("1"), json!("-1 %"), json!([])] {
            assert!(Deviation::read(&wrong).is_err(), "{wrong}");
        }
    }
}
