//! The run store: DAG versions, runs, the queue, attempts and their logs, all in Postgres.
//!
//! A task's row is its place in the queue. Claiming opens the attempt in one statement; ending one is one
//! transaction that closes it (only while its token holds), counts down its successors, applies their trigger
//! rules, queues those that are ready, closes the run and writes the notice of its failure. Whoever changes a
//! run's tasks takes the lock on its `dag_run` row first.

mod admit;
mod adopt;
mod advance;
mod archive;
mod audit;
mod backfill;
mod claim;
mod clear;
mod control;
mod create;
mod deadlines;
mod deploy;
mod error;
mod exchange;
mod hand_over;
mod items;
mod keys;
mod lease;
mod log;
mod mark;
mod person;
mod read;
mod rewind;
mod started;
mod triggers;
mod why;
mod workers;

pub use admit::{admit, set_pools};
pub use archive::{
    Batch, KEPT, Place, SOONEST, Shelf, archive, archived_months, drop_month, is_archived, outputs_of_month, wherever,
};
pub(crate) use audit::{Act, record};
pub use audit::{Actor, AuditRow, Via, audit};
pub use backfill::{BackfillRow, MOST_RUNS, NewBackfill, Planned, StoppedBackfill, backfills, plan_backfill};
pub use claim::{ClaimRequest, Claimed, release_due, spent};
pub use clear::{Clear, Cleared, ClearedRun};
pub use control::{Cancelled, Reach, Retried, Retry, cancel, retry};
pub use create::{Created, NewRun, Trigger, create};
pub use deadlines::miss_deadlines;
pub use deploy::{VersionRow, current_plan, deploy, find_version, pause, plan, retire_others, set_next_run, versions};
pub use error::RunError;
pub use exchange::{End, Ended, Exchange, exchange, mark_started};
pub use hand_over::{HandedOver, WellEnded, hand_over};
pub use items::{ClaimedItem, Expansion, ItemRow, item, item_outputs, items};
pub use lease::{Held, lead, reap, release_lead, renew, worker_seen, worker_serves, worker_stopped};
pub use log::{Line, write_log};
pub use mark::Mark;
pub use person::Person;
pub use read::{
    AttemptRow, DagRow, DueCursor, DueDag, LogRow, RunRow, TaskRow, attempts, dags, due, find_run, list, log_lines,
    run, tasks,
};
pub use started::started_by;
pub use triggers::{Arrival, FileTrigger, Fired, arrived, cause_words, file_triggers, fire, hook};
pub use why::{Why, why, why_next};
pub use workers::{Busy, WorkerRow, workers};

/// Channel of Postgres notifications: a task has become ready somewhere. A hint; polling is the truth.
pub const QUEUE_CHANNEL: &str = "sluice_queue";
/// Channel of Postgres notifications: `<run_id> <state>` when a run has ended, `<run_id> cancel` when it shall.
pub const RUN_CHANNEL: &str = "sluice_run";

/// Postgres has no text with a NUL in it.
pub(crate) fn without_nul(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}
