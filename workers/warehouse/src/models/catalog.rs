//! All models of a project: read, checked against each other, and put in the order of their builds.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use workflow::diagnostic::{Diagnostic, did_you_mean};

use super::{
    relation::Relation,
    spec::{Materialisation, Model, SCHEMAS},
};

/// A file of a project, with its text.
#[derive(Debug, Clone)]
pub struct SourceFile {
    /// Path below the project folder, with `/` between its parts.
    pub path: String,
    /// All of it.
    pub text: String,
}

/// The models of a project, in an order in which each comes after those that it reads; and the statements of
/// `sql/warehouse/`, which make what the models fill.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    models: Vec<Model>,
    definitions: Vec<SourceFile>,
}

impl Catalog {
    /// Reads `sql/models/` and `sql/warehouse/` of the project at `folder`. A project without them has no models.
    pub fn read(folder: &Path) -> Result<Self, Vec<Diagnostic>> {
        let mut files = Vec::new();
        let mut faults = Vec::new();
        let folders = SCHEMAS.iter().map(|schema| format!("sql/models/{schema}"));
        for part in folders.chain(["sql/warehouse".to_owned()]) {
            if let Err(error) = read_folder(folder, &part, &mut files) {
                faults.push(Diagnostic {
                    file: part,
                    line: 0,
                    field: String::new(),
                    message: format!("cannot be read: {error}"),
                    hint: None,
                });
            }
        }
        if faults.is_empty() { Self::parse(files) } else { Err(faults) }
    }

    /// The catalog of these files, or all that is wrong with them. Pure.
    pub fn parse(mut files: Vec<SourceFile>) -> Result<Self, Vec<Diagnostic>> {
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let mut faults = Vec::new();
        let mut pairs: BTreeMap<(String, String), [Option<SourceFile>; 2]> = BTreeMap::new();
        let mut definitions = Vec::new();
        for file in files {
            if file.path.starts_with("sql/warehouse/") {
                definitions.push(file);
                continue;
            }
            let Some((schema, name, which)) = model_file(&file.path) else { continue };
            let pair = pairs.entry((schema.to_owned(), name.to_owned())).or_default();
            pair[which] = Some(file);
        }
        let mut models = Vec::new();
        let mut broken = BTreeSet::new();
        for ((schema, name), pair) in pairs {
            let parsed = match &pair {
                [Some(yaml), Some(sql)] => {
                    Model::parse((&schema, &name), (&yaml.path, &yaml.text), (&sql.path, &sql.text))
                }
                [yaml, sql] => Err(yaml.iter().chain(sql).map(|file| alone(&file.path)).collect()),
            };
            match parsed {
                Ok(model) => models.push(model),
                Err(more) => {
                    broken.insert(Relation::new(schema, name));
                    faults.extend(more);
                }
            }
        }
        faults.extend(same_names(&models));
        faults.extend(unknown_references(&models, &broken));
        match in_order(models) {
            Ok(models) if faults.is_empty() => Ok(Self { models, definitions }),
            Ok(_) => Err(faults),
            Err(cycle) => {
                faults.push(cycle);
                Err(faults)
            }
        }
    }

    /// Every model, each after those that it reads.
    pub fn models(&self) -> &[Model] {
        &self.models
    }

    /// Files of `sql/warehouse/`, by name.
    pub fn definitions(&self) -> &[SourceFile] {
        &self.definitions
    }

    /// The model of that name.
    pub fn get(&self, name: &str) -> Option<&Model> {
        self.models.iter().find(|model| model.name() == name)
    }

    /// Every word that [`Catalog::select`] knows: schemas that have models, and the models.
    pub fn names(&self) -> impl Iterator<Item = &str> + Clone {
        let folders = SCHEMAS.into_iter().filter(|schema| self.models.iter().any(|m| m.relation.schema == **schema));
        folders.chain(self.models.iter().map(Model::name))
    }

    /// The models that `words` name, a word being a model or a whole schema, in the order of their builds. Views that
    /// they read come along: a view holds no rows, so there is nothing to build it for but its readers.
    /// An unknown word is the error, with a hint.
    pub fn select<'a>(&'a self, words: &[String]) -> Result<Vec<&'a Model>, (String, String)> {
        for word in words {
            if !self.names().any(|name| name == word) {
                return Err((word.clone(), did_you_mean(word, self.names())));
            }
        }
        let mut chosen: BTreeSet<&Relation> = BTreeSet::new();
        // Backwards, so that every reader of a view is known before the view comes up.
        for model in self.models.iter().rev() {
            let named = words.iter().any(|word| word == model.name() || *word == model.relation.schema);
            let read = || self.models.iter().any(|m| chosen.contains(&m.relation) && m.reads.contains(&model.relation));
            if named || (model.materialised == Materialisation::View && read()) {
                chosen.insert(&model.relation);
            }
        }
        Ok(self.models.iter().filter(|model| chosen.contains(&model.relation)).collect())
    }

    /// The tables whose loads decide what `model` holds: what it reads, and behind views what those read.
    pub(super) fn inputs(&self, model: &Model) -> BTreeSet<Relation> {
        let mut inputs = BTreeSet::new();
        let mut open: Vec<&Relation> = model.reads.iter().collect();
        while let Some(relation) = open.pop() {
            match self.models.iter().find(|m| m.relation == *relation) {
                Some(view) if view.materialised == Materialisation::View => open.extend(&view.reads),
                _ => {
                    inputs.insert(relation.clone());
                }
            }
        }
        inputs
    }

    /// What models read that no model makes, each with the place of its first mention: tables that loads fill,
    /// and Sluice's own views.
    pub fn sources(&self) -> Vec<(&Relation, &str, usize)> {
        let mut found: Vec<(&Relation, &str, usize)> = Vec::new();
        for model in &self.models {
            for reference in &model.references {
                let relation = &reference.relation;
                let made = self.models.iter().any(|m| m.relation == *relation);
                if !made && !found.iter().any(|(known, ..)| *known == relation) {
                    found.push((relation, &model.sql_file, reference.line));
                }
            }
        }
        found
    }

    /// A fault for every gate whose suite is not among `suites`.
    pub fn unknown_suites<'a>(&self, suites: impl IntoIterator<Item = &'a str> + Clone) -> Vec<Diagnostic> {
        let gates = self.models.iter().filter_map(|model| Some((model, model.gate.as_ref()?)));
        gates
            .filter(|(_, gate)| !suites.clone().into_iter().any(|suite| suite == gate.suite))
            .map(|(model, gate)| {
                let hint = did_you_mean(&gate.suite, suites.clone());
                model.document.diagnostic("gate.suite", format!("unknown suite `{}`", gate.suite), Some(hint))
            })
            .collect()
    }
}

