//! A task put into a final state by hand.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use sqlx::{PgConnection, PgPool};
use workflow::{
    plan::{Plan, parent_of},
    state::{RunEvent, TaskEvent, TaskState},
};

use super::{
    RunError,
    advance::{EndedTask, advance},
    audit::{self, Act, Actor, record},
    control::{lock, states},
    items,
    rewind::{Again, put_back, tally},
};

/// The state that a person puts a task into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// As if it had ended well, without an output.
    Success,
    /// As if its last attempt had failed.
    Failed,
    /// As if it had been decided against.
    Skipped,
}

impl Mark {
    /// Every mark there is.
    pub const ALL: [Self; 3] = [Self::Success, Self::Failed, Self::Skipped];

    /// As people write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }

    fn event(self) -> TaskEvent {
        match self {
            Self::Success => TaskEvent::MarkedSuccess,
            Self::Failed => TaskEvent::MarkedFailed,
            Self::Skipped => TaskEvent::MarkedSkipped,
        }
    }
}

impl std::str::FromStr for Mark {
    type Err = RunError;

    fn from_str(text: &str) -> Result<Self, RunError> {
        let found = Self::ALL.into_iter().find(|mark| mark.as_str() == text);
        found.ok_or_else(|| RunError::NoMark(text.to_owned()))
    }
}

/// Marks a task, or each of a group, and decides anew about those behind it that only its old state, or that of one decided
/// anew, had decided. What ran stays as it is. Gives the names of the tasks that were decided anew.
pub(super) async fn mark(
    pool: &PgPool,
    run_id: i64,
    task: &str,
    mark: Mark,
    reason: &str,
    actor: &Actor,
) -> Result<Vec<String>, RunError> {
    let reason = audit::reason(reason)?;
    let mut transaction = pool.begin().await?;
    let run = lock(&mut transaction, run_id).await?;
    let present = states(&mut transaction, run_id).await?;
    let group: Vec<&str> = run.plan.group(task).filter(|name| present.contains_key(*name)).collect();
    let names = if group.is_empty() { vec![task] } else { group };
    let mut anew = Vec::new();
    for name in &names {
        anew.extend(mark_one(&mut transaction, run_id, name, mark, (reason, actor)).await?);
    }
    transaction.commit().await?;
    let mut told = BTreeSet::new();
    anew.retain(|task| !names.contains(&task.as_str()) && told.insert(task.clone()));
    Ok(anew)
}

async fn mark_one(
    transaction: &mut PgConnection,
    run_id: i64,
    task: &str,
    mark: Mark,
    (reason, actor): (&str, &Actor),
) -> Result<Vec<String>, RunError> {
    // The mark before it may have moved the run.
    let run = lock(transaction, run_id).await?;
    run.may_change(run_id)?;
    let states = states(transaction, run_id).await?;
    let was = *states.get(task).ok_or_else(|| RunError::NoTask { dag: run.plan.dag.clone(), task: task.to_owned() })?;
    let still_open = |state: TaskState| RunError::StillOpen { run_id, task: task.to_owned(), state: state.to_string() };
    let state = was.on(mark.event()).ok_or_else(|| still_open(was))?;
    let words = format!("marked by {}: {reason}", actor.name);
    let written: Option<(Option<String>,)> = sqlx::query_as(include_str!("../../../../sql/runs/mark_task.sql"))
        .bind(run_id)
        .bind(task)
        .bind(was.as_str())
        .bind(state.as_str())
        .bind(super::without_nul(&words))
        .bind(super::without_nul(&actor.name))
        .fetch_optional(&mut *transaction)
        .await?;
    // No worker asks for the run's lock before it claims.
    let (task_pool,) = written.ok_or_else(|| still_open(TaskState::Running))?;
    let marked: BTreeSet<String> = by_hand(transaction, run_id).await?;
    let anew = match parent_of(task).and_then(|name| run.plan.task(name)) {
        None => decided_by(&run.plan, &states, &marked, task),
        // Its items decide anew about a mapped task that waits for them, or that failed.
        Some(mapped) => {
            let waits = || items::waits(mapped, &states, &BTreeSet::from([task]));
            match states[&mapped.name] {
                TaskState::Waiting => vec![waits()],
                TaskState::Failed => {
                    let behind = decided_by(&run.plan, &states, &marked, &mapped.name);
                    std::iter::once(waits()).chain(behind).collect()
                }
                _ => Vec::new(),
            }
        }
    };
    let is_decided = |t: &&Again<'_>| states[t.task].is_final();
    // The marked task counts as open until `advance` takes it off.
    let reopened = anew.iter().filter(is_decided).count() + usize::from(was.is_final());
    let goes_on = run.state.on(RunEvent::Retried).unwrap_or(run.state);
    put_back(transaction, run_id, &anew, reopened, goes_on).await?;
    let mut ended = vec![EndedTask { run_id, task: task.to_owned(), state }];
    let left_out = items::leave_out(transaction, run_id, task, &states).await?;
    ended.extend(left_out.into_iter().map(|task| EndedTask { run_id, task, state: TaskState::Skipped }));
    advance(transaction, ended, task_pool.into_iter().collect()).await?;
    let act = Act {
        run_id: Some(run_id),
        dag: Some(&run.plan.dag),
        task: Some(task),
        reason: Some(reason),
        detail: json!({ "from": was.as_str(), "to": state.as_str() }),
        ..Act::of("mark")
    };
    record(transaction, actor, act).await?;
    Ok(anew.iter().filter(is_decided).map(|t| t.task.to_owned()).collect())
}

/// The tasks that stand where they stand since a person said so.
async fn by_hand(connection: &mut PgConnection, run_id: i64) -> Result<BTreeSet<String>, RunError> {
    let names: Vec<String> = sqlx::query_scalar(
        "select task from sluice.task_run where run_id = $1 and (marked_by is not null or started_at is not null)",
    )
    .bind(run_id)
    .fetch_all(connection)
    .await?;
    Ok(names.into_iter().collect())
}

/// The tasks behind `task` that a trigger rule kept from running, as they wait for the rule's decision again; and those
/// that wait anyway, as they have to count again what they wait for. `settled` are those that ran or were marked.
fn decided_by<'a>(
    plan: &'a Plan,
    states: &BTreeMap<String, TaskState>,
    settled: &BTreeSet<String>,
    task: &str,
) -> Vec<Again<'a>> {
    let mut open: BTreeSet<&str> = BTreeSet::from([task]);
    let mut anew = Vec::new();
    for planned in &plan.tasks {
        let Some(was) = states.get(&planned.name) else { continue };
        let decided = matches!(was, TaskState::UpstreamFailed)
            || (*was == TaskState::Skipped && !settled.contains(&planned.name));
        let waits = *was == TaskState::Waiting;
        let concerned = planned.needs.iter().any(|need| open.contains(need.as_str()));
        // A mapped task with a list waits for its items alone.
        let mapped = items::of(states, &planned.name).next().is_some();
        if planned.name == task || !(decided || waits) || !concerned || mapped {
            continue;
        }
        open.insert(&planned.name);
        let needs = tally(planned, states, &open);
        anew.push(Again::new(planned, TaskState::Waiting, needs));
    }
    anew
}
