//! `sluice logs`: what the tasks of a run wrote.

use std::{collections::BTreeMap, process::ExitCode, time::Duration};

use warehouse::runs::{self as store, LogRow};
use workflow::{plan::parent_of, state::RunState};

use crate::{
    context::Context,
    exit::Failure,
    output::{self, Style},
    runs,
};

/// How often a reader who follows looks for more.
const EVERY: Duration = Duration::from_millis(300);

/// Arguments of `sluice logs`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A run's number, or a DAG for its latest run; and one of its tasks
    #[arg(value_name = "RUN[.TASK]")]
    run: String,
    /// Go on until the run has ended
    #[arg(long, short)]
    follow: bool,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: Args, ctx: &Context) -> anyhow::Result<ExitCode> {
    let pool = ctx.postgres().await?;
    let (run, task) = runs::split_task(&args.run);
    let run = runs::find_run(&pool, run).await?;
    if let Some(task) = task {
        let tasks = store::tasks(&pool, run.run_id).await?;
        // An item has the log of its own, and is known by its task.
        let name = parent_of(task).unwrap_or(task);
        if !tasks.iter().any(|known| known.task == name) {
            let hint = workflow::diagnostic::did_you_mean(task, tasks.iter().map(|known| known.task.as_str()));
            return Err(Failure::usage_hint(format!("run {} has no task `{task}`", run.run_id), hint).into());
        }
    }
    let mut seen: BTreeMap<i64, i64> = BTreeMap::new();
    loop {
        // The state is read before the lines: once it is final, no line comes after.
        let state: RunState = store::run(&pool, run.run_id).await?.state.parse()?;
        loop {
            let lines = store::log_lines(&pool, run.run_id, task, &seen).await?;
            for line in &lines {
                seen.insert(line.attempt_id, line.seq.max(seen.get(&line.attempt_id).copied().unwrap_or(0)));
                print(line, args.json, ctx.project.timezone)?;
            }
            if lines.is_empty() {
                break;
            }
        }
        if !args.follow || state.is_final() {
            return Ok(ExitCode::SUCCESS);
        }
        tokio::time::sleep(EVERY).await;
    }
}

fn print(line: &LogRow, json: bool, zone: chrono_tz::Tz) -> anyhow::Result<()> {
    if json {
        output::line(serde_json::to_string(line)?);
        return Ok(());
    }
    let at = line.at.with_timezone(&zone).format("%H:%M:%S%.3f");
    let origin = output::paint(&format!("{at} {}#{}", line.task, line.attempt), Style::Dim);
    let style = match line.level.as_str() {
        "error" => Some(Style::Bad),
        "warn" => Some(Style::Warn),
        _ => None,
    };
    let text = style.map_or_else(|| line.line.clone(), |style| output::paint(&line.line, style));
    output::line(format!("{origin}  {text}"));
    Ok(())
}
