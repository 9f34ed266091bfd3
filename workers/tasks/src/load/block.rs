//! A gate that publishes, and still keeps what is behind it from running.

use sqlx::PgPool;
use warehouse::{
    WarehouseError,
    load::{Outcome, Verdict},
};
use workflow::error::TaskError;

use super::Gate;

impl Gate {
    /// Whether what is behind a load with that outcome must not run.
    pub(super) fn blocks(&self, outcome: &Outcome) -> bool {
        self.block_downstream && (outcome.verdict == Verdict::Warned || outcome.quarantined > 0)
    }

    /// Whether a load that was published before keeps blocking: while a row that it held back is open, and for good where a
    /// check warned, since there is nothing to settle and a repeat after a crash is not a person's word.
    pub(super) async fn still_blocks(&self, pool: &PgPool, done: &Outcome) -> Result<(), TaskError> {
        if !self.blocks(done) {
            return Ok(());
        }
        if done.verdict == Verdict::Warned {
            return Err(blocked(done, "a check warned"));
        }
        let open: i64 =
            sqlx::query_scalar("select count(*) from sluice.quarantined_row where load_id = $1 and state = 'open'")
                .bind(done.load_id)
                .fetch_one(pool)
                .await
                .map_err(WarehouseError::from)?;
        match open {
            0 => Ok(()),
            1 => Err(blocked(done, "1 row of it is still held back")),
            _ => Err(blocked(done, &format!("{open} rows of it are still held back"))),
        }
    }
}

/// The error of a load that is published and blocks.
pub(super) fn blocked(outcome: &Outcome, because: &str) -> TaskError {
    TaskError::gate(format!(
        "{} is published as load {}, and its gate lets nothing behind it run: {because}",
        outcome.dataset, outcome.load_id
    ))
}
