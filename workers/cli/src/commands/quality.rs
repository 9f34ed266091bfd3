//! `sluice quality`: run a suite by hand or in CI, list suites, see how they went and what they held back.

mod contract;
mod dataset;
mod docs;
mod history;
mod profile;
mod quarantine;
mod replay;
mod suggest;
mod versions;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Subcommand;
use quality::{
    Beside, CheckOutcome, Evaluation, Outcome, QualityError, Suite, Table, Verdict, expectation::OtherDataset,
};
use serde_json::json;

use crate::{
    context::Context,
    exit::{self, Failure},
    files, output,
};

/// Arguments of `sluice quality`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a suite on a file or a table: exit 0 if it holds, 3 if not, 2 if the suite is wrong
    Run(RunArgs),
    /// Tell what a file or a table looks like: types, nulls, distinct and common values, spread, patterns of text
    Profile(profile::Args),
    /// Propose a suite for a file or a table, with the evidence, and print it as YAML
    Suggest(suggest::Args),
    /// Print the columns of a file or a table as a contract: types, order and which hold no nulls
    Contract(contract::Args),
    /// Show the rows that gates held back, with every rule that they broke
    Quarantine(quarantine::Args),
    /// Take rows that a gate held back through it again, corrected or judged by a suite that has changed: 3 if some stay
    Replay(replay::ReplayArgs),
    /// Give up rows that a gate held back, with a reason
    Dismiss(replay::DismissArgs),
    /// List the project's suites
    List(ListArgs),
    /// Write what the suites say and how they went as a site, to be read from a folder
    Docs(docs::Args),
    /// Show how a suite's last evaluations went, and who changed it
    History(history::Args),
    /// List the versions of a suite that were ever deployed or used
    Versions(versions::VersionsArgs),
    /// Show what changed between two versions of a suite
    Diff(versions::DiffArgs),
}

#[derive(clap::Args)]
struct RunArgs {
    /// A suite of quality/, or the path of a suite's file
    suite: String,
    /// A Parquet or CSV file, a folder of Parquet files, or `schema.table`
    #[arg(long, value_name = "PATH|TABLE")]
    data: String,
    /// Only checks with this tag, their own or the suite's; may be given more than once
    #[arg(long, value_name = "TAG")]
    tag: Vec<String>,
    /// Print the result in the shape of Great Expectations' validation result
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
struct ListArgs {
    /// Only suites with a check of this tag; may be given more than once
    #[arg(long, value_name = "TAG")]
    tag: Vec<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: Args, ctx: &Context) -> anyhow::Result<ExitCode> {
    match args.command {
        Command::Run(args) => evaluate(&args, ctx).await,
        Command::Profile(args) => profile::run(&args, ctx).await,
        Command::Suggest(args) => suggest::run(&args, ctx).await,
        Command::Contract(args) => contract::run(&args, ctx).await,
        Command::Quarantine(args) => Box::pin(ctx.answered(quarantine::run(&args, ctx))).await,
        Command::Replay(args) => Box::pin(ctx.answered(replay::replay(&args, ctx))).await,
        Command::Dismiss(args) => Box::pin(ctx.answered(replay::dismiss(&args, ctx))).await,
        Command::List(args) => list(&args, ctx),
        Command::Docs(args) => Box::pin(ctx.answered(docs::run(&args, ctx))).await,
        Command::History(args) => Box::pin(ctx.answered(history::run(&args, ctx))).await,
        Command::Versions(args) => Box::pin(ctx.answered(versions::list(&args, ctx))).await,
        Command::Diff(args) => Box::pin(ctx.answered(versions::diff(&args, ctx))).await,
    }
}

async fn evaluate(args: &RunArgs, ctx: &Context) -> anyhow::Result<ExitCode> {
    let suite = find_suite(&args.suite, &ctx.dir)?;
    let known: Vec<_> = suite.checks.iter().flat_map(|check| suite.tags_of(check)).collect();
    let suite = suite.tagged(&args.tag);
    if !args.tag.is_empty() && suite.checks.is_empty() {
        let hint = workflow::diagnostic::did_you_mean(&args.tag[0], known.iter().map(String::as_str));
        let message = format!("no check of the suite `{}` is tagged {}", suite.name, args.tag.join(" or "));
        return Err(Failure::usage_hint(message, hint).into());
    }
    let evaluation = evaluate_data(&suite, &args.data, ctx).await?;
    if args.json {
        output::json(&quality::validation_result(&suite, &evaluation))?;
    } else {
        print_evaluation(&evaluation);
    }
    // A file or a table has nobody who could hold rows back: what would be quarantined has failed.
    Ok(if evaluation.verdict >= Verdict::Quarantined { ExitCode::from(exit::GATE) } else { ExitCode::SUCCESS })
}

async fn evaluate_data(suite: &Suite, data: &str, ctx: &Context) -> anyhow::Result<Evaluation> {
    match find_file(data, &ctx.dir) {
        Some(path) => on_file(suite.clone(), path, ctx).await,
        None => on_table(suite, data, ctx).await,
    }
}

fn find_suite(name: &str, dir: &Path) -> anyhow::Result<Suite> {
    let as_path = Path::new(name);
    if as_path.extension().is_some_and(|extension| extension == "yaml" || extension == "json") {
        let text = std::fs::read_to_string(as_path).map_err(|e| Failure::usage(format!("cannot read {name}: {e}")))?;
        return Ok(Suite::parse(name, &text).map_err(Failure::Files)?);
    }
    let file = format!("quality/{name}.yaml");
    let Ok(text) = std::fs::read_to_string(dir.join(&file)) else {
        let known: Vec<_> = std::fs::read_dir(dir.join("quality"))
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok()?.path().file_stem()?.to_str().map(str::to_owned))
            .collect();
        let hint = workflow::diagnostic::did_you_mean(name, known.iter().map(String::as_str));
        return Err(Failure::usage_hint(format!("there is no suite `{name}` in quality/"), hint).into());
    };
    Ok(Suite::parse(&file, &text).map_err(Failure::Files)?)
}

