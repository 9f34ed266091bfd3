//! Task kinds against real services.

mod extract_mysql;
mod kill;
mod load;
mod support;
mod generate;
