//! From a document to a plan, or to everything that stands in the way.

mod rules;
mod task;

use std::collections::{BTreeMap, BTreeSet};

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use self::task::Scope;
use super::{Known, Overlap, ParamType, Plan, PlannedTask, params::Params, read_params};
use crate::{
    dag::{self, DagFile, Defaults},
    diagnostic::{Diagnostic, Problem},
    kind::{Reference, Registry, Target},
    trigger::{self, Trigger},
    yaml::{Document, join, read_value},
};

/// Checks a DAG file against the kinds that there are and the names that the project defines. Pure: the same
/// input always gives the same plan, version included.
pub fn check(document: &Document, registry: &Registry, known: &Known) -> Result<Plan, Vec<Diagnostic>> {
    let mut checker = Checker { document, registry, known, faults: Vec::new() };
    let plan = checker.plan();
    match plan {
        Some(plan) if checker.faults.is_empty() => Ok(plan),
        _ => {
            checker.faults.sort_by_key(|fault| fault.line);
            Err(checker.faults)
        }
    }
}

struct Checker<'a> {
    document: &'a Document,
    registry: &'a Registry,
    known: &'a Known,
    faults: Vec<Diagnostic>,
}

impl Checker<'_> {
    fn fault(&mut self, base: &str, problem: Problem) {
        self.faults.push(self.document.place(base, problem));
    }

    /// Reads a block; its faults are noted, and `T`'s default stands in for it.
    fn read<T: DeserializeOwned + Default>(&mut self, base: &str, value: Value) -> T {
        if value.is_null() {
            return T::default();
        }
        match read_value(value) {
            Ok(read) => read,
            Err(problems) => {
                for problem in problems {
                    self.fault(base, problem);
                }
                T::default()
            }
        }
    }

    fn plan(&mut self) -> Option<Plan> {
        if !self.document.value.is_object() {
            let hint = "a DAG file starts with `dag: NAME`".to_owned();
            self.faults.push(self.document.diagnostic("", "expected a mapping", Some(hint)));
            return None;
        }
        let file = self.file_keys();
        let dag = self.name("dag", file.dag);
        let description = self.read("description", file.description);
        let schedule = match dag::schedule(&file.schedule, self.known.timezone) {
            Ok(schedule) => schedule,
            Err(problems) => {
                for problem in problems {
                    self.fault("schedule", problem);
                }
                None
            }
        };
        let timezone = schedule.as_ref().map_or(self.known.timezone, |schedule| schedule.timezone);
        let (max_active_runs, overlap) = self.overlap(file.max_active_runs, file.overlap);
        let retry_budget: Option<u32> = self.read("retry_budget", file.retry_budget);
        let params: Map<String, Value> = self.read("params", file.params);
        for name in params.keys().filter(|name| !dag::is_name(name)) {
            self.fault("params", bad_name(name, name));
        }
        let (params, problems) = read_params(params);
        for problem in problems {
            self.fault("params", problem);
        }
        let triggers = self.triggers(file.triggers, &dag, &params);
        if let Some((name, _)) = params.declared.iter().find(|(_, declared)| declared.required)
            && schedule.is_some()
        {
            let problem = Problem::new(join("params", name), "a schedule gives no parameters, so this one is missing");
            self.fault("", problem.hint("a `default` instead of `required: true`, or no `schedule`"));
        }
        let defaults: Defaults = self.read("defaults", file.defaults);
        for (index, channel) in defaults.on_failure.iter().enumerate() {
            let reference = Reference::new(format!("on_failure[{index}]"), Target::Channel(channel.clone()));
            if let Some(problem) = self.known.resolve(&reference) {
                self.fault("defaults", problem);
            }
        }
        let timeouts = (defaults.timeout, defaults.total_timeout);
        self.limits("defaults", defaults.attempts, timeouts, defaults.backoff);
        let blocks = self.task_blocks(file.tasks);
        let names: BTreeSet<String> = blocks.iter().map(|(name, _)| name.clone()).collect();
        let groups = self.groups(&blocks, &names);
        let scope = Scope {
            dag: &dag,
            timezone,
            params: &params.samples,
            triggers: &triggers,
            trigger: &crate::cause::sample(&triggers),
            defaults: &defaults,
            names: &names,
            groups: &groups,
        };
        let tasks: Vec<PlannedTask> =
            blocks.into_iter().filter_map(|(name, block)| self.task(&scope, name, block)).collect();
        self.teardowns(&tasks);
        let tasks = self.order(tasks)?;
        let mut plan = Plan {
            dag,
            description,
            version: String::new(),
            schedule,
            triggers,
            timezone,
            max_active_runs,
            overlap,
            retry_budget,
            params: params.defaults,
            declared: params.declared,
            on_failure: defaults.on_failure,
            tasks,
        };
        plan.version = plan.content_version();
        Some(plan)
    }

    fn file_keys(&mut self) -> DagFile {
        // An unknown key must not hide what the known ones hold, so it is noted and left out.
        let mut value = self.document.value.clone();
        if let Err(problems) = read_value::<DagFile>(value.clone()) {
            for problem in problems {
                if let Some(map) = value.as_object_mut() {
                    map.shift_remove(&problem.field);
                }
                self.fault("", problem);
            }
        }
        self.read("", value)
    }

    fn name(&mut self, field: &str, value: Value) -> String {
        match value {
            Value::String(name) if dag::is_name(&name) => name,
            Value::String(name) => {
                self.fault("", bad_name(field, &name));
                name
            }
            Value::Null => {
                self.fault("", Problem::new(field, "a DAG needs a name").hint("add `dag: NAME`"));
                String::new()
            }
            other => {
                self.fault("", Problem::new(field, format!("expected a name, found `{other}`")));
                String::new()
            }
        }
    }

    /// How many runs may be under way at once. Whoever says what becomes of the next one means one at a time.
    fn overlap(&mut self, most: Value, overlap: Value) -> (Option<u32>, Overlap) {
        let said = !overlap.is_null();
        let most: Option<u32> = self.read("max_active_runs", most);
        let overlap: Overlap = self.read("overlap", overlap);
        if most == Some(0) {
            let problem = Problem::new("max_active_runs", "a DAG of which no run may be under way never runs");
            self.fault("", problem.hint("`sluice dag pause NAME` lets its schedule rest"));
        }
        (most.or(said.then_some(1)), overlap)
    }

    fn triggers(&mut self, value: Value, dag: &str, params: &Params) -> Vec<Trigger> {
        let entries: Vec<Value> = self.read("triggers", value);
        let mut triggers = Vec::new();
        for (place, entry) in entries.into_iter().enumerate() {
            let base = format!("triggers[{place}]");
            match trigger::read(entry, dag, &params.defaults, &self.known.webhooks) {
                Ok(trigger) => {
                    if let Some(problem) = takes_no_path(&trigger, params) {
                        self.fault(&base, problem);
                    }
                    let required = params.declared.iter().filter(|(_, declared)| declared.required);
                    let missing = required.map(|(name, _)| name).find(|name| trigger.param() != Some(name.as_str()));
                    if let Some(name) = missing.filter(|_| !trigger.gives_any()) {
                        let message = format!("the run would have no `{name}`, which is required");
                        self.fault(&base, Problem::new("", message).hint("give the parameter a `default`"));
                    }
                    triggers.push(trigger);
                }
                Err(problems) => {
                    for problem in problems {
                        self.fault(&base, problem);
                    }
                }
            }
        }
        triggers
    }

    fn task_blocks(&mut self, tasks: Value) -> Vec<(String, Map<String, Value>)> {
        let Value::Object(tasks) = tasks else {
            let found = if tasks.is_null() { "a DAG needs at least one task" } else { "expected a mapping of tasks" };
            self.fault("", Problem::new("tasks", found).hint("`tasks: { NAME: { kind: … } }`"));
            return Vec::new();
        };
        if tasks.is_empty() {
            self.fault("", Problem::new("tasks", "a DAG needs at least one task"));
        }
        let mut blocks = Vec::new();
        for (name, block) in tasks {
            if !dag::is_name(&name) {
                self.fault("tasks", bad_name(&name, &name));
            }
            if let Value::Object(block) = block {
                blocks.push((name, block));
            } else {
                let problem = Problem::new(&name, "expected the task's keys").hint("`kind: …` at least");
                self.fault("tasks", problem);
                // It stays known as a name, so that what needs it is not reported too.
                blocks.push((name, Map::new()));
            }
        }
        blocks
    }

    /// Sorts so that each task comes after all that it needs, else by the file's order; a cycle is a fault.
    fn order(&mut self, tasks: Vec<PlannedTask>) -> Option<Vec<PlannedTask>> {
        let mut left = tasks;
        let mut done: Vec<PlannedTask> = Vec::with_capacity(left.len());
        loop {
            let names: BTreeSet<String> = left.iter().map(|task| task.name.clone()).collect();
            let (ready, rest): (Vec<_>, Vec<_>) =
                left.into_iter().partition(|task| !task.needs.iter().any(|need| names.contains(need)));
            if rest.is_empty() {
                done.extend(ready);
                return Some(done);
            }
            if ready.is_empty() {
                let path = cycle(&rest);
                let field = format!("tasks.{}.needs", path[0]);
                let message = format!("the tasks wait for each other: {}", path.join(" → "));
                let hint = Some("remove one of these needs".to_owned());
                self.faults.push(self.document.diagnostic(&field, message, hint));
                return None;
            }
            done.extend(ready);
            left = rest;
        }
    }
}

