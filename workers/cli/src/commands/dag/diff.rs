//! `sluice dag diff` and `versions`: the versions of a DAG, and what changed between two of them.

use std::collections::BTreeMap;

use serde_json::Value;
use sqlx::PgPool;
use warehouse::runs::{self as store, RunError};
use workflow::plan::{Change, Plan, PlanDiff, diff};

use crate::{
    context::Context,
    exit::Failure,
    output::{self, Style},
    runs,
};

/// Arguments of `sluice dag diff`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The DAG
    dag: String,
    /// The old version, or how it begins (default: the deployed one)
    old: Option<String>,
    /// The new version, or how it begins (default: the file)
    new: Option<String>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args, ctx: &Context, plans: &BTreeMap<String, Plan>) -> anyhow::Result<()> {
    let pool = ctx.postgres().await?;
    let old = match &args.old {
        Some(text) => version(&pool, &args.dag, text).await?,
        None => store::current_plan(&pool, &args.dag).await?.ok_or_else(|| {
            let hint = "`sluice schedule` deploys the files; `sluice dag versions DAG` lists what is stored";
            Failure::usage_hint(format!("no version of `{}` is deployed", args.dag), hint)
        })?,
    };
    let new = match &args.new {
        Some(text) => version(&pool, &args.dag, text).await?,
        None => runs::find(plans, &args.dag)?.clone(),
    };
    let found = diff(&old, &new);
    if args.json {
        return output::json(&found);
    }
    print(&found);
    Ok(())
}

pub(crate) async fn version(pool: &PgPool, dag: &str, text: &str) -> anyhow::Result<Plan> {
    store::find_version(pool, dag, text).await.map_err(|error| match error {
        RunError::NoVersion { .. } => {
            let hint = format!("`sluice dag versions {dag}` lists them; a beginning must fit one alone");
            Failure::usage_hint(error.to_string(), hint).into()
        }
        other => other.into(),
    })
}

/// What changed, for people: `+` is new, `-` is gone, `~` is different.
pub(crate) fn print(diff: &PlanDiff) {
    output::line(output::paint(&format!("{}: {} -> {}", diff.dag, diff.old, diff.new), Style::Bold));
    if diff.is_empty() {
        output::line("nothing changed");
    }
    for change in &diff.changes {
        output::line(format!("~ {}", words(change)));
    }
    for task in &diff.removed {
        output::line(output::paint(&format!("- task {task}"), Style::Bad));
    }
    for task in &diff.added {
        output::line(output::paint(&format!("+ task {task}"), Style::Good));
    }
    for task in &diff.changed {
        output::line(output::paint(&format!("~ task {}", task.task), Style::Warn));
        for change in &task.changes {
            output::line(format!("    {}", words(change)));
        }
    }
}

fn words(change: &Change) -> String {
    let side = |value: &Option<Value>| value.as_ref().map_or_else(|| "(absent)".to_owned(), Value::to_string);
    format!("{}: {} -> {}", change.key, side(&change.old), side(&change.new))
}

pub(super) async fn versions(ctx: &Context, dag: &str, json: bool) -> anyhow::Result<()> {
    let rows = store::versions(&ctx.postgres().await?, dag).await?;
    if rows.is_empty() {
        return Err(Failure::usage(format!("no version of `{dag}` was ever deployed or run")).into());
    }
    if json {
        return output::json(&rows);
    }
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            let since = runs::when(Some(row.created_at), ctx.project.timezone);
            let current = if row.current { "deployed" } else { "" };
            vec![row.version.clone(), since, row.runs.to_string(), current.to_owned()]
        })
        .collect();
    output::table(&["version", "first seen", "runs", ""], &cells);
    Ok(())
}
