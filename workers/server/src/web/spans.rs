//! Spans of days: backfills and clears, each shown before it is made; and the list of them, where they are stopped.

use axum::{
    Form,
    extract::{Path, Query, State as Extract},
    response::Redirect,
};
use chrono::NaiveDate;
use maud::{Markup, html};
use serde_json::{Map, Value};
use warehouse::runs::{self as store, Actor, BackfillRow, Clear, NewBackfill, Person};
use workflow::plan::Plan;

use super::{
    again,
    fields::{self, Fields},
    format::{ago, count, encode, time},
    layout::{Live, OrPage, Page, Section, WebError},
    parts::{badge, bar, card, empty, pager, sign},
};
use crate::{
    access::By,
    actions::refused,
    api::{
        extract::{cursor, in_time},
        runs::no_dag,
    },
    error::ApiError,
    state::State,
};

/// How many runs a preview lists; it counts them all.
const SHOWN: usize = 100;
/// Rows of the list of backfills.
const PAGE: i64 = 50;

/// What a span is wanted for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Act {
    Backfill,
    Clear,
}

impl Act {
    fn path(self) -> &'static str {
        match self {
            Self::Backfill => "backfill",
            Self::Clear => "clear",
        }
    }
}

/// A span of days, as a form says it.
struct Span {
    from: NaiveDate,
    to: NaiveDate,
    parallel: i32,
    newest_first: bool,
    task: Option<String>,
    params: Map<String, Value>,
}

/// What the fields say; nothing as long as there are no days.
fn read(plan: &Plan, fields: &Fields) -> Result<Option<Span>, ApiError> {
    let given = |name: &str| fields.get(name).map(|text| text.trim()).filter(|text| !text.is_empty());
    if given("from").is_none() && given("to").is_none() {
        return Ok(None);
    }
    fields::storable(fields)?;
    let day = |name: &str| {
        let text = given(name).unwrap_or_default();
        let day = text.parse::<NaiveDate>();
        let day = day.map_err(|_| ApiError::BadRequest(format!("`{name}` is `{text}`; write a day as 2026-01-31")))?;
        in_time(name, day)
    };
    let parallel = given("parallel").unwrap_or("4");
    let at_once = parallel.parse::<u16>().ok().filter(|parallel| *parallel > 0);
    let at_once = at_once.ok_or_else(|| ApiError::BadRequest(format!("`{parallel}` runs at once are none")))?;
    Ok(Some(Span {
        from: day("from")?,
        to: day("to")?,
        parallel: at_once.into(),
        newest_first: given("order") == Some("newest"),
        task: given("task").map(str::to_owned),
        params: fields::params(plan, fields),
    }))
}

impl Span {
    fn backfill<'a>(&self, plan: &'a Plan) -> NewBackfill<'a> {
        NewBackfill {
            plan,
            from: self.from,
            to: self.to,
            params: self.params.clone(),
            parallel: self.parallel,
            newest_first: self.newest_first,
        }
    }

    fn clear<'a>(&'a self, plan: &'a Plan) -> Result<Clear<'a>, ApiError> {
        if self.to < self.from {
            return Err(refused(store::RunError::Backwards { from: self.from, to: self.to }));
        }
        Ok(Clear {
            plan,
            from: self.from,
            to: self.to,
            task: self.task.as_deref(),
            parallel: self.parallel,
            newest_first: self.newest_first,
        })
    }
}

/// A run of a preview, and what becomes of it.
struct Line {
    day: Markup,
    run: Option<i64>,
    state: String,
    becomes: Markup,
    /// Whether something is done to it.
    counts: bool,
}

async fn lines(state: &State, actor: &Actor, act: Act, plan: &Plan, span: &Span) -> Result<Vec<Line>, ApiError> {
    let zone = plan.timezone;
    match act {
        Act::Backfill => {
            let planned = store::plan_backfill(state.pool(), &span.backfill(plan)).await.map_err(refused)?;
            let line = |run: store::Planned| Line {
                day: time(run.logical_time, zone),
                becomes: html! {
                    @if run.run_id.is_none() { "is made; data from " (time(run.interval.start, zone)) } @else { span.sub { "is there" } }
                },
                counts: run.run_id.is_none(),
                run: run.run_id,
                state: run.state,
            };
            Ok(planned.into_iter().map(line).collect())
        }
        Act::Clear => {
            let clear = span.clear(plan)?;
            let cleared = Person::new(state.pool(), actor).clear(&clear, true).await.map_err(refused)?;
            let line = |run: store::ClearedRun| Line {
                day: time(run.logical_time, zone),
                becomes: html! {
                    @if run.tasks.is_empty() { span.sub { "is left alone" } }
                    @else { p.names { @for task in &run.tasks { code { (task) } " " } } }
                },
                counts: !run.tasks.is_empty(),
                run: Some(run.run_id),
                state: run.state,
            };
            Ok(cleared.runs.into_iter().map(line).collect())
        }
    }
}

