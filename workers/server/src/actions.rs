//! What people do: each act is one call of the run store, which owns every state change and the audit log, as it does the
//! words that explain them.

use chrono::{DateTime, SubsecRound, Utc};
use serde_json::{Map, Value};
use sqlx::PgPool;
use warehouse::runs::{
    self, Actor, Cancelled, Created, Mark, NewRun, Person, Reach, Retried, Retry, RunError, Trigger, Why,
};

use crate::{api::runs::no_dag, error::ApiError, store::dags};

/// Starts a run of `dag` by hand, from the version that is deployed.
pub(crate) async fn trigger(
    pool: &PgPool,
    actor: &Actor,
    dag: &str,
    logical_time: Option<DateTime<Utc>>,
    params: Map<String, Value>,
) -> Result<i64, ApiError> {
    let deployed = dags::get(pool, dag).await?.ok_or_else(|| no_dag(dag))?;
    let plan = runs::plan(pool, dag, &deployed.version).await.map_err(refused)?;
    let logical_time = logical_time.unwrap_or_else(|| Utc::now().trunc_subsecs(6));
    let new = NewRun { plan: &plan, logical_time, trigger: Trigger::Manual, params, only: None };
    match Person::new(pool, actor).create(&new).await.map_err(refused)? {
        Created::New(run_id) => Ok(run_id),
        Created::Existing(run_id) => Err(ApiError::Conflict(format!(
            "`{dag}` has a run for {} already: run {run_id}; retry that one",
            logical_time.to_rfc3339()
        ))),
    }
}

/// Cancels a run: what waits is not started, what runs is told to stop.
pub(crate) async fn cancel(pool: &PgPool, actor: &Actor, run_id: i64, reason: Option<&str>) -> Result<(), ApiError> {
    match Person::new(pool, actor).cancel(run_id, reason).await.map_err(refused)? {
        Cancelled::Now | Cancelled::Stopping(_) => Ok(()),
        Cancelled::AlreadyOver(state) => {
            Err(ApiError::Conflict(format!("run {run_id} has ended already: {}", state.as_str())))
        }
    }
}

/// What to run again of a run.
#[derive(Debug, Default)]
pub(crate) struct Again<'a> {
    /// This task, whatever its state; where absent, all that failed.
    pub(crate) task: Option<&'a str>,
    /// Not those behind it.
    pub(crate) only: bool,
    /// The version to go on with, or how it begins: the run's own where absent, `new` for the deployed one.
    pub(crate) on: Option<&'a str>,
    /// Show it, and change nothing.
    pub(crate) preview: bool,
}

/// Runs what failed again, and what did not run because of it; or what `again` says.
pub(crate) async fn retry(pool: &PgPool, actor: &Actor, run_id: i64, again: &Again<'_>) -> Result<Retried, ApiError> {
    let run = runs::run(pool, run_id).await.map_err(refused)?;
    let on = match again.on {
        None | Some("old") => None,
        Some("new") => {
            Some(runs::current_plan(pool, &run.dag).await.map_err(refused)?.ok_or_else(|| no_dag(&run.dag))?)
        }
        Some(text) => Some(runs::find_version(pool, &run.dag, text).await.map_err(refused)?),
    };
    let on = on.filter(|plan| plan.version != run.version);
    let reach = if again.only { Reach::Only } else { Reach::Downstream };
    let wish = Retry { task: again.task, reach, on: on.as_ref() };
    Person::new(pool, actor).retry(run_id, &wish, again.preview).await.map_err(refused)
}

/// Puts a task into a state by hand.
pub(crate) async fn mark(
    pool: &PgPool,
    actor: &Actor,
    run_id: i64,
    task: &str,
    (state, reason): (&str, &str),
) -> Result<(), ApiError> {
    let mark: Mark = state.parse().map_err(refused)?;
    Person::new(pool, actor).mark(run_id, task, mark, reason).await.map(drop).map_err(refused)
}

/// Lets a DAG's schedule rest, or takes it up again.
pub(crate) async fn rest(pool: &PgPool, actor: &Actor, dag: &str, paused: bool) -> Result<(), ApiError> {
    let plan = runs::current_plan(pool, dag).await.map_err(refused)?.ok_or_else(|| no_dag(dag))?;
    Person::new(pool, actor).pause(&plan, paused, Utc::now()).await.map_err(refused)
}

/// Why a run, or a task of it, stands as it does.
pub(crate) async fn why(pool: &PgPool, run_id: i64, task: Option<&str>) -> Result<Vec<Why>, ApiError> {
    runs::why(pool, run_id, task).await.map_err(refused)
}

/// What a client gets to see of the run store's refusal: its words where the request was at fault.
pub(crate) fn refused(error: RunError) -> ApiError {
    match error {
        RunError::NoRun(_)
        | RunError::NoRunOf(_)
        | RunError::NoTask { .. }
        | RunError::NoVersion { .. }
        | RunError::NoBackfill(_) => ApiError::NotFound(error.to_string()),
        RunError::Params(_)
        | RunError::NoMark(_)
        | RunError::NoReason
        | RunError::Backwards { .. }
        | RunError::Key { .. }
        | RunError::NotDue(_)
        | RunError::TooManyEnded(_)
        | RunError::TooMany(_) => ApiError::BadRequest(error.to_string()),
        RunError::Database(cause) => ApiError::Store(cause),
        error if error.is_usage() => ApiError::Conflict(error.to_string()),
        error => ApiError::Internal(Box::new(error)),
    }
}
