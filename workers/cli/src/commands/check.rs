//! `sluice check`: every file a user wrote, every fault at once.

use std::process::ExitCode;

use crate::context::Context;

/// Arguments of `sluice check`.
#[derive(clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args, _ctx: &Context) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not built yet")
}
