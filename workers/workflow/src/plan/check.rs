//! From a document to a plan, or to everything that stands in the way.

mod rules;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{Backoff, Known, Overlap, Plan, PlannedTask, params::Params, read_params};
use crate::{
    dag::{self, DagFile, Defaults, Names, TASK_KEYS, TaskKeys},
    diagnostic::{Diagnostic, Problem, did_you_mean, nearest},
    kind::{AnyKind, Reference, Registry, Target},
    span::Span,
    template,
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
        let scope =
            Scope { dag: &dag, timezone, params: &params.samples, defaults: &defaults, names: &names, groups: &groups };
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

    fn task(&mut self, scope: &Scope<'_>, name: String, block: Map<String, Value>) -> Option<PlannedTask> {
        let base = join("tasks", &name);
        if block.is_empty() {
            if self.document.value.pointer(&format!("/tasks/{name}")).is_some_and(Value::is_object) {
                self.fault(&base, Problem::new("", "a task needs a `kind`"));
            }
            return None;
        }
        let (common, own) = dag::split(block);
        let keys: TaskKeys = self.read(&base, Value::Object(common.clone()));
        self.limits(&base, keys.attempts, (keys.timeout, keys.total_timeout), keys.backoff);
        self.concurrency(scope, &base, &name, &keys);
        let labels = if keys.labels.is_none() { &scope.defaults.labels } else { &keys.labels };
        let labels: BTreeSet<String> = labels.at("labels").into_iter().map(|(_, label)| label.to_owned()).collect();
        for label in labels.iter().filter(|label| !dag::is_name(label)) {
            self.fault(&base, bad_name("labels", label));
        }
        let mut needs = self.names(scope, &base, &name, &keys.needs, "needs");
        let teardown = self.names(scope, &base, &name, &keys.teardown, "teardown");
        needs.extend(teardown.iter().filter(|setup| !needs.contains(setup)).cloned().collect::<Vec<_>>());
        let trigger_rule = self.rule(&base, keys.trigger_rule, !teardown.is_empty());
        let config = Value::Object(own);
        let kind = self.kind(&base, keys.kind.as_deref(), common.contains_key("kind"));
        let references =
            kind.as_ref().map(|kind| self.references(scope, &base, &name, &config, kind.as_ref())).unwrap_or_default();
        for reference in references {
            if let Target::Task(needed) = &reference.target {
                if let Some(problem) = unknown_need(scope, &name, &reference.field, needed) {
                    self.fault(&base, problem);
                } else if !needs.contains(needed) {
                    needs.push(needed.clone());
                }
            } else if !self.is_templated(&base, &reference.field)
                && let Some(problem) = self.known.resolve(&reference)
            {
                self.fault(&base, problem);
            }
        }
        self.for_each(scope, &base, &name, &keys, &needs);
        let each = keys.for_each.as_ref().map(|each| each.name.as_str());
        // Where `for_each` has faults of its own, they are enough.
        let each = each.or(common.contains_key("for_each").then_some("item"));
        self.templates(scope, &base, &config, keys.when.as_deref(), (&needs, each));
        let kind = kind?;
        let defaults = scope.defaults;
        // Slots of its own stand in for the pool that others of the DAG take slots of.
        let own = keys.concurrency.is_some() || keys.for_each.as_ref().is_some_and(|each| each.max_parallel.is_some());
        let pool = keys.pool.or_else(|| defaults.pool.clone().filter(|_| !own));
        if let Some(name) = &pool {
            let reference = Reference::new("pool", Target::Pool(name.clone()));
            if let Some(problem) = self.known.resolve(&reference) {
                self.fault(&base, problem);
            }
        }
        let backoff = keys.backoff.or(defaults.backoff).map_or_else(Backoff::default, |keys| {
            let to = keys.to.unwrap_or(Backoff::default().to).max(keys.from);
            Backoff { from: keys.from, to }
        });
        Some(PlannedTask {
            name,
            kind: kind.name().to_owned(),
            group: keys.group,
            needs,
            trigger_rule,
            teardown,
            attempts: keys.attempts.or(defaults.attempts).unwrap_or(1),
            timeout: keys.timeout.or(defaults.timeout).unwrap_or(Span(kind.timeout())),
            total_timeout: keys.total_timeout.or(defaults.total_timeout).or(kind.patience().map(Span)),
            queue: keys.queue.or_else(|| defaults.queue.clone()).unwrap_or_else(|| kind.queue().to_owned()),
            labels: labels.into_iter().collect(),
            backoff,
            retry_on: keys.retry_on.or_else(|| defaults.retry_on.clone()),
            priority: keys.priority.or(defaults.priority).unwrap_or(0),
            pool,
            concurrency: keys.concurrency,
            for_each: keys.for_each,
            deadline: keys.deadline,
            when: keys.when,
            repeatable: kind.safe_to_repeat(),
            config,
        })
    }

    fn templates(
        &mut self,
        scope: &Scope<'_>,
        base: &str,
        config: &Value,
        when: Option<&str>,
        (needs, item): (&[String], Option<&str>),
    ) {
        if let Some(when) = when {
            for fault in template::check_condition(when, scope.params, needs) {
                self.faults.push(self.document.diagnostic(&join(base, "when"), fault.message, fault.hint));
            }
        }
        for fault in template::check(config, scope.params, needs, item) {
            let mut diagnostic = self.document.diagnostic(&join(base, &fault.field), fault.message, fault.hint);
            diagnostic.line += fault.line;
            self.faults.push(diagnostic);
        }
    }

    /// Names of other tasks, at `key` of a task.
    fn names(&mut self, scope: &Scope<'_>, base: &str, task: &str, given: &Names, key: &str) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for (field, needed) in given.at(key) {
            if let Some(last) = scope.groups.get(needed).filter(|last| !last.iter().any(|name| name == task)) {
                let new: Vec<_> = last.iter().filter(|name| !names.contains(name)).cloned().collect();
                names.extend(new);
            } else if let Some(problem) = unknown_need(scope, task, &field, needed) {
                self.fault(base, problem);
            } else if names.iter().any(|known| known == needed) {
                self.fault(base, Problem::new(field, format!("`{needed}` is named twice")).hint("remove one"));
            } else {
                names.push(needed.to_owned());
            }
        }
        names
    }

    fn kind(&mut self, base: &str, name: Option<&str>, given: bool) -> Option<std::sync::Arc<dyn AnyKind>> {
        let Some(name) = name else {
            if !given {
                self.fault(
                    base,
                    Problem::new("", "a task needs a `kind`").hint(did_you_mean("", self.registry.names())),
                );
            }
            return None;
        };
        let kind = self.registry.get(name).cloned();
        if kind.is_none() {
            let hint = did_you_mean(name, self.registry.names());
            self.fault(base, Problem::new("kind", format!("no kind of task is called `{name}`")).hint(hint));
        }
        kind
    }

    /// What the kind's keys refer to, read with the templates rendered for a sample run.
    fn references(
        &mut self,
        scope: &Scope<'_>,
        base: &str,
        name: &str,
        config: &Value,
        kind: &dyn AnyKind,
    ) -> Vec<Reference> {
        let params = Value::Object(scope.params.clone());
        let outputs = BTreeMap::new();
        let sample = scope.sample(name, &params, &outputs);
        // A template that cannot be rendered has been reported, or fails on sample values only.
        let rendered = template::render(config, &sample);
        let unrendered = rendered.is_err();
        match kind.check(rendered.as_ref().unwrap_or(config)) {
            Ok(references) => references,
            Err(problems) => {
                for mut problem in problems {
                    if unrendered && self.is_templated(base, &problem.field) {
                        continue;
                    }
                    // The kind cannot know the keys that all tasks share.
                    if let Some(key) = problem.message.strip_prefix("unknown key `").and_then(|k| k.strip_suffix('`'))
                        && let Some(near) = nearest(key, TASK_KEYS)
                        && !problem.hint.as_deref().is_some_and(|hint| hint.starts_with("did you mean"))
                    {
                        problem.hint = Some(format!("did you mean `{near}`?"));
                    }
                    self.fault(base, problem);
                }
                Vec::new()
            }
        }
    }

    fn is_templated(&self, base: &str, field: &str) -> bool {
        let path = join(base, field).replace(['.', '['], "/").replace(']', "");
        self.document.value.pointer(&format!("/{path}")).and_then(Value::as_str).is_some_and(template::is_template)
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

/// What the tasks of one DAG share while they are checked.
struct Scope<'a> {
    dag: &'a str,
    timezone: chrono_tz::Tz,
    /// Every parameter, with a value to try templates on.
    params: &'a Map<String, Value>,
    defaults: &'a Defaults,
    names: &'a BTreeSet<String>,
    /// The last tasks of each group.
    groups: &'a BTreeMap<String, Vec<String>>,
}

