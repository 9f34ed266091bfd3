//! Who changed a suite when, and what that changed.

use maud::{Markup, html};
use quality::versions::{ChangeRow, SuiteDiff};
use serde_json::Value;

use super::{Shown, short};
use crate::{
    store::suites::SuiteView,
    web::{
        format::{count, time},
        parts,
    },
};

/// The versions of a suite, where any is kept.
pub(super) fn card(view: &SuiteView, shown: Shown) -> Markup {
    html! {
        @if !view.versions.is_empty() {
            (parts::card("Versions", html! { (view.versions.len()) " kept" }, html! {
                @if !view.changes.is_empty() {
                    ol.why {
                        @for (change, diff) in &view.changes {
                            li {
                                div.grow {
                                    p { span.strong { (change.actor) } " " (became(change)) " · " (time(change.at, shown.zone)) }
                                    @if let Some(diff) = diff { (difference(diff)) }
                                }
                            }
                        }
                    }
                }
                div.scroll {
                    table {
                        thead { tr { th { "Version" } th { "First seen" } th { "By" } th.end { "Loads" } th.end { "Judged last" } } }
                        tbody {
                            @for row in &view.versions {
                                tr {
                                    td { span.deployed { code { (short(&row.hash)) } @if row.current { span.chip { "deployed" } } } }
                                    td.nowrap { (time(row.seen_at, shown.zone)) }
                                    td { (row.actor.as_deref().unwrap_or("a task")) }
                                    td.num { (count(row.loads)) }
                                    td.end.sub.nowrap { @if let Some(at) = row.judged_at { (shown.when(at)) } @else { "never" } }
                                }
                            }
                        }
                    }
                }
                @if let Some(version) = &view.version {
                    details.file {
                        summary { "The file of " code { (short(&version.hash)) } }
                        pre { code { (version.text) } }
                    }
                }
            }))
        }
    }
}

fn became(change: &ChangeRow) -> Markup {
    html! {
        @match (&change.before, &change.hash) {
            (Some(before), Some(hash)) => { "changed " code { (short(before)) } " to " code { (short(hash)) } },
            (None, Some(hash)) => { "deployed it first, as " code { (short(hash)) } },
            (_, None) => "removed its file",
        }
    }
}

fn difference(diff: &SuiteDiff) -> Markup {
    let side = |value: &Option<Value>| value.as_ref().map_or_else(|| "(absent)".to_owned(), Value::to_string);
    html! {
        @for change in &diff.changes {
            p.sub { (change.key) ": " code { (side(&change.old)) } " → " code { (side(&change.new)) } }
        }
        @for check in &diff.removed { p.sub { "− " code { (check) } } }
        @for check in &diff.added { p.sub { "+ " code { (check) } } }
        @for check in &diff.changed {
            @for change in &check.changes {
                p.sub { code { (check.check) } " " (change.key) ": " code { (side(&change.old)) } " → " code { (side(&change.new)) } }
            }
        }
    }
}
