//! `sluice demo`: private services, a synthetic shop, its whole day, and a summary; then it lives on.

mod pass;
mod summary;

use std::{
    collections::BTreeMap,
    ffi::OsString,
    net::TcpListener,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use services::processes;

use crate::{
    commands::{down, up},
    context::Context,
    exit::{self, Failure},
    output::{self, Style, paint},
};

/// Arguments of `sluice demo`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Stop everything at the end, rather than living on in the background
    #[arg(long)]
    once: bool,
    /// Print the summary as JSON
    #[arg(long)]
    json: bool,
}

/// Ports that are tried for the web page, from the configured one on.
const PORTS: u16 = 50;

pub(crate) async fn run(args: Args, ctx: &Context) -> anyhow::Result<ExitCode> {
    let files = ctx.files()?;
    let begun = Instant::now();
    say("starting private services");
    up::start(ctx, up::needed(ctx)).await?;
    let services_seconds = begun.elapsed().as_secs_f64();
    let outcome = day(ctx, &files, services_seconds).await;
    if args.once {
        say("stopping everything");
        let home = ctx.home();
        tokio::task::spawn_blocking(move || down::stop_quietly(home)).await??;
    }
    let summary = outcome?;
    if !args.once {
        start(ctx, "traffic", &["generate", "--live"], None).await?;
    }
    if args.json {
        output::json(&summary)?;
    } else {
        summary.print();
        if !args.once {
            farewell(ctx, &summary.urls);
        }
    }
    if summary.succeeded() {
        Ok(ExitCode::SUCCESS)
    } else {
        eprintln!("error: a run failed; `sluice ps` lists the runs, `sluice logs RUN` says why");
        Err(Failure::Code(exit::FAILED).into())
    }
}

async fn day(ctx: &Context, files: &crate::files::Files, services_seconds: f64) -> anyhow::Result<summary::Summary> {
    let begun = Instant::now();
    let pool = ctx.postgres().await?;
    let before = summary::Baseline::read(&pool).await?;
    let web = start_processes(ctx).await?;
    pass::run(ctx, files, &pool, before.at).await?;
    let home = ctx.home();
    let urls = BTreeMap::from([
        ("web", web),
        ("mails", home.join("outbox/mail").display().to_string()),
        ("slack", home.join("outbox/slack").display().to_string()),
        ("logs", home.join("log").display().to_string()),
        ("lake", ctx.lake_place()),
    ]);
    Ok(summary::Summary::read(&pool, &before, urls, services_seconds, begun.elapsed().as_secs_f64()).await?)
}

/// Starts Sluice's own processes anew, and gives the web page's address once it answers.
async fn start_processes(ctx: &Context) -> anyhow::Result<String> {
    let home = ctx.home();
    tokio::task::spawn_blocking(move || processes::stop_all(&home)).await??;
    let wanted = ctx.project.web.port;
    let last = wanted.saturating_add(PORTS);
    let host = ctx.project.web.host.clone();
    let port = (wanted..=last)
        .find(|port| TcpListener::bind((host.as_str(), *port)).is_ok())
        .with_context(|| format!("no port from {wanted} to {last} is free on {host} for the web page"))?;
    if port != wanted {
        say(&format!("port {wanted} is taken; the web page is on {port}"));
    }
    let url = format!("http://{host}:{port}");
    start(ctx, "web", &["serve", "--demo", "--port", &port.to_string()], Some(url.clone())).await?;
    for name in ["schedule", "work", "stream"] {
        start(ctx, name, &[name], None).await?;
    }
    let deadline = Instant::now() + Duration::from_secs(30);
    while tokio::net::TcpStream::connect((host.as_str(), port)).await.is_err() {
        if Instant::now() > deadline {
            let log = ctx.home().join("log/web.log");
            anyhow::bail!("the web page does not answer at {url} after 30 s; see {}", log.display());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(url)
}

async fn start(ctx: &Context, name: &str, args: &[&str], url: Option<String>) -> anyhow::Result<()> {
    let mut all: Vec<OsString> = vec!["--project".into(), ctx.dir.clone().into()];
    all.extend(args.iter().map(OsString::from));
    let command = processes::Command {
        name: name.to_owned(),
        program: std::env::current_exe().context("cannot tell where this program is")?,
        args: all,
        folder: ctx.dir.clone(),
        url,
    };
    let home = ctx.home();
    tokio::task::spawn_blocking(move || processes::spawn(&home, &command)).await??;
    Ok(())
}

fn farewell(ctx: &Context, urls: &BTreeMap<&'static str, String>) {
    let bold = |text: &str| paint(text, Style::Bold);
    let get = |name| urls.get(name).map_or("", String::as_str);
    output::line(format!("\nThe shop lives on in the background. Look at {}", bold(get("web"))));
    output::line(format!("  mails   {}\n  Slack   {}\n  logs    {}", get("mails"), get("slack"), get("logs")));
    let program = std::env::current_exe().map_or_else(|_| "sluice".to_owned(), |exe| exe.display().to_string());
    let program = program.strip_prefix(&format!("{}/", ctx.dir.display())).map(str::to_owned).unwrap_or(program);
    output::line("\nTry next:");
    for (args, why) in [
        ("ps", "the runs; `show RUN` and `logs RUN` tell more"),
        ("run daily_sales --wait", "load what was sold since"),
        ("stream list", "how far the streams are"),
    ] {
        output::line(format!("  {:<42}  {}", format!("{program} {args}"), paint(why, Style::Dim)));
    }
    output::line(format!("\n{} stops all of it.", bold("make down")));
}

/// A line of progress, on stderr.
fn say(text: &str) {
    eprintln!("{} {text}", paint("›", Style::Dim));
}
