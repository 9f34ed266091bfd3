//! The files that a project's users write: read together, checked together, every fault shown at once.

mod waits;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
};

use self::waits::Waits;
use quality::Suite;
use streaming::spec::{self, Stream};
use warehouse::models::Catalog;
use workflow::{
    diagnostic::Diagnostic,
    kind::Registry,
    plan::{self, Known, Plan},
    project::Project,
    yaml::{Document, join},
};

/// A checked project.
pub(crate) struct Files {
    /// `dags/*.yaml`, by name.
    pub(crate) plans: BTreeMap<String, Plan>,
    /// `quality/*.yaml`, by name.
    pub(crate) suites: BTreeMap<String, Suite>,
    /// `sql/models/`.
    pub(crate) models: Catalog,
    /// `dags/streams/*.yaml`.
    pub(crate) streams: Vec<Stream>,
    /// What is allowed in them and yet seldom meant.
    pub(crate) warnings: Vec<Diagnostic>,
}

impl Files {
    /// Reads and checks all of a project's files. Faults of one file do not hide those of another.
    pub(crate) fn read(dir: &Path, project: &Project, registry: &Registry) -> Result<Self, Vec<Diagnostic>> {
        let mut faults = Vec::new();
        let suites = suites(dir, &mut faults);
        let models = Catalog::read(dir).unwrap_or_else(|more| {
            faults.extend(more);
            Catalog::default()
        });
        let known = Known {
            timezone: project.timezone,
            // A suite with faults exists all the same: that it cannot be read is said once, where it stands.
            suites: stems(dir, "quality"),
            models: model_names(dir),
            channels: project.channels.keys().cloned().collect(),
            connections: ["shop".to_owned()].into(),
            pools: project.pools.keys().cloned().collect(),
            webhooks: project.webhooks.keys().cloned().collect(),
            files: project_files(dir),
        };
        let mut warnings = Vec::new();
        let plans = plans(dir, registry, &known, &suites, &models, &mut faults, &mut warnings);
        let streams = streams(dir, project, &mut faults);
        if faults.is_empty() {
            Ok(Self { plans, suites, models, streams, warnings })
        } else {
            faults.sort_by(|a, b| (&a.file, a.line, &a.field).cmp(&(&b.file, b.line, &b.field)));
            faults.dedup();
            Err(faults)
        }
    }
}

fn suites(dir: &Path, faults: &mut Vec<Diagnostic>) -> BTreeMap<String, Suite> {
    let mut suites = BTreeMap::new();
    for (file, text) in yaml_files(dir, "quality", faults) {
        match Suite::parse(&file, &text) {
            Ok(suite) => {
                let name = suite.name.clone();
                if suites.insert(name.clone(), suite).is_some() {
                    faults.push(whole(&file, format!("the suite `{name}` is defined in another file too")));
                }
            }
            Err(more) => faults.extend(more),
        }
    }
    suites
}

fn plans(
    dir: &Path,
    registry: &Registry,
    known: &Known,
    suites: &BTreeMap<String, Suite>,
    models: &Catalog,
    faults: &mut Vec<Diagnostic>,
    warnings: &mut Vec<Diagnostic>,
) -> BTreeMap<String, Plan> {
    let mut plans = BTreeMap::new();
    let mut documents = BTreeMap::new();
    for (file, text) in yaml_files(dir, "dags", faults) {
        let checked = Document::parse(&file, &text).map_err(|fault| vec![fault]).and_then(|document| {
            let plan = plan::check(&document, registry, known)?;
            let problems = tasks::written::check(&plan, suites).into_iter();
            faults.extend(problems.map(|(task, problem)| document.place(&join("tasks", &task), problem)));
            warnings.extend(plan::lint(&document, &plan));
            documents.insert(plan.dag.clone(), document);
            Ok(plan)
        });
        match checked {
            Ok(plan) => {
                let name = plan.dag.clone();
                if plans.insert(name.clone(), plan).is_some() {
                    faults.push(whole(&file, format!("the DAG `{name}` is defined in another file too")));
                }
            }
            Err(more) => faults.extend(more),
        }
    }
    // A DAG whose own file has faults is not known here, and would be missed by others.
    if faults.is_empty() {
        let waits = Waits { plans: &plans, documents: &documents };
        faults.extend(waits.faults());
        warnings.extend(waits.warnings(models));
    }
    plans
}

