//! `sluice quality quarantine`: the rows that gates held back, with every rule that they broke.

use std::process::ExitCode;

use serde::Serialize;
use serde_json::Value;

use crate::{context::Context, output, runs};

/// Arguments of `sluice quality quarantine`.
#[derive(clap::Args)]
pub(super) struct Args {
    /// A table such as `staging.sales`; all of them if not said
    dataset: Option<String>,
    /// Only what this run held back: its number, or a DAG for its latest run
    #[arg(long)]
    run: Option<String>,
    /// Only rows that broke this rule, such as `quantity.between`
    #[arg(long)]
    rule: Option<String>,
    /// How many rows
    #[arg(long, default_value_t = 20)]
    limit: u32,
    /// Print JSON, with whole rows
    #[arg(long)]
    json: bool,
}

/// A row as its source had it.
#[derive(sqlx::FromRow, Serialize)]
struct Held {
    load_id: i64,
    run_id: Option<i64>,
    dataset: String,
    source_file: Option<String>,
    source_line: Option<i64>,
    rules: Vec<String>,
    row: Value,
}

pub(super) async fn run(args: &Args, ctx: &Context) -> anyhow::Result<ExitCode> {
    let pool = ctx.postgres().await?;
    let run_id = match &args.run {
        Some(run) => Some(runs::find_run(&pool, run).await?.run_id),
        None => None,
    };
    // One more than is shown tells whether there are more.
    let mut held: Vec<Held> = sqlx::query_as(include_str!("../../../../../sql/quality/quarantined.sql"))
        .bind(&args.dataset)
        .bind(run_id)
        .bind(&args.rule)
        .bind(i64::from(args.limit) + 1)
        .fetch_all(&pool)
        .await?;
    let shown = usize::try_from(args.limit)?;
    let more = held.len() > shown;
    held.truncate(shown);
    if args.json {
        output::json(&held)?;
        return Ok(ExitCode::SUCCESS);
    }
    if held.is_empty() {
        output::line("no such row is held back");
        return Ok(ExitCode::SUCCESS);
    }
    let cells: Vec<_> = held.iter().map(Held::cells).collect();
    output::table(&["load", "run", "dataset", "source", "rules", "row"], &cells);
    if more {
        output::line(format!("and more; --limit shows more than {shown}, --json whole rows"));
    }
    Ok(ExitCode::SUCCESS)
}

impl Held {
    fn cells(&self) -> Vec<String> {
        vec![
            self.load_id.to_string(),
            self.run_id.map(|id| id.to_string()).unwrap_or_default(),
            self.dataset.clone(),
            self.place(),
            self.rules.join(", "),
            in_short(&self.row),
        ]
    }

    /// `data/sales.csv:5`.
    fn place(&self) -> String {
        match (&self.source_file, self.source_line) {
            (Some(file), Some(line)) => format!("{file}:{line}"),
            (Some(file), None) => file.clone(),
            (None, Some(line)) => format!("row {line}"),
            (None, None) => String::new(),
        }
    }
}

/// A row as far as a line has room for it: `sale_id=5 product=null`.
fn in_short(row: &Value) -> String {
    const ROOM: usize = 120;
    let text = match row.as_object() {
        Some(columns) => columns.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" "),
        None => row.to_string(),
    };
    if text.chars().count() <= ROOM { text } else { text.chars().take(ROOM - 1).chain(['…']).collect() }
}
