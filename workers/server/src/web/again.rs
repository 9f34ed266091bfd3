//! Parts of a run once more: what would run again and what another version changes, shown before it is done; and marks.

use axum::{
    extract::{Path, Query, Request, State as Extract},
    response::Redirect,
};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::Value;
use warehouse::runs::{self as store, Retried};
use workflow::plan::{Change, Plan, PlanDiff};

use super::{
    fields::sent,
    format::{count, encode},
    layout::{OrPage, Page, Section, WebError},
    parts::{badge, card, sign},
};
use crate::{
    access::By,
    actions::{self, Again, refused},
    state::State,
};

/// What to run again, as the forms of this page send it. Nothing at all means all that failed, on the run's own version.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Wish {
    task: String,
    reach: String,
    on: String,
}

impl Wish {
    fn again(&self, preview: bool) -> Again<'_> {
        Again { task: given(&self.task), only: self.reach == "only", on: given(&self.on), preview }
    }
}

/// What a field holds; browsers send those that were left empty.
fn given(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

/// Shows what a retry would do, with the forms that change it and that do it.
pub(super) async fn page(
    Extract(state): Extract<State>,
    By(actor): By,
    Path(run_id): Path<i64>,
    Query(wish): Query<Wish>,
) -> Result<Markup, WebError> {
    let run = store::run(state.pool(), run_id).await.map_err(refused).or_page(&state)?;
    let plan = store::plan(state.pool(), &run.dag, &run.version).await.map_err(refused).or_page(&state)?;
    let current = store::current_plan(state.pool(), &run.dag).await.map_err(refused).or_page(&state)?;
    let newer = current.filter(|current| current.version != run.version);
    let shown = actions::retry(state.pool(), &actor, run_id, &wish.again(true)).await;
    let body = html! {
        (card("What to run again", html! {}, chooser(run_id, &wish, &plan, newer.as_ref())))
        @match &shown {
            Ok(retried) => (preview(run_id, &wish, retried)),
            Err(error) => div.notice.warn role="status" { (sign("warn")) div.grow { p { (error) } } },
        }
        (card("Mark instead", html! { "it counts as that, and what stands behind it goes on" }, marks(run_id, &wish, &plan)))
    };
    let lead = html! { "Run " a href={ "/runs/" (run_id) } { "#" (run_id) } " of " a href={ "/dags/" (encode(&run.dag)) } { (run.dag) } ". Nothing changes until you say so below." };
    let beside = badge(&run.state);
    Ok(Page { beside, lead, body, ..Page::new(Section::Runs, format!("Run #{run_id} again")) }.render(&state))
}

fn chooser(run_id: i64, wish: &Wish, plan: &Plan, newer: Option<&Plan>) -> Markup {
    html! {
        form.choose method="get" action={ "/runs/" (run_id) "/retry" } {
            label { span { "Tasks" } select name="task" {
                option value="" selected[wish.task.is_empty()] { "All that failed or was cancelled" }
                (tasks(plan, &wish.task))
            } }
            label { span { "Reach" } select name="reach" {
                option value="" { "With all behind them" }
                option value="only" selected[wish.reach == "only"] { "No further" }
            } }
            label { span { "Version" } select name="on" {
                option value="" { "The run's own, " (short(&plan.version)) }
                @if let Some(newer) = newer {
                    option value="new" selected[wish.on == "new"] { "The deployed one, " (short(&newer.version)) }
                }
            } }
            button.button type="submit" { "Show" }
        }
    }
}

/// Groups and tasks of a plan, as options.
pub(super) fn tasks(plan: &Plan, chosen: &str) -> Markup {
    let mut groups: Vec<&str> = plan.tasks.iter().filter_map(|task| task.group.as_deref()).collect();
    groups.sort_unstable();
    groups.dedup();
    html! {
        @if !groups.is_empty() {
            optgroup label="Groups" { @for group in groups { option value=(group) selected[group == chosen] { (group) } } }
        }
        optgroup label="Tasks" {
            @for task in &plan.tasks { option value=(task.name) selected[task.name == chosen] { (task.name) } }
            // An item of a mapped task is in no plan.
            @if !chosen.is_empty() && plan.task(chosen).is_none() && plan.group(chosen).next().is_none() {
                option value=(chosen) selected { (chosen) }
            }
        }
    }
}

fn short(version: &str) -> &str {
    version.get(..8).unwrap_or(version)
}

fn preview(run_id: i64, wish: &Wish, retried: &Retried) -> Markup {
    let tasks = &retried.tasks;
    let number = tasks.len().try_into().unwrap_or(0);
    let aside = html! { (count(number)) (if number == 1 { " task" } else { " tasks" }) };
    let label = if tasks.is_empty() { "End the run on that version" } else { "Run them again" };
    html! {
        @if let Some(diff) = &retried.diff { (changes(diff)) }
        (card("What runs again", aside, html! {
            div.pad {
                @if tasks.is_empty() { p.sub { "Nothing that failed is left in that version." } }
                @else { p.names { @for task in tasks { code { (task) } " " } } }
                form method="post" action={ "/runs/" (run_id) "/retry" } {
                    input type="hidden" name="task" value=(wish.task);
                    input type="hidden" name="reach" value=(wish.reach);
                    input type="hidden" name="on" value=(wish.on);
                    button.button.primary type="submit" { (label) }
                }
            }
        }))
    }
}

/// What one version changes of another.
fn changes(diff: &PlanDiff) -> Markup {
    let aside = html! { code { (short(&diff.old)) } " → " code { (short(&diff.new)) } };
    let lines = |of: Option<&str>, changes: &[Change]| {
        html! {
            @for change in changes {
                tr {
                    td.nowrap { @if let Some(task) = of { strong { (task) } } @else { span.sub { "DAG" } } }
                    td { code { (change.key) } }
                    td.was { (value(change.old.as_ref())) }
                    td.now { (value(change.new.as_ref())) }
                }
            }
        }
    };
    card(
        "What the other version changes",
        aside,
        html! {
            @if diff.is_empty() { p.pad.sub { "Nothing that a run reads." } } @else {
                div.scroll { table {
                    thead { tr { th { "Task" } th { "Key" } th { "Was" } th { "Is" } } }
                    tbody {
                        @for task in &diff.added { tr { td { strong { (task) } } td { "new task" } td.was { "–" } td.now { "added" } } }
                        @for task in &diff.removed { tr { td { strong { (task) } } td { "task" } td.was { "is left out" } td.now { "–" } } }
                        (lines(None, &diff.changes))
                        @for task in &diff.changed { (lines(Some(&task.task), &task.changes)) }
                    }
                } }
            }
        },
    )
}

fn value(value: Option<&Value>) -> Markup {
    html! {
        @match value {
            None => "–",
            Some(Value::String(text)) => code.value { (text) },
            Some(other) => code.value { (other) },
        }
    }
}

fn marks(run_id: i64, wish: &Wish, plan: &Plan) -> Markup {
    html! {
        form.choose method="post" action={ "/runs/" (run_id) "/mark" } {
            label { span { "Task or group" } select name="task" { (tasks(plan, &wish.task)) } }
            label { span { "As" } select name="state" {
                option value="success" { "succeeded" }
                option value="skipped" { "skipped" }
                option value="failed" { "failed" }
            } }
            label.wide { span { "Why" } input type="text" name="reason" required maxlength="500"; }
            button.button type="submit" { "Mark" }
        }
    }
}

/// Runs it again and shows the run.
pub(super) async fn retry(
    Extract(state): Extract<State>,
    By(actor): By,
    Path(run_id): Path<i64>,
    request: Request,
) -> Result<Redirect, WebError> {
    let wish: Wish = sent(request).await.or_page(&state)?;
    actions::retry(state.pool(), &actor, run_id, &wish.again(false)).await.or_page(&state)?;
    Ok(Redirect::to(&format!("/runs/{run_id}")))
}
