//! What a worker and the store say to each other: ended attempts go in, claimed tasks come out, in one transaction.

use std::{borrow::Cow, collections::BTreeSet, time::Duration};

use serde_json::Value;
use sqlx::{Connection as _, PgConnection, PgPool};
use workflow::{
    error::ErrorDomain,
    kind::Fence,
    state::{AttemptEvent, AttemptState, TaskEvent, TaskState},
};

use super::{
    ClaimRequest, Claimed, Line, RunError,
    advance::{EndedTask, advance},
    claim::claim,
    items::{Expansion, expand},
    log::insert_lines,
    without_nul,
};

/// How an attempt ended.
#[derive(Debug, Clone)]
pub enum End {
    /// Well.
    Success {
        /// What the tasks downstream read.
        output: Value,
    },
    /// With an error.
    Failed {
        /// Whose fault it is.
        domain: ErrorDomain,
        /// The message with its causes.
        error: String,
        /// A gate stopped it.
        gate: bool,
        /// The service that could not be reached, where that was it.
        service: Option<&'static str>,
        /// Another attempt follows after this long.
        retry: Option<Duration>,
    },
    /// It took too long.
    TimedOut {
        /// How long it had.
        error: String,
        /// Another attempt follows after this long.
        retry: Option<Duration>,
    },
    /// Its condition did not hold, so there was nothing to do.
    Skipped {
        /// What to tell people.
        reason: String,
    },
    /// The list of a mapped task is known: its items follow, and the attempt does not count.
    Expanded(Expansion),
    /// What it waits for is not there: the task looks again, and the attempt goes.
    NotYet {
        /// What to tell people.
        reason: String,
        /// Until the next look.
        wait: Duration,
    },
    /// It stopped since its run was cancelled.
    Cancelled,
    /// It stopped since its worker had to; the task returns to the queue, and the attempt does not count.
    Released,
    /// Its lease ran out.
    Lost {
        /// What to tell people.
        error: String,
        /// Whether the task returns to the queue; the attempt does not count then.
        again: bool,
    },
}

impl End {
    /// The states that attempt and task move to, by the tables of `workflow::state`.
    fn states(&self) -> (AttemptState, TaskState) {
        let (attempt, task) = match self {
            Self::Success { .. } => (AttemptEvent::Succeeded, TaskEvent::Succeeded),
            Self::Skipped { .. } => (AttemptEvent::Succeeded, TaskEvent::Skip),
            Self::Expanded(_) => (AttemptEvent::Succeeded, TaskEvent::Expanded),
            Self::Failed { retry, .. } => (AttemptEvent::Failed, ended_badly(retry.is_some())),
            Self::TimedOut { retry, .. } => (AttemptEvent::TimedOut, ended_badly(retry.is_some())),
            Self::NotYet { .. } => (AttemptEvent::Cancelled, TaskEvent::LookAgain),
            Self::Cancelled => (AttemptEvent::Cancelled, TaskEvent::Cancel),
            Self::Released => (AttemptEvent::Cancelled, TaskEvent::WillRetry),
            Self::Lost { again, .. } => (AttemptEvent::LeaseExpired, ended_badly(*again)),
        };
        (
            AttemptState::Running.on(attempt).expect("a running attempt can end in every way"),
            TaskState::Running.on(task).expect("a running task can be moved on by its attempt's end"),
        )
    }
}

impl End {
    /// Whether another attempt follows on a failed one.
    fn retries(&self) -> bool {
        matches!(self, Self::Failed { retry: Some(_), .. } | Self::TimedOut { retry: Some(_), .. })
    }

    /// Lets no other attempt follow, and says why.
    fn give_up(&mut self, why: &str) {
        if let Self::Failed { error, retry, .. } | Self::TimedOut { error, retry } = self {
            *retry = None;
            *error = format!("{error}; no other attempt: {why}");
        }
    }
}

fn ended_badly(again: bool) -> TaskEvent {
    if again { TaskEvent::WillRetry } else { TaskEvent::GaveUp }
}

/// An attempt that ended.
#[derive(Debug, Clone)]
pub struct Ended {
    /// Which one.
    pub fence: Fence,
    /// How.
    pub end: End,
    /// The last lines of its log.
    pub lines: Vec<Line>,
}

