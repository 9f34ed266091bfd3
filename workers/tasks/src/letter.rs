//! How mails look: one column of cards that reads well in light and dark, on a phone and in clients that know
//! only tables and inline styles. The colours are the web page's.

use maud::{DOCTYPE, Markup, PreEscaped, html};

/// Text, quiet text, lines, the mail's ground, a card, and the one accent, in light.
pub(crate) mod light {
    pub(crate) const TEXT: &str = "#14191b";
    pub(crate) const QUIET: &str = "#5a666a";
    pub(crate) const LINE: &str = "#e3e7e8";
    pub(crate) const GROUND: &str = "#f1f4f4";
    pub(crate) const CARD: &str = "#ffffff";
    pub(crate) const ACCENT: &str = "#0b7285";
    pub(crate) const GOOD: &str = "#17803d";
    pub(crate) const BAD: &str = "#c92a2a";
    pub(crate) const WARN: &str = "#946000";
}

const SANS: &str = "-apple-system,'Segoe UI',Roboto,'Helvetica Neue','Noto Sans','Liberation Sans',Arial,sans-serif";

/// What inline styles cannot say: the dark theme, for clients that have one, and narrow screens.
const STYLE: &str = "
:root { color-scheme: light dark; supported-color-schemes: light dark; }
.night { display: none; }
@media (prefers-color-scheme: dark) {
  .ground { background: #0d1112 !important; }
  .card { background: #141a1c !important; border-color: #252e31 !important; }
  .text { color: #e9eeef !important; }
  .quiet { color: #a7b3b7 !important; }
  .line { border-color: #252e31 !important; }
  .accent { color: #7fd3e1 !important; }
  .good { color: #4cc47a !important; }
  .bad { color: #ff7b7b !important; }
  .warn { color: #e7b34c !important; }
  .day { display: none !important; }
  .night { display: block !important; }
}
@media (max-width: 520px) {
  .figure { display: block !important; width: auto !important; padding: 0 0 14px !important; }
  .pad { padding: 18px !important; }
  .wide { display: none !important; }
}
";

/// A whole mail: what a list of mails shows after the subject, the line above the title, the title, the cards,
/// and the line at the foot.
pub(crate) fn page(preview: &str, kicker: &str, title: &str, body: &Markup, foot: &str) -> String {
    let ground = format!("margin:0;padding:0;background:{};", light::GROUND);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="supported-color-schemes" content="light dark";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body.ground style=(ground) {
                div style="display:none;max-height:0;overflow:hidden;opacity:0;" { (preview) }
                table.ground role="presentation" width="100%" cellpadding="0" cellspacing="0"
                    style=(format!("background:{};font-family:{SANS};", light::GROUND)) {
                    tr { td align="center" style="padding:28px 12px 36px;" {
                        table role="presentation" width="640" cellpadding="0" cellspacing="0"
                            style="width:100%;max-width:640px;" {
                            tr { td style="padding:0 4px 18px;" {
                                div.accent style=(text(13, light::ACCENT, "font-weight:600;letter-spacing:.02em;")) {
                                    (kicker)
                                }
                                h1.text style=(text(26, light::TEXT, "margin:4px 0 0;font-weight:650;line-height:1.2;letter-spacing:-.01em;")) {
                                    (title)
                                }
                            } }
                            (body)
                            tr { td.quiet style=(text(12, light::QUIET, "padding:8px 4px 0;line-height:1.5;")) { (foot) } }
                        }
                    } }
                }
            }
        }
    };
    page.into_string()
}

/// A card, with a heading if it has one.
pub(crate) fn card(heading: Option<&str>, body: &Markup) -> Markup {
    let style =
        format!("background:{};border:1px solid {};border-radius:12px;padding:22px 24px;", light::CARD, light::LINE);
    html! {
        tr { td style="padding:0 0 14px;" {
            table role="presentation" width="100%" cellpadding="0" cellspacing="0" {
                tr { td.card.pad style=(style) {
                    @if let Some(heading) = heading {
                        h2.text style=(text(15, light::TEXT, "margin:0 0 14px;font-weight:650;")) { (heading) }
                    }
                    (body)
                } }
            }
        } }
    }
}

/// Rows of cells under headings. The first column is text and takes the room; the others are figures.
pub(crate) fn figures(headings: &[&str], rows: &[Vec<Markup>]) -> Markup {
    let line = format!("border-bottom:1px solid {};", light::LINE);
    let align = |column: usize| if column == 0 { "left" } else { "right" };
    let pad = |column: usize| if column == 0 { "0" } else { "14px" };
    html! {
        table role="presentation" width="100%" cellpadding="0" cellspacing="0" style="border-collapse:collapse;" {
            tr {
                @for (column, heading) in headings.iter().enumerate() {
                    th.quiet.line align=(align(column))
                        style=(text(12, light::QUIET, &format!("font-weight:500;padding:0 0 7px {};white-space:nowrap;{line}", pad(column)))) {
                        (heading)
                    }
                }
            }
            @for (place, row) in rows.iter().enumerate() {
                tr {
                    @for (column, cell) in row.iter().enumerate() {
                        @let under = if place + 1 == rows.len() { "" } else { line.as_str() };
                        td.text.line align=(align(column)) valign="top"
                            style=(text(14, light::TEXT, &format!("padding:8px 0 8px {};font-variant-numeric:tabular-nums;line-height:1.35;{under}", pad(column)))) {
                            (cell)
                        }
                    }
                }
            }
        }
    }
}

/// Names and what they are, one pair a row.
pub(crate) fn pairs(pairs: &[(String, String)]) -> Markup {
    html! {
        table role="presentation" width="100%" cellpadding="0" cellspacing="0" style="border-collapse:collapse;" {
            @for (name, value) in pairs {
                tr {
                    td.quiet valign="top"
                        style=(text(14, light::QUIET, "padding:5px 16px 5px 0;white-space:nowrap;line-height:1.4;")) { (name) }
                    td.text width="100%" valign="top"
                        style=(text(14, light::TEXT, "padding:5px 0;line-height:1.4;font-variant-numeric:tabular-nums;")) { (value) }
                }
            }
        }
    }
}

/// How good a word is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Good,
    Bad,
    Warn,
    Quiet,
}

/// Words in a tone.
pub(crate) fn toned(tone: Tone, words: &str) -> Markup {
    let (class, colour) = match tone {
        Tone::Good => ("good", light::GOOD),
        Tone::Bad => ("bad", light::BAD),
        Tone::Warn => ("warn", light::WARN),
        Tone::Quiet => ("quiet", light::QUIET),
    };
    html! { span class=(class) style=(format!("color:{colour};")) { (words) } }
}

/// A paragraph.
pub(crate) fn paragraph(words: &str) -> Markup {
    html! { p.text style=(text(15, light::TEXT, "margin:0;line-height:1.5;")) { (words) } }
}

/// An inline style: size in pixels, colour, and the rest.
pub(crate) fn text(size: u8, colour: &str, rest: &str) -> String {
    format!("font-size:{size}px;color:{colour};{rest}")
}
