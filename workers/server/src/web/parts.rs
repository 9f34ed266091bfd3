//! Small pieces that pages are made of.

use maud::{Markup, PreEscaped, Render, html};
use warehouse::runs::Why;

/// How a state looks: its tone (a class of the style sheet), its words, its sign. Colour never stands alone.
pub(super) struct Look {
    pub(super) tone: &'static str,
    pub(super) label: String,
    icon: &'static str,
}

const CHECK: &str = r#"<path d="M3.5 8.5l3 3 6-7"/>"#;
const CROSS: &str = r#"<path d="M4.5 4.5l7 7m0-7l-7 7"/>"#;
const PLAY: &str = r#"<path class="spin" d="M8 2.5a5.5 5.5 0 1 1-5.5 5.5"/>"#;
const CLOCK: &str = r#"<circle cx="8" cy="8" r="5.5"/><path d="M8 5v3l2 1.5"/>"#;
const RING: &str = r#"<circle cx="8" cy="8" r="4.5" stroke-dasharray="2.4 2.3"/>"#;
const DASH: &str = r#"<path d="M4 8h8"/>"#;
const BAR: &str = r#"<circle cx="8" cy="8" r="5.5"/><path d="M4.5 11.5l7-7"/>"#;
const BANG: &str = r#"<path d="M8 3.5v5.5M8 12v.200"/>"#;

/// How any state of the platform looks.
pub(super) fn look(state: &str) -> Look {
    let (tone, icon) = match state {
        "success" | "passed" | "delivered" | "closed" | "balanced" | "replayed" => ("ok", CHECK),
        "failed" | "timed_out" | "lost" | "errored" | "unbalanced" => ("bad", CROSS),
        "critical" | "high" => ("bad", BANG),
        "running" | "sending" => ("run", PLAY),
        "queued" | "pending" | "retrying" => ("wait", CLOCK),
        "warned" | "quarantined" | "medium" | "late" | "open" | "warn" => ("warn", BANG),
        "upstream_failed" | "malformed" | "rejected" => ("block", BAR),
        "cancelled" | "skipped" | "unchecked" | "vacuous" | "low" => ("idle", DASH),
        _ => ("idle", RING),
    };
    let mut label = state.replace('_', " ");
    if let Some(first) = label.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    Look { tone, label, icon }
}

/// A state's sign.
pub(super) fn sign(state: &str) -> Markup {
    let look = look(state);
    html! { span class={ "sign " (look.tone) } { (stroke(look.icon)) } }
}

/// A state as a pill with sign and words.
pub(super) fn badge(state: &str) -> Markup {
    let look = look(state);
    html! { span class={ "badge " (look.tone) } { (stroke(look.icon)) (look.label) } }
}

/// An answer to "why is that so?", of what `about` names.
pub(super) fn answer(why: &Why, about: Markup) -> Markup {
    html! {
        (sign(&why.state))
        div.grow {
            p { (about) " · " (why.because) }
            @for fact in &why.facts { p.sub { (fact) } }
            @if let Some(hint) = &why.hint { p.sub.hint { (hint) } }
        }
    }
}

/// The strokes of a state's sign, for use inside a larger SVG.
pub(super) fn sign_strokes(state: &str) -> PreEscaped<&'static str> {
    PreEscaped(look(state).icon)
}

fn stroke(paths: &'static str) -> Markup {
    html! {
        svg.icon viewBox="0 0 16 16" aria-hidden="true" { (PreEscaped(paths)) }
    }
}

