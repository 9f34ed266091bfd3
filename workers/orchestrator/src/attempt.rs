//! One attempt, from its claim to its end.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::task::JoinHandle;
use uuid::Uuid;
use warehouse::{
    pool::answered,
    runs::{self, Claimed, End, Ended, RunError},
};
use workflow::{
    attempt::{Spent, Step},
    error::{ErrorDomain, TaskError},
    kind::TaskContext,
    plan::{Plan, PlannedTask},
    template,
};

use crate::{
    held::{Held, Left, Shared, StopReason},
    mapped::{self, Part},
    outputs, started,
};

type Outcome = Result<serde_json::Value, TaskError>;

/// Runs a claimed attempt and hands its end to the dispatcher. Never fails: every fault is an end.
pub(crate) async fn run(shared: Arc<Shared>, mut claimed: Claimed) {
    let Some(held) = shared.get(claimed.fence.attempt_id) else { return };
    let (end, straight_on) = match shared.plan(&claimed.dag, &claimed.version).await {
        Ok(known) => match known.task(&claimed.task) {
            Some(task) => {
                (one(&shared, &held, &known.plan, task, &mut claimed).await, known.straight_on(&claimed.task))
            }
            None => (Some(internal(format!("version {} of the DAG has no such task", claimed.version))), None),
        },
        Err(error) => {
            tracing::warn!(run_id = claimed.run_id, task = claimed.task, %error, "cannot read the plan");
            (Some(End::Released), None)
        }
    };
    let ended = end.map(|end| {
        let lines = held.log.take();
        // A look that found nothing leaves its reason and no log.
        let lines = if matches!(end, End::NotYet { .. }) { Vec::new() } else { lines };
        Ended { fence: claimed.fence, end, lines }
    });
    shared.leave(Left { held, ended, straight_on });
}

fn internal(error: String) -> End {
    End::Failed { domain: ErrorDomain::Internal, error, gate: false, service: None, retry: None }
}

async fn one(shared: &Shared, held: &Held, plan: &Plan, task: &PlannedTask, claimed: &mut Claimed) -> Option<End> {
    // What was not set up has left no output.
    if let Some(reason) = task.nothing_to_take_down(|setup| claimed.inputs.contains_key(setup)) {
        return Some(End::Skipped { reason });
    }
    let part = match &task.for_each {
        None => None,
        Some(_) => match answered(shared.options.lease, mapped::part(shared, task, claimed)).await {
            Ok(part) => Some(part),
            Err(error) => {
                tracing::warn!(run_id = claimed.run_id, task = claimed.task, %error, "cannot read the list");
                return Some(End::Released);
            }
        },
    };
    if let Some(Part::Item(item)) = &part {
        claimed.inputs.clone_from(&item.inputs);
    }
    let clock = match answered(shared.options.lease, Clock::start(shared, task, claimed)).await {
        Ok(clock) => clock,
        Err(error) => {
            tracing::warn!(run_id = claimed.run_id, task = claimed.task, %error, "cannot tell how long it may take");
            return Some(End::Released);
        }
    };
    // What waits for something has a last look at the end of its time.
    if !clock.looks && clock.left().is_some_and(|left| left.is_zero()) {
        return Some(clock.timed_out(held, task, claimed));
    }
    let lake = shared.options.lake.as_ref();
    if let Err(error) = outputs::fetch(lake, &mut claimed.inputs).await {
        return Some(failed(held, task, claimed, &clock, &error));
    }
    if let Some(Part::Collect(left)) = part {
        let collected = match mapped::collect(shared, &task.name, left).await {
            Ok(collected) => outputs::keep(lake, claimed, collected).await,
            Err(error) => Err(error),
        };
        return Some(match collected {
            Ok(output) => End::Success { output },
            Err(error) => failed(held, task, claimed, &clock, &error),
        });
    }
    let trigger = match started::by(shared, task, claimed).await {
        Ok(trigger) => trigger,
        Err(error) => {
            tracing::warn!(run_id = claimed.run_id, task = claimed.task, %error, "cannot tell what started the run");
            return Some(End::Released);
        }
    };
    let started = match start(shared, held, plan, task, (claimed, part.as_ref(), &trigger)) {
        Ok(Started::Kind(started)) => started,
        Ok(Started::Over(end)) => return Some(end),
        Err(error) => return Some(failed(held, task, claimed, &clock, &error)),
    };
    let outcome = watch(shared, held, clock.attempt_may_take(task), started).await;
    match (outcome, held.stop_reason()) {
        (Some(Ok(output)), _) => match outputs::keep(lake, claimed, output).await {
            Ok(output) => Some(End::Success { output }),
            Err(error) => Some(failed(held, task, claimed, &clock, &error)),
        },
        (_, Some(StopReason::LeaseLost)) => {
            tracing::warn!(run_id = claimed.run_id, task = claimed.task, "lease lost, the attempt was stopped");
            None
        }
        (_, Some(StopReason::RunCancelled)) => Some(End::Cancelled),
        (_, Some(StopReason::WorkerStops)) if task.repeatable => Some(End::Released),
        (_, Some(StopReason::WorkerStops)) => {
            Some(internal("its worker stopped in the middle, and its kind must not be repeated".to_owned()))
        }
        (_, Some(StopReason::TimedOut)) => Some(clock.timed_out(held, task, claimed)),
        (Some(Err(error)), None) => Some(match error.look_again {
            Some(wait) => not_yet(held, task, claimed, &clock, (&error, wait)),
            None => failed(held, task, claimed, &clock, &error),
        }),
        (None, None) => Some(internal("the attempt was aborted".to_owned())),
    }
}

