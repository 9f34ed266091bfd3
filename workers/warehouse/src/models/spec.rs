//! One model: what its YAML says and what its SQL reads, checked without touching a database.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use sha2::{Digest, Sha256};
use workflow::{
    diagnostic::{Diagnostic, did_you_mean},
    yaml::Document,
};

use super::{
    references::{Query, Reference},
    relation::Relation,
};

/// The schemas that models may be built in, one folder of `sql/models/` each.
pub(super) const SCHEMAS: [&str; 3] = ["staging", "warehouse", "marts"];

/// Column of an SCD2 model's SELECT that says since when the row is so. It is not stored.
pub(super) const CHANGED_AT: &str = "changed_at";
/// Column of an SCD2 model's SELECT that marks members known by their key alone.
pub(super) const IS_INFERRED: &str = "is_inferred";

/// How a model is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Materialisation {
    /// A view: read afresh by every reader.
    View,
    /// A table that holds exactly the rows of the last build.
    Table,
    /// A table whose rows are inserted or updated by key; rows that a build does not name stay.
    Incremental,
    /// A slowly changing dimension, type 2: every change of a member opens a new version.
    Scd2,
}

/// What happens to a build that its suite does not pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnFail {
    /// It is published, and the log says what failed.
    Warn,
    /// It is refused; readers keep what they have.
    Fail,
}

/// The suite that judges a build before anyone can read it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gate {
    /// Name of a suite in `quality/`.
    pub suite: String,
    /// What a failure means.
    pub on_fail: OnFail,
}

/// What becomes of a member that a build does not name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Missing {
    /// Nothing: builds from incremental extracts never see deletions.
    #[default]
    Keep,
    /// Its open version is closed.
    Close,
}

/// Settings of a slowly changing dimension.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scd2 {
    /// A build that would close more than this share of the open members is refused: it is more likely a broken
    /// source than news.
    #[serde(default = "half")]
    pub max_closed_percent: f64,
    /// What becomes of members that a build does not name.
    #[serde(default)]
    pub missing: Missing,
}

impl Default for Scd2 {
    fn default() -> Self {
        Self { max_closed_percent: half(), missing: Missing::default() }
    }
}

fn half() -> f64 {
    50.0
}

/// `<name>.yaml`, as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    model: String,
    grain: String,
    #[serde(default)]
    description: String,
    schema: String,
    materialised: Materialisation,
    #[serde(default)]
    unique_key: Vec<String>,
    #[serde(default)]
    replace: Vec<String>,
    columns: BTreeMap<String, String>,
    #[serde(default)]
    gate: Option<Gate>,
    #[serde(default)]
    scd2: Option<Scd2>,
}

/// A model that is sound in itself. What it reads is checked by the catalog.
#[derive(Debug, Clone)]
pub struct Model {
    /// Where it is published.
    pub relation: Relation,
    /// "one row per …".
    pub grain: String,
    /// What it is for; may be empty.
    pub description: String,
    /// How it is kept.
    pub materialised: Materialisation,
    /// The columns that the grain names: no two rows of a build share their values. Empty for views.
    pub unique_key: Vec<String>,
    /// Groups that a build replaces whole (incremental only): rows of the target that agree with the build in
    /// these columns and are not in the build are deleted.
    pub replace: Vec<String>,
    /// What each column means.
    pub columns: BTreeMap<String, String>,
    /// Who judges its builds.
    pub gate: Option<Gate>,
    /// Settings of a slowly changing dimension.
    pub scd2: Scd2,
    /// The SELECT.
    pub sql: String,
    /// Relations that it reads, itself aside.
    pub reads: BTreeSet<Relation>,
    /// Hash of both files.
    pub hash: String,
    pub(super) document: Document,
    pub(super) sql_file: String,
    pub(super) references: Vec<Reference>,
}

impl Model {
    /// Its name: the file's, unique in the project.
    pub fn name(&self) -> &str {
        &self.relation.name
    }

    /// Reads the two files of a model, or says all that is wrong with them. `stem` is `<schema>/<name>`.
    pub(super) fn parse(stem: (&str, &str), yaml: (&str, &str), sql: (&str, &str)) -> Result<Self, Vec<Diagnostic>> {
        let (schema, name) = stem;
        let (yaml_file, yaml_text) = yaml;
        let (sql_file, sql_text) = sql;
        let mut faults = Vec::new();
        let query = Query::parse(sql_file, sql_text).map_err(|fault| faults.push(fault)).ok();
        let document = match Document::parse(yaml_file, yaml_text) {
            Ok(document) => document,
            Err(fault) => {
                faults.push(fault);
                return Err(faults);
            }
        };
        let settings = match document.read::<Settings>() {
            Ok(settings) => settings,
            Err(more) => {
                faults.extend(more);
                return Err(faults);
            }
        };
        faults.extend(settings.check(&document, schema, name, query.as_ref()));
        let Some(query) = query.filter(|_| faults.is_empty()) else { return Err(faults) };

        let relation = Relation::new(schema, name);
        let reads = query.references.iter().map(|r| r.relation.clone()).filter(|r| *r != relation).collect();
        let hash = Sha256::new().chain_update(yaml_text).chain_update([0]).chain_update(sql_text).finalize();
        Ok(Self {
            relation,
            grain: settings.grain,
            description: settings.description,
            materialised: settings.materialised,
            unique_key: settings.unique_key,
            replace: settings.replace,
            columns: settings.columns,
            gate: settings.gate,
            scd2: settings.scd2.unwrap_or_default(),
            sql: query.text,
            reads,
            hash: workflow::hex::encode(&hash),
            document,
            sql_file: sql_file.to_owned(),
            references: query.references,
        })
    }
}

