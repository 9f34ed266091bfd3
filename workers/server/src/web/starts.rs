//! What starts a DAG, in words: its schedule, its triggers, or a person.

use maud::{Markup, html};
use workflow::trigger::Trigger;

use super::format::encode;
use crate::store::dags::Dag;

/// The triggers of a DAG; one that this build cannot read is left out.
fn triggers(dag: &Dag) -> Vec<Trigger> {
    serde_json::from_value(dag.triggers.clone()).unwrap_or_default()
}

/// For the list: the schedule, and a word for each trigger.
pub(super) fn brief(dag: &Dag) -> Markup {
    let triggers = triggers(dag);
    html! {
        @if let Some(schedule) = &dag.schedule {
            code { (schedule) } @if !schedule.starts_with('@') { div.sub { (dag.timezone) } }
        }
        @for trigger in &triggers { div.clip { (one(trigger)) } }
        @if dag.schedule.is_none() && triggers.is_empty() { span.sub { "by hand" } }
    }
}

/// For the DAG's page: one line a cause.
pub(super) fn whole(dag: &Dag) -> Markup {
    let triggers = triggers(dag);
    html! {
        @if let Some(schedule) = &dag.schedule {
            span { "Starts by schedule " code { (schedule) } @if !schedule.starts_with('@') { " " (dag.timezone) } }
        }
        @for trigger in &triggers { span { "Starts " (one(trigger)) } }
        @if dag.schedule.is_none() && triggers.is_empty() { span { "Starts by hand" } }
    }
}

fn one(trigger: &Trigger) -> Markup {
    html! {
        @match trigger {
            Trigger::Dag(dag) => { "after " a href={ "/dags/" (encode(dag)) } { (dag) } " succeeded" },
            Trigger::Datasets { of, any } => {
                "once " @if *any && of.len() > 1 { "any of " }
                @for (index, dataset) in of.iter().enumerate() { @if index > 0 { ", " } code { (dataset) } }
                @if of.len() > 1 && !any { " were all published" } @else { " was published" }
            },
            Trigger::File { path, lake, .. } => { "for each " (if *lake { "object " } else { "file " }) code { (path) } },
            Trigger::Webhook { name, .. } => { "by requests to " code { "/hooks/" (name) } },
        }
    }
}
