//! Why a model was not published.

use workflow::error::TaskError;

use super::relation::Relation;
use crate::error::WarehouseError;

/// A model that was not published. What was there before is untouched.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// A name that is no model and no schema of models.
    #[error("unknown model `{name}`; {hint}")]
    Unknown {
        /// As asked for.
        name: String,
        /// What it may have meant.
        hint: String,
    },
    /// Postgres refused the model's SELECT, or a file of `sql/warehouse/`.
    #[error("{file}: {message}")]
    Sql {
        /// The file.
        file: String,
        /// What Postgres said, with its detail.
        message: String,
    },
    /// The build breaks its own grain.
    #[error("{model} is not {grain}: {detail}")]
    Grain {
        /// Which.
        model: Relation,
        /// What it promised.
        grain: String,
        /// An example.
        detail: String,
    },
    /// The build's columns are not the ones that are described, or do not fit the table.
    #[error("{model}: {problem}; {hint}")]
    Columns {
        /// Which.
        model: Relation,
        /// What does not fit.
        problem: String,
        /// What to do.
        hint: String,
    },
    /// The gate refused the build.
    #[error("{model} failed its gate `{suite}`: {}", .failed.join("; "))]
    Gate {
        /// Which.
        model: Relation,
        /// The suite.
        suite: String,
        /// What failed.
        failed: Vec<String>,
    },
    /// The build would close too many members of a dimension.
    #[error(
        "{model}: the build would close {closed} of {open} members, more than {limit} %; look at its source, or raise \
         `scd2.max_closed_percent`"
    )]
    MassClose {
        /// Which.
        model: Relation,
        /// Open versions that it would close.
        closed: i64,
        /// Open versions there are.
        open: i64,
        /// The limit in percent.
        limit: f64,
    },
    /// The gate could not judge.
    #[error("the gate `{suite}` of {model} did not answer")]
    GateBroken {
        /// Which.
        model: Relation,
        /// The suite.
        suite: String,
        /// Why.
        #[source]
        source: TaskError,
    },
    /// Every build was older than what other runs had published by the time it was done.
    #[error("{0}: other runs publish newer builds faster than this one builds it")]
    Overtaken(Relation),
    /// The run was cancelled, or its time is up.
    #[error("stopped before {0} was published")]
    Cancelled(Relation),
    /// The lease is lost, or the database failed.
    #[error(transparent)]
    Warehouse(#[from] WarehouseError),
}

impl From<sqlx::Error> for ModelError {
    fn from(error: sqlx::Error) -> Self {
        Self::Warehouse(error.into())
    }
}

impl From<ModelError> for TaskError {
    fn from(error: ModelError) -> Self {
        match error {
            ModelError::Warehouse(inner) => inner.into(),
            ModelError::GateBroken { source, .. } => source,
            ModelError::Gate { .. } | ModelError::MassClose { .. } => Self::gate(error.to_string()),
            ModelError::Cancelled(_) | ModelError::Overtaken(_) => Self::external(error.to_string()),
            _ => Self::user(error.to_string()),
        }
    }
}

/// Tells a fault of the user's SQL (`file`) from one of the database.
pub(super) fn in_sql(file: &str) -> impl Fn(sqlx::Error) -> ModelError {
    let file = file.to_owned();
    move |error| match error.as_database_error() {
        // 22: data, 23: constraints, 2B: dependencies, 42: names and syntax, P0: raised in SQL.
        Some(refused)
            if matches!(refused.code().as_deref().and_then(|c| c.get(..2)), Some("22" | "23" | "2B" | "42" | "P0")) =>
        {
            ModelError::Sql { file: file.clone(), message: explained(&error) }
        }
        _ => error.into(),
    }
}

/// What Postgres says, with its detail and hint.
pub(super) fn explained(error: &sqlx::Error) -> String {
    use sqlx::postgres::PgDatabaseError;
    let Some(refused) = error.as_database_error().and_then(|e| e.try_downcast_ref::<PgDatabaseError>()) else {
        return error.to_string();
    };
    let parts = [Some(refused.message()), refused.detail(), refused.hint()];
    parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
}
