//! A suite as a page: what it says, what it found, its trends, profiles and versions. The live page and the site of
//! `sluice quality docs` are made of the same pieces.

mod checks;
mod profile;
mod trends;
mod versions;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use maud::{Markup, html};
use serde_json::Value;

use super::{
    format::{ago, count, time},
    parts::{badge, card, empty, figure},
};
use crate::store::suites::{CheckLine, DatasetView, SuiteView};

/// Where a suite is shown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shown {
    /// Of all times.
    pub(crate) zone: Tz,
    /// Whether other pages of the server can be linked to, and times grow old by themselves.
    pub(crate) live: bool,
}

impl Shown {
    pub(super) fn when(self, at: DateTime<Utc>) -> Markup {
        if self.live { ago(at, self.zone) } else { time(at, self.zone) }
    }

    fn run(self, run_id: Option<i64>) -> Markup {
        html! {
            @if let Some(run_id) = run_id {
                @if self.live { a href={ "/runs/" (run_id) } { "run #" (run_id) } } @else { "run #" (run_id) }
                " · "
            }
        }
    }
}

/// What a suite is about, and who answers for it.
pub(crate) fn lead(view: &SuiteView) -> Markup {
    let head = |key: &str| view.version.as_ref().and_then(|version| version.definition["head"][key].as_str());
    html! {
        @if let Some(description) = head("description").filter(|text| !text.is_empty()) { (description) " " }
        @if let Some(owner) = head("owner") { span.chip { "owner: " (owner) } }
    }
}

/// All that there is to show.
pub(crate) fn body(view: &SuiteView, shown: Shown) -> Markup {
    let defined = checks::defined(view.version.as_ref());
    html! {
        (figures(view, defined.len(), shown))
        @for dataset in &view.datasets {
            (card(&dataset.dataset, evaluated(dataset, shown), checks::results(&defined, dataset)))
            (trends::card(&defined, dataset))
            (profile::card(dataset))
        }
        @if view.datasets.is_empty() {
            @if defined.is_empty() {
                (empty("It has not judged anything", "Results appear with the first load whose gate it is.", None))
            } @else {
                (card("What it checks", "not evaluated yet", checks::told(&defined)))
            }
        }
        (versions::card(view, shown))
    }
}

fn evaluated(dataset: &DatasetView, shown: Shown) -> Markup {
    html! {
        @if let Some(line) = dataset.checks.first() {
            (shown.run(line.run_id)) (shown.when(line.at)) " · version " code { (short(&line.suite_hash)) }
        }
    }
}

fn figures(view: &SuiteView, defined: usize, shown: Shown) -> Markup {
    let newest = view.datasets.first();
    let lines = newest.map(|dataset| dataset.checks.as_slice()).unwrap_or_default();
    let passed = lines.iter().filter(|line| line.outcome == "passed").count();
    let vacuous = lines.iter().filter(|line| line.outcome == "vacuous").count();
    let whole = newest.and_then(|dataset| dataset.series.iter().find(|series| series.column.is_empty()));
    let rows = whole.and_then(|series| series.metrics["row_count"].as_i64());
    let current = view.versions.iter().find(|row| row.current).or(view.versions.first());
    html! {
        div.figures {
            (figure("Last result", html! { @if lines.is_empty() { "–" } @else { (badge(verdict(lines))) } },
                html! { @if let Some(line) = lines.first() { (shown.when(line.at)) } @else { "not evaluated yet" } }))
            (figure("Checks held", html! { (passed) " of " (if lines.is_empty() { defined } else { lines.len() }) },
                html! { @if vacuous > 0 { (vacuous) " vacuous: nothing was there to check" } @else { (view.datasets.len()) " dataset" @if view.datasets.len() != 1 { "s" } } }))
            (figure("Rows of the last batch", rows.map_or_else(|| "–".to_owned(), count),
                html! { @if let Some(dataset) = newest { (dataset.dataset) } }))
            (figure("Version", html! { @if let Some(row) = current { code { (short(&row.hash)) } } @else { "–" } },
                html! { @if let Some(row) = current { "since " (time(row.seen_at, shown.zone)) @if let Some(actor) = &row.actor { " by " (actor) } } }))
        }
    }
}

/// What the worst failed check does.
fn verdict(lines: &[CheckLine]) -> &'static str {
    let any = |outcome: &str, on_fail: Option<&str>| {
        lines.iter().any(|line| line.outcome == outcome && on_fail.is_none_or(|policy| line.on_fail == policy))
    };
    if any("errored", None) {
        "errored"
    } else if any("failed", Some("fail")) {
        "failed"
    } else if any("failed", Some("quarantine")) {
        "quarantined"
    } else if any("failed", None) {
        "warned"
    } else {
        "passed"
    }
}

/// A hash as far as people need it.
fn short(hash: &str) -> &str {
    hash.get(..12).unwrap_or(hash)
}

/// A value on one line, as people write it.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "null".to_owned(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}
