//! The promises of the synthetic shop, on whole pasts and on minutes of events.

mod events;
mod history;
