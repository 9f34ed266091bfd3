//! A run that goes on with another version of its DAG.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use sqlx::PgConnection;
use workflow::{
    plan::{Plan, parent_of},
    state::{TaskEvent, TaskState},
};

use super::{
    RunError,
    admit::size_keys,
    control::Locked,
    deploy,
    keys::{Keyed, sizes},
};

/// Lets a run that has ended go on with another plan. What succeeded stays; what the plan no longer has is left out;
/// what it has anew comes in as if it had been left out. Gives the names of those.
pub(super) async fn adopt(
    connection: &mut PgConnection,
    run_id: i64,
    run: &Locked,
    new: &Plan,
    states: &mut BTreeMap<String, TaskState>,
) -> Result<BTreeSet<String>, RunError> {
    if !run.state.is_final() {
        return Err(RunError::UnderWay(run_id));
    }
    if new.dag != run.plan.dag {
        return Err(RunError::NoVersion { dag: run.plan.dag.clone(), version: new.version.clone() });
    }
    deploy::store_version(connection, new).await?;
    let given = run.params.iter().filter(|(name, _)| new.params.contains_key(*name));
    let params = new.params(&given.map(|(name, value)| (name.clone(), value.clone())).collect())?;
    let params = Value::Object(params);
    // A run of one task alone stays one.
    let whole = run.plan.tasks.iter().all(|task| states.contains_key(&task.name));
    let is_in = |name: &str, states: &BTreeMap<String, TaskState>| states.contains_key(name);
    let added: BTreeSet<String> =
        new.tasks.iter().map(|t| t.name.clone()).filter(|name| whole && !is_in(name, states)).collect();
    let kept: Vec<_> = new.tasks.iter().filter(|t| is_in(&t.name, states) || added.contains(&t.name)).collect();
    let present: BTreeSet<&str> = kept.iter().map(|task| task.name.as_str()).collect();
    let edges: Vec<(&str, &str)> = kept
        .iter()
        .flat_map(|task| task.needs.iter().map(|need| (task.name.as_str(), need.as_str())))
        .filter(|(_, need)| present.contains(need))
        .collect();
    let dropped: Vec<&str> = states
        .iter()
        .filter(|(name, state)| new.task_of_row(name).is_none() && state.on(TaskEvent::Dropped).is_some())
        .map(|(name, _)| name.as_str())
        .collect();
    let keyed = Keyed { plan: new, logical_time: run.logical_time, interval: run.interval, params: &params };
    let pools = kept.iter().map(|task| keyed.pool(task)).collect::<Result<Vec<_>, _>>()?;
    size_keys(connection, &sizes(kept.iter().copied().zip(pools.iter().map(Option::as_deref)))).await?;
    sqlx::query("delete from sluice.task_edge where run_id = $1").bind(run_id).execute(&mut *connection).await?;
    sqlx::query(include_str!("../../../../sql/runs/adopt_version.sql"))
        .bind(run_id)
        .bind(&new.version)
        .bind(&params)
        .bind(kept.iter().map(|t| t.name.as_str()).collect::<Vec<_>>())
        .bind(kept.iter().map(|t| t.kind.as_str()).collect::<Vec<_>>())
        .bind(kept.iter().map(|t| t.queue.as_str()).collect::<Vec<_>>())
        .bind(kept.iter().map(|t| t.priority).collect::<Vec<_>>())
        .bind(kept.iter().map(|t| t.trigger_rule.as_str()).collect::<Vec<_>>())
        .bind(kept.iter().map(|t| i32::from(t.attempts)).collect::<Vec<_>>())
        .bind(kept.iter().map(|t| t.repeatable).collect::<Vec<_>>())
        .bind(kept.iter().map(|t| i32::try_from(t.needs.len()).unwrap_or(i32::MAX)).collect::<Vec<_>>())
        .bind(&pools)
        .bind(edges.iter().map(|(task, _)| *task).collect::<Vec<_>>())
        .bind(edges.iter().map(|(_, need)| *need).collect::<Vec<_>>())
        .bind(&dropped)
        .bind(kept.iter().map(|t| t.labels.join(" ")).collect::<Vec<_>>())
        .execute(&mut *connection)
        .await?;
    // Lists are made anew, as the new plan makes them.
    sqlx::query(
        "update sluice.task_run set mapped = null where run_id = $1 and mapped is not null and state <> 'success'",
    )
    .bind(run_id)
    .execute(&mut *connection)
    .await?;
    let dropped: Vec<String> = dropped.into_iter().map(str::to_owned).collect();
    states.retain(|name, _| parent_of(name).is_none());
    for name in dropped {
        states.insert(name, TaskState::Skipped);
    }
    states.extend(added.iter().map(|name| (name.clone(), TaskState::Skipped)));
    Ok(added)
}