async fn plan_of(state: &State, dag: &str) -> Result<Plan, ApiError> {
    store::current_plan(state.pool(), dag).await.map_err(refused)?.ok_or_else(|| no_dag(dag))
}

/// Shows a backfill before it is made.
pub(super) async fn backfill_page(
    Extract(state): Extract<State>,
    By(actor): By,
    Path(dag): Path<String>,
    Query(fields): Query<Fields>,
) -> Result<Markup, WebError> {
    page(&state, &actor, Act::Backfill, &dag, &fields).await
}

/// Shows a clear before it is done.
pub(super) async fn clear_page(
    Extract(state): Extract<State>,
    By(actor): By,
    Path(dag): Path<String>,
    Query(fields): Query<Fields>,
) -> Result<Markup, WebError> {
    page(&state, &actor, Act::Clear, &dag, &fields).await
}

async fn page(state: &State, actor: &Actor, act: Act, dag: &str, fields: &Fields) -> Result<Markup, WebError> {
    let plan = plan_of(state, dag).await.or_page(state)?;
    let shown = match read(&plan, fields) {
        Ok(None) => Ok(None),
        Ok(Some(span)) => lines(state, actor, act, &plan, &span).await.map(Some),
        Err(error) => Err(error),
    };
    let (title, says) = match act {
        Act::Backfill => ("Backfill", "Makes the runs of these days that are not there yet."),
        Act::Clear => ("Run again", "Runs again what these days have done; what is under way is left alone."),
    };
    let body = html! {
        (card("Days", html! { "in " (plan.timezone) ", both included" }, chooser(act, &plan, fields)))
        @match &shown {
            Ok(None) => {},
            Ok(Some(lines)) => (preview(act, dag, fields, lines)),
            Err(error) => div.notice.warn role="status" { (sign("warn")) div.grow { p { (error) } } },
        }
    };
    let lead = html! { "DAG " a href={ "/dags/" (encode(dag)) } { (dag) } ". " (says) " Nothing changes until you say so below." };
    Ok(Page { lead, body, ..Page::new(Section::Dags, format!("{title}: {dag}")) }.render(state))
}

fn chooser(act: Act, plan: &Plan, fields: &Fields) -> Markup {
    let given = |name: &str| fields.get(name).map_or("", String::as_str);
    html! {
        form.choose method="get" action={ "/dags/" (encode(&plan.dag)) "/" (act.path()) } {
            label { span { "First day" } input type="date" name="from" value=(given("from")) required; }
            label { span { "Last day" } input type="date" name="to" value=(given("to")) required; }
            @if act == Act::Clear {
                label { span { "Tasks" } select name="task" {
                    option value="" { "All" }
                    (again::tasks(plan, given("task")))
                } }
            }
            label { span { "At once" } input type="number" name="parallel" min="1" max="1000" value=(if given("parallel").is_empty() { "4" } else { given("parallel") }); }
            label { span { "First goes" } select name="order" {
                option value="oldest" { "the oldest" }
                option value="newest" selected[given("order") == "newest"] { "the newest" }
            } }
            @if act == Act::Backfill {
                @for field in fields::of(plan, fields) {
                    label title=[field.description()] { span { (field.name()) } (field.control(None, false)) }
                }
            }
            button.button type="submit" { "Show" }
        }
    }
}

fn preview(act: Act, dag: &str, fields: &Fields, lines: &[Line]) -> Markup {
    let counts = lines.iter().filter(|line| line.counts).count();
    let number = |n: usize| count(n.try_into().unwrap_or(0));
    let what = match act {
        Act::Backfill => "Make",
        Act::Clear => "Run again",
    };
    let runs = if counts == 1 { " run" } else { " runs" };
    let aside = html! { (number(counts)) " of " (number(lines.len())) };
    card(
        "What it does",
        aside,
        html! {
            div.scroll { table {
                thead { tr { th { "Logical time" } th { "Run" } th { "State" } th { (match act { Act::Backfill => "What becomes of it", Act::Clear => "What runs again" }) } } }
                tbody {
                    @for line in lines.iter().take(SHOWN) { tr {
                        td.nowrap { (line.day) }
                        td { @if let Some(run) = line.run { a.num href={ "/runs/" (run) } { "#" (run) } } @else { "–" } }
                        td { (badge(&line.state)) }
                        td { (line.becomes) }
                    } }
                }
            } }
            @if lines.len() > SHOWN { p.pad.sub { "and " (number(lines.len() - SHOWN)) " more" } }
            div.pad {
                @if counts == 0 { p.sub { "There is nothing to do in these days." } } @else {
                    form method="post" action={ "/dags/" (encode(dag)) "/" (act.path()) } {
                        @for (name, value) in fields { input type="hidden" name=(name) value=(value); }
                        button.button.primary type="submit" { (what) " " (number(counts)) (runs) }
                    }
                }
            }
        },
    )
}

