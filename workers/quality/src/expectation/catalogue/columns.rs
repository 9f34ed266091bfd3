//! Expectations about several columns of each row.

use serde::Deserialize;
use serde_json::Value;
use workflow::diagnostic::Problem;

use super::{
    super::{Expectation, Ignore},
    Entry,
    arguments::{read, required},
};
use crate::value::Scalar;

const PAIR: &[&str] = &["column_A", "column_B", "ignore_row_if"];
const LIST: &[&str] = &["column_list", "ignore_row_if"];

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        name: "expect_column_pair_values_a_to_be_greater_than_b",
        short: "greater",
        keys: &["column_A", "column_B", "or_equal", "ignore_row_if"],
        read: |args| {
            read(args, |PairGreater { a, b, or_equal, ignore_row_if }| {
                Ok(Expectation::PairGreater { a, b, or_equal: or_equal.unwrap_or(false), ignore: ignore_row_if.into() })
            })
        },
    },
    Entry {
        name: "expect_column_pair_values_to_be_equal",
        short: "equal",
        keys: PAIR,
        read: |args| {
            read(args, |Pair { a, b, ignore_row_if }| Ok(Expectation::PairEqual { a, b, ignore: ignore_row_if.into() }))
        },
    },
    Entry {
        name: "expect_column_pair_values_to_be_in_set",
        short: "pair_in_set",
        keys: &["column_A", "column_B", "value_pairs_set", "ignore_row_if"],
        read: |args| {
            read(args, |PairInSet { a, b, value_pairs_set, ignore_row_if }| {
                let one = |value: &Value| Scalar::from_json(value).map_err(|e| Problem::new("value_pairs_set", e));
                let pairs =
                    value_pairs_set.iter().map(|[a, b]| Ok((one(a)?, one(b)?))).collect::<Result<_, Problem>>()?;
                Ok(Expectation::PairInSet { a, b, pairs, ignore: ignore_row_if.into() })
            })
        },
    },
    Entry {
        name: "expect_compound_columns_to_be_unique",
        short: "unique",
        keys: LIST,
        read: |args| {
            read(args, |ColumnList { column_list, ignore_row_if }| {
                Ok(Expectation::Unique { columns: several(column_list)?, ignore: ignore_row_if.into() })
            })
        },
    },
    Entry {
        name: "expect_select_column_values_to_be_unique_within_record",
        short: "distinct_within_row",
        keys: LIST,
        read: |args| {
            read(args, |ColumnList { column_list, ignore_row_if }| {
                Ok(Expectation::DistinctWithinRow { columns: several(column_list)?, ignore: ignore_row_if.into() })
            })
        },
    },
    Entry {
        name: "expect_multicolumn_sum_to_equal",
        short: "row_sum",
        keys: &["column_list", "sum_total", "ignore_row_if"],
        read: |args| {
            read(args, |RowSum { column_list, sum_total, ignore_row_if }| {
                let total = required("sum_total", &sum_total)?;
                Ok(Expectation::RowSum { columns: several(column_list)?, total, ignore: ignore_row_if.into() })
            })
        },
    },
];

fn several(columns: Vec<String>) -> Result<Vec<String>, Problem> {
    if columns.is_empty() { Err(Problem::new("column_list", "the list is empty")) } else { Ok(columns) }
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "snake_case")]
enum IgnorePair {
    #[default]
    BothValuesAreMissing,
    EitherValueIsMissing,
    Neither,
}

impl From<IgnorePair> for Ignore {
    fn from(ignore: IgnorePair) -> Self {
        match ignore {
            IgnorePair::BothValuesAreMissing => Self::AllNull,
            IgnorePair::EitherValueIsMissing => Self::AnyNull,
            IgnorePair::Neither => Self::Never,
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "snake_case")]
enum IgnoreRow {
    #[default]
    AllValuesAreMissing,
    AnyValueIsMissing,
    Never,
}

impl From<IgnoreRow> for Ignore {
    fn from(ignore: IgnoreRow) -> Self {
        match ignore {
            IgnoreRow::AllValuesAreMissing => Self::AllNull,
            IgnoreRow::AnyValueIsMissing => Self::AnyNull,
            IgnoreRow::Never => Self::Never,
        }
    }
}

#[derive(Deserialize)]
struct PairGreater {
    #[serde(rename = "column_A")]
    a: String,
    #[serde(rename = "column_B")]
    b: String,
    #[serde(default)]
    or_equal: Option<bool>,
    #[serde(default)]
    ignore_row_if: IgnorePair,
}

#[derive(Deserialize)]
struct Pair {
    #[serde(rename = "column_A")]
    a: String,
    #[serde(rename = "column_B")]
    b: String,
    #[serde(default)]
    ignore_row_if: IgnorePair,
}

#[derive(Deserialize)]
struct PairInSet {
    #[serde(rename = "column_A")]
    a: String,
    #[serde(rename = "column_B")]
    b: String,
    value_pairs_set: Vec<[Value; 2]>,
    #[serde(default)]
    ignore_row_if: IgnorePair,
}

#[derive(Deserialize)]
struct ColumnList {
    column_list: Vec<String>,
    #[serde(default)]
    ignore_row_if: IgnoreRow,
}

#[derive(Deserialize)]
struct RowSum {
    column_list: Vec<String>,
    #[serde(default)]
    sum_total: Value,
    #[serde(default)]
    ignore_row_if: IgnoreRow,
}
