//! A new run: once for each DAG and logical time, whoever asks and however often.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use sqlx::{PgConnection, PgPool};
use workflow::{
    kind::DataInterval,
    plan::{Overlap, Plan, PlannedTask},
    state::{RunState, TaskState},
};

use super::{
    RunError,
    admit::{admit_tasks, lock_dag, size_keys, try_lock_dag},
    archive::archived_run_of,
    audit::{self, Act, Actor},
    control::{cancel, pools_of},
    deploy,
    keys::{Keyed, sizes},
};

/// What asked for a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trigger {
    /// The DAG's schedule.
    Schedule,
    /// A person.
    Manual,
    /// A person, for a span of the past.
    Backfill,
    /// Another DAG's success.
    Dag,
    /// The publication of datasets.
    Dataset,
    /// A file that came.
    File,
    /// A signed request.
    Webhook,
}

impl Trigger {
    /// As stored in `sluice.dag_run.trigger`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Schedule => "schedule",
            Self::Manual => "manual",
            Self::Backfill => "backfill",
            Self::Dag => "dag",
            Self::Dataset => "dataset",
            Self::File => "file",
            Self::Webhook => "webhook",
        }
    }

    /// Whether someone waits for the run. What the scheduler makes can wait for the next tick, and must not keep other
    /// DAGs waiting meanwhile.
    fn is_asked_for(self) -> bool {
        matches!(self, Self::Manual | Self::Backfill | Self::Webhook)
    }
}

/// A run to be made.
#[derive(Debug, Clone)]
pub struct NewRun<'a> {
    /// The plan that it keeps to its end.
    pub plan: &'a Plan,
    /// The instant that it stands for.
    pub logical_time: DateTime<Utc>,
    /// What asked for it.
    pub trigger: Trigger,
    /// Parameters that differ from the defaults.
    pub params: Map<String, Value>,
    /// Only this task, on the last outputs of those that it needs.
    pub only: Option<&'a str>,
}

/// What became of the wish for a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    /// It was made: its first tasks are queued, or it waits for its turn, or it was left out.
    New(i64),
    /// The DAG has a run of that logical time already.
    Existing(i64),
}

impl Created {
    /// The run, new or not.
    pub fn run_id(self) -> i64 {
        match self {
            Self::New(run_id) | Self::Existing(run_id) => run_id,
        }
    }
}

/// Makes a run and queues its first tasks, in one transaction.
pub async fn create(pool: &PgPool, new: &NewRun<'_>) -> Result<Created, RunError> {
    create_by(pool, new, None).await
}

/// As [`create`]; where a person asked for it, their act is written down with it.
pub(super) async fn create_by(pool: &PgPool, new: &NewRun<'_>, by: Option<&Actor>) -> Result<Created, RunError> {
    let plan = new.plan;
    let mut transaction = pool.begin().await?;
    let Made { created, state, others } = make(&mut transaction, new, None, None).await?;
    if let Created::New(run_id) = created {
        if state == RunState::Running {
            let pools = pools_of(&mut transaction, plan, run_id).await?;
            admit_tasks(&mut transaction, &pools).await?;
        }
        if let Some(actor) = by {
            let detail = json!({ "logical_time": new.logical_time, "version": plan.version, "params": new.params });
            let act = Act { run_id: Some(run_id), dag: Some(&plan.dag), task: new.only, detail, ..Act::of("run") };
            audit::record(&mut transaction, actor, act).await?;
        }
    }
    transaction.commit().await?;
    if matches!(created, Created::New(_)) && plan.overlap == Overlap::Cancel {
        // Apart from the above, since it locks the others. Should this process die here, the run waits for them.
        for run_id in others {
            cancel(pool, run_id).await?;
        }
    }
    Ok(created)
}

/// What became of a run in a transaction that has not ended.
pub(super) struct Made {
    pub(super) created: Created,
    /// The state that it began in.
    pub(super) state: RunState,
    /// The runs of its DAG that were under way.
    pub(super) others: Vec<i64>,
}

/// What a triggered run follows from.
pub(super) struct Cause {
    /// The data that it is about, where the cause tells.
    pub(super) interval: Option<DataInterval>,
    /// What came, for people.
    pub(super) detail: Value,
}

