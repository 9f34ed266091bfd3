//! What an attempt of a planned task comes to before its kind is at work, and what follows on a bad end. The worker and a
//! rehearsal both ask here, so what is rehearsed is what happens.

use std::{fmt, time::Duration};

use serde_json::Value;

use crate::{
    error::{ErrorDomain, RetryHint, TaskError},
    plan::{PlannedTask, RetryOn},
    template::{self, Scope},
};

/// What a server may ask for, at most, before the next attempt.
const LONGEST_WAIT: Duration = Duration::from_hours(24);

/// What an attempt comes to.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Nothing, for this reason.
    Skip(String),
    /// The task is mapped, over this list.
    List(Vec<Value>),
    /// Its kind goes to work with these keys, rendered.
    Work(Value),
}

/// How far a task has come when an attempt of it ends.
#[derive(Debug, Clone, Copy)]
pub struct Spent {
    /// The attempt's number, from 1.
    pub attempt: i32,
    /// Attempts allowed.
    pub most: i32,
    /// What the task as a whole has left; `None` for as long as it takes.
    pub left: Option<Duration>,
    /// Whether its kind waits for something.
    pub looks: bool,
}

/// Why no attempt follows on one that ended badly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoRetry {
    /// It was the last one allowed.
    LastAttempt,
    /// It would end the same way.
    Pointless,
    /// The task's `retry_on` leaves such an end out.
    NotAsked,
    /// The task has no time left for another one.
    NoTime,
    /// All the time that the task has went by.
    TimeIsUp,
}

impl fmt::Display for NoRetry {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::LastAttempt => "that was its last attempt",
            Self::Pointless => "a retry cannot mend it",
            Self::NotAsked => "its `retry_on` leaves such an end out",
            Self::NoTime => "its `total_timeout` leaves no time for another attempt",
            Self::TimeIsUp => "its `total_timeout` is over",
        })
    }
}

impl PlannedTask {
    /// Why it has nothing to take down, where a task that set up what it takes down did not succeed.
    pub fn nothing_to_take_down(&self, succeeded: impl Fn(&str) -> bool) -> Option<String> {
        let missing = self.teardown.iter().find(|setup| !succeeded(setup))?;
        Some(format!("there is nothing to take down: `{missing}` did not succeed"))
    }

    /// Whether its templates, its condition or its list may read what started the run. A worker looks that up for those only.
    pub fn may_read_trigger(&self) -> bool {
        let condition = self.when.as_ref().into_iter().chain(self.for_each.as_ref().map(|each| &each.over));
        condition.into_iter().any(|text| text.contains("trigger")) || template::may_read_trigger(&self.config)
    }

    /// What an attempt comes to. The condition is asked once where the task is mapped, and so not for an item.
    ///
    /// # Errors
    /// A fault of the user's: a condition, a list or a template that cannot be evaluated.
    pub fn step(&self, scope: &Scope<'_>) -> Result<Step, TaskError> {
        if scope.item.is_none() {
            if let Some(condition) = &self.when
                && !template::holds(condition, scope).map_err(|fault| TaskError::user(fault.message))?
            {
                return Ok(Step::Skip(format!("its condition does not hold: {condition}")));
            }
            if let Some(each) = &self.for_each {
                let problem = |problem| TaskError::user(format!("for_each: {problem}"));
                return each.items(scope).map(Step::List).map_err(problem);
            }
        }
        template::render(&self.config, scope)
            .map(Step::Work)
            .map_err(|fault| TaskError::user(format!("{}: {}", fault.field, fault.message)))
    }

    /// How long an attempt may take. What waits for something has a last look at the end of its time.
    pub fn attempt_may_take(&self, left: Option<Duration>, looks: bool) -> Duration {
        left.filter(|_| !looks).map_or(self.timeout.0, |left| left.min(self.timeout.0))
    }

    /// How long until the attempt that follows on one which failed. `luck` is [`super::plan::Backoff::delay`]'s.
    ///
    /// # Errors
    /// Why none follows.
    pub fn after_failure(&self, spent: Spent, error: &TaskError, luck: f64) -> Result<Duration, NoRetry> {
        let end = if error.domain == ErrorDomain::Internal { RetryOn::Internal } else { RetryOn::External };
        self.next_wait(spent, end, error.retry, luck)
    }

    /// What to say of an attempt whose time was up, and how long until the next one or why none follows.
    pub fn after_timeout(&self, spent: Spent, luck: f64) -> (String, Result<Duration, NoRetry>) {
        match (self.total_timeout, spent.left) {
            (Some(total), Some(Duration::ZERO)) if spent.looks => {
                (format!("timed out: what it waits for did not come within {total}"), Err(NoRetry::TimeIsUp))
            }
            (Some(total), Some(Duration::ZERO)) => {
                (format!("timed out: all its attempts together may take {total}"), Err(NoRetry::TimeIsUp))
            }
            _ => {
                let wait = self.next_wait(spent, RetryOn::Timeout, RetryHint::Backoff, luck);
                (format!("timed out after {}", self.timeout), wait)
            }
        }
    }

    fn next_wait(&self, spent: Spent, end: RetryOn, hint: RetryHint, luck: f64) -> Result<Duration, NoRetry> {
        let wait = match hint {
            RetryHint::Never => return Err(NoRetry::Pointless),
            _ if !self.retries(end) => return Err(NoRetry::NotAsked),
            _ if spent.attempt >= spent.most => return Err(NoRetry::LastAttempt),
            RetryHint::Backoff => self.backoff.delay(spent.attempt, luck),
            RetryHint::After(wait) => wait.min(LONGEST_WAIT),
        };
        // An attempt for which no time would be left is none.
        if spent.left.is_none_or(|left| wait < left) { Ok(wait) } else { Err(NoRetry::NoTime) }
    }
}
