//! The servers that tests share: started by the first test that needs one, found by all others, stopped by
//! `make test` at its end. Benchmarks (`SLUICE_BENCH` is set) have others of their own, which wait for the disk.
//! `SLUICE_TEST_POSTGRES`, `SLUICE_TEST_MYSQL` and `SLUICE_TEST_KAFKA` name others to use.
//!
//! These functions are for tests and panic with the reason when a server cannot be had.

use std::path::Path;

use crate::{
    environment,
    server::{Purpose, Service},
    services::Services,
};

/// `postgres://` URL of a superuser on the test server.
///
/// # Panics
/// If it cannot be started.
pub fn postgres() -> String {
    server("SLUICE_TEST_POSTGRES", Service::Postgres)
}

/// `mysql://` URL of an administrator on the test MariaDB.
///
/// # Panics
/// If it cannot be started.
pub fn mysql() -> String {
    server("SLUICE_TEST_MYSQL", Service::Mariadb)
}

/// `host:port` of the test Kafka broker.
///
/// # Panics
/// If it cannot be started.
pub fn kafka() -> String {
    server("SLUICE_TEST_KAFKA", Service::Kafka)
}

/// The services of a home of their own, for a test that changes a server; as [`postgres`] and the others are set up.
pub fn apart(home: &Path) -> Services {
    Services::with(home, Purpose::Tests)
}

fn server(variable: &str, service: Service) -> String {
    if let Some(given) = environment::test_server(variable) {
        return given;
    }
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target");
    let services = if environment::is_bench() {
        Services::with(target.join("bench-services"), Purpose::Benches)
    } else {
        Services::with(target.join("test-services"), Purpose::Tests)
    };
    // Another process may start the same server now: `up` holds a lock, and finds what runs.
    match services.up(&[service]) {
        Ok(endpoints) => endpoints.get(service).map(|url| url.expose().to_owned()).unwrap_or_default(),
        Err(error) => panic!("{error}; {}", error.hint().unwrap_or_default()),
    }
}
