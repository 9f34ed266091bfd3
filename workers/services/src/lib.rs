//! Private Postgres, MariaDB and Apache Kafka for one project folder, on loopback ports of their own.
//!
//! Everything here blocks and uses the system's own programs; nothing is downloaded but Kafka's jars, once per
//! machine. The servers outlive the process that started them, until [`Services::down`]; a second
//! [`Services::up`] finds them. A server never runs as root and never listens beyond loopback. Each trouble that
//! is met on the way (a taken port, a stale pid, leftovers of a start that was cut off) is mended and said, by
//! way of [`Services::saying`].
//!
//! [`processes`] keeps the background processes of Sluice itself; [`testing`] the servers that tests share.

mod account;
mod environment;
mod error;
mod jars;
mod kafka;
mod mariadb;
mod needs;
mod note;
mod place;
mod port;
mod postgres;
mod process;
pub mod processes;
mod programs;
mod secret;
mod server;
mod services;
mod state;
pub mod testing;

pub use self::{
    error::ServiceError,
    needs::{Need, needs},
    note::{Level, Note},
    place::open_home,
    secret::ServiceUrl,
    server::Service,
    services::{Condition, Endpoints, ServiceStatus, Services},
};
