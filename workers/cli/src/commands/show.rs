//! `sluice show`: a run, its tasks, their attempts and what they loaded; or one task, or the items of a mapped one.

mod items;
mod task;

use std::process::ExitCode;

use chrono_tz::Tz;
use serde::Serialize;
use serde_json::Value;
use warehouse::{
    load::ledger::{self, LoadRow},
    runs::{self as store, AttemptRow, TaskRow},
};
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
    /// A run's number, or a DAG for its latest run; with a task, that one, or the items of a mapped one
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
    loads: Vec<LoadRow>,
}

pub(crate) async fn run(args: Args, ctx: &Context) -> anyhow::Result<ExitCode> {
    let pool = ctx.postgres().await?;
    let (run, task) = runs::split_task(&args.run);
    let run = runs::find_run(&pool, run).await?;
    let run_id = run.run_id;
    let mut shown = Shown {
        report: Report::read(&pool, run_id).await?,
        attempts: store::attempts(&pool, run_id).await?,
        loads: ledger::of_run(&pool, run_id).await?,
    };
    if let Some(name) = task {
        let tasks = &shown.report.tasks;
        let Some(row) = tasks.iter().find(|row| row.task == name) else {
            let hint = did_you_mean(name, tasks.iter().map(|row| row.task.as_str()));
            return Err(Failure::usage_hint(format!("run {run_id} has no task `{name}`"), hint).into());
        };
        if let Some(counts) = &row.items {
            let list = store::items(&pool, run_id, name).await?;
            return items::show(&list, &folded(name, counts), run_id, args.json, ctx);
        }
        shown.attempts.retain(|attempt| attempt.task == name);
        shown.loads.retain(|load| load.task.as_deref() == Some(name));
        return task::show(row, &shown, args.json, ctx);
    }
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
    show_loads(&shown.loads, run.run_id);
    Ok(ExitCode::SUCCESS)
}

/// What was loaded, and where to see what was held back.
fn show_loads(loads: &[LoadRow], run_id: i64) {
    if loads.is_empty() {
        return;
    }
    let cells: Vec<_> = loads
        .iter()
        .map(|load| {
            let counts = [load.read, load.loaded, load.quarantined, load.deduplicated].map(|count| count.to_string());
            let [read, loaded, quarantined, deduplicated] = counts;
            vec![load.dataset.clone(), read, loaded, quarantined, deduplicated, load.verdict.clone()]
        })
        .collect();
    output::line("");
    output::table(&["loaded into", "read", "loaded", "quarantined", "deduplicated", "gate"], &cells);
    if loads.iter().any(|load| load.quarantined > 0) {
        output::line(format!("\n`sluice quality quarantine --run {run_id}` shows the rows that were held back"));
    }
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
