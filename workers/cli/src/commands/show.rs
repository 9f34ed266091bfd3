//! `sluice show`: a run, its tasks and their attempts; or the items of a mapped task.

use std::process::ExitCode;

use chrono_tz::Tz;
use serde::Serialize;
use serde_json::Value;
use sqlx::PgPool;
use warehouse::runs::{self as store, AttemptRow, RunRow, TaskRow};
use workflow::{diagnostic::did_you_mean, state::TaskState};

use crate::{
    context::Context,
    exit::Failure,
    output::{self, Style},
    runs::{self, Report},
};

/// Arguments of `sluice show`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A run's number, or a DAG for its latest run; with a mapped task, the items of its list
    #[arg(value_name = "RUN[.TASK]")]
    run: String,
    /// As JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    report: Report,
    attempts: Vec<AttemptRow>,
}

pub(crate) async fn run(args: Args, ctx: &Context) -> anyhow::Result<ExitCode> {
    let pool = ctx.postgres().await?;
    let (run, task) = runs::split_task(&args.run);
    let run = runs::find_run(&pool, run).await?;
    let run_id = run.run_id;
    if let Some(task) = task {
        return items(&args, ctx, &pool, &run, task).await;
    }
    let shown = Shown { report: Report::read(&pool, run_id).await?, attempts: store::attempts(&pool, run_id).await? };
    if args.json {
        output::json(&shown)?;
        return Ok(ExitCode::SUCCESS);
    }
    let (run, zone) = (&shown.report.run, ctx.project.timezone);
    output::line(output::paint(&format!("run {} of {}", run.run_id, run.dag), Style::Bold));
    let stopping = if run.cancel_requested && run.finished_at.is_none() { " (stopping)" } else { "" };
    output::line(format!("state         {}{stopping}", output::state(&run.state)));
    output::line(format!("logical time  {}", runs::when(Some(run.logical_time), zone)));
    let interval = [run.interval_start, run.interval_end].map(|t| runs::when(Some(t), zone));
    output::line(format!("data          {} up to {}", interval[0], interval[1]));
    output::line(format!("trigger       {}, version {}", run.trigger, run.version));
    for cause in run.cause.as_ref().and_then(|cause| cause.as_array()).into_iter().flatten() {
        output::line(format!("              {}", store::cause_words(cause)));
    }
    output::line(format!("took          {}", runs::took(run.started_at, run.finished_at)));
    if run.params.as_object().is_some_and(|params| !params.is_empty()) {
        output::line(format!("params        {}", run.params));
    }
    output::line("");
    let cells: Vec<Vec<String>> = shown
        .report
        .tasks
        .iter()
        .map(|task| {
            vec![
                task.task.clone(),
                task.kind.clone(),
                output::state(&task.state),
                format!("{}/{}", task.attempts, task.max_attempts),
                runs::took(task.started_at, task.finished_at),
                note(task, zone),
            ]
        })
        .collect();
    output::table(&["task", "kind", "state", "attempts", "took", ""], &cells);
    for task in shown.report.tasks.iter().filter(|task| task.state != "success") {
        if let Some(reason) = &task.reason {
            output::line(format!("\n{}: {reason}", output::paint(&task.task, Style::Bold)));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What there is to say beside a task: when it goes on, or how its items stand.
fn note(task: &TaskRow, zone: Tz) -> String {
    let next = task.not_before.map(|at| format!("next {}", runs::when(Some(at), zone)));
    let looks = (task.looks > 0).then(|| match task.looks {
        1 => "looked once".to_owned(),
        n => format!("looked {n} times"),
    });
    let items = task.items.as_ref().map(|items| folded(&task.task, items));
    [next, looks, items].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// Many items in a few words: `load[0..999]: 2 failed, 998 success`.
fn folded(task: &str, items: &Value) -> String {
    let of = |key: &str| items[key].as_i64().filter(|n| *n > 0);
    let states = TaskState::ALL.iter().rev().filter_map(|state| Some(format!("{} {state}", of(state.as_str())?)));
    let states = states.collect::<Vec<_>>().join(", ");
    format!("{task}[0..{}]: {states}", of("total").unwrap_or(1) - 1)
}

/// The items of a mapped task: all that did not go well, and some of the others.
async fn items(args: &Args, ctx: &Context, pool: &PgPool, run: &RunRow, task: &str) -> anyhow::Result<ExitCode> {
    const MANY: usize = 50;
    let tasks = store::tasks(pool, run.run_id).await?;
    let Some(row) = tasks.iter().find(|row| row.task == task) else {
        let hint = did_you_mean(task, tasks.iter().map(|row| row.task.as_str()));
        return Err(Failure::usage_hint(format!("run {} has no task `{task}`", run.run_id), hint).into());
    };
    let items = store::items(pool, run.run_id, task).await?;
    if args.json {
        output::json(&items)?;
        return Ok(ExitCode::SUCCESS);
    }
    let text = row.items.as_ref().map_or_else(
        || format!("{task} of run {} has no items: it is not mapped, or its list is not known yet", run.run_id),
        |items| format!("{} of run {}", folded(task, items), run.run_id),
    );
    output::line(text);
    let (well, other): (Vec<_>, Vec<_>) = items.iter().partition(|item| item.state == TaskState::Success.as_str());
    let room = MANY.saturating_sub(other.len());
    let mut shown: Vec<_> = other.into_iter().chain(well.iter().copied().take(room)).collect();
    shown.sort_by_key(|item| item.place);
    if shown.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    output::line("");
    let zone = ctx.project.timezone;
    let cells: Vec<Vec<String>> = shown
        .iter()
        .map(|item| {
            vec![
                item.task.clone(),
                short(item.item.as_ref()),
                output::state(&item.state),
                format!("{}/{}", item.attempts, item.max_attempts),
                runs::took(item.started_at, item.finished_at),
                item.not_before.map(|at| format!("next {}", runs::when(Some(at), zone))).unwrap_or_default(),
                item.reason.as_deref().unwrap_or_default().lines().next().unwrap_or_default().to_owned(),
            ]
        })
        .collect();
    output::table(&["item", "value", "state", "attempts", "took", "", "reason"], &cells);
    if well.len() > room {
        output::line(format!("and {} more that succeeded; --json has them all", well.len() - room));
    }
    Ok(ExitCode::SUCCESS)
}

/// An item as far as a column has room for it.
fn short(item: Option<&Value>) -> String {
    let text = match item {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    };
    if text.chars().count() <= 40 { text } else { text.chars().take(39).chain(['…']).collect() }
}
