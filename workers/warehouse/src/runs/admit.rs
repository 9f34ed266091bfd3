//! Who may go next: runs of a DAG that allows only so many at once, and tasks that need a slot of a pool.
//!
//! Nobody counts down: what is taken is counted anew each time, under a lock, so that no slot can leak. Locks are
//! taken in one order everywhere: runs, DAGs by name, pools by name; tasks and runs that someone else holds are
//! stepped over, and found by the next who looks.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::{PgConnection, PgPool};

use super::RunError;

/// Sizes the pools as the project's settings say. Pools that are not named keep their size.
pub async fn set_pools(pool: &PgPool, sizes: &BTreeMap<String, i32>) -> Result<(), RunError> {
    if sizes.is_empty() {
        return Ok(());
    }
    sqlx::query(include_str!("../../../../sql/runs/set_pools.sql"))
        .bind(sizes.keys().collect::<Vec<_>>())
        .bind(sizes.values().collect::<Vec<_>>())
        .execute(pool)
        .await?;
    Ok(())
}

/// A key's slots are those of a pool of its own, under a name that no pool of a project can have.
const KEY: &str = "key ";

/// The pool of a `concurrency` key.
pub(super) fn key_pool(key: &str) -> String {
    format!("{KEY}{key}")
}

/// The slots that the items of a mapped task share, likewise.
const ITEMS: &str = "items ";

/// The pool of the items of a run's mapped task.
pub(super) fn items_pool(run_id: i64, task: &str) -> String {
    format!("{ITEMS}{run_id}.{task}")
}

/// Whether it is one of those.
pub(super) fn is_items_pool(pool: &str) -> bool {
    pool.starts_with(ITEMS)
}

/// The key that a pool stands for, if any.
pub(super) fn key_of(pool: &str) -> Option<&str> {
    pool.strip_prefix(KEY)
}

/// Sizes the pools of keys. One that exists is not locked unless its size changes, so those who take turns at one do not
/// wait for those who make runs.
pub(super) async fn size_keys(connection: &mut PgConnection, keys: &BTreeMap<String, i32>) -> Result<(), RunError> {
    if keys.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = keys.keys().map(String::as_str).collect();
    let sizes: Vec<i32> = keys.values().copied().collect();
    let make =
        "insert into sluice.pool (pool, slots) select * from unnest($1::text[], $2::int[]) on conflict do nothing";
    sqlx::query(make).bind(&names).bind(&sizes).execute(&mut *connection).await?;
    let resize = "update sluice.pool p set slots = k.slots from unnest($1::text[], $2::int[]) as k(pool, slots)
                  where p.pool = k.pool and p.slots <> k.slots";
    sqlx::query(resize).bind(&names).bind(&sizes).execute(connection).await?;
    Ok(())
}

/// Waits for its turn to decide about the runs of a DAG, until the transaction ends.
pub(super) async fn lock_dag(connection: &mut PgConnection, dag: &str) -> Result<(), RunError> {
    sqlx::query(include_str!("../../../../sql/runs/lock_dag.sql")).bind(dag).execute(connection).await?;
    Ok(())
}

/// As [`lock_dag`], where nobody else is at it.
pub(super) async fn try_lock_dag(connection: &mut PgConnection, dag: &str) -> Result<bool, RunError> {
    let sql = include_str!("../../../../sql/runs/try_lock_dag.sql");
    Ok(sqlx::query_scalar(sql).bind(dag).fetch_one(connection).await?)
}

/// Moves on the runs of these DAGs, named with how many may be under way, for which there is room. Gives the pools of
/// the tasks that are ready with them.
pub(super) async fn admit_runs(
    connection: &mut PgConnection,
    dags: &BTreeMap<String, i32>,
) -> Result<BTreeSet<String>, RunError> {
    let mut pools = BTreeSet::new();
    for (dag, most) in dags {
        lock_dag(connection, dag).await?;
        let admitted: Option<(Vec<String>, String)> =
            sqlx::query_as(include_str!("../../../../sql/runs/admit_runs.sql"))
                .bind(dag)
                .bind(most)
                .fetch_optional(&mut *connection)
                .await?;
        pools.extend(admitted.into_iter().flat_map(|(pools, _)| pools));
    }
    Ok(pools)
}

/// Gives the free slots of these pools to the tasks that wait for them.
pub(super) async fn admit_tasks(connection: &mut PgConnection, pools: &BTreeSet<String>) -> Result<(), RunError> {
    if pools.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = pools.iter().map(String::as_str).collect();
    let lock = include_str!("../../../../sql/runs/lock_pools.sql");
    let known: Vec<String> = sqlx::query_scalar(lock).bind(&names).fetch_all(&mut *connection).await?;
    // The slots of items are gone once the last of them has ended.
    if names.iter().any(|name| !is_items_pool(name) && !known.iter().any(|known| known == name)) {
        // A pool that nobody has sized has one slot: the file that named it is gone, its tasks are not.
        let names: Vec<&str> = names.iter().copied().filter(|name| !is_items_pool(name)).collect();
        let size = "insert into sluice.pool (pool, slots) select unnest($1::text[]), 1 on conflict do nothing";
        sqlx::query(size).bind(&names).execute(&mut *connection).await?;
        sqlx::query(lock).bind(&names).execute(&mut *connection).await?;
    }
    sqlx::query(include_str!("../../../../sql/runs/admit_tasks.sql")).bind(&names).execute(connection).await?;
    Ok(())
}

/// Looks for whom room was found in vain: what was held by someone else at that moment, a task whose next attempt is
/// due, a pool that has grown. Any process may call it at any time.
pub async fn admit(pool: &PgPool) -> Result<(), RunError> {
    let held_up: Vec<(String, String, i32)> =
        sqlx::query_as(include_str!("../../../../sql/runs/held_up.sql")).fetch_all(pool).await?;
    if held_up.is_empty() {
        return Ok(());
    }
    let (dags, pools): (Vec<_>, Vec<_>) = held_up.into_iter().partition(|(what, ..)| what == "dag");
    let dags = dags.into_iter().map(|(_, name, most)| (name, most)).collect();
    let mut pools: BTreeSet<String> = pools.into_iter().map(|(_, name, _)| name).collect();
    let mut transaction = pool.begin().await?;
    pools.extend(admit_runs(&mut transaction, &dags).await?);
    admit_tasks(&mut transaction, &pools).await?;
    transaction.commit().await?;
    Ok(())
}
