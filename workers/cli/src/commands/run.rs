//! `sluice run`: a run by hand, of a DAG or of one of its tasks.

use std::process::ExitCode;

use chrono::{NaiveDate, Utc};
use warehouse::runs::{self as store, Created, NewRun, Trigger};
use workflow::diagnostic::did_you_mean;

use crate::{
    commands::work,
    context::{self, Context},
    exit::Failure,
    output::{self, Style},
    runs::{self, Report},
};

/// Arguments of `sluice run`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The DAG, or one of its tasks on what the tasks before it left last
    #[arg(value_name = "DAG[.TASK]")]
    dag: String,
    /// The day that the run stands for, in the DAG's time zone (default: now)
    #[arg(long, value_name = "YYYY-MM-DD")]
    date: Option<NaiveDate>,
    /// A parameter that differs from its default
    #[arg(long = "param", value_name = "NAME=VALUE")]
    params: Vec<String>,
    /// Work on the run here, and end when it ends: 0 success, 1 failed, 3 stopped by a gate, 4 a service is away
    #[arg(long)]
    wait: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: Args, ctx: &Context) -> anyhow::Result<ExitCode> {
    let (dag, only) = runs::split_task(&args.dag);
    let params = runs::params(&args.params)?;
    let plans = runs::plans(ctx)?;
    let plan = runs::find(&plans, dag)?;
    if let Some(task) = only
        && plan.task(task).is_none()
    {
        let hint = did_you_mean(task, plan.tasks.iter().map(|t| t.name.as_str()));
        return Err(Failure::usage_hint(format!("`{dag}` has no task `{task}`"), hint).into());
    }
    let logical_time = args.date.map_or_else(Utc::now, |day| runs::of_day(plan, day));
    let pool = ctx.postgres().await?;
    let new = NewRun { plan, logical_time, trigger: Trigger::Manual, params, only };
    let created = store::Person::new(&pool, &context::actor()).create(&new).await.map_err(runs::refused)?;
    let run_id = created.run_id();
    if let Created::Existing(_) = created {
        let state = store::run(&pool, run_id).await?.state;
        let at = runs::when(Some(logical_time), plan.timezone);
        let what_then = if store::is_archived(&mut *pool.acquire().await?, run_id).await? {
            "it is archived, and is not changed any more".to_owned()
        } else {
            format!("`sluice retry {run_id}` runs it again")
        };
        eprintln!("run {run_id} of {dag} for {at} exists already ({state}); {what_then}");
    }
    if !args.wait {
        if args.json {
            output::json(&Report::read(&pool, run_id).await?)?;
        } else if let Created::New(_) = created {
            output::line(format!("run {run_id} of {dag} is queued; `sluice logs {run_id} -f` follows it"));
        }
        return Ok(ExitCode::SUCCESS);
    }
    let drain = Box::pin(work::drain(ctx, &pool, run_id));
    if args.json {
        drain.await?;
    } else {
        output::line(output::paint(&format!("run {run_id} of {dag}"), Style::Bold));
        runs::follow(&pool, run_id, drain).await?;
    }
    let report = Report::read(&pool, run_id).await?;
    if args.json {
        output::json(&report)?;
    } else {
        let took = runs::took(Some(report.run.created_at), report.run.finished_at);
        output::line(format!("{}  run {run_id} of {dag} in {took}", output::state(&report.run.state)));
    }
    Ok(report.code())
}