impl Ended {
    fn is_look(&self) -> bool {
        matches!(self.end, End::NotYet { .. })
    }

    fn expansion(&self) -> Option<&Expansion> {
        match &self.end {
            End::Expanded(list) => Some(list),
            _ => None,
        }
    }
}

/// What came of an exchange.
#[derive(Debug, Default)]
pub struct Exchange {
    /// Attempts whose end was written. One that is missing had lost its lease, or was written before.
    pub accepted: BTreeSet<i64>,
    /// Tasks that the worker now holds.
    pub claimed: Vec<Claimed>,
}

/// Writes ends, moves their runs on, and claims tasks: those that just became ready among them. One transaction;
/// repeating it with the same ends changes nothing more.
pub async fn exchange(
    connection: &mut PgConnection,
    ended: &[Ended],
    request: Option<&ClaimRequest>,
) -> Result<Exchange, RunError> {
    let mut exchange = Exchange::default();
    let request = request.filter(|request| request.limit > 0);
    if ended.is_empty() && request.is_none() {
        return Ok(exchange);
    }
    if ended.is_empty() {
        // A claim alone is one statement and needs no transaction around it.
        if let Some(request) = request {
            exchange.claimed = claim(connection, request).await?;
        }
    } else {
        let mut transaction = connection.begin().await?;
        exchange.accepted = finish(&mut transaction, ended).await?;
        if let Some(request) = request {
            exchange.claimed = claim(&mut transaction, request).await?;
        }
        transaction.commit().await?;
    }
    Ok(exchange)
}

/// Says that runs have begun, of which a claim took the first task. Apart from the claim, which holds locks on tasks: runs
/// are locked before tasks, never after. Where it does not come to that, the end of the run says it.
pub async fn mark_started(pool: &PgPool, runs: &[i64]) -> Result<(), RunError> {
    let mark =
        "update sluice.dag_run set started_at = clock_timestamp() where run_id = any ($1) and started_at is null";
    sqlx::query(mark).bind(runs).execute(pool).await?;
    Ok(())
}

/// Writes ends in the caller's transaction; gives the attempts that still held their token.
pub(super) async fn finish(connection: &mut PgConnection, ended: &[Ended]) -> Result<BTreeSet<i64>, RunError> {
    let within = within_budget(connection, ended).await?;
    let ended: &[Ended] = &within;
    let lines: Vec<_> = ended.iter().flat_map(|e| e.lines.iter().map(|line| (e.fence.attempt_id, line))).collect();
    insert_lines(connection, &lines).await?;
    let moved = close(connection, ended).await?;
    let (mut accepted, mut pools) = (BTreeSet::new(), BTreeSet::new());
    let mut tasks = Vec::new();
    let mut looks = Vec::new();
    for Moved { attempt_id, run_id, task, state, pool } in moved {
        accepted.insert(attempt_id);
        pools.extend(pool);
        let state: TaskState = state.parse()?;
        if state == TaskState::Waiting {
            let list = ended.iter().filter(|ended| ended.fence.attempt_id == attempt_id).find_map(Ended::expansion);
            if let Some(list) = list {
                pools.extend(expand(connection, run_id, &task, list).await?);
            }
        }
        if state == TaskState::Queued && ended.iter().any(|e| e.fence.attempt_id == attempt_id && e.is_look()) {
            looks.push(attempt_id);
        }
        if state.is_final() {
            tasks.push(EndedTask { run_id, task, state });
        }
    }
    if !looks.is_empty() {
        sqlx::query(include_str!("../../../../sql/runs/forget_looks.sql"))
            .bind(looks)
            .execute(&mut *connection)
            .await?;
    }
    advance(connection, tasks, pools).await?;
    Ok(accepted)
}

