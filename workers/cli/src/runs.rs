//! What the commands about runs share: finding them, following them, showing them, and the exit code they end with.

use std::{collections::BTreeMap, process::ExitCode, time::Duration};

use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use serde::Serialize;
use serde_json::{Map, Value};
use sqlx::PgPool;
use warehouse::{
    pool::{PATIENCE, answered},
    runs::{self, RunError, RunRow, TaskRow},
};
use workflow::{
    diagnostic::did_you_mean,
    plan::Plan,
    state::{RunState, TaskState},
};

use crate::{
    context::Context,
    exit::{self, Failure},
    output,
};

/// The project's DAGs, checked; faults in any file stop every command that starts something.
pub(crate) fn plans(ctx: &Context) -> anyhow::Result<BTreeMap<String, Plan>> {
    Ok(ctx.files()?.plans)
}

/// The DAG of that name.
pub(crate) fn find<'a>(plans: &'a BTreeMap<String, Plan>, dag: &str) -> anyhow::Result<&'a Plan> {
    plans.get(dag).ok_or_else(|| {
        let hint = did_you_mean(dag, plans.keys().map(String::as_str));
        Failure::usage_hint(format!("there is no DAG `{dag}` in dags/"), hint).into()
    })
}

/// Which run of a span goes first.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Order {
    /// By logical time
    Oldest,
    /// By logical time, backwards
    Newest,
}

/// `daily_sales.load_orders` or `12.load_orders`, in two.
pub(crate) fn split_task(text: &str) -> (&str, Option<&str>) {
    text.split_once('.').map_or((text, None), |(run, task)| (run, Some(task)))
}

/// What the run store refuses is the user's mistake in some cases and a fault in others.
pub(crate) fn refused(error: RunError) -> anyhow::Error {
    if error.is_usage() { Failure::usage(error.to_string()).into() } else { error.into() }
}

/// The run that `text` means.
pub(crate) async fn find_run(pool: &PgPool, text: &str) -> anyhow::Result<RunRow> {
    runs::find_run(pool, text).await.map_err(|error| match error {
        RunError::NoRun(_) | RunError::NoRunOf(_) => {
            Failure::usage_hint(error.to_string(), "`sluice ps` lists the runs").into()
        }
        other => other.into(),
    })
}

/// `key=value` pairs of `--param`.
pub(crate) fn params(pairs: &[String]) -> anyhow::Result<Map<String, Value>> {
    pairs
        .iter()
        .map(|pair| match pair.split_once('=') {
            Some((key, value)) => Ok((key.trim().to_owned(), Value::from(value))),
            None => {
                Err(Failure::usage_hint(format!("`{pair}` is not a parameter"), "write `--param name=value`").into())
            }
        })
        .collect()
}

/// What the run of a day stands for: the first fire of its schedule, or the day's beginning on a day without one.
pub(crate) fn of_day(plan: &Plan, day: NaiveDate) -> DateTime<Utc> {
    plan.logical_times(day, day, 1).first().copied().unwrap_or_else(|| plan.days(day, day).0)
}

/// The instant that an option means: the beginning of a local day, or a time with its offset.
pub(crate) fn instant(option: &str, text: &str, zone: Tz) -> anyhow::Result<DateTime<Utc>> {
    workflow::dag::instant(text, zone).ok_or_else(|| {
        let hint = "write `2026-01-31`, or `2026-01-31T06:00:00Z`";
        Failure::usage_hint(format!("--{option}: `{text}` is neither a date nor a time"), hint).into()
    })
}

/// A time as people in `zone` read it.
pub(crate) fn when(time: Option<DateTime<Utc>>, zone: Tz) -> String {
    time.map(|t| t.with_timezone(&zone).format("%Y-%m-%d %H:%M:%S").to_string()).unwrap_or_default()
}

/// How long it took, or has taken so far.
pub(crate) fn took(from: Option<DateTime<Utc>>, to: Option<DateTime<Utc>>) -> String {
    let Some(from) = from else { return String::new() };
    let seconds = (to.unwrap_or_else(Utc::now) - from).as_seconds_f64().max(0.0);
    match seconds {
        s if s < 1.0 => format!("{:.0} ms", s * 1000.0),
        s if s < 60.0 => format!("{s:.1} s"),
        s => {
            let whole = Duration::from_secs_f64(s).as_secs();
            if whole < 3600 {
                format!("{} m {:02} s", whole / 60, whole % 60)
            } else {
                format!("{} h {:02} m", whole / 3600, whole % 3600 / 60)
            }
        }
    }
}

/// A run with its tasks, as `sluice show --json` and `sluice run --wait --json` give it.
#[derive(Serialize)]
pub(crate) struct Report {
    #[serde(flatten)]
    pub(crate) run: RunRow,
    pub(crate) seconds: Option<f64>,
    pub(crate) tasks: Vec<TaskRow>,
}

impl Report {
    pub(crate) async fn read(pool: &PgPool, run_id: i64) -> anyhow::Result<Self> {
        let run = runs::run(pool, run_id).await?;
        let seconds = run.finished_at.map(|end| (end - run.created_at).as_seconds_f64());
        Ok(Self { seconds, tasks: answered(PATIENCE, runs::tasks(pool, run_id)).await?, run })
    }

    /// 0 for success, 3 where gates are all that failed, 4 where services out of reach are, else 1.
    pub(crate) fn code(&self) -> ExitCode {
        let failed: Vec<_> = self.tasks.iter().filter(|task| task.state == TaskState::Failed.as_str()).collect();
        match self.run.state.as_str() {
            state if state == RunState::Success.as_str() => ExitCode::SUCCESS,
            _ if failed.is_empty() => exit::FAILED.into(),
            _ if failed.iter().all(|task| task.gate) => exit::GATE.into(),
            _ if failed.iter().all(|task| task.service.is_some()) => exit::SERVICE.into(),
            _ => exit::FAILED.into(),
        }
    }
}

/// Prints each task as it ends, until `done`.
pub(crate) async fn follow(
    pool: &PgPool,
    run_id: i64,
    done: impl Future<Output = anyhow::Result<RunState>>,
) -> anyhow::Result<RunState> {
    let mut said: BTreeMap<String, i32> = BTreeMap::new();
    tokio::pin!(done);
    loop {
        let ended = tokio::select! {
            state = &mut done => Some(state?),
            () = tokio::time::sleep(Duration::from_millis(200)) => None,
        };
        for task in answered(PATIENCE, runs::tasks(pool, run_id)).await? {
            let over = task.state.parse::<TaskState>().is_ok_and(TaskState::is_final);
            // A task that runs again is said again.
            if over && said.insert(task.task.clone(), task.attempts) != Some(task.attempts) {
                output::line(task_line(&task));
            }
        }
        if let Some(state) = ended {
            return Ok(state);
        }
    }
}

fn task_line(task: &TaskRow) -> String {
    let mut line = format!("{}  {}", output::state(&task.state), task.task);
    if task.started_at.is_some() {
        line += &format!("  {}", took(task.started_at, task.finished_at));
    }
    if task.attempts > 1 {
        line += &format!("  {} attempts", task.attempts);
    }
    match &task.reason {
        Some(reason) if task.state != "success" => line + "\n    " + reason,
        _ => line,
    }
}
