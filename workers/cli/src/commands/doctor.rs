//! `sluice doctor`: what is missing on this machine, and what to do about it.

use std::process::ExitCode;

use crate::{
    exit::{self, Failure},
    output::{self, Style, paint},
};

/// Arguments of `sluice doctor`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let needs = services::needs();
    let missing = needs.iter().filter(|need| need.found.is_none()).count();
    if args.json {
        output::json(&needs)?;
    } else {
        for need in &needs {
            let (mark, place) = match &need.found {
                Some(path) => (paint("✓", Style::Good), path.display().to_string()),
                None => (paint("✗", Style::Bad), "missing".to_owned()),
            };
            output::line(format!("{mark} {:<9} {:<9} {place}", need.service.name(), need.program));
        }
    }
    if missing == 0 {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!(
        "{} missing; `make setup` installs them, or set the services' URLs in sluice.yaml",
        exit::count(missing, "program")
    );
    Err(Failure::Code(exit::SERVICE).into())
}
