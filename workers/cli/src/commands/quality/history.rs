//! `sluice quality history`: how a suite's evaluations went, and who changed it.

use std::process::ExitCode;

use chrono::{DateTime, Utc};
use quality::versions::{self, ChangeRow};
use serde::Serialize;
use sqlx::PgConnection;

use super::versions::{print, short};
use crate::{
    context::Context,
    output::{self, Style},
    runs,
};

/// Arguments of `sluice quality history`.
#[derive(clap::Args)]
pub(super) struct Args {
    /// A suite
    suite: String,
    /// How many evaluations, and how many changes
    #[arg(long, default_value_t = 20)]
    limit: u32,
    /// Print the evaluations as JSON
    #[arg(long)]
    json: bool,
}

#[derive(sqlx::FromRow, Serialize)]
struct Past {
    at: DateTime<Utc>,
    run_id: Option<i64>,
    task: Option<String>,
    load_id: Option<i64>,
    dataset: String,
    suite_hash: String,
    passed: i64,
    failed: i64,
    errored: i64,
    vacuous: i64,
    not_held: Vec<String>,
}

pub(super) async fn run(args: &Args, ctx: &Context) -> anyhow::Result<ExitCode> {
    let pool = ctx.postgres().await?;
    let mut connection = pool.acquire().await?;
    let past: Vec<Past> = sqlx::query_as(include_str!("../../../../../sql/quality/history.sql"))
        .bind(&args.suite)
        .bind(i64::from(args.limit))
        .fetch_all(&mut *connection)
        .await?;
    if args.json {
        output::json(&past)?;
        return Ok(ExitCode::SUCCESS);
    }
    let zone = ctx.project.timezone;
    let rows: Vec<_> = past
        .iter()
        .map(|p| {
            vec![
                runs::when(Some(p.at), zone),
                p.run_id.map(|id| id.to_string()).unwrap_or_default(),
                p.dataset.clone(),
                short(&p.suite_hash).to_owned(),
                p.passed.to_string(),
                p.failed.to_string(),
                p.errored.to_string(),
                p.vacuous.to_string(),
                p.not_held.join(", "),
            ]
        })
        .collect();
    let headings = ["at", "run", "dataset", "version", "passed", "failed", "errored", "vacuous", "not held"];
    output::table(&headings, &rows);
    for change in versions::history(&mut connection, &args.suite, i64::from(args.limit)).await? {
        output::line("");
        let told = format!("{}  {}  {}", runs::when(Some(change.at), zone), change.actor, became(&change));
        output::line(output::paint(&told, Style::Bold));
        changed(&mut connection, &args.suite, &change).await?;
    }
    Ok(ExitCode::SUCCESS)
}

fn became(change: &ChangeRow) -> String {
    match (&change.before, &change.hash) {
        (Some(before), Some(hash)) => format!("{} -> {}", short(before), short(hash)),
        (None, Some(hash)) => format!("first deployed as {}", short(hash)),
        (_, None) => "its file is gone".to_owned(),
    }
}

async fn changed(connection: &mut PgConnection, suite: &str, change: &ChangeRow) -> anyhow::Result<()> {
    let (Some(before), Some(hash)) = (&change.before, &change.hash) else { return Ok(()) };
    let old = versions::find(connection, suite, before).await?;
    let new = versions::find(connection, suite, hash).await?;
    if let (Some(old), Some(new)) = (old, new) {
        print(&versions::diff(suite, &old, &new), "  ");
    }
    Ok(())
}
