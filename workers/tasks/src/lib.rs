//! Task kinds: one file each, one line each in the CLI's registry.

pub mod extract_csv;
pub mod extract_mysql;
pub mod generate;
pub mod load;
pub mod transform;
pub mod validate;
