//! What people do, each act with its row in the audit log.

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use workflow::plan::Plan;

use super::{
    RunError,
    audit::{Act, Actor, record},
    backfill::{self, NewBackfill, Planned, StoppedBackfill},
    clear::{self, Clear, Cleared},
    control::{self, Cancelled, Retried, Retry},
    create::{self, Created, NewRun},
    deploy,
    mark::{self, Mark},
};

/// A person at work on the platform. The machinery itself calls the run store's functions and leaves no trace here.
#[derive(Debug, Clone, Copy)]
pub struct Person<'a> {
    pool: &'a PgPool,
    actor: &'a Actor,
}

impl<'a> Person<'a> {
    /// `actor` at work on the platform in `pool`.
    pub fn new(pool: &'a PgPool, actor: &'a Actor) -> Self {
        Self { pool, actor }
    }

    /// As [`super::create`].
    pub async fn create(&self, new: &NewRun<'_>) -> Result<Created, RunError> {
        create::create_by(self.pool, new, Some(self.actor)).await
    }

    /// As [`super::cancel`].
    pub async fn cancel(&self, run_id: i64, reason: Option<&str>) -> Result<Cancelled, RunError> {
        control::cancel_by(self.pool, run_id, Some(self.actor), reason).await
    }

    /// Runs parts of a run again; what a `preview` says is what would be done, and nothing is.
    pub async fn retry(&self, run_id: i64, retry: &Retry<'_>, preview: bool) -> Result<Retried, RunError> {
        control::retry_by(self.pool, run_id, retry, Some(self.actor), preview).await
    }

    /// Puts a task into a final state by hand. Those behind it move on. Gives the tasks that were decided anew.
    pub async fn mark(&self, run_id: i64, task: &str, mark: Mark, reason: &str) -> Result<Vec<String>, RunError> {
        mark::mark(self.pool, run_id, task, mark, reason, self.actor).await
    }

    /// Runs again what was done in a span of time; a preview changes nothing.
    pub async fn clear(&self, wish: &Clear<'_>, preview: bool) -> Result<Cleared, RunError> {
        clear::clear(self.pool, wish, self.actor, preview).await
    }

    /// Makes the runs of a span of time that do not exist yet. Gives its number and its runs.
    pub async fn backfill(&self, new: &NewBackfill<'_>) -> Result<(i64, Vec<Planned>), RunError> {
        backfill::create(self.pool, new, self.actor).await
    }

    /// Stops a backfill: what waits is cancelled, what runs is told to end, and nothing of it starts any more.
    pub async fn stop_backfill(&self, backfill_id: i64) -> Result<StoppedBackfill, RunError> {
        backfill::stop(self.pool, backfill_id, self.actor).await
    }

    /// As [`super::pause`].
    pub async fn pause(&self, plan: &Plan, pause: bool, now: DateTime<Utc>) -> Result<(), RunError> {
        let mut transaction = self.pool.begin().await?;
        deploy::pause_in(&mut transaction, plan, pause, now).await?;
        let act = Act { dag: Some(&plan.dag), ..Act::of(if pause { "pause" } else { "resume" }) };
        record(&mut transaction, self.actor, act).await?;
        transaction.commit().await?;
        Ok(())
    }
}