/// What an attempt comes to.
enum Started {
    /// The kind is at work.
    Kind(JoinHandle<Outcome>),
    /// It has ended before that.
    Over(End),
}

/// Renders the task's keys and sets the kind to work in a task of its own, so that its panic is only its own.
fn start(
    shared: &Shared,
    held: &Held,
    plan: &Plan,
    task: &PlannedTask,
    (claimed, part, trigger): (&Claimed, Option<&Part>, &serde_json::Value),
) -> Result<Started, TaskError> {
    let kind = shared
        .registry
        .get(&task.kind)
        .cloned()
        .ok_or_else(|| TaskError::internal(format!("this worker does not know the kind `{}`", task.kind)))?;
    let scope = template::Scope {
        dag: &claimed.dag,
        task: &claimed.task,
        run_id: claimed.run_id,
        logical_time: claimed.logical_time,
        interval: claimed.interval,
        timezone: plan.timezone,
        params: &claimed.params,
        trigger,
        outputs: &claimed.inputs,
        item: mapped::item(task.for_each.as_ref(), part),
    };
    let config = match task.step(&scope)? {
        Step::Skip(reason) => return Ok(Started::Over(End::Skipped { reason })),
        Step::List(items) => return Ok(Started::Over(mapped::list(items, task))),
        Step::Work(config) => config,
    };
    let context = TaskContext {
        dag: claimed.dag.clone(),
        run_id: claimed.run_id,
        task: claimed.task.clone(),
        attempt: claimed.attempt,
        fence: claimed.fence,
        logical_time: claimed.logical_time,
        interval: claimed.interval,
        timezone: plan.timezone,
        params: claimed.params.clone(),
        inputs: claimed.inputs.clone(),
        log: held.log.sink(),
        cancel: held.cancel.clone(),
    };
    Ok(Started::Kind(tokio::spawn(async move { kind.run(config, &context).await })))
}

/// Waits for the kind to end: by itself, or within the grace once it has been told to stop. `None`: it had to be
/// aborted.
async fn watch(shared: &Shared, held: &Held, timeout: Duration, mut started: JoinHandle<Outcome>) -> Option<Outcome> {
    let joined = tokio::select! {
        joined = &mut started => joined,
        () = held.cancel.cancelled() => return stopped(shared.options.grace, started).await,
        () = tokio::time::sleep(timeout) => {
            held.stop(StopReason::TimedOut);
            return stopped(shared.options.grace, started).await;
        }
    };
    Some(joined.unwrap_or_else(|error| Err(panicked(error))))
}

