//! `sluice check`: every file a user wrote, every fault at once.

use std::process::ExitCode;

use serde::Serialize;
use workflow::diagnostic::Diagnostic;

use crate::{
    context::Context,
    exit::{Failure, count},
    output::{self, Style},
};

/// Arguments of `sluice check`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Print JSON: a list of faults, or of warnings where there are none, with file, line, field, message and hint
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Warned<'a> {
    #[serde(flatten)]
    warning: &'a Diagnostic,
    level: &'static str,
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
        let warnings = files.warnings.iter().map(|warning| Warned { warning, level: "warning" });
        output::json(&warnings.collect::<Vec<_>>())?;
        return Ok(ExitCode::SUCCESS);
    }
    for warning in &files.warnings {
        output::line(format!("{} {warning}", output::paint("warning:", Style::Warn)));
    }
    let warned = match files.warnings.len() {
        0 => String::new(),
        warnings => format!(", {}", count(warnings, "warning")),
    };
    let tasks = files.plans.values().map(|plan| plan.tasks.len()).sum();
    let checks = files.suites.values().map(|suite| suite.checks.len()).sum();
    output::line(format!(
        "{} {} with {}, {} with {}, {}, {}: no faults{warned}",
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
