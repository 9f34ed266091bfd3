//! `concurrency` keys: what a run's tasks take slots of, once its parameters are known.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::Value;
use workflow::{
    kind::DataInterval,
    plan::{Plan, PlannedTask},
    template,
};

use super::{RunError, admit::key_pool};

/// What keys are made from.
pub(super) struct Keyed<'a> {
    pub(super) plan: &'a Plan,
    pub(super) logical_time: DateTime<Utc>,
    pub(super) interval: DataInterval,
    pub(super) params: &'a Value,
}

impl Keyed<'_> {
    /// The pool that a task takes a slot of: its own, or its key's.
    pub(super) fn pool(&self, task: &PlannedTask) -> Result<Option<String>, RunError> {
        let Some(concurrency) = &task.concurrency else { return Ok(task.pool.clone()) };
        let scope = template::Scope {
            dag: &self.plan.dag,
            task: &task.name,
            run_id: 0,
            logical_time: self.logical_time,
            interval: self.interval,
            timezone: self.plan.timezone,
            params: self.params,
            trigger: &Value::Null,
            outputs: &BTreeMap::new(),
            item: None,
        };
        let unusable = |problem| RunError::Key { task: task.name.clone(), problem };
        concurrency.render(&scope).map(|key| Some(key_pool(&key))).map_err(unusable)
    }
}

/// How many slots the keys among these tasks' pools have.
pub(super) fn sizes<'a>(tasks: impl Iterator<Item = (&'a PlannedTask, Option<&'a str>)>) -> BTreeMap<String, i32> {
    tasks.filter_map(|(task, pool)| Some((pool?.to_owned(), task.concurrency.as_ref()?.limit))).collect()
}
