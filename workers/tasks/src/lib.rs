//! Task kinds: one file each, one line each in the CLI's registry.

pub mod alert_low_stock;
pub mod beside;
pub mod command;
pub mod delivery;
pub mod export;
pub mod extract_csv;
pub mod extract_http;
pub mod extract_mysql;
pub mod generate;
pub mod load;
pub mod mysql;
pub mod reconcile;
pub mod report;
pub mod sender;
pub mod trail;
pub mod transform;
pub mod validate;
pub mod wait_file;
pub mod wait_http;
pub mod wait_sql;
pub mod wait_until;
pub mod written;

mod letter;
mod session;
mod watching;
mod wording;
