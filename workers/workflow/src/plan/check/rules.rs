//! What tasks may say of their limits, rules and groups.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::{
    super::{Concurrency, PlannedTask},
    Checker, bad_name,
    task::Scope,
};
use crate::{
    dag::{self, BackoffKeys, TaskKeys},
    diagnostic::Problem,
    span::Span,
    state::TriggerRule,
    template,
    yaml::join,
};

impl Checker<'_> {
    /// The last tasks of each group: whoever needs the group needs them.
    pub(super) fn groups(
        &mut self,
        blocks: &[(String, Map<String, Value>)],
        names: &BTreeSet<String>,
    ) -> BTreeMap<String, Vec<String>> {
        let mut groups: BTreeMap<String, Vec<(&str, BTreeSet<&str>)>> = BTreeMap::new();
        for (task, block) in blocks {
            let Some(group) = block.get("group").and_then(Value::as_str) else { continue };
            if !dag::is_name(group) {
                self.fault(&join("tasks", task), bad_name("group", group));
            } else if names.contains(group) {
                let problem = Problem::new("group", format!("`{group}` is the name of a task"));
                self.fault(&join("tasks", task), problem.hint("groups and tasks share their names: take another one"));
            } else {
                let needs = match block.get("needs") {
                    Some(Value::String(need)) => BTreeSet::from([need.as_str()]),
                    Some(Value::Array(needs)) => needs.iter().filter_map(Value::as_str).collect(),
                    _ => BTreeSet::new(),
                };
                groups.entry(group.to_owned()).or_default().push((task, needs));
            }
        }
        let last = |tasks: Vec<(&str, BTreeSet<&str>)>| {
            let is_last = |task: &&str| !tasks.iter().any(|(_, needs)| needs.contains(task));
            tasks.iter().map(|(task, _)| *task).filter(is_last).map(str::to_owned).collect()
        };
        groups.into_iter().map(|(group, tasks)| (group, last(tasks))).collect()
    }

    pub(super) fn limits(
        &mut self,
        base: &str,
        attempts: Option<u16>,
        (timeout, total): (Option<Span>, Option<Span>),
        backoff: Option<BackoffKeys>,
    ) {
        if attempts == Some(0) {
            self.fault(base, Problem::new("attempts", "a task has at least one attempt").hint("1 means no retry"));
        }
        if timeout.is_some_and(|timeout| timeout.0.is_zero()) {
            self.fault(base, Problem::new("timeout", "a timeout of nothing ends every attempt at once"));
        }
        if let Some((total, timeout)) = total.zip(timeout)
            && total < timeout
        {
            let message = format!("all attempts together have {total}, less than one of them ({timeout})");
            self.fault(base, Problem::new("total_timeout", message).hint("a longer one, or a shorter `timeout`"));
        }
        if let Some(BackoffKeys { from, to: Some(to) }) = backoff
            && to < from
        {
            let problem = Problem::new("backoff", format!("`to` ({to}) is less than `from` ({from})"));
            self.fault(base, problem.hint("the wait grows from the first to the second"));
        }
    }

    /// A key is made with the run, so it can say what is known then.
    pub(super) fn concurrency(&mut self, scope: &Scope<'_>, base: &str, task: &str, keys: &TaskKeys) {
        let Some(concurrency) = &keys.concurrency else { return };
        let Concurrency { key, limit } = concurrency;
        let base = join(base, "concurrency");
        if *limit < 1 {
            self.fault(&base, Problem::new("limit", "no task of this key could ever run").hint("1 or more"));
        }
        if keys.pool.is_some() {
            let problem = Problem::new("", "a task takes a slot of a `pool` or has a `concurrency` key, not both");
            self.fault(&base, problem.hint("keep the narrower one"));
        }
        let reads_output = |name: &String| name.split('.').next() == Some("outputs");
        if template::names_in(&Value::String(key.clone())).iter().any(reads_output) {
            let problem = Problem::new("key", "the key is made with the run, when no task has left an output yet");
            self.fault(&base, problem.hint("`params`, `ds` and the like are known by then"));
        } else {
            let before = self.faults.len();
            // What started the run is part of its row, and that is yet to be.
            let visible = template::Visible { triggers: None, ..scope.visible(&[], None) };
            self.templates(&base, &json!({ "key": key }), None, &visible);
            // A run that a schedule makes has the defaults, so its key is tried here.
            let params = Value::Object(scope.params.clone());
            if self.faults.len() == before
                && let Err(problem) = concurrency.render(&scope.sample(task, &params, &BTreeMap::new()))
            {
                self.fault(&base, Problem::new("key", format!("with the parameters' defaults: {problem}")));
            }
        }
    }

    /// A list is made from what its task may read; what of it is known before the run is tried here.
    pub(super) fn for_each(&mut self, scope: &Scope<'_>, base: &str, task: &str, keys: &TaskKeys, needs: &[String]) {
        let Some(each) = &keys.for_each else { return };
        let base = join(base, "for_each");
        let faults = template::check_condition(&each.over, &scope.visible(needs, None));
        let sound = faults.is_empty();
        for fault in faults {
            let message = fault
                .message
                .replace("a condition is", "`over` is")
                .replace("the template does", "the expression does");
            let hint = fault.hint.map(|hint| hint.replace("`when: params.full`", "`over: params.cities`"));
            self.faults.push(self.document.diagnostic(&join(&base, "over"), message, hint));
        }
        // Neither an output nor a request is known before there is one.
        let reads_output = |name: &String| matches!(name.split('.').next(), Some("outputs" | "trigger"));
        if sound && !template::names_in_condition(&each.over).iter().any(reads_output) {
            let params = Value::Object(scope.params.clone());
            let outputs = BTreeMap::new();
            let sample = scope.sample(task, &params, &outputs);
            // A parameter that has to be given is nothing as yet.
            let unknown = template::evaluate(&each.over, &sample) == Ok(Value::Null);
            if !unknown && let Err(problem) = each.items(&sample) {
                let problem = Problem::new("over", problem);
                self.fault(&base, problem.hint("`outputs.TASK.KEY` or `params.NAME` of a list, or `range(3)`"));
            }
        }
        if !dag::is_name(&each.name) {
            self.fault(&base, bad_name("as", &each.name));
        } else if template::is_taken(&each.name) {
            let problem = Problem::new("as", format!("`{}` means something else in templates already", each.name));
            self.fault(&base, problem.hint("`as: item`"));
        }
        if each.max_parallel.is_some_and(|most| most < 1) {
            self.fault(&base, Problem::new("max_parallel", "no item could ever run").hint("1 or more"));
        }
        if each.max_parallel.is_some() && (keys.pool.is_some() || keys.concurrency.is_some()) {
            let problem =
                Problem::new("max_parallel", "the items take slots of a `pool` or a `concurrency` key already");
            self.fault(&base, problem.hint("keep the narrower one"));
        }
        if !keys.teardown.is_none() {
            let problem = Problem::new("", "a teardown is not mapped: it takes down once what was set up");
            self.fault(&base, problem.hint("loop over the list inside the task"));
        }
    }

    pub(super) fn rule(&mut self, base: &str, given: Option<TriggerRule>, teardown: bool) -> TriggerRule {
        match (given, teardown) {
            (Some(TriggerRule::Teardown), _) => {
                let problem = Problem::new("trigger_rule", "`teardown` is a key of its own");
                self.fault(base, problem.hint("`teardown: TASK` names the task that set up what this one takes down"));
                TriggerRule::Teardown
            }
            (Some(_), true) => {
                let problem = Problem::new("trigger_rule", "a task with `teardown` has a rule already");
                self.fault(base, problem.hint("it runs once all that it needs has ended, if what it names succeeded"));
                TriggerRule::Teardown
            }
            (None, true) => TriggerRule::Teardown,
            (given, false) => given.unwrap_or_default(),
        }
    }

    /// Nothing but a teardown stands behind a teardown: whether it fails decides about nothing.
    pub(super) fn teardowns(&mut self, tasks: &[PlannedTask]) {
        let is_teardown = |name: &str| tasks.iter().any(|task| task.name == name && !task.teardown.is_empty());
        for task in tasks.iter().filter(|task| task.teardown.is_empty()) {
            for need in task.needs.iter().filter(|need| is_teardown(need)) {
                let problem = Problem::new("needs", format!("`{need}` takes down, and only a teardown may follow it"));
                self.fault(&join("tasks", &task.name), problem.hint("need the tasks before it instead"));
            }
        }
    }
}
