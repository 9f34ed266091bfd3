//! Rows as the shop's tables hold them, without saying where they go: `MySQL`, CSV, a test.

use std::{borrow::Cow, fmt};

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Serialize, Serializer};

/// An amount of money in hundredths, so that sums stay exact.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cents(pub i64);

impl fmt::Display for Cents {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let whole = self.0.unsigned_abs();
        write!(out, "{sign}{}.{:02}", whole / 100, whole % 100)
    }
}

impl Serialize for Cents {
    /// As a JSON number with two decimals at most: `12.34`.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.0 as f64 / 100.0)
    }
}

/// One cell.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// No value.
    Null,
    /// A whole number.
    Int(i64),
    /// A whole number that is never negative: ids.
    Id(u64),
    /// Money.
    Money(Cents),
    /// Text, and numbers written as text (coordinates).
    Text(Cow<'a, str>),
    /// A day.
    Date(NaiveDate),
    /// An instant, to the microsecond.
    Time(DateTime<Utc>),
}

impl fmt::Display for Value<'_> {
    /// As in a CSV cell before quoting; null is empty.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => Ok(()),
            Self::Int(value) => write!(out, "{value}"),
            Self::Id(value) => write!(out, "{value}"),
            Self::Money(value) => write!(out, "{value}"),
            Self::Text(value) => out.write_str(value),
            Self::Date(value) => write!(out, "{value}"),
            Self::Time(value) => write!(out, "{}", value.format("%Y-%m-%d %H:%M:%S%.6f")),
        }
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(value: &'a str) -> Self {
        Self::Text(Cow::Borrowed(value))
    }
}

impl From<Cents> for Value<'_> {
    fn from(value: Cents) -> Self {
        Self::Money(value)
    }
}

impl From<u64> for Value<'_> {
    fn from(value: u64) -> Self {
        Self::Id(value)
    }
}

impl From<i64> for Value<'_> {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<DateTime<Utc>> for Value<'_> {
    fn from(value: DateTime<Utc>) -> Self {
        Self::Time(value)
    }
}

impl From<NaiveDate> for Value<'_> {
    fn from(value: NaiveDate) -> Self {
        Self::Date(value)
    }
}

impl<'a, T: Into<Value<'a>>> From<Option<T>> for Value<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// A row of one of the shop's tables.
pub trait Row {
    /// The table.
    const TABLE: &'static str;
    /// Its columns, in the order of [`Row::values`]. Generated columns are left to the database.
    const COLUMNS: &'static [&'static str];

    /// Appends one value a column to `out`.
    fn values<'a>(&'a self, out: &mut Vec<Value<'a>>);
}

/// A fault that was planted in a row on purpose, or an event that is part of an attack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Truth {
    /// `dirty` or `attack`.
    pub kind: &'static str,
    /// The table or topic.
    pub source: &'static str,
    /// The row's id, or the event's.
    pub reference: String,
    /// Which fault.
    pub fault: &'static str,
    /// What an alert on it is keyed by: a card, a session.
    pub entity: Option<String>,
    /// The attack that the event is part of.
    pub episode: Option<String>,
    /// The event's time.
    pub event_time: Option<DateTime<Utc>>,
    /// The seed that it came from.
    pub seed: u64,
}

impl Truth {
    /// A dirty row.
    pub(crate) fn dirty(source: &'static str, id: u64, fault: &'static str, seed: u64) -> Self {
        Self {
            kind: "dirty",
            source,
            reference: id.to_string(),
            fault,
            entity: None,
            episode: None,
            event_time: None,
            seed,
        }
    }
}

impl Row for Truth {
    const TABLE: &'static str = "generator_truth";
    const COLUMNS: &'static [&'static str] =
        &["kind", "source", "reference", "fault", "entity", "episode", "event_time", "seed"];

    fn values<'a>(&'a self, out: &mut Vec<Value<'a>>) {
        out.extend([
            self.kind.into(),
            self.source.into(),
            self.reference.as_str().into(),
            self.fault.into(),
            self.entity.as_deref().into(),
            self.episode.as_deref().into(),
            self.event_time.into(),
            self.seed.into(),
        ]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_prints_both_decimals_and_its_sign() {
        assert_eq!(Cents(1234).to_string(), "12.34");
        assert_eq!(Cents(-5).to_string(), "-0.05");
        assert_eq!(serde_json::to_string(&Cents(1230)).expect("a number"), "12.3");
    }
}
