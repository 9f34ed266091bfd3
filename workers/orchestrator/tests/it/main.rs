//! Runs through the real queue: a Postgres database a test, kinds that a test holds in its hand.

mod acts;
mod again;
mod archive;
mod control;
mod explain;
mod failure;
mod flow;
mod hand_over;
mod history;
mod kill;
mod kinds;
mod leases;
mod limits;
mod mapped;
mod model;
mod network;
mod outputs;
mod places;
mod rehearsal;
mod scheduling;
mod sensors;
mod support;
mod teardown;
mod triggers;
