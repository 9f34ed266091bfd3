//! The warehouse against a real Postgres.

mod load;
mod support;
