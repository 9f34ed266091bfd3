//! `sluice quality docs`: what the suites say and how they went, as a site in a folder.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use chrono::Utc;
use server::Docs;

use crate::{
    context::Context,
    exit::{self, Failure},
    files, output,
};

/// Arguments of `sluice quality docs`.
#[derive(clap::Args)]
pub(super) struct Args {
    /// The folder that it is written to
    #[arg(long, value_name = "DIR", default_value = "quality-docs")]
    out: PathBuf,
}

pub(super) async fn run(args: &Args, ctx: &Context) -> anyhow::Result<ExitCode> {
    let suites = files::read_suites(&ctx.dir).map_err(Failure::Files)?;
    let pool = ctx.postgres().await?;
    let docs = Docs {
        project: &ctx.project.project,
        timezone: ctx.project.timezone,
        suites: suites.values().collect(),
        now: Utc::now(),
    };
    let made = server::docs(&pool, &docs).await?;
    for file in &made {
        let path = args.out.join(&file.path);
        let folder = path.parent().unwrap_or(&args.out);
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        std::fs::write(&path, &file.content).with_context(|| format!("cannot write {}", path.display()))?;
    }
    output::line(format!("{} in {}", exit::count(suites.len(), "suite"), args.out.join("index.html").display()));
    Ok(ExitCode::SUCCESS)
}
