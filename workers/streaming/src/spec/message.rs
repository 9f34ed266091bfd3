//! The sentence of an alert: the author's template, or a plain one.

use std::sync::Arc;

use minijinja::{Environment, UndefinedBehavior};
use serde_json::{Map, Value, json};

use super::compile::Aggregate;

const NAME: &str = "message";

/// A rule's `message`, compiled and tried once.
#[derive(Debug, Clone)]
pub(crate) struct Message(Arc<Environment<'static>>);

impl Message {
    /// Compiles a template and tries it on sample values, so that a wrong name shows when the file is read.
    pub(crate) fn compile(text: &str, aggregates: &[Aggregate]) -> Result<Self, String> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        let fault = |e: minijinja::Error| format!("the template does not work: {e:#}");
        environment.add_template_owned(NAME, text.to_owned()).map_err(fault)?;
        let message = Self(Arc::new(environment));
        let sample: Vec<_> = aggregates.iter().map(|a| (a.text.as_str(), 1.0)).collect();
        let context = context("sample", 1, &sample);
        message.0.get_template(NAME).and_then(|t| t.render(context)).map_err(fault)?;
        Ok(message)
    }

    /// The sentence; `None` where these values make the template fail.
    pub(crate) fn render(&self, key: &str, count: u64, values: &[(&str, f64)]) -> Option<String> {
        self.0.get_template(NAME).and_then(|t| t.render(context(key, count, values))).ok()
    }
}

/// `sum(amount)` is `sum.amount` in a template; what is not a plain field is under `values` by its full text.
fn context(key: &str, count: u64, values: &[(&str, f64)]) -> Value {
    let mut names = Map::new();
    let mut all = Map::new();
    for (text, value) in values {
        all.insert((*text).to_owned(), json!(value));
        if let Some((function, field)) = text.trim_end_matches(')').split_once('(') {
            let group = names.entry(function).or_insert_with(|| json!({}));
            group[field] = json!(value);
        }
    }
    names.insert("key".to_owned(), json!(key));
    names.insert("count".to_owned(), json!(count));
    names.insert("values".to_owned(), Value::Object(all));
    Value::Object(names)
}
