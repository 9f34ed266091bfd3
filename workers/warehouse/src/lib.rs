//! Postgres: migrations, run store, staging, publication, load ledger, models. And the lake beside it.

pub mod access;
pub mod alerts;
pub mod cases;
pub mod copy;
pub mod error;
pub mod fence;
pub mod ident;
pub mod lake;
pub mod load;
pub mod manifest;
pub mod migrations;
pub mod models;
pub mod outbox;
pub mod pool;
pub mod runs;
pub mod scratch;
pub mod trail;

pub use error::WarehouseError;
pub use migrations::migrate;
