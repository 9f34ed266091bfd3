//! `sluice quality versions` and `diff`: what a suite was, who changed it, and what that changed.

use std::{path::Path, process::ExitCode};

use quality::versions::{self, SuiteDiff, Version};
use serde_json::Value;
use sqlx::PgConnection;
use workflow::plan::Change;

use super::find_suite;
use crate::{
    context::Context,
    exit::Failure,
    output::{self, Style},
    runs,
};

/// Arguments of `sluice quality versions`.
#[derive(clap::Args)]
pub(super) struct VersionsArgs {
    /// A suite
    suite: String,
    /// Print this version's file, as it was when it was first seen
    #[arg(long, value_name = "VERSION")]
    text: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Arguments of `sluice quality diff`.
#[derive(clap::Args)]
pub(super) struct DiffArgs {
    /// A suite
    suite: String,
    /// The old version, or how it begins (default: the deployed one)
    old: Option<String>,
    /// The new version, or how it begins (default: the file)
    new: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn list(args: &VersionsArgs, ctx: &Context) -> anyhow::Result<ExitCode> {
    let pool = ctx.postgres().await?;
    let mut connection = pool.acquire().await?;
    if let Some(text) = &args.text {
        let found = version(&mut connection, &args.suite, text).await?;
        output::line(found.text.trim_end());
        return Ok(ExitCode::SUCCESS);
    }
    let rows = versions::versions(&mut connection, &args.suite).await?;
    if rows.is_empty() {
        let message = format!("no version of the suite `{}` was ever deployed or used", args.suite);
        return Err(Failure::usage_hint(message, known_suites(&ctx.dir, &args.suite)).into());
    }
    if args.json {
        output::json(&rows)?;
        return Ok(ExitCode::SUCCESS);
    }
    let zone = ctx.project.timezone;
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            vec![
                short(&row.hash).to_owned(),
                runs::when(Some(row.seen_at), zone),
                row.actor.clone().unwrap_or_default(),
                row.loads.to_string(),
                runs::when(row.judged_at, zone),
                if row.current { "deployed" } else { "" }.to_owned(),
            ]
        })
        .collect();
    output::table(&["version", "first seen", "by", "loads", "judged last", ""], &cells);
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn diff(args: &DiffArgs, ctx: &Context) -> anyhow::Result<ExitCode> {
    let pool = ctx.postgres().await?;
    let mut connection = pool.acquire().await?;
    let old = match &args.old {
        Some(text) => version(&mut connection, &args.suite, text).await?,
        None => versions::current(&mut connection, &args.suite).await?.ok_or_else(|| {
            let hint = "`sluice schedule` deploys the files; `sluice quality versions SUITE` lists what is kept";
            Failure::usage_hint(format!("no version of the suite `{}` is deployed", args.suite), hint)
        })?,
    };
    let new = match &args.new {
        Some(text) => version(&mut connection, &args.suite, text).await?,
        None => Version::of(&find_suite(&args.suite, &ctx.dir)?),
    };
    let found = versions::diff(&args.suite, &old, &new);
    if args.json {
        output::json(&found)?;
    } else {
        print(&found, "");
    }
    Ok(ExitCode::SUCCESS)
}

async fn version(connection: &mut PgConnection, suite: &str, text: &str) -> anyhow::Result<Version> {
    Ok(versions::find(connection, suite, text).await?.ok_or_else(|| {
        let hint = format!("`sluice quality versions {suite}` lists them; a beginning must fit one alone");
        Failure::usage_hint(format!("the suite `{suite}` has no version `{text}`"), hint)
    })?)
}

fn known_suites(dir: &Path, suite: &str) -> String {
    match find_suite(suite, dir) {
        Ok(_) => "`sluice schedule` deploys the files of a project; a gate keeps the suite that it uses".to_owned(),
        Err(_) => "`sluice quality list` shows the project's suites".to_owned(),
    }
}

/// A hash as far as people need it.
pub(super) fn short(hash: &str) -> &str {
    hash.get(..12).unwrap_or(hash)
}

/// What changed, for people: `+` is new, `-` is gone, `~` is different.
pub(super) fn print(diff: &SuiteDiff, indent: &str) {
    if indent.is_empty() {
        let heading = format!("{}: {} -> {}", diff.suite, short(&diff.old), short(&diff.new));
        output::line(output::paint(&heading, Style::Bold));
    }
    if diff.is_empty() {
        output::line(format!("{indent}nothing changed"));
    }
    for change in &diff.changes {
        output::line(format!("{indent}~ {}", words(change)));
    }
    for check in &diff.removed {
        output::line(output::paint(&format!("{indent}- check {check}"), Style::Bad));
    }
    for check in &diff.added {
        output::line(output::paint(&format!("{indent}+ check {check}"), Style::Good));
    }
    for check in &diff.changed {
        output::line(output::paint(&format!("{indent}~ check {}", check.check), Style::Warn));
        for change in &check.changes {
            output::line(format!("{indent}    {}", words(change)));
        }
    }
}

fn words(change: &Change) -> String {
    let side = |value: &Option<Value>| value.as_ref().map_or_else(|| "(absent)".to_owned(), Value::to_string);
    format!("{}: {} -> {}", change.key, side(&change.old), side(&change.new))
}
