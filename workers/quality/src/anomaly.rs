//! Anomalies: a number of a batch held against the same number of the batches before it.
//!
//! Pure. What is judged is one point; the baseline is the points before it and never itself. Who asks brings both
//! ([`crate::watch`] reads them from Postgres).

mod calendar;
mod judge;
mod read;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use calendar::{Calendar, Event};
pub use judge::{Judgement, Point};
pub(crate) use read::read;

use crate::{OnFail, Severity};

/// MADs from the median beyond which a point is an anomaly, where a rule does not say. For normal noise these are four
/// standard deviations.
pub const SENSITIVITY: f64 = 6.0;

/// A number that is watched, and what is odd about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Its id among the checks of its suite.
    pub id: String,
    /// What is watched.
    pub metric: Metric,
    /// The side on which a point is odd.
    pub direction: Direction,
    /// Which points are alike.
    pub season: Season,
    /// The limit, in MADs.
    pub sensitivity: f64,
    /// Points that there must be before any is judged.
    pub minimum: usize,
    /// The most points of the baseline; with a season, of each day of the week.
    pub window: usize,
    /// What an anomaly does to the batch.
    pub on_fail: OnFail,
    /// How bad it is.
    pub severity: Severity,
    /// Why it is watched.
    pub description: Option<String>,
    /// The entry as written.
    pub arguments: Value,
}

/// What is watched.
#[derive(Debug, Clone, PartialEq)]
pub enum Metric {
    /// A number of the batch as a whole.
    Batch(BatchMetric),
    /// A number of a column's profile.
    Column {
        /// The column.
        column: String,
        /// Which number.
        metric: ColumnMetric,
    },
    /// What a query gives: one row, one number. `{batch}` stands for the table.
    Sql(String),
}

/// A number of a batch as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BatchMetric {
    /// Its rows.
    RowCount,
    /// Of its rows, the share that checks hold back.
    FailedShare,
}

/// A number of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColumnMetric {
    /// Rows without a value, of all.
    NullShare,
    /// Different values.
    Distinct,
    /// Different values, of all values.
    DistinctShare,
    /// Rows with the most common value, of all values.
    TopShare,
    /// Empty texts, or blanks alone, of all values.
    BlankShare,
    /// The least number.
    Min,
    /// The greatest number.
    Max,
    /// The mean of numbers.
    Mean,
    /// Their sample standard deviation.
    Stdev,
    /// 5 % of the numbers are at or below.
    P05,
    /// A quarter is.
    P25,
    /// Half is.
    Median,
    /// Three quarters are.
    P75,
    /// 95 % are.
    P95,
}

/// The side on which a point is odd.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Far above the median.
    Up,
    /// Far below it.
    Down,
    /// Either.
    #[default]
    Both,
}

/// Which points are alike.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Season {
    /// All of them.
    #[default]
    None,
    /// Those of the same day of the week.
    Weekday,
}

impl Season {
    /// Points that there must be before any is judged, where a rule does not say.
    pub(crate) fn minimum(self) -> usize {
        match self {
            Self::None => 14,
            Self::Weekday => 6,
        }
    }

    /// How many points before the tested one are its baseline, where a rule does not say: four weeks of days, or eight weeks.
    pub(crate) fn window(self) -> usize {
        match self {
            Self::None => 28,
            Self::Weekday => 8,
        }
    }
}

impl BatchMetric {
    /// As written and stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RowCount => "row_count",
            Self::FailedShare => "failed_share",
        }
    }
}

impl ColumnMetric {
    /// As written and stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NullShare => "null_share",
            Self::Distinct => "distinct",
            Self::DistinctShare => "distinct_share",
            Self::TopShare => "top_share",
            Self::BlankShare => "blank_share",
            Self::Min => "min",
            Self::Max => "max",
            Self::Mean => "mean",
            Self::Stdev => "stdev",
            Self::P05 => "p05",
            Self::P25 => "p25",
            Self::Median => "median",
            Self::P75 => "p75",
            Self::P95 => "p95",
        }
    }
}

impl Rule {
    /// The column that it is about; none where it is about the batch.
    pub fn column(&self) -> Option<&str> {
        match &self.metric {
            Metric::Column { column, .. } => Some(column),
            Metric::Batch(_) | Metric::Sql(_) => None,
        }
    }

    /// Under which name its number is kept with the batch, or with its column.
    pub fn key(&self) -> String {
        match &self.metric {
            Metric::Batch(metric) => metric.as_str().to_owned(),
            Metric::Column { metric, .. } => metric.as_str().to_owned(),
            Metric::Sql(_) => format!("sql.{}", self.id),
        }
    }

    /// What is watched, for people: `row_count`, `mean of total`.
    pub fn subject(&self) -> String {
        match &self.metric {
            Metric::Batch(metric) => metric.as_str().to_owned(),
            Metric::Column { column, metric } => format!("{} of {column}", metric.as_str()),
            Metric::Sql(_) => self.id.clone(),
        }
    }

    /// Whether it is a part of rows, which has chance noise of its own.
    fn is_share(&self) -> bool {
        matches!(self.metric, Metric::Batch(BatchMetric::FailedShare))
            || matches!(&self.metric, Metric::Column { metric, .. } if metric.as_str().ends_with("_share"))
    }
}
