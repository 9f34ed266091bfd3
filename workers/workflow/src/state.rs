//! The states of runs, tasks and attempts, and every way from one to the next.
//!
//! A state changes through [`RunState::on`], [`TaskState::on`] or [`AttemptState::on`] and in no other way; the
//! run store asks them before it writes.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A text that names no state: the database was written by another version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a known state")]
pub struct UnknownState(String);

macro_rules! named {
    ($type:ident { $($variant:ident = $name:literal),+ $(,)? }) => {
        impl $type {
            /// Every value, in the order of a life.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// As stored in Postgres.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }
        }
        impl FromStr for $type {
            type Err = UnknownState;
            fn from_str(text: &str) -> Result<Self, UnknownState> {
                match text { $($name => Ok(Self::$variant),)+ other => Err(UnknownState(other.to_owned())) }
            }
        }
        impl fmt::Display for $type {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.pad(self.as_str())
            }
        }
    };
}

/// The state of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// As many runs of its DAG as may run at once are under way. Whoever ends one of them moves it on.
    Queued,
    /// Some task has not ended. Whoever ends the last one moves it on, in the same transaction.
    Running,
    /// Every task succeeded or was skipped. Final, unless someone retries a task of it.
    Success,
    /// Some task failed. A person's retry moves it back to running.
    Failed,
    /// A person stopped it, and every task has ended. A person's retry moves it back to running.
    Cancelled,
    /// Another run of its DAG was under way, and the DAG says `overlap: skip`. A person's retry moves it to running.
    Skipped,
}

named!(RunState {
    Queued = "queued",
    Running = "running",
    Success = "success",
    Failed = "failed",
    Cancelled = "cancelled",
    Skipped = "skipped",
});

/// What can happen to a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunEvent {
    /// There is room for it.
    Admitted,
    /// Its last task ended, and none had failed.
    AllWell,
    /// Its last task ended, and some had failed.
    SomeFailed,
    /// Its last task ended after someone had asked to cancel.
    Stopped,
    /// A person retried or marked one of its tasks.
    Retried,
    /// A person asked for it again with others, in turn.
    Cleared,
}

impl RunState {
    /// Where `event` leads; `None` where it cannot happen.
    pub fn on(self, event: RunEvent) -> Option<Self> {
        match (self, event) {
            (Self::Running, RunEvent::AllWell) => Some(Self::Success),
            (Self::Running, RunEvent::SomeFailed) => Some(Self::Failed),
            (Self::Queued, RunEvent::Admitted) => Some(Self::Running),
            (Self::Queued | Self::Running, RunEvent::Stopped) => Some(Self::Cancelled),
            (state, RunEvent::Retried) if state != Self::Queued => Some(Self::Running),
            (state, RunEvent::Cleared) if state.is_final() => Some(Self::Queued),
            _ => None,
        }
    }

    /// Whether nothing but a person moves it on.
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }
}

/// The state of a task in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskState {
    /// Some task that it needs has not ended. The last of them to end moves it on, by the trigger rule. Or it is mapped, and
    /// some item has not ended; the last of them moves it on.
    Waiting,
    /// In the queue, perhaps not before some time. The worker that claims it moves it on.
    Queued,
    /// An attempt is under way. The attempt's worker moves it on, or the reaper once its lease ran out.
    Running,
    /// An attempt ended well.
    Success,
    /// The last attempt allowed ended badly, or one whose fault no retry can mend.
    Failed,
    /// Decided against without a fault: by its trigger rule, since a task that it needs was skipped, or by its own
    /// condition.
    Skipped,
    /// Its trigger rule decided against it since a task that it needs failed.
    UpstreamFailed,
    /// Its run was cancelled.
    Cancelled,
}

named!(TaskState {
    Waiting = "waiting",
    Queued = "queued",
    Running = "running",
    Success = "success",
    Failed = "failed",
    Skipped = "skipped",
    UpstreamFailed = "upstream_failed",
    Cancelled = "cancelled",
});

