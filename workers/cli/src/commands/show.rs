//! `sluice show`: a run, its tasks and their attempts.

use std::process::ExitCode;

use serde::Serialize;
use warehouse::runs::{self as store, AttemptRow};

use crate::{
    context::Context,
    output::{self, Style},
    runs::{self, Report},
};

/// Arguments of `sluice show`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A run's number, or a DAG for its latest run
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
    let run_id = runs::find_run(&pool, &args.run).await?.run_id;
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
                task.not_before.map(|at| format!("next {}", runs::when(Some(at), zone))).unwrap_or_default(),
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