/// Schema, name, and 0 for the YAML or 1 for the SQL.
fn model_file(path: &str) -> Option<(&str, &str, usize)> {
    let (schema, file) = path.strip_prefix("sql/models/")?.split_once('/')?;
    let (name, ending) = file.rsplit_once('.')?;
    match ending {
        "yaml" => Some((schema, name, 0)),
        "sql" => Some((schema, name, 1)),
        _ => None,
    }
}

fn alone(path: &str) -> Diagnostic {
    let (stem, ending) = path.rsplit_once('.').unwrap_or((path, ""));
    let (other, what) = if ending == "sql" {
        (format!("{stem}.yaml"), "states the grain and the columns")
    } else {
        (format!("{stem}.sql"), "holds the SELECT")
    };
    Diagnostic {
        file: path.to_owned(),
        line: 0,
        field: String::new(),
        message: format!("there is no `{other}` beside it"),
        hint: Some(format!("a model is two files; the other {what}")),
    }
}

fn same_names(models: &[Model]) -> Vec<Diagnostic> {
    let mut first: BTreeMap<&str, &Relation> = BTreeMap::new();
    let mut faults = Vec::new();
    for model in models {
        if let Some(other) = first.insert(model.name(), &model.relation) {
            let message = format!("the name is taken by `{other}`");
            let hint = "a model's name is unique in the project, whatever its schema".to_owned();
            faults.push(model.document.diagnostic("model", message, Some(hint)));
        }
    }
    faults
}

/// Tables of `warehouse` and `marts` are made by models and nothing else; `staging` is also filled by loads.
fn unknown_references(models: &[Model], broken: &BTreeSet<Relation>) -> Vec<Diagnostic> {
    let mut faults = Vec::new();
    for model in models {
        for reference in &model.references {
            let relation = &reference.relation;
            let made = broken.contains(relation) || models.iter().any(|m| m.relation == *relation);
            if made || !matches!(relation.schema.as_str(), "warehouse" | "marts") {
                continue;
            }
            let known: Vec<String> = models.iter().map(|m| m.relation.to_string()).collect();
            faults.push(Diagnostic {
                file: model.sql_file.clone(),
                line: reference.line,
                field: String::new(),
                message: format!("unknown model `{relation}`"),
                hint: Some(did_you_mean(&relation.to_string(), known.iter().map(String::as_str))),
            });
        }
    }
    faults
}

/// Repeatedly takes the first model whose reads are all taken, so the order is the same on every machine.
fn in_order(mut waiting: Vec<Model>) -> Result<Vec<Model>, Diagnostic> {
    let mut ordered: Vec<Model> = Vec::with_capacity(waiting.len());
    while !waiting.is_empty() {
        let ready = waiting.iter().position(|model| !waiting.iter().any(|other| model.reads.contains(&other.relation)));
        match ready {
            Some(index) => ordered.push(waiting.remove(index)),
            None => return Err(cycle(&waiting)),
        }
    }
    Ok(ordered)
}

/// Walks from the first waiting model to one that it waits for, until a model comes up twice.
fn cycle(waiting: &[Model]) -> Diagnostic {
    let mut path: Vec<&Model> = Vec::new();
    let mut at = &waiting[0];
    while !path.iter().any(|seen| seen.relation == at.relation) {
        path.push(at);
        if let Some(next) = waiting.iter().find(|other| at.reads.contains(&other.relation)) {
            at = next;
        }
    }
    let start = path.iter().position(|seen| seen.relation == at.relation).unwrap_or(0);
    let mut names: Vec<&str> = path[start..].iter().map(|model| model.name()).collect();
    names.push(at.name());
    let next = path.get(start + 1).unwrap_or(&at);
    let line = at.references.iter().find(|r| r.relation == next.relation).map_or(0, |r| r.line);
    Diagnostic {
        file: at.sql_file.clone(),
        line,
        field: String::new(),
        message: format!("models read each other in a circle: {}", names.join(" → ")),
        hint: Some("move what they share into a model of its own".to_owned()),
    }
}

fn read_folder(project: &Path, part: &str, files: &mut Vec<SourceFile>) -> std::io::Result<()> {
    let entries = match std::fs::read_dir(project.join(part)) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let path = entry?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        let known = matches!(path.extension().and_then(|ending| ending.to_str()), Some("sql" | "yaml"));
        if known && path.is_file() {
            files.push(SourceFile { path: format!("{part}/{name}"), text: std::fs::read_to_string(&path)? });
        }
    }
    Ok(())
}
