//! Where the other datasets are that a frame is compared with.

use std::{fmt, sync::Arc};

use polars::prelude::DataFrame;
use serde_json::Value;
use sqlx::{PgConnection, PgPool};
use tokio::runtime::Handle;

use crate::{postgres::unexpected_rows, suite::Check, types::Schema};

type ReadFile = dyn Fn(&str) -> Result<DataFrame, String> + Send + Sync;

/// How other datasets are reached from where a frame is checked. Without a way a check that needs one is errored.
#[derive(Clone, Default)]
pub struct Beside {
    files: Option<Arc<ReadFile>>,
    postgres: Option<(PgPool, Handle)>,
    batch: Option<String>,
}

impl Beside {
    /// Files are read by `read`, which gets the path as the suite has it.
    #[must_use]
    pub fn with_files(mut self, read: impl Fn(&str) -> Result<DataFrame, String> + Send + Sync + 'static) -> Self {
        self.files = Some(Arc::new(read));
        self
    }

    /// Tables are those of `pool`, as they are committed when a check asks.
    ///
    /// # Panics
    /// Outside of a Tokio runtime, which the pool belongs to.
    #[must_use]
    pub fn with_postgres(mut self, pool: PgPool) -> Self {
        self.postgres = Some((pool, Handle::current()));
        self
    }

    /// The frame's rows are in that Postgres too: as this relation, a table or a query in parentheses. Queries of the suite's
    /// are asked of it. It becomes part of statements as it is.
    #[must_use]
    pub fn with_batch(mut self, relation: String) -> Self {
        self.batch = Some(relation);
        self
    }

    /// Asks Postgres for the rows of the frame that a query of the suite's finds. Blocking.
    pub(crate) fn unexpected_rows(
        &self,
        schema: &Schema,
        check: &Check,
        query: &str,
    ) -> Result<(u64, Vec<Value>), String> {
        let relation = self.batch.as_deref();
        let relation = relation.ok_or(
            "a query is asked of tables in Postgres, and of a batch that a gate judges; these rows are in none",
        )?;
        self.postgres(&"batch", async |connection| unexpected_rows(connection, relation, schema, check, query).await)
    }

    pub(crate) fn file(&self, path: &str) -> Result<DataFrame, String> {
        let read = self.files.as_ref().ok_or_else(|| format!("the file `{path}` cannot be reached from here"))?;
        read(path).map_err(|error| format!("cannot read `{path}`: {error}"))
    }

    /// Asks Postgres. Blocking.
    pub(crate) fn postgres<T>(
        &self,
        other: &dyn fmt::Display,
        ask: impl AsyncFnOnce(&mut PgConnection) -> Result<Result<T, String>, crate::QualityError>,
    ) -> Result<T, String> {
        let Some((pool, runtime)) = &self.postgres else {
            return Err(format!("the table `{other}` cannot be reached from here"));
        };
        let answer = runtime.block_on(async { ask(&mut *pool.acquire().await?).await });
        answer.map_err(|error| {
            let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
            format!("{error}{cause}")
        })?
    }
}

impl fmt::Debug for Beside {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Beside")
            .field("files", &self.files.is_some())
            .field("postgres", &self.postgres.is_some())
            .field("batch", &self.batch)
            .finish()
    }
}
