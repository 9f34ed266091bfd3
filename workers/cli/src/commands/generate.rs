//! `sluice generate`: a synthetic shop's past into `MySQL` or CSV files, a burst of events into Kafka, or a present
//! that goes on until it is stopped.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::Context as _;
use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};
use secrecy::ExposeSecret;
use services::Service;
use simshop::{Event, EventStream, Settings, Shop, Traffic};
use sqlx::MySqlPool;
use streaming::producer::{self, Outgoing, Pace, Producer};
use tasks::generate::{Config, csv, live, mysql};
use tokio_util::sync::CancellationToken;
use workflow::error::{ErrorDomain, TaskError};

use crate::{
    context::Context,
    exit::{self, Failure},
    output, stop,
};

/// Events a second of the living shop, where `--rate` does not say.
const LIVE_RATE: f64 = 15.0;
/// Events of a burst, where `--events` does not say.
const BURST: u64 = 10_000;
/// How far ahead of the clock the last event of a burst may be, in seconds.
const MOST_AHEAD: f64 = 30.0;

/// How long the living shop waits for a service that does not answer before it looks again.
const PAUSE: Duration = Duration::from_secs(2);

/// Arguments of `sluice generate`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Multiplies customers, products and orders; 1 is 10,000, 500 and 50,000 a year.
    #[arg(long, default_value_t = 1.0)]
    scale: f64,
    /// Everything random follows from it.
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// Length of the past in days.
    #[arg(long, default_value_t = 365)]
    days: u32,
    /// Where the past ends: a date, or a time as in 2026-06-01T12:00:00Z. Default: now, or where the first run
    /// ended it.
    #[arg(long, value_parser = instant)]
    until: Option<DateTime<Utc>>,
    /// Share of rows that carry a planted fault.
    #[arg(long, default_value_t = 0.01)]
    dirty_rate: f64,
    /// Where it goes.
    #[arg(long, value_enum, default_value_t = Target::Mysql)]
    to: Target,
    /// The folder for CSV files.
    #[arg(value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Events a second, to Kafka.
    #[arg(long, value_name = "N/s", value_parser = rate)]
    rate: Option<f64>,
    /// Events of a burst to Kafka.
    #[arg(long)]
    events: Option<u64>,
    /// Orders and clicks from now on, into `MySQL` and Kafka, until stopped. A shop without a past gets one first.
    #[arg(long)]
    live: bool,
}

/// Where generated rows or events go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Target {
    /// The shop's database.
    Mysql,
    /// CSV files in DIR, one a table.
    Csv,
    /// The topics shop.orders and shop.clicks.
    Kafka,
}

/// `15`, `15/s`.
fn rate(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix("/s").unwrap_or(text);
    let rate: f64 = number.parse().map_err(|_| format!("`{text}` is not a number of events a second"))?;
    if rate > 0.0 && rate <= 1e7 { Ok(rate) } else { Err(format!("`{text}` is not between 0 and 10,000,000")) }
}

/// A date stands for its first instant in UTC.
fn instant(text: &str) -> Result<DateTime<Utc>, String> {
    if let Ok(date) = text.parse::<NaiveDate>() {
        return Ok(date.and_time(NaiveTime::MIN).and_utc());
    }
    DateTime::parse_from_rfc3339(text)
        .map(|at| at.to_utc())
        .map_err(|_| format!("`{text}` is neither a date such as 2026-06-01 nor a time such as 2026-06-01T12:00:00Z"))
}

