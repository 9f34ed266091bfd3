//! What started a run, as its templates say it: `{{ trigger.kind }}`, `{{ trigger.file }}`.
//!
//! It is made from the run's own row, so each attempt reads the same, whatever the version and whatever has become of the
//! file or the other run meanwhile.

use serde_json::{Map, Value, json};

/// What runs of a kind are given beside `trigger.kind`.
#[derive(Debug, Clone, Copy)]
pub struct Given {
    /// As stored in `sluice.dag_run.trigger`.
    pub kind: &'static str,
    /// The keys below `trigger`.
    pub keys: &'static [&'static str],
    /// An entry of `triggers:` that gives them.
    pub example: &'static str,
}

/// Of runs that follow from something; schedules, people and backfills give nothing else than the kind.
pub const GIVEN: [Given; 4] = [
    Given { kind: "dag", keys: &["dag", "run_id"], example: "dag: NAME" },
    Given { kind: "dataset", keys: &["datasets", "loads"], example: "datasets: [NAME]" },
    Given { kind: "file", keys: &["file", "bytes", "modified"], example: "file: PATH" },
    Given { kind: "webhook", keys: &["webhook", "key", "body"], example: "webhook: NAME" },
];

/// `{{ trigger }}` of a run, from `trigger` and `cause` of its row.
pub fn of(kind: &str, cause: Option<&Value>) -> Value {
    let causes = cause.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let first = causes.first().unwrap_or(&Value::Null);
    let each = |key: &str| {
        let mut all: Vec<Value> = Vec::new();
        for value in causes.iter().map(|cause| &cause[key]) {
            if !value.is_null() && !all.contains(value) {
                all.push(value.clone());
            }
        }
        Value::Array(all)
    };
    let mut trigger = Map::from_iter([("kind".to_owned(), json!(kind))]);
    let keys = GIVEN.iter().find(|given| given.kind == kind).map_or(&[][..], |given| given.keys);
    for key in keys {
        let value = match *key {
            "datasets" => each("dataset"),
            "loads" => each("load_id"),
            "file" => first["path"].clone(),
            key => first[key].clone(),
        };
        trigger.insert((*key).to_owned(), value);
    }
    Value::Object(trigger)
}

/// What a run has to say to a template that reads `name`, where nothing gave it that.
pub(crate) fn missing(name: &str, trigger: &Value) -> Option<String> {
    let key = name.strip_prefix("trigger.")?.split('.').next()?;
    if trigger.get(key).is_some() {
        return None;
    }
    let kind = trigger["kind"].as_str().unwrap_or("nothing");
    let by = match kind {
        "manual" => "a run by hand",
        "schedule" => "a run by schedule",
        "backfill" => "a run of a backfill",
        "dag" => "a run after another DAG",
        "dataset" => "a run after a publication",
        "file" => "a run for a file",
        "webhook" => "a run by a request",
        _ => "the run",
    };
    Some(format!(
        "{by} has no `trigger.{key}`: `trigger.{key} | default(…)` is for such a run, and `trigger.kind` says `{kind}`"
    ))
}

/// A run to try templates on, started by the first of the DAG's triggers.
pub(crate) fn sample(triggers: &[crate::trigger::Trigger]) -> Value {
    let detail = json!({
        "dag": "dag", "run_id": 1, "dataset": "staging.orders", "load_id": 1, "path": "inbox/file.csv", "bytes": 1,
        "modified": "2026-01-31T00:00:00Z", "webhook": "webhook", "key": "key", "body": {},
    });
    // Templates of several triggers see what each of them gives; the first says what kind it is.
    let mut sample = Map::new();
    for kind in triggers.iter().map(|trigger| trigger.sources().kind).chain(["manual"]) {
        for (key, value) in of(kind, Some(&json!([detail]))).as_object().into_iter().flatten() {
            sample.entry(key.as_str()).or_insert_with(|| value.clone());
        }
    }
    Value::Object(sample)
}
