//! Expectations about how the values of a column are spread.

use serde::Deserialize;
use serde_json::Value;
use workflow::diagnostic::Problem;

use super::{
    super::{Bounds, Divergence, Expectation, Partition},
    Entry,
    arguments::read,
    arguments::{AnySet, scalar, scalars},
};
use crate::value::Scalar;

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        name: "expect_column_most_common_value_to_be_in_set",
        short: "most_common",
        keys: &["column", "value_set", "ties_okay"],
        read: |args| {
            read(args, |MostCommon { column, value_set, ties_okay }| {
                let set = AnySet { column, value_set };
                let values = set.values()?;
                Ok(Expectation::MostCommon { column: set.column, values, ties_okay: ties_okay.unwrap_or(false) })
            })
        },
    },
    Entry {
        name: "expect_column_quantile_values_to_be_between",
        short: "quantiles",
        keys: &["column", "quantile_ranges", "allow_relative_error"],
        read: |args| {
            read(args, |Quantiles { column, quantile_ranges, allow_relative_error }| {
                // `false` is what Great Expectations' suites say; anything else asks for an approximation.
                if !matches!(allow_relative_error, Value::Null | Value::Bool(false)) {
                    let hint = "remove it, or say false";
                    return Err(Problem::new("allow_relative_error", "quantiles here are always exact").hint(hint));
                }
                let (quantiles, ranges) = quantile_ranges.read()?;
                Ok(Expectation::Quantiles { column, quantiles, ranges })
            })
        },
    },
    Entry {
        name: "expect_column_kl_divergence_to_be_less_than",
        short: "kl_divergence",
        keys: &[
            "column",
            "partition_object",
            "threshold",
            "internal_weight_holdout",
            "tail_weight_holdout",
            "bucketize_data",
        ],
        read: |args| read(args, |divergence: KlDivergence| divergence.expectation()),
    },
];

#[derive(Deserialize)]
struct MostCommon {
    column: String,
    #[serde(default)]
    value_set: Option<Vec<Value>>,
    #[serde(default)]
    ties_okay: Option<bool>,
}

