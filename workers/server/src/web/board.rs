//! The overview: the shop's day as it happens, and how the pipelines are.

use axum::extract::State as Extract;
use maud::{Markup, html};
use rust_decimal::{Decimal, prelude::ToPrimitive};

use super::{
    charts,
    dags::squares,
    format::{ago, count, encode, money, percent},
    layout::{Live, OrPage, Page, Section, WebError},
    parts::{badge, bar, card, empty, figure, icon, sign},
};
use crate::{
    error::StoreError,
    state::State,
    store::{
        alerts::{self, Alert, AlertFilter},
        board::{Board, Share},
        dags::{self, Dag, GridRun},
    },
};

#[derive(sqlx::FromRow)]
struct Overview {
    runs: i64,
    failed: i64,
    running: i64,
    queued: i64,
    processes: i64,
    rows_loaded: i64,
    rows_quarantined: i64,
    pending_deliveries: i64,
    stream_lag: i64,
}

pub(super) async fn page(Extract(state): Extract<State>) -> Result<Markup, WebError> {
    let board = state.board().await.or_page(&state)?;
    let body = read(&state, &board).await.or_page(&state)?;
    let beside = html! {
        span.live data-live="connecting" {
            span.live-dot {}
            span.live-text { "Live" }
            @if let Some(at) = board.updated_at { span.live-at { "updated " (ago(at, state.timezone())) } }
        }
    };
    let page = Page { beside, live: Live::Board, body, ..Page::new(Section::Overview, "Overview") };
    Ok(page.render(&state))
}

async fn read(state: &State, board: &Board) -> Result<Markup, StoreError> {
    let pool = state.pool();
    let health: Overview = sqlx::query_as(include_str!("../../../../sql/web/overview.sql")).fetch_one(pool).await?;
    let dags = dags::list(pool).await?;
    let grid = dags::grid(pool, None, 14).await?;
    let latest = alerts::list(pool, &AlertFilter { limit: 5, ..AlertFilter::default() }).await?.items;
    Ok(html! {
        (figures(state, board))
        @if board.updated_at.is_none() {
            section.card {
                (empty("No sales have been seen yet",
                    "Start the stream process and some traffic; this board then moves by itself.",
                    Some("sluice stream &\nsluice generate --live")))
            }
        } @else {
            div.columns.wide {
                (card("Revenue per minute", html! { "last 60 minutes" },
                    charts::minutes(&board.minutes, &state.options().currency, state.timezone())))
                (card("Categories", html! { "today" }, bars(&categories(&board.categories), state)))
            }
        }
        div.columns.even {
            (card("Top products", html! { "today" }, bars(&products(&board.products), state)))
            (card("Latest alerts", html! { a href="/alerts" { "All alerts" (icon("arrow")) } }, alert_list(&latest, state)))
        }
        (card("Pipelines", html! { a href="/dags" { "All DAGs" (icon("arrow")) } }, pipelines(&health, &dags, &grid, state)))
    })
}

fn figures(state: &State, board: &Board) -> Markup {
    let currency = &state.options().currency;
    let average = if board.orders > 0 { board.revenue / Decimal::from(board.orders) } else { Decimal::ZERO };
    let open: i64 = board.open_alerts.values().sum();
    html! {
        div.figures {
            (figure("Revenue today", money(board.revenue, currency), trend(board)))
            (figure("Orders today", count(board.orders), html! { (average_rate(board)) }))
            (figure("Average order", money(average, currency), html! { "per approved order" }))
            (figure("Open alerts", count(open), html! {
                @if open == 0 { (sign("passed")) "nothing needs you" }
                @for severity in ["critical", "high", "medium", "low"] {
                    @if let Some(alerts) = board.open_alerts.get(severity) {
                        a.tally href={ "/alerts?severity=" (severity) } { (sign(severity)) (count(*alerts)) " " (severity) }
                    }
                }
            }))
        }
    }
}

fn trend(board: &Board) -> Markup {
    let (now, before) = (board.hour_revenue, board.previous_hour_revenue);
    if before.is_zero() {
        return html! { "since midnight" };
    }
    let change = ((now - before) / before * Decimal::ONE_HUNDRED).round();
    let up = change.is_sign_positive();
    html! {
        span.trend.up[up] .down[!up] { (if up { "▲" } else { "▼" }) " " (change.abs()) "%" }
        " on the hour before"
    }
}

fn average_rate(board: &Board) -> String {
    let recent: i64 = board.minutes.iter().rev().skip(1).take(5).map(|minute| minute.orders).sum();
    format!("{:.1} a minute, last 5 minutes", recent as f64 / 5.0)
}

