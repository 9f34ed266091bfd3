//! Runs as a list, and one run: its graph, its tasks on a time line, the log of a task.

use axum::{
    Form,
    extract::{Path, Query, State as Extract},
    response::Redirect,
};
use chrono::Utc;
use maud::{Markup, html};
use serde::Deserialize;
use warehouse::runs::Why;
use workflow::plan::parent_of;

use super::{
    charts::lane,
    format::{ago, count, duration, encode, time, time_seconds},
    graph::{graph, in_order},
    layout::{Live, OrPage, Page, Section, WebError},
    parts::{answer, badge, card, empty, filters, pager, sign},
    quality::load_table,
};
use crate::{
    access::By,
    actions,
    api::{extract::cursor, runs::no_run},
    error::{ApiError, StoreError},
    state::State,
    store::{
        data::{self, LoadFilter},
        runs::{self, Attempt, Run, RunFilter, RunSummary, Task},
    },
};

/// How many lines of a log a page shows at once; the rest is at the API.
const LINES: i64 = 400;

#[derive(Debug, Default, Deserialize)]
pub(super) struct ListQuery {
    dag: Option<String>,
    state: Option<String>,
    cursor: Option<String>,
}

pub(super) async fn list(Extract(state): Extract<State>, Query(query): Query<ListQuery>) -> Result<Markup, WebError> {
    let before = cursor(query.cursor.as_deref()).or_page(&state)?;
    let filter = RunFilter { dag: query.dag.clone(), state: query.state.clone(), before, limit: 50, trigger: None };
    let page = runs::list(state.pool(), &filter).await.or_page(&state)?;
    let address = match (&query.dag, &query.state) {
        (None, None) => "/runs".to_owned(),
        (Some(dag), None) => format!("/runs?dag={}", encode(dag)),
        (None, Some(wanted)) => format!("/runs?state={}", encode(wanted)),
        (Some(dag), Some(wanted)) => format!("/runs?dag={}&state={}", encode(dag), encode(wanted)),
    };
    let body = html! {
        (filters("state", "/runs", query.state.as_deref(), &["queued", "running", "success", "failed", "cancelled", "skipped"]))
        section.card.flush { (run_table(&page.items, &state, true)) }
        (pager(page.next_cursor.as_ref(), &address))
    };
    let lead = html! { @if let Some(dag) = &query.dag { "Of DAG " a href={ "/dags/" (encode(dag)) } { (dag) } } @else { "Of all DAGs, newest first." } };
    let live = if before.is_none() { Live::Every(3000) } else { Live::No };
    Ok(Page { lead, live, body, ..Page::new(Section::Runs, "Runs") }.render(&state))
}

