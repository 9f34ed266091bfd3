//! What a user's own query may ask its session: the run's interval, its parameters, its time zone.

use sqlx::PgConnection;
use warehouse::WarehouseError;
use workflow::{error::TaskError, kind::TaskContext};

/// Sets it for the transaction that the connection is in.
pub(crate) async fn begin(connection: &mut PgConnection, task: &TaskContext) -> Result<(), TaskError> {
    sqlx::query(include_str!("../../../sql/engine/query_session.sql"))
        .bind(task.timezone.name())
        .bind(task.interval.start.to_rfc3339())
        .bind(task.interval.end.to_rfc3339())
        .bind(task.params.to_string())
        .execute(connection)
        .await
        .map_err(WarehouseError::from)?;
    Ok(())
}
