//! Postgres: migrations, run store, staging, publication, load ledger, models.

pub mod migrations;

pub use migrations::migrate;
