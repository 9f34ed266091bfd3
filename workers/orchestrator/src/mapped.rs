//! Attempts of mapped tasks: one makes the list, one for each item does the work, one collects what they left.

use std::collections::BTreeMap;

use serde_json::Value;
use warehouse::runs::{self, ClaimedItem, End, Expansion, RunError};
use workflow::{
    error::TaskError,
    plan::{ForEach, PlannedTask},
    template,
};

use crate::{held::Shared, outputs};

/// What an attempt of a mapped task is there for.
pub(crate) enum Part {
    /// To make the list.
    List,
    /// To collect what the items left: these outputs.
    Collect(Vec<Value>),
    /// To do the work for one item.
    Item(ClaimedItem),
}

/// Asks the store, which the claim has not done: it would cost those who map nothing.
pub(crate) async fn part(shared: &Shared, planned: &PlannedTask, claimed: &runs::Claimed) -> Result<Part, RunError> {
    if claimed.task != planned.name {
        return runs::item(&shared.pool, claimed.task_run_id).await.map(Part::Item);
    }
    let outputs = runs::item_outputs(&shared.pool, claimed.task_run_id).await?;
    Ok(outputs.map_or(Part::List, Part::Collect))
}

/// The end of the attempt that makes the list. Nothing is left to do where that is empty.
pub(crate) fn list(items: Vec<Value>, planned: &PlannedTask) -> End {
    if items.is_empty() {
        return End::Success { output: Value::Array(items) };
    }
    End::Expanded(Expansion { items, max_parallel: planned.max_parallel(), attempts: planned.attempts })
}

/// What the items left as one list, with those outputs in it that are in the lake.
pub(crate) async fn collect(shared: &Shared, task: &str, left: Vec<Value>) -> Result<Value, TaskError> {
    let lake = shared.options.lake.as_ref();
    let mut bytes = 0;
    for output in &left {
        bytes += outputs::length(output);
        if bytes > outputs::LONGEST {
            let most = outputs::LONGEST >> 20;
            return Err(TaskError::user(format!(
                "the outputs of the items are longer than {most} MiB together; let each write its data to the lake or a \
                 table, and leave its place as the output"
            )));
        }
    }
    let mut named: BTreeMap<String, Value> =
        left.into_iter().enumerate().map(|(place, output)| (format!("{task}[{place:05}]"), output)).collect();
    outputs::fetch(lake, &mut named).await?;
    Ok(Value::Array(named.into_values().collect()))
}

/// What templates call the item of an attempt.
pub(crate) fn item<'a>(each: Option<&'a ForEach>, part: Option<&'a Part>) -> Option<template::Item<'a>> {
    let (Some(each), Some(Part::Item(claimed))) = (each, part) else { return None };
    Some(template::Item { name: &each.name, place: claimed.place, value: &claimed.item })
}
