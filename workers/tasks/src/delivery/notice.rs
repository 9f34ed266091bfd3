//! Short notices as mail.

use maud::html;
use warehouse::outbox::Notice;

use crate::letter::{Tone, card, light, page, pairs, paragraph, text, toned};

/// The HTML part.
pub(super) fn html(project: &str, notice: &Notice) -> String {
    let tone = match notice.severity.as_str() {
        "critical" | "high" => Tone::Bad,
        "medium" => Tone::Warn,
        _ => Tone::Quiet,
    };
    let body = card(
        None,
        &html! {
            div style="font-size:13px;font-weight:600;padding:0 0 8px;" { (toned(tone, &notice.severity)) }
            @for part in notice.text.split("\n\n") {
                div style="padding:0 0 10px;" { (paragraph(part)) }
            }
            @if !notice.why.is_empty() {
                ul.text style=(text(15, light::TEXT, "margin:0 0 12px;padding:0 0 0 20px;line-height:1.5;")) {
                    @for why in &notice.why { li { (why) } }
                }
            }
            @if !notice.fields.is_empty() { (pairs(&notice.fields)) }
            @if let Some(link) = &notice.link {
                p style="margin:16px 0 0;" {
                    a.accent href=(link)
                        style=(text(14, light::ACCENT, "font-weight:600;text-decoration:underline;")) { "Open in Sluice" }
                }
            }
        },
    );
    page(&notice.text, project, &notice.title, &body, "Sent by Sluice")
}

/// The plain part.
pub(super) fn plain(notice: &Notice) -> String {
    let heading = format!("[{}] {}", notice.severity, notice.title);
    let mut lines = vec![heading, String::new(), notice.text.clone(), String::new()];
    if !notice.why.is_empty() {
        lines.extend(notice.why.iter().map(|why| format!("- {why}")));
        lines.push(String::new());
    }
    lines.extend(notice.fields.iter().map(|(name, value)| format!("{name}: {value}")));
    lines.extend(notice.link.iter().map(|link| format!("\n{link}")));
    lines.push(String::new());
    lines.join("\n")
}