/// Makes a backfill and shows the list of them.
pub(super) async fn backfill(
    Extract(state): Extract<State>,
    By(actor): By,
    Path(dag): Path<String>,
    Form(fields): Form<Fields>,
) -> Result<Redirect, WebError> {
    act(&state, &actor, Act::Backfill, &dag, &fields).await.or_page(&state)
}

/// Clears a span and shows the list.
pub(super) async fn clear(
    Extract(state): Extract<State>,
    By(actor): By,
    Path(dag): Path<String>,
    Form(fields): Form<Fields>,
) -> Result<Redirect, WebError> {
    act(&state, &actor, Act::Clear, &dag, &fields).await.or_page(&state)
}

async fn act(state: &State, actor: &Actor, act: Act, dag: &str, fields: &Fields) -> Result<Redirect, ApiError> {
    let plan = plan_of(state, dag).await?;
    let span = read(&plan, fields)?.ok_or_else(|| ApiError::BadRequest("no days are given".to_owned()))?;
    let person = Person::new(state.pool(), actor);
    match act {
        Act::Backfill => drop(person.backfill(&span.backfill(&plan)).await.map_err(refused)?),
        Act::Clear => drop(person.clear(&span.clear(&plan)?, false).await.map_err(refused)?),
    }
    Ok(Redirect::to(&format!("/backfills?dag={}", encode(dag))))
}

/// Backfills and clears, newest first.
pub(super) async fn list(Extract(state): Extract<State>, Query(query): Query<Fields>) -> Result<Markup, WebError> {
    let (dag, before) = (query.get("dag").filter(|dag| !dag.is_empty()), query.get("cursor"));
    let before = cursor(before.map(String::as_str)).or_page(&state)?;
    let mut rows = store::backfills(state.pool(), dag.map(String::as_str), before, PAGE + 1)
        .await
        .map_err(ApiError::from)
        .or_page(&state)?;
    let more = rows.len() > usize::try_from(PAGE).unwrap_or(usize::MAX);
    rows.truncate(PAGE.try_into().unwrap_or(usize::MAX));
    let next = rows.last().filter(|_| more).map(|row| row.backfill_id.to_string());
    let address = dag.map_or_else(|| "/backfills".to_owned(), |dag| format!("/backfills?dag={}", encode(dag)));
    let body = html! {
        section.card.flush {
            @if rows.is_empty() {
                (empty("No backfill was made", "The page of a DAG has a button for one.", Some("sluice backfill DAG --from DAY --to DAY")))
            } @else {
                div.scroll { table {
                    thead { tr { th { "Backfill" } th { "DAG" } th { "Days" } th { "State" } th { "Runs" } th { "By" } th.end { "Made" } th {} } }
                    tbody { @for row in &rows { (backfill_row(row, &state)) } }
                } }
            }
        }
        (pager(next.as_ref(), &address))
    };
    let lead = html! { @if let Some(dag) = dag { "Of DAG " a href={ "/dags/" (encode(dag)) } { (dag) } } @else { "Of all DAGs, newest first." } };
    Ok(Page { lead, live: Live::Every(3000), body, ..Page::new(Section::Dags, "Backfills and clears") }.render(&state))
}

fn backfill_row(row: &BackfillRow, state: &State) -> Markup {
    let ended = row.success + row.failed;
    let share = if row.runs == 0 { 1.0 } else { ended as f64 / row.runs as f64 };
    html! {
        tr {
            td { span.strong.num { "#" (row.backfill_id) } span.sub { " " (row.kind) } }
            td { a href={ "/dags/" (encode(&row.dag)) } { (row.dag) } }
            td.nowrap { (row.from_day) " – " (row.to_day) @if row.newest_first { div.sub { "newest first" } } }
            td { (badge(if row.state == "done" { "success" } else if row.state == "stopped" { "cancelled" } else { &row.state })) }
            td { (bar(share, if row.failed > 0 { "warn" } else { "accent" }))
                 div.sub { (count(row.success)) " of " (count(row.runs)) " done"
                    @if row.running > 0 { ", " (count(row.running)) " running" }
                    @if row.queued > 0 { ", " (count(row.queued)) " queued" }
                    @if row.failed > 0 { ", " span.bad-text { (count(row.failed)) " failed" } } } }
            td.sub { (row.actor) }
            td.end.sub.nowrap { (ago(row.created_at, state.timezone())) }
            td { @if row.state == "running" {
                form method="post" action={ "/backfills/" (row.backfill_id) "/stop" } data-confirm={ "Stop backfill " (row.backfill_id) "? What waits is cancelled, what runs is told to end." } {
                    button.button.danger type="submit" { "Stop" }
                }
            } }
        }
    }
}

/// Stops a backfill and shows the list.
pub(super) async fn stop(
    Extract(state): Extract<State>,
    By(actor): By,
    Path(backfill_id): Path<i64>,
) -> Result<Redirect, WebError> {
    Person::new(state.pool(), &actor).stop_backfill(backfill_id).await.map_err(refused).or_page(&state)?;
    Ok(Redirect::to("/backfills"))
}
