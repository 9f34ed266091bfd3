//! Arguments that several expectations share, and how values in them are read.

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use workflow::{diagnostic::Problem, yaml::read_value};

use super::super::{Bounds, Expectation};
use crate::value::Scalar;

pub(super) const COLUMN: &[&str] = &["column"];
pub(super) const RANGE: &[&str] = &["column", "min_value", "max_value", "strict_min", "strict_max"];
pub(super) const SET: &[&str] = &["column", "value_set"];

/// Reads arguments of type `T` and builds an expectation from them.
pub(super) fn read<T: DeserializeOwned>(
    args: Value,
    build: impl FnOnce(T) -> Result<Expectation, Problem>,
) -> Result<Expectation, Vec<Problem>> {
    build(read_value(args)?).map_err(|problem| vec![problem])
}

pub(super) fn scalars(field: &str, values: &[Value]) -> Result<Vec<Scalar>, Problem> {
    // A null in a set is equal to nothing: value checks leave nulls out.
    values
        .iter()
        .enumerate()
        .filter_map(|(index, value)| {
            Scalar::from_json(value).map_err(|e| Problem::new(format!("{field}[{index}]"), e)).transpose()
        })
        .collect()
}

pub(super) fn scalar(field: &str, value: &Value) -> Result<Option<Scalar>, Problem> {
    Scalar::from_json(value).map_err(|e| Problem::new(field, e))
}

pub(super) fn required(field: &str, value: &Value) -> Result<Scalar, Problem> {
    scalar(field, value)?.ok_or_else(|| Problem::new(field, "must have a value"))
}

pub(super) fn whole(field: &str, value: &Value) -> Result<Option<Scalar>, Problem> {
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

pub(super) fn in_order(min: Option<&Scalar>, max: Option<&Scalar>) -> Result<(), Problem> {
    match (min, max) {
        (Some(min), Some(max)) if min.compare(max).is_some_and(std::cmp::Ordering::is_gt) => {
            Err(Problem::new("min_value", format!("{min} is above `max_value` {max}: nothing can lie between")))
        }
        _ => Ok(()),
    }
}

#[derive(Deserialize)]
pub(super) struct Column {
    pub(super) column: String,
}

#[derive(Deserialize)]
pub(super) struct Range {
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
    /// Bounds of values, of which Great Expectations asks for one at least.
    pub(super) fn bounds(self) -> Result<(String, Bounds), Problem> {
        self.given()?;
        self.bounds_if_any()
    }

    /// Bounds of values; without any, the value is only told.
    pub(super) fn bounds_if_any(self) -> Result<(String, Bounds), Problem> {
        let (min, max) = (scalar("min_value", &self.min_value)?, scalar("max_value", &self.max_value)?);
        in_order(min.as_ref(), max.as_ref())?;
        Ok(self.with(min, max))
    }

    /// Bounds of whole numbers, one at least.
    pub(super) fn counts(self) -> Result<(String, Bounds), Problem> {
        self.given()?;
        let (min, max) = (whole("min_value", &self.min_value)?, whole("max_value", &self.max_value)?);
        Ok(self.with(min, max))
    }

    fn given(&self) -> Result<(), Problem> {
        if self.min_value.is_null() && self.max_value.is_null() {
            return Err(Problem::new("", "one of `min_value` and `max_value` must be given"));
        }
        Ok(())
    }

    fn with(self, min: Option<Scalar>, max: Option<Scalar>) -> (String, Bounds) {
        let bounds = Bounds {
            min,
            max,
            strict_min: self.strict_min.unwrap_or(false),
            strict_max: self.strict_max.unwrap_or(false),
        };
        (self.column, bounds)
    }
}

#[derive(Deserialize)]
pub(super) struct Set {
    pub(super) column: String,
    pub(super) value_set: Vec<Value>,
}

/// A set that may be absent: every value is in it then.
#[derive(Deserialize)]
pub(super) struct AnySet {
    pub(super) column: String,
    #[serde(default)]
    pub(super) value_set: Option<Vec<Value>>,
}

impl AnySet {
    pub(super) fn values(&self) -> Result<Option<Vec<Scalar>>, Problem> {
        self.value_set.as_ref().map(|values| scalars("value_set", values)).transpose()
    }
}
