//! From the `anomalies` and `events` of a suite's file to rules.

use serde::Deserialize;
use serde_json::Value;
use workflow::{
    diagnostic::{Problem, did_you_mean},
    yaml::read_value,
};

use super::{BatchMetric, Calendar, ColumnMetric, Direction, Event, Metric, Rule, SENSITIVITY, Season};
use crate::{OnFail, Severity};

/// Every metric by its name.
const METRICS: [&str; 16] = [
    "row_count",
    "failed_share",
    "null_share",
    "distinct",
    "distinct_share",
    "top_share",
    "blank_share",
    "min",
    "max",
    "mean",
    "stdev",
    "p05",
    "p25",
    "median",
    "p75",
    "p95",
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    metric: Option<String>,
    #[serde(default)]
    column: Option<String>,
    #[serde(default)]
    sql: Option<String>,
    #[serde(default)]
    direction: Direction,
    #[serde(default)]
    season: Season,
    #[serde(default)]
    sensitivity: Option<f64>,
    #[serde(default)]
    minimum: Option<usize>,
    #[serde(default)]
    window: Option<usize>,
    #[serde(default)]
    on_fail: Option<OnFail>,
    #[serde(default)]
    severity: Severity,
    #[serde(default)]
    description: Option<String>,
}

/// A fault, with the path of the entry that has it.
pub(crate) type Faults = Vec<(String, Problem)>;

/// Reads both lists. Every fault comes with the path of its entry.
pub(crate) fn read(anomalies: &[Value], events: &[Value]) -> Result<(Vec<Rule>, Calendar), Faults> {
    let mut faults = Vec::new();
    let mut rules: Vec<Rule> = Vec::new();
    for (index, value) in anomalies.iter().enumerate() {
        let path = format!("anomalies[{index}]");
        match rule(value) {
            Ok(rule) if rules.iter().any(|other| other.id == rule.id) => {
                let hint = "give one of them an `id` of its own";
                faults.push((path, Problem::new("", format!("two anomalies have the id `{}`", rule.id)).hint(hint)));
            }
            Ok(rule) => rules.push(rule),
            Err(problems) => faults.extend(problems.into_iter().map(|problem| (path.clone(), problem))),
        }
    }
    let mut calendar = Calendar::default();
    for (index, value) in events.iter().enumerate() {
        match Event::read(value) {
            Ok(event) => calendar.events.push(event),
            Err(problems) => {
                faults.extend(problems.into_iter().map(|problem| (format!("events[{index}]"), problem)));
            }
        }
    }
    if faults.is_empty() { Ok((rules, calendar)) } else { Err(faults) }
}

fn rule(value: &Value) -> Result<Rule, Vec<Problem>> {
    let written: Written = read_value(value.clone())?;
    let mut problems = Vec::new();
    let metric = metric(&written).map_err(|problem| problems.push(problem)).ok();
    let sensitivity = written.sensitivity.unwrap_or(SENSITIVITY);
    if !(sensitivity > 0.0 && sensitivity.is_finite()) {
        let hint = "6 is the default; less finds more, and more that is none";
        problems.push(Problem::new("sensitivity", format!("must be above 0, found {sensitivity}")).hint(hint));
    }
    let minimum = written.minimum.unwrap_or_else(|| written.season.minimum());
    let window = written.window.unwrap_or(written.season.window().max(minimum));
    if minimum < 3 {
        let hint = "of two points the median is anywhere between";
        problems.push(Problem::new("minimum", format!("at least 3 points are needed, found {minimum}")).hint(hint));
    }
    if !(minimum..=crate::watch::MOST_POINTS / 7).contains(&window) {
        let message =
            format!("must be from {minimum} (`minimum`) to {}, found {window}", crate::watch::MOST_POINTS / 7);
        problems.push(Problem::new("window", message));
    }
    if written.on_fail == Some(OnFail::Quarantine) {
        let hint = "use `warn` or `fail`: there are no single rows that it could hold back";
        problems.push(Problem::new("on_fail", "an anomaly is not about single rows").hint(hint));
    }
    if let Some(id) = &written.id
        && (id.is_empty() || id.chars().any(|c| c.is_whitespace() || c.is_control()))
    {
        problems.push(Problem::new("id", format!("`{id}` is not an id")).hint("use letters, digits, `.`, `_` and `-`"));
    }
    let id = written.id.or_else(|| match metric.as_ref()? {
        Metric::Batch(metric) => Some(format!("{}.anomaly", metric.as_str())),
        Metric::Column { column, metric } => Some(format!("{column}.{}.anomaly", metric.as_str())),
        Metric::Sql(_) => None,
    });
    if id.is_none() && metric.is_some() {
        let hint = "`id: revenue` names what the query gives";
        problems.push(Problem::new("sql", "an anomaly of a query needs an `id`").hint(hint));
    }
    match (id, metric) {
        (Some(id), Some(metric)) if problems.is_empty() => Ok(Rule {
            id,
            metric,
            direction: written.direction,
            season: written.season,
            sensitivity,
            minimum,
            window,
            on_fail: written.on_fail.unwrap_or(OnFail::Warn),
            severity: written.severity,
            description: written.description,
            arguments: value.clone(),
        }),
        _ => Err(problems),
    }
}

fn metric(written: &Written) -> Result<Metric, Problem> {
    let name = match (&written.metric, &written.sql) {
        (Some(name), None) => name,
        (None, Some(sql)) if written.column.is_none() => return Ok(Metric::Sql(sql.clone())),
        (None, Some(_)) => return Err(Problem::new("column", "a query names its columns itself").hint("remove it")),
        _ => {
            let hint = "`metric: row_count`, `metric: mean` with a `column`, or `sql: select sum(total) from {batch}`";
            return Err(Problem::new("", "expected `metric` or `sql`, one of them").hint(hint));
        }
    };
    let named = Value::from(name.as_str());
    let whole: Option<BatchMetric> = serde_json::from_value(named.clone()).ok();
    let of_column: Option<ColumnMetric> = serde_json::from_value(named).ok();
    match (whole, of_column, &written.column) {
        (Some(metric), _, None) => Ok(Metric::Batch(metric)),
        (Some(_), _, Some(_)) => {
            Err(Problem::new("column", format!("`{name}` is a number of the whole batch")).hint("remove `column`"))
        }
        (None, Some(metric), Some(column)) => Ok(Metric::Column { column: column.clone(), metric }),
        (None, Some(_), None) => {
            Err(Problem::new("metric", format!("`{name}` is a number of a column")).hint("name the `column`"))
        }
        (None, None, _) => {
            let hint = did_you_mean(name, METRICS);
            Err(Problem::new("metric", format!("unknown metric `{name}`")).hint(hint))
        }
    }
}
