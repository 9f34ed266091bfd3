//! What starts a run of a DAG other than its schedule or a person.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    diagnostic::{Problem, did_you_mean},
    span::Span,
    yaml::read_value,
};

/// An entry of `triggers:`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// Another DAG's run succeeded: the run stands for the same logical time and interval.
    Dag(String),
    /// Datasets were published since the last run.
    Datasets {
        /// Which.
        of: Vec<String>,
        /// One of them is enough.
        any: bool,
    },
    /// A file came, or changed: one run each.
    File {
        /// Where to look: a path with `*`, `?`, `**`.
        path: String,
        /// Whether that is in the lake; else in the project's folder.
        lake: bool,
        /// How long it must have been as it is.
        settle: Span,
        /// The parameter that takes its path.
        param: Option<String>,
    },
    /// A signed request came to `/hooks/NAME`.
    Webhook {
        /// Its name in `sluice.yaml`, where its secret is.
        name: String,
        /// The parameter that takes the body; absent where the body's keys are parameters.
        param: Option<String>,
    },
}

/// What has to come before a [`Trigger`] fires, as the run store keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sources<'a> {
    /// As stored in `sluice.trigger_source.kind`.
    pub kind: &'static str,
    /// The names of the sources.
    pub of: Vec<&'a str>,
    /// Of how many of them something must have come.
    pub needs: usize,
}

impl Trigger {
    /// What has to come before it fires.
    pub fn sources(&self) -> Sources<'_> {
        match self {
            Self::Dag(dag) => Sources { kind: "dag", of: vec![dag], needs: 1 },
            Self::Datasets { of, any } => {
                let of: Vec<&str> = of.iter().map(String::as_str).collect();
                let needs = if *any { 1 } else { of.len() };
                Sources { kind: "dataset", of, needs }
            }
            Self::File { path, .. } => Sources { kind: "file", of: vec![path], needs: 1 },
            Self::Webhook { name, .. } => Sources { kind: "webhook", of: vec![name], needs: 1 },
        }
    }

    /// The parameter that it gives a run.
    pub fn param(&self) -> Option<&str> {
        match self {
            Self::Dag(_) | Self::Datasets { .. } => None,
            Self::File { param, .. } | Self::Webhook { param, .. } => param.as_deref(),
        }
    }

    /// Whether a run that it starts may be given any parameter.
    pub fn gives_any(&self) -> bool {
        matches!(self, Self::Webhook { param: None, .. })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    dag: Option<String>,
    datasets: Option<Vec<String>>,
    any: Option<bool>,
    file: Option<String>,
    object: Option<String>,
    settle: Option<Span>,
    webhook: Option<String>,
    #[serde(rename = "as")]
    param: Option<String>,
}

/// How long a file must have been as it is where the DAG does not say.
const SETTLE: Span = Span::from_secs(5);

