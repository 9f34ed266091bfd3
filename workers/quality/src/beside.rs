//! Where the other datasets are that a frame is compared with.

use std::{fmt, sync::Arc};

use polars::prelude::DataFrame;
use sqlx::{PgConnection, PgPool};
use tokio::runtime::Handle;

use crate::expectation::OtherDataset;

type ReadFile = dyn Fn(&str) -> Result<DataFrame, String> + Send + Sync;

/// How other datasets are reached from where a frame is checked. Without a way a check that needs one is errored.
#[derive(Clone, Default)]
pub struct Beside {
    files: Option<Arc<ReadFile>>,
    postgres: Option<(PgPool, Handle)>,
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

    pub(crate) fn file(&self, path: &str) -> Result<DataFrame, String> {
        let read = self.files.as_ref().ok_or_else(|| format!("the file `{path}` cannot be reached from here"))?;
        read(path).map_err(|error| format!("cannot read `{path}`: {error}"))
    }

    /// Asks Postgres. Blocking.
    pub(crate) fn postgres<T>(
        &self,
        other: &OtherDataset,
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
            .finish()
    }
}