/// A file's path is a text, whatever the parameter would like to be.
fn takes_no_path(trigger: &Trigger, params: &Params) -> Option<Problem> {
    let name = trigger.param().filter(|_| matches!(trigger, Trigger::File { .. }))?;
    let (declared, default) = (params.declared.get(name), params.defaults.get(name));
    let takes = match (declared, default) {
        (Some(declared), _) => declared.of == ParamType::Text && declared.choices.is_empty(),
        (None, Some(default)) => default.is_string(),
        (None, None) => true,
    };
    let problem = || Problem::new("as", format!("`{name}` does not take a path, as it is not any text"));
    (!takes).then(|| problem().hint(format!("`params: {{ {name}: \"\" }}`")))
}

fn bad_name(field: &str, name: &str) -> Problem {
    Problem::new(field, format!("`{name}` cannot be a name")).hint("lower-case letters, digits and `_`, a letter first")
}

/// A path that ends where it began. Every task in `tasks` needs another one of them.
fn cycle(tasks: &[PlannedTask]) -> Vec<&str> {
    let needs: BTreeMap<&str, &PlannedTask> = tasks.iter().map(|task| (task.name.as_str(), task)).collect();
    let mut path: Vec<&str> = vec![&tasks[0].name];
    loop {
        let last = path[path.len() - 1];
        let Some(next) = needs[last].needs.iter().map(String::as_str).find(|need| needs.contains_key(need)) else {
            return path;
        };
        if let Some(start) = path.iter().position(|seen| *seen == next) {
            let mut found = path.split_off(start);
            found.push(next);
            return found;
        }
        path.push(next);
    }
}
