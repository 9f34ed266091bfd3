//! Charts of our own, as SVG without a style of their own: the style sheet colours them.

use chrono::NaiveDate;
use chrono_tz::Tz;
use maud::{Markup, html};
use rust_decimal::prelude::ToPrimitive;

use super::format::{currency_sign, number, place};
use crate::store::{
    board::Minute,
    runs::{Attempt, Task},
};

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 250.0;
const LEFT: f64 = 56.0;
const BOTTOM: f64 = 24.0;
const TOP: f64 = 10.0;
const RIGHT: f64 = 8.0;

/// Revenue by minute as an area with a line, three lines of a grid, and times below.
pub(super) fn minutes(minutes: &[Minute], currency: &str, zone: Tz) -> Markup {
    let values: Vec<f64> = minutes.iter().map(|minute| minute.revenue.to_f64().unwrap_or(0.0)).collect();
    let ceiling = nice_ceiling(values.iter().copied().fold(0.0, f64::max));
    let step = (WIDTH - LEFT - RIGHT) / (values.len().max(2) - 1) as f64;
    let x = |index: usize| LEFT + index as f64 * step;
    let y = |value: f64| TOP + (HEIGHT - TOP - BOTTOM) * (1.0 - value / ceiling);
    let points: Vec<String> =
        values.iter().enumerate().map(|(index, value)| format!("{} {}", place(x(index)), place(y(*value)))).collect();
    let line = format!("M{}", points.join("L"));
    // The minute that still runs is drawn apart: it looks like a fall and is none.
    let (whole, running) = points.split_at(points.len().saturating_sub(1));
    let last_whole = whole.last().map_or("0 0", String::as_str);
    let area =
        format!("{line}L{} {}L{} {}Z", place(x(values.len().max(1) - 1)), place(y(0.0)), place(LEFT), place(y(0.0)));
    html! {
        svg.chart viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-label="Revenue of each of the last 60 minutes" {
            @for part in [0.0, 0.5, 1.0] {
                line.grid x1=(LEFT) x2=(WIDTH - RIGHT) y1=(place(y(ceiling * part))) y2=(place(y(ceiling * part))) {}
                text.tick.end x=(LEFT - 8.0) y=(place(y(ceiling * part) + 4.0)) { (short_money(ceiling * part, currency)) }
            }
            path.area d=(area) {}
            path.line d={ "M" (whole.join("L")) } {}
            path.line.running d={ "M" (last_whole) "L" (running.join("L")) } {}
            @for (index, minute) in minutes.iter().enumerate() {
                @if index % 15 == 14 || index == 0 {
                    text.tick.middle[index != 0 && index + 1 != minutes.len()] .end[index + 1 == minutes.len()]
                        x=(place(x(index))) y=(HEIGHT - 6.0) { (minute.minute.with_timezone(&zone).format("%H:%M")) }
                }
            }
            @if let Some(last) = values.last() {
                circle.dot cx=(place(x(values.len() - 1))) cy=(place(y(*last))) r="3.5" {}
            }
        }
    }
}

/// The least round number that is not below `value`.
fn nice_ceiling(value: f64) -> f64 {
    if value <= 0.0 {
        return 100.0;
    }
    let power = 10_f64.powf(value.log10().floor());
    [1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0]
        .into_iter()
        .map(|step| step * power)
        .find(|top| *top >= value)
        .unwrap_or(value)
}

fn short_money(value: f64, currency: &str) -> String {
    let sign = currency_sign(currency);
    if value >= 1_000.0 { format!("{sign}{}k", place(value / 1000.0)) } else { format!("{sign}{}", place(value)) }
}

/// The number of one batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    pub(super) day: NaiveDate,
    pub(super) value: f64,
    /// Its gate refused it.
    pub(super) refused: bool,
}

