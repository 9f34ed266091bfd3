//! The program as people and scripts meet it: arguments in, text, JSON and exit codes out.

mod acts;
mod away;
mod chaos;
mod compose;
mod day;
mod example;
mod faults;
mod gate;
mod learning;
mod online_retail;
mod panels;
mod project;
mod reconcile;
mod rehearsal;
mod runs;
mod service;
mod told;
