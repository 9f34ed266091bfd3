//! Tests of a text that no engine has: whether it parses, as JSON or as a date. Both engines ask the same code here,
//! so that a text is good in both or in neither.

mod dateutil;
mod json_schema;
mod time_format;

use std::sync::Arc;

use serde::de::IgnoredAny;

pub use json_schema::JsonSchema;
pub use time_format::TimeFormat;

/// In English, as both ways of reading times know them.
const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

/// A test of one text.
#[derive(Debug, Clone, PartialEq)]
pub enum TextTest {
    /// It is a JSON document, by RFC 8259: `NaN` and `Infinity`, which Python takes, are none.
    Json,
    /// It is a JSON document that meets a schema.
    JsonSchema(Arc<JsonSchema>),
    /// It is a time written in a format.
    Strftime(TimeFormat),
    /// It is a date or a time as people write them: the common forms that Python's `dateutil` reads.
    Dateutil,
}

impl TextTest {
    /// Whether `text` passes.
    pub fn holds(&self, text: &str) -> bool {
        match self {
            Self::Json => serde_json::from_str::<IgnoredAny>(text).is_ok(),
            Self::JsonSchema(schema) => serde_json::from_str(text).is_ok_and(|value| schema.holds(&value)),
            Self::Strftime(format) => format.reads(text),
            Self::Dateutil => dateutil::reads(text),
        }
    }

    /// What it is called in an error.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Json => "a test for JSON",
            Self::JsonSchema(_) => "a JSON schema",
            Self::Strftime(_) => "a format of times",
            Self::Dateutil => "a test for dates",
        }
    }
}
