//! From a YAML document to a [`Suite`], with every fault of the file at once.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use workflow::{
    diagnostic::{Diagnostic, Problem, did_you_mean},
    yaml::{Document, read_value},
};

use super::{Check, OnFail, Profiled, Severity, Suite, Tolerance, Watched, great_expectations, parameter};
use crate::{
    anomaly,
    expectation::{Entry, Expectation, catalogue},
    expression::{Expression, row_condition},
};

/// Keys that every check may have beside its expectation's own.
const COMMON: &[&str] = &[
    "id",
    "mostly",
    "at_most",
    "group_by",
    "on_fail",
    "severity",
    "description",
    "owner",
    "tags",
    "when",
    "row_condition",
    "condition_parser",
];

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) suite: String,
    #[serde(default)]
    pub(super) description: String,
    #[serde(default)]
    pub(super) owner: Option<String>,
    #[serde(default)]
    pub(super) on_fail: Option<OnFail>,
    #[serde(default)]
    pub(super) tags: Vec<String>,
    #[serde(default)]
    pub(super) parameters: Map<String, Value>,
    /// The short form of a check of its own, the first.
    #[serde(default)]
    pub(super) contract: Option<Map<String, Value>>,
    #[serde(default)]
    pub(super) checks: Vec<Value>,
    #[serde(default)]
    pub(super) profile: Profiled,
    #[serde(default)]
    pub(super) anomalies: Vec<Value>,
    #[serde(default)]
    pub(super) events: Vec<Value>,
}

/// One check as its file has it.
pub(super) struct Written {
    /// Where it stands in the document.
    pub(super) base: String,
    /// Where its arguments stand below that.
    pub(super) below: String,
    pub(super) name: String,
    pub(super) arguments: Map<String, Value>,
    /// Whether an id that another check has gets a number, as the file's format has no ids.
    pub(super) numbered: bool,
}

#[derive(Deserialize)]
struct Common {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    mostly: Option<f64>,
    #[serde(default)]
    at_most: Option<u64>,
    #[serde(default)]
    group_by: Value,
    #[serde(default)]
    on_fail: Option<OnFail>,
    #[serde(default)]
    severity: Severity,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    owner: Option<String>,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    when: Option<String>,
    #[serde(default)]
    row_condition: Option<String>,
    #[serde(default)]
    condition_parser: Option<String>,
}

impl Suite {
    /// Reads the text of `file`, whose stem the suite's name must be.
    pub fn parse(file: &str, text: &str) -> Result<Self, Vec<Diagnostic>> {
        let suite = Self::read(&Document::parse(file, text).map_err(|fault| vec![fault])?)?;
        Ok(Self { text: text.into(), ..suite })
    }

    /// Reads a parsed document.
    fn read(document: &Document) -> Result<Self, Vec<Diagnostic>> {
        let mut faults = Vec::new();
        let (file, written) = if great_expectations::is_one(document) {
            great_expectations::read(document)?
        } else {
            let file: File = document.read()?;
            let written = written(&file, document, &mut faults);
            (file, written)
        };
        let path = std::path::Path::new(&document.file);
        let part = |part: Option<&std::ffi::OsStr>| part.and_then(|part| part.to_str()).unwrap_or_default().to_owned();
        let (stem, ending) = (part(path.file_stem()), part(path.extension()));
        if file.suite != stem {
            let hint = format!("name the file `{}.{ending}`, or the suite `{stem}`", file.suite);
            let message = format!("the suite `{}` stands in a file of another name", file.suite);
            faults.push(document.diagnostic("suite", message, Some(hint)));
        }
        if written.is_empty() && file.anomalies.is_empty() && faults.is_empty() {
            let hint = Some("a suite with no checks lets everything pass".to_owned());
            faults.push(document.diagnostic("checks", "the suite has no checks", hint));
        }
        let known = parameter::Known { named: &file.parameters, now: Utc::now() };
        let mut checks: Vec<Check> = Vec::new();
        for Written { base, below, name, arguments, numbered } in written {
            match read_check(&below, &name, arguments, &known) {
                Ok(mut check) => {
                    let is_taken = |id: &str| checks.iter().any(|earlier| earlier.id == id);
                    if is_taken(&check.id) && numbered {
                        let free = (2..checks.len() + 3)
                            .map(|number| format!("{}_{number}", check.id))
                            .find(|id| !is_taken(id));
                        check.id = free.unwrap_or_default();
                    } else if is_taken(&check.id) {
                        let message = format!("two checks have the id `{}`", check.id);
                        let hint = "give one of them an `id` of its own".to_owned();
                        faults.push(document.diagnostic(&base, message, Some(hint)));
                    }
                    checks.push(check);
                }
                Err(problems) => faults.extend(problems.into_iter().map(|problem| document.place(&base, problem))),
            }
        }
        let watched = watched(&file, &checks, document, &mut faults);
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(Self {
            name: file.suite,
            description: file.description,
            owner: file.owner,
            tags: file.tags,
            on_fail: file.on_fail,
            hash: hash(&document.value),
            text: document.value.to_string().into(),
            head: head(&document.value).into(),
            parameters: file.parameters,
            checks,
            watched,
        })
    }
}

