//! The sentence of an alert: the author's template, or a plain one.

use std::{collections::BTreeMap, panic::AssertUnwindSafe, sync::Arc};

use minijinja::{Environment, UndefinedBehavior, Value};

const NAME: &str = "message";

/// A rule's `message`, compiled and tried once.
#[derive(Debug, Clone)]
pub(crate) struct Message(Arc<Environment<'static>>);

impl Message {
    /// Compiles a template and tries it on sample values of the `measures`, so that a wrong name shows when the file
    /// is read.
    pub(crate) fn compile(text: &str, measures: &[&str]) -> Result<Self, String> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        let fault = |e: minijinja::Error| format!("the template does not work: {e}");
        environment.add_template_owned(NAME, text.to_owned()).map_err(fault)?;
        let message = Self(Arc::new(environment));
        let sample: Vec<_> = measures.iter().map(|text| (*text, Value::from(1.0))).collect();
        let context = context("sample", 1, &sample);
        message.0.get_template(NAME).and_then(|t| t.render(context)).map_err(fault)?;
        Ok(message)
    }

    /// The sentence; `None` where these values make the template fail.
    pub(crate) fn render(&self, key: &str, count: u64, values: &[(&str, Value)]) -> Option<String> {
        let render = || self.0.get_template(NAME).and_then(|t| t.render(context(key, count, values))).ok();
        // A template is tried on one sample only; a panic must not take the stream along.
        std::panic::catch_unwind(AssertUnwindSafe(render)).ok().flatten()
    }
}

/// `sum(amount)` is `sum.amount` in a template; what is not a plain field is under `values` by its full text.
fn context(key: &str, count: u64, values: &[(&str, Value)]) -> Value {
    let mut groups: BTreeMap<&str, BTreeMap<&str, Value>> = BTreeMap::new();
    for (text, value) in values {
        let plain = text.strip_suffix(')').and_then(|text| text.split_once('('));
        if let Some((function, field)) = plain.filter(|(_, field)| !field.contains('(')) {
            groups.entry(function).or_default().insert(field, value.clone());
        }
    }
    let groups = groups.into_iter().map(|(function, fields)| (function, Value::from_pairs(fields)));
    let plain = [
        ("key", Value::from(key)),
        ("count", Value::from(count)),
        ("values", Value::from_pairs(values.iter().cloned())),
    ];
    Value::from_pairs(groups.chain(plain))
}