/// What can happen to a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskEvent {
    /// Its trigger rule decided for it.
    Ready,
    /// A worker claimed it.
    Claimed,
    /// Its attempt ended well.
    Succeeded,
    /// Its attempt ended badly, and another follows.
    WillRetry,
    /// Its attempt ended badly, and it was the last.
    GaveUp,
    /// Its trigger rule decided against it without a fault, or its own condition did.
    Skip,
    /// Its trigger rule decided against it for a fault.
    UpstreamFailed,
    /// It is mapped, and its list is known: its items follow, and it waits for them.
    Expanded,
    /// It is mapped, its items have all ended, and some had failed.
    ItemsFailed,
    /// What it looks for is not there yet; it looks again later.
    LookAgain,
    /// Its run is cancelled, and no attempt of it is under way any more.
    Cancel,
    /// A person asked for it again, from where it stands ready.
    Retried,
    /// A person retried a task before it.
    Rewound,
    /// A person let it count as having ended well.
    MarkedSuccess,
    /// A person let it count as having failed.
    MarkedFailed,
    /// A person let it count as left out.
    MarkedSkipped,
    /// Its run goes on with a version of the DAG that does not have it.
    Dropped,
}

impl TaskState {
    /// Where `event` leads; `None` where it cannot happen.
    pub fn on(self, event: TaskEvent) -> Option<Self> {
        match (self, event) {
            (Self::Waiting, TaskEvent::Ready) | (Self::Running, TaskEvent::WillRetry | TaskEvent::LookAgain) => {
                Some(Self::Queued)
            }
            (Self::Running, TaskEvent::Expanded) => Some(Self::Waiting),
            (Self::Waiting, TaskEvent::ItemsFailed) => Some(Self::Failed),
            (Self::Waiting | Self::Running, TaskEvent::Skip) => Some(Self::Skipped),
            (Self::Waiting, TaskEvent::UpstreamFailed) => Some(Self::UpstreamFailed),
            (Self::Queued, TaskEvent::Claimed) => Some(Self::Running),
            (Self::Running, TaskEvent::Succeeded) => Some(Self::Success),
            (Self::Running, TaskEvent::GaveUp) => Some(Self::Failed),
            (Self::Waiting | Self::Queued | Self::Running, TaskEvent::Cancel) => Some(Self::Cancelled),
            (state, TaskEvent::Retried) if state.is_final() => Some(Self::Queued),
            (state, TaskEvent::Rewound) if state.is_final() => Some(Self::Waiting),
            // Nothing is marked under a worker's hands.
            (Self::Running, _) => None,
            (_, TaskEvent::MarkedSuccess) => Some(Self::Success),
            (_, TaskEvent::MarkedFailed) => Some(Self::Failed),
            (_, TaskEvent::MarkedSkipped) => Some(Self::Skipped),
            (state, TaskEvent::Dropped) if state.is_final() && state != Self::Success => Some(Self::Skipped),
            _ => None,
        }
    }

    /// Whether nothing but a person moves it on.
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Waiting | Self::Queued | Self::Running)
    }

    /// Whether it makes its run fail.
    pub fn is_fault(self) -> bool {
        matches!(self, Self::Failed | Self::UpstreamFailed)
    }
}

/// The state of one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptState {
    /// Its worker holds the lease. The worker moves it on, or the reaper once the lease ran out.
    Running,
    /// It ended well.
    Success,
    /// It ended with an error.
    Failed,
    /// It took longer than the task's timeout.
    TimedOut,
    /// Its lease ran out: the worker died or was cut off. Whatever it still writes is refused.
    Lost,
    /// Its run was cancelled, or its worker stopped, before it ended.
    Cancelled,
}

named!(AttemptState {
    Running = "running",
    Success = "success",
    Failed = "failed",
    TimedOut = "timed_out",
    Lost = "lost",
    Cancelled = "cancelled",
});

/// What can happen to an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptEvent {
    /// The kind returned an output.
    Succeeded,
    /// The kind returned an error, or panicked.
    Failed,
    /// The time was up.
    TimedOut,
    /// The lease ran out.
    LeaseExpired,
    /// It was told to stop, and did.
    Cancelled,
}

impl AttemptState {
    /// Where `event` leads; `None` where it cannot happen: an attempt ends once.
    pub fn on(self, event: AttemptEvent) -> Option<Self> {
        match (self, event) {
            (Self::Running, AttemptEvent::Succeeded) => Some(Self::Success),
            (Self::Running, AttemptEvent::Failed) => Some(Self::Failed),
            (Self::Running, AttemptEvent::TimedOut) => Some(Self::TimedOut),
            (Self::Running, AttemptEvent::LeaseExpired) => Some(Self::Lost),
            (Self::Running, AttemptEvent::Cancelled) => Some(Self::Cancelled),
            _ => None,
        }
    }
}

