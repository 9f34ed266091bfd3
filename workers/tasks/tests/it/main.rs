//! Task kinds against real services.

mod anomalies;
mod bad;
mod bucket;
mod channels;
mod checks;
mod classicmodels;
mod delivery;
mod export;
mod extract_csv;
mod extract_http;
mod extract_mysql;
mod generate;
mod kill;
mod known_losses;
mod load;
mod low_stock;
mod mail_server;
mod mysql_types;
mod real_data;
mod reconcile;
mod report;
mod support;
mod trail;
mod validate;
mod wait;
