//! What changed between two versions of a DAG.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

use super::{Plan, PlannedTask};

/// The way from one plan to another.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlanDiff {
    /// The DAG.
    pub dag: String,
    /// The version that is compared.
    pub old: String,
    /// The version that it is compared with.
    pub new: String,
    /// Keys of the DAG itself.
    pub changes: Vec<Change>,
    /// Tasks that only the new plan has, in its order.
    pub added: Vec<String>,
    /// Tasks that only the old plan has, in its order.
    pub removed: Vec<String>,
    /// Tasks that both have and that differ, in the new plan's order.
    pub changed: Vec<TaskDiff>,
}

impl PlanDiff {
    /// Whether the plans are the same.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }
}

/// A task that changed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TaskDiff {
    /// Its name.
    pub task: String,
    /// What changed of it.
    pub changes: Vec<Change>,
}

/// A key whose value changed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// Its path, as in the file: `backoff.from`.
    pub key: String,
    /// What it was; absent where the old plan does not have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old: Option<Value>,
    /// What it is; absent where the new plan does not have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new: Option<Value>,
}

/// What changed from `old` to `new`, with every default filled in.
pub fn diff(old: &Plan, new: &Plan) -> PlanDiff {
    let names = |plan: &Plan, other: &Plan| {
        plan.tasks.iter().filter(|task| other.task(&task.name).is_none()).map(|task| task.name.clone()).collect()
    };
    let changed = new.tasks.iter().filter_map(|task| {
        let changes = compare(&keys(&own(old.task(&task.name)?)), &keys(&own(task)));
        (!changes.is_empty()).then(|| TaskDiff { task: task.name.clone(), changes })
    });
    PlanDiff {
        dag: new.dag.clone(),
        old: old.version.clone(),
        new: new.version.clone(),
        changes: compare(&keys(&head(old)), &keys(&head(new))),
        added: names(new, old),
        removed: names(old, new),
        changed: changed.collect(),
    }
}

/// The keys whose values differ, by path. Lists are compared as a whole.
pub fn changes(old: &Value, new: &Value) -> Vec<Change> {
    compare(&keys(old), &keys(new))
}

/// The plan without its tasks and its version.
fn head(plan: &Plan) -> Value {
    let bare = Plan { tasks: Vec::new(), version: String::new(), ..plan.clone() };
    serde_json::to_value(bare).unwrap_or_default()
}

/// A task with its kind's keys beside those that all tasks have, as in the file.
fn own(task: &PlannedTask) -> Value {
    let mut value = serde_json::to_value(task).unwrap_or_default();
    if let Some(map) = value.as_object_mut()
        && let Some(Value::Object(config)) = map.remove("config")
    {
        map.extend(config);
    }
    value
}

/// Every value that is no mapping, by its path. An empty mapping is a value, and so is a list.
fn keys(value: &Value) -> BTreeMap<String, &Value> {
    fn walk<'a>(path: &str, value: &'a Value, found: &mut BTreeMap<String, &'a Value>) {
        match value {
            Value::Object(map) if !map.is_empty() => {
                for (key, value) in map {
                    walk(&if path.is_empty() { key.clone() } else { format!("{path}.{key}") }, value, found);
                }
            }
            value => {
                found.insert(path.to_owned(), value);
            }
        }
    }
    let mut found = BTreeMap::new();
    walk("", value, &mut found);
    found
}

fn compare(old: &BTreeMap<String, &Value>, new: &BTreeMap<String, &Value>) -> Vec<Change> {
    let paths: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let value = |map: &BTreeMap<String, &Value>, path| map.get(path).map(|value| (*value).clone());
    paths
        .into_iter()
        .filter(|path| old.get(*path) != new.get(*path))
        .map(|path| Change { key: path.clone(), old: value(old, path), new: value(new, path) })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Change, compare, keys};

    #[test]
    fn keys_are_compared_by_path_and_lists_as_a_whole() {
        let old = json!({ "backoff": { "from": "5s", "to": "5m" }, "needs": ["a"], "pool": "narrow", "env": {} });
        let new = json!({ "backoff": { "from": "1s", "to": "5m" }, "needs": ["a", "b"], "env": { "X": "1" } });
        let change = |key: &str, old: Option<_>, new: Option<_>| Change { key: key.to_owned(), old, new };
        assert_eq!(
            compare(&keys(&old), &keys(&new)),
            [
                change("backoff.from", Some(json!("5s")), Some(json!("1s"))),
                change("env", Some(json!({})), None),
                change("env.X", None, Some(json!("1"))),
                change("needs", Some(json!(["a"])), Some(json!(["a", "b"]))),
                change("pool", Some(json!("narrow")), None),
            ]
        );
        assert_eq!(compare(&keys(&old), &keys(&old)), []);
    }
}
