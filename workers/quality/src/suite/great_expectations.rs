//! A suite as Great Expectations stores it: JSON with `expectations`, each a `type` with `kwargs`.

use serde::Deserialize;
use serde_json::{Map, Value};
use workflow::diagnostic::Diagnostic;
use workflow::yaml::Document;

use super::{
    OnFail, Severity,
    read::{File, Written},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "what is read and not used is what Great Expectations keeps for itself")]
struct Stored {
    #[serde(alias = "expectation_suite_name")]
    name: String,
    expectations: Vec<Value>,
    #[serde(default, alias = "evaluation_parameters")]
    suite_parameters: Option<Map<String, Value>>,
    #[serde(default)]
    meta: Value,
    #[serde(default)]
    notes: Value,
    #[serde(default, alias = "ge_cloud_id")]
    id: Value,
    #[serde(default)]
    data_asset_type: Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "what is read and not used is what Great Expectations keeps for itself")]
struct StoredExpectation {
    #[serde(rename = "type", alias = "expectation_type")]
    name: String,
    #[serde(default)]
    kwargs: Map<String, Value>,
    #[serde(default)]
    meta: Meta,
    #[serde(default)]
    severity: Option<Severity>,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    notes: Value,
    #[serde(default, alias = "ge_cloud_id")]
    id: Value,
    #[serde(default)]
    rendered_content: Value,
    #[serde(default)]
    expectation_context: Value,
}

/// What someone wrote beside an expectation. `id`, `on_fail`, `owner` and `tags` are ours; the rest is theirs.
#[derive(Deserialize, Default)]
struct Meta {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    on_fail: Option<OnFail>,
    #[serde(default)]
    owner: Option<String>,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    notes: Value,
}

/// Arguments that say how Great Expectations should run or report, and nothing of the data.
const OF_ITS_OWN: [&str; 5] = ["batch_id", "result_format", "catch_exceptions", "include_config", "meta"];

/// Whether the document has that shape.
pub(super) fn is_one(document: &Document) -> bool {
    document.value.get("expectations").is_some()
}

/// Brings it into the shape of our own files.
pub(super) fn read(document: &Document) -> Result<(File, Vec<Written>), Vec<Diagnostic>> {
    let stored: Stored = document.read()?;
    let mut faults = Vec::new();
    let mut written = Vec::new();
    for (index, item) in stored.expectations.iter().enumerate() {
        let base = format!("expectations[{index}]");
        match workflow::yaml::read_value::<StoredExpectation>(item.clone()) {
            Ok(expectation) => written.push(expectation.written(base)),
            Err(problems) => faults.extend(problems.into_iter().map(|problem| document.place(&base, problem))),
        }
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let description = text(&stored.notes).or_else(|| text(&stored.meta["notes"])).unwrap_or_default();
    let parameters = stored.suite_parameters.unwrap_or_default();
    Ok((File { suite: stored.name, description, parameters, ..File::default() }, written))
}

impl StoredExpectation {
    fn written(self, base: String) -> Written {
        let mut arguments = self.kwargs;
        arguments.retain(|key, _| !OF_ITS_OWN.contains(&key.as_str()));
        let description = self.description.or_else(|| text(&self.notes)).or_else(|| text(&self.meta.notes));
        let severity = self.severity.and_then(|severity| serde_json::to_value(severity).ok());
        let ours = [
            ("id", self.meta.id.map(Value::from)),
            ("on_fail", self.meta.on_fail.map(|on_fail| Value::from(on_fail.as_str()))),
            ("owner", self.meta.owner.map(Value::from)),
            ("tags", Some(self.meta.tags).filter(|tags| !tags.is_empty()).map(Value::from)),
            ("severity", severity),
            ("description", description.map(Value::from)),
        ];
        arguments.extend(ours.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))));
        Written { base, below: "kwargs".to_owned(), name: self.name, arguments, numbered: true }
    }
}

/// Notes are a text, a list of them, or a mapping with `content`.
fn text(notes: &Value) -> Option<String> {
    match notes {
        Value::String(text) => Some(text.clone()),
        Value::Array(lines) => {
            let lines: Vec<_> = lines.iter().filter_map(Value::as_str).collect();
            (!lines.is_empty()).then(|| lines.join("\n"))
        }
        Value::Object(map) => text(map.get("content")?),
        _ => None,
    }
}
