//! What a dataset looks like, from one pass over it: types, nulls, distinct values, spread, common values, the shape of
//! texts, and which columns are null together.
//!
//! Memory is bounded by the number of columns. What is counted exactly up to a limit and estimated beyond says so.

mod column;
mod distinct;
mod nulls;

use serde::{Serialize, Serializer};

use crate::{types, value::Scalar};

pub(crate) use column::Watch;
pub use distinct::EXACT_VALUES;
pub(crate) use nulls::Nulls;

/// How many of the most common values are kept.
pub const TOP: usize = 20;

/// How many of the most common patterns of text are told.
pub const PATTERNS: usize = 10;

/// A dataset, column by column.
#[derive(Debug, Clone, Serialize)]
pub struct Profile {
    /// Its number of rows.
    pub rows: u64,
    /// Its columns, in order.
    pub columns: Vec<ColumnProfile>,
    /// Pairs of columns that tend to be null together, or in turn; the strongest first.
    pub null_correlations: Vec<NullCorrelation>,
}

/// One column.
#[derive(Debug, Clone, Serialize)]
pub struct ColumnProfile {
    /// Its name.
    pub name: String,
    /// What the engine calls its type: `i64`, `int8`.
    #[serde(rename = "type")]
    pub type_name: String,
    /// The name of its type that frames and tables share.
    #[serde(skip)]
    pub(crate) common_type: String,
    #[serde(skip)]
    pub(crate) kind: types::Type,
    /// Its number of rows.
    pub rows: u64,
    /// How many of them are null.
    pub nulls: u64,
    /// How many values it has that differ; nulls are none.
    pub distinct: Counted,
    /// The least; not-a-number is above all others.
    #[serde(serialize_with = "one")]
    pub min: Option<Scalar>,
    /// The greatest.
    #[serde(serialize_with = "one")]
    pub max: Option<Scalar>,
    /// The mean of numbers that are finite.
    pub mean: Option<f64>,
    /// Their sample standard deviation (divisor n - 1).
    pub stdev: Option<f64>,
    /// Where numbers lie.
    pub quantiles: Option<Quantiles>,
    /// The most common values, at most [`TOP`]. Counts are exact; where `distinct` is approximate, values that came
    /// late are not among them.
    pub top: Vec<Top>,
    /// What texts look like.
    pub text: Option<TextProfile>,
}

impl ColumnProfile {
    /// How many rows have a value.
    pub fn values(&self) -> u64 {
        self.rows - self.nulls
    }
}

/// A number that was counted, or estimated with a standard error of 0.8 %.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Counted {
    /// The number.
    pub count: u64,
    /// Whether it is an estimate: there are more than [`EXACT_VALUES`] values.
    pub approximate: bool,
}

/// Five quantiles. Each is the least value that so many are not above.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Quantiles {
    /// 5 % lie at or below.
    pub p05: f64,
    /// A quarter lies at or below.
    pub p25: f64,
    /// Half lies at or below.
    pub p50: f64,
    /// Three quarters lie at or below.
    pub p75: f64,
    /// 95 % lie at or below.
    pub p95: f64,
    /// Whether they are those of a random sample of the values.
    pub approximate: bool,
}

/// A value and how often it is there.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Top {
    /// The value.
    #[serde(serialize_with = "value")]
    pub value: Scalar,
    /// In how many rows.
    pub count: u64,
}

/// What the texts of a column look like.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TextProfile {
    /// Characters of the shortest.
    pub min_length: u64,
    /// Characters of the longest.
    pub max_length: u64,
    /// Characters on average.
    pub mean_length: f64,
    /// How many are empty, or blanks alone.
    pub blank: u64,
    /// How many others begin or end with a blank.
    pub padded: u64,
    /// The most common patterns, at most [`PATTERNS`]: a digit is `9`, a letter `A` or `a`, the rest is as it is.
    pub patterns: Vec<Pattern>,
    /// Texts of other patterns.
    pub other_patterns: u64,
    /// Every pattern, where there were few enough to know them all.
    #[serde(skip)]
    pub(crate) all_patterns: Option<Vec<String>>,
}

/// A pattern and how many texts have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pattern {
    /// The pattern.
    pub pattern: String,
    /// How many texts.
    pub count: u64,
}

/// How two columns are null together.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NullCorrelation {
    /// One column.
    pub a: String,
    /// The other.
    pub b: String,
    /// Rows in which both are null.
    pub both: u64,
    /// The phi coefficient: 1 where they are null in the same rows, -1 where just one of them ever is.
    pub phi: f64,
}

/// Puts together what was watched.
pub(crate) fn finish(rows: u64, watched: Vec<Watch>, nulls: &Nulls) -> Profile {
    let columns: Vec<_> = watched.into_iter().map(Watch::finish).collect();
    Profile { rows, null_correlations: nulls.correlations(rows, &columns), columns }
}

#[expect(clippy::ref_option, reason = "the form is serde's")]
fn one<S: Serializer>(value: &Option<Scalar>, to: S) -> Result<S::Ok, S::Error> {
    value.as_ref().map(Scalar::to_json).serialize(to)
}

fn value<S: Serializer>(value: &Scalar, to: S) -> Result<S::Ok, S::Error> {
    value.to_json().serialize(to)
}

/// A count for people, with a comma between thousands.
pub fn thousands(count: u64) -> String {
    let digits = count.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A number for people, with no more digits than they read: `1,020`, `16.4`, `0.0031`.
pub fn number(value: f64) -> String {
    if !value.is_finite() {
        return value.to_string();
    }
    let size = value.abs();
    let decimals = match size {
        _ if size >= 1000.0 => 0,
        _ if size >= 100.0 => 1,
        _ if size >= 1.0 => 2,
        _ => 4,
    };
    let text = format!("{size:.decimals$}");
    let text = if decimals > 0 { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    let (whole, part) = text.split_once('.').map_or((text, None), |(whole, part)| (whole, Some(part)));
    let whole = whole.parse().map_or_else(|_| whole.to_owned(), thousands);
    let sign = if value < 0.0 && text != "0" { "-" } else { "" };
    format!("{sign}{whole}{}", part.map(|part| format!(".{part}")).unwrap_or_default())
}
