//! Private Postgres, MariaDB and Kafka for one project, on loopback ports of their own.

pub mod testing;
