//! `sluice ps`: the runs, newest first.

use std::process::ExitCode;

use warehouse::runs as store;
use workflow::state::RunState;

use crate::{context::Context, exit::Failure, output, runs};

/// Arguments of `sluice ps`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only runs of this DAG
    dag: Option<String>,
    /// Only runs in this state: running, success, failed, cancelled
    #[arg(long)]
    state: Option<String>,
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
