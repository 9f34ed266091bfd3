//! Expectations about a table as a whole: its rows, its columns, another table beside it.

use serde::Deserialize;
use serde_json::Value;
use workflow::diagnostic::Problem;

use super::{
    super::{Bounds, Expectation},
    Entry,
    arguments::{in_order, read, whole},
};
use crate::{contract, postgres::Table, value::Scalar};

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        name: "expect_column_to_exist",
        short: "exists",
        keys: &["column", "column_index"],
        read: |args| {
            read(args, |Exists { column, column_index }| Ok(Expectation::ColumnExists { column, index: column_index }))
        },
    },
    Entry {
        name: "expect_table_row_count_to_be_between",
        short: "row_count",
        keys: &["min_value", "max_value"],
        read: |args| read(args, |range: TableRange| Ok(Expectation::RowCount { bounds: range.counts()? })),
    },
    Entry {
        name: "expect_table_row_count_to_equal",
        short: "row_count",
        keys: &["value"],
        read: |args| {
            read(args, |Count { value }| Ok(Expectation::RowCount { bounds: Bounds::exactly(Scalar::int(value)) }))
        },
    },
    Entry {
        name: "expect_table_row_count_to_equal_other_table",
        short: "row_count_of",
        keys: &["other_table_name"],
        read: |args| {
            read(args, |OtherTable { other_table_name: name }| {
                let table = name.parse().unwrap_or_else(|_| Table { schema: String::new(), name });
                Ok(Expectation::OtherRowCount { table })
            })
        },
    },
    Entry {
        name: "expect_table_column_count_to_be_between",
        short: "column_count",
        keys: &["min_value", "max_value"],
        read: |args| read(args, |range: TableRange| Ok(Expectation::ColumnCount { bounds: range.counts()? })),
    },
    Entry {
        name: "expect_table_column_count_to_equal",
        short: "column_count",
        keys: &["value"],
        read: |args| {
            read(args, |Count { value }| Ok(Expectation::ColumnCount { bounds: Bounds::exactly(Scalar::int(value)) }))
        },
    },
    Entry {
        name: "expect_table_columns_to_match_set",
        short: "columns",
        keys: &["column_set", "exact_match"],
        read: |args| {
            read(args, |ColumnSet { column_set, exact_match }| {
                Ok(Expectation::ColumnSet { columns: column_set, exact: exact_match.unwrap_or(true) })
            })
        },
    },
    Entry {
        name: "expect_table_columns_to_match_ordered_list",
        short: "columns",
        keys: &["column_list"],
        read: |args| read(args, |Ordered { column_list }| Ok(Expectation::ColumnList { columns: column_list })),
    },
    Entry {
        name: "expect_table_to_meet_contract",
        short: "contract",
        keys: &["columns", "types", "order", "fields"],
        read: |args| contract::read(args).map(Expectation::Contract),
    },
    Entry {
        name: "unexpected_rows_expectation",
        short: "query",
        keys: &["unexpected_rows_query"],
        read: |args| {
            read(args, |Query { unexpected_rows_query: query }| {
                if query.trim().is_empty() {
                    return Err(Problem::new("unexpected_rows_query", "the query is empty"));
                }
                Ok(Expectation::UnexpectedRows { query })
            })
        },
    },
];

#[derive(Deserialize)]
struct TableRange {
    #[serde(default)]
    min_value: Value,
    #[serde(default)]
    max_value: Value,
}

impl TableRange {
    fn counts(self) -> Result<Bounds, Problem> {
        let (min, max) = (whole("min_value", &self.min_value)?, whole("max_value", &self.max_value)?);
        in_order(min.as_ref(), max.as_ref())?;
        Ok(Bounds { min, max, ..Bounds::default() })
    }
}

#[derive(Deserialize)]
struct Count {
    value: u64,
}

#[derive(Deserialize)]
struct Exists {
    column: String,
    #[serde(default)]
    column_index: Option<usize>,
}

#[derive(Deserialize)]
struct OtherTable {
    other_table_name: String,
}

#[derive(Deserialize)]
struct ColumnSet {
    #[serde(default)]
    column_set: Option<Vec<String>>,
    #[serde(default)]
    exact_match: Option<bool>,
}

#[derive(Deserialize)]
struct Ordered {
    #[serde(default)]
    column_list: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Query {
    unexpected_rows_query: String,
}
