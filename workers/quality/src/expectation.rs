//! What can be expected of a dataset: Great Expectations' types, grouped by what they look at.

mod catalogue;
mod other;

use crate::{contract::Contract, expression::Expression, postgres::Table, text::TextTest, value::Scalar};

pub use catalogue::{Entry, catalogue};
pub use other::{Deviation, Measure, OtherDataset};

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
    /// Texts pass a test.
    Text {
        /// The column.
        column: String,
        /// The test.
        test: TextTest,
    },
    /// Values lie less than so many sample standard deviations from the mean of all.
    ZScore {
        /// The column.
        column: String,
        /// The number of deviations.
        threshold: f64,
        /// Whether values far below the mean are outliers too.
        double_sided: bool,
    },
    /// No value is below the one before it; nulls are stepped over.
    Ordered {
        /// The column.
        column: String,
        /// It is the other way round: none is above the one before it.
        descending: bool,
        /// Equal ones are out of order too.
        strictly: bool,
        /// The column that says which row comes before which; in a frame, absent, the place of the row does.
        order_by: Option<String>,
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
    /// The number of rows is that of another table.
    OtherRowCount {
        /// The table; one of the same schema where it names none.
        table: Table,
    },
    /// Values are among those of another dataset; rows where one is null are left out (SQL's `match simple`).
    ExistsIn {
        /// One column, or several that are a key together.
        columns: Vec<String>,
        /// The other dataset.
        other: OtherDataset,
        /// As many columns of it.
        other_columns: Vec<String>,
    },
    /// A number is that of another dataset, or near.
    Agrees {
        /// The number.
        measure: Measure,
        /// The other dataset.
        other: OtherDataset,
        /// Only rows of it for which this is true count.
        other_when: Option<Expression>,
        /// How near.
        deviation: Deviation,
    },
    /// A query finds no rows.
    UnexpectedRows {
        /// The query, in SQL, with `{batch}` for the table.
        query: String,
    },
    /// The number of columns lies within bounds.
    ColumnCount {
        /// The bounds.
        bounds: Bounds,
    },
    /// The table has these columns.
    ColumnSet {
        /// The columns; none where absent.
        columns: Option<Vec<String>>,
        /// Whether it may have no others.
        exact: bool,
    },
    /// The table has these columns in this order and no others.
    ColumnList {
        /// The columns; where absent, they are only told.
        columns: Option<Vec<String>>,
    },
    /// The columns are what a contract says.
    Contract(Contract),
    /// The column is of one of these types.
    OfType {
        /// The column.
        column: String,
        /// Names of types, those of Great Expectations; where absent, the type is only told.
        names: Option<Vec<String>>,
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
        /// The set; where absent, they are only told.
        values: Option<Vec<Scalar>>,
        /// How.
        relation: SetRelation,
    },
    /// The value that a column has most often is one of these.
    MostCommon {
        /// The column.
        column: String,
        /// The values; where absent, it is only told.
        values: Option<Vec<Scalar>>,
        /// Of several that are equally common, one of these is enough; else there must be no other.
        ties_okay: bool,
    },
    /// Quantiles lie within bounds.
    Quantiles {
        /// The column.
        column: String,
        /// Fractions from 0 to 1. A quantile is the least value that so many are not above.
        quantiles: Vec<f64>,
        /// The bounds of each.
        ranges: Vec<Bounds>,
    },
    /// The values are spread much as a partition says.
    Divergence {
        /// The column.
        column: String,
        /// How, and how much.
        divergence: Divergence,
    },
}

/// What the relative entropy (Kullback and Leibler, in nats) of a column is taken against.
#[derive(Debug, Clone, PartialEq)]
pub struct Divergence {
    /// The partition; the column's own where absent.
    pub partition: Option<Partition>,
    /// Without a partition: bins, rather than values.
    pub bucketize: bool,
    /// The most that it may be; where absent, it is only told.
    pub threshold: Option<f64>,
    /// Weight shared by the bins that have none.
    pub internal_holdout: f64,
    /// Weight of what lies beyond the bins, or of values that are not in the partition.
    pub tail_holdout: f64,
}

/// Weights of values, or of ranges of numbers.
#[derive(Debug, Clone, PartialEq)]
pub enum Partition {
    /// Each value has a weight.
    Values {
        /// The values.
        values: Vec<Scalar>,
        /// One a value.
        weights: Vec<f64>,
    },
    /// Each bin has a weight. A bin holds its lower edge and not its upper one; the last holds both.
    Bins {
        /// Ascending; the first and the last may be infinite.
        edges: Vec<f64>,
        /// One between each two edges.
        weights: Vec<f64>,
        /// Of what lies below the first edge, and above the last.
        tails: Option<[f64; 2]>,
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
    /// Whether nothing is outside.
    pub fn are_open(&self) -> bool {
        self.min.is_none() && self.max.is_none()
    }

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
        matches!(
            self,
            Self::NotNull { .. }
                | Self::Null { .. }
                | Self::Unique { .. }
                | Self::Between { .. }
                | Self::InSet { .. }
                | Self::Matches { .. }
                | Self::Length { .. }
                | Self::Text { .. }
                | Self::ZScore { .. }
                | Self::Ordered { .. }
                | Self::PairGreater { .. }
                | Self::PairEqual { .. }
                | Self::PairInSet { .. }
                | Self::DistinctWithinRow { .. }
                | Self::RowSum { .. }
                | Self::Row { .. }
                | Self::ExistsIn { .. }
        )
    }

    /// Whether it can be asked of each group of rows by itself.
    pub fn is_about_groups(&self) -> bool {
        self.is_about_rows() || matches!(self, Self::Aggregate { .. } | Self::RowCount { .. })
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
            | Self::Text { column, .. }
            | Self::ZScore { column, .. }
            | Self::OfType { column, .. }
            | Self::MostCommon { column, .. }
            | Self::Quantiles { column, .. }
            | Self::Divergence { column, .. }
            | Self::ColumnExists { column, .. }
            | Self::Aggregate { column, .. }
            | Self::DistinctSet { column, .. } => vec![column.clone()],
            Self::Ordered { column, order_by, .. } => [column].into_iter().chain(order_by).cloned().collect(),
            Self::PairGreater { a, b, .. } | Self::PairEqual { a, b, .. } | Self::PairInSet { a, b, .. } => {
                vec![a.clone(), b.clone()]
            }
            Self::Unique { columns, .. }
            | Self::DistinctWithinRow { columns, .. }
            | Self::RowSum { columns, .. }
            | Self::ExistsIn { columns, .. } => columns.clone(),
            Self::Agrees { measure: Measure::Sum { column, .. }, .. } => vec![column.clone()],
            Self::Row { condition } => condition.columns().into_iter().map(str::to_owned).collect(),
            Self::RowCount { .. }
            | Self::Contract(_)
            | Self::OtherRowCount { .. }
            | Self::Agrees { measure: Measure::Rows, .. }
            | Self::UnexpectedRows { .. }
            | Self::ColumnCount { .. }
            | Self::ColumnSet { .. }
            | Self::ColumnList { .. } => Vec::new(),
        }
    }
}
