//! What was done in a span of time, done again.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use serde_json::json;
use sqlx::{PgConnection, PgPool};
use workflow::{
    plan::{Plan, parent_of},
    state::{RunEvent, TaskEvent, TaskState},
};

use super::{
    RunError,
    admit::{admit_runs, admit_tasks},
    audit::{Act, Actor, record},
    backfill::{self, MOST_RUNS, Span},
    control::{Reach, lock, states},
    rewind::{put_back, rewind},
};

/// What to run again.
#[derive(Debug, Clone, Copy)]
pub struct Clear<'a> {
    /// The DAG; it says where days begin, and how many of its runs may be under way.
    pub plan: &'a Plan,
    /// The first day.
    pub from: NaiveDate,
    /// The last day, included.
    pub to: NaiveDate,
    /// Only this task or group, and those behind it; all tasks where absent.
    pub task: Option<&'a str>,
    /// How many of the runs may be under way at once.
    pub parallel: i32,
    /// The newest run first.
    pub newest_first: bool,
}

/// A run of the span.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClearedRun {
    /// Its number.
    pub run_id: i64,
    /// The instant that it stands for.
    pub logical_time: DateTime<Utc>,
    /// How it stood.
    pub state: String,
    /// The tasks that run again; none where the run is under way, and left alone.
    pub tasks: Vec<String>,
}

/// What a clear does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cleared {
    /// `sluice backfill stop` ends it by this number; absent in a preview, and where no run runs again.
    pub backfill_id: Option<i64>,
    /// Every run of the span, oldest first.
    pub runs: Vec<ClearedRun>,
}

pub(super) async fn clear(pool: &PgPool, wish: &Clear<'_>, actor: &Actor, preview: bool) -> Result<Cleared, RunError> {
    let plan = wish.plan;
    let wanted: Option<BTreeSet<&str>> = wish.task.map(|name| {
        let group: BTreeSet<&str> = plan.group(name).collect();
        if group.is_empty() { plan.task(name).map(|task| task.name.as_str()).into_iter().collect() } else { group }
    });
    if let (Some(task), Some(wanted)) = (wish.task, &wanted)
        && wanted.is_empty()
    {
        return Err(RunError::NoTask { dag: plan.dag.clone(), task: task.to_owned() });
    }
    let mut transaction = pool.begin().await?;
    let (start, end) = plan.days(wish.from, wish.to);
    let span = |sql: &'static str| {
        sqlx::query_as::<_, (i64, DateTime<Utc>, String)>(sql).bind(&plan.dag).bind(start).bind(end)
    };
    let ended = span(
        "select run_id, logical_time, state from sluice.dag_run
         where dag = $1 and logical_time >= $2 and logical_time < $3 and state not in ('queued', 'running')
         order by run_id limit 5001",
    )
    .fetch_all(&mut *transaction)
    .await?;
    if ended.len() > MOST_RUNS {
        return Err(RunError::TooManyEnded(ended.len()));
    }
    let archived: (i64, Option<DateTime<Utc>>) = sqlx::query_as(
        "select count(*), max(logical_time) from sluice_archive.dag_run
         where dag = $1 and logical_time >= $2 and logical_time < $3",
    )
    .bind(&plan.dag)
    .bind(start)
    .bind(end)
    .fetch_one(&mut *transaction)
    .await?;
    if let (runs, Some(last)) = archived {
        return Err(RunError::ArchivedSpan { runs, last });
    }
    let under_way = span(
        "select run_id, logical_time, state from sluice.dag_run
         where dag = $1 and logical_time >= $2 and logical_time < $3 and state in ('queued', 'running')
         order by run_id limit 5001",
    )
    .fetch_all(&mut *transaction)
    .await?;
    // Those are left alone, and nobody has to wait for this look at them.
    let mut runs: Vec<ClearedRun> = under_way
        .into_iter()
        .map(|(run_id, logical_time, state)| ClearedRun { run_id, logical_time, state, tasks: Vec::new() })
        .collect();
    for (run_id, logical_time, state) in ended {
        let run = lock(&mut transaction, run_id).await?;
        let mut tasks = Vec::new();
        if run.state.is_final() {
            let states = states(&mut transaction, run_id).await?;
            let chosen: BTreeSet<String> = if let Some(wanted) = &wanted {
                states.keys().filter(|name| wanted.contains(name.as_str())).cloned().collect()
            } else {
                // What a run of one task alone was given did not run in it.
                let given = given(&mut transaction, run_id).await?;
                states.keys().filter(|name| !given.contains(*name)).cloned().collect()
            };
            // Lists are made anew.
            let states: BTreeMap<_, _> = states.into_iter().filter(|(name, _)| parent_of(name).is_none()).collect();
            let mut again = rewind(&run.plan, &states, &chosen, Reach::Downstream);
            let reopened = again.len();
            // The run waits for its turn, so all of its tasks do.
            for task in &mut again {
                task.state = states[task.task].on(TaskEvent::Rewound).unwrap_or(TaskState::Waiting);
            }
            let next = run.state.on(RunEvent::Cleared).expect("a run that has ended can be run again");
            if !again.is_empty() {
                put_back(&mut transaction, run_id, &again, reopened, next).await?;
                tasks = again.iter().map(|t| t.task.to_owned()).collect();
            }
        }
        runs.push(ClearedRun { run_id, logical_time, state, tasks });
    }
    runs.sort_by_key(|run| run.logical_time);
    let cleared: Vec<i64> = runs.iter().filter(|run| !run.tasks.is_empty()).map(|run| run.run_id).collect();
    if preview || cleared.is_empty() {
        transaction.rollback().await?;
        return Ok(Cleared { backfill_id: None, runs });
    }
    let span = Span {
        kind: "clear",
        dag: &plan.dag,
        from: wish.from,
        to: wish.to,
        newest_first: wish.newest_first,
        parallel: wish.parallel,
    };
    let backfill_id = backfill::open(&mut transaction, &span, &cleared, actor).await?;
    let detail = json!({ "backfill_id": backfill_id, "from": wish.from, "to": wish.to, "runs": cleared });
    let act = Act { dag: Some(&plan.dag), task: wish.task, detail, ..Act::of("clear") };
    record(&mut transaction, actor, act).await?;
    let most = BTreeMap::from([(plan.dag.clone(), backfill::most(plan))]);
    let pools = admit_runs(&mut transaction, &most).await?;
    admit_tasks(&mut transaction, &pools).await?;
    transaction.commit().await?;
    Ok(Cleared { backfill_id: Some(backfill_id), runs })
}

/// The tasks whose output a run was made with.
async fn given(connection: &mut PgConnection, run_id: i64) -> Result<BTreeSet<String>, RunError> {
    let given = "select task from sluice.task_run
                 where run_id = $1 and state = 'success' and attempts = 0 and marked_by is null and parent is null
                   and mapped is null";
    Ok(sqlx::query_scalar(given).bind(run_id).fetch_all(connection).await?.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use workflow::state::RunState;

    use super::*;

    #[test]
    fn whatever_has_ended_can_be_cleared() {
        for state in RunState::ALL.iter().filter(|state| state.is_final()) {
            assert_eq!(state.on(RunEvent::Cleared), Some(RunState::Queued), "{state}");
        }
        assert_eq!(RunState::Running.on(RunEvent::Cleared), None);
    }
}
