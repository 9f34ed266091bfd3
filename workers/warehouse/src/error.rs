//! What can go wrong between Sluice and its data stores, and whose fault each case is.

use workflow::{
    error::{RetryHint, TaskError},
    kind::Fence,
};

/// A failure of the warehouse, the lake or a frame on its way between them.
#[derive(Debug, thiserror::Error)]
pub enum WarehouseError {
    /// A service did not answer. `at` never holds a password.
    #[error("{service} cannot be reached at {at}; {hint}")]
    Unreachable {
        /// Which one: `Postgres`, `MariaDB`.
        service: &'static str,
        /// Where it was looked for.
        at: String,
        /// How to start it, or where to say that it is elsewhere.
        hint: &'static str,
        /// What the connection said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A service that answers and refuses. `at` and `problem` never hold a secret.
    #[error("{what} at {at} cannot be used: {problem}; {hint}")]
    Refused {
        /// Which one: `s3://lake`.
        what: String,
        /// Where it was looked for.
        at: String,
        /// What it refused, and why.
        problem: String,
        /// What to do about it.
        hint: &'static str,
    },
    /// A URL or folder that cannot be understood.
    #[error("{what} `{value}` is not usable: {problem}")]
    Address {
        /// What it stands for: `the lake`.
        what: &'static str,
        /// As given, without secrets.
        value: String,
        /// Why not.
        problem: String,
    },
    /// The attempt is no longer the one that may write.
    #[error("lease lost: attempt {} with token {} may no longer publish", .0.attempt_id, .0.token)]
    LeaseLost(Fence),
    /// Rows that were written are gone: Postgres empties unlogged tables when it recovers from a crash.
    #[error(
        "{table} holds {found} of its {written} rows; Postgres crashed since, and the next attempt writes them again"
    )]
    StagingLost {
        /// The attempt's own table.
        table: String,
        /// Rows that were written.
        written: i64,
        /// Rows that are there.
        found: i64,
    },
    /// Another load came in between a comparison and its repair.
    #[error("another load published into {0} since it was compared; the next attempt compares it anew")]
    Overtaken(String),
    /// A name that cannot be a table's or a column's.
    #[error("`{name}` is not a usable name: {problem}")]
    Name {
        /// The name as written.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The batch does not fit the table that it is meant for.
    #[error("the batch does not fit {table}: {}", .problems.join("; "))]
    Contract {
        /// The target.
        table: String,
        /// Every misfit.
        problems: Vec<String>,
    },
    /// A file of the lake is not there.
    #[error("the lake has no file `{0}`")]
    Missing(String),
    /// The lake failed.
    #[error("the lake failed at `{path}`")]
    Lake {
        /// Path in the lake.
        path: String,
        /// What the store said.
        #[source]
        source: object_store::Error,
    },
    /// A local file failed.
    #[error("cannot access `{path}`")]
    File {
        /// Path on disk.
        path: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Polars refused.
    #[error("{what}")]
    Frame {
        /// What was being done.
        what: String,
        /// What Polars said.
        #[source]
        source: polars::error::PolarsError,
    },
    /// Postgres refused, or was lost on the way.
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
    /// JSON of ours that cannot be written.
    #[error("cannot write JSON")]
    Json(#[from] serde_json::Error),
    /// A piece of work on another thread panicked.
    #[error("a worker thread panicked")]
    Panicked(#[from] tokio::task::JoinError),
}

impl WarehouseError {
    /// Names what was being done to a frame when Polars failed.
    pub fn frame(what: impl Into<String>) -> impl FnOnce(polars::error::PolarsError) -> Self {
        let what = what.into();
        move |source| Self::Frame { what, source }
    }
}

impl From<WarehouseError> for TaskError {
    fn from(error: WarehouseError) -> Self {
        let message = error.to_string();
        let task = match &error {
            WarehouseError::Unreachable { service, .. } => Self::unreachable(service, message),
            WarehouseError::Refused { .. }
            | WarehouseError::StagingLost { .. }
            | WarehouseError::Overtaken(_)
            | WarehouseError::Lake { .. }
            | WarehouseError::File { .. } => Self::external(message),
            WarehouseError::Address { .. }
            | WarehouseError::Name { .. }
            | WarehouseError::Contract { .. }
            | WarehouseError::Missing(_) => return Self::user(message),
            WarehouseError::LeaseLost(_) => return Self::internal(message).retry(RetryHint::Never),
            WarehouseError::Database(inner) => return database(inner).because(error),
            WarehouseError::Frame { .. } | WarehouseError::Json(_) | WarehouseError::Panicked(_) => {
                Self::internal(message)
            }
        };
        task.because(error)
    }
}

/// A database error by its SQLSTATE class: lost connections, conflicts and exhausted resources pass; broken
/// constraints, bad values and unknown names are in what the user wrote.
fn database(error: &sqlx::Error) -> TaskError {
    let Some(code) = error.as_database_error().and_then(sqlx::error::DatabaseError::code) else {
        return match error {
            sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed => {
                TaskError::external("the database connection failed")
            }
            _ => TaskError::internal("the database answered in an unexpected way"),
        };
    };
    match code.get(..2) {
        Some("08" | "25" | "40" | "53" | "55" | "57" | "58") => TaskError::external("the database gave up for now"),
        Some("22" | "23" | "42" | "P0") => TaskError::user("the database refused the statement or its data"),
        _ => TaskError::internal("the database failed"),
    }
}
