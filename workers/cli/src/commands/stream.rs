//! `sluice stream`.

use std::process::ExitCode;

use crate::context::Context;

/// Arguments of `sluice stream`.
#[derive(clap::Args)]
pub(crate) struct Args {}

pub(crate) async fn run(_args: Args, _ctx: &Context) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not built yet")
}
