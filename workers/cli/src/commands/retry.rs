//! `sluice retry`: runs again what failed in a run, or one task, with everything behind it.

use std::process::ExitCode;

use warehouse::runs as store;

use crate::{
    commands::work,
    context::Context,
    output,
    runs::{self, Report},
};

/// Arguments of `sluice retry`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A run's number, or a DAG for its latest run; and the task to run again, whatever its state
    #[arg(value_name = "RUN[.TASK]")]
    run: String,
    /// Work on it here, and end when the run ends
    #[arg(long)]
    wait: bool,
}

pub(crate) async fn run(args: Args, ctx: &Context) -> anyhow::Result<ExitCode> {
    let pool = ctx.postgres().await?;
    let (run, task) = runs::split_task(&args.run);
    let run_id = runs::find_run(&pool, run).await?.run_id;
    let again = store::retry(&pool, run_id, task).await.map_err(runs::refused)?;
    output::line(format!(
        "run {run_id} goes on with {}: {}",
        crate::exit::count(again.len(), "task"),
        again.join(", ")
    ));
    if !args.wait {
        return Ok(ExitCode::SUCCESS);
    }
    runs::follow(&pool, run_id, Box::pin(work::drain(ctx, &pool, run_id))).await?;
    Ok(Report::read(&pool, run_id).await?.code())
}
