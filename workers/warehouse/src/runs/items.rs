//! The items of mapped tasks: a list becomes rows, rows become a list of outputs, and parts of it run again.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::{PgConnection, PgPool};
use workflow::{
    plan::{Plan, PlannedTask, parent_of},
    state::{TaskEvent, TaskState},
};

use super::{
    RunError,
    admit::{items_pool, size_keys},
    archive::{Shelf, wherever},
    exchange::clean,
    rewind::{Again, Needs},
};

/// The list of a mapped task, as its attempt found it.
#[derive(Debug, Clone)]
pub struct Expansion {
    /// The items, in order; not empty.
    pub items: Vec<Value>,
    /// How many of them may be under way at once.
    pub max_parallel: Option<i32>,
    /// How many attempts each of them has.
    pub attempts: u16,
}

/// Queues the items of a task that waits for them, in a transaction that holds the run's lock. Gives the pool that they
/// share, if any.
pub(super) async fn expand(
    connection: &mut PgConnection,
    run_id: i64,
    task: &str,
    list: &Expansion,
) -> Result<Option<String>, RunError> {
    let slots = list.max_parallel.map(|most| (items_pool(run_id, task), most));
    size_keys(connection, &slots.clone().into_iter().collect()).await?;
    sqlx::query(include_str!("../../../../sql/runs/expand.sql"))
        .bind(run_id)
        .bind(task)
        .bind(list.items.iter().map(clean).collect::<Vec<_>>())
        .bind(slots.as_ref().map(|(pool, _)| pool))
        .bind(i32::from(list.attempts))
        .execute(connection)
        .await?;
    Ok(slots.map(|(pool, _)| pool))
}

/// What an item works on.
#[derive(Debug, Clone)]
pub struct ClaimedItem {
    /// The item.
    pub item: Value,
    /// Its place in the list, from 0.
    pub place: usize,
    /// Outputs of the tasks that its task needs, by name.
    pub inputs: BTreeMap<String, Value>,
}

/// What the item with this row works on. Apart from the claim, which so costs nothing where nothing is mapped.
pub async fn item(pool: &PgPool, task_run_id: i64) -> Result<ClaimedItem, RunError> {
    type Row = (Option<Value>, Option<i32>, sqlx::types::Json<BTreeMap<String, Value>>);
    let (item, place, inputs): Row =
        sqlx::query_as(include_str!("../../../../sql/runs/item.sql")).bind(task_run_id).fetch_one(pool).await?;
    let place = place.and_then(|place| usize::try_from(place).ok()).unwrap_or(0);
    Ok(ClaimedItem { item: item.unwrap_or_default(), place, inputs: inputs.0 })
}

/// What the items of a mapped task left, in order; `None` where its list is not known yet.
pub async fn item_outputs(pool: &PgPool, task_run_id: i64) -> Result<Option<Vec<Value>>, RunError> {
    let outputs: Vec<Option<Value>> = sqlx::query_scalar(include_str!("../../../../sql/runs/item_outputs.sql"))
        .bind(task_run_id)
        .fetch_all(pool)
        .await?;
    Ok((!outputs.is_empty()).then(|| outputs.into_iter().map(Option::unwrap_or_default).collect()))
}

/// An item of a mapped task.
#[derive(Debug, Clone, Serialize, sqlx::FromRow)]
pub struct ItemRow {
    /// Its name: `load[3]`.
    pub task: String,
    /// Its place in the list, from 0.
    pub place: i32,
    /// The item.
    pub item: Option<Value>,
    /// See `workflow::state::TaskState`.
    pub state: String,
    /// Attempts so far.
    pub attempts: i32,
    /// Attempts allowed.
    pub max_attempts: i32,
    /// Not before this.
    pub not_before: Option<DateTime<Utc>>,
    /// When the first attempt began.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// Why it stands as it does.
    pub reason: Option<String>,
    /// What it left.
    pub output: Option<Value>,
}

/// The items of a mapped task, in the list's order; none where the list is not known yet.
pub async fn items(pool: &PgPool, run_id: i64, task: &str) -> Result<Vec<ItemRow>, RunError> {
    let ask = |shelf: Shelf| {
        let sql = shelf.statement(include_str!("../../../../sql/runs/list_items.sql"));
        sqlx::query_as(sql).bind(run_id).bind(task).fetch_all(pool)
    };
    Ok(wherever(pool, run_id, ask).await?)
}

