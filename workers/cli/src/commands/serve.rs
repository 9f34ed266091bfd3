//! `sluice serve`: the web page, the API and the metrics.

use std::{net::SocketAddr, process::ExitCode, time::Duration};

use anyhow::Context as _;
use server::ServerOptions;
use tokio::net::{TcpListener, lookup_host};
use tokio_util::sync::CancellationToken;
use workflow::project::Metrics;

use crate::{context::Context, exit::Failure, output, stop};

/// How many ports the demo tries after a taken one.
const STEPS: u16 = 20;

/// How long a query of a page, of the API or of the metrics may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Arguments of `sluice serve`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Listen on this address instead of the one in sluice.yaml
    #[arg(long, value_name = "ADDRESS")]
    host: Option<String>,
    /// Listen on this port instead of the one in sluice.yaml
    #[arg(long)]
    port: Option<u16>,
    /// Also serve the demo's product ratings at /demo/ratings, and step on to a free port
    #[arg(long)]
    demo: bool,
}

pub(crate) async fn run(args: Args, ctx: &Context) -> anyhow::Result<ExitCode> {
    let web = &ctx.project.web;
    let host = args.host.as_deref().unwrap_or(&web.host);
    let port = args.port.unwrap_or(web.port);
    // Brings the tables up to date, which may take as long as it takes.
    ctx.postgres().await?;
    let listener = listen(host, port, if args.demo { STEPS } else { 0 }).await?;
    let bind = listener.local_addr()?;
    output::line(format!("listening on http://{bind}"));
    serve(ctx, listener, args.demo, stop::on_signal()).await?;
    Ok(ExitCode::SUCCESS)
}

/// Answers on `listener` until `cancel`.
pub(crate) async fn serve(
    ctx: &Context,
    listener: TcpListener,
    demo: bool,
    cancel: CancellationToken,
) -> anyhow::Result<()> {
    let pool = warehouse::pool::connect_bounded(&ctx.postgres_url()?, PATIENCE).await?;
    let options = ServerOptions {
        bind: listener.local_addr()?,
        hosts: ctx.project.web.names(),
        pool,
        folder: ctx.dir.clone(),
        project: ctx.project.project.clone(),
        currency: ctx.project.currency.clone(),
        timezone: ctx.project.timezone,
        closed_metrics: ctx.project.web.metrics == Metrics::Token,
        webhooks: ctx.project.webhooks.clone(),
        https: ctx.project.web.public_url.as_deref().is_some_and(|url| url.starts_with("https://")),
        demo: demo || ctx.project.web.demo,
    };
    Ok(server::serve_on(listener, options, cancel).await?)
}

/// Takes the port, or one of the `steps` after it.
pub(crate) async fn listen(host: &str, port: u16, steps: u16) -> anyhow::Result<TcpListener> {
    let mut address: SocketAddr = lookup_host((host, port))
        .await
        .with_context(|| format!("cannot find the address of `{host}`"))?
        .next()
        .with_context(|| format!("`{host}` has no address"))?;
    let last = port.saturating_add(steps);
    loop {
        match server::listen(address).await {
            Ok(listener) => return Ok(listener),
            Err(taken) if address.port() >= last => {
                let cause = std::error::Error::source(&taken).map_or_else(String::new, |cause| format!(": {cause}"));
                let hint = "choose another with --port, or with `web: { port: … }` in sluice.yaml";
                return Err(Failure::usage_hint(format!("{taken}{cause}"), hint).into());
            }
            Err(_) => address.set_port(address.port() + 1),
        }
    }
}
