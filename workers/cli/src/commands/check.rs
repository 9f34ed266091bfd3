//! `sluice check`: every file a user wrote, every fault at once.

use std::process::ExitCode;

use serde_json::json;

use crate::{
    context::Context,
    exit::{Failure, count},
    output::{self, Style},
};

/// Arguments of `sluice check`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Print JSON: a list of faults with file, line, field, message and hint
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args, ctx: &Context) -> anyhow::Result<ExitCode> {
    let files = match ctx.files() {
        Ok(files) => files,
        Err(error) if args.json => match error.downcast_ref() {
            Some(Failure::Files(faults)) => {
                output::json(faults)?;
                return Err(Failure::Code(crate::exit::USAGE).into());
            }
            _ => return Err(error),
        },
        Err(error) => return Err(error),
    };
    if args.json {
        output::json(&json!([]))?;
        return Ok(ExitCode::SUCCESS);
    }
    let tasks = files.plans.values().map(|plan| plan.tasks.len()).sum();
    let checks = files.suites.values().map(|suite| suite.checks.len()).sum();
    output::line(format!(
        "{} {} with {}, {} with {}, {}, {}: no faults",
        output::paint("✓", Style::Good),
        count(files.plans.len(), "DAG"),
        count(tasks, "task"),
        count(files.suites.len(), "suite"),
        count(checks, "check"),
        count(files.models.models().len(), "model"),
        count(files.streams.len(), "stream"),
    ));
    Ok(ExitCode::SUCCESS)
}