type States = BTreeMap<String, TaskState>;

/// The items of a task, in no order, and how they stand.
pub(super) fn of<'a>(states: &'a States, task: &'a str) -> impl Iterator<Item = (&'a str, TaskState)> {
    let first = format!("{task}[");
    let next = first.clone();
    states
        .range(first..)
        .take_while(move |(name, _)| name.starts_with(&next))
        .map(|(name, state)| (name.as_str(), *state))
}

/// Those of a task's items that run again where their task does: the chosen ones, or those that failed where the task
/// itself is chosen. `None` where the whole list is made anew.
pub(super) fn again<'a>(
    task: &'a PlannedTask,
    states: &'a States,
    chosen: &BTreeSet<String>,
) -> Option<Vec<Again<'a>>> {
    task.for_each.as_ref()?;
    let whole = chosen.contains(&task.name);
    let is_bad = |state: TaskState| state.is_fault() || state == TaskState::Cancelled;
    let mut rerun = BTreeSet::new();
    let mut total = 0;
    for (item, state) in of(states, &task.name) {
        total += 1;
        if chosen.contains(item) || (whole && is_bad(state)) {
            rerun.insert(item);
        }
    }
    let was = states[&task.name];
    // Its items went well, and collecting what they left did not.
    let collect = total > 0 && whole && is_bad(was) && of(states, &task.name).all(|(_, state)| state.is_final());
    if rerun.is_empty() && !collect {
        return None;
    }
    let mut found = vec![waits(task, states, &rerun)];
    found.extend(rerun.into_iter().map(|item| {
        let was = states[item];
        Again::of_item(item, was.on(TaskEvent::Retried).unwrap_or(was), task)
    }));
    Some(found)
}

/// A mapped task that waits for its items, those in `open` whatever their state.
pub(super) fn waits<'a>(task: &'a PlannedTask, states: &'a States, open: &BTreeSet<&str>) -> Again<'a> {
    let mut needs = Needs::default();
    let mut total = 0;
    for (item, state) in of(states, &task.name) {
        total += 1;
        needs.count(state, open.contains(item));
    }
    let event = if needs.open == 0 { TaskEvent::Retried } else { TaskEvent::Rewound };
    let was = states[&task.name];
    let mut again = Again::new(task, was.on(event).unwrap_or(was), needs);
    (again.total, again.mapped) = (Some(total), Some(total));
    again
}

/// Sizes the slots of the items that run again, as those of an earlier list are gone.
pub(super) async fn size(
    connection: &mut PgConnection,
    plan: &Plan,
    run_id: i64,
    again: &[Again<'_>],
) -> Result<(), RunError> {
    let parents: BTreeSet<&str> = again.iter().filter_map(|task| parent_of(task.task)).collect();
    let slots = parents.into_iter().filter_map(|task| {
        let most = plan.task(task)?.max_parallel()?;
        Some((items_pool(run_id, task), most))
    });
    size_keys(connection, &slots.collect()).await
}

/// Leaves out the items of a task that a person marked. Gives those that had not begun; a running one is refused.
pub(super) async fn leave_out(
    connection: &mut PgConnection,
    run_id: i64,
    task: &str,
    states: &States,
) -> Result<Vec<String>, RunError> {
    let open: Vec<&str> = of(states, task).filter(|(_, state)| !state.is_final()).map(|(item, _)| item).collect();
    if open.is_empty() {
        return Ok(Vec::new());
    }
    let left_out: Vec<String> = sqlx::query_scalar(include_str!("../../../../sql/runs/skip_items.sql"))
        .bind(run_id)
        .bind(task)
        .bind("its task was marked")
        .fetch_all(connection)
        .await?;
    match open.iter().find(|item| !left_out.iter().any(|left| left == *item)) {
        Some(item) => {
            Err(RunError::StillOpen { run_id, task: (*item).to_owned(), state: TaskState::Running.to_string() })
        }
        None => Ok(left_out),
    }
}
