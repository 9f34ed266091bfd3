//! The private services, started and troubled for real. Each test has a home of its own in a temporary folder.

mod background;
mod compose;
mod home;
mod lifecycle;
mod shared;
mod troubles;
