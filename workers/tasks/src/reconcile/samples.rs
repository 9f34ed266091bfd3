//! The first keys of each sort with their values, for people.

use serde_json::{Value, json};
use workflow::error::TaskError;

use super::{
    compare::{Differences, Keys},
    key::Key,
    pairs::Pair,
    sides::{Source, Target, Values},
};

/// Characters of a value that a sample shows.
const SHOWN: usize = 200;

/// Of a row that differs, the values that do.
pub(super) async fn samples(
    source: &mut Source<'_>,
    target: &mut Target<'_>,
    (key, pairs): (&Key, &[Pair]),
    found: &Differences,
    most: usize,
) -> Result<Value, TaskError> {
    let first = |keys: &Keys| keys.kept.iter().take(most).copied().collect::<Vec<_>>();
    let (missing, extra, different) = (first(&found.missing), first(&found.extra), first(&found.different));
    let texts: Vec<String> = pairs.iter().map(Pair::source).collect();
    let mine = source.values(&[missing.clone(), different.clone()].concat(), &texts).await?;
    let texts: Vec<String> = pairs.iter().map(|pair| pair.target.clone()).collect();
    let theirs = target.values(&[extra.clone(), different.clone()].concat(), &texts).await?;
    let shown = |values: &[Option<String>], place: usize| match values.get(place).and_then(Option::as_ref) {
        Some(text) => Value::String(text.chars().take(SHOWN).collect()),
        None => Value::Null,
    };
    let row = |values: Option<&Vec<Option<String>>>, wanted: &dyn Fn(usize) -> bool| -> Value {
        let values = values.map(Vec::as_slice).unwrap_or_default();
        let fields = pairs.iter().enumerate().filter(|(place, _)| wanted(*place));
        Value::Object(fields.map(|(place, pair)| (pair.name.clone(), shown(values, place))).collect())
    };
    let named =
        |values: Option<&Vec<Option<String>>>| values.map(|values| key.shown(pairs, values)).unwrap_or_default();
    let alone = |keys: &[i128], side: &str, values: &Values| -> Vec<Value> {
        keys.iter()
            .map(|key| values.get(key))
            .map(|values| json!({ "key": named(values), side: row(values, &|_| true) }))
            .collect()
    };
    let both = different.iter().map(|key| {
        let (left, right) = (mine.get(key), theirs.get(key));
        let differs = |place: usize| left.and_then(|v| v.get(place)) != right.and_then(|v| v.get(place));
        json!({ "key": named(left), "source": row(left, &differs), "target": row(right, &differs) })
    });
    Ok(json!({
        "missing": alone(&missing, "source", &mine),
        "extra": alone(&extra, "target", &theirs),
        "different": both.collect::<Vec<_>>(),
    }))
}

/// Some keys for a message; no other values, which may be personal.
pub(super) fn first_keys(samples: &Value) -> String {
    let mut text = String::new();
    for sort in ["missing", "extra", "different"] {
        let keys: Vec<&str> = samples[sort]
            .as_array()
            .into_iter()
            .flatten()
            .take(3)
            .filter_map(|sample| sample["key"].as_str())
            .collect();
        if !keys.is_empty() {
            text.push_str(&format!(", {sort} {}", keys.join(" ")));
        }
    }
    text
}
