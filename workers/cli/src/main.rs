//! `sluice`: the command line, and the only place that prints, exits and reads the environment.

mod commands;
mod context;
mod exit;
mod files;
mod output;
mod registry;
mod runs;
mod stop;
mod tellers;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

use crate::{commands as c, context::Context};

/// Sluice runs your data pipelines: DAGs, quality gates, streams, warehouse, reports.
#[derive(Parser)]
#[command(name = "sluice", version, propagate_version = true, max_term_width = 100)]
struct Cli {
    /// The project's folder (default: the nearest one above that holds a sluice.yaml)
    #[arg(long, short = 'C', global = true, value_name = "DIR")]
    project: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start private services, run a synthetic shop's whole day, and show what came of it
    Demo(c::demo::Args),
    /// Make a new project with a small example that runs
    Init(c::init::Args),
    /// Start this project's private services
    Up(c::up::Args),
    /// Stop this project's processes and private services
    Down(c::down::Args),
    /// Show this project's services and processes
    Status(c::status::Args),
    /// Check every file of the project, and show every fault at once
    Check(c::check::Args),
    /// Rehearse a run of a DAG: which tasks would run, be skipped or retried, and why
    Test(c::test::Args),
    /// Serve the web page, the API and the metrics
    Serve(c::serve::Args),
    /// Start runs when they are due
    Schedule(c::schedule::Args),
    /// Run tasks and deliver messages
    Work(c::work::Args),
    /// Process Kafka streams, or look at them
    Stream(c::stream::Args),
    /// Serve, schedule, work and stream in one process
    All(c::all::Args),
    /// Start a run of a DAG, or of one of its tasks
    Run(c::run::Args),
    /// List runs
    Ps(c::ps::Args),
    /// Show a run: its tasks and their attempts
    Show(c::show::Args),
    /// Say why a run or a task has not run, is slow, failed or was skipped
    Why(c::why::Args),
    /// Print the log of a run or of one of its tasks
    Logs(c::logs::Args),
    /// Cancel a run
    Cancel(c::cancel::Args),
    /// Retry what failed in a run
    Retry(c::retry::Args),
    /// Let a task count as succeeded, failed or skipped
    Mark(c::mark::Args),
    /// Run again what was done in a span of time
    Clear(c::clear::Args),
    /// Run a DAG for each interval of a span of time
    Backfill(c::backfill::Args),
    /// List what people did
    Audit(c::audit::Args),
    /// Make, list and revoke tokens for the API and the page
    Token(c::token::Args),
    /// List, show and draw DAGs
    Dag(c::dag::Args),
    /// Run suites of checks, and see how they went
    Quality(c::quality::Args),
    /// Generate a synthetic shop
    Generate(c::generate::Args),
    /// Say what is missing on this machine
    Doctor(c::doctor::Args),
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    output::init_tracing();
    let outcome = Box::pin(dispatch(cli)).await;
    match outcome {
        Ok(code) => code,
        Err(error) => exit::report(&error),
    }
}

async fn dispatch(cli: Cli) -> anyhow::Result<ExitCode> {
    let project = cli.project;
    let open = || Context::open(project.as_deref());
    match cli.command {
        Command::Init(args) => c::init::run(&args),
        Command::Doctor(args) => c::doctor::run(&args),
        Command::Demo(args) => c::demo::run(args, &open()?).await,
        Command::Up(args) => c::up::run(args, &open()?).await,
        Command::Down(args) => c::down::run(args, &open()?).await,
        Command::Status(args) => c::status::run(args, &open()?).await,
        Command::Check(args) => c::check::run(&args, &open()?),
        Command::Test(args) => c::test::run(args, &open()?).await,
        Command::Serve(args) => c::serve::run(args, &open()?).await,
        Command::Schedule(args) => c::schedule::run(args, &open()?).await,
        Command::Work(args) => c::work::run(args, &open()?).await,
        Command::Stream(args) => c::stream::run(args, &open()?).await,
        Command::All(args) => Box::pin(c::all::run(args, &open()?)).await,
        Command::Run(args) => asked(open()?, async |ctx| c::run::run(args, ctx).await).await,
        Command::Ps(args) => asked(open()?, async |ctx| c::ps::run(args, ctx).await).await,
        Command::Show(args) => asked(open()?, async |ctx| c::show::run(args, ctx).await).await,
        Command::Why(args) => asked(open()?, async |ctx| c::why::run(args, ctx).await).await,
        Command::Logs(args) => asked(open()?, async |ctx| c::logs::run(args, ctx).await).await,
        Command::Cancel(args) => asked(open()?, async |ctx| c::cancel::run(args, ctx).await).await,
        Command::Retry(args) => asked(open()?, async |ctx| c::retry::run(args, ctx).await).await,
        Command::Mark(args) => asked(open()?, async |ctx| c::mark::run(args, ctx).await).await,
        Command::Clear(args) => asked(open()?, async |ctx| c::clear::run(args, ctx).await).await,
        Command::Audit(args) => asked(open()?, async |ctx| c::audit::run(args, ctx).await).await,
        Command::Token(args) => asked(open()?, async |ctx| c::token::run(args, ctx).await).await,
        Command::Backfill(args) => asked(open()?, async |ctx| c::backfill::run(args, ctx).await).await,
        Command::Dag(args) => asked(open()?, async |ctx| c::dag::run(args, ctx).await).await,
        Command::Quality(args) => c::quality::run(args, &open()?).await,
        Command::Generate(args) => c::generate::run(args, &open()?).await,
    }
}

/// Runs a command that does nothing but ask Postgres, or whose worker asks it all the time. It ends where nobody answers.
async fn asked(
    ctx: Context,
    command: impl AsyncFnOnce(&Context) -> anyhow::Result<ExitCode>,
) -> anyhow::Result<ExitCode> {
    ctx.answered(Box::pin(command(&ctx))).await
}
