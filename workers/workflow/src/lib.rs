//! DAGs in YAML become checked plans; runs move through states; kinds of task are known by a trait.
//!
//! This crate does no I/O and imports none of ours. Everything here can be tested without a service.

pub mod diagnostic;
pub mod error;
pub mod kind;
pub mod log;
pub mod project;
pub mod yaml;
