//! The fence: whoever publishes proves, inside the publishing transaction, that it still holds its lease.

use sqlx::PgConnection;
use workflow::kind::Fence;

use crate::error::WarehouseError;

/// Refuses an attempt that is no longer `running` under its token, and keeps it from being closed by anyone
/// else until the transaction on `connection` ends. Call it in each transaction that publishes. The lock is the
/// weakest there is: the lease can be renewed meanwhile, and only closing the attempt waits.
pub async fn check(connection: &mut PgConnection, fence: Fence) -> Result<(), WarehouseError> {
    let held = sqlx::query(
        "select 1 from sluice.attempt where attempt_id = $1 and token = $2 and state = 'running' for key share",
    )
    .bind(fence.attempt_id)
    .bind(fence.token)
    .fetch_optional(connection)
    .await?;
    if held.is_some() { Ok(()) } else { Err(WarehouseError::LeaseLost(fence)) }
}