async fn stopped(grace: Duration, mut started: JoinHandle<Outcome>) -> Option<Outcome> {
    if let Ok(joined) = tokio::time::timeout(grace, &mut started).await {
        Some(joined.unwrap_or_else(|error| Err(panicked(error))))
    } else {
        started.abort();
        // The kind's work must have left the process before its slot is given away.
        let _ = started.await;
        None
    }
}

fn panicked(error: tokio::task::JoinError) -> TaskError {
    let Ok(panic) = error.try_into_panic() else { return TaskError::internal("the attempt was aborted") };
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned());
    TaskError::internal(format!("the task panicked: {text}"))
}

fn failed(held: &Held, task: &PlannedTask, claimed: &Claimed, clock: &Clock, error: &TaskError) -> End {
    let text = error.chain();
    let retry = task.after_failure(clock.spent(claimed), error, luck()).ok();
    let log = held.log.sink();
    log.error(&text);
    if let Some(wait) = retry {
        log.info(format!("attempt {} of {}; the next in {wait:.1?}", claimed.attempt, claimed.max_attempts));
    }
    End::Failed { domain: error.domain, error: text, gate: error.gate, service: error.service, retry }
}

/// The end of a look that found nothing. There is another one as long as the task has time, the last when that is up.
fn not_yet(
    held: &Held,
    task: &PlannedTask,
    claimed: &Claimed,
    clock: &Clock,
    (error, wait): (&TaskError, Duration),
) -> End {
    match clock.left() {
        Some(left) if left.is_zero() => clock.timed_out(held, task, claimed),
        left => End::NotYet { reason: error.chain(), wait: left.map_or(wait, |left| wait.min(left)) },
    }
}

/// How long an attempt and its task may still take.
struct Clock {
    started: Instant,
    /// What the task as a whole had left at the start.
    had: Option<Duration>,
    /// Whether its kind waits for something.
    looks: bool,
}

impl Clock {
    async fn start(shared: &Shared, task: &PlannedTask, claimed: &Claimed) -> Result<Self, RunError> {
        let looks = shared.registry.get(&task.kind).is_some_and(|kind| kind.patience().is_some());
        let had = match task.total_timeout {
            None => None,
            // Of a mapped task each item has that time.
            Some(_) if task.for_each.is_some() && claimed.task == task.name => None,
            // Looks that found nothing do not count as attempts.
            Some(total) if claimed.attempt == 1 && !looks => Some(total.0),
            Some(total) => Some(total.0.saturating_sub(runs::spent(&shared.pool, claimed.task_run_id).await?)),
        };
        Ok(Self { started: Instant::now(), had, looks })
    }

    /// What the task as a whole has left; `None` for as long as it takes.
    fn left(&self) -> Option<Duration> {
        self.had.map(|had| had.saturating_sub(self.started.elapsed()))
    }

    fn attempt_may_take(&self, task: &PlannedTask) -> Duration {
        task.attempt_may_take(self.had, self.looks)
    }

    fn spent(&self, claimed: &Claimed) -> Spent {
        let Claimed { attempt, max_attempts: most, .. } = *claimed;
        Spent { attempt, most, left: self.left(), looks: self.looks }
    }

    fn timed_out(&self, held: &Held, task: &PlannedTask, claimed: &Claimed) -> End {
        let (error, retry) = task.after_timeout(self.spent(claimed), luck());
        held.log.sink().error(&error);
        End::TimedOut { error, retry: retry.ok() }
    }
}

/// A number in `0.0..1.0`.
fn luck() -> f64 {
    let bits = u32::try_from(Uuid::new_v4().as_u128() & u128::from(u32::MAX)).unwrap_or(0);
    f64::from(bits) / f64::from(u32::MAX)
}
