//! `sluice all`: web page, scheduler, worker and streams in one process.

use std::process::ExitCode;

use orchestrator::WorkerOptions;

use crate::{
    commands::{schedule, serve, stream, work},
    context::Context,
    output, stop,
};

/// Arguments of `sluice all`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Tasks at once
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..))]
    slots: u16,
    /// Port of the web page instead of the one in sluice.yaml
    #[arg(long)]
    port: Option<u16>,
}

pub(crate) async fn run(args: Args, ctx: &Context) -> anyhow::Result<ExitCode> {
    let streams = stream::load(ctx)?;
    ctx.postgres().await?;
    let web = &ctx.project.web;
    let listener = serve::listen(&web.host, args.port.unwrap_or(web.port), 0).await?;
    output::line(format!("listening on http://{}", listener.local_addr()?));
    let cancel = stop::on_signal();
    // One part that cannot go on ends them all, in order: a half-running platform would look alive.
    let guard = cancel.clone().drop_guard();
    let ending = |result: anyhow::Result<()>| {
        cancel.cancel();
        result
    };
    let options = WorkerOptions { slots: args.slots.into(), ..WorkerOptions::default() };
    let (served, scheduled, worked, streamed) = tokio::join!(
        async { ending(serve::serve(ctx, listener, false, cancel.clone()).await) },
        async { ending(schedule::until(ctx, cancel.clone()).await) },
        async { ending(work::until(ctx, options, cancel.clone()).await) },
        async { ending(stream::run_all(ctx, streams, None, cancel.clone()).await) },
    );
    drop(guard);
    served.and(scheduled).and(worked).and(streamed)?;
    Ok(ExitCode::SUCCESS)
}
