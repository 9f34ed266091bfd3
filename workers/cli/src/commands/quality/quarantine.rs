//! `sluice quality quarantine`: the rows that gates held back, with every rule that they broke.

use std::process::ExitCode;

use serde::Serialize;
use serde_json::{Value, value::RawValue};

use super::dataset::must_be_known;
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
    /// Those too that were replayed or dismissed
    #[arg(long)]
    all: bool,
    /// How many rows
    #[arg(long, default_value_t = 20)]
    limit: u32,
    /// Print JSON, with whole rows; `sluice quality replay --from` takes it
    #[arg(long)]
    json: bool,
}

/// A row as its source had it.
#[derive(sqlx::FromRow, Serialize)]
struct Held {
    load_id: i64,
    seq: i64,
    run_id: Option<i64>,
    dataset: String,
    source_file: Option<String>,
    source_line: Option<i64>,
    state: String,
    rules: Vec<String>,
    /// The text that Postgres gives, so that no digit gets lost on the way to a correction and back.
    #[serde(serialize_with = "as_it_is")]
    row: String,
    #[serde(serialize_with = "if_any", skip_serializing_if = "Option::is_none")]
    corrected: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    settled_by: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

fn as_it_is<S: serde::Serializer>(json: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serde_json::from_str::<&RawValue>(json).map_err(serde::ser::Error::custom)?.serialize(serializer)
}

#[expect(clippy::ref_option, reason = "what serde calls")]
fn if_any<S: serde::Serializer>(json: &Option<String>, serializer: S) -> Result<S::Ok, S::Error> {
    as_it_is(json.as_deref().unwrap_or("null"), serializer)
}

pub(super) async fn run(args: &Args, ctx: &Context) -> anyhow::Result<ExitCode> {
    let pool = ctx.postgres().await?;
    if let Some(dataset) = &args.dataset {
        must_be_known(&pool, dataset).await?;
    }
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
        .bind(args.all)
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
        output::line(
            "no such row is held back; of a batch that its gate refused none is: `sluice why RUN` says why it was",
        );
        return Ok(ExitCode::SUCCESS);
    }
    let cells: Vec<_> = held.iter().map(Held::cells).collect();
    output::table(&["load", "run", "dataset", "source", "state", "rules", "row"], &cells);
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
            self.standing(),
            self.rules.join(", "),
            in_short(self.corrected.as_ref().unwrap_or(&self.row)),
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

    /// `open`, `replayed by load 7`, `dismissed: a test order`.
    fn standing(&self) -> String {
        match (self.settled_by, &self.reason) {
            (Some(load), _) => format!("{} by load {load}", self.state),
            (None, Some(reason)) => format!("{}: {reason}", self.state),
            (None, None) => self.state.clone(),
        }
    }
}

/// A row as far as a line has room for it: `sale_id=5 product=null`.
fn in_short(row: &str) -> String {
    const ROOM: usize = 120;
    let row: Value = serde_json::from_str(row).unwrap_or_default();
    let text = match row.as_object() {
        Some(columns) => columns.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" "),
        None => row.to_string(),
    };
    if text.chars().count() <= ROOM { text } else { text.chars().take(ROOM - 1).chain(['…']).collect() }
}