/// Runs as a table.
pub(super) fn run_table(runs: &[RunSummary], state: &State, with_dag: bool) -> Markup {
    if runs.is_empty() {
        return empty("No runs", "Start one by hand, or start the scheduler.", Some("sluice run DAG --wait"));
    }
    let zone = state.timezone();
    html! {
        div.scroll {
            table {
                thead { tr {
                    th { "Run" } @if with_dag { th { "DAG" } } th { "State" } th { "Logical time" } th { "Trigger" }
                    th.end { "Tasks" } th.end { "Duration" } th.end { "Started" }
                } }
                tbody {
                    @for run in runs {
                        tr {
                            td { a.strong.num href={ "/runs/" (run.run_id) } { "#" (run.run_id) } }
                            @if with_dag { td { a href={ "/dags/" (encode(&run.dag)) } { (run.dag) } } }
                            td { (badge(&run.state)) }
                            td.nowrap { (time(run.logical_time, zone)) }
                            td.sub { (run.trigger) }
                            td.num { (run.ended) "/" (run.tasks) @if run.failed > 0 { span.bad-text { " · " (run.failed) " failed" } } }
                            td.num { @if let Some(seconds) = run.seconds { (duration(seconds)) } @else { "–" } }
                            td.end.sub.nowrap { (ago(run.started_at.unwrap_or(run.created_at), zone)) }
                        }
                    }
                }
            }
        }
    }
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct RunQuery {
    task: Option<String>,
    attempt: Option<i32>,
}

pub(super) async fn detail(
    Extract(state): Extract<State>,
    Path(run_id): Path<i64>,
    Query(query): Query<RunQuery>,
) -> Result<Markup, WebError> {
    let run = runs::get(state.pool(), run_id).await.or_page(&state)?;
    let run = run.ok_or_else(|| no_run(run_id)).or_page(&state)?;
    let why: Result<_, ApiError> = match run.state.as_str() {
        "success" => Ok(Vec::new()),
        _ => actions::why(state.pool(), run_id, None).await,
    };
    let why = why.or_page(&state)?;
    let body = read(&state, &run, &query, &why).await.or_page(&state)?;
    let zone = state.timezone();
    let lead = html! {
        p.meta {
            span { "DAG " a href={ "/dags/" (encode(&run.dag)) } { (run.dag) } }
            span { "For " (time(run.logical_time, zone)) }
            span { (run.trigger) }
            @if let Some(at) = run.started_at { span { "Started " (ago(at, zone)) } }
            @if let Some(seconds) = run.seconds { span { "Took " (duration(seconds)) } }
            @if run.params.as_object().is_some_and(|params| !params.is_empty()) { span { "Params " code { (run.params) } } }
        }
    };
    let post = |action: &str, label: &str, question: String, class: &str| {
        html! {
            form method="post" action={ "/runs/" (run_id) "/" (action) } data-confirm=(question) {
                button .{ "button " (class) } type="submit" { (label) }
            }
        }
    };
    let actions = html! {
        @if is_open(&run) { (post("cancel", "Cancel run", format!("Cancel run {run_id}?"), "danger")) }
        @if run.state == "failed" || run.state == "cancelled" {
            (post("retry", "Retry failed tasks", format!("Run what failed in run {run_id} again?"), "primary"))
        }
        @if !is_open(&run) { a.button href={ "/runs/" (run_id) "/retry" } { "Retry, mark…" } }
    };
    let live = if is_open(&run) { Live::Every(1500) } else { Live::No };
    let beside = badge(&run.state);
    let title = format!("{} #{run_id}", run.dag);
    Ok(Page { beside, lead, actions, live, body, ..Page::new(Section::Runs, title) }.render(&state))
}

fn is_open(run: &Run) -> bool {
    matches!(run.state.as_str(), "queued" | "running")
}

async fn read(state: &State, run: &Run, query: &RunQuery, why: &[Why]) -> Result<Markup, StoreError> {
    let pool = state.pool();
    let asked = query.task.as_deref();
    let (items, tasks): (Vec<_>, Vec<_>) =
        runs::tasks(pool, run.run_id, asked).await?.into_iter().partition(|task| parent_of(&task.task).is_some());
    let mut attempts = runs::attempts(pool, run.run_id, None).await?;
    if let Some(item) = items.first() {
        attempts.extend(runs::attempts(pool, run.run_id, Some(&item.task)).await?);
    }
    let edges = runs::edges(pool, run.run_id).await?;
    let loads = data::loads(pool, &LoadFilter { run_id: Some(run.run_id), limit: 50, ..LoadFilter::default() }).await?;
    let selected = items.first().or_else(|| selected(&tasks, asked));
    let log = match selected {
        Some(task) => Some(log_panel(state, run, task, &attempts, query.attempt).await?),
        None => None,
    };
    Ok(html! {
        @for task in tasks.iter().filter(|task| task.state == "failed") { (failure(run, task, &attempts)) }
        // What failed has said so above.
        (why_card(run, why.iter().filter(|why| why.task.is_none() || why.state != "failed")))
        (card("Graph", html! { (count(tasks.len().try_into().unwrap_or(0))) " tasks" },
            graph(run.run_id, &tasks, &edges, selected.map(|task| task.task.as_str()))))
        (card("Tasks", html! { "the line is the wait, the bar the attempt" }, task_table(run, &in_order(&tasks, &edges), &attempts)))
        @if !loads.items.is_empty() { (card("Loads", html! { "read = loaded + quarantined + deduplicated" }, load_table(&loads.items, state))) }
        @if let Some(log) = log { (log) }
    })
}

/// Answers to "why is that so?", the run's first.
fn why_card<'a>(run: &Run, answers: impl Iterator<Item = &'a Why>) -> Markup {
    let answers: Vec<_> = answers.collect();
    if answers.is_empty() {
        return html! {};
    }
    let body = html! {
        ul.why {
            @for why in answers {
                li { (answer(why, html! { @match &why.task {
                    Some(task) => { a.strong href={ "/runs/" (run.run_id) "?task=" (encode(task)) "#log" } { (task) } },
                    None => strong { "This run" },
                } })) }
            }
        }
    };
    card("Why", html! { code { "sluice why " (run.run_id) } }, body)
}

