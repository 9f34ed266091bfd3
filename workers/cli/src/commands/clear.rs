//! `sluice clear`: runs again what was done in a span of days; shown first and done with `--yes`.

use std::process::ExitCode;

use chrono::NaiveDate;
use warehouse::runs as store;
use workflow::diagnostic::did_you_mean;

use crate::{
    context::{self, Context},
    exit::{self, Failure},
    output, runs,
};

/// Arguments of `sluice clear`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The DAG
    dag: String,
    /// First day, in the DAG's time zone
    #[arg(long, value_name = "YYYY-MM-DD")]
    from: NaiveDate,
    /// Last day, included
    #[arg(long, value_name = "YYYY-MM-DD")]
    to: NaiveDate,
    /// Only this task and those behind it
    #[arg(long)]
    task: Option<String>,
    /// How many of the runs may be under way at once
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..))]
    parallel: u16,
    /// Which run goes first
    #[arg(long, value_enum, default_value_t = runs::Order::Oldest)]
    order: runs::Order,
    /// Do it; without it, it is only shown
    #[arg(long, short)]
    yes: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: Args, ctx: &Context) -> anyhow::Result<ExitCode> {
    if args.to < args.from {
        return Err(Failure::usage(format!("--to {} comes before --from {}", args.to, args.from)).into());
    }
    let plans = runs::plans(ctx)?;
    let plan = runs::find(&plans, &args.dag)?;
    if let Some(task) = &args.task
        && plan.task(task).is_none()
    {
        let hint = did_you_mean(task, plan.tasks.iter().map(|t| t.name.as_str()));
        return Err(Failure::usage_hint(format!("`{}` has no task `{task}`", args.dag), hint).into());
    }
    let (pool, actor) = (ctx.postgres().await?, context::actor());
    let wish = store::Clear {
        plan,
        from: args.from,
        to: args.to,
        task: args.task.as_deref(),
        parallel: args.parallel.into(),
        newest_first: args.order == runs::Order::Newest,
    };
    let cleared = store::Person::new(&pool, &actor).clear(&wish, !args.yes).await.map_err(runs::refused)?;
    if args.json {
        output::json(&cleared)?;
        return Ok(ExitCode::SUCCESS);
    }
    let cells: Vec<Vec<String>> = cleared
        .runs
        .iter()
        .map(|run| {
            let tasks = if run.tasks.is_empty() { "left alone".to_owned() } else { run.tasks.join(", ") };
            let at = runs::when(Some(run.logical_time), ctx.project.timezone);
            vec![run.run_id.to_string(), at, output::state(&run.state), tasks]
        })
        .collect();
    output::table(&["run", "logical time", "state", "runs again"], &cells);
    let again = exit::count(cleared.runs.iter().filter(|run| !run.tasks.is_empty()).count(), "run");
    output::line(match cleared.backfill_id {
        Some(id) => format!("{again} cleared; `sluice backfill stop {id}` stops them"),
        None if args.yes => "nothing to clear".to_owned(),
        None => format!("{again} would run again; add --yes to do it"),
    });
    Ok(ExitCode::SUCCESS)
}
