//! Scheduler, worker, leases and recovery, over apalis' worker loop and our own tables.
//!
//! This crate never sees a task kind: it is handed a registry. Postgres is the only thing that processes share;
//! a notification is a hint, a poll is the truth, and a fencing token guards every write of an attempt.

mod archivist;
mod arrivals;
mod attempt;
mod backend;
mod dispatch;
mod due;
mod held;
mod hints;
mod leases;
mod logs;
mod mapped;
mod outputs;
mod reaper;
mod scheduler;
mod started;
mod worker;

pub use archivist::{Archived, Retention, archive};
pub use arrivals::Places;
pub use reaper::reap_until;
pub use scheduler::{Scheduler, SchedulerOptions};
pub use worker::{Worker, WorkerOptions, drain, run_ended};
