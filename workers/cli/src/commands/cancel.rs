//! `sluice cancel`: stops a run.

use std::process::ExitCode;

use serde_json::json;
use warehouse::runs::{self as store, Cancelled};

use crate::{
    context::{self, Context},
    output, runs,
};

/// Arguments of `sluice cancel`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A run's number, or a DAG for its latest run
    run: String,
    /// Why; it is kept in the audit log
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: Args, ctx: &Context) -> anyhow::Result<ExitCode> {
    let pool = ctx.postgres().await?;
    let run = runs::find_run(&pool, &args.run).await?;
    let (id, dag) = (run.run_id, run.dag);
    let actor = context::actor();
    let person = store::Person::new(&pool, &actor);
    let cancelled = person.cancel(id, args.reason.as_deref()).await.map_err(runs::refused)?;
    if args.json {
        let stopping = if let Cancelled::Stopping(tasks) = cancelled { tasks } else { 0 };
        let state = store::run(&pool, id).await?.state;
        output::json(&json!({ "run_id": id, "dag": dag, "state": state, "stopping": stopping }))?;
        return Ok(ExitCode::SUCCESS);
    }
    output::line(match cancelled {
        Cancelled::AlreadyOver(state) => format!("run {id} of {dag} had ended before: {state}"),
        Cancelled::Now => format!("run {id} of {dag} is cancelled"),
        Cancelled::Stopping(running) => {
            let open = crate::exit::count(usize::try_from(running)?, "task");
            format!("run {id} of {dag} is stopping; {open} still to end")
        }
    });
    Ok(ExitCode::SUCCESS)
}