#[derive(Deserialize)]
struct Quantiles {
    column: String,
    quantile_ranges: QuantileRanges,
    #[serde(default)]
    allow_relative_error: Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct QuantileRanges {
    quantiles: Vec<f64>,
    value_ranges: Vec<[Value; 2]>,
}

impl QuantileRanges {
    fn read(self) -> Result<(Vec<f64>, Vec<Bounds>), Problem> {
        if self.quantiles.len() != self.value_ranges.len() {
            let message = format!("{} quantiles have {} ranges", self.quantiles.len(), self.value_ranges.len());
            return Err(
                Problem::new("quantile_ranges", message).hint("give each quantile its range, in the same order")
            );
        }
        if let Some(wrong) = self.quantiles.iter().find(|quantile| !(0.0..=1.0).contains(*quantile)) {
            return Err(Problem::new("quantile_ranges.quantiles", format!("must be from 0 to 1, found {wrong}")));
        }
        let range = |(index, [min, max]): (usize, &[Value; 2])| {
            let field = format!("quantile_ranges.value_ranges[{index}]");
            let (min, max) = (scalar(&field, min)?, scalar(&field, max)?);
            if let (Some(min), Some(max)) = (&min, &max)
                && min.compare(max).is_none_or(std::cmp::Ordering::is_gt)
            {
                return Err(Problem::new(
                    field,
                    format!("the range goes from {min} to {max}: nothing can lie between"),
                ));
            }
            Ok(Bounds { min, max, ..Bounds::default() })
        };
        let ranges = self.value_ranges.iter().enumerate().map(range).collect::<Result<_, _>>()?;
        Ok((self.quantiles, ranges))
    }
}

#[derive(Deserialize)]
struct KlDivergence {
    column: String,
    #[serde(default)]
    partition_object: Option<PartitionObject>,
    #[serde(default)]
    threshold: Option<f64>,
    #[serde(default)]
    internal_weight_holdout: f64,
    #[serde(default)]
    tail_weight_holdout: f64,
    #[serde(default)]
    bucketize_data: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PartitionObject {
    #[serde(default)]
    values: Option<Vec<Value>>,
    #[serde(default)]
    bins: Option<Vec<Value>>,
    #[serde(default)]
    weights: Vec<f64>,
    #[serde(default)]
    tail_weights: Option<[f64; 2]>,
}

impl KlDivergence {
    fn expectation(self) -> Result<Expectation, Problem> {
        if let Some(threshold) = self.threshold.filter(|threshold| *threshold < 0.0) {
            return Err(Problem::new("threshold", format!("must be 0 or more, found {threshold}")));
        }
        for (field, holdout) in [
            ("internal_weight_holdout", self.internal_weight_holdout),
            ("tail_weight_holdout", self.tail_weight_holdout),
        ] {
            if !(0.0..=1.0).contains(&holdout) {
                return Err(Problem::new(field, format!("must be from 0 to 1, found {holdout}")));
            }
        }
        let bucketize = self.bucketize_data.unwrap_or(true);
        let partition = self.partition_object.map(PartitionObject::read).transpose()?;
        match &partition {
            Some(Partition::Values { .. }) if self.internal_weight_holdout > 0.0 => {
                let message = "is for bins; a partition of values has nothing between them";
                return Err(Problem::new("internal_weight_holdout", message));
            }
            Some(Partition::Bins { .. }) if !bucketize => {
                return Err(Problem::new("bucketize_data", "must not be false where the partition has bins"));
            }
            Some(Partition::Bins { tails: Some(_), .. }) if self.tail_weight_holdout > 0.0 => {
                return Err(Problem::new("tail_weight_holdout", "the partition has `tail_weights` already"));
            }
            Some(Partition::Bins { edges, .. })
                if self.tail_weight_holdout > 0.0
                    && edges.first() == Some(&f64::NEG_INFINITY)
                    && edges.last() == Some(&f64::INFINITY) =>
            {
                return Err(Problem::new("tail_weight_holdout", "the partition has no tails: its bins are infinite"));
            }
            _ => {}
        }
        Ok(Expectation::Divergence {
            column: self.column,
            divergence: Divergence {
                partition,
                bucketize,
                threshold: self.threshold,
                internal_holdout: self.internal_weight_holdout,
                tail_holdout: self.tail_weight_holdout,
            },
        })
    }
}

impl PartitionObject {
    fn read(self) -> Result<Partition, Problem> {
        let fault = |message: &str| Err(Problem::new("partition_object", message));
        let total: f64 = self.weights.iter().chain(self.tail_weights.iter().flatten()).sum();
        if (total - 1.0).abs() > 1e-5 {
            return fault(&format!("the weights add up to {total}, not to 1"));
        }
        match (self.values, self.bins) {
            (Some(values), None) if self.tail_weights.is_none() => {
                let values = scalars("partition_object.values", &values)?;
                if values.len() != self.weights.len() {
                    return fault("there must be one weight a value");
                }
                Ok(Partition::Values { values, weights: self.weights })
            }
            (None, Some(bins)) => {
                let last = bins.len().saturating_sub(1);
                let edges = bins.iter().enumerate().map(|(place, bin)| edge(bin, place == 0, place == last));
                let edges = edges.collect::<Option<Vec<_>>>();
                let Some(edges) = edges.filter(|edges| edges.windows(2).all(|pair| pair[0] < pair[1])) else {
                    return fault("the bins must be numbers in ascending order");
                };
                if edges.len() != self.weights.len() + 1 {
                    return fault("there must be one bin edge more than weights");
                }
                let infinite = edges.iter().any(|edge| edge.is_infinite());
                if infinite && self.tail_weights.is_some() {
                    return fault("bins that go to infinity leave nothing for `tail_weights`");
                }
                Ok(Partition::Bins { edges, weights: self.weights, tails: self.tail_weights })
            }
            _ => fault("give `values` or `bins`, and `weights`"),
        }
    }
}

/// An edge of a bin. JSON as Python writes it has bare infinities, which YAML reads as text; those of YAML come as null.
fn edge(value: &Value, is_first: bool, is_last: bool) -> Option<f64> {
    match value {
        Value::Null if is_first => Some(f64::NEG_INFINITY),
        Value::Null if is_last => Some(f64::INFINITY),
        Value::String(text) if text == "-Infinity" => Some(f64::NEG_INFINITY),
        Value::String(text) if text == "Infinity" => Some(f64::INFINITY),
        other => Scalar::from_json(other).ok().flatten().and_then(|value| value.as_f64()),
    }
}
