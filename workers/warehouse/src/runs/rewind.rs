//! Which tasks of a run run again, and how each of them stands then.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::PgConnection;
use workflow::{
    plan::{Plan, PlannedTask, parent_of},
    state::{NeedsEnded, RunState, TaskEvent, TaskState},
};

use super::{
    RunError,
    control::{Reach, Retry},
    items,
};

/// The tasks that a person means, before those behind them are added.
pub(super) fn choose(
    plan: &Plan,
    run_id: i64,
    states: &BTreeMap<String, TaskState>,
    wish: &Retry<'_>,
    added: &BTreeSet<String>,
) -> Result<BTreeSet<String>, RunError> {
    if let Some(task) = wish.task {
        let group: BTreeSet<String> = plan.group(task).filter(|t| states.contains_key(*t)).map(str::to_owned).collect();
        if !group.is_empty() {
            return Ok(group);
        }
        if !states.contains_key(task) || plan.task_of_row(task).is_none() {
            return Err(RunError::NoTask { dag: plan.dag.clone(), task: task.to_owned() });
        }
        // What a new version puts before it, a gate perhaps, comes first.
        let comes_first = |name: &&String| plan.with_downstream(name).iter().any(|behind| behind.name == task);
        return Ok(added.iter().filter(comes_first).cloned().chain([task.to_owned()]).collect());
    }
    let failed: BTreeSet<String> = states
        .iter()
        .filter(|(_, state)| state.is_fault() || **state == TaskState::Cancelled)
        .map(|(task, _)| task.clone())
        .chain(added.iter().cloned())
        .collect();
    if failed.is_empty() && wish.on.is_none() { Err(RunError::NothingFailed(run_id)) } else { Ok(failed) }
}

/// How the tasks that a task needs stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Needs {
    pub(super) open: i32,
    failed: i32,
    skipped: i32,
}

impl Needs {
    pub(super) fn count(&mut self, state: TaskState, open: bool) {
        match state {
            state if open || !state.is_final() => self.open += 1,
            state if state.is_fault() || state == TaskState::Cancelled => self.failed += 1,
            TaskState::Skipped => self.skipped += 1,
            _ => {}
        }
    }
}

/// A task as a retry, a mark or a clear leaves it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Again<'a> {
    pub(super) task: &'a str,
    pub(super) state: TaskState,
    needs: Needs,
    attempts: i32,
    /// How many it waits for, where that is not what it was.
    pub(super) total: Option<i32>,
    /// How many items it has, where its list is kept.
    pub(super) mapped: Option<i32>,
}

impl<'a> Again<'a> {
    /// Whether its rule decides against it, all that it needs having ended.
    pub(super) fn is_refused(&self, plan: &Plan) -> bool {
        let Some(task) = plan.task(self.task).filter(|_| self.needs.open == 0) else { return false };
        let total = i32::try_from(task.needs.len()).unwrap_or(i32::MAX);
        let needs = NeedsEnded { total, failed: self.needs.failed, skipped: self.needs.skipped };
        task.trigger_rule.decide(needs) != TaskEvent::Ready
    }

    pub(super) fn new(task: &'a PlannedTask, state: TaskState, needs: Needs) -> Self {
        // Whose list is made anew waits for what it needs first.
        let total = task.for_each.as_ref().map(|_| i32::try_from(task.needs.len()).unwrap_or(i32::MAX));
        Self { task: &task.name, state, needs, attempts: i32::from(task.attempts), total, mapped: None }
    }

    /// An item of a mapped task.
    pub(super) fn of_item(item: &'a str, state: TaskState, task: &PlannedTask) -> Self {
        let attempts = i32::from(task.attempts);
        Self { task: item, state, needs: Needs::default(), attempts, total: None, mapped: None }
    }
}

