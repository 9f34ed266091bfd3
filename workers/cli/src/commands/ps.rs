//! `sluice ps`: the runs, newest first; or the workers and what they run.

use std::process::ExitCode;

use warehouse::runs::{self as store, WorkerRow};
use workflow::state::RunState;

use crate::{
    context::Context,
    exit::Failure,
    output::{self, Style},
    runs,
};

/// Arguments of `sluice ps`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only runs of this DAG
    dag: Option<String>,
    /// Only runs in this state: running, success, failed, cancelled
    #[arg(long)]
    state: Option<String>,
    /// The workers instead, and what each of them runs
    #[arg(long, conflicts_with_all = ["dag", "state"])]
    workers: bool,
    /// At most so many
    #[arg(long, short = 'n', default_value_t = 20)]
    limit: u32,
    /// As JSON
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: Args, ctx: &Context) -> anyhow::Result<ExitCode> {
    if let Some(state) = &args.state {
        let known: Vec<_> = RunState::ALL.iter().map(|s| s.as_str()).collect();
        state.parse::<RunState>().map_err(|error| {
            Failure::usage_hint(error.to_string(), workflow::diagnostic::did_you_mean(state, known.iter().copied()))
        })?;
    }
    let pool = ctx.postgres().await?;
    if args.workers {
        return workers(ctx, &store::workers(&pool).await?, args.json);
    }
    let rows = store::list(&pool, args.dag.as_deref(), args.state.as_deref(), args.limit.into()).await?;
    if args.json {
        output::json(&rows)?;
        return Ok(ExitCode::SUCCESS);
    }
    let zone = ctx.project.timezone;
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|run| {
            vec![
                run.run_id.to_string(),
                run.dag.clone(),
                runs::when(Some(run.logical_time), zone),
                output::state(&run.state),
                format!("{}/{}", run.ended, run.tasks),
                run.trigger.clone(),
                runs::took(run.started_at, run.finished_at),
            ]
        })
        .collect();
    output::table(&["run", "dag", "logical time", "state", "tasks", "trigger", "took"], &cells);
    Ok(ExitCode::SUCCESS)
}

fn workers(ctx: &Context, rows: &[WorkerRow], json: bool) -> anyhow::Result<ExitCode> {
    if json {
        output::json(&rows)?;
        return Ok(ExitCode::SUCCESS);
    }
    let zone = ctx.project.timezone;
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            vec![
                row.worker.clone(),
                format!("{} ({})", row.host, row.pid),
                row.version.clone(),
                if row.queues.is_empty() { "all".to_owned() } else { row.queues.join(", ") },
                row.labels.join(", "),
                format!("{} of {}", row.tasks.len(), row.slots),
                if row.alive { "alive".to_owned() } else { "gone".to_owned() },
                runs::when(Some(row.seen_at), zone),
            ]
        })
        .collect();
    output::table(&["worker", "host", "version", "queues", "labels", "slots taken", "", "seen"], &cells);
    for row in rows.iter().filter(|row| !row.tasks.is_empty()) {
        output::line(format!("\n{}", output::paint(&row.worker, Style::Bold)));
        for task in &row.tasks {
            let attempt = if task.attempt > 1 { format!(", attempt {}", task.attempt) } else { String::new() };
            output::line(format!(
                "  {}.{} of run {}{attempt}, for {}",
                task.dag,
                task.task,
                task.run_id,
                runs::took(Some(task.since), None)
            ));
        }
    }
    Ok(ExitCode::SUCCESS)
}
