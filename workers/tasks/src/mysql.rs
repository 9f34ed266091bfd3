//! Connections to the shop's `MySQL` or MariaDB, and what to say where there is none.

use std::{collections::BTreeMap, str::FromStr, time::Duration};

use secrecy::ExposeSecret;
use sqlx::{
    ConnectOptions, Connection, MySqlConnection, MySqlPool,
    mysql::{MySqlConnectOptions, MySqlPoolOptions},
};
use warehouse::WarehouseError;
use workflow::{endpoint::Endpoint, error::TaskError};

pub(crate) const HINT: &str = "start the private services with `sluice up`, or set `services.mysql` in sluice.yaml";
/// How long a server has to answer, and a caller waits for a connection of a pool.
const PATIENCE: Duration = Duration::from_secs(5);

/// One connection to what sluice.yaml calls `name`.
pub(crate) async fn connect_to(
    connections: &BTreeMap<String, Endpoint>,
    name: &str,
) -> Result<MySqlConnection, TaskError> {
    let endpoint = connections.get(name).ok_or_else(|| TaskError::user(format!("there is no connection `{name}`")))?;
    connect(endpoint).await
}

/// One connection, in UTC and utf8mb4, to where the server is now.
pub(crate) async fn connect(endpoint: &Endpoint) -> Result<MySqlConnection, TaskError> {
    first(endpoint, &options(endpoint)?).await
}

/// A pool on where the server is now, once it has answered.
pub async fn pool(endpoint: &Endpoint) -> Result<MySqlPool, TaskError> {
    let options = options(endpoint)?;
    // Tried apart from the pool, which would wait for a server that refuses, and then not say why.
    let first = first(endpoint, &options).await?;
    // It has served its purpose; how it ends does not matter.
    let _ = first.close().await;
    Ok(MySqlPoolOptions::new().acquire_timeout(PATIENCE).connect_lazy_with(options))
}

/// What listens there may be another server, or one that hangs: it has so long to greet.
async fn first(endpoint: &Endpoint, options: &MySqlConnectOptions) -> Result<MySqlConnection, TaskError> {
    let connected = tokio::time::timeout(PATIENCE, options.connect()).await;
    connected
        .unwrap_or_else(|_| Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())))
        .map_err(|error| unreachable(endpoint, options, error))
}

fn options(endpoint: &Endpoint) -> Result<MySqlConnectOptions, TaskError> {
    let url = endpoint.locate()?;
    let options = MySqlConnectOptions::from_str(url.expose_secret())
        .map_err(|error| TaskError::user(format!("the MySQL URL is not usable: {error}")))?;
    Ok(options.timezone(Some("+00:00".to_owned())).charset("utf8mb4"))
}

fn unreachable(endpoint: &Endpoint, options: &MySqlConnectOptions, error: sqlx::Error) -> TaskError {
    let at = format!("{}:{}/{}", options.get_host(), options.get_port(), options.get_database().unwrap_or_default());
    WarehouseError::Unreachable { service: endpoint.service(), at, hint: HINT, source: error.into() }.into()
}
