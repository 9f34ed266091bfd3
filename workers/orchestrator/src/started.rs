//! What started the run of an attempt, for the tasks that read it.

use serde_json::Value;
use warehouse::{
    pool::answered,
    runs::{self, Claimed, RunError},
};
use workflow::plan::PlannedTask;

use crate::held::Shared;

/// Asks the store, which the claim has not done: it would cost those who do not read it.
pub(crate) async fn by(shared: &Shared, task: &PlannedTask, claimed: &Claimed) -> Result<Value, RunError> {
    if !task.may_read_trigger() {
        return Ok(Value::Null);
    }
    answered(shared.options.lease, runs::started_by(&shared.pool, claimed.run_id)).await
}