/// The ends as their runs' retry budgets allow them: where nothing is left, no other attempt follows.
async fn within_budget<'a>(connection: &mut PgConnection, ended: &'a [Ended]) -> Result<Cow<'a, [Ended]>, RunError> {
    if !ended.iter().any(|ended| ended.end.retries()) {
        return Ok(Cow::Borrowed(ended));
    }
    let refused: BTreeSet<i64> = sqlx::query_scalar(include_str!("../../../../sql/runs/spend_retries.sql"))
        .bind(ended.iter().map(|ended| ended.fence.attempt_id).collect::<Vec<_>>())
        .bind(ended.iter().map(|ended| ended.fence.token).collect::<Vec<_>>())
        .bind(ended.iter().map(|ended| ended.end.retries()).collect::<Vec<_>>())
        .fetch_all(connection)
        .await?
        .into_iter()
        .collect();
    let mut within = Cow::Borrowed(ended);
    if !refused.is_empty() {
        for ended in within.to_mut().iter_mut().filter(|ended| refused.contains(&ended.fence.attempt_id)) {
            ended.end.give_up("the retry budget of its run is spent");
        }
    }
    Ok(within)
}

/// A task that its attempt's end has moved on.
#[derive(sqlx::FromRow)]
struct Moved {
    attempt_id: i64,
    run_id: i64,
    task: String,
    state: String,
    pool: Option<String>,
}

async fn close(connection: &mut PgConnection, ended: &[Ended]) -> Result<Vec<Moved>, RunError> {
    let mut columns = Columns::default();
    for Ended { fence, end, .. } in ended {
        let (attempt, task) = end.states();
        columns.attempt_id.push(fence.attempt_id);
        columns.token.push(fence.token);
        columns.attempt_state.push(attempt.as_str());
        columns.task_state.push(task.as_str());
        let (mut output, mut domain, mut error, mut gated, mut away, mut delay, mut extra) =
            (None, None, None, false, None, 0.0, 0);
        match end {
            End::Success { output: value } => output = Some(clean(value)),
            End::Failed { domain: whose, error: text, gate, service, retry } => {
                domain = Some(whose.as_str());
                error = Some(without_nul(text));
                gated = *gate;
                away = *service;
                delay = retry.map_or(0.0, |wait| wait.as_secs_f64());
            }
            End::TimedOut { error: text, retry } => {
                domain = Some(ErrorDomain::External.as_str());
                error = Some(without_nul(text));
                delay = retry.map_or(0.0, |wait| wait.as_secs_f64());
            }
            End::Skipped { reason } => error = Some(without_nul(reason)),
            End::Expanded(_) => extra = 1,
            End::NotYet { reason, wait } => {
                error = Some(without_nul(reason));
                delay = wait.as_secs_f64();
            }
            End::Cancelled => error = Some("the run was cancelled".to_owned()),
            End::Released => {
                error = Some("its worker stopped".to_owned());
                extra = 1;
            }
            End::Lost { error: text, again } => {
                domain = Some(ErrorDomain::Internal.as_str());
                error = Some(without_nul(text));
                extra = i32::from(*again);
            }
        }
        columns.output.push(output);
        columns.domain.push(domain);
        columns.error.push(error);
        columns.gate.push(gated);
        columns.service.push(away);
        columns.delay.push(delay);
        columns.extra.push(extra);
    }
    Ok(sqlx::query_as(include_str!("../../../../sql/runs/finish.sql"))
        .bind(columns.attempt_id)
        .bind(columns.token)
        .bind(columns.attempt_state)
        .bind(columns.task_state)
        .bind(columns.output)
        .bind(columns.domain)
        .bind(columns.error)
        .bind(columns.gate)
        .bind(columns.delay)
        .bind(columns.extra)
        .bind(columns.service)
        .fetch_all(connection)
        .await?)
}

#[derive(Default)]
struct Columns {
    attempt_id: Vec<i64>,
    token: Vec<i64>,
    attempt_state: Vec<&'static str>,
    task_state: Vec<&'static str>,
    output: Vec<Option<Value>>,
    domain: Vec<Option<&'static str>>,
    error: Vec<Option<String>>,
    gate: Vec<bool>,
    service: Vec<Option<&'static str>>,
    delay: Vec<f64>,
    extra: Vec<i32>,
}

/// JSON without the one character that `jsonb` refuses.
pub(super) fn clean(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(without_nul(text)),
        Value::Array(items) => Value::Array(items.iter().map(clean).collect()),
        Value::Object(map) => Value::Object(map.iter().map(|(key, item)| (without_nul(key), clean(item))).collect()),
        other => other.clone(),
    }
}
