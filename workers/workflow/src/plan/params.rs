//! Parameters: what a DAG declares of them, and whether a run can take what it is given.

use std::{collections::BTreeMap, fmt};

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value, json};

use super::Plan;
use crate::{
    diagnostic::{Problem, did_you_mean},
    yaml::read_value,
};

/// What is declared of a parameter: `{ type: number, min: 0, default: 0.5 }`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Param {
    /// What its values are.
    #[serde(rename = "type")]
    pub of: ParamType,
    /// Whether a run has to be given it: it has no default.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub required: bool,
    /// The only values that there are; empty for any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<Value>,
    /// The least value of a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<Number>,
    /// The greatest value of a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<Number>,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// What the values of a parameter are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ParamType {
    /// A text.
    Text,
    /// A whole number of 64 bits.
    Integer,
    /// Any number.
    Number,
    /// True or false.
    Boolean,
    /// A day, as `2026-01-31`.
    Date,
    /// A list of anything.
    List,
    /// A mapping of anything.
    Mapping,
}

impl fmt::Display for ParamType {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Text => "a text",
            Self::Integer => "a whole number",
            Self::Number => "a number",
            Self::Boolean => "true or false",
            Self::Date => "a date such as 2026-01-31",
            Self::List => "a list",
            Self::Mapping => "a mapping",
        })
    }
}

/// A parameter that a run cannot take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParamError {
    /// The DAG declares no such parameter.
    #[error("`{dag}` has no parameter `{name}` ({hint})")]
    Unknown {
        /// The DAG.
        dag: String,
        /// The name given.
        name: String,
        /// The nearest name.
        hint: String,
    },
    /// Its value is not what the DAG declares.
    #[error("parameter `{name}` is {given}, but `{dag}` declares {expected}")]
    Type {
        /// The DAG.
        dag: String,
        /// The parameter.
        name: String,
        /// The value given.
        given: String,
        /// What it may be.
        expected: String,
    },
    /// It was not given.
    #[error("`{dag}` needs its parameter `{name}`: {expected}")]
    Required {
        /// The DAG.
        dag: String,
        /// The parameter.
        name: String,
        /// What it may be.
        expected: String,
    },
}

impl ParamError {
    /// The parameter that it is about.
    pub fn name(&self) -> &str {
        match self {
            Self::Unknown { name, .. } | Self::Type { name, .. } | Self::Required { name, .. } => name,
        }
    }
}

impl Plan {
    /// The run's parameters: the defaults with `given` laid over them. A text that was given for a number or a
    /// truth value (from a command line) is read as one.
    ///
    /// # Errors
    /// The first that a run cannot take; [`Plan::param_faults`] has them all.
    pub fn params(&self, given: &Map<String, Value>) -> Result<Map<String, Value>, ParamError> {
        let (params, faults) = self.lay(given);
        faults.into_iter().next().map_or(Ok(params), Err)
    }

    /// All that a run cannot take of what it is given.
    pub fn param_faults(&self, given: &Map<String, Value>) -> Vec<ParamError> {
        self.lay(given).1
    }

    fn lay(&self, given: &Map<String, Value>) -> (Map<String, Value>, Vec<ParamError>) {
        let (mut params, mut faults) = (self.params.clone(), Vec::new());
        for (name, value) in given {
            let Some(default) = self.params.get(name) else {
                let hint = did_you_mean(name, self.params.keys().map(String::as_str));
                faults.push(ParamError::Unknown { dag: self.dag.clone(), name: name.clone(), hint });
                continue;
            };
            let declared = self.declared.get(name);
            let fits = match declared {
                Some(declared) => declared.take(value),
                None => coerce(value, default),
            };
            match fits {
                Some(value) => drop(params.insert(name.clone(), value)),
                None => faults.push(ParamError::Type {
                    dag: self.dag.clone(),
                    name: name.clone(),
                    given: value.to_string(),
                    expected: declared.map_or_else(|| type_name(default).to_owned(), Param::expected),
                }),
            }
        }
        let missing = self.declared.iter().filter(|(name, p)| p.required && !given.contains_key(*name));
        faults.extend(missing.map(|(name, declared)| ParamError::Required {
            dag: self.dag.clone(),
            name: name.clone(),
            expected: declared.expected(),
        }));
        (params, faults)
    }

    /// The parameters that a run has to be given.
    pub fn required_params(&self) -> impl Iterator<Item = &str> {
        self.declared.iter().filter(|(_, declared)| declared.required).map(|(name, _)| name.as_str())
    }
}

impl Param {
    /// The value as one of its type and within its bounds, if it is one.
    fn take(&self, value: &Value) -> Option<Value> {
        let value = self.of.take(value)?;
        let chosen = self.choices.is_empty() || self.choices.contains(&value);
        let number = value.as_f64();
        let above = |bound: &Option<Number>| bound.as_ref().and_then(Number::as_f64).zip(number);
        let within = above(&self.min).is_none_or(|(min, number)| number >= min)
            && above(&self.max).is_none_or(|(max, number)| number <= max);
        (chosen && within).then_some(value)
    }

