//! Expectations about one number, or one set, computed from a column.

use serde_json::Value;
use workflow::diagnostic::Problem;

use super::{
    super::{Expectation, Metric, SetRelation},
    Entry,
    arguments::{AnySet, RANGE, Range, SET, Set, read, scalars},
};

pub(super) const ENTRIES: &[Entry] = &[
    Entry { name: "expect_column_sum_to_be_between", short: "sum", keys: RANGE, read: |a| bounded(a, Metric::Sum) },
    Entry { name: "expect_column_mean_to_be_between", short: "mean", keys: RANGE, read: |a| told(a, Metric::Mean) },
    Entry { name: "expect_column_min_to_be_between", short: "min", keys: RANGE, read: |a| bounded(a, Metric::Min) },
    Entry { name: "expect_column_max_to_be_between", short: "max", keys: RANGE, read: |a| bounded(a, Metric::Max) },
    Entry {
        name: "expect_column_median_to_be_between",
        short: "median",
        keys: RANGE,
        read: |a| told(a, Metric::Median),
    },
    Entry { name: "expect_column_stdev_to_be_between", short: "stdev", keys: RANGE, read: |a| told(a, Metric::Stdev) },
    Entry {
        name: "expect_column_unique_value_count_to_be_between",
        short: "distinct_count",
        keys: RANGE,
        read: |a| told(a, Metric::Distinct),
    },
    Entry {
        name: "expect_column_proportion_of_unique_values_to_be_between",
        short: "distinct_fraction",
        keys: RANGE,
        read: |a| told(a, Metric::DistinctFraction),
    },
    Entry {
        name: "expect_column_distinct_values_to_be_in_set",
        short: "distinct_in_set",
        keys: SET,
        read: |args| {
            read(args, |set: AnySet| {
                let values = set.values()?;
                Ok(Expectation::DistinctSet { column: set.column, values, relation: SetRelation::Within })
            })
        },
    },
    Entry {
        name: "expect_column_distinct_values_to_contain_set",
        short: "distinct_contain_set",
        keys: SET,
        read: |args| distinct(args, SetRelation::Contains),
    },
    Entry {
        name: "expect_column_distinct_values_to_equal_set",
        short: "distinct_equal_set",
        keys: SET,
        read: |args| distinct(args, SetRelation::Equal),
    },
];

fn bounded(args: Value, metric: Metric) -> Result<Expectation, Vec<Problem>> {
    read(args, |range: Range| {
        let (column, bounds) = range.bounds()?;
        Ok(Expectation::Aggregate { column, metric, bounds })
    })
}

/// As Great Expectations does, these take no bounds too, and tell the number then.
fn told(args: Value, metric: Metric) -> Result<Expectation, Vec<Problem>> {
    read(args, |range: Range| {
        let (column, bounds) = range.bounds_if_any()?;
        Ok(Expectation::Aggregate { column, metric, bounds })
    })
}

fn distinct(args: Value, relation: SetRelation) -> Result<Expectation, Vec<Problem>> {
    read(args, |Set { column, value_set }| {
        Ok(Expectation::DistinctSet { column, values: Some(scalars("value_set", &value_set)?), relation })
    })
}
