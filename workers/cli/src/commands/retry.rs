//! `sluice retry`: runs again what failed in a run, or one task, with everything behind it; on the version of the DAG
//! that the run keeps, or on another one.

use std::{collections::BTreeMap, process::ExitCode};

use serde_json::json;
use warehouse::runs::{self as store, Reach, Retry};
use workflow::plan::{Plan, parent_of};

use crate::{
    commands::{dag::diff, work},
    context::{self, Context},
    exit, output,
    runs::{self, Report},
};

/// Arguments of `sluice retry`.
#[derive(clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "a flag is a bool")]
pub(crate) struct Args {
    /// A run's number, or a DAG for its latest run; and the task to run again, whatever its state
    #[arg(value_name = "RUN[.TASK]")]
    run: String,
    /// Only the tasks themselves, not those behind them
    #[arg(long, conflicts_with = "downstream")]
    only: bool,
    /// The tasks and all behind them; this is the default
    #[arg(long)]
    downstream: bool,
    /// The version to go on with: old (the run's own), new (the file's), or how a version begins. What another one
    /// changes is shown first, and done with --yes
    #[arg(long, value_name = "old|new|VERSION", default_value = "old")]
    on: String,
    /// Go on with another version than the run's own
    #[arg(long, short)]
    yes: bool,
    /// Work on it here, and end when the run ends
    #[arg(long)]
    wait: bool,
    /// As JSON
    #[arg(long, conflicts_with = "wait")]
    json: bool,
}

pub(crate) async fn run(args: Args, ctx: &Context) -> anyhow::Result<ExitCode> {
    let pool = ctx.postgres().await?;
    let (run, task) = runs::split_task(&args.run);
    let run = runs::find_run(&pool, run).await?;
    let run_id = run.run_id;
    let on: Option<Plan> = match args.on.as_str() {
        "old" => None,
        "new" => Some(runs::find(&runs::plans(ctx)?, &run.dag)?.clone()),
        text => Some(diff::version(&pool, &run.dag, text).await?),
    };
    let on = on.filter(|plan| plan.version != run.version);
    let reach = if args.only { Reach::Only } else { Reach::Downstream };
    let wish = Retry { task, reach, on: on.as_ref() };
    let preview = on.is_some() && !args.yes;
    let actor = context::actor();
    let again = store::Person::new(&pool, &actor).retry(run_id, &wish, preview).await.map_err(runs::refused)?;
    if args.json {
        output::json(&json!({ "run_id": run_id, "done": !preview, "tasks": again.tasks, "diff": again.diff }))?;
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(changes) = &again.diff {
        diff::print(changes);
        output::line("");
    }
    let tasks = format!("{}: {}", exit::count(again.tasks.len(), "task"), names(&again.tasks));
    if preview {
        output::line(format!("run {run_id} would go on with {tasks}; what succeeded stays; add --yes to do it"));
        return Ok(ExitCode::SUCCESS);
    }
    output::line(format!("run {run_id} goes on with {tasks}"));
    if !args.wait {
        return Ok(ExitCode::SUCCESS);
    }
    runs::follow(&pool, run_id, Box::pin(work::drain(ctx, &pool, run_id))).await?;
    Ok(Report::read(&pool, run_id).await?.code())
}

/// Names of tasks, with those of one task's items as one.
fn names(tasks: &[String]) -> String {
    let mut items: BTreeMap<&str, usize> = BTreeMap::new();
    for task in tasks.iter().filter_map(|task| parent_of(task)) {
        *items.entry(task).or_default() += 1;
    }
    let own = tasks.iter().filter(|task| parent_of(task).is_none());
    let all = own.map(|task| match items.get(task.as_str()) {
        Some(items) => format!("{task} ({})", exit::count(*items, "item")),
        None => task.clone(),
    });
    all.collect::<Vec<_>>().join(", ")
}
