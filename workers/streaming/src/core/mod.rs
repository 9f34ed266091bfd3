//! What a record does to its partition: counted, deduplicated, late or malformed; windows grow, rules fire.
//!
//! Pure and deterministic: the state after a record is a function of the partition's log up to it, and of which
//! records were put aside for being ahead of the clock, which is handed in and judged once. No I/O; batches and
//! restarts cannot change a result.

mod delta;
#[cfg(test)]
mod detection;
mod explain;
mod fold;
mod judge;
mod memory;
mod partition;
#[cfg(test)]
mod partition_tests;
mod record;
#[cfg(test)]
mod reference;
mod segment;
mod sequence;
mod window;

pub use delta::{
    Counters, Cut, Delta, Disposition, Firing, References, Resume, Snapshot, UnknownSnapshot, WindowRow, Withdrawn,
};
pub use explain::Judged;
pub(crate) use explain::{plain, sentences};
pub use fold::Datum;
pub(crate) use fold::SCALE;
pub use partition::PartitionState;
pub use record::RawRecord;
pub(crate) use segment::SEGMENTS;
