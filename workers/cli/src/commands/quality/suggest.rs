//! `sluice quality suggest`: a suite to begin with, held to the data before it is printed.

use std::{path::Path, process::ExitCode};

use quality::Suggestion;

use super::{evaluate_data, profile::profile_data};
use crate::{context::Context, exit::Failure, output};

#[derive(clap::Args)]
pub(super) struct Args {
    /// A Parquet or CSV file, a folder of Parquet files, or `schema.table`
    #[arg(long, value_name = "PATH|TABLE")]
    data: String,
    /// Another batch of the same data that the suite must hold for; may be given more than once
    #[arg(long, value_name = "PATH|TABLE")]
    against: Vec<String>,
    /// The suite's name, and its file's in quality/; that of the data where not given
    #[arg(long)]
    name: Option<String>,
}

pub(super) async fn run(args: &Args, ctx: &Context) -> anyhow::Result<ExitCode> {
    let name = args.name.clone().unwrap_or_else(|| name_of(&args.data));
    let profile = profile_data(&args.data, ctx).await?;
    let mut suggestion = Suggestion::new(&name, &args.data, &profile);
    loop {
        if suggestion.checks() == 0 {
            let hint = "are they batches of the same data?";
            return Err(Failure::usage_hint("no check holds for all of the data", hint).into());
        }
        let suite = suggestion.suite().map_err(Failure::Files)?;
        let mut found = Vec::new();
        for data in std::iter::once(&args.data).chain(&args.against) {
            found.push((data.clone(), evaluate_data(&suite, data, ctx).await?));
        }
        if !suggestion.learn(&found) {
            break;
        }
    }
    output::line(suggestion.yaml().trim_end());
    Ok(ExitCode::SUCCESS)
}

/// A suite's name for a file or a table: without folder, schema and endings.
pub(super) fn name_of(data: &str) -> String {
    let file = Path::new(data).file_name().and_then(|name| name.to_str()).unwrap_or(data);
    let mut stem = file;
    for ending in [".gz", ".csv", ".parquet"] {
        stem = stem.strip_suffix(ending).unwrap_or(stem);
    }
    let stem = stem.rsplit('.').next().unwrap_or(stem);
    let name: String = stem.chars().map(|c| if c.is_alphanumeric() || c == '-' { c } else { '_' }).collect();
    if name.is_empty() { "suite".to_owned() } else { name }
}