/// Writes a run and its tasks. `begin` is the state to begin in, where that is not for the DAG's limits to decide.
pub(super) async fn make(
    transaction: &mut PgConnection,
    new: &NewRun<'_>,
    begin: Option<RunState>,
    cause: Option<Cause>,
) -> Result<Made, RunError> {
    let plan = new.plan;
    let params = plan.params(&new.params)?;
    let told = cause.as_ref().and_then(|cause| cause.interval);
    let interval = told.unwrap_or_else(|| plan.interval(new.logical_time));
    deploy::store_version(transaction, plan).await?;
    let mut rows = match new.only {
        None => whole(plan),
        Some(task) => alone(transaction, plan, task).await?,
    };
    let params = Value::Object(params);
    let keyed = Keyed { plan, logical_time: new.logical_time, interval, params: &params };
    for row in &mut rows.tasks {
        row.pool = keyed.pool(row.task)?;
    }
    let (state, others) = match begin {
        Some(state) => (state, Vec::new()),
        None => place(transaction, new).await?,
    };
    // After the DAG's lock: pools come last.
    size_keys(transaction, &sizes(rows.tasks.iter().map(|row| (row.task, row.pool.as_deref())))).await?;
    let reason = rows.hold(state, others.len());
    let open = rows.tasks.iter().filter(|row| !row.state.is_final()).count();
    let now = Utc::now();
    let column = |f: fn(&Row<'_>) -> String| rows.tasks.iter().map(f).collect::<Vec<_>>();
    let made: Option<(i64, String)> = sqlx::query_as(include_str!("../../../../sql/runs/create_run.sql"))
        .bind(&plan.dag)
        .bind(&plan.version)
        .bind(new.logical_time)
        .bind(interval.start)
        .bind(interval.end)
        .bind(new.trigger.as_str())
        .bind(params)
        .bind(i32::try_from(open).unwrap_or(i32::MAX))
        .bind(column(|row| row.task.name.clone()))
        .bind(column(|row| row.task.kind.clone()))
        .bind(column(|row| row.task.queue.clone()))
        .bind(rows.tasks.iter().map(|row| row.task.priority).collect::<Vec<_>>())
        .bind(column(|row| row.task.trigger_rule.as_str().to_owned()))
        .bind(rows.tasks.iter().map(|row| i32::from(row.task.attempts)).collect::<Vec<_>>())
        .bind(rows.tasks.iter().map(|row| row.task.repeatable).collect::<Vec<_>>())
        .bind(rows.tasks.iter().map(|row| row.needs).collect::<Vec<_>>())
        .bind(column(|row| row.state.as_str().to_owned()))
        .bind(rows.tasks.iter().map(|row| row.output.clone()).collect::<Vec<_>>())
        .bind(rows.tasks.iter().map(|row| row.reason.clone()).collect::<Vec<_>>())
        .bind(rows.edges.iter().map(|(task, _)| (*task).to_owned()).collect::<Vec<_>>())
        .bind(rows.edges.iter().map(|(_, needs)| (*needs).to_owned()).collect::<Vec<_>>())
        .bind(state.as_str())
        .bind(reason)
        .bind(deadline(new, now))
        .bind(rows.tasks.iter().map(|row| row.pool.clone()).collect::<Vec<_>>())
        .bind(rows.tasks.iter().map(|row| task_deadline(new, row.task)).collect::<Vec<_>>())
        .bind(column(|row| row.task.labels.join(" ")))
        .bind(cause.map(|cause| cause.detail))
        .bind(plan.retry_budget.map(|budget| i32::try_from(budget).unwrap_or(i32::MAX)))
        .bind(new.only)
        .fetch_optional(&mut *transaction)
        .await?;
    let created = match made {
        Some((run_id, _)) => match archived_run_of(transaction, &plan.dag, new.logical_time).await? {
            None => Created::New(run_id),
            // It may have gone there since someone looked, so this look comes last.
            Some(archived) => {
                unmake(transaction, run_id).await?;
                Created::Existing(archived)
            }
        },
        None => Created::Existing(
            sqlx::query_scalar("select run_id from sluice.dag_run where dag = $1 and logical_time = $2")
                .bind(&plan.dag)
                .bind(new.logical_time)
                .fetch_one(transaction)
                .await?,
        ),
    };
    Ok(Made { created, state, others })
}

/// Takes back what was made in this transaction.
async fn unmake(transaction: &mut PgConnection, run_id: i64) -> Result<(), RunError> {
    for sql in [
        "delete from sluice.task_edge where run_id = $1",
        "delete from sluice.task_run where run_id = $1",
        "delete from sluice.dag_run where run_id = $1",
    ] {
        sqlx::query(sql).bind(run_id).execute(&mut *transaction).await?;
    }
    Ok(())
}

/// The state that a new run begins in, and the runs of its DAG that are under way. Decided under the DAG's lock, if
/// there is anything to decide.
async fn place(connection: &mut PgConnection, new: &NewRun<'_>) -> Result<(RunState, Vec<i64>), RunError> {
    let plan = new.plan;
    let Some(most) = plan.max_active_runs else { return Ok((RunState::Running, Vec::new())) };
    if new.trigger.is_asked_for() {
        lock_dag(connection, &plan.dag).await?;
    } else if !try_lock_dag(connection, &plan.dag).await? {
        return Err(RunError::Busy(plan.dag.clone()));
    }
    let open: Vec<(i64, bool)> = sqlx::query_as(
        "select run_id, backfill_id is not null from sluice.dag_run
         where dag = $1 and logical_time <> $2 and (state = 'running' or (state = 'queued' and backfill_id is null))
         order by run_id",
    )
    .bind(&plan.dag)
    .bind(new.logical_time)
    .fetch_all(connection)
    .await?;
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let full = open.len() >= most;
    // Runs of a backfill neither let others be left out nor are ended by them.
    let others: Vec<i64> = open.into_iter().filter(|(_, backfilled)| !backfilled).map(|(run_id, _)| run_id).collect();
    Ok(match (full, plan.overlap) {
        (false, _) => (RunState::Running, Vec::new()),
        (true, Overlap::Skip) if others.len() >= most => (RunState::Skipped, others),
        (true, _) => (RunState::Queued, others),
    })
}

/// When the run should have ended. What makes up for the past is late from the start, so it has no deadline.
fn deadline(new: &NewRun<'_>, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let schedule = new.plan.schedule.as_ref()?;
    let from = match new.trigger {
        Trigger::Schedule => new.logical_time,
        Trigger::Backfill => return None,
        Trigger::Manual | Trigger::Dag | Trigger::Dataset | Trigger::File | Trigger::Webhook => now,
    };
    schedule.deadline(new.logical_time, from)
}

/// In seconds from now.
fn task_deadline(new: &NewRun<'_>, task: &PlannedTask) -> Option<f64> {
    task.deadline.filter(|_| new.trigger != Trigger::Backfill).map(|span| span.0.as_secs_f64())
}

struct Rows<'a> {
    tasks: Vec<Row<'a>>,
    edges: Vec<(&'a str, &'a str)>,
}

