//! The run store: DAG versions, runs, the queue, attempts and their logs, all in Postgres.
//!
//! A task's row is its place in the queue. Claiming opens the attempt in one statement; ending one is one
//! transaction that closes it (only while its token holds), counts down its successors, applies their trigger
//! rules, queues those that are ready, closes the run and writes the notice of its failure. Whoever changes a
//! run's tasks takes the lock on its `dag_run` row first.

mod admit;
mod advance;
mod claim;
mod control;
mod create;
mod deadlines;
mod deploy;
mod error;
mod exchange;
mod hand_over;
mod lease;
mod log;
mod read;
mod why;

pub use admit::{admit, set_pools};
pub use claim::{ClaimRequest, Claimed};
pub use control::{Cancelled, cancel, retry};
pub use create::{Created, NewRun, Trigger, create};
pub use deadlines::miss_deadlines;
pub use deploy::{deploy, pause, plan, retire_others, set_next_run};
pub use error::RunError;
pub use exchange::{End, Ended, Exchange, exchange};
pub use hand_over::{HandedOver, WellEnded, hand_over};
pub use lease::{Held, lead, reap, release_lead, renew, worker_seen, worker_serves, worker_stopped};
pub use log::{Line, write_log};
pub use read::{
    AttemptRow, DagRow, DueDag, LogRow, RunRow, TaskRow, attempts, dags, due, find_run, list, log_lines, run, tasks,
};
pub use why::{Why, why};

/// Channel of Postgres notifications: a task has become ready somewhere. A hint; polling is the truth.
pub const QUEUE_CHANNEL: &str = "sluice_queue";
/// Channel of Postgres notifications: `<run_id> <state>` when a run has ended, `<run_id> cancel` when it shall.
pub const RUN_CHANNEL: &str = "sluice_run";

/// Postgres has no text with a NUL in it.
pub(crate) fn without_nul(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}