/// The file that is meant, as typed or in the project's folder.
fn find_file(data: &str, dir: &Path) -> Option<PathBuf> {
    [PathBuf::from(data), dir.join(data)].into_iter().find(|path| path.exists())
}

async fn on_file(suite: Suite, path: PathBuf, ctx: &Context) -> anyhow::Result<Evaluation> {
    // A file alone asks no service.
    let beside = if suite.others().next().is_some() {
        let tables = suite.others().any(|other| matches!(other, OtherDataset::Table(_)));
        let pool = if tables { Some(ctx.postgres().await?) } else { None };
        tasks::beside::beside(pool, ctx.lake()?, &ctx.dir)
    } else {
        Beside::default()
    };
    let evaluated = tokio::task::spawn_blocking(move || {
        quality::evaluate_file_beside(&suite, &path, &beside).map_err(|error| unreadable(&path, &error))
    });
    Ok(evaluated.await??)
}

async fn on_table(suite: &Suite, data: &str, ctx: &Context) -> anyhow::Result<Evaluation> {
    let table = find_table(data)?;
    let pool = ctx.postgres().await?;
    let mut connection = pool.acquire().await?;
    quality::evaluate_table(&mut connection, suite, &table).await.map_err(refused)
}

/// The table that is meant where there is no such file. `may.csv` could be one, and is not.
fn find_table(data: &str) -> Result<Table, Failure> {
    let a_file =
        Path::new(data).extension().is_some_and(|end| ["csv", "gz", "parquet"].iter().any(|known| end == *known));
    let table = if a_file { None } else { data.parse().ok() };
    table.ok_or_else(|| {
        Failure::usage_hint(
            format!("there is no file `{data}`, and it is not a table"),
            "name a Parquet or CSV file, or write a table as `schema.table`",
        )
    })
}

fn refused(error: QualityError) -> anyhow::Error {
    match error {
        QualityError::NoTable(_) => Failure::usage(error.to_string()).into(),
        QualityError::Database(error) => error.into(),
    }
}

