//! What is allowed and yet seldom meant.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};

use super::{Plan, PlannedTask};
use crate::{
    diagnostic::{Diagnostic, Problem},
    span::Span,
    template,
    yaml::{Document, join},
};

/// Warnings about a plan that [`check`](super::check) has found good. None of them keeps it from running.
pub fn lint(document: &Document, plan: &Plan) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    if plan.schedule.is_some() && plan.on_failure.is_empty() {
        let problem = Problem::new("schedule", "it runs by itself, and nobody is told when it fails");
        found.push(("", problem.hint("`defaults: { on_failure: [CHANNEL] }`, with a channel of sluice.yaml")));
    }
    let used = used_names(plan);
    if !used.contains("params") {
        for name in plan.params.keys().filter(|name| !used.contains(&format!("params.{name}"))) {
            let problem = Problem::new(join("params", name), "no task uses this parameter");
            found.push(("", problem.hint(format!("`{{{{ params.{name} }}}}` in a task's keys, or remove it"))));
        }
    }
    let period = period(plan);
    found.extend(jitter(plan, period).map(|problem| ("schedule", problem)));
    let tasks: Vec<_> = plan.tasks.iter().map(|task| (join("tasks", &task.name), task)).collect();
    for (base, task) in &tasks {
        found.extend(too_long(plan, task, period).map(|problem| (base.as_str(), problem)));
        found.extend(never_runs(plan, task).map(|problem| (base.as_str(), problem)));
        found.extend(all_alike(task).map(|problem| (base.as_str(), problem)));
    }
    let mut found: Vec<_> = found.into_iter().map(|(base, problem)| document.place(base, problem)).collect();
    found.sort_by_key(|warning| warning.line);
    found
}

/// What templates and conditions of the plan refer to: `params.scale`, `ds`.
fn used_names(plan: &Plan) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    for task in &plan.tasks {
        used.extend(template::names_in(&task.config));
        let key = task.concurrency.iter().map(|concurrency| serde_json::Value::String(concurrency.key.clone()));
        used.extend(key.flat_map(|key| template::names_in(&key)));
        used.extend(task.when.iter().flat_map(|when| template::names_in_condition(when)));
        used.extend(task.for_each.iter().flat_map(|each| template::names_in_condition(&each.over)));
    }
    // `params.list.0` is a use of `params.list`.
    used.iter().map(|name| name.splitn(3, '.').take(2).collect::<Vec<_>>().join(".")).collect()
}

/// The shortest time between two of the next fires.
fn period(plan: &Plan) -> Option<TimeDelta> {
    let schedule = plan.schedule.as_ref()?;
    // From a fixed instant, so that the same file is always judged alike.
    let mut at = DateTime::<Utc>::UNIX_EPOCH + TimeDelta::days(20_000);
    let mut fires = Vec::new();
    for _ in 0..8 {
        at = schedule.next_after(at)?;
        fires.push(at);
    }
    fires.windows(2).map(|pair| pair[1] - pair[0]).min()
}

/// A run that starts so late that the next one may be due already.
fn jitter(plan: &Plan, period: Option<TimeDelta>) -> Option<Problem> {
    let (schedule, period) = (plan.schedule.as_ref()?, period?.to_std().ok()?);
    let jitter = std::iter::once(schedule).chain(&schedule.also).filter_map(|schedule| schedule.jitter).max()?;
    (jitter.0 >= period).then(|| {
        let message = format!("a run may start {jitter} late, and the next one is due after {}", Span(period));
        Problem::new("jitter", message).hint("a shorter `jitter`")
    })
}

fn too_long(plan: &Plan, task: &PlannedTask, period: Option<TimeDelta>) -> Option<Problem> {
    let period = period?.to_std().ok()?;
    if plan.max_active_runs.is_some() || task.timeout.0 <= period {
        return None;
    }
    let message =
        format!("it may take {}, but the next run comes after {}: the two may run at once", task.timeout, Span(period));
    Some(Problem::new("timeout", message).hint("a shorter `timeout`, or `max_active_runs: 1` for the DAG"))
}

fn all_alike(task: &PlannedTask) -> Option<Problem> {
    let each = task.for_each.as_ref()?;
    let of_item = |name: &String| name.split('.').next().is_some_and(|root| root == each.name || root == "index");
    if template::names_in(&task.config).iter().any(of_item) {
        return None;
    }
    let message = format!("nothing in the task's keys says `{}`, so it does the same for each of them", each.name);
    Some(Problem::new("for_each", message).hint(format!("`{{{{ {} }}}}` is the item", each.name)))
}

fn never_runs(plan: &Plan, task: &PlannedTask) -> Option<Problem> {
    if let Some(when) = &task.when
        && template::is_never(when)
    {
        return Some(Problem::new("when", "this never holds, so the task never runs").hint("remove the task"));
    }
    let behind = task.needs.iter().filter_map(|need| plan.task(need)).find(|need| {
        need.when.as_deref().is_some_and(template::is_never)
            && task.trigger_rule == crate::state::TriggerRule::AllSuccess
    })?;
    let message = format!("`{}` never runs, so this does not either", behind.name);
    Some(Problem::new("needs", message).hint("`trigger_rule: none_failed` lets it run all the same"))
}
