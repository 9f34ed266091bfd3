//! `sluice stream`: runs the project's streams; `list` and `dead` show what they have done.

use std::{error::Error as _, process::ExitCode, sync::Arc};

use anyhow::Context as _;
use chrono::Utc;
use streaming::{
    producer::create_topics,
    runtime::{self, Options},
    spec::Stream,
};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{
    context::Context,
    exit::Failure,
    files,
    output::{self, Style, paint},
    stop,
};

/// Arguments of `sluice stream`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// Run this stream alone; may be given more than once.
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// A name for this process that outlives it: started again under it, it gets its partitions back at once.
    #[arg(long, value_name = "NAME")]
    instance: Option<String>,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Every partition: offsets, lag, watermark, and what became of its records.
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// The latest dead letters: records that were late or could not be read.
    Dead {
        /// Of this stream alone.
        #[arg(long, value_name = "NAME")]
        stream: Option<String>,
        /// How many.
        #[arg(long, default_value_t = 50)]
        limit: i64,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

pub(crate) async fn run(args: Args, ctx: &Context) -> anyhow::Result<ExitCode> {
    match args.command {
        Some(Command::List { json }) => list(ctx, json).await,
        Some(Command::Dead { stream, limit, json }) => dead(ctx, stream.as_deref(), limit, json).await,
        None => {
            let streams = chosen(load(ctx)?, &args.only)?;
            run_all(ctx, streams, args.instance, stop::on_signal()).await?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Every stream of the project, from `dags/streams/`.
pub(crate) fn load(ctx: &Context) -> anyhow::Result<Vec<Stream>> {
    Ok(files::read_streams(&ctx.dir, &ctx.project).map_err(Failure::Files)?)
}

/// Runs streams side by side until `stop`. One that cannot go on stops them all.
pub(crate) async fn run_all(
    ctx: &Context,
    streams: Vec<Stream>,
    instance: Option<String>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    if streams.is_empty() {
        tracing::info!("the project has no streams");
        stop.cancelled().await;
        return Ok(());
    }
    let mut options = Options::new(ctx.kafka()?, ctx.postgres().await?, format!("sluice.{}", ctx.project.project));
    options.instance = instance;
    options.lake = Some(ctx.lake()?);
    let topics: Vec<_> = streams.iter().map(|s| s.topic.clone()).collect();
    let dead: Vec<_> = streams.iter().map(Stream::dead_topic).collect();
    for (topics, partitions) in [(topics, streaming::PARTITIONS), (dead, 1)] {
        let topics: Vec<_> = topics.iter().map(String::as_str).collect();
        create_topics(&options.brokers, &topics, partitions).await.map_err(|error| Failure::Service {
            service: "Kafka",
            at: options.brokers.clone(),
            cause: error.source().map_or_else(|| error.to_string(), ToString::to_string),
        })?;
    }
    let alive = CancellationToken::new();
    let presence = tokio::spawn({
        let (pool, every, alive) = (options.pool.clone(), options.seen_every, alive.clone());
        async move { runtime::announce(&pool, every, &alive).await }
    });
    let mut running = JoinSet::new();
    for stream in streams {
        tracing::info!(stream = stream.name, topic = stream.topic, rules = stream.rules().count(), "stream runs");
        running.spawn(runtime::run(Arc::new(stream), options.clone(), stop.clone()));
    }
    let mut first = Ok(());
    while let Some(ended) = running.join_next().await {
        let ended = ended.context("a stream's task failed").and_then(|result| Ok(result?));
        if ended.is_err() {
            stop.cancel();
            first = first.and(ended);
        }
    }
    alive.cancel();
    presence.await.context("a task of the stream process failed")?;
    first
}

fn chosen(streams: Vec<Stream>, only: &[String]) -> anyhow::Result<Vec<Stream>> {
    let names: Vec<_> = streams.iter().map(|s| s.name.clone()).collect();
    if let Some(unknown) = only.iter().find(|name| !names.contains(name)) {
        let hint = workflow::diagnostic::did_you_mean(unknown, names.iter().map(String::as_str));
        return Err(Failure::usage_hint(format!("there is no stream `{unknown}` in dags/streams"), hint).into());
    }
    Ok(streams.into_iter().filter(|s| only.is_empty() || only.contains(&s.name)).collect())
}

async fn list(ctx: &Context, json: bool) -> anyhow::Result<ExitCode> {
    let progress = runtime::progress(&ctx.postgres().await?, &[]).await.context("cannot read the streams' progress")?;
    if json {
        output::json(&progress)?;
        return Ok(ExitCode::SUCCESS);
    }
    if progress.is_empty() {
        output::line(paint("no stream has run yet; `sluice stream` runs them", Style::Dim));
        return Ok(ExitCode::SUCCESS);
    }
    let rows: Vec<_> = progress
        .iter()
        .map(|p| {
            vec![
                p.stream.clone(),
                p.topic.clone(),
                p.partition.to_string(),
                p.start_offset.to_string(),
                p.committed_offset.to_string(),
                p.lag.to_string(),
                p.watermark.map(|at| at.format("%Y-%m-%d %H:%M:%S%.3f").to_string()).unwrap_or_default(),
                p.counted.to_string(),
                p.deduplicated.to_string(),
                p.late.to_string(),
                p.malformed.to_string(),
                p.absent.to_string(),
                if p.adds_up() { "yes".to_owned() } else { paint("no", Style::Bad) },
            ]
        })
        .collect();
    output::table(
        &[
            "stream",
            "topic",
            "partition",
            "start",
            "committed",
            "lag",
            "watermark",
            "counted",
            "dedup",
            "late",
            "malformed",
            "absent",
            "adds up",
        ],
        &rows,
    );
    for stream in load(ctx)? {
        let partitions: Vec<_> = progress.iter().filter(|p| p.stream == stream.name).cloned().collect();
        if let Some(at) = runtime::stream_watermark(&partitions, stream.idle_after, Utc::now()) {
            let at = at.format("%Y-%m-%d %H:%M:%S%.3f");
            output::line(paint(&format!("{}: watermark {at}, idle partitions aside", stream.name), Style::Dim));
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn dead(ctx: &Context, stream: Option<&str>, limit: i64, json: bool) -> anyhow::Result<ExitCode> {
    let pool = ctx.postgres().await?;
    let letters = runtime::dead_letters(&pool, stream, limit.max(0)).await.context("cannot read the dead letters")?;
    if json {
        output::json(&letters)?;
        return Ok(ExitCode::SUCCESS);
    }
    let rows: Vec<_> = letters
        .iter()
        .map(|l| {
            vec![
                l.at.format("%Y-%m-%d %H:%M:%S").to_string(),
                l.stream.clone(),
                format!("{}/{}/{}", l.topic, l.partition, l.record_offset),
                l.reason.clone(),
                l.detail.clone(),
            ]
        })
        .collect();
    output::table(&["at", "stream", "position", "reason", "detail"], &rows);
    Ok(ExitCode::SUCCESS)
}
