//! `sluice work`: runs tasks, delivers messages, and tells others what runs do.

use std::process::ExitCode;

use orchestrator::{Worker, WorkerOptions};
use sqlx::PgPool;
use tasks::delivery::{Deliverer, DeliveryError, Policy, Settings};
use tokio_util::sync::CancellationToken;
use workflow::{
    span::{NotASpan, Span},
    state::RunState,
};

use crate::{context::Context, exit::Failure, stop, tellers::Tellers};

/// Arguments of `sluice work`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A queue to serve; may be given more than once (default: all)
    #[arg(long = "queue", value_name = "NAME")]
    queues: Vec<String>,
    /// A label to have, for the tasks that ask for it; may be given more than once
    #[arg(long = "label", value_name = "NAME")]
    labels: Vec<String>,
    /// Tasks at once
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..))]
    slots: u16,
    /// How soon its tasks return to the queue once it is gone, from 1s
    #[arg(long, value_name = "SPAN", default_value = "15s", value_parser = lease)]
    lease: Span,
}

/// A shorter one would be renewed more than three times a second, and lost to any pause.
fn lease(text: &str) -> Result<Span, String> {
    let span: Span = text.parse().map_err(|fault: NotASpan| fault.to_string())?;
    if span < Span::from_secs(1) { Err(format!("`{text}` is too short; 1s at least")) } else { Ok(span) }
}

pub(crate) async fn run(args: Args, ctx: &Context) -> anyhow::Result<ExitCode> {
    let options = WorkerOptions {
        queues: args.queues,
        labels: args.labels,
        slots: args.slots.into(),
        lease: args.lease.0,
        ..WorkerOptions::default()
    };
    until(ctx, options, stop::on_signal()).await?;
    Ok(ExitCode::SUCCESS)
}

/// Works, delivers and tells until `cancel`, then lets running tasks and messages end.
pub(crate) async fn until(ctx: &Context, options: WorkerOptions, cancel: CancellationToken) -> anyhow::Result<()> {
    let (pool, registry) = (ctx.postgres().await?, ctx.registry().await?);
    let (deliverer, tellers) = (deliverer(ctx, pool.clone())?, Tellers::new(ctx, &pool, &registry).await?);
    let options = WorkerOptions { lake: Some(ctx.lake()?), ..options };
    let worker = Worker::new(pool, registry, options);
    tokio::join!(worker.run(cancel.clone()), deliverer.run(&cancel), tellers.run(&cancel));
    Ok(())
}

/// Works on one run until it ends, and delivers and tells what it says.
pub(crate) async fn drain(ctx: &Context, pool: &PgPool, run_id: i64) -> anyhow::Result<RunState> {
    let (registry, lake, deliverer) = (ctx.registry().await?, ctx.lake()?, deliverer(ctx, pool.clone())?);
    let tellers = Tellers::new(ctx, pool, &registry).await?;
    let ended = CancellationToken::new();
    let work = async {
        let state = orchestrator::drain(pool, &registry, Some(lake), run_id).await;
        ended.cancel();
        state
    };
    let (state, (), ()) = tokio::join!(work, deliverer.run(&ended), tellers.run(&ended));
    Ok(state?)
}

/// What takes messages from the outbox to this project's channels.
fn deliverer(ctx: &Context, pool: PgPool) -> anyhow::Result<Deliverer> {
    let mut smtp = ctx.project.smtp.clone();
    if let Some(ca) = smtp.as_mut().and_then(|smtp| smtp.ca.as_mut()) {
        *ca = ctx.dir.join(&*ca);
    }
    let settings = Settings {
        project: ctx.project.project.clone(),
        channels: ctx.project.channels.clone(),
        smtp,
        folder: services::open_home(&ctx.home())?.join("outbox"),
        policy: Policy::default(),
    };
    Deliverer::new(pool, settings).map_err(|error| match error {
        DeliveryError::Smtp(_) => Failure::usage(error.to_string()).into(),
        other => other.into(),
    })
}
