//! The servers that tests share: started by the first test that needs one.

/// `postgres://` URL of a superuser on the test server's `postgres` database.
pub fn postgres() -> String {
    std::env::var("SLUICE_TEST_POSTGRES").expect("SLUICE_TEST_POSTGRES")
}

/// `mysql://` URL of an administrator on the test MariaDB.
pub fn mysql() -> String {
    std::env::var("SLUICE_TEST_MYSQL").expect("SLUICE_TEST_MYSQL")
}

/// `host:port` of the test Kafka broker.
pub fn kafka() -> String {
    std::env::var("SLUICE_TEST_KAFKA").expect("SLUICE_TEST_KAFKA")
}
