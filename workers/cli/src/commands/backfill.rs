//! `sluice backfill`: the runs of a DAG for a span of days, shown first and made with `--yes`. The store holds them to
//! their order and to so many at once, so nothing has to stay open for them.

use std::process::ExitCode;

use chrono::NaiveDate;
use warehouse::runs::{self as store, NewBackfill, Planned};

use crate::{
    commands::work,
    context::{self, Context},
    exit::{self, Failure},
    output,
    runs::{self, Order, Report},
};

/// Arguments of `sluice backfill`.
#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    span: Option<Span>,
}

#[derive(clap::Subcommand)]
enum Action {
    /// List the backfills and clears, newest first
    List {
        /// Only those of this DAG
        dag: Option<String>,
        /// At most so many
        #[arg(long, short = 'n', default_value_t = 20)]
        limit: u32,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Stop a backfill: what waits is cancelled, what runs is told to end, nothing new starts
    Stop {
        /// Its number
        backfill: i64,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(clap::Args)]
struct Span {
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
    /// Which run goes first
    #[arg(long, value_enum, default_value_t = Order::Oldest)]
    order: Order,
    /// How many of the runs may be under way at once
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..))]
    parallel: u16,
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

pub(crate) async fn run(args: Args, ctx: &Context) -> anyhow::Result<ExitCode> {
    match (args.action, args.span) {
        (Some(Action::List { dag, limit, json }), _) => list(ctx, dag.as_deref(), limit, json).await,
        (Some(Action::Stop { backfill, json }), _) => stop(ctx, backfill, json).await,
        (None, Some(span)) => make(ctx, span).await,
        (None, None) => Err(Failure::usage("which DAG, and from when to when?").into()),
    }
}

async fn make(ctx: &Context, args: Span) -> anyhow::Result<ExitCode> {
    let params = runs::params(&args.params)?;
    let plans = runs::plans(ctx)?;
    let new = NewBackfill {
        plan: runs::find(&plans, &args.dag)?,
        from: args.from,
        to: args.to,
        params,
        parallel: args.parallel.into(),
        newest_first: args.order == Order::Newest,
    };
    let (pool, actor) = (ctx.postgres().await?, context::actor());
    let mut lines = store::plan_backfill(&pool, &new).await.map_err(runs::refused)?;
    let mut made = None;
    if args.yes && lines.iter().any(|line| line.run_id.is_none()) {
        let (backfill_id, runs) = store::Person::new(&pool, &actor).backfill(&new).await.map_err(runs::refused)?;
        (made, lines) = (Some(backfill_id), runs);
    }
    if args.json {
        output::json(&lines)?;
    } else {
        show(ctx, &lines);
    }
    if let Some(id) = made.filter(|_| !args.json) {
        output::line(format!("backfill {id} has begun; `sluice backfill stop {id}` stops it"));
    }
    if args.wait { work(ctx, &lines, args.json).await } else { Ok(ExitCode::SUCCESS) }
}

fn show(ctx: &Context, lines: &[Planned]) {
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
    let new = lines.iter().filter(|line| line.run_id.is_none()).count();
    if new > 0 {
        output::line(format!("{} would be made; add --yes to make them", exit::count(new, "run")));
    }
}

async fn list(ctx: &Context, dag: Option<&str>, limit: u32, json: bool) -> anyhow::Result<ExitCode> {
    let rows = store::backfills(&ctx.postgres().await?, dag, None, limit.into()).await?;
    if json {
        output::json(&rows)?;
        return Ok(ExitCode::SUCCESS);
    }
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            vec![
                row.backfill_id.to_string(),
                row.kind.clone(),
                row.dag.clone(),
                format!("{} – {}", row.from_day, row.to_day),
                row.state.clone(),
                format!("{}/{}", row.runs - row.queued - row.running, row.runs),
                row.failed.to_string(),
                row.parallel.to_string(),
                row.actor.clone(),
            ]
        })
        .collect();
    output::table(&["backfill", "kind", "dag", "days", "state", "ended", "failed", "parallel", "by"], &cells);
    Ok(ExitCode::SUCCESS)
}

async fn stop(ctx: &Context, backfill_id: i64, json: bool) -> anyhow::Result<ExitCode> {
    let (pool, actor) = (ctx.postgres().await?, context::actor());
    let stopped = store::Person::new(&pool, &actor).stop_backfill(backfill_id).await.map_err(runs::refused)?;
    if json {
        output::json(&stopped)?;
        return Ok(ExitCode::SUCCESS);
    }
    output::line(format!(
        "backfill {backfill_id} is stopped: {} cancelled before they began, {} told to end",
        exit::count(usize::try_from(stopped.cancelled)?, "run"),
        exit::count(usize::try_from(stopped.stopping)?, "run"),
    ));
    Ok(ExitCode::SUCCESS)
}

async fn work(ctx: &Context, lines: &[Planned], json: bool) -> anyhow::Result<ExitCode> {
    let pool = ctx.postgres().await?;
    let mut code = ExitCode::SUCCESS;
    for run_id in lines.iter().filter(|line| line.made).filter_map(|line| line.run_id) {
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