/// An icon of the navigation.
pub(super) fn icon(name: &str) -> Markup {
    stroke(match name {
        "overview" => r#"<path d="M2.5 13.5v-4M6.2 13.5v-8M9.8 13.5V7.5M13.5 13.5v-11"/>"#,
        "dags" => {
            r#"<circle cx="3.5" cy="8" r="1.7"/><circle cx="12.5" cy="3.8" r="1.7"/><circle cx="12.5" cy="12.2" r="1.7"/><path d="M5 7.2l5.8-2.7M5 8.8l5.8 2.7"/>"#
        }
        "runs" => r#"<path d="M5 3.2v9.6l7.5-4.8z"/>"#,
        "quality" => {
            r#"<path d="M8 1.8l5.2 2v4c0 3.2-2.2 5.4-5.2 6.4-3-1-5.2-3.2-5.2-6.4v-4z"/><path d="M5.7 8l1.7 1.7 3-3.4"/>"#
        }
        "alerts" => {
            r#"<path d="M4 6.5a4 4 0 0 1 8 0c0 4 1.5 5 1.5 5h-11S4 10.5 4 6.5zM6.7 13.5a1.5 1.5 0 0 0 2.6 0"/>"#
        }
        "streams" => r#"<path d="M1.5 5c2-2 4-2 6.5 0s4.5 2 6.5 0M1.5 11c2-2 4-2 6.5 0s4.5 2 6.5 0"/>"#,
        "deliveries" => r#"<rect x="1.8" y="3.5" width="12.4" height="9" rx="1.5"/><path d="M2.2 4.5L8 9l5.8-4.5"/>"#,
        "arrow" => r#"<path d="M3 8h9.5M9 4.5L12.5 8 9 11.5"/>"#,
        _ => RING,
    })
}

/// What a list says when it has no rows: why, and what to do.
pub(super) fn empty(title: &str, text: &str, command: Option<&str>) -> Markup {
    html! {
        div.empty {
            p.empty-title { (title) }
            p { (text) }
            @if let Some(command) = command { pre.command { code { (command) } } }
        }
    }
}

/// A headline figure. The note below says what it is compared with, or since when it counts.
pub(super) fn figure(label: &str, value: impl Render, note: impl Render) -> Markup {
    html! {
        div.card.figure {
            div.label { (label) }
            div.value { (value) }
            div.note { (note) }
        }
    }
}

/// A card with a heading and, at its right, a link or a note.
pub(super) fn card(title: &str, aside: impl Render, body: impl Render) -> Markup {
    html! {
        section.card {
            header.card-head { h2 { (title) } div.aside { (aside) } }
            (body)
        }
    }
}

/// A bar that fills `share` (0 to 1) of its width.
pub(super) fn bar(share: f64, tone: &str) -> Markup {
    html! {
        svg class={ "bar " (tone) } aria-hidden="true" {
            rect.track width="100%" height="100%" rx="3" {}
            rect.fill width={ (super::format::place((share.clamp(0.0, 1.0) * 100.0).max(0.5))) "%" } height="100%" rx="3" {}
        }
    }
}

/// Squares of past outcomes, oldest first.
pub(super) fn strip<'a>(states: impl IntoIterator<Item = &'a str>) -> Markup {
    html! {
        span.strip {
            @for state in states { @let look = look(state); span class={ "cell " (look.tone) } title=(look.label) {} }
        }
    }
}

/// The link to the next page of a list.
pub(super) fn pager(next: Option<&String>, address: &str) -> Markup {
    let join = if address.contains('?') { '&' } else { '?' };
    html! {
        @if let Some(cursor) = next {
            nav.pager { a.button href={ (address) (join) "cursor=" (super::format::encode(cursor)) } { "Older" (icon("arrow")) } }
        }
    }
}

/// Links that narrow a list, the chosen one marked.
pub(super) fn filters(name: &str, address: &str, chosen: Option<&str>, values: &[&str]) -> Markup {
    html! {
        nav.filters aria-label={ "Filter by " (name) } {
            a href=(address) aria-current=[chosen.is_none().then_some("true")] { "All" }
            @for value in values {
                a href={ (address) "?" (name) "=" (super::format::encode(value)) }
                    aria-current=[(chosen == Some(value)).then_some("true")] { (look(value).label) }
            }
        }
    }
}
