//! Datasets as people name them.

use sqlx::PgPool;
use workflow::diagnostic::did_you_mean;

use crate::exit::Failure;

/// Refuses a name that nothing was ever loaded into: of it no row can be held back, and an empty answer would hide the slip.
pub(super) async fn must_be_known(pool: &PgPool, dataset: &str) -> anyhow::Result<()> {
    let known: Option<Vec<String>> = sqlx::query_scalar(include_str!("../../../../../sql/quality/unknown_dataset.sql"))
        .bind(dataset)
        .fetch_one(pool)
        .await?;
    let Some(known) = known else { return Ok(()) };
    let hint = did_you_mean(dataset, known.iter().map(String::as_str));
    Err(Failure::usage_hint(format!("nothing was ever loaded into `{dataset}`"), hint).into())
}
