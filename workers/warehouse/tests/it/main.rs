//! The warehouse against a real Postgres.

mod cases;
mod cut;
mod lake;
mod load;
mod models;
mod pool;
mod random_loads;
mod replay;
mod scratch;
mod support;
mod trail;
