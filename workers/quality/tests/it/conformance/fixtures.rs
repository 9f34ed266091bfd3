//! The files: datasets with their cases, and whom each is for.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use serde_json::Value;
use workflow::yaml::Document;

/// The tests of hypotheses, which Sluice does not have.
pub(super) const NOT_HERE: [&str; 4] = [
    "expect_column_bootstrapped_ks_test_p_value_to_be_greater_than",
    "expect_column_chisquare_test_p_value_to_be_greater_than",
    "expect_column_pair_cramers_phi_value_to_be_less_than",
    "expect_column_parameterized_distribution_ks_test_p_value_to_be_greater_than",
];

/// What a case is run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Target {
    Frames,
    Tables,
}

impl fmt::Display for Target {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(if *self == Self::Frames { "frames" } else { "Postgres" })
    }
}

/// Rows, and what is said of them.
pub(super) struct Dataset {
    /// Columns by name; several such where a case is about several tables.
    pub(super) data: Value,
    /// Types by backend and column.
    pub(super) schemas: Value,
    pub(super) cases: Vec<Case>,
}

/// One case.
#[derive(Clone)]
pub(super) struct Case {
    pub(super) expectation: String,
    pub(super) title: String,
    pub(super) arguments: Value,
    pub(super) out: Value,
    /// How far an observed number may be from that of the case, as a fraction of it.
    pub(super) tolerance: Option<f64>,
    errs: bool,
    rules: [Value; 2],
}

impl Case {
    /// Whether it must be refused, or end in an error.
    pub(super) fn fails(&self) -> bool {
        self.errs || self.out.get("traceback_substring").is_some()
    }

    /// The files' own rules for whom a case, or all of a dataset, is.
    pub(super) fn is_for(&self, target: Target) -> bool {
        self.rules.iter().all(|rules| is_meant(rules, target))
    }
}

fn is_meant(rules: &Value, target: Target) -> bool {
    let names = |key: &str| match &rules[key] {
        Value::String(one) => vec![one.clone()],
        Value::Array(many) => many.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect(),
        _ => Vec::new(),
    };
    let is_us = |name: &String| match target {
        Target::Frames => matches!(name.as_str(), "pandas" | "pandas_v3_api") || name.starts_with("pandas>="),
        Target::Tables => matches!(name.as_str(), "postgresql" | "sqlalchemy"),
    };
    let only = names("only_for");
    (only.is_empty() || only.iter().any(is_us)) && !names("suppress_test_for").iter().any(is_us)
}

/// Where the files are, if they are anywhere above.
pub(super) fn folder() -> Option<PathBuf> {
    let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    above.map(|folder| folder.join("shared/data/gx-fixtures")).find(|folder| folder.is_dir())
}

/// All datasets with cases of the expectations that there are.
pub(super) fn datasets(folder: &Path) -> Vec<Dataset> {
    let entries = |folder: &Path| {
        let mut paths: Vec<_> =
            std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
        paths.sort();
        paths
    };
    let files: Vec<_> =
        entries(folder).into_iter().filter(|path| path.is_dir()).flat_map(|path| entries(&path)).collect();
    files.iter().flat_map(|file| read(file)).collect()
}

fn read(file: &Path) -> Vec<Dataset> {
    let text = std::fs::read_to_string(file).expect("a text");
    // As YAML: Python writes infinities that JSON does not have, and digits of which serde_json loses the last.
    let file = Document::parse("fixture", &text.replace('\t', "  ")).unwrap_or_else(|fault| panic!("{fault}")).value;
    let name = file["expectation_type"].as_str().unwrap_or_default();
    if NOT_HERE.contains(&name) {
        return Vec::new();
    }
    file["datasets"].as_array().into_iter().flatten().map(|of| dataset(name, of)).collect()
}

fn dataset(name: &str, of: &Value) -> Dataset {
    let case = |test: &Value| Case {
        expectation: name.to_owned(),
        title: test["title"].as_str().unwrap_or_default().to_owned(),
        arguments: test["in"].clone(),
        out: test["out"].clone(),
        tolerance: test["tolerance"].as_f64(),
        errs: test.get("error").is_some(),
        rules: [without_cases(of), test.clone()],
    };
    let cases = of["tests"].as_array().into_iter().flatten().map(case).collect();
    Dataset { data: of["data"].clone(), schemas: of["schemas"].clone(), cases }
}

fn without_cases(of: &Value) -> Value {
    let keep = |key: &str| (key.to_owned(), of[key].clone());
    Value::Object(["only_for", "suppress_test_for"].map(keep).into_iter().collect())
}

/// Whether an argument is one of these names, or a list with one of them, or a condition over one.
pub(super) fn names_any(arguments: &Value, names: &[String]) -> bool {
    match arguments {
        Value::String(text) => names.contains(text),
        Value::Array(items) => items.iter().any(|item| names_any(item, names)),
        Value::Object(map) => map.iter().any(|(key, item)| match item.as_str() {
            Some(text) if key == "row_condition" => names.iter().any(|name| text.contains(name)),
            _ => names_any(item, names),
        }),
        _ => false,
    }
}