/// Reads an entry of `triggers:` of the DAG `own`. Whether another DAG is there is for the project's check.
pub(crate) fn read(
    value: Value,
    own: &str,
    params: &Map<String, Value>,
    webhooks: &BTreeSet<String>,
) -> Result<Trigger, Vec<Problem>> {
    let Keys { dag, datasets, any, file, object, settle, webhook, param } = read_value(value)?;
    let mut problems = Vec::new();
    if let Some(name) = param.as_ref().filter(|name| !params.contains_key(*name)) {
        let hint = if params.is_empty() {
            format!("declare it: `params: {{ {name}: \"\" }}`")
        } else {
            did_you_mean(name, params.keys().map(String::as_str))
        };
        problems.push(Problem::new("as", format!("`{name}` is not a parameter of this DAG")).hint(hint));
    }
    let beside = [
        ("any", any.is_some(), datasets.is_some(), "datasets"),
        ("settle", settle.is_some(), file.is_some() || object.is_some(), "file"),
        ("as", param.is_some(), file.is_some() || object.is_some() || webhook.is_some(), "file"),
    ];
    for (key, given, fits, of) in beside {
        if given && !fits {
            problems.push(Problem::new(key, format!("`{key}` goes with `{of}`")).hint("remove it"));
        }
    }
    let settle = settle.unwrap_or(SETTLE);
    let mut found = Vec::new();
    found.extend(dag.map(Trigger::Dag));
    found.extend(datasets.map(|of| Trigger::Datasets { of, any: any.unwrap_or(false) }));
    found.extend(file.map(|path| Trigger::File { path, lake: false, settle, param: param.clone() }));
    found.extend(object.map(|path| Trigger::File { path, lake: true, settle, param: param.clone() }));
    found.extend(webhook.map(|name| Trigger::Webhook { name, param }));
    let trigger = match <[Trigger; 1]>::try_from(found) {
        Ok([trigger]) => trigger,
        Err(found) => {
            let problem =
                if found.is_empty() { "a trigger says what it waits for" } else { "a trigger waits for one thing" };
            let hint = "`dag: NAME`, `datasets: [NAME]`, `file: PATH`, `object: PATH` or `webhook: NAME`";
            problems.push(Problem::new("", problem).hint(hint));
            return Err(problems);
        }
    };
    problems.extend(wrong(&trigger, own, webhooks));
    if problems.is_empty() { Ok(trigger) } else { Err(problems) }
}

fn wrong(trigger: &Trigger, own: &str, webhooks: &BTreeSet<String>) -> Option<Problem> {
    match trigger {
        Trigger::Dag(dag) if dag == own => Some(Problem::new("dag", "a DAG cannot wait for its own success")),
        Trigger::Datasets { of, .. } if of.is_empty() => Some(Problem::new("datasets", "name at least one dataset")),
        Trigger::Datasets { of, .. } => {
            let twice = of.iter().enumerate().find(|(place, name)| of[..*place].contains(name));
            twice.map(|(place, name)| {
                Problem::new(format!("datasets[{place}]"), format!("`{name}` is named twice")).hint("remove one")
            })
        }
        Trigger::File { path, lake, .. } => {
            let field = if *lake { "object" } else { "file" };
            let outside = path.is_empty() || path.starts_with('/') || path.split('/').any(|part| part == "..");
            let place = if *lake { "the lake" } else { "the project folder" };
            outside.then(|| Problem::new(field, format!("the path is not below {place}")).hint("`inbox/*.csv`"))
        }
        Trigger::Webhook { name, .. } if !webhooks.contains(name) => {
            let hint = if webhooks.is_empty() {
                format!("`webhooks: {{ {name}: \"${{HOOK_SECRET}}\" }}` in sluice.yaml gives it a secret")
            } else {
                did_you_mean(name, webhooks.iter().map(String::as_str))
            };
            Some(Problem::new("webhook", format!("no webhook `{name}` in sluice.yaml")).hint(hint))
        }
        Trigger::Dag(_) | Trigger::Webhook { .. } => None,
    }
}

/// A circle of DAGs, each of which waits for the next one's success, ending where it began.
pub fn circle<'a>(waits: &[(&'a str, Vec<&'a str>)]) -> Option<Vec<&'a str>> {
    let after = |dag: &str| waits.iter().find(|(name, _)| *name == dag).map_or(&[][..], |(_, of)| of);
    for (start, _) in waits {
        let mut paths = vec![vec![*start]];
        let mut seen = BTreeSet::new();
        while let Some(path) = paths.pop() {
            for next in after(path[path.len() - 1]) {
                let mut longer = path.clone();
                longer.push(next);
                if next == start {
                    return Some(longer);
                }
                if seen.insert(*next) {
                    paths.push(longer);
                }
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_circle_is_found_wherever_it_is() {
        let waits = [("a", vec!["b"]), ("b", vec!["c", "d"]), ("c", vec![]), ("d", vec!["e"]), ("e", vec!["b"])];
        assert_eq!(circle(&waits), Some(vec!["b", "d", "e", "b"]));
        assert_eq!(circle(&waits[..4]), None);
    }
}