/// When a task runs, judged once all the tasks that it needs have ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TriggerRule {
    /// All of them succeeded.
    #[default]
    AllSuccess,
    /// All of them ended, however.
    AllDone,
    /// None failed; skipped ones do not count.
    NoneFailed,
    /// None failed, and at least one succeeded: the place where branches meet again.
    NoneFailedMinOneSuccess,
    /// None was skipped; failed ones do not count.
    NoneSkipped,
    /// At least one succeeded.
    OneSuccess,
    /// At least one failed: the place of a clean-up or a notice.
    OneFailed,
    /// All of them failed: the place of a last resort.
    AllFailed,
    /// All of them ended, however, and though the run is cancelled.
    Always,
    /// As [`TriggerRule::Always`], where what the task takes down was set up. Whether it fails does not decide about the
    /// run. Not for users to write: it is the rule of a task with `teardown`.
    Teardown,
}

named!(TriggerRule {
    AllSuccess = "all_success",
    AllDone = "all_done",
    NoneFailed = "none_failed",
    NoneFailedMinOneSuccess = "none_failed_min_one_success",
    NoneSkipped = "none_skipped",
    OneSuccess = "one_success",
    OneFailed = "one_failed",
    AllFailed = "all_failed",
    Always = "always",
    Teardown = "teardown",
});

/// How the tasks that a task needs have ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NeedsEnded {
    /// All of them.
    pub total: i32,
    /// Those in state failed or `upstream_failed`.
    pub failed: i32,
    /// Those in state skipped.
    pub skipped: i32,
}

impl TriggerRule {
    /// Whether a task of this rule runs though its run is cancelled. `sluice.survives_cancel` says the same in SQL.
    pub fn survives_cancel(self) -> bool {
        matches!(self, Self::Always | Self::Teardown)
    }

    /// Whether the rule says no where all went well.
    pub fn wants_fault(self) -> bool {
        matches!(self, Self::OneFailed | Self::AllFailed)
    }

    /// What the rule decides for a task whose needs have all ended.
    pub fn decide(self, needs: NeedsEnded) -> TaskEvent {
        let NeedsEnded { total, failed, skipped } = needs;
        let against = if failed > 0 { TaskEvent::UpstreamFailed } else { TaskEvent::Skip };
        let run = match self {
            _ if total == 0 => true,
            Self::AllSuccess => failed == 0 && skipped == 0,
            Self::AllDone | Self::Always | Self::Teardown => true,
            Self::NoneFailed => failed == 0,
            Self::NoneFailedMinOneSuccess => failed == 0 && total > skipped,
            Self::NoneSkipped => skipped == 0,
            Self::OneSuccess => total > failed + skipped,
            Self::OneFailed => failed > 0,
            Self::AllFailed => failed == total,
        };
        // Where a rule waits for faults, or minds what was skipped alone, a task that stays out is skipped, nothing worse.
        let unharmed = self.wants_fault() || self == Self::NoneSkipped;
        match run {
            true => TaskEvent::Ready,
            false if unharmed => TaskEvent::Skip,
            false => against,
        }
    }

    /// Why a task stays out, where that is what the rule decided.
    pub fn reason(self, decided: TaskEvent) -> Option<&'static str> {
        match decided {
            TaskEvent::UpstreamFailed => Some("a task that it needs failed"),
            TaskEvent::Skip if self == Self::OneFailed => Some("nothing that it waits for failed"),
            TaskEvent::Skip if self == Self::AllFailed => Some("not all that it waits for failed"),
            TaskEvent::Skip => Some("a task that it needs was skipped"),
            _ => None,
        }
    }
}

/// What becomes of a mapped task whose items have all ended, and why: it collects what they left, if none failed.
pub fn items_ended(items: i32, failed: i32) -> (TaskEvent, Option<String>) {
    match failed {
        0 => (TaskEvent::Ready, None),
        _ => (TaskEvent::ItemsFailed, Some(format!("{failed} of its {items} items failed"))),
    }
}
