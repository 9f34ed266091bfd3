//! What can be expected of a dataset: Great Expectations' types, grouped by what they look at.

mod catalogue;

use crate::{expression::Expression, value::Scalar};

pub use catalogue::{Entry, catalogue};

/// An expectation with its arguments.
#[derive(Debug, Clone)]
pub enum Expectation {
    /// Values are not null.
    NotNull {
        /// The column.
        column: String,
    },
    /// Values are null.
    Null {
        /// The column.
        column: String,
    },
    /// No two rows have the same values in all of these columns.
    Unique {
        /// One column, or several that are a key together.
        columns: Vec<String>,
        /// Which rows are left out.
        ignore: Ignore,
    },
    /// Values lie within bounds.
    Between {
        /// The column.
        column: String,
        /// The bounds.
        bounds: Bounds,
    },
    /// Values are among these, or are not.
    InSet {
        /// The column.
        column: String,
        /// The values.
        values: Vec<Scalar>,
        /// They must not be among them.
        negated: bool,
    },
    /// Texts hold a match of regular expressions, or do not.
    Matches {
        /// The column.
        column: String,
        /// The patterns.
        patterns: Vec<String>,
        /// Whether they are `like` patterns rather than regular expressions.
        like: bool,
        /// One match is enough; else every pattern must match.
        any: bool,
        /// No pattern may match.
        negated: bool,
    },
    /// Texts have a length, in characters, within bounds.
    Length {
        /// The column.
        column: String,
        /// The bounds.
        bounds: Bounds,
    },
    /// The value of `a` is above that of `b`.
    PairGreater {
        /// The greater.
        a: String,
        /// The lesser.
        b: String,
        /// Whether they may be equal.
        or_equal: bool,
        /// Which rows are left out.
        ignore: Ignore,
    },
    /// The two values are equal.
    PairEqual {
        /// One column.
        a: String,
        /// The other.
        b: String,
        /// Which rows are left out.
        ignore: Ignore,
    },
    /// The pair of values is one of these.
    PairInSet {
        /// One column.
        a: String,
        /// The other.
        b: String,
        /// The pairs; a null is a value of its own.
        pairs: Vec<(Option<Scalar>, Option<Scalar>)>,
        /// Which rows are left out.
        ignore: Ignore,
    },
    /// Within each row, all of these columns have different values.
    DistinctWithinRow {
        /// The columns.
        columns: Vec<String>,
        /// Which rows are left out.
        ignore: Ignore,
    },
    /// Within each row, these columns add up to a total.
    RowSum {
        /// The columns.
        columns: Vec<String>,
        /// Their sum.
        total: Scalar,
        /// Which rows are left out.
        ignore: Ignore,
    },
    /// A condition holds for each row; a row for which it is null is left out.
    Row {
        /// The condition.
        condition: Expression,
    },
    /// The column exists, at a place in the table if one is given.
    ColumnExists {
        /// The column.
        column: String,
        /// Its place, from 0.
        index: Option<usize>,
    },
    /// The number of rows lies within bounds.
    RowCount {
        /// The bounds.
        bounds: Bounds,
    },
    /// The number of columns lies within bounds.
    ColumnCount {
        /// The bounds.
        bounds: Bounds,
    },
    /// The table has these columns.
    ColumnSet {
        /// The columns.
        columns: Vec<String>,
        /// Whether it may have no others.
        exact: bool,
    },
    /// The table has these columns in this order and no others.
    ColumnList {
        /// The columns.
        columns: Vec<String>,
    },
    /// A number computed from a column lies within bounds.
    Aggregate {
        /// The column.
        column: String,
        /// What is computed.
        metric: Metric,
        /// The bounds.
        bounds: Bounds,
    },
    /// The different values of a column relate to a set.
    DistinctSet {
        /// The column.
        column: String,
        /// The set.
        values: Vec<Scalar>,
        /// How.
        relation: SetRelation,
    },
}

/// What is computed from the values of a column that are not null.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Metric {
    /// Their sum.
    Sum,
    /// Their arithmetic mean.
    Mean,
    /// The least.
    Min,
    /// The greatest.
    Max,
    /// The middle one, or the mean of the two in the middle.
    Median,
    /// Sample standard deviation (divisor n - 1).
    Stdev,
    /// How many different ones there are.
    Distinct,
    /// How many different ones there are, as a fraction of their number.
    DistinctFraction,
}

impl Metric {
    /// Whether it computes with numbers; the others only compare values or tell them apart.
    pub fn is_arithmetic(self) -> bool {
        matches!(self, Self::Sum | Self::Mean | Self::Median | Self::Stdev)
    }
}

/// How the different values of a column relate to a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetRelation {
    /// All of them are in it.
    Within,
    /// All of it is among them.
    Contains,
    /// The two are the same.
    Equal,
}

/// Which rows a check over several columns leaves out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ignore {
    /// Those where all of the columns are null.
    AllNull,
    /// Those where any of the columns is null.
    AnyNull,
    /// None.
    Never,
}

/// A range, closed unless said otherwise.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Bounds {
    /// The least; none where absent.
    pub min: Option<Scalar>,
    /// The greatest; none where absent.
    pub max: Option<Scalar>,
    /// The least itself lies outside.
    pub strict_min: bool,
    /// The greatest itself lies outside.
    pub strict_max: bool,
}

impl Bounds {
    /// Exactly this value.
    pub fn exactly(value: Scalar) -> Self {
        Self { min: Some(value.clone()), max: Some(value), ..Self::default() }
    }

    /// Whether `value` lies within.
    ///
    /// # Errors
    /// Where a bound cannot be compared with it.
    pub fn hold(&self, value: &Scalar) -> Result<bool, String> {
        let compare = |bound: &Scalar| {
            value.compare(bound).ok_or_else(|| format!("the bound {bound} cannot be compared with {value}"))
        };
        if let Some(min) = &self.min {
            let order = compare(min)?;
            if order.is_lt() || (self.strict_min && order.is_eq()) {
                return Ok(false);
            }
        }
        if let Some(max) = &self.max {
            let order = compare(max)?;
            if order.is_gt() || (self.strict_max && order.is_eq()) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl Expectation {
    /// Whether it says of each row whether it is good, so that bad ones can be held back.
    pub fn is_about_rows(&self) -> bool {
        !matches!(
            self,
            Self::ColumnExists { .. }
                | Self::RowCount { .. }
                | Self::ColumnCount { .. }
                | Self::ColumnSet { .. }
                | Self::ColumnList { .. }
                | Self::Aggregate { .. }
                | Self::DistinctSet { .. }
        )
    }

    /// The columns that it looks at.
    pub fn columns(&self) -> Vec<String> {
        match self {
            Self::NotNull { column }
            | Self::Null { column }
            | Self::Between { column, .. }
            | Self::InSet { column, .. }
            | Self::Matches { column, .. }
            | Self::Length { column, .. }
            | Self::ColumnExists { column, .. }
            | Self::Aggregate { column, .. }
            | Self::DistinctSet { column, .. } => vec![column.clone()],
            Self::PairGreater { a, b, .. } | Self::PairEqual { a, b, .. } | Self::PairInSet { a, b, .. } => {
                vec![a.clone(), b.clone()]
            }
            Self::Unique { columns, .. } | Self::DistinctWithinRow { columns, .. } | Self::RowSum { columns, .. } => {
                columns.clone()
            }
            Self::Row { condition } => condition.columns().into_iter().map(str::to_owned).collect(),
            Self::RowCount { .. } | Self::ColumnCount { .. } | Self::ColumnSet { .. } | Self::ColumnList { .. } => {
                Vec::new()
            }
        }
    }
}