impl<'a> Scope<'a> {
    /// A run to try templates on.
    fn sample(&self, task: &'a str, params: &'a Value, outputs: &'a BTreeMap<String, Value>) -> template::Scope<'a> {
        let logical_time = DateTime::<Utc>::UNIX_EPOCH + chrono::TimeDelta::days(20_000);
        template::Scope {
            dag: self.dag,
            task,
            run_id: 1,
            logical_time,
            interval: crate::schedule::day_before(logical_time),
            timezone: self.timezone,
            params,
            outputs,
            item: None,
        }
    }
}

fn unknown_need(scope: &Scope<'_>, task: &str, field: &str, needed: &str) -> Option<Problem> {
    if needed == task {
        return Some(Problem::new(field, "a task cannot need itself"));
    }
    if scope.names.contains(needed) {
        return None;
    }
    if scope.groups.contains_key(needed) {
        let problem = Problem::new(field, format!("`{task}` is part of `{needed}`, and cannot wait for it"));
        return Some(problem.hint("name the tasks of the group that come before it"));
    }
    let others = scope.names.iter().chain(scope.groups.keys()).map(String::as_str).filter(|name| *name != task);
    Some(Problem::new(field, format!("no task `{needed}` in this DAG")).hint(did_you_mean(needed, others)))
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
