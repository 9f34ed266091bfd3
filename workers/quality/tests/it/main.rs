//! The engines against each other and against what they must find.

mod agreement;
mod cases;
mod conformance;
mod contract;
mod groups;
mod nan;
mod others;
mod postgres;
mod profile;
mod regex;
mod suggest;
mod suites;