impl Settings {
    fn check(&self, document: &Document, schema: &str, name: &str, query: Option<&Query>) -> Vec<Diagnostic> {
        let mut faults = Vec::new();
        let mut fault = |field: &str, message: String, hint: Option<String>| {
            faults.push(document.diagnostic(field, message, hint));
        };
        if self.model != name {
            let message = format!("the model is called `{}` but its file `{name}.yaml`", self.model);
            fault("model", message, Some("a model and its two files share one name".to_owned()));
        }
        if !is_plain(name) {
            let message = format!("`{name}` is not a plain name");
            fault("model", message, Some("use at most 40 lower-case letters, digits and `_`".to_owned()));
        }
        if !SCHEMAS.contains(&self.schema.as_str()) {
            fault("schema", format!("unknown schema `{}`", self.schema), Some(did_you_mean(&self.schema, SCHEMAS)));
        } else if self.schema != schema {
            let message = format!("the schema is `{}` but the file stands in `sql/models/{schema}/`", self.schema);
            fault("schema", message, Some(format!("move the files to `sql/models/{}/`", self.schema)));
        }
        if !self.grain.starts_with("one row per ") {
            let message = format!("the grain is `{}`", self.grain);
            fault("grain", message, Some("say what a row stands for: `one row per …`".to_owned()));
        }
        let keyed = self.materialised != Materialisation::View;
        if keyed && self.unique_key.is_empty() {
            let message = "no `unique_key`".to_owned();
            let hint = "name the columns that the grain speaks of: no two rows share their values".to_owned();
            fault("unique_key", message, Some(hint));
        }
        if self.scd2.is_some() && self.materialised != Materialisation::Scd2 {
            fault("scd2", "only `materialised: scd2` has these settings".to_owned(), None);
        }
        if let Some(scd2) = &self.scd2
            && !(scd2.max_closed_percent > 0.0 && scd2.max_closed_percent <= 100.0)
        {
            let message = format!("{} is not a percentage", scd2.max_closed_percent);
            fault("scd2.max_closed_percent", message, Some("more than 0 and at most 100".to_owned()));
        }
        if !self.replace.is_empty() && self.materialised != Materialisation::Incremental {
            fault("replace", "only `materialised: incremental` replaces groups".to_owned(), None);
        }
        let known = || self.columns.keys().map(String::as_str);
        for (field, names) in [("unique_key", &self.unique_key), ("replace", &self.replace)] {
            for (index, column) in names.iter().enumerate().filter(|(_, column)| !self.columns.contains_key(*column)) {
                let message = format!("`{column}` is not one of the columns");
                fault(&format!("{field}[{index}]"), message, Some(did_you_mean(column, known())));
            }
        }
        if self.materialised == Materialisation::View && query.is_some_and(|q| q.text.contains("'sluice.")) {
            let message = "a view is read outside of runs, where there are no `sluice.…` settings".to_owned();
            fault("materialised", message, Some("keep it as a table".to_owned()));
        }
        if let Some(selected) = query.and_then(|query| query.columns.as_ref()) {
            for column in self.columns.keys().filter(|column| !selected.contains(*column)) {
                let hint = did_you_mean(column, selected.iter().map(String::as_str));
                fault(&format!("columns.{column}"), format!("the SELECT has no column `{column}`"), Some(hint));
            }
            for column in selected.iter().filter(|column| !self.columns.contains_key(*column)) {
                let hint = format!("say what it means: `{column}: …`");
                fault("columns", format!("the SELECT's column `{column}` is not described"), Some(hint));
            }
            if self.materialised == Materialisation::Scd2 && !selected.iter().any(|c| c == CHANGED_AT) {
                let hint = "select since when a row is so, as `changed_at`";
                fault("materialised", format!("the SELECT has no column `{CHANGED_AT}`"), Some(hint.to_owned()));
            }
        }
        faults
    }
}

fn is_plain(name: &str) -> bool {
    name.len() <= 40
        && name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}
