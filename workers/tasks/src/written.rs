//! What tasks say that only the files as they are written show: a template where none may be, a gate and its suite side by
//! side, the datasets that they publish. Whoever reads the project folder asks here, after the plan was checked.

use std::collections::{BTreeMap, BTreeSet};

use quality::Suite;
use serde::Deserialize;
use warehouse::models::Catalog;
use workflow::{diagnostic::Problem, kind::TaskKind, plan::Plan, template};

use crate::{
    export::{self, Export},
    load::{Gate, Load},
    reconcile::Reconcile,
    transform::Transform,
    validate::Validate,
    wait_sql::WaitSql,
};

/// Each problem of a plan's tasks, with the name of its task. Pure.
pub fn check(plan: &Plan, suites: &BTreeMap<String, Suite>) -> Vec<(String, Problem)> {
    let problem = |kind: &str, config: &serde_json::Value| match kind {
        Export::NAME | WaitSql::NAME => export::check_written(config),
        Load::NAME | Validate::NAME if from_mapped(plan, config).is_some() => from_mapped(plan, config),
        Load::NAME | Reconcile::NAME => {
            // A gate that cannot be read has been reported, or is known only when the task runs.
            let gate = Gate::deserialize(config.get("gate")?).ok()?;
            gate.check_limits(suites.get(&gate.suite)?)
        }
        _ => None,
    };
    let tasks = plan.tasks.iter();
    tasks.filter_map(|task| Some((task.name.clone(), problem(&task.kind, &task.config)?))).collect()
}

/// A batch is read from one task, and a mapped one leaves a list of them.
fn from_mapped(plan: &Plan, config: &serde_json::Value) -> Option<Problem> {
    let from = config.get("from")?.as_str()?;
    plan.task(from)?.for_each.as_ref()?;
    let message = format!("`{from}` is mapped, and leaves a list of batches instead of one");
    let hint = "an `extract` and `load` pair for each, or a DAG with a parameter that is run once for each";
    Some(Problem::new("from", message).hint(hint))
}

/// The datasets that a plan's tasks publish; `None` where a template decides about one of them. Pure.
pub fn datasets(plan: &Plan, models: &Catalog) -> Option<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for task in &plan.tasks {
        match task.kind.as_str() {
            Load::NAME => {
                let into = task.config.get("into").and_then(serde_json::Value::as_str)?;
                if template::is_template(into) {
                    return None;
                }
                found.insert(into.to_owned());
            }
            Reconcile::NAME if task.config.get("repair") == Some(&serde_json::Value::Bool(true)) => {
                let target = task.config.get("target").and_then(serde_json::Value::as_str)?;
                if template::is_template(target) {
                    return None;
                }
                found.insert(target.to_owned());
            }
            Transform::NAME => {
                let words = Vec::<String>::deserialize(task.config.get("models")?).ok()?;
                found.extend(models.select(&words).ok()?.into_iter().map(|model| model.relation.to_string()));
            }
            _ => {}
        }
    }
    Some(found)
}
