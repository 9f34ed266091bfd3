//! What a record does to its partition: counted, deduplicated, late or malformed; windows grow, rules fire.
//!
//! Pure and deterministic: the state after a record is a function of the partition's log up to it, and of which
//! records were put aside for being ahead of the clock, which is handed in and judged once. No I/O; batches and
//! restarts cannot change a result.

mod accumulate;
#[cfg(test)]
mod detection;
mod partition;
#[cfg(test)]
mod partition_tests;
mod record;
#[cfg(test)]
mod reference;
mod window;

pub(crate) use accumulate::SCALE;
pub use partition::{Counters, Delta, Disposition, Early, Firing, PartitionState, Resume, WindowRow};
pub use record::RawRecord;
