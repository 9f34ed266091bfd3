//! Event-time windows over Kafka whose results, offsets and alerts commit in one Postgres transaction.
//!
//! - [`spec`]: stream YAML, checked and compiled to typed code. Pure.
//! - [`core`]: what a record does to a partition's windows, and which rules it violates. Pure: no clock, no I/O.
//! - [`runtime`]: consumer groups, the commit, dead letters and the lake.
//! - [`producer`]: events into Kafka at a set rate, and the kind `produce_events`.
//!
//! A partition's state is a function of its log: whoever owns the partition rebuilds open windows by reading
//! again from the offset where the oldest of them began. Processing time decides when a result is written, never
//! what it is.

pub mod core;
pub mod producer;
pub mod runtime;
pub mod spec;

mod produce_events;

pub use produce_events::{PARTITIONS, ProduceEvents, TOPICS};
