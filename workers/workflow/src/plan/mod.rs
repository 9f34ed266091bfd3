//! A checked DAG: everything that a run needs to know, with defaults filled in and every name resolved.
//!
//! Only [`check`] makes one. It is stored with the run's DAG version, so a run keeps the plan it started with.

mod check;
mod days;
mod diff;
mod each;
mod lint;
mod names;
mod params;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

pub use check::check;
pub use diff::{Change, PlanDiff, TaskDiff, changes, diff};
pub use each::{ForEach, MOST_ITEMS, item_name, parent_of};
pub use lint::lint;
pub use names::Known;
pub(crate) use params::read as read_params;
pub use params::{Param, ParamError, ParamType};

use crate::{
    kind::DataInterval, schedule, schedule::Schedule, span::Span, state::TriggerRule, template, trigger::Trigger,
};

/// A checked DAG.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Its name.
    pub dag: String,
    /// For people.
    pub description: String,
    /// The hash of everything else in the plan: comments and layout of the file do not count.
    pub version: String,
    /// When it runs by itself; `None` for by hand only.
    pub schedule: Option<Schedule>,
    /// What else starts a run of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub triggers: Vec<Trigger>,
    /// Where its local times are read.
    pub timezone: Tz,
    /// How many of its runs may be under way at once; `None` for as many as there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_active_runs: Option<u32>,
    /// What becomes of a run for which there is no room.
    #[serde(default, skip_serializing_if = "Overlap::is_default")]
    pub overlap: Overlap,
    /// How many retries all tasks of a run have together; `None` for as many as each task has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_budget: Option<u32>,
    /// Parameters with their defaults; nothing for one that a run has to be given. A given value must have the default's
    /// type, unless it is declared.
    pub params: Map<String, Value>,
    /// What is declared of parameters beyond their default.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub declared: BTreeMap<String, Param>,
    /// Channels that are told when a run fails.
    pub on_failure: Vec<String>,
    /// Its tasks; each comes after all that it needs.
    pub tasks: Vec<PlannedTask>,
}

/// A task of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedTask {
    /// Its name, unique in the DAG.
    pub name: String,
    /// Which kind does the work.
    pub kind: String,
    /// The group that it is part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The tasks that must have ended before, by `needs` or because this one reads their output.
    pub needs: Vec<String>,
    /// What their ends must be.
    pub trigger_rule: TriggerRule,
    /// The tasks that set up what this one takes down; it runs where they succeeded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub teardown: Vec<String>,
    /// Attempts in all, at least 1.
    pub attempts: u16,
    /// How long one attempt may take.
    pub timeout: Span,
    /// How long all its attempts may take, from the start of the first and with the waits between them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_timeout: Option<Span>,
    /// Where it queues.
    pub queue: String,
    /// What its worker must have, in alphabetical order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// The wait between attempts.
    pub backoff: Backoff,
    /// After which ends another attempt may follow; `None` for all that a retry may mend.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_on: Option<Vec<RetryOn>>,
    /// A task of higher priority is claimed first.
    pub priority: i16,
    /// The pool that it takes a slot of, from the moment it is ready to the end of its attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
    /// What only so many tasks, of whatever run and DAG, may be at at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<Concurrency>,
    /// The list that it is mapped over: it runs once for each item.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_each: Option<ForEach>,
    /// How long after the run was made it should have ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Span>,
    /// An expression over parameters and outputs; where it is false, the task is skipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// Whether it may run again after an attempt whose end is unknown, by its kind.
    pub repeatable: bool,
    /// The kind's own keys, templates not yet rendered.
    pub config: Value,
}

/// `concurrency: { key: "customer-{{ params.customer }}", limit: 1 }`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Concurrency {
    /// The key: a template over what is known when the run is made, which is all but outputs.
    pub key: String,
    /// How many tasks of the same key at once, at least 1.
    #[serde(default = "one")]
    pub limit: i32,
}

impl Concurrency {
    /// Bytes of a key, at most.
    const LONGEST: usize = 200;

    /// The key of a run, or what is wrong with it.
    pub fn render(&self, scope: &template::Scope<'_>) -> Result<String, String> {
        let key = match template::render(&Value::String(self.key.clone()), scope).map_err(|fault| fault.message)? {
            Value::String(text) => text,
            other => other.to_string(),
        };
        match key.len() {
            0 => Err("it is empty".to_owned()),
            length if length > Self::LONGEST => Err(format!("it is {length} bytes long, and may be {}", Self::LONGEST)),
            _ => Ok(key),
        }
    }
}

fn one() -> i32 {
    1
}

/// A bad end of an attempt after which another attempt may help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryOn {
    /// A fault of something outside.
    External,
    /// A fault of Sluice itself.
    Internal,
    /// The attempt took too long.
    Timeout,
}

impl PlannedTask {
    /// Whether it needs a slot: of its pool, of its key, or of those that its items share.
    pub fn takes_slot(&self) -> bool {
        self.pool.is_some() || self.concurrency.is_some() || self.max_parallel().is_some()
    }

    /// How many of its items may be under way at once, where that is said.
    pub fn max_parallel(&self) -> Option<i32> {
        self.for_each.as_ref().and_then(|each| each.max_parallel)
    }