/// The task asked for; else one that failed, one that runs, or the one that ended last.
fn selected<'a>(tasks: &'a [Task], asked: Option<&str>) -> Option<&'a Task> {
    let by_state = |state: &str| tasks.iter().find(|task| task.state == state);
    asked
        .and_then(|name| tasks.iter().find(|task| task.task == name))
        .or_else(|| by_state("failed"))
        .or_else(|| by_state("running"))
        .or_else(|| tasks.iter().max_by_key(|task| task.finished_at))
}

fn failure(run: &Run, task: &Task, attempts: &[Attempt]) -> Markup {
    let last = attempts.iter().rfind(|attempt| attempt.task == task.task);
    html! {
        div.notice.bad role="alert" {
            (sign("failed"))
            div.grow {
                p { a.strong href={ "/runs/" (run.run_id) "?task=" (encode(&task.task)) "#log" } { (task.task) }
                    " failed after " (task.attempts) (if task.attempts == 1 { " attempt" } else { " attempts" })
                    @if let Some(domain) = last.and_then(|attempt| attempt.error_domain.as_deref()) { " · " (whose(domain)) } }
                @if let Some(error) = last.and_then(|attempt| attempt.error.as_deref()).or(task.reason.as_deref()) { pre { (error) } }
                (mark_form(run, task))
            }
        }
    }
}

fn whose(domain: &str) -> &'static str {
    match domain {
        "user" => "a fault in the project's files or data: mend it, then retry",
        "external" => "a service did not answer as it should: a retry may help",
        _ => "a fault of Sluice itself",
    }
}

fn task_table(run: &Run, tasks: &[&Task], attempts: &[Attempt]) -> Markup {
    let seconds = |at: chrono::DateTime<Utc>| at.timestamp_micros() as f64 / 1e6;
    let start = seconds(run.started_at.unwrap_or(run.created_at));
    let end = seconds(run.finished_at.unwrap_or_else(Utc::now));
    html! {
        div.scroll {
            table.tasks {
                thead { tr { th { "Task" } th { "State" } th.end { "Attempts" } th.end { "Duration" } th.lane-head { "Time line" } } }
                tbody {
                    @for task in tasks {
                        @let own: Vec<_> = attempts.iter().filter(|attempt| attempt.task == task.task).collect();
                        tr {
                            td { a.strong href={ "/runs/" (run.run_id) "?task=" (encode(&task.task)) "#log" } { (task.task) }
                                 span.sub { " " (task.kind) } }
                            td { (badge(&task.state)) @if let Some(reason) = &task.reason { div.sub.clip title=(reason) { (reason) } } @if let Some(items) = task.items_text() { div.sub { (items) } } }
                            td.num { (task.attempts) }
                            td.num { @if let Some(seconds) = task.seconds { (duration(seconds)) } @else { "–" } }
                            td.lane-cell { (lane(task, &own, start, end)) }
                        }
                    }
                }
            }
        }
    }
}

