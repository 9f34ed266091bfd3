//! Task kinds against real services.

mod bad;
mod bucket;
mod checks;
mod delivery;
mod export;
mod extract_csv;
mod extract_http;
mod extract_mysql;
mod generate;
mod kill;
mod load;
mod low_stock;
mod mail_server;
mod report;
mod support;
mod trail;
mod validate;
mod wait;
