//! `sluice why`: why a run or a task stands as it does.

use std::process::ExitCode;

use warehouse::runs as store;

use crate::{
    context::Context,
    output::{self, Style},
    runs,
};

/// Arguments of `sluice why`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A run's number, or a DAG for its latest run; with a task, only about that
    #[arg(value_name = "RUN[.TASK]")]
    run: String,
    /// As JSON
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: Args, ctx: &Context) -> anyhow::Result<ExitCode> {
    let (run, task) = runs::split_task(&args.run);
    let pool = ctx.postgres().await?;
    let run = runs::find_run(&pool, run).await?;
    let answers = store::why(&pool, run.run_id, task).await.map_err(runs::refused)?;
    if args.json {
        output::json(&answers)?;
        return Ok(ExitCode::SUCCESS);
    }
    for (index, why) in answers.iter().enumerate() {
        if index > 0 {
            output::line("");
        }
        let name = why.task.clone().unwrap_or_else(|| format!("run {} of {}", run.run_id, run.dag));
        output::line(format!("{}  {}", output::state(&why.state), output::paint(&name, Style::Bold)));
        output::line(format!("  {}", why.because));
        for fact in &why.facts {
            output::line(format!("  · {fact}"));
        }
        if let Some(hint) = &why.hint {
            output::line(format!("  {}", output::paint(&format!("→ {hint}"), Style::Dim)));
        }
    }
    Ok(ExitCode::SUCCESS)
}
