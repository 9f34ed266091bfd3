//! `sluice schedule`.

use std::process::ExitCode;

use crate::context::Context;

/// Arguments of `sluice schedule`.
#[derive(clap::Args)]
pub(crate) struct Args {}

pub(crate) async fn run(_args: Args, _ctx: &Context) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not built yet")
}
