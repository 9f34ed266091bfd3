//! `sluice audit`: what people did, newest first.

use std::process::ExitCode;

use warehouse::runs as store;

use crate::{context::Context, output, runs};

/// Arguments of `sluice audit`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only what was done to this DAG and its runs
    #[arg(long)]
    dag: Option<String>,
    /// At most so many
    #[arg(long, short = 'n', default_value_t = 50)]
    limit: u32,
    /// As JSON
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: Args, ctx: &Context) -> anyhow::Result<ExitCode> {
    let rows = store::audit(&ctx.postgres().await?, args.dag.as_deref(), None, args.limit.into()).await?;
    if args.json {
        output::json(&rows)?;
        return Ok(ExitCode::SUCCESS);
    }
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            let detail = if row.detail.as_object().is_some_and(serde_json::Map::is_empty) {
                String::new()
            } else {
                row.detail.to_string()
            };
            vec![
                runs::when(Some(row.at), ctx.project.timezone),
                row.actor.clone(),
                row.via.clone(),
                row.act.clone(),
                row.dag.clone().unwrap_or_default(),
                row.run_id.map(|id| id.to_string()).unwrap_or_default(),
                row.task.clone().unwrap_or_default(),
                match (&row.reason, row.detail["to"].as_str()) {
                    (Some(reason), Some(to)) => format!("{to}: {reason}"),
                    (Some(reason), None) => reason.clone(),
                    (None, _) => detail,
                },
            ]
        })
        .collect();
    output::table(&["at", "actor", "via", "act", "dag", "run", "task", "why"], &cells);
    Ok(ExitCode::SUCCESS)
}
