//! From a YAML document to a [`Suite`], with every fault of the file at once.

use serde::Deserialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use workflow::{
    diagnostic::{Diagnostic, Problem, did_you_mean},
    yaml::{Document, read_value},
};

use super::{Check, OnFail, Severity, Suite};
use crate::{
    expectation::{Entry, Expectation, catalogue},
    expression::Expression,
};

/// Keys that every check may have beside its expectation's own.
const COMMON: &[&str] = &["id", "mostly", "on_fail", "severity", "description", "when"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    suite: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    owner: Option<String>,
    #[serde(default)]
    on_fail: Option<OnFail>,
    checks: Vec<Value>,
}

#[derive(Deserialize)]
struct Common {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    mostly: Option<f64>,
    #[serde(default)]
    on_fail: Option<OnFail>,
    #[serde(default)]
    severity: Severity,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    when: Option<String>,
}

impl Suite {
    /// Reads the text of `file`, whose stem the suite's name must be.
    pub fn parse(file: &str, text: &str) -> Result<Self, Vec<Diagnostic>> {
        Self::read(&Document::parse(file, text).map_err(|fault| vec![fault])?)
    }

    /// Reads a parsed document.
    pub fn read(document: &Document) -> Result<Self, Vec<Diagnostic>> {
        let file: File = document.read()?;
        let mut faults = Vec::new();
        let stem = std::path::Path::new(&document.file).file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        if file.suite != stem {
            let hint = format!("name the file `{}.yaml`, or the suite `{stem}`", file.suite);
            let message = format!("the suite `{}` stands in a file of another name", file.suite);
            faults.push(document.diagnostic("suite", message, Some(hint)));
        }
        if file.checks.is_empty() {
            let hint = Some("a suite with no checks lets everything pass".to_owned());
            faults.push(document.diagnostic("checks", "the suite has no checks", hint));
        }
        let mut checks: Vec<Check> = Vec::new();
        for (index, item) in file.checks.iter().enumerate() {
            let base = format!("checks[{index}]");
            match read_check(item) {
                Ok(check) => {
                    if checks.iter().any(|earlier| earlier.id == check.id) {
                        let message = format!("two checks have the id `{}`", check.id);
                        let hint = "give one of them an `id` of its own".to_owned();
                        faults.push(document.diagnostic(&base, message, Some(hint)));
                    }
                    checks.push(check);
                }
                Err(problems) => faults.extend(problems.into_iter().map(|problem| document.place(&base, problem))),
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(Self {
            name: file.suite,
            description: file.description,
            owner: file.owner,
            on_fail: file.on_fail,
            hash: hash(&document.value),
            checks,
        })
    }
}

fn hash(content: &Value) -> String {
    workflow::hex::encode(&Sha256::digest(content.to_string()))
}

fn read_check(item: &Value) -> Result<Check, Vec<Problem>> {
    let one = |message: &str| {
        vec![Problem::new("", message).hint("write it as `- expect_column_values_to_not_be_null: { column: … }`")]
    };
    let Some(map) = item.as_object() else { return Err(one("a check is a mapping with one key, the expectation")) };
    let mut entries = map.iter();
    let (Some((name, arguments)), None) = (entries.next(), entries.next()) else {
        return Err(one(&format!("a check has one key, the expectation; found {}", map.len())));
    };
    let Some(entry) = catalogue().find(|entry| entry.name == name) else {
        let hint = nearest_expectation(name);
        return Err(vec![Problem::new(name, format!("unknown expectation `{name}`")).hint(hint)]);
    };
    let arguments = match arguments {
        Value::Object(arguments) => arguments.clone(),
        Value::Null => Map::new(),
        _ => return Err(vec![Problem::new(name, "the arguments of an expectation are a mapping")]),
    };
    read_arguments(entry, arguments).map_err(|problems| {
        problems.into_iter().map(|p| Problem { field: workflow::yaml::join(name, &p.field), ..p }).collect()
    })
}

fn nearest_expectation(name: &str) -> String {
    let names = catalogue().map(|entry| entry.name);
    match workflow::diagnostic::nearest(name, names) {
        Some(near) => format!("did you mean `{near}`?"),
        None => {
            "the names are those of Great Expectations 1.x, such as `expect_column_values_to_not_be_null`".to_owned()
        }
    }
}

fn read_arguments(entry: &'static Entry, mut arguments: Map<String, Value>) -> Result<Check, Vec<Problem>> {
    let mut problems = Vec::new();
    let known = entry.keys.iter().chain(COMMON).copied();
    arguments.retain(|key, _| {
        let is_known = known.clone().any(|name| name == key);
        if !is_known {
            let hint = did_you_mean(key, known.clone());
            problems.push(Problem::new(key, format!("unknown key `{key}`")).hint(hint));
        }
        is_known
    });
    let written = Value::Object(arguments.clone());
    let (common, own): (Map<_, _>, Map<_, _>) =
        arguments.into_iter().partition(|(key, _)| COMMON.contains(&key.as_str()));
    let expectation = keep((entry.read)(Value::Object(own)), &mut problems);
    let common: Option<Common> = keep(read_value(Value::Object(common)), &mut problems);
    let when = common.as_ref().and_then(|common| common.when.as_deref()).and_then(|text| {
        let parsed = text.parse::<Expression>().map_err(|error| vec![Problem::new("when", error.to_string())]);
        keep(parsed, &mut problems)
    });
    if let (Some(expectation), Some(common)) = (&expectation, &common) {
        check_common(expectation, common, &mut problems);
    }
    match (expectation, common) {
        (Some(expectation), Some(common)) if problems.is_empty() => Ok(Check {
            id: common.id.unwrap_or_else(|| default_id(entry, &expectation)),
            expectation_type: entry.name,
            arguments: written,
            expectation,
            mostly: common.mostly.unwrap_or(1.0),
            on_fail: common.on_fail,
            severity: common.severity,
            description: common.description,
            when,
        }),
        _ => Err(problems),
    }
}

fn keep<T>(read: Result<T, Vec<Problem>>, problems: &mut Vec<Problem>) -> Option<T> {
    read.map_err(|found| problems.extend(found)).ok()
}

fn check_common(expectation: &Expectation, common: &Common, problems: &mut Vec<Problem>) {
    if let Some(mostly) = common.mostly {
        if !(0.0..=1.0).contains(&mostly) {
            let hint = "0.99 lets one row in a hundred fail";
            problems.push(Problem::new("mostly", format!("must be from 0 to 1, found {mostly}")).hint(hint));
        } else if !expectation.is_about_rows() {
            problems.push(Problem::new("mostly", "this expectation is not about single rows").hint("remove `mostly`"));
        }
    }
    if common.on_fail == Some(OnFail::Quarantine) && !expectation.is_about_rows() {
        let hint = "use `warn` or `fail`: there are no single rows that it could hold back";
        problems.push(Problem::new("on_fail", "this expectation is not about single rows").hint(hint));
    }
    if let Some(id) = &common.id
        && (id.is_empty() || id.chars().any(|c| c.is_whitespace() || c.is_control()))
    {
        problems.push(Problem::new("id", format!("`{id}` is not an id")).hint("use letters, digits, `.`, `_` and `-`"));
    }
}

fn default_id(entry: &Entry, expectation: &Expectation) -> String {
    let columns = expectation.columns();
    let subject = if columns.is_empty() { "table".to_owned() } else { columns.join("+") };
    format!("{subject}.{}", entry.short)
}
