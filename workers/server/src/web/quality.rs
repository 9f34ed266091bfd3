//! Data quality: suites with their latest results, loads with their sums, and the rows that were held back.

use axum::extract::{Path, Query, State as Extract};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::Value;

use super::{
    format::{ago, count, encode, percent},
    layout::{Live, OrPage, Page, Section, WebError},
    parts::{badge, bar, card, empty, pager, strip},
    suite::{self, Shown},
};
use crate::{
    api::extract::cursor_pair,
    error::ApiError,
    state::State,
    store::{
        data::{self, Load, LoadFilter, QuarantineFilter, RuleCount, SuiteStatus},
        suites::SuiteView,
    },
};

pub(super) async fn page(Extract(state): Extract<State>) -> Result<Markup, WebError> {
    let pool = state.pool();
    let suites = data::suites(pool).await.or_page(&state)?;
    let rules = data::rules(pool, 10).await.or_page(&state)?;
    let loads = data::loads(pool, &LoadFilter { limit: 30, ..LoadFilter::default() }).await.or_page(&state)?.items;
    let body = html! {
        (card("Suites", html! { "latest evaluation of each" }, suite_table(&suites, &state)))
        (card("What held rows back in the last 7 days", html! { a href="/quality/rows" { "All rows" } }, rule_list(&rules)))
        (card("Loads", html! { "read = loaded + quarantined + deduplicated" }, load_table(&loads, &state)))
    };
    let lead = html! { "Every load passes its gate before anyone can read it. Rows that fail stay here, with the rules that they broke." };
    Ok(Page { lead, live: Live::Every(5000), body, ..Page::new(Section::Quality, "Data quality") }.render(&state))
}

