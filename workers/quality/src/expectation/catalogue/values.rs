//! Expectations about each value of one column.

use serde::Deserialize;

use super::{
    super::{Bounds, Expectation, Ignore},
    Entry,
    arguments::{COLUMN, Column, RANGE, Range, SET, Set, read, scalars},
};
use crate::{expression::Expression, value::Scalar};
use workflow::diagnostic::Problem;

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        name: "expect_column_values_to_not_be_null",
        short: "not_null",
        keys: COLUMN,
        read: |args| read(args, |Column { column }| Ok(Expectation::NotNull { column })),
    },
    Entry {
        name: "expect_column_values_to_be_null",
        short: "null",
        keys: COLUMN,
        read: |args| read(args, |Column { column }| Ok(Expectation::Null { column })),
    },
    Entry {
        name: "expect_column_values_to_be_unique",
        short: "unique",
        keys: COLUMN,
        read: |args| {
            read(args, |Column { column }| Ok(Expectation::Unique { columns: vec![column], ignore: Ignore::AnyNull }))
        },
    },
    Entry {
        name: "expect_column_values_to_be_between",
        short: "between",
        keys: RANGE,
        read: |args| {
            read(args, |range: Range| {
                let (column, bounds) = range.bounds()?;
                Ok(Expectation::Between { column, bounds })
            })
        },
    },
    Entry {
        name: "expect_column_values_to_be_in_set",
        short: "in_set",
        keys: SET,
        read: |args| {
            read(args, |Set { column, value_set }| {
                Ok(Expectation::InSet { column, values: scalars("value_set", &value_set)?, negated: false })
            })
        },
    },
    Entry {
        name: "expect_column_values_to_not_be_in_set",
        short: "not_in_set",
        keys: SET,
        read: |args| {
            read(args, |Set { column, value_set }| {
                Ok(Expectation::InSet { column, values: scalars("value_set", &value_set)?, negated: true })
            })
        },
    },
    Entry {
        name: "expect_column_value_lengths_to_be_between",
        short: "length",
        keys: RANGE,
        read: |args| {
            read(args, |range: Range| {
                let (column, bounds) = range.counts()?;
                Ok(Expectation::Length { column, bounds })
            })
        },
    },
    Entry {
        name: "expect_column_value_lengths_to_equal",
        short: "length",
        keys: &["column", "value"],
        read: |args| {
            read(args, |LengthEquals { column, value }| {
                Ok(Expectation::Length { column, bounds: Bounds::exactly(Scalar::int(value)) })
            })
        },
    },
    Entry {
        name: "expect_column_value_z_scores_to_be_less_than",
        short: "z_score",
        keys: &["column", "threshold", "double_sided"],
        read: |args| {
            read(args, |ZScores { column, threshold, double_sided }| {
                Ok(Expectation::ZScore { column, threshold, double_sided })
            })
        },
    },
    Entry {
        name: "expect_column_values_to_be_increasing",
        short: "increasing",
        keys: &["column", "strictly", "order_by"],
        read: |args| read(args, |order: Sequence| Ok(order.expectation(false))),
    },
    Entry {
        name: "expect_column_values_to_be_decreasing",
        short: "decreasing",
        keys: &["column", "strictly", "order_by"],
        read: |args| read(args, |order: Sequence| Ok(order.expectation(true))),
    },
    Entry {
        name: "expect_column_values_to_be_of_type",
        short: "type",
        keys: &["column", "type_"],
        read: |args| {
            read(args, |OfType { column, type_ }| Ok(Expectation::OfType { column, names: Some(vec![type_]) }))
        },
    },
    Entry {
        name: "expect_column_values_to_be_in_type_list",
        short: "type",
        keys: &["column", "type_list"],
        read: |args| read(args, |TypeList { column, type_list }| Ok(Expectation::OfType { column, names: type_list })),
    },
    Entry {
        name: "expect_row",
        short: "row",
        keys: &["sql"],
        read: |args| {
            read(args, |Row { sql }| {
                let condition: Expression = sql.parse().map_err(|e| Problem::new("sql", format!("{e}")))?;
                Ok(Expectation::Row { condition })
            })
        },
    },
];

#[derive(Deserialize)]
struct LengthEquals {
    column: String,
    value: u64,
}

#[derive(Deserialize)]
struct ZScores {
    column: String,
    threshold: f64,
    #[serde(default = "yes")]
    double_sided: bool,
}

/// Great Expectations has no default here; both sides are what an outlier is.
fn yes() -> bool {
    true
}

#[derive(Deserialize)]
struct Sequence {
    column: String,
    #[serde(default)]
    strictly: Option<bool>,
    #[serde(default)]
    order_by: Option<String>,
}

impl Sequence {
    fn expectation(self, descending: bool) -> Expectation {
        let Self { column, strictly, order_by } = self;
        Expectation::Ordered { column, descending, strictly: strictly.unwrap_or(false), order_by }
    }
}

#[derive(Deserialize)]
struct OfType {
    column: String,
    type_: String,
}

#[derive(Deserialize)]
struct TypeList {
    column: String,
    #[serde(default)]
    type_list: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Row {
    sql: String,
}
