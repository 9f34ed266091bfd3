//! DAGs as the scheduler knows them, and the plans of every version that ever ran.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgExecutor, PgPool};
use workflow::{plan::Plan, schedule::Timing};

use super::{RunError, triggers};

/// Makes `plan` the DAG's current version. Its next run is planned from `now`, unless the schedule is the same as
/// before. Doing it again changes nothing.
pub async fn deploy(pool: &PgPool, plan: &Plan, now: DateTime<Utc>) -> Result<Option<DateTime<Utc>>, RunError> {
    let mut transaction = pool.begin().await?;
    store_version(&mut transaction, plan).await?;
    let first = first_run(&mut transaction, plan, now).await?;
    let next: Option<DateTime<Utc>> = sqlx::query_scalar(include_str!("../../../../sql/runs/deploy_dag.sql"))
        .bind(&plan.dag)
        .bind(&plan.version)
        .bind(&plan.description)
        .bind(plan.schedule_text())
        .bind(plan.timezone.name())
        .bind(first.map(|fire| start_of_run(plan, fire)))
        .bind(false)
        .bind(to_json(plan)?.get("schedule").filter(|schedule| !schedule.is_null()).cloned())
        .bind(first)
        .fetch_one(&mut *transaction)
        .await?;
    triggers::store(&mut transaction, plan).await?;
    transaction.commit().await?;
    Ok(next)
}

fn start_of_run(plan: &Plan, fire: DateTime<Utc>) -> DateTime<Utc> {
    plan.schedule.as_ref().map_or(fire, |schedule| schedule.start_of_run(&plan.dag, fire))
}

/// Keeps `plan` for the runs that are made from it.
pub(super) async fn store_version(connection: &mut PgConnection, plan: &Plan) -> Result<(), RunError> {
    // Nearly always it is there, and a plan of many tasks is long.
    let known = sqlx::query("select from sluice.dag_version where dag = $1 and version = $2")
        .bind(&plan.dag)
        .bind(&plan.version)
        .fetch_optional(&mut *connection)
        .await?;
    if known.is_some() {
        return Ok(());
    }
    sqlx::query(include_str!("../../../../sql/runs/deploy_version.sql"))
        .bind(&plan.dag)
        .bind(&plan.version)
        .bind(to_json(plan)?)
        .execute(connection)
        .await?;
    Ok(())
}

async fn first_run(
    connection: &mut PgConnection,
    plan: &Plan,
    now: DateTime<Utc>,
) -> Result<Option<DateTime<Utc>>, RunError> {
    let Some(schedule) = &plan.schedule else { return Ok(None) };
    if schedule.timing == Timing::Once {
        let ran = sqlx::query("select 1 from sluice.every_dag_run where dag = $1 and trigger = 'schedule' limit 1")
            .bind(&plan.dag)
            .fetch_optional(connection)
            .await?;
        return Ok(if ran.is_some() { None } else { Some(schedule.start.unwrap_or(now)) });
    }
    // A start date in the past with catch-up asks for all that has been missed since.
    let from = match schedule.start {
        Some(start) if schedule.catchup && start < now => start - chrono::TimeDelta::microseconds(1),
        _ => now,
    };
    Ok(schedule.next_after(from))
}

/// Retires every DAG that is not among `dags`: its file is gone, so it is scheduled no more.
pub async fn retire_others(pool: &PgPool, dags: &[String]) -> Result<u64, RunError> {
    let done = sqlx::query(
        "update sluice.dag set retired_at = now(), next_run_at = null, next_fire_at = null where retired_at is null and dag <> all ($1)",
    )
    .bind(dags)
    .execute(pool)
    .await?;
    Ok(done.rows_affected())
}

/// Plans the run of the DAG's fire `next`, if its plan still stands at the fire `was`.
pub async fn set_next_run(
    pool: &PgPool,
    plan: &Plan,
    was: DateTime<Utc>,
    next: Option<DateTime<Utc>>,
) -> Result<(), RunError> {
    sqlx::query("update sluice.dag set next_run_at = $3, next_fire_at = $4 where dag = $1 and next_fire_at = $2")
        .bind(&plan.dag)
        .bind(was)
        .bind(next.map(|fire| start_of_run(plan, fire)))
        .bind(next)
        .execute(pool)
        .await?;
    Ok(())
}

