//! DAGs as a grid of their last runs, and one DAG with the grid of its tasks.

use std::collections::BTreeMap;

use axum::{
    extract::{Path, State as Extract},
    response::Redirect,
};
use maud::{Markup, html};
use warehouse::runs::Why;
use workflow::layout::order;

use super::{
    format::{ago, count, duration, encode, place, time},
    graph::pairs,
    layout::{Live, OrPage, Page, Section, WebError},
    parts::{answer, badge, card, empty, icon, look},
    runs::run_table,
    starts,
};
use crate::{
    access::By,
    actions,
    api::runs::no_dag,
    state::State,
    store::{
        dags::{self, Dag, GridRun, GridTask},
        runs::{self, Edge, RunFilter},
    },
};

/// How many runs the overview of DAGs shows of each.
const RUNS: i64 = 18;
/// How many runs one DAG's own grid shows.
const GRID_RUNS: i64 = 40;

pub(super) async fn list(Extract(state): Extract<State>) -> Result<Markup, WebError> {
    let dags = dags::list(state.pool()).await.or_page(&state)?;
    let grid = dags::grid(state.pool(), None, RUNS).await.or_page(&state)?;
    let body = html! {
        section.card.flush {
            @if dags.is_empty() {
                (empty("No DAG is deployed", "Put a YAML file into dags/, check it, and start the scheduler.",
                    Some("sluice check\nsluice schedule")))
            } @else {
                div.scroll {
                    table.dags {
                        thead { tr {
                            th { "DAG" } th { "Starts" } th { "Last runs" } th { "Last state" } th.end { "Median" } th { "Next run" }
                        } }
                        tbody { @for dag in &dags { (row(dag, &grid, &state)) } }
                    }
                }
            }
        }
        (legend())
    };
    let lead =
        html! { (count(dags.len().try_into().unwrap_or(0))) " deployed. Each square is a run, oldest at the left." };
    Ok(Page { lead, live: Live::Every(5000), body, ..Page::new(Section::Dags, "DAGs") }.render(&state))
}

fn row(dag: &Dag, grid: &[GridRun], state: &State) -> Markup {
    let runs: Vec<_> = grid.iter().filter(|run| run.dag == dag.dag).collect();
    html! {
        tr {
            td.wide {
                a.strong href={ "/dags/" (encode(&dag.dag)) } { (dag.dag) }
                div.sub.clip title=(dag.description) { (dag.description) }
            }
            td { (starts::brief(dag)) }
            td { (squares(runs.iter().copied())) }
            td { @if let Some(last) = &dag.last_state { (badge(last)) } @else { (badge("not run yet")) } }
            td.num { @if let Some(seconds) = median(&runs) { (duration(seconds)) } @else { "–" } }
            td { (next_run(dag, state)) }
        }
    }
}

fn next_run(dag: &Dag, state: &State) -> Markup {
    html! {
        @if dag.paused { (badge("paused")) }
        @else if let Some(at) = dag.next_run_at { (ago(at, state.timezone())) }
        @else { span.sub { "–" } }
    }
}

fn median(runs: &[&GridRun]) -> Option<f64> {
    let mut seconds: Vec<f64> =
        runs.iter().filter(|run| run.state == "success").filter_map(|run| run.seconds).collect();
    seconds.sort_by(f64::total_cmp);
    seconds.get(seconds.len() / 2).copied()
}

/// Runs as squares, each a link.
pub(super) fn squares<'a>(runs: impl Iterator<Item = &'a GridRun>) -> Markup {
    html! {
        span.strip {
            @for run in runs {
                @let look = look(&run.state);
                a .{ "cell " (look.tone) } href={ "/runs/" (run.run_id) }
                    title={ (run.logical_time.format("%Y-%m-%d %H:%M UTC")) ": " (look.label) }
                    aria-label={ "Run " (run.run_id) ": " (look.label) } {}
            }
        }
    }
}

fn legend() -> Markup {
    html! {
        p.legend {
            @for state in ["success", "running", "queued", "failed", "upstream_failed", "skipped"] {
                @let look = look(state);
                span { span .{ "cell " (look.tone) } {} (look.label) }
            }
        }
    }
}

