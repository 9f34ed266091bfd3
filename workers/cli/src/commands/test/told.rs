//! What the command line tells about tasks, and what it expects of them.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use workflow::{
    cause::GIVEN,
    diagnostic::did_you_mean,
    plan::Plan,
    rehearsal::{OUTCOMES, Outcome},
    state::{RunState, TaskState},
};

use crate::exit::Failure;

/// What starts runs, as `trigger.kind` says it.
const KINDS: [&str; 7] = ["manual", "schedule", "backfill", "dag", "dataset", "file", "webhook"];
/// How a run can end that nobody stops.
const ENDS: [RunState; 2] = [RunState::Success, RunState::Failed];
/// How a task of it can end.
const TASK_ENDS: [TaskState; 4] =
    [TaskState::Success, TaskState::Failed, TaskState::Skipped, TaskState::UpstreamFailed];

/// The outcomes of tasks.
pub(super) fn outcomes(plan: &Plan, pairs: &[String]) -> anyhow::Result<BTreeMap<String, Outcome>> {
    by_task(plan, "outcome", pairs, |text| text.parse().map_err(|()| OUTCOMES.to_owned()))
}

/// The outputs of tasks.
pub(super) fn outputs(plan: &Plan, pairs: &[String]) -> anyhow::Result<BTreeMap<String, Value>> {
    by_task(plan, "output", pairs, |text| {
        serde_json::from_str(text).map_err(|error| format!("write JSON, such as `{{\"rows\": 0}}`: {error}"))
    })
}

/// What starts the run.
pub(super) fn trigger(pairs: &[String]) -> anyhow::Result<Value> {
    let mut trigger = Map::new();
    let mut kind = "manual";
    for pair in pairs {
        let (key, text) = pair.split_once('=').ok_or_else(|| {
            Failure::usage_hint(format!("--trigger: `{pair}` has no value"), "write `--trigger KEY=VALUE`".to_owned())
        })?;
        if key == "kind" {
            kind = KINDS.into_iter().find(|kind| *kind == text).ok_or_else(|| {
                Failure::usage_hint(format!("--trigger: nothing is called `{text}`"), did_you_mean(text, KINDS))
            })?;
            continue;
        }
        let Some(given) = GIVEN.iter().find(|given| given.keys.contains(&key)) else {
            let keys = GIVEN.iter().flat_map(|given| given.keys).copied().chain(["kind"]);
            let message = format!("--trigger: `{key}` is nothing that a trigger gives");
            return Err(Failure::usage_hint(message, did_you_mean(key, keys)).into());
        };
        if kind != "manual" && kind != given.kind {
            let message = format!("--trigger: `{key}` comes with a trigger of the kind `{}`, not `{kind}`", given.kind);
            return Err(Failure::usage(message).into());
        }
        kind = given.kind;
        let value = match key {
            "body" | "bytes" | "run_id" | "datasets" | "loads" => serde_json::from_str(text).map_err(|error| {
                let hint = "write JSON, such as `{\"id\": 7}`".to_owned();
                Failure::usage_hint(format!("--trigger: `{text}` is no value of `{key}`: {error}"), hint)
            })?,
            _ => Value::from(text),
        };
        trigger.insert(key.to_owned(), value);
    }
    trigger.insert("kind".to_owned(), kind.into());
    Ok(Value::Object(trigger))
}

/// The pairs of an option that says something about tasks.
fn by_task<T>(
    plan: &Plan,
    option: &str,
    pairs: &[String],
    read: impl Fn(&str) -> Result<T, String>,
) -> anyhow::Result<BTreeMap<String, T>> {
    let mut all = BTreeMap::new();
    for pair in pairs {
        let (task, text) = pair.split_once('=').ok_or_else(|| {
            Failure::usage_hint(format!("--{option}: `{pair}` names no task"), format!("write `--{option} TASK=…`"))
        })?;
        known(plan, option, task)?;
        let value = read(text).map_err(|hint| {
            Failure::usage_hint(format!("--{option}: `{text}` is no {option} that `{task}` can have"), hint)
        })?;
        if all.insert(task.to_owned(), value).is_some() {
            return Err(Failure::usage(format!("--{option}: `{task}` is told twice")).into());
        }
    }
    Ok(all)
}

fn known(plan: &Plan, option: &str, task: &str) -> anyhow::Result<()> {
    let found = plan.task_of_row(task);
    if found.is_some_and(|found| found.name == task || found.for_each.is_some()) {
        return Ok(());
    }
    let hint = match found {
        Some(found) => format!("`{}` has no `for_each`, and so no items", found.name),
        None => did_you_mean(task, plan.tasks.iter().map(|t| t.name.as_str())),
    };
    Err(Failure::usage_hint(format!("--{option}: `{}` has no task `{task}`", plan.dag), hint).into())
}

/// What a run, or one of its tasks, has to end as: a task, or none for the run, and a state.
pub(super) type Expectation = (Option<String>, String);

pub(super) fn expectations(plan: &Plan, texts: &[String]) -> anyhow::Result<Vec<Expectation>> {
    texts
        .iter()
        .map(|text| {
            let (task, state) = text.split_once('=').map_or((None, text.as_str()), |(task, state)| (Some(task), state));
            let ends: Vec<&str> = match task {
                None => ENDS.map(RunState::as_str).to_vec(),
                Some(task) => {
                    known(plan, "expect", task)?;
                    TASK_ENDS.map(TaskState::as_str).to_vec()
                }
            };
            if !ends.contains(&state) {
                let message = format!("--expect: `{state}` is not how {} can end", task.unwrap_or("a run"));
                return Err(Failure::usage_hint(message, format!("one of `{}`", ends.join("`, `"))).into());
            }
            Ok((task.map(str::to_owned), state.to_owned()))
        })
        .collect()
}

/// What ended otherwise, in words.
pub(super) fn unexpected(
    run: &str,
    expected: &[Expectation],
    state_of: impl Fn(&str) -> Option<String>,
) -> Vec<String> {
    expected
        .iter()
        .filter_map(|(task, state)| {
            let found = match task {
                None => run.to_owned(),
                Some(task) => state_of(task).unwrap_or_else(|| "not part of the run".to_owned()),
            };
            let whom = task.as_deref().unwrap_or("the run");
            (found != *state).then(|| format!("{whom} is {found}, and not {state}"))
        })
        .collect()
}