    /// Whether another attempt may follow such an end.
    pub fn retries(&self, end: RetryOn) -> bool {
        self.retry_on.as_ref().is_none_or(|ends| ends.contains(&end))
    }
}

/// What becomes of a run that is due while as many of its DAG are under way as may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    /// It waits for its turn.
    #[default]
    Queue,
    /// It is left out, and says so.
    Skip,
    /// Those under way are cancelled, and it follows them.
    Cancel,
}

impl Overlap {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// The wait before an attempt after a failed one: it doubles from `from` up to `to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backoff {
    /// Before the second attempt.
    pub from: Span,
    /// At most.
    pub to: Span,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { from: Span::from_secs(5), to: Span::from_secs(300) }
    }
}

impl Backoff {
    /// The wait after attempt number `attempt` (from 1) failed. `luck` in `0.0..1.0` spreads it over the upper
    /// half of the exponential step ("equal jitter"), so that tasks that failed together do not return together.
    pub fn delay(&self, attempt: i32, luck: f64) -> Duration {
        let doublings = u32::try_from(attempt.max(1) - 1).unwrap_or(0).min(30);
        let full = self.from.0.saturating_mul(1 << doublings).min(self.to.0.max(self.from.0));
        full.mul_f64(0.5 + luck.clamp(0.0, 1.0) / 2.0)
    }
}

impl Plan {
    /// The task of that name.
    pub fn task(&self, name: &str) -> Option<&PlannedTask> {
        self.tasks.iter().find(|task| task.name == name)
    }

    /// The tasks after which all is plain once they went well: no slot of a pool to pass on, and behind them only tasks
    /// that need no slot, are not mapped, and whose rules then say yes. Each with the task behind it, where that is just one.
    pub fn straight_on(&self) -> BTreeMap<&str, Option<&str>> {
        let apart = |task: &&PlannedTask| task.takes_slot() || task.for_each.is_some();
        let pooled = self.tasks.iter().filter(apart);
        let choosy = self.tasks.iter().filter(|task| apart(task) || task.trigger_rule.wants_fault());
        let winding: BTreeSet<&str> = pooled
            .map(|task| task.name.as_str())
            .chain(choosy.flat_map(|task| task.needs.iter().map(String::as_str)))
            .collect();
        let mut behind: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for task in &self.tasks {
            for need in &task.needs {
                behind.entry(need).or_default().push(&task.name);
            }
        }
        self.tasks
            .iter()
            .map(|task| task.name.as_str())
            .filter(|name| !winding.contains(name))
            .map(|name| {
                (
                    name,
                    behind.get(name).and_then(|names| <[&str; 1]>::try_from(names.as_slice()).ok()).map(|[only]| only),
                )
            })
            .collect()
    }

    /// The names of the tasks of a group, in the plan's order.
    pub fn group<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.tasks.iter().filter(move |task| task.group.as_deref() == Some(name)).map(|task| task.name.as_str())
    }

    /// `name` and every task that needs it, near or far, in the plan's order.
    pub fn with_downstream(&self, name: &str) -> Vec<&PlannedTask> {
        let mut reached: BTreeSet<&str> = BTreeSet::from([name]);
        let mut found = Vec::new();
        for task in &self.tasks {
            if task.name == name || task.needs.iter().any(|need| reached.contains(need.as_str())) {
                reached.insert(&task.name);
                found.push(task);
            }
        }
        found
    }

    /// The tasks by how far they stand from the start: a task's level is one more than the greatest of its needs.
    pub fn levels(&self) -> Vec<Vec<&PlannedTask>> {
        let mut level_of: BTreeMap<&str, usize> = BTreeMap::new();
        let mut levels: Vec<Vec<&PlannedTask>> = Vec::new();
        for task in &self.tasks {
            let level = task.needs.iter().filter_map(|need| level_of.get(need.as_str())).max().map_or(0, |l| l + 1);
            level_of.insert(&task.name, level);
            if levels.len() <= level {
                levels.resize_with(level + 1, Vec::new);
            }
            levels[level].push(task);
        }
        levels
    }

    /// The data that a run of this logical time is about.
    pub fn interval(&self, logical_time: chrono::DateTime<chrono::Utc>) -> DataInterval {
        self.schedule
            .as_ref()
            .map_or_else(|| schedule::day_before(logical_time), |schedule| schedule.interval(logical_time))
    }

    /// The schedule as shown: `0 2 * * *`, `every 15m`, `@once`, several with `; ` between; `None` for none.
    pub fn schedule_text(&self) -> Option<String> {
        self.schedule.as_ref().map(ToString::to_string)
    }

    /// The hash of all but the version.
    fn content_version(&self) -> String {
        let unversioned = Self { version: String::new(), ..self.clone() };
        let text = serde_json::to_vec(&unversioned).unwrap_or_default();
        crate::hex::encode(&Sha256::digest(&text)[..6])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_doubles_up_to_its_limit_and_is_spread() {
        let backoff = Backoff { from: Span::from_secs(10), to: Span::from_secs(60) };
        let full: Vec<_> = (1..=5).map(|attempt| backoff.delay(attempt, 1.0).as_secs()).collect();
        assert_eq!(full, [10, 20, 40, 60, 60]);
        assert_eq!(backoff.delay(2, 0.0).as_secs(), 10);
        assert_eq!(backoff.delay(i32::MAX, 1.0).as_secs(), 60);
    }
}
