//! `sluice quality suggest`: a suite to begin with, held to the data before it is printed.

use std::{path::Path, process::ExitCode, sync::Arc};

use quality::{Evaluation, Opened, Suggestion, Suite, profile::Profile};

use super::{evaluate_data, find_file, profile::profile_data, unreadable};
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
    let mut batches = Vec::new();
    for data in std::iter::once(&args.data).chain(&args.against) {
        batches.push(Batch::open(data, ctx).await?);
    }
    let profile = batches[0].profile(ctx).await?;
    let mut suggestion = Suggestion::new(&name, &args.data, &profile);
    loop {
        if suggestion.checks() == 0 {
            let hint = "are they batches of the same data?";
            return Err(Failure::usage_hint("no check holds for all of the data", hint).into());
        }
        let suite = suggestion.suite().map_err(Failure::Files)?;
        let mut found = Vec::new();
        for batch in &batches {
            found.push((batch.name.clone(), batch.evaluate(&suite, ctx).await?));
        }
        if !suggestion.learn(&found) {
            break;
        }
    }
    output::line(suggestion.yaml().trim_end());
    Ok(ExitCode::SUCCESS)
}

/// Data that the suite is held to, as often as it changes.
struct Batch {
    name: String,
    /// Where it is a file.
    file: Option<Arc<Opened>>,
}

impl Batch {
    async fn open(data: &str, ctx: &Context) -> anyhow::Result<Self> {
        let file = match find_file(data, &ctx.dir) {
            Some(path) => {
                let open = move || Opened::open(&path).map_err(|error| unreadable(&path, &error));
                Some(Arc::new(tokio::task::spawn_blocking(open).await??))
            }
            None => None,
        };
        Ok(Self { name: data.to_owned(), file })
    }

    async fn profile(&self, ctx: &Context) -> anyhow::Result<Profile> {
        let Some(file) = self.file.clone() else { return profile_data(&self.name, ctx).await };
        let profile = tokio::task::spawn_blocking(move || file.profile()).await?;
        Ok(profile.map_err(|error| unreadable(Path::new(&self.name), &error))?)
    }

    async fn evaluate(&self, suite: &Suite, ctx: &Context) -> anyhow::Result<Evaluation> {
        let Some(file) = self.file.clone() else { return evaluate_data(suite, &self.name, ctx).await };
        let suite = suite.clone();
        let evaluation = tokio::task::spawn_blocking(move || file.evaluate(&suite)).await?;
        Ok(evaluation.map_err(|error| unreadable(Path::new(&self.name), &error))?)
    }
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