async fn log_panel(
    state: &State,
    run: &Run,
    task: &Task,
    attempts: &[Attempt],
    asked: Option<i32>,
) -> Result<Markup, StoreError> {
    let own: Vec<_> = attempts.iter().filter(|attempt| attempt.task == task.task).collect();
    let chosen = own.iter().find(|attempt| Some(attempt.attempt) == asked).or(own.last());
    let Some(attempt) = chosen else {
        let body = empty("No attempt yet", "The log appears here as soon as a worker takes the task.", None);
        return Ok(html! { div #log { (card(&format!("Log of {}", task.task), badge(&task.state), body)) } });
    };
    let lines = runs::logs(state.pool(), (run.run_id, &task.task, attempt.attempt), -1, LINES).await?;
    let last = lines.last().map_or(-1, |line| line.seq);
    let base = format!("/runs/{}?task={}", run.run_id, encode(&task.task));
    let follow = format!(
        "/api/v1/runs/{}/tasks/{}/logs/stream?attempt={}&after={last}",
        run.run_id,
        encode(&task.task),
        attempt.attempt
    );
    let body = html! {
        p.meta.log-meta {
            @for other in &own {
                a.attempt href={ (base) "&attempt=" (other.attempt) "#log" } aria-current=[(other.attempt == attempt.attempt).then_some("true")] {
                    (sign(&other.state)) "Attempt " (other.attempt)
                }
            }
            span.sub { "worker " (attempt.worker) }
            @if let Some(seconds) = attempt.seconds { span.sub { (duration(seconds)) } }
        }
        @if let Some(error) = &attempt.error { pre.error { (error) } }
        ol.log data-keep={ (task.task) "/" (attempt.attempt) } data-follow=[attempt.finished_at.is_none().then_some(follow)] tabindex="0" {
            @for line in &lines {
                li .{ "level-" (level(&line.level)) } { (time_seconds(line.at, state.timezone())) span { (line.line) } }
            }
            @if lines.is_empty() { li.none { span { "This attempt has written no lines." } } }
        }
    };
    let aside = html! {
        @if !is_open(run) { a href={ "/runs/" (run.run_id) "/retry?task=" (encode(&task.task)) } { "Run it again…" } " " }
        (badge(&attempt.state))
    };
    Ok(html! { div #log { (card(&format!("Log of {}", task.task), aside, body)) } })
}

fn level(level: &str) -> &'static str {
    match level {
        "error" => "error",
        "warn" => "warn",
        _ => "info",
    }
}

/// Cancels the run and shows it.
pub(super) async fn cancel(
    Extract(state): Extract<State>,
    By(actor): By,
    Path(run_id): Path<i64>,
) -> Result<Redirect, WebError> {
    let done: Result<(), ApiError> = actions::cancel(state.pool(), &actor, run_id, None).await;
    done.or_page(&state)?;
    Ok(Redirect::to(&format!("/runs/{run_id}")))
}

/// A task put into a state by hand, as the form sends it.
#[derive(Deserialize)]
pub(super) struct MarkForm {
    task: String,
    state: String,
    reason: String,
}

/// Marks a task and shows the run.
pub(super) async fn mark(
    Extract(state): Extract<State>,
    By(actor): By,
    Path(run_id): Path<i64>,
    Form(form): Form<MarkForm>,
) -> Result<Redirect, WebError> {
    let wish = (form.state.as_str(), form.reason.as_str());
    actions::mark(state.pool(), &actor, run_id, &form.task, wish).await.or_page(&state)?;
    Ok(Redirect::to(&format!("/runs/{run_id}")))
}

/// What lets a task that failed count as something else.
fn mark_form(run: &Run, task: &Task) -> Markup {
    html! {
        details.mark {
            summary { "Mark it instead" }
            form method="post" action={ "/runs/" (run.run_id) "/mark" } {
                input type="hidden" name="task" value=(task.task);
                select name="state" aria-label="As" {
                    option value="success" { "as succeeded" }
                    option value="skipped" { "as skipped" }
                }
                input type="text" name="reason" placeholder="Why" aria-label="Why" required maxlength="500";
                button.button type="submit" { "Mark" }
            }
        }
    }
}