pub(crate) async fn run(args: Args, ctx: &Context) -> anyhow::Result<ExitCode> {
    let config =
        Config { seed: args.seed, scale: args.scale, days: args.days, until: args.until, dirty_rate: args.dirty_rate };
    if let Some(problem) = config.problems().into_iter().next() {
        let field = problem.field.replace('_', "-");
        return Err(Failure::usage(format!("--{field}: {}", problem.message)).into());
    }
    let stop = stop::on_signal();
    match args.to {
        _ if args.live => present(ctx, &args, &config, &stop).await?,
        Target::Mysql => past(ctx, &config, &stop).await?,
        Target::Csv => files(&args, config).await?,
        Target::Kafka => burst(ctx, &args, &config, &stop).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn past(ctx: &Context, config: &Config, stop: &CancellationToken) -> anyhow::Result<()> {
    let pool = shop(ctx).await?;
    let written = mysql::write(&pool, config, Utc::now(), stop, output::line).await.map_err(explained)?;
    if written.chunks_written == 0 {
        output::line(format!("the shop was generated before, until {}: nothing changed", written.until));
    }
    Ok(())
}

async fn files(args: &Args, config: Config) -> anyhow::Result<()> {
    let Some(dir) = args.dir.clone() else {
        return Err(Failure::usage_hint("--to csv needs a folder", "sluice generate --to csv DIR").into());
    };
    let settings = config.settings(Utc::now());
    let target = dir.clone();
    let counts = tokio::task::spawn_blocking(move || csv::write(&target, &settings))
        .await?
        .with_context(|| format!("cannot write to {}", dir.display()))?;
    let rows: Vec<Vec<String>> = counts.iter().map(|(table, n)| vec![(*table).to_owned(), n.to_string()]).collect();
    output::table(&["table", "rows"], &rows);
    Ok(())
}

async fn burst(ctx: &Context, args: &Args, config: &Config, stop: &CancellationToken) -> anyhow::Result<()> {
    let brokers = ctx.kafka()?;
    prepare_topics(&brokers).await?;
    let (count, rate) = (args.events.unwrap_or(BURST), args.rate.unwrap_or(1_000.0));
    // Sent faster than they happen, the last ones would be ahead of the clock, which streams refuse.
    let ahead = if args.rate.is_some() { 0.0 } else { (count as f64 / rate - MOST_AHEAD).max(0.0) };
    let start = Utc::now() - Duration::from_secs_f64(ahead.min(1e9));
    let shop = Shop::new(Settings { days: 30, ..config.settings(start) });
    let traffic = Traffic { events_per_s: rate, ..Traffic::default() };
    let events = EventStream::of(shop, config.seed, start, traffic).map(Outgoing::from);
    let pace = Pace { rate: args.rate, events: Some(count), duration: None };
    let sent = producer::produce(&brokers, events, pace, stop).await?;
    output::line(format!("{} events, {} bytes, in {:.1} s", sent.events, sent.bytes, sent.seconds));
    Ok(())
}

/// The shop lives until it is stopped. A service that goes away is waited for.
async fn present(ctx: &Context, args: &Args, config: &Config, stop: &CancellationToken) -> anyhow::Result<()> {
    let pool = shop(ctx).await?;
    mysql::complete(&pool, config, Utc::now(), stop, output::line).await.map_err(explained)?;
    let traffic = Traffic {
        events_per_s: args.rate.unwrap_or(LIVE_RATE),
        attack_every: Some(TimeDelta::seconds(55)),
        new_customer_rate: 0.08,
        ..Traffic::default()
    };
    tracing::info!(events_per_s = traffic.events_per_s, "the shop lives");
    while !stop.is_cancelled() {
        match live(ctx, &traffic, stop).await {
            Ok(tally) => tracing::info!(tally.events, tally.orders, tally.customers, tally.attacks, "stopped"),
            Err(error) if error.domain == ErrorDomain::External => {
                tracing::warn!(error = error.chain(), "the shop pauses");
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = tokio::time::sleep(PAUSE) => {}
                }
            }
            Err(error) => return Err(explained(error)),
        }
    }
    Ok(())
}

/// Until it is stopped, or a service goes away.
async fn live(ctx: &Context, traffic: &Traffic, stop: &CancellationToken) -> Result<live::Tally, TaskError> {
    let pool = tasks::mysql::pool(&ctx.endpoint(Service::Mariadb)).await?;
    let kafka = ctx.endpoint(Service::Kafka);
    let brokers = kafka.locate()?;
    let brokers = brokers.expose_secret();
    let away = |error| TaskError::unreachable(kafka.service(), format!("cannot send to {brokers}")).because(error);
    producer::create_topics(brokers, &streaming::TOPICS, streaming::PARTITIONS).await.map_err(away)?;
    let producer = Producer::connect(brokers).map_err(away)?;
    producer.ready().await;
    let producer = &producer;
    let send = |event: Event| async move {
        let event = Outgoing::from(event);
        producer.send(&event.topic, &event.key, &event.payload).await.map_err(away)
    };
    let lived = live::run(&pool, traffic.clone(), stop, send).await;
    // A broker that does not answer must not keep the shop from stopping.
    let flushed = producer.flush_within(PAUSE).await.map_err(away);
    lived.and_then(|tally| flushed.map(|_| tally))
}

async fn prepare_topics(brokers: &str) -> anyhow::Result<()> {
    producer::create_topics(brokers, &streaming::TOPICS, streaming::PARTITIONS).await.map_err(|error| {
        Failure::Service { service: "Kafka", at: brokers.to_owned(), cause: format!("{:#}", anyhow::Error::new(error)) }
            .into()
    })
}

async fn shop(ctx: &Context) -> anyhow::Result<MySqlPool> {
    tasks::mysql::pool(&ctx.endpoint(Service::Mariadb)).await.map_err(explained)
}

/// What the user can mend is the user's to mend, a service out of reach has a code of its own, the rest is a failure.
fn explained(error: TaskError) -> anyhow::Error {
    match (error.service, error.domain) {
        (Some(_), _) => {
            eprintln!("error: {}", error.chain());
            Failure::Code(exit::SERVICE).into()
        }
        (None, ErrorDomain::User) => Failure::usage(error.chain()).into(),
        (None, ErrorDomain::External | ErrorDomain::Internal) => error.into(),
    }
}
