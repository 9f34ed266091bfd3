//! Each check: what it says, how it went, what it found.

use maud::{Markup, html};
use quality::versions::Version;
use serde_json::{Map, Value};

use super::plain;
use crate::{
    store::suites::{CheckLine, DatasetView},
    web::{
        format::{count, duration},
        parts::{badge, strip},
    },
};

/// Keys that are shown otherwise than as arguments.
const APART: [&str; 6] = ["id", "description", "severity", "on_fail", "owner", "tags"];

/// So many failing values are shown.
const SAMPLES: usize = 10;

/// A check as its suite has it.
pub(super) struct Defined<'a> {
    pub(super) id: &'a str,
    pub(super) expectation: &'a str,
    pub(super) arguments: &'a Map<String, Value>,
}

impl Defined<'_> {
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.arguments.get(key).and_then(Value::as_str)
    }
}

/// The checks of a version, anomalies too, in its order.
pub(super) fn defined(version: Option<&Version>) -> Vec<Defined<'_>> {
    let checks = version.and_then(|version| version.definition["checks"].as_array()).map(Vec::as_slice);
    checks.unwrap_or_default().iter().filter_map(one).collect()
}

fn one(check: &Value) -> Option<Defined<'_>> {
    let arguments = check["arguments"].as_object()?;
    Some(Defined { id: check["id"].as_str()?, expectation: check["expectation"].as_str()?, arguments })
}

/// Checks without results.
pub(super) fn told(defined: &[Defined<'_>]) -> Markup {
    html! {
        div.scroll {
            table.checks {
                thead { tr { th { "Check" } } }
                tbody { @for check in defined { tr { td { (about(check.id, Some(check))) } } } }
            }
        }
    }
}

/// Checks with their results on a dataset: what does not hold first.
pub(super) fn results(defined: &[Defined<'_>], dataset: &DatasetView) -> Markup {
    let mut lines: Vec<&CheckLine> = dataset.checks.iter().collect();
    lines.sort_by_key(|line| ["errored", "failed"].iter().position(|bad| *bad == line.outcome).unwrap_or(2));
    html! {
        div.scroll {
            table.checks {
                thead { tr { th { "Check" } th { "Outcome" } th { "History" } th { "Found" } th.end { "Took" } } }
                tbody {
                    @for line in lines {
                        @let known = defined.iter().find(|check| check.id == line.check_id);
                        tr {
                            td { (about(&line.check_id, known)) }
                            td { (badge(&line.outcome)) @if line.outcome == "failed" { div.sub { (what_follows(&line.on_fail)) } } }
                            td { (strip(line.history.iter().rev().take(20).rev().map(String::as_str))) }
                            td { (found(&line.observed)) }
                            td.num { (duration(line.duration_ms / 1000.0)) }
                        }
                    }
                }
            }
        }
    }
}

fn what_follows(on_fail: &str) -> &'static str {
    match on_fail {
        "quarantine" => "rows held back",
        "warn" => "a warning",
        _ => "refuses the batch",
    }
}

/// What a check is called, says, and is for.
fn about(id: &str, known: Option<&Defined<'_>>) -> Markup {
    html! {
        code.strong { (id) }
        @if let Some(check) = known {
            @if let Some(description) = check.text("description") { p.why-it { (description) } }
            p.sub {
                (words(check.expectation))
                @for (key, value) in check.arguments.iter().filter(|(key, _)| !APART.contains(&key.as_str())) {
                    " · " span.key { (key.replace('_', " ")) } " " span.val { (cut(&plain(value))) }
                }
            }
            @if let Some(owner) = check.text("owner") { span.chip { (owner) } }
            @if check.text("severity") == Some("critical") { span.chip { "critical" } }
            @if let Some(tags) = check.arguments.get("tags").and_then(Value::as_array) {
                @for tag in tags { span.chip { (plain(tag)) } }
            }
        }
    }
}

/// `Column values to not be null`.
fn words(expectation: &str) -> String {
    let mut text = expectation.strip_prefix("expect_").unwrap_or(expectation).replace('_', " ");
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    text
}

fn cut(text: &str) -> String {
    const LENGTH: usize = 160;
    if text.chars().nth(LENGTH).is_none() {
        text.to_owned()
    } else {
        text.chars().take(LENGTH).chain(['…']).collect()
    }
}

/// What was seen, in words where it has them.
fn found(observed: &Value) -> Markup {
    let samples = observed["partial_unexpected_list"].as_array().map(Vec::as_slice).unwrap_or_default();
    html! {
        @if let Some(error) = observed["error"].as_str() {
            span.bad-text { (cut(error)) }
        } @else if let Some(reason) = observed["reason"].as_str() {
            (reason)
        } @else if let Some(groups) = quality::groups_in_words(observed) {
            (groups)
        } @else if let Some(unexpected) = observed["unexpected_count"].as_i64() {
            @let all = observed["element_count"].as_i64().unwrap_or(0);
            @if unexpected == 0 { "none of " (count(all)) " rows" } @else {
                span.strong { (count(unexpected)) } " of " (count(all)) " rows"
                @if let Some(percent) = observed["unexpected_percent"].as_f64() { " · " (format!("{percent:.2}")) " %" }
            }
        } @else if let Some(value) = observed.get("observed_value") {
            (cut(&plain(value)))
        } @else {
            (crate::web::quality::facts(observed))
        }
        @if !samples.is_empty() {
            div { @for sample in samples.iter().take(SAMPLES) { span.chip { (cut(&plain(sample))) } } }
        }
    }
}
