//! `sluice work`: runs tasks and delivers messages.

use std::process::ExitCode;

use orchestrator::{Worker, WorkerOptions};
use tasks::delivery::{Deliverer, Policy, Settings};
use tokio_util::sync::CancellationToken;

use crate::{context::Context, stop};

/// Arguments of `sluice work`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A queue to serve; may be given more than once (default: all)
    #[arg(long = "queue", value_name = "NAME")]
    queues: Vec<String>,
    /// Tasks at once
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..))]
    slots: u16,
}

pub(crate) async fn run(args: Args, ctx: &Context) -> anyhow::Result<ExitCode> {
    let options = WorkerOptions { queues: args.queues, slots: args.slots.into(), ..WorkerOptions::default() };
    until(ctx, options, stop::on_signal()).await?;
    Ok(ExitCode::SUCCESS)
}

/// Works and delivers until `cancel`, then lets running tasks and messages end.
pub(crate) async fn until(ctx: &Context, options: WorkerOptions, cancel: CancellationToken) -> anyhow::Result<()> {
    let (pool, registry) = (ctx.postgres().await?, ctx.registry().await?);
    let settings = Settings {
        project: ctx.project.project.clone(),
        channels: ctx.project.channels.clone(),
        smtp: ctx.project.smtp.clone(),
        folder: ctx.home().join("outbox"),
        policy: Policy::default(),
    };
    let deliverer = Deliverer::new(pool.clone(), settings)?;
    tokio::join!(Worker::new(pool, registry, options).run(cancel.clone()), deliverer.run(&cancel));
    Ok(())
}