fn unreadable(path: &Path, error: &impl std::fmt::Display) -> Failure {
    Failure::usage(format!("cannot read {}: {error}", path.display()))
}

fn print_evaluation(evaluation: &Evaluation) {
    let rows: Vec<_> = evaluation
        .checks
        .iter()
        .map(|check| vec![mark(check), check.id.clone(), check.on_fail.to_string(), detail(check)])
        .collect();
    output::table(&["outcome", "check", "on fail", "observed"], &rows);
    output::line("");
    output::line(output::paint(&evaluation.summary(), output::Style::Bold));
}

fn mark(check: &CheckOutcome) -> String {
    let (text, style) = match check.outcome {
        Outcome::Passed => ("✓ passed", output::Style::Good),
        Outcome::Failed => ("✗ failed", output::Style::Bad),
        Outcome::Errored => ("! errored", output::Style::Bad),
        Outcome::Vacuous => ("– vacuous", output::Style::Dim),
    };
    output::paint(text, style)
}

fn detail(check: &CheckOutcome) -> String {
    let observed = &check.observed;
    if let Some(error) = observed["error"].as_str() {
        return error.to_owned();
    }
    if let Some(groups) = check.groups() {
        return groups;
    }
    let allowed = observed["allowed_count"].as_u64().map(|allowed| format!(" ({allowed} allowed)")).unwrap_or_default();
    match observed["unexpected_count"].as_u64() {
        Some(0) => format!("none of {} rows", observed["element_count"]),
        Some(count) => {
            let samples: Vec<_> = observed["partial_unexpected_list"]
                .as_array()
                .into_iter()
                .flatten()
                .take(3)
                .map(ToString::to_string)
                .collect();
            format!("{count} of {} rows{allowed}: {}", observed["element_count"], samples.join(", "))
        }
        None => observed["observed_value"].to_string(),
    }
}

fn list(args: &ListArgs, ctx: &Context) -> anyhow::Result<ExitCode> {
    let mut suites = files::read_suites(&ctx.dir).map_err(Failure::Files)?;
    suites = suites.into_iter().map(|(name, suite)| (name, suite.tagged(&args.tag))).collect();
    suites.retain(|_, suite| args.tag.is_empty() || !suite.checks.is_empty());
    if args.json {
        let all: Vec<_> = suites
            .values()
            .map(|suite| {
                json!({
                    "suite": suite.name,
                    "description": suite.description,
                    "owner": suite.owner,
                    "tags": suite.tags,
                    "hash": suite.hash,
                    "checks": suite.checks.iter().map(|check| json!({
                        "id": check.id,
                        "expectation": check.expectation_type,
                        "on_fail": suite.policy(check),
                        "severity": check.severity,
                        "description": check.description,
                        "owner": suite.owner_of(check),
                        "tags": suite.tags_of(check),
                    })).collect::<Vec<_>>(),
                    "anomalies": suite.watched.rules.iter().map(|rule| json!({
                        "id": rule.id,
                        "watches": rule.subject(),
                        "on_fail": rule.on_fail,
                        "severity": rule.severity,
                    })).collect::<Vec<_>>(),
                })
            })
            .collect();
        output::json(&all)?;
    } else {
        let rows: Vec<_> = suites
            .values()
            .map(|suite| {
                vec![
                    suite.name.clone(),
                    suite.checks.len().to_string(),
                    suite.watched.rules.len().to_string(),
                    suite.owner.clone().unwrap_or_default(),
                    tags(suite).join(", "),
                    suite.description.clone(),
                ]
            })
            .collect();
        output::table(&["suite", "checks", "anomalies", "owner", "tags", "description"], &rows);
    }
    Ok(ExitCode::SUCCESS)
}

/// All tags of a suite and its checks, each once.
fn tags(suite: &Suite) -> Vec<String> {
    let mut all = suite.tags.clone();
    for tag in suite.checks.iter().flat_map(|check| &check.tags) {
        if !all.contains(tag) {
            all.push(tag.clone());
        }
    }
    all
}
