//! `sluice cancel`: stops a run.

use std::process::ExitCode;

use warehouse::runs::{self as store, Cancelled};

use crate::{context::Context, output, runs};

/// Arguments of `sluice cancel`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A run's number, or a DAG for its latest run
    run: String,
}

pub(crate) async fn run(args: Args, ctx: &Context) -> anyhow::Result<ExitCode> {
    let pool = ctx.postgres().await?;
    let run = runs::find_run(&pool, &args.run).await?;
    let (id, dag) = (run.run_id, run.dag);
    output::line(match store::cancel(&pool, id).await.map_err(runs::refused)? {
        Cancelled::AlreadyOver(state) => format!("run {id} of {dag} had ended before: {state}"),
        Cancelled::Now => format!("run {id} of {dag} is cancelled"),
        Cancelled::Stopping(running) => {
            format!(
                "run {id} of {dag} is stopping; {} told to end",
                crate::exit::count(usize::try_from(running)?, "task")
            )
        }
    });
    Ok(ExitCode::SUCCESS)
}
