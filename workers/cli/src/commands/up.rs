//! `sluice up`: the private services that the project uses, and the background processes that died.

use std::{collections::BTreeSet, fs, path::PathBuf, process::ExitCode};

use serde_json::Value;
use services::{Endpoints, Level, Note, Service, Services, processes};
use workflow::yaml::Document;

use crate::{
    context::Context,
    output::{self, Style},
};

/// Arguments of `sluice up`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only these; otherwise those that the project's files use and sluice.yaml gives no URL for
    services: Vec<Name>,
}

/// A private service's name on the command line.
#[derive(Clone, Copy, clap::ValueEnum)]
enum Name {
    Postgres,
    Mariadb,
    Kafka,
}

impl From<Name> for Service {
    fn from(name: Name) -> Self {
        match name {
            Name::Postgres => Self::Postgres,
            Name::Mariadb => Self::Mariadb,
            Name::Kafka => Self::Kafka,
        }
    }
}

pub(crate) async fn run(args: Args, ctx: &Context) -> anyhow::Result<ExitCode> {
    let named: Vec<Service> = args.services.into_iter().map(Service::from).collect();
    // With only some of the services, the processes may lack the others.
    let everything = named.is_empty();
    let wanted = if everything { needed(ctx) } else { named };
    let endpoints = start(ctx, wanted).await?;
    for (service, url) in endpoints.iter() {
        output::line(format!("{:<9} {url}", service.name()));
    }
    if everything {
        let home = ctx.home();
        for process in tokio::task::spawn_blocking(move || processes::revive(&home)).await?? {
            output::line(format!("{:<9} had died; started again as process {}", process.name, process.pid));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Starts services, or finds them running, and says on stderr what happens.
pub(crate) async fn start(ctx: &Context, wanted: Vec<Service>) -> anyhow::Result<Endpoints> {
    let services = Services::at(ctx.home()).saying(say);
    Ok(tokio::task::spawn_blocking(move || services.up(&wanted)).await??)
}

/// Says on stderr what happens to a service.
pub(crate) fn say(note: &Note) {
    match note.level {
        Level::Progress => eprintln!("{note}"),
        Level::Mended => eprintln!("{} {note}", output::paint("!", Style::Warn)),
    }
}

/// Postgres, and what the DAGs and streams use beside it, as far as it has to be a private one.
pub(crate) fn needed(ctx: &Context) -> Vec<Service> {
    let mut used = BTreeSet::from([Service::Postgres]);
    for file in yaml_files(ctx.dir.join("dags")) {
        // A file with faults is for `sluice check` to report; here it uses nothing.
        let Ok(text) = fs::read_to_string(&file) else { continue };
        let Ok(document) = Document::parse(file.display().to_string(), &text) else { continue };
        let tasks = document.value.get("tasks").and_then(Value::as_object);
        for kind in tasks.into_iter().flat_map(|tasks| tasks.values()).filter_map(|task| task.get("kind")?.as_str()) {
            used.extend(match kind {
                "extract_mysql" => vec![Service::Mariadb],
                "produce_events" => vec![Service::Kafka],
                "generate" => vec![Service::Mariadb, Service::Kafka],
                _ => vec![],
            });
        }
    }
    if !yaml_files(ctx.dir.join("dags/streams")).is_empty() {
        used.insert(Service::Kafka);
    }
    used.into_iter().filter(|service| ctx.given_url(*service).is_none()).collect()
}

fn yaml_files(folder: PathBuf) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.filter(|path| path.extension().is_some_and(|end| end == "yaml" || end == "yml")).collect()
}
