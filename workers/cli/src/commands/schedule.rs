//! `sluice schedule`: makes runs when they are due, and takes up changed DAG files.

use std::{collections::BTreeMap, process::ExitCode, time::Duration};

use chrono::Utc;
use orchestrator::{Places, Retention, Scheduler, SchedulerOptions};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use warehouse::{
    pool::{PATIENCE, answered},
    runs as store,
};
use workflow::plan::Plan;

use crate::{context::Context, stop};

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
    let plans = ctx.files()?.plans;
    deploy(&pool, &plans).await?;
    let places = Places { folder: Some(ctx.dir.clone()), lake: Some(ctx.lake()?) };
    let workflow::project::Retention { archive_after, runs } = ctx.project.retention;
    let retention = Retention { archive_after: archive_after.0, runs: runs.map(|span| span.0) };
    let options = SchedulerOptions { places, retention, ..SchedulerOptions::default() };
    let scheduler = Scheduler::new(pool.clone(), options).run(cancel);
    let reload = reload(ctx, &pool, plans);
    tokio::select! {
        () = scheduler => {}
        () = reload => {}
    }
    Ok(())
}

/// Makes the project's DAGs those that are scheduled.
pub(crate) async fn deploy(pool: &PgPool, plans: &BTreeMap<String, Plan>) -> anyhow::Result<()> {
    for plan in plans.values() {
        answered(PATIENCE, store::deploy(pool, plan, Utc::now())).await?;
    }
    answered(PATIENCE, store::retire_others(pool, &plans.keys().cloned().collect::<Vec<_>>())).await?;
    Ok(())
}

async fn reload(ctx: &Context, pool: &PgPool, mut deployed: BTreeMap<String, Plan>) {
    let mut faulty = false;
    loop {
        tokio::time::sleep(RELOAD).await;
        let plans = match ctx.files() {
            Ok(files) => files.plans,
            Err(error) => {
                if !faulty {
                    tracing::warn!(%error, "files have faults; the last good ones stay in force");
                }
                faulty = true;
                continue;
            }
        };
        faulty = false;
        if plans == deployed {
            continue;
        }
        match deploy(pool, &plans).await {
            Ok(()) => {
                tracing::info!(dags = plans.len(), "changed DAGs taken up");
                deployed = plans;
            }
            Err(error) => tracing::warn!(%error, "changed DAGs cannot be taken up yet"),
        }
    }
}