struct Row<'a> {
    task: &'a PlannedTask,
    needs: i32,
    state: TaskState,
    output: Option<Value>,
    reason: Option<String>,
    /// What it takes a slot of.
    pool: Option<String>,
}

impl Rows<'_> {
    /// Holds back the tasks of a run that does not begin now. Gives the run's reason.
    fn hold(&mut self, state: RunState, others: usize) -> Option<String> {
        let runs = if others == 1 { "1 other run is" } else { &format!("{others} other runs are") };
        let (task_state, reason) = match state {
            RunState::Queued if others == 0 => (TaskState::Waiting, "its backfill comes to it in turn".to_owned()),
            RunState::Queued => (TaskState::Waiting, format!("{runs} before it")),
            RunState::Skipped => (TaskState::Skipped, format!("{runs} under way, and the DAG says `overlap: skip`")),
            _ => return None,
        };
        for row in self.tasks.iter_mut().filter(|row| !row.state.is_final()) {
            row.state = task_state;
            if task_state == TaskState::Skipped {
                row.reason = Some("its run was left out".to_owned());
            }
        }
        Some(reason)
    }
}

fn whole(plan: &Plan) -> Rows<'_> {
    let tasks = plan
        .tasks
        .iter()
        .map(|task| Row {
            task,
            needs: i32::try_from(task.needs.len()).unwrap_or(i32::MAX),
            state: if task.needs.is_empty() { TaskState::Queued } else { TaskState::Waiting },
            output: None,
            reason: None,
            pool: None,
        })
        .collect();
    let edges =
        plan.tasks.iter().flat_map(|task| task.needs.iter().map(|need| (task.name.as_str(), need.as_str()))).collect();
    Rows { tasks, edges }
}

/// One task, and those that it needs as if they had just left what they left last.
async fn alone<'a>(connection: &mut PgConnection, plan: &'a Plan, name: &str) -> Result<Rows<'a>, RunError> {
    let task = plan.task(name).ok_or_else(|| RunError::NoTask { dag: plan.dag.clone(), task: name.to_owned() })?;
    let last: Vec<(String, i64, Option<Value>)> = sqlx::query_as(include_str!("../../../../sql/runs/last_outputs.sql"))
        .bind(&plan.dag)
        .bind(&task.needs)
        .fetch_all(connection)
        .await?;
    let mut last: BTreeMap<_, _> = last.into_iter().map(|(task, run_id, output)| (task, (run_id, output))).collect();
    let mut rows = Rows { tasks: Vec::new(), edges: Vec::new() };
    for need in task.needs.iter().filter_map(|need| plan.task(need)) {
        let (run_id, output) = last
            .remove(&need.name)
            .ok_or_else(|| RunError::NoOutput { task: name.to_owned(), needs: need.name.clone() })?;
        rows.tasks.push(Row {
            task: need,
            needs: 0,
            state: TaskState::Success,
            output,
            reason: Some(format!("output of run {run_id}")),
            pool: None,
        });
        rows.edges.push((&task.name, &need.name));
    }
    rows.tasks.push(Row { task, needs: 0, state: TaskState::Queued, output: None, reason: None, pool: None });
    Ok(rows)
}
