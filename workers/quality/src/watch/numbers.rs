//! From an evaluation and a profile to the numbers that are kept.

use serde_json::{Map, Value, json};

use super::Numbers;
use crate::{
    Evaluation, Scalar,
    anomaly::{Metric, Rule},
    profile::{ColumnProfile, Profile, Top},
};

/// How many common values of a column are kept.
const TOP: usize = 5;

/// Characters of a value that are kept.
const LENGTH: usize = 60;

/// The numbers of a batch.
pub(super) fn of(evaluation: &Evaluation, profile: Option<&Profile>) -> Numbers {
    let rows = evaluation.rows;
    let mut whole = json!({ "row_count": rows });
    if rows > 0 {
        whole["failed_share"] = json!(evaluation.failed_rows.len() as f64 / rows as f64);
    }
    let columns = profile.into_iter().flat_map(|profile| &profile.columns);
    let columns = columns.map(|column| (column.name.clone(), column_numbers(column)));
    Numbers(std::iter::once((String::new(), whole)).chain(columns).collect())
}

impl Numbers {
    /// The number that a rule watches; none where the batch has none. A batch without rows has no columns.
    pub(super) fn value(&self, rule: &Rule, rows: usize) -> Result<Option<f64>, String> {
        let column = match &rule.metric {
            Metric::Batch(_) => "",
            Metric::Sql(_) => return Ok(None),
            Metric::Column { column, .. } => column,
        };
        match self.0.iter().find(|(name, _)| name == column) {
            None if rows == 0 => Ok(None),
            None => Err(format!("there is no column `{column}`")),
            Some((_, metrics)) => match &metrics[rule.key()] {
                Value::Null => Ok(None),
                value => value.as_f64().map(Some).ok_or_else(|| format!("the {} is no number", rule.subject())),
            },
        }
    }

    /// Adds a number of the whole batch.
    pub(super) fn set(&mut self, key: &str, value: f64) {
        if let Some((_, whole)) = self.0.first_mut() {
            whole[key] = json!(value);
        }
    }
}

fn column_numbers(column: &ColumnProfile) -> Value {
    let (rows, values) = (column.rows, column.values());
    let mut kept = Map::new();
    let mut put = |name: &str, value: Value| {
        if !value.is_null() {
            kept.insert(name.to_owned(), value);
        }
    };
    put("type", column.type_name.clone().into());
    put("nulls", column.nulls.into());
    put("distinct", column.distinct.count.into());
    if column.distinct.approximate {
        put("approximate", true.into());
    }
    let share = |part: u64, whole: u64| if whole == 0 { Value::Null } else { json!(part as f64 / whole as f64) };
    put("null_share", share(column.nulls, rows));
    put("distinct_share", share(column.distinct.count.min(values), values));
    put("min", column.min.as_ref().map_or(Value::Null, short));
    put("max", column.max.as_ref().map_or(Value::Null, short));
    put("mean", json!(column.mean));
    put("stdev", json!(column.stdev));
    if let Some(quantiles) = column.quantiles {
        let each = [quantiles.p05, quantiles.p25, quantiles.p50, quantiles.p75, quantiles.p95];
        for (name, value) in ["p05", "p25", "median", "p75", "p95"].into_iter().zip(each) {
            put(name, json!(value));
        }
    }
    if let Some(text) = &column.text {
        put("blank_share", share(text.blank, values));
        put("min_length", text.min_length.into());
        put("max_length", text.max_length.into());
    }
    put("top_share", column.top.first().map_or(Value::Null, |top| share(top.count, values)));
    let common = column.top.iter().take(TOP).filter(|top| top.count > 1);
    let common: Vec<Value> =
        common.map(|Top { value, count }| json!({ "value": short(value), "count": count })).collect();
    if !common.is_empty() {
        put("top", common.into());
    }
    Value::Object(kept)
}

/// A value as JSON, cut where it is a long text.
fn short(value: &Scalar) -> Value {
    match value.to_json() {
        Value::String(text) if text.chars().nth(LENGTH).is_some() => {
            text.chars().take(LENGTH).chain(['…']).collect::<String>().into()
        }
        value => value,
    }
}
