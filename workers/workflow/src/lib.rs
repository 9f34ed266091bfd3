//! DAGs in YAML become checked plans; runs move through states; kinds of task are known by a trait.
//!
//! This crate does no I/O and imports none of ours. Everything here can be tested without a service.

pub mod attempt;
pub mod cause;
pub mod dag;
pub mod datasets;
pub mod diagnostic;
pub mod endpoint;
pub mod error;
pub mod hex;
pub mod kind;
pub mod layout;
pub mod log;
pub mod plan;
pub mod project;
pub mod rehearsal;
pub mod schedule;
pub mod span;
pub mod state;
pub mod template;
pub mod trigger;
pub mod yaml;
