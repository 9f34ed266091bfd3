//! The warehouse against a real Postgres.

mod lake;
mod load;
mod models;
mod pool;
mod support;
mod trail;