/// A number from batch to batch, with the least and the greatest written beside it, and behind its end the band in which it
/// was expected; a side of the band that is open has no bound.
pub(super) fn trend(title: &str, marks: &[Mark], band: Option<(Option<f64>, Option<f64>)>, is_share: bool) -> Markup {
    const WIDE: f64 = 320.0;
    const HIGH: f64 = 96.0;
    const LEFT: f64 = 46.0;
    const BOTTOM: f64 = 16.0;
    const TOP: f64 = 8.0;
    const RIGHT: f64 = 8.0;
    let values = marks.iter().map(|mark| mark.value);
    let (least, most) = (values.clone().fold(f64::INFINITY, f64::min), values.fold(f64::NEG_INFINITY, f64::max));
    let room = if most > least { (most - least) * 0.08 } else { most.abs().max(1.0) * 0.08 };
    let (floor, ceiling) = (if least >= 0.0 { (least - room).max(0.0) } else { least - room }, most + room);
    let x = |index: usize| LEFT + index as f64 * (WIDE - LEFT - RIGHT) / (marks.len().max(2) - 1) as f64;
    let y =
        |value: f64| TOP + (HIGH - TOP - BOTTOM) * (1.0 - (value.clamp(floor, ceiling) - floor) / (ceiling - floor));
    let points: Vec<String> =
        marks.iter().enumerate().map(|(index, mark)| format!("{} {}", place(x(index)), place(y(mark.value)))).collect();
    let write = |value: f64| if is_share { format!("{} %", number(value * 100.0)) } else { number(value) };
    // Beside the axis there is room for six characters.
    let tick = |value: f64| match value.abs() {
        _ if is_share => write(value),
        size if size >= 999_500.0 => format!("{}M", number((value / 1e5).round() / 10.0)),
        size if size >= 10_000.0 => format!("{}k", number((value / 1e3).round())),
        _ => number(value),
    };
    html! {
        svg.trend-chart viewBox={ "0 0 " (WIDE) " " (HIGH) } role="img" aria-label={ (title) ", batch by batch" } {
            @if let Some((low, high)) = band.filter(|(low, high)| low.is_some() || high.is_some()) {
                @let (from, to) = (y(high.unwrap_or(ceiling)), y(low.unwrap_or(floor)));
                rect.band x=(place(x(marks.len().saturating_sub(1)) - 7.0)) y=(place(from)) width="14" height=(place((to - from).max(1.0))) rx="2" {}
            }
            @for value in if most > least { vec![least, most] } else { vec![least] } {
                line.grid x1=(LEFT) x2=(WIDE - RIGHT) y1=(place(y(value))) y2=(place(y(value))) {}
                text.tick.end x=(LEFT - 6.0) y=(place(y(value) + 4.0)) { (tick(value)) }
            }
            path.line d={ "M" (points.join("L")) } {}
            @for (index, mark) in marks.iter().enumerate() {
                @if mark.refused || index + 1 == marks.len() {
                    circle.dot.refused[mark.refused] cx=(place(x(index))) cy=(place(y(mark.value))) r="3" {
                        title { (mark.day) ": " (write(mark.value)) @if mark.refused { ", refused" } }
                    }
                }
            }
            @if let (Some(first), Some(last)) = (marks.first(), marks.last()) {
                text.tick x=(LEFT) y=(HIGH - 3.0) { (first.day.format("%-d %b")) }
                text.tick.end x=(WIDE - RIGHT) y=(HIGH - 3.0) { (last.day.format("%-d %b")) }
            }
        }
    }
}

/// A line of a few pixels, for a cell of a table; nothing where there are no two values.
pub(super) fn line(values: &[f64]) -> Markup {
    const WIDE: f64 = 72.0;
    const HIGH: f64 = 18.0;
    let (least, most) = values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, m), v| (l.min(*v), m.max(*v)));
    let at = |(index, value): (usize, &f64)| {
        let x = 1.0 + index as f64 * (WIDE - 2.0) / (values.len().max(2) - 1) as f64;
        let y = if most > least { 2.0 + (HIGH - 4.0) * (most - value) / (most - least) } else { HIGH / 2.0 };
        format!("{} {}", place(x), place(y))
    };
    html! {
        @if values.len() > 1 {
            svg.sparkline viewBox={ "0 0 " (WIDE) " " (HIGH) } width=(WIDE) height=(HIGH) aria-hidden="true" {
                path.line d={ "M" (values.iter().enumerate().map(at).collect::<Vec<_>>().join("L")) } {}
            }
        }
    }
}

/// One row of a run's time line: the wait in the queue faint, then each attempt in the colour of its end.
/// `start` and `end` are the run's, in seconds since the epoch.
pub(super) fn lane(task: &Task, attempts: &[&Attempt], start: f64, end: f64) -> Markup {
    let span = (end - start).max(0.001);
    let at = |time: chrono::DateTime<chrono::Utc>| {
        let seconds = time.timestamp_micros() as f64 / 1e6;
        ((seconds - start) / span * 100.0).clamp(0.0, 100.0)
    };
    let now = chrono::Utc::now();
    let queued = task.queued_at.map(at);
    html! {
        svg.lane aria-hidden="true" {
            @if let (Some(queued), Some(first)) = (queued, attempts.first()) {
                @let begin = at(first.queued_at).min(queued);
                rect.waited x={ (place(begin)) "%" } y="9" width={ (place((at(first.started_at) - begin).max(0.0))) "%" } height="2" {}
            }
            @for attempt in attempts {
                @let (from, to) = (at(attempt.started_at), at(attempt.finished_at.unwrap_or(now)));
                rect .{ "span " (super::parts::look(&attempt.state).tone) } x={ (place(from.min(99.4))) "%" } y="4"
                    width={ (place((to - from).max(0.6))) "%" } height="12" rx="2" {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_axis_ends_on_a_round_number() {
        for (value, top) in [(0.0, 100.0), (7.0, 8.0), (104.0, 150.0), (2_400.0, 3_000.0), (5_000.0, 5_000.0)] {
            assert!((nice_ceiling(value) - top).abs() < 1e-9, "{value} → {}", nice_ceiling(value));
        }
    }
}