/// The plan of a version that was deployed.
pub async fn plan(executor: impl PgExecutor<'_>, dag: &str, version: &str) -> Result<Plan, RunError> {
    let plan: Option<serde_json::Value> =
        sqlx::query_scalar("select plan from sluice.dag_version where dag = $1 and version = $2")
            .bind(dag)
            .bind(version)
            .fetch_optional(executor)
            .await?;
    match plan {
        Some(plan) => read_plan(plan),
        None => Err(RunError::NoVersion { dag: dag.to_owned(), version: version.to_owned() }),
    }
}

pub(super) fn read_plan(plan: serde_json::Value) -> Result<Plan, RunError> {
    serde_json::from_value(plan).map_err(|source| RunError::Json { what: "a plan", source })
}

fn to_json(plan: &Plan) -> Result<serde_json::Value, RunError> {
    serde_json::to_value(plan).map_err(|source| RunError::Json { what: "a plan", source })
}

/// Lets a DAG's schedule rest, or takes it up again from `now`: what it missed meanwhile is not made up for.
pub async fn pause(pool: &PgPool, plan: &Plan, pause: bool, now: DateTime<Utc>) -> Result<(), RunError> {
    pause_in(&mut *pool.acquire().await?, plan, pause, now).await
}

/// As [`pause`], within a transaction.
pub(super) async fn pause_in(
    connection: &mut PgConnection,
    plan: &Plan,
    pause: bool,
    now: DateTime<Utc>,
) -> Result<(), RunError> {
    let next = plan.schedule.as_ref().and_then(|schedule| schedule.next_after(now));
    sqlx::query(
        "update sluice.dag
         set next_run_at = case when paused and not $2 then $3 else next_run_at end,
             next_fire_at = case when paused and not $2 then $4 else next_fire_at end,
             paused = $2
         where dag = $1",
    )
    .bind(&plan.dag)
    .bind(pause)
    .bind(next.map(|fire| start_of_run(plan, fire)))
    .bind(next)
    .execute(connection)
    .await?;
    Ok(())
}

/// A version of a DAG that was deployed or run.
#[derive(Debug, Clone, serde::Serialize, sqlx::FromRow)]
pub struct VersionRow {
    /// The hash of its content.
    pub version: String,
    /// When it was first seen.
    pub created_at: DateTime<Utc>,
    /// Whether new runs are made from it.
    pub current: bool,
    /// How many runs keep it.
    pub runs: i64,
}

/// The versions of a DAG, newest first.
pub async fn versions(pool: &PgPool, dag: &str) -> Result<Vec<VersionRow>, RunError> {
    let rows = sqlx::query_as(include_str!("../../../../sql/runs/list_versions.sql")).bind(dag).fetch_all(pool);
    Ok(rows.await?)
}

/// The version of a DAG that begins with `text`.
pub async fn find_version(pool: &PgPool, dag: &str, text: &str) -> Result<Plan, RunError> {
    let find =
        "select version from sluice.dag_version where dag = $1 and $2 <> '' and starts_with(version, $2) limit 2";
    let found: Vec<String> = sqlx::query_scalar(find).bind(dag).bind(text).fetch_all(pool).await?;
    match found.as_slice() {
        [version] => plan(pool, dag, version).await,
        _ => Err(RunError::NoVersion { dag: dag.to_owned(), version: text.to_owned() }),
    }
}

/// The plan that new runs of a DAG are made from.
pub async fn current_plan(pool: &PgPool, dag: &str) -> Result<Option<Plan>, RunError> {
    let plan: Option<serde_json::Value> = sqlx::query_scalar(
        "select v.plan from sluice.dag d join sluice.dag_version v using (dag, version)
         where d.dag = $1 and d.retired_at is null",
    )
    .bind(dag)
    .fetch_optional(pool)
    .await?;
    plan.map(read_plan).transpose()
}
