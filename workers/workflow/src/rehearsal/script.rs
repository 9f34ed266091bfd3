//! What a rehearsal is told: how attempts end, and what tasks leave.

use std::{collections::BTreeMap, str::FromStr};

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use crate::{
    error::TaskError,
    plan::{PlannedTask, item_name},
};

/// How the attempts of a task end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Outcome {
    /// Well.
    #[default]
    Success,
    /// With a fault that a retry may mend: so many of them, or all.
    Fail(Option<u16>),
    /// With a fault of the user's files or data, as a gate's: a retry cannot mend it.
    UserFault,
    /// Not before the time is up; of a task that waits for something, not before all of its time is.
    Timeout,
}

/// The outcomes as [`Outcome`] reads them, for hints.
pub const OUTCOMES: &str = "`success`, `fail`, `fail:2` (its first two attempts), `user_fault` or `timeout`";

impl FromStr for Outcome {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match (text, text.strip_prefix("fail:").map(str::parse)) {
            ("success", _) => Ok(Self::Success),
            ("fail", _) => Ok(Self::Fail(None)),
            ("user_fault", _) => Ok(Self::UserFault),
            ("timeout", _) => Ok(Self::Timeout),
            (_, Some(Ok(attempts))) => Ok(Self::Fail(Some(attempts))),
            _ => Err(()),
        }
    }
}

impl Outcome {
    /// The fault with which attempt number `attempt`, from 1, ends; `None` where it ends well or not in time.
    pub(super) fn fault(self, attempt: i32) -> Option<TaskError> {
        match self {
            Self::Fail(most) if most.is_none_or(|most| attempt <= most.into()) => {
                Some(TaskError::external("told to fail"))
            }
            Self::UserFault => Some(TaskError::user("told to fail by a user's fault")),
            Self::Success | Self::Fail(_) | Self::Timeout => None,
        }
    }
}

/// What a rehearsal is told.
#[derive(Debug, Clone)]
pub struct Script {
    /// The instant that the run stands for.
    pub logical_time: DateTime<Utc>,
    /// The run's parameters, from [`crate::plan::Plan::params`].
    pub params: Map<String, Value>,
    /// What started the run, from [`crate::cause::of`].
    pub trigger: Value,
    /// How the attempts of tasks, or of items such as `load[2]`, end; well unless it is said.
    pub outcomes: BTreeMap<String, Outcome>,
    /// What tasks, or items, that succeed leave.
    pub outputs: BTreeMap<String, Value>,
}

impl Script {
    /// How the attempts of a row end: of an item as it is told, or else as its task is.
    pub(super) fn outcome(&self, task: &PlannedTask, item: Option<usize>) -> Outcome {
        let of_item = item.and_then(|place| self.outcomes.get(&item_name(&task.name, place)));
        of_item.or_else(|| self.outcomes.get(&task.name)).copied().unwrap_or_default()
    }

    /// What an item leaves: as it is told, or else at its place in what its task leaves.
    pub(super) fn output_of_item(&self, task: &str, place: usize) -> Option<&Value> {
        let of_item = self.outputs.get(&item_name(task, place));
        of_item.or_else(|| self.outputs.get(task).and_then(|list| list.get(place)))
    }
}