    /// What it may be, in words.
    pub fn expected(&self) -> String {
        if !self.choices.is_empty() {
            let choices: Vec<String> = self
                .choices
                .iter()
                .map(|choice| choice.as_str().map_or_else(|| choice.to_string(), str::to_owned))
                .collect();
            return format!("one of {}", choices.join(", "));
        }
        match (&self.min, &self.max) {
            (Some(min), Some(max)) => format!("{} from {min} to {max}", self.of),
            (Some(min), None) => format!("{} of at least {min}", self.of),
            (None, Some(max)) => format!("{} of at most {max}", self.of),
            (None, None) => self.of.to_string(),
        }
    }

    /// A value that it may be, to try templates on.
    fn sample(&self) -> Value {
        let bound = self.min.as_ref().or(self.max.as_ref()).cloned().map(Value::Number);
        self.choices.first().cloned().unwrap_or_else(|| match self.of {
            ParamType::Text => json!("text"),
            ParamType::Integer | ParamType::Number => bound.unwrap_or_else(|| json!(1)),
            ParamType::Boolean => json!(true),
            ParamType::Date => json!("2026-01-31"),
            ParamType::List => json!([]),
            ParamType::Mapping => json!({}),
        })
    }
}

impl ParamType {
    fn take(self, value: &Value) -> Option<Value> {
        let sample = match self {
            Self::Text => return value.is_string().then(|| value.clone()),
            Self::Date => return value.as_str()?.parse::<NaiveDate>().ok().map(|day| json!(day.to_string())),
            Self::Integer => return coerce(value, &json!(1)).filter(|value| value.is_i64() || value.is_u64()),
            Self::Number => json!(0.5),
            Self::Boolean => json!(true),
            Self::List => json!([]),
            Self::Mapping => json!({}),
        };
        coerce(value, &sample)
    }
}

/// The keys of a declaration.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Declaration {
    #[serde(rename = "type")]
    of: ParamType,
    #[serde(default)]
    default: Value,
    #[serde(default)]
    required: bool,
    #[serde(default)]
    choices: Vec<Value>,
    min: Option<Number>,
    max: Option<Number>,
    description: Option<String>,
}

/// The parameters of a DAG file.
#[derive(Debug, Default)]
pub(crate) struct Params {
    /// The defaults.
    pub(crate) defaults: Map<String, Value>,
    /// Values to try templates on.
    pub(crate) samples: Map<String, Value>,
    /// What is declared.
    pub(crate) declared: BTreeMap<String, Param>,
}

/// Reads `params:`. A mapping with a `type` declares; anything else is a default.
pub(crate) fn read(params: Map<String, Value>) -> (Params, Vec<Problem>) {
    let (mut read, mut problems) = (Params::default(), Vec::new());
    for (name, value) in params {
        if value.as_object().is_some_and(|map| map.contains_key("type")) {
            match declaration(value) {
                Ok((param, default)) => {
                    let sample = if param.required { param.sample() } else { default.clone() };
                    read.samples.insert(name.clone(), sample);
                    read.defaults.insert(name.clone(), default);
                    read.declared.insert(name, param);
                }
                Err(faults) => {
                    problems.extend(faults.into_iter().map(|fault| fault.below(&name)));
                    // It stays known as a name.
                    read.samples.insert(name.clone(), Value::Null);
                    read.defaults.insert(name, Value::Null);
                }
            }
        } else {
            read.samples.insert(name.clone(), value.clone());
            read.defaults.insert(name, value);
        }
    }
    (read, problems)
}

fn declaration(value: Value) -> Result<(Param, Value), Vec<Problem>> {
    let Declaration { of, default, required, choices, min, max, description } = read_value(value)?;
    let mut problems = Vec::new();
    let mut fault = |field: &str, message: String, hint: &str| problems.push(Problem::new(field, message).hint(hint));
    if (min.is_some() || max.is_some()) && !matches!(of, ParamType::Integer | ParamType::Number) {
        fault("type", format!("only numbers have `min` and `max`, and this is {of}"), "`choices` lists what it may be");
    }
    let unbounded = Param { of, required, choices: Vec::new(), min: None, max: None, description: None };
    let mut fitting = Vec::new();
    for choice in &choices {
        match unbounded.take(choice) {
            Some(choice) => fitting.push(choice),
            None => fault("choices", format!("{choice} is not {of}"), "each choice is a value of its type"),
        }
    }
    let param = Param { choices: fitting, min, max, description, ..unbounded };
    let taken = match (required, &default) {
        (true, Value::Null) => Value::Null,
        (true, _) => {
            fault("default", "what has a default is not required".to_owned(), "remove one of the two");
            Value::Null
        }
        (false, Value::Null) => {
            fault("", "it has neither a default nor `required: true`".to_owned(), "add one of the two");
            Value::Null
        }
        (false, default) => param.take(default).unwrap_or_else(|| {
            fault(
                "default",
                format!("the default is {default}, and not {}", param.expected()),
                "take one that it may be",
            );
            Value::Null
        }),
    };
    if problems.is_empty() { Ok((param, taken)) } else { Err(problems) }
}