/// What the file wants to be compared from batch to batch.
fn watched(file: &File, checks: &[Check], document: &Document, faults: &mut Vec<Diagnostic>) -> Watched {
    let (rules, calendar) = anomaly::read(&file.anomalies, &file.events).unwrap_or_else(|found| {
        faults.extend(found.into_iter().map(|(path, problem)| document.place(&path, problem)));
        Default::default()
    });
    for (index, rule) in rules.iter().enumerate() {
        if checks.iter().any(|check| check.id == rule.id) {
            let message = format!("a check and an anomaly have the id `{}`", rule.id);
            let hint = "give one of them an `id` of its own".to_owned();
            faults.push(document.diagnostic(&format!("anomalies[{index}]"), message, Some(hint)));
        }
    }
    Watched { profile: file.profile.clone(), rules, calendar }
}

fn hash(content: &Value) -> String {
    workflow::hex::encode(&Sha256::digest(content.to_string()))
}

/// A suite's document without its checks and anomalies, under the name that either format has for them.
fn head(content: &Value) -> Value {
    let mut head = content.clone();
    if let Some(keys) = head.as_object_mut() {
        keys.retain(|key, _| !["checks", "expectations", "anomalies"].contains(&key.as_str()));
    }
    head
}

impl Check {
    /// Computes its arguments anew, if any are computed.
    pub(super) fn compute(&mut self, parameters: &Map<String, Value>, now: DateTime<Utc>) {
        if !parameter::is_in(&self.arguments) {
            return;
        }
        let arguments = self.arguments.as_object().cloned().unwrap_or_default();
        let known = parameter::Known { named: parameters, now };
        match read_check("", self.expectation_type, arguments.clone(), &known) {
            Ok(check) => {
                (self.expectation, self.when, self.fault) = (check.expectation, check.when, None);
                // What has been computed is what it is from now on.
                self.arguments = parameter::resolve(arguments, &known).map_or(Value::Null, Value::Object);
            }
            Err(problems) => {
                let told: Vec<_> =
                    problems.iter().map(|problem| format!("{}: {}", problem.field, problem.message)).collect();
                self.fault = Some(told.join("; "));
            }
        }
    }
}

/// The checks of a file of ours, with the faults of those that have not the shape of one.
fn written(file: &File, document: &Document, faults: &mut Vec<Diagnostic>) -> Vec<Written> {
    let mut found = Vec::new();
    if let Some(arguments) = file.contract.clone() {
        let (base, name) = ("contract".to_owned(), "expect_table_to_meet_contract".to_owned());
        found.push(Written { base, below: String::new(), name, arguments, numbered: false });
    }
    for (index, item) in file.checks.iter().enumerate() {
        let base = format!("checks[{index}]");
        match named(item) {
            Ok((name, arguments)) => {
                found.push(Written { base, below: name.clone(), name, arguments, numbered: false });
            }
            Err(problem) => faults.push(document.place(&base, problem)),
        }
    }
    found
}

fn named(item: &Value) -> Result<(String, Map<String, Value>), Problem> {
    let hint = "write it as `- expect_column_values_to_not_be_null: { column: … }`";
    let one = |message: &str| Problem::new("", message).hint(hint);
    let map = item.as_object().ok_or_else(|| one("a check is a mapping with one key, the expectation"))?;
    let mut entries = map.iter();
    let (Some((name, arguments)), None) = (entries.next(), entries.next()) else {
        return Err(one(&format!("a check has one key, the expectation; found {}", map.len())));
    };
    match arguments {
        Value::Object(arguments) => Ok((name.clone(), arguments.clone())),
        Value::Null => Ok((name.clone(), Map::new())),
        _ => Err(Problem::new(name, "the arguments of an expectation are a mapping")),
    }
}

