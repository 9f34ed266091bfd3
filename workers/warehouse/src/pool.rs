//! Connections to Postgres.

mod silence;

use std::{io, str::FromStr, time::Duration};

use sqlx::{
    Connection as _, PgConnection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};

pub use self::silence::silence;
use crate::error::WarehouseError;

/// Most connections that one process holds.
const MOST_CONNECTIONS: u32 = 24;
/// How long a caller waits for a connection, the first one included.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a statement of the machinery, which is a short one, may go without an answer.
pub const PATIENCE: Duration = Duration::from_secs(15);
/// How long a connection of the pool has to show that it lives.
const SIGN_OF_LIFE: Duration = Duration::from_secs(2);
const HINT: &str = "start the private services with `sluice up`, or set `services.postgres` in sluice.yaml";

/// A pool on `url`, once one connection stands. Sessions speak UTC and end an abandoned transaction by themselves.
pub async fn connect(url: &str) -> Result<PgPool, WarehouseError> {
    connect_as(url, "sluice").await
}

/// As [`connect`], with the name that `pg_stat_activity` shows.
pub async fn connect_as(url: &str, application: &str) -> Result<PgPool, WarehouseError> {
    connect_with(options(url, application)?).await
}

pub(crate) async fn connect_with(options: PgConnectOptions) -> Result<PgPool, WarehouseError> {
    let place = options.clone();
    PgPoolOptions::new()
        .max_connections(MOST_CONNECTIONS)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(Duration::from_mins(5))
        // The pool's own tests wait for ever for a connection that is dead, and keep its place.
        .test_before_acquire(false)
        .before_acquire(|connection, _| Box::pin(lives(connection)))
        .after_release(|connection, _| Box::pin(lives(connection)))
        .connect_with(options)
        .await
        .map_err(|error| unreachable(&place, error))
}

/// What to say where there is no connection to be had.
pub(crate) fn unreachable(options: &PgConnectOptions, error: sqlx::Error) -> WarehouseError {
    WarehouseError::Unreachable { service: "Postgres", at: place(options), hint: HINT, source: error.into() }
}

/// False of a connection that is to be closed. An error closes it without a word to the server.
async fn lives(connection: &mut PgConnection) -> sqlx::Result<bool> {
    answered(SIGN_OF_LIFE, connection.ping()).await.map(|()| true)
}

/// Gives up on a connection that does not answer within `patience`. Its other end may have vanished without a word, and
/// nothing else would ever tell. What was asked for may still have been done.
pub async fn answered<T, E: From<sqlx::Error>>(
    patience: Duration,
    answer: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    tokio::time::timeout(patience, answer).await.unwrap_or_else(|_| {
        let silence = io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {patience:?}"));
        Err(sqlx::Error::Io(silence).into())
    })
}

/// As [`connect`], for a server whose pages and API nobody waits for longer than `statement_timeout`.
pub async fn connect_bounded(url: &str, statement_timeout: Duration) -> Result<PgPool, WarehouseError> {
    let bound = format!("{}ms", statement_timeout.as_millis());
    connect_with(options(url, "sluice web")?.options([("statement_timeout", bound)])).await
}

/// What every connection of ours is made with.
pub fn options(url: &str, application: &str) -> Result<PgConnectOptions, WarehouseError> {
    let options = PgConnectOptions::from_str(url).map_err(|error| WarehouseError::Address {
        what: "the Postgres URL",
        value: "postgres://…".to_owned(),
        problem: error.to_string(),
    })?;
    Ok(options.application_name(application).options([
        ("TimeZone", "UTC"),
        // Longer than the longest thing that is done within a transaction: a part of 8 MiB on its way to a bucket.
        ("idle_in_transaction_session_timeout", "2min"),
        // A client whose machine has vanished is found out within a minute, also in the middle of a COPY. Sockets of Unix
        // have no such thing and take it as said.
        ("tcp_keepalives_idle", "30"),
        ("tcp_keepalives_interval", "10"),
        ("tcp_keepalives_count", "3"),
        ("tcp_user_timeout", "60s"),
        // A statement whose client is gone waits for no lock any more.
        ("client_connection_check_interval", "5s"),
    ]))
}

/// `host:port/database`, or the socket, without user and password.
pub(crate) fn place(options: &PgConnectOptions) -> String {
    let database = options.get_database().unwrap_or_default();
    match options.get_socket() {
        Some(socket) => format!("{}/{database}", socket.display()),
        None => format!("{}:{}/{database}", options.get_host(), options.get_port()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_absent_server_is_named_without_the_password() {
        let error = connect("postgres://someone:hunter2@127.0.0.1:1/shop").await.expect_err("nothing listens there");
        let text = error.to_string();
        assert!(text.starts_with("Postgres cannot be reached at 127.0.0.1:1/shop"), "{text}");
        assert!(text.contains("sluice up"), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
}
