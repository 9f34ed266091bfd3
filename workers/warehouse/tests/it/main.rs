//! The warehouse against a real Postgres.

mod load;
mod models;
mod pool;
mod support;
