//! `sluice init`: a new project with a small example that runs.

use std::{fs, path::PathBuf, process::ExitCode};

use anyhow::Context as _;

use crate::{exit::Failure, output};

/// Arguments of `sluice init`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The new project's folder
    dir: PathBuf,
}

const FILES: &[(&str, &str)] = &[
    ("sluice.yaml", include_str!("../../templates/sluice.yaml")),
    ("data/sales.csv", include_str!("../../templates/data/sales.csv")),
    ("dags/sales.yaml", include_str!("../../templates/dags/sales.yaml")),
    ("quality/sales.yaml", include_str!("../../templates/quality/sales.yaml")),
    ("sql/models/marts/sales_by_product.sql", include_str!("../../templates/sql/models/marts/sales_by_product.sql")),
    ("sql/models/marts/sales_by_product.yaml", include_str!("../../templates/sql/models/marts/sales_by_product.yaml")),
    (".gitignore", ".sluice/\n"),
];

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if let Some((taken, _)) = FILES.iter().find(|(path, _)| args.dir.join(path).exists()) {
        let at = args.dir.join(taken).display().to_string();
        return Err(Failure::usage_hint(format!("{at} exists already"), "name a folder that is new or empty").into());
    }
    for (path, text) in FILES {
        let path = args.dir.join(path);
        let folder = path.parent().unwrap_or(&args.dir);
        fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    let dir = args.dir.display();
    output::line(format!("A new project stands in {dir}. Next:\n"));
    for (command, why) in [
        (format!("cd {dir}"), ""),
        ("sluice up".to_owned(), "start its private Postgres"),
        ("sluice check".to_owned(), "read every file, show every fault"),
        ("sluice run sales --wait".to_owned(), "load data/sales.csv; two of its rows will be quarantined"),
        ("sluice show sales".to_owned(), "what the run did"),
        ("sluice all".to_owned(), "run it each day at 6, with the web page; Ctrl-C ends it"),
    ] {
        output::line(format!("  {command:<26}{}", output::paint(why, output::Style::Dim)));
    }
    Ok(ExitCode::SUCCESS)
}
