//! Leases: of attempts on their tasks, and of a process on a role that only one may play.

use std::time::Duration;

use sqlx::PgPool;
use workflow::kind::Fence;

use super::{End, Ended, RunError, exchange::finish};

/// How often a task may lose its worker before it counts as failed: it may be what kills them.
const MOST_LOSSES: i64 = 3;

/// An attempt that still holds its lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::FromRow)]
pub struct Held {
    /// The attempt.
    pub attempt_id: i64,
    /// Its run is to be cancelled.
    pub cancelled: bool,
}

/// Moves leases on by `lease` from now. An attempt that is missing from the answer has lost its own.
pub async fn renew(pool: &PgPool, fences: &[Fence], lease: Duration) -> Result<Vec<Held>, RunError> {
    Ok(sqlx::query_as(include_str!("../../../../sql/runs/renew.sql"))
        .bind(fences.iter().map(|f| f.attempt_id).collect::<Vec<_>>())
        .bind(fences.iter().map(|f| f.token).collect::<Vec<_>>())
        .bind(lease.as_secs_f64())
        .fetch_all(pool)
        .await?)
}

#[derive(sqlx::FromRow)]
struct Expired {
    attempt_id: i64,
    token: i64,
    worker: String,
    run_id: i64,
    task: String,
    repeatable: bool,
    losses: i64,
}

/// Takes back what dead workers held: each attempt whose lease ran out is lost, and its task returns to the queue
/// unless it was lost too often or must not be repeated. Gives how many. Any process may call it at any time.
///
/// # Errors
/// The last one, once all have been tried: a task that cannot be moved on must not hold up the others.
pub async fn reap(pool: &PgPool) -> Result<usize, RunError> {
    let expired: Vec<Expired> =
        sqlx::query_as(include_str!("../../../../sql/runs/expired.sql")).fetch_all(pool).await?;
    let (mut reaped, mut failed) = (0, None);
    for lost in expired {
        match take_back(pool, &lost).await {
            Ok(taken) => reaped += taken,
            Err(error) => {
                tracing::warn!(run_id = lost.run_id, task = lost.task, %error, "an expired lease cannot be taken back yet");
                failed = Some(error);
            }
        }
    }
    failed.map_or(Ok(reaped), Err)
}

async fn take_back(pool: &PgPool, lost: &Expired) -> Result<usize, RunError> {
    let again = lost.repeatable && lost.losses < MOST_LOSSES;
    let fate = match (again, lost.repeatable) {
        (true, _) => "it runs again",
        (false, true) => "it was lost too often and does not run again",
        (false, false) => "its kind must not be repeated",
    };
    tracing::warn!(run_id = lost.run_id, task = lost.task, worker = lost.worker, fate, "lease expired");
    let error = format!("worker {} went away; {fate}", lost.worker);
    let ended = Ended {
        fence: Fence { attempt_id: lost.attempt_id, token: lost.token },
        end: End::Lost { error, again },
        lines: Vec::new(),
    };
    let mut transaction = pool.begin().await?;
    // Someone who was stopped in the middle may hold the run, and for long.
    sqlx::query("set local lock_timeout = '1s'").execute(&mut *transaction).await?;
    let taken = finish(&mut transaction, &[ended]).await?.len();
    transaction.commit().await?;
    Ok(taken)
}

/// Takes or keeps `role` for `lease`. `None` where another holds it; else a token that grows with each change of
/// hands.
pub async fn lead(pool: &PgPool, role: &str, holder: &str, lease: Duration) -> Result<Option<i64>, RunError> {
    Ok(sqlx::query_scalar(include_str!("../../../../sql/runs/lead.sql"))
        .bind(role)
        .bind(holder)
        .bind(lease.as_secs_f64())
        .fetch_optional(pool)
        .await?)
}

/// Gives a role up, so that another process need not wait for the lease to run out.
pub async fn release_lead(pool: &PgPool, role: &str, holder: &str) -> Result<(), RunError> {
    sqlx::query("update sluice.leader set lease_until = clock_timestamp() where role = $1 and holder = $2")
        .bind(role)
        .bind(holder)
        .execute(pool)
        .await?;
    Ok(())
}

/// Says that a process is alive.
pub async fn worker_seen(pool: &PgPool, name: &str, role: &str, slots: usize) -> Result<(), RunError> {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    sqlx::query(include_str!("../../../../sql/runs/worker_seen.sql"))
        .bind(name)
        .bind(role)
        .bind(host.trim())
        .bind(i32::try_from(std::process::id()).unwrap_or(0))
        .bind(env!("CARGO_PKG_VERSION"))
        .bind(i32::try_from(slots).unwrap_or(i32::MAX))
        .execute(pool)
        .await?;
    Ok(())
}

/// Says which queues (none for all), labels and kinds a worker serves, so that a task that nobody takes can be explained.
pub async fn worker_serves(
    pool: &PgPool,
    name: &str,
    queues: &[String],
    labels: &[String],
    kinds: &[String],
) -> Result<(), RunError> {
    sqlx::query(include_str!("../../../../sql/runs/worker_serves.sql"))
        .bind(name)
        .bind(queues)
        .bind(kinds)
        .bind(labels)
        .execute(pool)
        .await?;
    Ok(())
}

/// Says that a process has stopped in order.
pub async fn worker_stopped(pool: &PgPool, name: &str) -> Result<(), RunError> {
    sqlx::query("update sluice.worker set stopped_at = now(), seen_at = now() where worker = $1")
        .bind(name)
        .execute(pool)
        .await?;
    Ok(())
}
