//! What started a run, for the templates that read it.

use serde_json::Value;
use sqlx::PgPool;
use workflow::cause;

use super::RunError;

/// `{{ trigger }}` of a run that is under way. A look of its own, so that who does not ask pays nothing for it.
pub async fn started_by(pool: &PgPool, run_id: i64) -> Result<Value, RunError> {
    let row: Option<(String, Option<Value>)> =
        sqlx::query_as("select trigger, cause from sluice.dag_run where run_id = $1")
            .bind(run_id)
            .fetch_optional(pool)
            .await?;
    let (kind, cause) = row.ok_or(RunError::NoRun(run_id))?;
    Ok(cause::of(&kind, cause.as_ref()))
}