fn read_check(
    below: &str,
    name: &str,
    arguments: Map<String, Value>,
    known: &parameter::Known<'_>,
) -> Result<Check, Vec<Problem>> {
    let Some(entry) = catalogue().find(|entry| entry.name == name) else {
        let hint = nearest_expectation(name);
        return Err(vec![Problem::new(name, format!("unknown expectation `{name}`")).hint(hint)]);
    };
    read_arguments(entry, arguments, known).map_err(|problems| {
        problems.into_iter().map(|p| Problem { field: workflow::yaml::join(below, &p.field), ..p }).collect()
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

fn read_arguments(
    entry: &'static Entry,
    mut arguments: Map<String, Value>,
    known_parameters: &parameter::Known<'_>,
) -> Result<Check, Vec<Problem>> {
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
    // To Great Expectations an argument that is null is one that was not given.
    arguments.retain(|_, value| !value.is_null());
    let arguments = match parameter::resolve(arguments, known_parameters) {
        Ok(arguments) => arguments,
        Err(found) => {
            problems.extend(found);
            return Err(problems);
        }
    };
    let (common, own): (Map<_, _>, Map<_, _>) =
        arguments.into_iter().partition(|(key, _)| COMMON.contains(&key.as_str()));
    let expectation = keep((entry.read)(Value::Object(own)), &mut problems);
    let common: Option<Common> = keep(read_value(Value::Object(common)), &mut problems);
    let when = common.as_ref().and_then(|common| keep(when(common), &mut problems)).flatten();
    let group_by = common.as_ref().and_then(|common| keep(group_by(&common.group_by), &mut problems));
    if let (Some(expectation), Some(common)) = (&expectation, &common) {
        check_common(expectation, common, &mut problems);
    }
    match (expectation, common) {
        (Some(expectation), Some(common)) if problems.is_empty() => Ok(Check {
            id: common.id.unwrap_or_else(|| default_id(entry, &expectation, group_by.as_deref())),
            expectation_type: entry.name,
            arguments: written,
            expectation,
            tolerance: Tolerance { mostly: common.mostly, at_most: common.at_most },
            group_by: group_by.unwrap_or_default(),
            on_fail: common.on_fail,
            severity: common.severity,
            description: common.description,
            owner: common.owner,
            tags: common.tags,
            when,
            fault: None,
        }),
        _ => Err(problems),
    }
}

/// The rows that a check is about: both conditions hold, where both are given.
fn when(common: &Common) -> Result<Option<Expression>, Vec<Problem>> {
    let mut conditions = Vec::new();
    if let Some(text) = &common.when {
        conditions.push(text.parse::<Expression>().map_err(|error| vec![Problem::new("when", error.to_string())])?);
    }
    match (&common.row_condition, &common.condition_parser) {
        (None, None) => {}
        (Some(text), Some(parser)) if row_condition::PARSERS.contains(&parser.as_str()) => {
            let read = row_condition::read(text, parser);
            conditions.push(read.map_err(|error| vec![Problem::new("row_condition", error)])?);
        }
        (Some(_), Some(parser)) => {
            let hint = format!("one of {}; or write `when`, in SQL", row_condition::PARSERS.join(", "));
            let message = format!("`{parser}` is no language of conditions");
            return Err(vec![Problem::new("condition_parser", message).hint(hint)]);
        }
        (Some(_), None) => {
            let hint = "say `condition_parser: pandas`, or write `when`, in SQL";
            return Err(vec![Problem::new("row_condition", "its language is not told").hint(hint)]);
        }
        (None, Some(_)) => {
            let hint = "remove it, or give a `row_condition`";
            return Err(vec![Problem::new("condition_parser", "there is no condition to read").hint(hint)]);
        }
    }
    Ok(match conditions.len() {
        0 | 1 => conditions.pop(),
        _ => Some(Expression::And(conditions)),
    })
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
    if common.at_most.is_some() && !expectation.is_about_rows() {
        problems.push(Problem::new("at_most", "this expectation is not about single rows").hint("remove `at_most`"));
    }
    if !common.group_by.is_null() && !expectation.is_about_groups() {
        let hint = "checks of rows, of one number computed from a column, and of the number of rows can be";
        problems.push(Problem::new("group_by", "this expectation cannot be asked of groups").hint(hint));
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

/// A column, or a list of them.
fn group_by(written: &Value) -> Result<Vec<String>, Vec<Problem>> {
    let name = |value: &Value| value.as_str().filter(|name| !name.is_empty()).map(str::to_owned);
    let columns = match written {
        Value::Null => Some(Vec::new()),
        Value::Array(items) if items.is_empty() => None,
        Value::Array(items) => items.iter().map(name).collect(),
        one => name(one).map(|name| vec![name]),
    };
    columns.ok_or_else(|| {
        let problem = Problem::new("group_by", format!("expected a column or a list of columns, found `{written}`"));
        vec![problem.hint("write it as `group_by: [country]`")]
    })
}

fn default_id(entry: &Entry, expectation: &Expectation, group_by: Option<&[String]>) -> String {
    let columns = expectation.columns();
    let subject = if columns.is_empty() { "table".to_owned() } else { columns.join("+") };
    match group_by {
        None | Some([]) => format!("{subject}.{}", entry.short),
        Some(by) => format!("{subject}.{}.by.{}", entry.short, by.join("+")),
    }
}
