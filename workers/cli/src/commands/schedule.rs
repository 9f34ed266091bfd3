//! `sluice schedule`: makes runs when they are due, and takes up changed files.

use std::{process::ExitCode, time::Duration};

use chrono::Utc;
use orchestrator::{Places, Retention, Scheduler, SchedulerOptions};
use quality::versions;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use warehouse::{
    pool::{PATIENCE, answered},
    runs as store,
};

use crate::{
    context::{self, Context},
    files::Files,
    stop,
};

/// How often changed files are looked for.
const RELOAD: Duration = Duration::from_secs(2);

/// Arguments of `sluice schedule`.
#[derive(clap::Args)]
pub(crate) struct Args {}

pub(crate) async fn run(_args: Args, ctx: &Context) -> anyhow::Result<ExitCode> {
    until(ctx, stop::on_signal()).await?;
    Ok(ExitCode::SUCCESS)
}

/// Schedules until `cancel`. Faults in the files at the start end it; later ones leave the last good plans in force.
pub(crate) async fn until(ctx: &Context, cancel: CancellationToken) -> anyhow::Result<()> {
    let pool = ctx.postgres().await?;
    let files = ctx.files()?;
    deploy(&pool, &files).await?;
    let places = Places { folder: Some(ctx.dir.clone()), lake: Some(ctx.lake()?) };
    let workflow::project::Retention { archive_after, runs } = ctx.project.retention;
    let retention = Retention { archive_after: archive_after.0, runs: runs.map(|span| span.0) };
    let options = SchedulerOptions { places, retention, ..SchedulerOptions::default() };
    let scheduler = Scheduler::new(pool.clone(), options).run(cancel);
    let reload = reload(ctx, &pool, files);
    tokio::select! {
        () = scheduler => {}
        () = reload => {}
    }
    Ok(())
}

/// Makes the project's DAGs those that are scheduled, and writes down which suites have changed.
pub(crate) async fn deploy(pool: &PgPool, files: &Files) -> anyhow::Result<()> {
    let Files { plans, suites, .. } = files;
    let mut connection = pool.acquire().await?;
    let actor = context::actor().name;
    answered(PATIENCE, versions::deploy(&mut connection, suites.values(), &actor)).await?;
    drop(connection);
    for plan in plans.values() {
        answered(PATIENCE, store::deploy(pool, plan, Utc::now())).await?;
    }
    answered(PATIENCE, store::retire_others(pool, &plans.keys().cloned().collect::<Vec<_>>())).await?;
    Ok(())
}

async fn reload(ctx: &Context, pool: &PgPool, mut deployed: Files) {
    let mut faulty = false;
    loop {
        tokio::time::sleep(RELOAD).await;
        let files = match ctx.files() {
            Ok(files) => files,
            Err(error) => {
                if !faulty {
                    tracing::warn!(%error, "files have faults; the last good ones stay in force");
                }
                faulty = true;
                continue;
            }
        };
        faulty = false;
        if files.plans == deployed.plans && hashes(&files) == hashes(&deployed) {
            continue;
        }
        match deploy(pool, &files).await {
            Ok(()) => {
                tracing::info!(dags = files.plans.len(), suites = files.suites.len(), "changed files taken up");
                deployed = files;
            }
            Err(error) => tracing::warn!(%error, "changed files cannot be taken up yet"),
        }
    }
}

fn hashes(files: &Files) -> Vec<(&str, &str)> {
    files.suites.values().map(|suite| (suite.name.as_str(), suite.hash.as_str())).collect()
}