fn suite_table(suites: &[SuiteStatus], state: &State) -> Markup {
    if suites.is_empty() {
        let text = "Results appear with the first load that has a gate. A suite can also be tried on a file.";
        return empty("No suite has been evaluated", text, Some("sluice quality run orders --data orders.parquet"));
    }
    html! {
        div.scroll {
            table {
                thead { tr { th { "Suite" } th { "Dataset" } th { "Result" } th.end { "Passed" } th { "History" } th.end { "Evaluated" } } }
                tbody {
                    @for suite in suites {
                        tr {
                            td { a.strong href={ "/quality/suites/" (encode(&suite.suite)) } { (suite.suite) } }
                            td { (suite.dataset) }
                            td { (badge(&suite.verdict)) }
                            td.num { (suite.passed) "/" (suite.checks)
                                @if suite.failed > 0 { span.bad-text { " · " (suite.failed) " failed" } }
                                @if suite.errored > 0 { span.bad-text { " · " (suite.errored) " errored" } }
                                @if suite.vacuous > 0 { span.sub { " · " (suite.vacuous) " vacuous" } } }
                            td { (strip(suite.history.iter().map(String::as_str))) }
                            td.end.sub.nowrap {
                                @if let Some(run_id) = suite.run_id { a href={ "/runs/" (run_id) } { "run #" (run_id) } " · " }
                                (ago(suite.at, state.timezone()))
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The list of suites for a site that is read from a folder.
pub(crate) fn site_list(views: &[SuiteView], suites: &[SuiteStatus], shown: Shown) -> Markup {
    if views.is_empty() {
        return empty("There is no suite", "A suite is a file in quality/.", None);
    }
    let head = |view: &SuiteView, key: &str| {
        view.version.as_ref().and_then(|version| version.definition["head"][key].as_str().map(str::to_owned))
    };
    html! {
        section.card.flush {
            div.scroll {
                table {
                    thead { tr { th { "Suite" } th { "Dataset" } th { "Result" } th.end { "Passed" } th { "History" } th.end { "Evaluated" } } }
                    tbody {
                        @for view in views {
                            @let found: Vec<_> = suites.iter().filter(|status| status.suite == view.name).collect();
                            @let link = format!("suites/{}.html", crate::docs::file_name(&view.name));
                            @for status in &found {
                                tr {
                                    td { a.strong href=(link) { (view.name) } (about(head(view, "description"), head(view, "owner"))) }
                                    td { (status.dataset) }
                                    td { (badge(&status.verdict)) }
                                    td.num { (status.passed) "/" (status.checks) }
                                    td { (strip(status.history.iter().map(String::as_str))) }
                                    td.end.sub.nowrap { (shown.when(status.at)) }
                                }
                            }
                            @if found.is_empty() {
                                tr {
                                    td { a.strong href=(link) { (view.name) } (about(head(view, "description"), head(view, "owner"))) }
                                    td { "–" } td { (badge("unchecked")) } td.num { "–" } td {} td.end.sub.nowrap { "not in the last 30 days" }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn about(description: Option<String>, owner: Option<String>) -> Markup {
    html! {
        @if let Some(text) = description.filter(|text| !text.is_empty()) { div.sub.message { (text) } }
        @if let Some(owner) = owner { div.sub { (owner) } }
    }
}

/// Loads with their sums.
pub(super) fn load_table(loads: &[Load], state: &State) -> Markup {
    if loads.is_empty() {
        return empty("Nothing has been loaded", "Run a DAG with a load task.", Some("sluice run daily_sales --wait"));
    }
    html! {
        div.scroll {
            table {
                thead { tr {
                    th { "Dataset" } th { "Gate" } th.end { "Read" } th.end { "Loaded" } th.end { "Quarantined" } th.end { "Deduplicated" }
                    th { "Sum" } th.end { "Published" }
                } }
                tbody {
                    @for load in loads {
                        tr {
                            td.nowrap { span.strong { (load.dataset) } @if let Some(run_id) = load.run_id { " " a.sub href={ "/runs/" (run_id) } { "#" (run_id) } } }
                            td { (badge(&load.verdict)) }
                            td.num { (count(load.read)) }
                            td.num { (count(load.loaded)) }
                            td.num {
                                @if load.quarantined > 0 {
                                    a href={ "/quality/rows?load_id=" (load.load_id) } { (count(load.quarantined)) }
                                    " " small { (percent(load.quarantined, load.read)) }
                                } @else { "0" }
                            }
                            td.num { (count(load.deduplicated)) }
                            td { @if load.balances() { (badge("balanced")) } @else if load.verdict == "failed" { (badge("refused")) } @else { (badge("unbalanced")) } }
                            td.end.sub.nowrap { (ago(load.published_at, state.timezone())) }
                        }
                    }
                }
            }
        }
    }
}

fn rule_list(rules: &[RuleCount]) -> Markup {
    let top = rules.iter().map(|rule| rule.rows).max().unwrap_or(1);
    html! {
        @if rules.is_empty() {
            (empty("No row has been held back in the last 7 days", "Rows that break a rule of a gate are kept here, whole, with every rule that they broke.", None))
        } @else {
            ol.shares.two {
                @for rule in rules {
                    li {
                        a.name href={ "/quality/rows?dataset=" (encode(&rule.dataset)) "&rule=" (encode(&rule.rule)) }
                            title={ (rule.rule) ", last in load " (rule.last_load_id) } { (rule.rule) }
                        span.num.amount { (count(rule.rows)) }
                        span.note { (rule.dataset) }
                        (bar(rule.rows as f64 / top as f64, "warn"))
                    }
                }
            }
        }
    }
}

pub(super) async fn suite(Extract(state): Extract<State>, Path(name): Path<String>) -> Result<Markup, WebError> {
    let view = SuiteView::read(state.pool(), &name).await.or_page(&state)?;
    if view.is_unknown() {
        let error = ApiError::NotFound(format!("no suite `{name}` was ever deployed or evaluated"));
        return Err(error).or_page(&state);
    }
    let shown = Shown { zone: state.timezone(), live: true };
    let (lead, body) = (suite::lead(&view), suite::body(&view, shown));
    Ok(Page { lead, body, ..Page::new(Section::Quality, format!("Suite {name}")) }.render(&state))
}

/// A JSON object as name and value pairs.
pub(super) fn facts(value: &Value) -> Markup {
    html! {
        @match value {
            Value::Object(fields) => span.pairs {
                @for (name, value) in fields { span.pair { span.key { (name) } " " span.val { (plain(value)) } } }
            },
            Value::Null => "–",
            other => (plain(other)),
        }
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "null".to_owned(),
        other => other.to_string(),
    }
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct RowsQuery {
    dataset: Option<String>,
    load_id: Option<i64>,
    rule: Option<String>,
    state: Option<String>,
    cursor: Option<String>,
}

pub(super) async fn rows(Extract(state): Extract<State>, Query(query): Query<RowsQuery>) -> Result<Markup, WebError> {
    let after = cursor_pair(query.cursor.as_deref()).or_page(&state)?;
    let (dataset, rule) = (query.dataset.clone(), query.rule.clone());
    let held = query.state.clone();
    let filter = QuarantineFilter { dataset, load_id: query.load_id, rule, state: held, after, limit: 50 };
    let page = data::quarantine(state.pool(), &filter).await.or_page(&state)?;
    let mut narrowed = Vec::new();
    for (name, value) in [
        ("dataset", &query.dataset),
        ("rule", &query.rule),
        ("state", &query.state),
        ("load_id", &query.load_id.map(|id| id.to_string())),
    ] {
        narrowed.extend(value.as_ref().map(|value| (name, value.clone())));
    }
    let terms: Vec<_> = narrowed.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
    let address =
        if terms.is_empty() { "/quality/rows".to_owned() } else { format!("/quality/rows?{}", terms.join("&")) };
    let body = html! {
        section.card.flush {
            @if page.items.is_empty() {
                (empty("No row has been held back", "Nothing here broke a rule of its gate.", None))
            } @else {
                div.scroll {
                    table.rows {
                        thead { tr { th { "Dataset" } th { "State" } th { "Broke" } th { "Row" } } }
                        tbody {
                            @for row in &page.items {
                                tr {
                                    td.nowrap { span.strong { (row.dataset) }
                                        div.sub { "load " (row.load_id) @if let Some(line) = row.source_line { " · line " (line) } } }
                                    td.nowrap { a href={ "/quality/rows?state=" (row.state) } { (badge(&row.state)) }
                                        @if let Some(load) = row.settled_by { div.sub { "by load " (load) } }
                                        @if let Some(reason) = &row.reason { div.sub { (reason) } } }
                                    td { @for rule in &row.rules { span.chip { (rule) } } }
                                    td { (facts(row.corrected.as_ref().unwrap_or(&row.row))) }
                                }
                            }
                        }
                    }
                }
            }
        }
        (pager(page.next_cursor.as_ref(), &address))
    };
    let lead = html! {
        @if narrowed.is_empty() { "Every row that a gate held back, newest load first." }
        @for (name, value) in &narrowed { span.chip { (name.replace('_', " ")) ": " (value) } }
        @if !narrowed.is_empty() { " " a href="/quality/rows" { "Show all" } }
    };
    Ok(Page { lead, body, ..Page::new(Section::Quality, "Quarantined rows") }.render(&state))
}
