//! `sluice down`: first Sluice's own processes, so that they finish what they do, then the services under them.

use std::{path::PathBuf, process::ExitCode};

use services::{ServiceError, Services, processes};

use crate::{commands::up::say, context::Context, output};

/// Arguments of `sluice down`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The folder whose processes and services are stopped (default: the project's .sluice)
    #[arg(long, value_name = "DIR")]
    home: Option<PathBuf>,
}

pub(crate) async fn run(args: Args, ctx: &Context) -> anyhow::Result<ExitCode> {
    let home = args.home.unwrap_or_else(|| ctx.home());
    if tokio::task::spawn_blocking(move || stop(home)).await?? == 0 {
        output::line("nothing was running");
    }
    Ok(ExitCode::SUCCESS)
}

/// Stops everything of a home and says nothing on stdout.
pub(crate) fn stop_quietly(home: PathBuf) -> Result<(), ServiceError> {
    processes::stop_all(&home)?;
    Services::scratch(&home).saying(say).down()?;
    Services::at(home).saying(say).down()?;
    Ok(())
}

/// Stops everything of a home, says what, and gives their number.
pub(crate) fn stop(home: PathBuf) -> Result<usize, ServiceError> {
    let stopped = processes::stop_all(&home)?;
    for one in &stopped {
        let how = if one.killed { "did not stop in time and was killed" } else { "stopped" };
        output::line(format!("{}: {how}", one.process.name));
    }
    let scratch = Services::scratch(&home).saying(say).down()?;
    Ok(stopped.len() + scratch.len() + Services::at(home).saying(say).down()?.len())
}
