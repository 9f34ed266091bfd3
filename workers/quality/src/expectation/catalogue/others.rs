//! Expectations that compare a dataset with another one. Great Expectations has none of them.

use serde::Deserialize;
use serde_json::Value;
use workflow::diagnostic::Problem;

use super::{
    super::{Deviation, Expectation, Measure, OtherDataset},
    Entry,
    arguments::read,
};
use crate::expression::Expression;

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        name: "expect_column_values_to_exist_in",
        short: "exists_in",
        keys: &["column", "dataset", "other_column"],
        read: |args| {
            read(args, |One { column, dataset, other_column }| {
                let other_columns = vec![other_column.unwrap_or_else(|| column.clone())];
                Ok(Expectation::ExistsIn { columns: vec![column], other: other(&dataset)?, other_columns })
            })
        },
    },
    Entry {
        name: "expect_compound_columns_to_exist_in",
        short: "exists_in",
        keys: &["column_list", "dataset", "other_column_list"],
        read: |args| {
            read(args, |Several { column_list: columns, dataset, other_column_list }| {
                if columns.is_empty() {
                    return Err(Problem::new("column_list", "the list is empty"));
                }
                let other_columns = other_column_list.unwrap_or_else(|| columns.clone());
                if columns.len() != other_columns.len() {
                    let message = format!(
                        "expected as many columns as in `column_list`, {}: found {}",
                        columns.len(),
                        other_columns.len()
                    );
                    return Err(Problem::new("other_column_list", message));
                }
                Ok(Expectation::ExistsIn { columns, other: other(&dataset)?, other_columns })
            })
        },
    },
    Entry {
        name: "expect_table_row_count_to_agree_with",
        short: "row_count_agrees",
        keys: &["dataset", "tolerance", "other_when"],
        read: |args| {
            read(args, |Rows { dataset, tolerance, other_when }| {
                agrees(Measure::Rows, &dataset, &tolerance, other_when)
            })
        },
    },
    Entry {
        name: "expect_column_sum_to_agree_with",
        short: "sum_agrees",
        keys: &["column", "dataset", "other_column", "tolerance", "other_when"],
        read: |args| {
            read(args, |Sum { column, dataset, other_column, tolerance, other_when }| {
                let other_column = other_column.unwrap_or_else(|| column.clone());
                agrees(Measure::Sum { column, other_column }, &dataset, &tolerance, other_when)
            })
        },
    },
];

fn other(dataset: &str) -> Result<OtherDataset, Problem> {
    dataset.parse().map_err(|message: String| Problem::new("dataset", message))
}

fn agrees(
    measure: Measure,
    dataset: &str,
    tolerance: &Value,
    other_when: Option<String>,
) -> Result<Expectation, Problem> {
    let condition = |text: String| text.parse().map_err(|e| Problem::new("other_when", format!("{e}")));
    let other_when: Option<Expression> = other_when.map(condition).transpose()?;
    let deviation = Deviation::read(tolerance).map_err(|message| Problem::new("tolerance", message))?;
    Ok(Expectation::Agrees { measure, other: other(dataset)?, other_when, deviation })
}

#[derive(Deserialize)]
struct One {
    column: String,
    dataset: String,
    #[serde(default)]
    other_column: Option<String>,
}

#[derive(Deserialize)]
struct Several {
    column_list: Vec<String>,
    dataset: String,
    #[serde(default)]
    other_column_list: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Rows {
    dataset: String,
    #[serde(default)]
    tolerance: Value,
    #[serde(default)]
    other_when: Option<String>,
}

#[derive(Deserialize)]
struct Sum {
    column: String,
    dataset: String,
    #[serde(default)]
    other_column: Option<String>,
    #[serde(default)]
    tolerance: Value,
    #[serde(default)]
    other_when: Option<String>,
}
