//! The engines against each other and against what they must find.

mod agreement;
mod anomaly;
mod cases;
mod conformance;
mod memory;
mod nan;
mod postgres;
mod profile;
mod regex;
mod suggest;
mod suites;
mod versions;
mod watch;
