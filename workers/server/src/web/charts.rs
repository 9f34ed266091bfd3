//! Charts of our own, as SVG without a style of their own: the style sheet colours them.

use chrono_tz::Tz;
use maud::{Markup, html};
use rust_decimal::prelude::ToPrimitive;

use super::format::{currency_sign, place};
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