fn coerce(value: &Value, default: &Value) -> Option<Value> {
    match (default, value) {
        (Value::Null, value) => Some(value.clone()),
        (Value::Number(number), Value::String(text)) if number.is_f64() => {
            Number::from_f64(text.trim().parse().ok()?).map(Value::Number)
        }
        (Value::Number(_), Value::String(text)) => {
            let text = text.trim();
            text.parse::<i64>().map(Value::from).ok().or_else(|| {
                // A whole default does not forbid a fraction: `scale: 1` takes 0.5.
                Number::from_f64(text.parse().ok()?).map(Value::Number)
            })
        }
        (Value::Bool(_), Value::String(text)) => text.trim().parse().map(Value::Bool).ok(),
        (Value::Array(_) | Value::Object(_), Value::String(text)) => {
            serde_json::from_str::<Value>(text).ok().filter(|v| type_name(v) == type_name(default))
        }
        (default, value) => (type_name(default) == type_name(value)).then(|| value.clone()),
    }
}

pub(super) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}

#[cfg(test)]
mod tests {
    use chrono_tz::Tz;

    use super::*;
    use crate::plan::Overlap;

    fn plan(params: &Value) -> Plan {
        let (read, problems) = read(params.as_object().expect("a map").clone());
        assert_eq!(problems, []);
        Plan {
            dag: "d".to_owned(),
            description: String::new(),
            version: String::new(),
            schedule: None,
            triggers: Vec::new(),
            timezone: Tz::UTC,
            max_active_runs: None,
            overlap: Overlap::Queue,
            retry_budget: None,
            params: read.defaults,
            declared: read.declared,
            on_failure: Vec::new(),
            tasks: Vec::new(),
        }
    }

    fn given(plan: &Plan, given: &Value) -> Result<Value, String> {
        let given = given.as_object().expect("a map");
        plan.params(given).map(Value::Object).map_err(|error| error.to_string())
    }

    #[test]
    fn parameters_take_the_type_of_their_default() {
        let plan = plan(&json!({ "scale": 1, "share": 0.5, "dry": false, "city": "Ulm", "free": null, "list": [1] }));
        let all = json!({ "scale": "2", "share": "1", "dry": "true", "city": "Bonn", "free": "x", "list": "[2]" });
        let read = given(&plan, &all).expect("all fit");
        assert_eq!(read, json!({ "scale": 2, "share": 1.0, "dry": true, "city": "Bonn", "free": "x", "list": [2] }));
        let refused = |value: Value| given(&plan, &value).expect_err("refused");
        assert_eq!(refused(json!({ "scale": "big" })), "parameter `scale` is \"big\", but `d` declares a number");
        assert_eq!(refused(json!({ "scal": 1 })), "`d` has no parameter `scal` (did you mean `scale`?)");
    }

    #[test]
    fn declared_parameters_keep_their_bounds() {
        let plan = plan(&json!({
            "day": { "type": "date", "required": true },
            "city": { "type": "text", "choices": ["Ulm", "Bonn"], "default": "Ulm" },
            "share": { "type": "number", "min": 0, "max": 1, "default": 0.5 },
            "tries": { "type": "integer", "min": 1, "default": 3 },
            "only": { "type": "list", "default": [] },
        }));
        assert_eq!(
            given(&plan, &json!({ "day": "2026-02-28", "share": "0.25", "tries": "2", "only": "[1]" })),
            Ok(json!({ "day": "2026-02-28", "city": "Ulm", "share": 0.25, "tries": 2, "only": [1] }))
        );
        let refused = |value: Value| given(&plan, &value).expect_err("refused");
        assert_eq!(refused(json!({})), "`d` needs its parameter `day`: a date such as 2026-01-31");
        assert_eq!(
            refused(json!({ "day": "2026-02-30" })),
            "parameter `day` is \"2026-02-30\", but `d` declares a date such as 2026-01-31"
        );
        let day = |name: &str, value: Value| json!({ "day": "2026-01-01", name: value });
        assert_eq!(
            refused(day("city", json!("Bern"))),
            "parameter `city` is \"Bern\", but `d` declares one of Ulm, Bonn"
        );
        assert_eq!(
            refused(day("share", json!(1.5))),
            "parameter `share` is 1.5, but `d` declares a number from 0 to 1"
        );
        assert_eq!(
            refused(day("tries", json!("2.5"))),
            "parameter `tries` is \"2.5\", but `d` declares a whole number of at least 1"
        );
        assert_eq!(plan.required_params().collect::<Vec<_>>(), ["day"]);
        let all = plan.param_faults(json!({ "city": "Bern", "dya": 1, "tries": 0 }).as_object().expect("a map"));
        assert_eq!(all.iter().map(ParamError::name).collect::<Vec<_>>(), ["city", "dya", "tries", "day"]);
    }
}
