//! Models: the SELECTs in `sql/models/` that turn staging tables into the warehouse and its marts.
//!
//! A model is two files: `sql/models/<schema>/<name>.sql`, one SELECT in Postgres' SQL, and `<name>.yaml` beside
//! it, which states its grain, how it is kept, and what each column means. What a model reads is taken from its
//! SQL, so the order of builds is derived and never written down.
//!
//! A build never touches what people read: rows go to a table of the attempt's own in `sluice_staging`, the gate
//! judges them there, and one transaction publishes them under the attempt's fence. A build whose rows are
//! already there changes nothing, down to the row version.
//!
//! SQL of models is not templated. What depends on the run comes as session settings:
//! `current_setting('sluice.timezone')` is the project's time zone, `sluice.interval_start` and
//! `sluice.interval_end` bound the run's data interval. The session's own time zone is UTC.

mod build;
mod catalog;
mod error;
mod gate;
mod ledger;
mod publish;
mod references;
mod relation;
mod runner;
mod scd2;
mod spec;

pub use catalog::{Catalog, SourceFile};
pub use error::ModelError;
pub use gate::{GateOutcome, GateRequest, ModelGate, NoGate};
pub use publish::Changes;
pub use relation::Relation;
pub use runner::{ModelReport, ModelRunner};
pub use spec::{Gate, Materialisation, Missing, Model, OnFail, Scd2};