/// How many categories stand by themselves.
const CATEGORIES: usize = 5;

/// A row of bars: a name, its money, and a word beside it.
struct Bar {
    name: String,
    revenue: Decimal,
    note: String,
}

fn products(shares: &[Share]) -> Vec<Bar> {
    let bar = |share: &Share| Bar {
        name: share.name.clone(),
        revenue: share.revenue,
        note: format!("{} sold", count(share.orders)),
    };
    shares.iter().map(bar).collect()
}

/// The greatest categories with their part of the day, and the rest together.
fn categories(shares: &[Share]) -> Vec<Bar> {
    let all: Decimal = shares.iter().map(|share| share.revenue).sum();
    let bar =
        |name: String, revenue: Decimal| Bar { name, revenue, note: format!("{:.0}%", ratio(revenue, all) * 100.0) };
    let (great, rest) = shares.split_at(shares.len().min(CATEGORIES));
    let mut bars: Vec<_> = great.iter().map(|share| bar(share.name.clone(), share.revenue)).collect();
    if !rest.is_empty() {
        bars.push(bar(format!("{} others", rest.len()), rest.iter().map(|share| share.revenue).sum()));
    }
    bars
}

fn ratio(part: Decimal, whole: Decimal) -> f64 {
    if whole.is_zero() { 0.0 } else { (part / whole).to_f64().unwrap_or(0.0) }
}

fn bars(bars: &[Bar], state: &State) -> Markup {
    let top = bars.iter().map(|bar| bar.revenue).max().unwrap_or_default();
    html! {
        @if bars.is_empty() {
            (empty("Nothing sold yet today", "The first order of the day shows up here within seconds.", None))
        } @else {
            ol.shares {
                @for row in bars {
                    li {
                        span.name title=(row.name) { (row.name) }
                        span.num.amount { (money(row.revenue, &state.options().currency)) }
                        span.num.note { (row.note) }
                        (bar(ratio(row.revenue, top), "accent"))
                    }
                }
            }
        }
    }
}

fn alert_list(alerts: &[Alert], state: &State) -> Markup {
    html! {
        @if alerts.is_empty() {
            (empty("No alerts", "Fraud, bot, stock and failure alerts appear here when they are raised.", None))
        } @else {
            ul.list {
                @for alert in alerts {
                    li {
                        (sign(&alert.severity))
                        div.grow {
                            div.line title=(alert.message) { (alert.message) }
                            div.sub { (alert.source) " · " (alert.rule) " · " (alert.severity) }
                        }
                        span.sub { (ago(alert.raised_at, state.timezone())) }
                    }
                }
            }
        }
    }
}

fn pipelines(health: &Overview, dags: &[Dag], grid: &[GridRun], state: &State) -> Markup {
    let read = health.rows_loaded + health.rows_quarantined;
    html! {
        @if health.processes == 0 && !dags.is_empty() {
            p.notice-line { (sign("warn")) span { "No process has been seen in the last minute: nothing will run. Start one with " code { "sluice all" } "." } }
        }
        dl.facts {
            div { dt { "Runs, 24 h" } dd { (count(health.runs)) } }
            div { dt { "Failed" } dd.bad[health.failed > 0] { (count(health.failed)) } }
            div { dt { "Running now" } dd { (count(health.running)) } }
            div { dt { "Queued tasks" } dd { (count(health.queued)) } }
            div { dt { "Rows, 24 h" } dd { (count(health.rows_loaded)) } }
            div { dt { "Quarantined" } dd { (count(health.rows_quarantined)) " " small { (percent(health.rows_quarantined, read)) } } }
            div { dt { "Stream lag" } dd { (count(health.stream_lag)) } }
            div { dt { "Unsent notes" } dd { (count(health.pending_deliveries)) } }
        }
        @if dags.is_empty() {
            (empty("No DAG is deployed", "Put a YAML file into dags/, check it, and start the scheduler.",
                Some("sluice check\nsluice schedule")))
        } @else {
            ul.list.pipelines {
                @for dag in dags {
                    li {
                        a.line.strong href={ "/dags/" (encode(&dag.dag)) } { (dag.dag) }
                        (squares(grid.iter().filter(|run| run.dag == dag.dag)))
                        span.state { @if let Some(last) = &dag.last_state { (badge(last)) } @else { (badge("not run yet")) } }
                        span.sub.when { @if let Some(at) = dag.last_run_at { (ago(at, state.timezone())) } }
                    }
                }
            }
        }
    }
}
