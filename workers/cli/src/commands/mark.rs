//! `sluice mark`: lets a task count as succeeded, failed or skipped, with a reason.

use std::process::ExitCode;

use serde_json::json;
use warehouse::runs::{self as store, Mark, RunError};
use workflow::diagnostic::did_you_mean;

use crate::{
    context::{self, Context},
    exit::Failure,
    output, runs,
};

/// Arguments of `sluice mark`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The task of a run: a run's number, or a DAG for its latest run
    #[arg(value_name = "RUN.TASK")]
    task: String,
    /// success, failed or skipped
    #[arg(value_name = "STATE")]
    state: String,
    /// Why; it is kept with the task and in the audit log
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// As JSON
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: Args, ctx: &Context) -> anyhow::Result<ExitCode> {
    let (run, Some(task)) = runs::split_task(&args.task) else {
        return Err(Failure::usage_hint(format!("`{}` names no task", args.task), "write RUN.TASK").into());
    };
    let mark: Mark = args.state.parse().map_err(|error: RunError| {
        Failure::usage_hint(error.to_string(), did_you_mean(&args.state, Mark::ALL.map(Mark::as_str)))
    })?;
    let pool = ctx.postgres().await?;
    let run_id = runs::find_run(&pool, run).await?.run_id;
    let actor = context::actor();
    let person = store::Person::new(&pool, &actor);
    let anew = person.mark(run_id, task, mark, &args.reason).await.map_err(|error| match error {
        RunError::StillOpen { .. } => {
            let hint = format!("`sluice cancel {run_id}` stops what runs; mark it then");
            Failure::usage_hint(format!("`{task}` of run {run_id} is running, so it cannot be marked"), hint).into()
        }
        other => runs::refused(other),
    })?;
    let state = store::run(&pool, run_id).await?.state;
    if args.json {
        output::json(
            &json!({ "run_id": run_id, "task": task, "marked": mark.as_str(), "decided_anew": anew, "state": state }),
        )?;
        return Ok(ExitCode::SUCCESS);
    }
    output::line(format!("{task} of run {run_id} is marked {}; the run is {state}", mark.as_str()));
    if !anew.is_empty() {
        output::line(format!("decided anew: {}", anew.join(", ")));
    }
    Ok(ExitCode::SUCCESS)
}
