//! Streams against a real Kafka and a real Postgres. What is right is computed offline: the pure core over the
//! topic's log, in one go, once.

mod crash;
mod dead_letters;
mod harness;
mod lake;
mod presence;
mod producer;
mod retention;
mod runs;
