//! The engines against each other and against what they must find.

mod agreement;
mod anomaly;
mod cases;
mod conformance;
mod contract;
mod groups;
mod memory;
mod nan;
mod others;
mod postgres;
mod profile;
mod regex;
mod suggest;
mod suites;
mod versions;
mod watch;
