//! A rehearsal: how a run would go if its attempts ended as told. It asks the same state tables, trigger rules, conditions,
//! templates and retry policy as a run does, against a clock of its own, and does nothing else.
//!
//! An attempt takes no time, unless it is to time out; waits between attempts are the longest that they may be; and there is
//! a worker and a slot for every task at once.

mod script;
mod scripted;
mod stage;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Map, Value};

pub use script::{OUTCOMES, Outcome, Script};
pub use scripted::{hurried, scripted};

use crate::{
    kind::{DataInterval, Registry},
    plan::Plan,
    span::Span,
    state::{AttemptState, RunState, TaskState},
    template::Scope,
};

/// How the run would go.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Rehearsal {
    /// The DAG.
    pub dag: String,
    /// The instant that the run stands for.
    pub logical_time: DateTime<Utc>,
    /// The data that it is about.
    pub interval: DataInterval,
    /// Its parameters.
    pub params: Map<String, Value>,
    /// How it ends.
    pub state: RunState,
    /// Its tasks in the plan's order, each followed by its items.
    pub tasks: Vec<Rehearsed>,
}

/// How a task, or an item of it, would go.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Rehearsed {
    /// Its name.
    pub task: String,
    /// Its kind.
    pub kind: String,
    /// How it ends.
    pub state: TaskState,
    /// Why it ends so, where that does not go without saying.
    pub reason: Option<String>,
    /// How long after the run's start it ends.
    pub ends_after: Span,
    /// Its attempts, as a run would record them: also one that only asks its condition or makes its list.
    pub attempts: Vec<RehearsedAttempt>,
    /// Its kind's keys, rendered; nothing where it does not come to that, or where they read an output that is not told.
    pub keys: Option<Value>,
}

/// How an attempt would go.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RehearsedAttempt {
    /// How long after the run's start it begins.
    pub starts_after: Span,
    /// How it ends.
    pub state: AttemptState,
    /// The wait until it is retried, at the most; nothing where it is not.
    pub next_within: Option<Span>,
}

impl Rehearsed {
    /// The waits before its retries.
    pub fn waits(&self) -> impl Iterator<Item = Span> + '_ {
        self.attempts.iter().filter_map(|attempt| attempt.next_within)
    }
}

/// Why a run cannot be rehearsed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It depends on this output what runs, and the script does not tell it.
    #[error("the {field} of `{task}` reads `outputs.{reads}`, and nobody has told what `{reads}` leaves")]
    Untold {
        /// The task that reads it.
        task: String,
        /// Where.
        field: &'static str,
        /// The task whose output it is.
        reads: String,
    },
    /// No run with these parameters could be made.
    #[error("the concurrency key of `{task}` cannot be made: {problem}")]
    Key {
        /// The task.
        task: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The script tells about an item that the list does not have.
    #[error("`{0}` is told about, and its list has no such item")]
    NoItem(String),
}

/// Rehearses a run of `plan`.
///
/// # Errors
/// All that stands in the way.
pub fn rehearse(plan: &Plan, registry: &Registry, script: &Script) -> Result<Rehearsal, Vec<Fault>> {
    let faults = unusable_keys(plan, script);
    if !faults.is_empty() {
        return Err(faults);
    }
    let rehearsal = stage::Stage::new(plan, registry, script).play()?;
    let told = script.outcomes.keys().chain(script.outputs.keys());
    let absent = |name: &&String| {
        // Of a list that was not made nothing can be said.
        let made = |parent: &str| rehearsal.tasks.iter().any(|row| row.task.starts_with(&format!("{parent}[")));
        crate::plan::parent_of(name).is_some_and(made) && rehearsal.tasks.iter().all(|row| row.task != **name)
    };
    let absent: Vec<Fault> = told.filter(absent).cloned().map(Fault::NoItem).collect();
    if absent.is_empty() { Ok(rehearsal) } else { Err(absent) }
}

/// The keys for which the run store would refuse to make the run.
fn unusable_keys(plan: &Plan, script: &Script) -> Vec<Fault> {
    let (params, nothing) = (Value::Object(script.params.clone()), BTreeMap::new());
    let problem = |task: &crate::plan::PlannedTask| {
        let scope = Scope {
            dag: &plan.dag,
            task: &task.name,
            run_id: 0,
            logical_time: script.logical_time,
            interval: plan.interval(script.logical_time),
            timezone: plan.timezone,
            params: &params,
            trigger: &script.trigger,
            outputs: &nothing,
            item: None,
        };
        let problem = task.concurrency.as_ref()?.render(&scope).err()?;
        Some(Fault::Key { task: task.name.clone(), problem })
    };
    plan.tasks.iter().filter_map(problem).collect()
}
