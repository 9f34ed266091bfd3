//! One task: its keys, its kind, what it names.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::{Checker, bad_name};
use crate::{
    dag::{self, Defaults, Names, TASK_KEYS, TaskKeys},
    diagnostic::{Problem, did_you_mean, nearest},
    kind::{AnyKind, Reference, Target},
    plan::{Backoff, PlannedTask},
    span::Span,
    template::{self, Visible},
    trigger::Trigger,
    yaml::join,
};

/// What the tasks of one DAG share while they are checked.
pub(super) struct Scope<'a> {
    pub(super) dag: &'a str,
    pub(super) timezone: chrono_tz::Tz,
    /// Every parameter, with a value to try templates on.
    pub(super) params: &'a Map<String, Value>,
    /// What starts it beside its schedule and people.
    pub(super) triggers: &'a [Trigger],
    /// What started a run, to try templates on.
    pub(super) trigger: &'a Value,
    pub(super) defaults: &'a Defaults,
    pub(super) names: &'a BTreeSet<String>,
    /// The last tasks of each group.
    pub(super) groups: &'a BTreeMap<String, Vec<String>>,
}

impl<'a> Scope<'a> {
    /// A run to try templates on.
    pub(super) fn sample(
        &self,
        task: &'a str,
        params: &'a Value,
        outputs: &'a BTreeMap<String, Value>,
    ) -> template::Scope<'a> {
        let logical_time = DateTime::<Utc>::UNIX_EPOCH + chrono::TimeDelta::days(20_000);
        template::Scope {
            dag: self.dag,
            task,
            run_id: 1,
            logical_time,
            interval: crate::schedule::day_before(logical_time),
            timezone: self.timezone,
            params,
            trigger: self.trigger,
            outputs,
            item: None,
        }
    }

    /// What the templates of a task with these needs may refer to.
    pub(super) fn visible<'b>(&'b self, needs: &'b [String], item: Option<&'b str>) -> Visible<'b> {
        Visible { params: self.params, needs, item, triggers: Some(self.triggers) }
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

impl Checker<'_> {
    pub(super) fn task(&mut self, scope: &Scope<'_>, name: String, block: Map<String, Value>) -> Option<PlannedTask> {
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
        self.templates(&base, &config, keys.when.as_deref(), &scope.visible(&needs, each));
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

    pub(super) fn templates(&mut self, base: &str, config: &Value, when: Option<&str>, visible: &Visible<'_>) {
        if let Some(when) = when {
            for fault in template::check_condition(when, visible) {
                self.faults.push(self.document.diagnostic(&join(base, "when"), fault.message, fault.hint));
            }
        }
        for fault in template::check(config, visible) {
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
}
