//! Every expectation by the name and the arguments that it has in Great Expectations 1.x.

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use workflow::{diagnostic::Problem, yaml::read_value};

use super::{Bounds, Expectation, Ignore, Metric, SetRelation};
use crate::{expression::Expression, value::Scalar};

/// One expectation type: what a suite calls it, and how its arguments are read.
pub struct Entry {
    /// The full name: `expect_column_values_to_be_between`.
    pub name: &'static str,
    /// What its default check id ends with: `between`.
    pub short: &'static str,
    /// Its arguments, beside those that every check may have.
    pub keys: &'static [&'static str],
    pub(crate) read: fn(Value) -> Result<Expectation, Vec<Problem>>,
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(self.name)
    }
}

/// All expectation types that suites may use.
pub fn catalogue() -> &'static [Entry] {
    CATALOGUE
}

const COLUMN: &[&str] = &["column"];
const RANGE: &[&str] = &["column", "min_value", "max_value", "strict_min", "strict_max"];
const SET: &[&str] = &["column", "value_set"];
const PAIR: &[&str] = &["column_A", "column_B", "ignore_row_if"];
const LIST: &[&str] = &["column_list", "ignore_row_if"];

const CATALOGUE: &[Entry] = &[
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
        name: "expect_column_values_to_match_regex",
        short: "regex",
        keys: &["column", "regex"],
        read: |args| read(args, |Regex { column, regex }| matches(column, "regex", vec![regex], false, true, false)),
    },
    Entry {
        name: "expect_column_values_to_not_match_regex",
        short: "not_regex",
        keys: &["column", "regex"],
        read: |args| read(args, |Regex { column, regex }| matches(column, "regex", vec![regex], false, true, true)),
    },
    Entry {
        name: "expect_column_values_to_match_regex_list",
        short: "regex_list",
        keys: &["column", "regex_list", "match_on"],
        read: |args| {
            read(args, |RegexList { column, regex_list, match_on }| {
                matches(column, "regex_list", regex_list, false, match_on == MatchOn::Any, false)
            })
        },
    },
    Entry {
        name: "expect_column_values_to_not_match_regex_list",
        short: "not_regex_list",
        keys: &["column", "regex_list"],
        read: |args| {
            read(args, |RegexList { column, regex_list, .. }| {
                matches(column, "regex_list", regex_list, false, true, true)
            })
        },
    },
    Entry {
        name: "expect_column_values_to_match_like_pattern",
        short: "like",
        keys: &["column", "like_pattern"],
        read: |args| {
            read(args, |Like { column, like_pattern }| {
                matches(column, "like_pattern", vec![like_pattern], true, true, false)
            })
        },
    },
    Entry {
        name: "expect_column_values_to_not_match_like_pattern",
        short: "not_like",
        keys: &["column", "like_pattern"],
        read: |args| {
            read(args, |Like { column, like_pattern }| {
                matches(column, "like_pattern", vec![like_pattern], true, true, true)
            })
        },
    },
    Entry {
        name: "expect_column_values_to_match_like_pattern_list",
        short: "like_list",
        keys: &["column", "like_pattern_list", "match_on"],
        read: |args| {
            read(args, |LikeList { column, like_pattern_list, match_on }| {
                matches(column, "like_pattern_list", like_pattern_list, true, match_on == MatchOn::Any, false)
            })
        },
    },
    Entry {
        name: "expect_column_values_to_not_match_like_pattern_list",
        short: "not_like_list",
        keys: &["column", "like_pattern_list"],
        read: |args| {
            read(args, |LikeList { column, like_pattern_list, .. }| {
                matches(column, "like_pattern_list", like_pattern_list, true, true, true)
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
    Entry { name: "expect_column_sum_to_be_between", short: "sum", keys: RANGE, read: |a| aggregate(a, Metric::Sum) },
    Entry {
        name: "expect_column_mean_to_be_between",
        short: "mean",
        keys: RANGE,
        read: |a| aggregate(a, Metric::Mean),
    },
    Entry { name: "expect_column_min_to_be_between", short: "min", keys: RANGE, read: |a| aggregate(a, Metric::Min) },
    Entry { name: "expect_column_max_to_be_between", short: "max", keys: RANGE, read: |a| aggregate(a, Metric::Max) },
    Entry {
        name: "expect_column_median_to_be_between",
        short: "median",
        keys: RANGE,
        read: |a| aggregate(a, Metric::Median),
    },
    Entry {
        name: "expect_column_stdev_to_be_between",
        short: "stdev",
        keys: RANGE,
        read: |a| aggregate(a, Metric::Stdev),
    },
    Entry {
        name: "expect_column_unique_value_count_to_be_between",
        short: "distinct_count",
        keys: RANGE,
        read: |a| aggregate(a, Metric::Distinct),
    },
    Entry {
        name: "expect_column_proportion_of_unique_values_to_be_between",
        short: "distinct_fraction",
        keys: RANGE,
        read: |a| aggregate(a, Metric::DistinctFraction),
    },
    Entry {
        name: "expect_column_distinct_values_to_be_in_set",
        short: "distinct_in_set",
        keys: SET,
        read: |args| distinct(args, SetRelation::Within),
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

fn read<T: DeserializeOwned>(
    args: Value,
    build: impl FnOnce(T) -> Result<Expectation, Problem>,
) -> Result<Expectation, Vec<Problem>> {
    build(read_value(args)?).map_err(|problem| vec![problem])
}

fn aggregate(args: Value, metric: Metric) -> Result<Expectation, Vec<Problem>> {
    read(args, |range: Range| {
        let (column, bounds) = range.bounds()?;
        Ok(Expectation::Aggregate { column, metric, bounds })
    })
}

fn distinct(args: Value, relation: SetRelation) -> Result<Expectation, Vec<Problem>> {
    read(args, |Set { column, value_set }| {
        Ok(Expectation::DistinctSet { column, values: scalars("value_set", &value_set)?, relation })
    })
}

fn matches(
    column: String,
    field: &str,
    patterns: Vec<String>,
    like: bool,
    any: bool,
    negated: bool,
) -> Result<Expectation, Problem> {
    if patterns.is_empty() {
        return Err(Problem::new(field, "the list is empty"));
    }
    if !like {
        for pattern in &patterns {
            regex::Regex::new(pattern).map_err(|error| {
                Problem::new(field, format!("not a regular expression: {}", crate::expression::last_line(&error)))
            })?;
        }
    }
    Ok(Expectation::Matches { column, patterns, like, any, negated })
}

fn several(columns: Vec<String>) -> Result<Vec<String>, Problem> {
    if columns.is_empty() { Err(Problem::new("column_list", "the list is empty")) } else { Ok(columns) }
}

fn scalars(field: &str, values: &[Value]) -> Result<Vec<Scalar>, Problem> {
    // A null in a set is equal to nothing: value checks leave nulls out.
    values
        .iter()
        .enumerate()
        .filter_map(|(index, value)| {
            Scalar::from_json(value).map_err(|e| Problem::new(format!("{field}[{index}]"), e)).transpose()
        })
        .collect()
}

fn scalar(field: &str, value: &Value) -> Result<Option<Scalar>, Problem> {
    Scalar::from_json(value).map_err(|e| Problem::new(field, e))
}

fn required(field: &str, value: &Value) -> Result<Scalar, Problem> {
    scalar(field, value)?.ok_or_else(|| Problem::new(field, "must have a value"))
}

fn whole(field: &str, value: &Value) -> Result<Option<Scalar>, Problem> {
    match scalar(field, value)? {
        Some(Scalar::Decimal { units, scale: 0 }) => Ok(Some(Scalar::int(units))),
        Some(Scalar::Float(value)) if value.fract() == 0.0 => Ok(Scalar::number(&format!("{value:.0}"))),
        Some(Scalar::Decimal { units, scale }) if units % 10i128.pow(scale.min(30)) == 0 => {
            Ok(Some(Scalar::int(units / 10i128.pow(scale.min(30)))))
        }
        None => Ok(None),
        Some(other) => Err(Problem::new(field, format!("must be a whole number, found `{other}`"))),
    }
}

fn in_order(min: Option<&Scalar>, max: Option<&Scalar>) -> Result<(), Problem> {
    match (min, max) {
        (Some(min), Some(max)) if min.compare(max).is_some_and(std::cmp::Ordering::is_gt) => {
            Err(Problem::new("min_value", format!("{min} is above `max_value` {max}: nothing can lie between")))
        }
        _ => Ok(()),
    }
}

#[derive(Deserialize)]
struct Column {
    column: String,
}

#[derive(Deserialize)]
struct Range {
    column: String,
    #[serde(default)]
    min_value: Value,
    #[serde(default)]
    max_value: Value,
    #[serde(default)]
    strict_min: Option<bool>,
    #[serde(default)]
    strict_max: Option<bool>,
}

impl Range {
    fn bounds(self) -> Result<(String, Bounds), Problem> {
        let (min, max) = (scalar("min_value", &self.min_value)?, scalar("max_value", &self.max_value)?);
        in_order(min.as_ref(), max.as_ref())?;
        self.with(min, max)
    }

    fn counts(self) -> Result<(String, Bounds), Problem> {
        let (min, max) = (whole("min_value", &self.min_value)?, whole("max_value", &self.max_value)?);
        self.with(min, max)
    }

    fn with(self, min: Option<Scalar>, max: Option<Scalar>) -> Result<(String, Bounds), Problem> {
        if min.is_none() && max.is_none() {
            return Err(Problem::new("", "one of `min_value` and `max_value` must be given"));
        }
        let bounds = Bounds {
            min,
            max,
            strict_min: self.strict_min.unwrap_or(false),
            strict_max: self.strict_max.unwrap_or(false),
        };
        Ok((self.column, bounds))
    }
}

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
struct Set {
    column: String,
    value_set: Vec<Value>,
}

#[derive(Deserialize)]
struct Regex {
    column: String,
    regex: String,
}

#[derive(Deserialize)]
#[expect(clippy::struct_field_names, reason = "the names are those of the argument")]
struct RegexList {
    column: String,
    regex_list: Vec<String>,
    #[serde(default)]
    match_on: MatchOn,
}

#[derive(Deserialize)]
struct Like {
    column: String,
    like_pattern: String,
}

#[derive(Deserialize)]
struct LikeList {
    column: String,
    like_pattern_list: Vec<String>,
    #[serde(default)]
    match_on: MatchOn,
}

#[derive(Deserialize, Default, PartialEq)]
#[serde(rename_all = "lowercase")]
enum MatchOn {
    #[default]
    Any,
    All,
}

#[derive(Deserialize)]
struct LengthEquals {
    column: String,
    value: u64,
}

#[derive(Deserialize)]
struct Count {
    value: u64,
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

#[derive(Deserialize)]
struct Row {
    sql: String,
}

#[derive(Deserialize)]
struct Exists {
    column: String,
    #[serde(default)]
    column_index: Option<usize>,
}

#[derive(Deserialize)]
struct ColumnSet {
    column_set: Vec<String>,
    #[serde(default)]
    exact_match: Option<bool>,
}

#[derive(Deserialize)]
struct Ordered {
    column_list: Vec<String>,
}