/// Counts a task's needs; those in `open` count as open whatever their state.
pub(super) fn tally(task: &PlannedTask, states: &BTreeMap<String, TaskState>, open: &BTreeSet<&str>) -> Needs {
    let mut needs = Needs::default();
    for need in &task.needs {
        if let Some(state) = states.get(need) {
            needs.count(*state, open.contains(need.as_str()));
        }
    }
    needs
}

/// The chosen tasks, and as far as the retry reaches those behind them, with what sets up what was taken down behind
/// them: those with an open need wait, the others are ready. Where it reaches no further, tasks that wait for a chosen one wait for it anew.
pub(super) fn rewind<'a>(
    plan: &'a Plan,
    states: &'a BTreeMap<String, TaskState>,
    chosen: &BTreeSet<String>,
    reach: Reach,
) -> Vec<Again<'a>> {
    // An item runs again as part of its task.
    let begin: BTreeSet<&str> = chosen.iter().map(|name| parent_of(name).unwrap_or(name)).collect();
    let mut behind: BTreeSet<&str> = match reach {
        Reach::Downstream => begin.iter().flat_map(|task| plan.with_downstream(task)).collect::<Vec<_>>(),
        Reach::Only => plan.tasks.iter().filter(|task| begin.contains(task.name.as_str())).collect::<Vec<_>>(),
    }
    .into_iter()
    .map(|task| task.name.as_str())
    .filter(|task| states.contains_key(*task))
    .collect();
    // What was taken down is set up again, without what else needs it.
    let taken_down =
        |task: &&PlannedTask| matches!(states.get(&task.name), Some(TaskState::Success | TaskState::Failed));
    for task in plan.tasks.iter().filter(taken_down) {
        if behind.contains(task.name.as_str()) && reach == Reach::Downstream {
            behind.extend(task.teardown.iter().map(String::as_str).filter(|setup| states.contains_key(*setup)));
        }
    }
    let waits_anew = |task: &PlannedTask| {
        states.get(&task.name) == Some(&TaskState::Waiting)
            && items::of(states, &task.name).next().is_none()
            && task.needs.iter().any(|need| behind.contains(need.as_str()))
    };
    plan.tasks
        .iter()
        .filter(|task| behind.contains(task.name.as_str()) || waits_anew(task))
        .flat_map(|task| {
            let needs = tally(task, states, &behind);
            if needs.open == 0
                && let Some(again) = items::again(task, states, chosen)
            {
                return again;
            }
            let event = if needs.open == 0 { TaskEvent::Retried } else { TaskEvent::Rewound };
            let was = states[&task.name];
            vec![Again::new(task, was.on(event).unwrap_or(was), needs)]
        })
        .collect()
}

/// Writes tasks as a retry, a mark or a clear leaves them, and counts those that it `reopened` as open.
pub(super) async fn put_back(
    connection: &mut PgConnection,
    run_id: i64,
    again: &[Again<'_>],
    reopened: usize,
    goes_on: RunState,
) -> Result<(), RunError> {
    sqlx::query(include_str!("../../../../sql/runs/retry_tasks.sql"))
        .bind(run_id)
        .bind(again.iter().map(|t| t.task).collect::<Vec<_>>())
        .bind(again.iter().map(|t| t.state.as_str()).collect::<Vec<_>>())
        .bind(again.iter().map(|t| t.needs.open).collect::<Vec<_>>())
        .bind(again.iter().map(|t| t.needs.failed).collect::<Vec<_>>())
        .bind(again.iter().map(|t| t.needs.skipped).collect::<Vec<_>>())
        .bind(again.iter().map(|t| t.attempts).collect::<Vec<_>>())
        .bind(again.iter().map(|t| t.total).collect::<Vec<_>>())
        .bind(again.iter().map(|t| t.mapped).collect::<Vec<_>>())
        .execute(&mut *connection)
        .await?;
    sqlx::query(include_str!("../../../../sql/runs/reopen_run.sql"))
        .bind(run_id)
        .bind(i32::try_from(reopened).unwrap_or(i32::MAX))
        .bind(goes_on.as_str())
        .execute(connection)
        .await?;
    Ok(())
}
