//! Tables, JSON and progress for people and for programs.

use std::io::{IsTerminal, Write};

use serde::Serialize;
use tracing_subscriber::EnvFilter;

/// Logs go to stderr; `SLUICE_LOG` sets how much (default: what someone should look at).
pub(crate) fn init_tracing() {
    let filter = EnvFilter::try_from_env("SLUICE_LOG")
        .unwrap_or_else(|_| EnvFilter::new("info,sqlx=error,apalis_core=warn,librdkafka=error"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
}

/// Prints a line. A reader who went away (`sluice ps | head`) ends the process quietly.
pub(crate) fn line(text: impl AsRef<str>) {
    let mut out = std::io::stdout().lock();
    if writeln!(out, "{}", text.as_ref()).is_err() {
        std::process::exit(0);
    }
}

/// Prints a value as indented JSON.
pub(crate) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    line(serde_json::to_string_pretty(value)?);
    Ok(())
}

/// Prints rows under headings, each column as wide as its widest cell. Numbers (cells that parse as one) align right.
pub(crate) fn table(headings: &[&str], rows: &[Vec<String>]) {
    let width = |column: usize| {
        rows.iter().map(|r| shown(&r[column])).chain([headings[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<_> = (0..headings.len()).map(width).collect();
    let numeric: Vec<_> = (0..headings.len())
        .map(|c| {
            !rows.is_empty()
                && rows.iter().all(|r| r[c].is_empty() || r[c].replace([',', '%'], "").parse::<f64>().is_ok())
        })
        .collect();
    let render = |cells: &[String]| {
        let cells: Vec<_> = cells
            .iter()
            .enumerate()
            .map(|(c, cell)| {
                let pad = " ".repeat(widths[c].saturating_sub(shown(cell)));
                if numeric[c] { format!("{pad}{cell}") } else { format!("{cell}{pad}") }
            })
            .collect();
        cells.join("  ").trim_end().to_owned()
    };
    let headings: Vec<_> = headings.iter().map(|h| h.to_uppercase()).collect();
    line(paint(&render(&headings), Style::Dim));
    for row in rows {
        line(render(row));
    }
}

/// How many characters of a cell are seen: colours are not.
fn shown(cell: &str) -> usize {
    let mut colours = cell.split("\x1b[");
    let plain = colours.next().map_or(0, |text| text.chars().count());
    plain + colours.map(|text| text.split_once('m').map_or(0, |(_, text)| text.chars().count())).sum::<usize>()
}

/// How a piece of text stands out, where the terminal can show it.
#[derive(Clone, Copy)]
pub(crate) enum Style {
    Bold,
    Dim,
    Good,
    Bad,
    Warn,
}

/// Colours `text` on a terminal; leaves it as it is elsewhere and where `NO_COLOR` is set.
pub(crate) fn paint(text: &str, style: Style) -> String {
    if !std::io::stdout().is_terminal() || std::env::var_os("NO_COLOR").is_some() {
        return text.to_owned();
    }
    let code = match style {
        Style::Bold => "1",
        Style::Dim => "2",
        Style::Good => "32",
        Style::Bad => "31",
        Style::Warn => "33",
    };
    format!("\x1b[{code}m{text}\x1b[0m")
}

/// A run's or task's state with a mark that does not depend on colour.
pub(crate) fn state(state: &str) -> String {
    match state {
        "success" => paint("✓ success", Style::Good),
        "failed" | "upstream_failed" => paint(&format!("✗ {state}"), Style::Bad),
        "running" => paint("▶ running", Style::Warn),
        "cancelled" | "skipped" => paint(&format!("– {state}"), Style::Dim),
        other => paint(&format!("· {other}"), Style::Dim),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_take_no_width() {
        assert_eq!(shown("\x1b[2m– skipped\x1b[0m"), shown("– skipped"));
        assert_eq!(shown("a\x1b[1mb\x1b[0mc"), 3);
        assert_eq!(shown(""), 0);
    }
}
