//! `sluice backfill`: the runs of a DAG for a span of days, shown first and made with `--yes`.

use std::process::ExitCode;

use chrono::NaiveDate;
use serde::Serialize;
use warehouse::runs::{self as store, Created, NewRun, Trigger};

use crate::{
    commands::work,
    context::Context,
    exit::{self, Failure},
    output,
    runs::{self, Report},
};

/// Most runs that one call makes.
const MOST: usize = 5000;

/// Arguments of `sluice backfill`.
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
    /// A parameter that differs from its default
    #[arg(long = "param", value_name = "NAME=VALUE")]
    params: Vec<String>,
    /// Make the runs; without it they are only shown
    #[arg(long, short)]
    yes: bool,
    /// Work on the runs here, one after the other
    #[arg(long, requires = "yes")]
    wait: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Line {
    logical_time: chrono::DateTime<chrono::Utc>,
    interval: workflow::kind::DataInterval,
    run_id: Option<i64>,
    /// `new`, or the state of the run that exists.
    state: String,
}

pub(crate) async fn run(args: Args, ctx: &Context) -> anyhow::Result<ExitCode> {
    if args.to < args.from {
        return Err(Failure::usage(format!("--to {} comes before --from {}", args.to, args.from)).into());
    }
    let params = runs::params(&args.params)?;
    let plans = runs::plans(ctx)?;
    let plan = runs::find(&plans, &args.dag)?;
    plan.params(&params).map_err(|error| runs::refused(error.into()))?;
    let times = runs::logical_times(plan, args.from, args.to);
    if times.len() > MOST {
        let message = format!("that is {} runs, more than {MOST} at once", times.len());
        return Err(Failure::usage_hint(message, "take a shorter span").into());
    }
    let pool = ctx.postgres().await?;
    let mut lines = Vec::new();
    for logical_time in times {
        let known: Option<(i64, String)> =
            sqlx::query_as("select run_id, state from sluice.dag_run where dag = $1 and logical_time = $2")
                .bind(&plan.dag)
                .bind(logical_time)
                .fetch_optional(&pool)
                .await?;
        let interval = plan.interval(logical_time);
        let (run_id, state) = known.map_or_else(|| (None, "new".to_owned()), |(id, state)| (Some(id), state));
        lines.push(Line { logical_time, interval, run_id, state });
    }
    if args.yes {
        for line in lines.iter_mut().filter(|line| line.run_id.is_none()) {
            let trigger = Trigger::Backfill;
            let new = NewRun { plan, logical_time: line.logical_time, trigger, params: params.clone(), only: None };
            if let Created::New(run_id) = store::create(&pool, &new).await.map_err(runs::refused)? {
                line.run_id = Some(run_id);
                "queued".clone_into(&mut line.state);
            }
        }
    }
    show(&args, ctx, &lines)?;
    if args.wait { work(ctx, &lines, args.json).await } else { Ok(ExitCode::SUCCESS) }
}

fn show(args: &Args, ctx: &Context, lines: &[Line]) -> anyhow::Result<()> {
    if args.json {
        return output::json(&lines);
    }
    let zone = ctx.project.timezone;
    let cells: Vec<Vec<String>> = lines
        .iter()
        .map(|line| {
            vec![
                runs::when(Some(line.logical_time), zone),
                format!(
                    "{} – {}",
                    runs::when(Some(line.interval.start), zone),
                    runs::when(Some(line.interval.end), zone)
                ),
                line.run_id.map(|id| id.to_string()).unwrap_or_default(),
                output::state(&line.state),
            ]
        })
        .collect();
    output::table(&["logical time", "data", "run", "state"], &cells);
    let new = lines.iter().filter(|line| line.state == "new").count();
    if new > 0 {
        output::line(format!("{} would be made; add --yes to make them", exit::count(new, "run")));
    }
    Ok(())
}

async fn work(ctx: &Context, lines: &[Line], json: bool) -> anyhow::Result<ExitCode> {
    let pool = ctx.postgres().await?;
    let mut code = ExitCode::SUCCESS;
    for run_id in lines.iter().filter(|line| line.state == "queued").filter_map(|line| line.run_id) {
        work::drain(ctx, &pool, run_id).await?;
        let report = Report::read(&pool, run_id).await?;
        if !json {
            output::line(format!("{}  run {run_id}", output::state(&report.run.state)));
        }
        if report.run.state != "success" {
            code = report.code();
        }
    }
    Ok(code)
}
