//! Suites of expectations over Polars frames and Postgres tables: what must hold of a dataset, and what a batch of
//! it deserves.
//!
//! A suite is read and checked without touching data. Both engines compile the same expressions from it, so that a
//! rule means the same on a Parquet file and in Postgres. This crate never moves, changes or publishes a row.

pub mod anomaly;
mod beside;
mod contract;
mod data;
pub mod expectation;
pub mod expression;
mod frame;
mod outcome;
mod postgres;
mod probe;
pub mod profile;
mod record;
mod report;
mod suggest;
mod suite;
mod text;
mod types;
mod value;
pub mod versions;
mod watch;

pub use beside::Beside;
pub use contract::{
    ColumnPolicy, Contract, Field, FieldType, OrderPolicy, TypePolicy, contract_of_frame, contract_of_table,
};
pub use data::read_file;
pub use frame::{
    Opened, evaluate_file, evaluate_file_beside, evaluate_frame, evaluate_frame_beside, profile_file, profile_frame,
};
pub use outcome::{CheckOutcome, Evaluation, FailedRows, Outcome, Verdict, groups_in_words};
pub use postgres::{BrokenRows, QualityError, Table, broken_rows, evaluate_table, profile_columns, profile_table};
pub use record::{RunRef, record};
pub use report::validation_result;
pub use suggest::Suggestion;
pub use suite::{Check, OnFail, Profiled, Severity, Suite, Tolerance, Watched};
pub use text::{JsonSchema, TextTest, TimeFormat};
pub use value::Scalar;
pub use watch::{ANOMALY, Batch, Numbers, keep_numbers, watch};
