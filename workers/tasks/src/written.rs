//! What is wrong with tasks that only the files as they are written show: a template where none may be, a gate and its
//! suite side by side. Whoever reads the project folder asks here, after the plan was checked.

use std::collections::BTreeMap;

use quality::Suite;
use serde::Deserialize;
use workflow::{diagnostic::Problem, kind::TaskKind, plan::Plan};

use crate::{
    export::{self, Export},
    load::{Gate, Load},
    wait_sql::WaitSql,
};

/// Each problem of a plan's tasks, with the name of its task. Pure.
pub fn check(plan: &Plan, suites: &BTreeMap<String, Suite>) -> Vec<(String, Problem)> {
    let problem = |kind: &str, config: &serde_json::Value| match kind {
        Export::NAME | WaitSql::NAME => export::check_written(config),
        Load::NAME => {
            // A gate that cannot be read has been reported, or is known only when the task runs.
            let gate = Gate::deserialize(config.get("gate")?).ok()?;
            gate.check_limits(suites.get(&gate.suite)?)
        }
        _ => None,
    };
    let tasks = plan.tasks.iter();
    tasks.filter_map(|task| Some((task.name.clone(), problem(&task.kind, &task.config)?))).collect()
}
