//! `sluice why`: why a run or a task stands as it does, and what a DAG waits for.

use std::process::ExitCode;

use serde::Serialize;
use warehouse::runs::{self as store, Why};

use crate::{
    context::Context,
    output::{self, Style},
    runs,
};

/// Arguments of `sluice why`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A run's number, or a DAG for what it waits for and for its latest run; with a task, only about that
    #[arg(value_name = "RUN[.TASK]")]
    run: String,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// What `--json` prints of a DAG.
#[derive(Serialize)]
struct OfDag {
    next: Option<Why>,
    run_id: Option<i64>,
    run: Vec<Why>,
}

/// What there is to say of a DAG that has a file, and that no scheduler has seen.
fn undeployed(ctx: &Context, dag: &str) -> Option<Why> {
    runs::plans(ctx).ok().filter(|plans| plans.contains_key(dag))?;
    Some(Why {
        task: None,
        state: "not deployed".to_owned(),
        because: "no scheduler has seen its file yet, so nothing but people starts it".to_owned(),
        facts: Vec::new(),
        hint: Some("`sluice schedule` puts the files into force and makes what is due".to_owned()),
    })
}

pub(crate) async fn run(args: Args, ctx: &Context) -> anyhow::Result<ExitCode> {
    let (run, task) = runs::split_task(&args.run);
    let pool = ctx.postgres().await?;
    let of_dag = task.is_none() && run.parse::<i64>().is_err();
    let next = if of_dag { store::why_next(&pool, run).await?.or_else(|| undeployed(ctx, run)) } else { None };
    let found = match &next {
        Some(_) => store::list(&pool, Some(run), None, 1).await?.pop(),
        None => Some(runs::find_run(&pool, run).await?),
    };
    let answers = match &found {
        Some(run) => store::why(&pool, run.run_id, task).await.map_err(runs::refused)?,
        None => Vec::new(),
    };
    if args.json {
        if of_dag {
            output::json(&OfDag { next, run_id: found.map(|run| run.run_id), run: answers })?;
        } else {
            output::json(&answers)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let next = next.map(|why| (run.to_owned(), why));
    let answers = answers.into_iter().map(|why| {
        let name = found.as_ref().map(|run| format!("run {} of {}", run.run_id, run.dag)).unwrap_or_default();
        (why.task.clone().unwrap_or(name), why)
    });
    for (index, (name, why)) in next.into_iter().chain(answers).enumerate() {
        if index > 0 {
            output::line("");
        }
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