fn streams(dir: &Path, project: &Project, faults: &mut Vec<Diagnostic>) -> Vec<Stream> {
    let channels: Vec<_> = project.channels.keys().map(String::as_str).collect();
    let files = yaml_files(dir, "dags/streams", faults);
    let files = files.iter().map(|(file, text)| (file.as_str(), text.as_str()));
    spec::parse_all(files, &channels).unwrap_or_else(|more| {
        faults.extend(more);
        Vec::new()
    })
}

/// Reads the streams alone: what `sluice stream` needs.
pub(crate) fn read_streams(dir: &Path, project: &Project) -> Result<Vec<Stream>, Vec<Diagnostic>> {
    let mut faults = Vec::new();
    let streams = streams(dir, project, &mut faults);
    if faults.is_empty() { Ok(streams) } else { Err(faults) }
}

/// Reads the suites alone: what `sluice quality` needs.
pub(crate) fn read_suites(dir: &Path) -> Result<BTreeMap<String, Suite>, Vec<Diagnostic>> {
    let mut faults = Vec::new();
    let suites = suites(dir, &mut faults);
    if faults.is_empty() { Ok(suites) } else { Err(faults) }
}

/// The `.yaml` files of a folder with their texts, in order of name. An absent folder has none.
fn yaml_files(dir: &Path, folder: &str, faults: &mut Vec<Diagnostic>) -> Vec<(String, String)> {
    let mut files = Vec::new();
    for path in list(&dir.join(folder)).unwrap_or_default() {
        let Some(name) = path.file_name().and_then(|n| n.to_str()) else { continue };
        let shown = format!("{folder}/{name}");
        match path.extension().and_then(|e| e.to_str()) {
            Some("yaml") if path.is_file() => match fs::read_to_string(&path) {
                Ok(text) => files.push((shown, text)),
                Err(error) => faults.push(whole(&shown, format!("cannot be read: {error}"))),
            },
            Some("yml") => {
                let mut fault = whole(&shown, "is not read: the ending is .yml".to_owned());
                fault.hint = Some("rename it to .yaml".to_owned());
                faults.push(fault);
            }
            _ => {}
        }
    }
    files
}

fn list(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = fs::read_dir(folder)?.map(|entry| entry.map(|e| e.path())).collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

fn stems(dir: &Path, folder: &str) -> BTreeSet<String> {
    let paths = list(&dir.join(folder)).unwrap_or_default();
    paths.iter().filter(|p| p.is_file()).filter_map(|p| p.file_stem()?.to_str().map(str::to_owned)).collect()
}

/// Models by name, by `schema.name` and by the folder they stand in.
fn model_names(dir: &Path) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for folder in list(&dir.join("sql/models")).unwrap_or_default() {
        let Some(schema) = folder.file_name().and_then(|n| n.to_str()) else { continue };
        let stems = stems(dir, &format!("sql/models/{schema}"));
        if !stems.is_empty() {
            names.insert(schema.to_owned());
        }
        names.extend(stems.iter().map(|stem| format!("{schema}.{stem}")));
        names.extend(stems);
    }
    names
}

/// Files of the project by their paths relative to it. `.sluice/`, `target/` and hidden folders are left out.
fn project_files(dir: &Path) -> BTreeSet<String> {
    fn walk(dir: &Path, below: &str, found: &mut BTreeSet<String>) {
        for path in list(dir).unwrap_or_default() {
            let Some(name) = path.file_name().and_then(|n| n.to_str()) else { continue };
            let shown = if below.is_empty() { name.to_owned() } else { format!("{below}/{name}") };
            if path.is_file() {
                found.insert(shown);
            } else if !name.starts_with('.') && name != "target" {
                walk(&path, &shown, found);
            }
        }
    }
    let mut found = BTreeSet::new();
    walk(dir, "", &mut found);
    found
}

fn whole(file: &str, message: String) -> Diagnostic {
    Diagnostic { file: file.to_owned(), line: 0, field: String::new(), message, hint: None }
}