pub(super) async fn detail(Extract(state): Extract<State>, Path(name): Path<String>) -> Result<Markup, WebError> {
    let pool = state.pool();
    let dag = dags::get(pool, &name).await.or_page(&state)?.ok_or_else(|| no_dag(&name)).or_page(&state)?;
    let grid = dags::grid(pool, Some(&name), GRID_RUNS).await.or_page(&state)?;
    let ids: Vec<i64> = grid.iter().map(|run| run.run_id).collect();
    let tasks = dags::task_grid(pool, &ids).await.or_page(&state)?;
    let edges = match ids.last() {
        Some(newest) => runs::edges(pool, *newest).await.or_page(&state)?,
        None => Vec::new(),
    };
    let filter = RunFilter { dag: Some(name.clone()), limit: 10, ..RunFilter::default() };
    let recent = runs::list(pool, &filter).await.or_page(&state)?;
    let next = warehouse::runs::why_next(pool, &name).await.map_err(actions::refused).or_page(&state)?;
    let has_params = dags::has_params(pool, &name).await.or_page(&state)?;
    let body = html! {
        @if let Some(next) = next.filter(speaks) { (next_card(&name, &next)) }
        (card("Runs and tasks", html! { "oldest at the left" }, task_grid(&grid, &tasks, &edges)))
        (card("Latest runs", html! { a href={ "/backfills?dag=" (encode(&name)) } { "Backfills" } " " a href={ "/runs?dag=" (encode(&name)) } { "All runs" (icon("arrow")) } },
            run_table(&recent.items, &state, false)))
        (legend())
    };
    let beside = html! {
        @if let Some(last) = &dag.last_state { (badge(last)) }
        @if dag.paused { (badge("paused")) }
    };
    let lead = html! {
        @if !dag.description.is_empty() { p { (dag.description) } }
        p.meta {
            (starts::whole(&dag))
            @if let Some(at) = dag.next_run_at { span { "Next run " (time(at, state.timezone())) } }
            @if let Some(at) = dag.last_success_at { span { "Last success " (ago(at, state.timezone())) } }
            span { "Version " code { (dag.version.chars().take(8).collect::<String>()) } }
        }
    };
    let actions = html! {
        @if dag.schedule.is_some() {
            @let (act, label) = if dag.paused { ("resume", "Resume") } else { ("pause", "Pause") };
            form method="post" action={ "/dags/" (encode(&name)) "/" (act) } data-confirm={ (label) " the schedule of " (name) "?" } {
                button.button type="submit" { (label) }
            }
        }
        a.button href={ "/dags/" (encode(&name)) "/backfill" } { "Backfill…" }
        a.button href={ "/dags/" (encode(&name)) "/clear" } { "Run days again…" }
        @if has_params {
            a.button.primary href={ "/dags/" (encode(&name)) "/trigger" } { (icon("runs")) "Run now…" }
        } @else {
            form method="post" action={ "/dags/" (encode(&name)) "/trigger" } data-confirm={ "Start a run of " (name) " now?" } {
                button.button.primary type="submit" { (icon("runs")) "Run now" }
            }
        }
    };
    Ok(Page { beside, lead, actions, live: Live::Every(3000), body, ..Page::new(Section::Dags, dag.dag.clone()) }
        .render(&state))
}

/// Whether there is more to say than when the next run is.
fn speaks(next: &Why) -> bool {
    !next.facts.is_empty() || matches!(next.state.as_str(), "waiting" | "retired")
}

/// What starts the DAG next, or what keeps it from being started.
fn next_card(dag: &str, next: &Why) -> Markup {
    card(
        "What it waits for",
        html! { code { "sluice why " (dag) } },
        html! {
            ul.why { li { (answer(next, html! { strong { "Next run" } })) } }
        },
    )
}

/// Tasks as rows, runs as columns; above each column a bar as high as the run was long.
fn task_grid(runs: &[GridRun], tasks: &[GridTask], edges: &[Edge]) -> Markup {
    if runs.is_empty() {
        return empty("This DAG has not run yet", "Start it here, or wait for what starts it.", None);
    }
    let mut rows: BTreeMap<&str, BTreeMap<i64, &GridTask>> = BTreeMap::new();
    for task in tasks {
        rows.entry(&task.task).or_default().insert(task.run_id, task);
    }
    let names: Vec<&str> = rows.keys().copied().collect();
    let mut order: Vec<_> = order(&names, &pairs(edges)).into_iter().zip(names).collect();
    order.sort_unstable();
    let longest = runs.iter().filter_map(|run| run.seconds).fold(0.001, f64::max);
    html! {
        div.scroll {
            table.task-grid {
                thead {
                    tr {
                        th.row-name { span.sub { "Duration, up to " (duration(longest)) } }
                        @for run in runs {
                            @let look = look(&run.state);
                            @let height = (run.seconds.unwrap_or(0.0) / longest * 46.0).max(3.0);
                            td {
                                a.column href={ "/runs/" (run.run_id) }
                                    title={ "Run " (run.run_id) ", " (run.logical_time.format("%Y-%m-%d %H:%M UTC")) ": " (look.label)
                                        ", " (run.seconds.map_or_else(String::new, duration)) } {
                                    svg viewBox="0 0 12 48" width="12" height="48" aria-hidden="true" {
                                        rect .{ "span " (look.tone) } x="0" y=(place(48.0 - height)) width="12" height=(place(height)) rx="2" {}
                                    }
                                }
                            }
                        }
                    }
                }
                tbody {
                    @for (_, name) in order {
                        tr {
                            th.row-name scope="row" { (name) }
                            @for run in runs {
                                td {
                                    @if let Some(task) = rows.get(name).and_then(|row| row.get(&run.run_id)) {
                                        @let look = look(&task.state);
                                        a .{ "cell " (look.tone) } href={ "/runs/" (run.run_id) "?task=" (encode(name)) "#log" }
                                            aria-label={ (name) " in run " (run.run_id) ": " (look.label) }
                                            title={ (name) " (" (task.kind) "): " (look.label)
                                                @if task.attempts > 1 { ", " (task.attempts) " attempts" } } {}
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Lets a DAG's schedule rest, and shows it.
pub(super) async fn pause(
    Extract(state): Extract<State>,
    By(actor): By,
    Path(name): Path<String>,
) -> Result<Redirect, WebError> {
    actions::rest(state.pool(), &actor, &name, true).await.or_page(&state)?;
    Ok(Redirect::to(&format!("/dags/{}", encode(&name))))
}

/// Takes a DAG's schedule up again, and shows it.
pub(super) async fn resume(
    Extract(state): Extract<State>,
    By(actor): By,
    Path(name): Path<String>,
) -> Result<Redirect, WebError> {
    actions::rest(state.pool(), &actor, &name, false).await.or_page(&state)?;
    Ok(Redirect::to(&format!("/dags/{}", encode(&name))))
}
