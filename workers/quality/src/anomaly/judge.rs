//! One point against those before it.

use chrono::{Datelike, NaiveDate, Weekday};
use serde_json::{Value, json};

use super::{Calendar, Direction, Metric, Rule, Season};
use crate::{Outcome, profile::number};

/// A number of one batch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// The day that its data is of.
    pub day: NaiveDate,
    /// The number.
    pub value: f64,
}

/// What became of a point.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// Failed: it is an anomaly. Vacuous: it was not judged.
    pub outcome: Outcome,
    /// One sentence with the numbers.
    pub reason: String,
    /// The median of the baseline; none where it was not judged.
    pub median: Option<f64>,
    /// How far the point may be from it.
    pub tolerance: Option<f64>,
    /// The numbers, for machines.
    pub observed: Value,
}

/// A relative distance that is never an anomaly while a series stands still: one that has not moved yet says nothing of how
/// far it may.
const STILL: f64 = 0.01;

/// The expected MAD of normal noise with a standard deviation of 1.
const NORMAL_MAD: f64 = 0.674_489_75;

/// The mean distance of normal noise from its middle, for the same.
const NORMAL_MEAN_DISTANCE: f64 = 0.797_884_56;

/// Few points tell little of the spread; the limit is wider by this part of their number. With 28 points normal noise is then
/// beyond the default limit once in 1,600, with 14 once in 500; with eight weeks of days once in 1,000.
const FEW: f64 = 6.0;

impl Rule {
    /// Judges `tested` by those of `before` that are alike, the last of them first. `rows` is how many rows the number is
    /// of; a share of few rows moves by chance.
    ///
    /// The spread is the median absolute deviation (Hampel, 1974), with a season that of all weekdays from their own medians, in
    /// proportion to them: a day has too few of its like to tell how far days usually are from the rule. Where more than half
    /// of the points are the same it is 0; then the mean distance takes its place (Iglewicz and Hoaglin, 1993). Neither is
    /// taken to be less than 1 % of the median, nor, of a share, less than chance alone makes it.
    pub fn judge(&self, tested: Point, rows: u64, before: &[Point], calendar: &Calendar) -> Judgement {
        let told = self.told(tested.value);
        if let Some(event) = calendar.event(tested.day) {
            return unjudged(tested, format!("{told}; not judged: {} is {}", tested.day, event.name));
        }
        let usual = |point: &&Point| calendar.event(point.day).is_none() && point.value.is_finite();
        let usual: Vec<Point> = before.iter().filter(usual).copied().collect();
        let of = |day: Weekday| {
            let alike = usual.iter().filter(|point| self.season == Season::None || point.day.weekday() == day);
            alike.take(self.window).map(|point| point.value).collect::<Vec<f64>>()
        };
        let values = of(tested.day.weekday());
        let count = values.len();
        if count < self.minimum || count == 0 {
            let those = self.those(tested.day, count);
            let reason = format!("{told}; not judged: {those} before it, {} are needed", self.minimum);
            return unjudged(tested, reason);
        }
        let median = median(&values);
        let mut distances: Vec<f64> = values.iter().map(|value| (value - median).abs()).collect();
        // The median of few days is itself some way from where it should be.
        let mut few = 1.0;
        if self.season == Season::Weekday {
            few += 1.0 / count as f64;
            for day in std::iter::successors(Some(tested.day.weekday().succ()), |day| Some(day.succ())).take(6) {
                distances.extend(in_proportion(&of(day), median, self.minimum));
            }
        }
        let (spread, how) = self.spread(&distances, median, rows);
        let limit = self.sensitivity * few * (1.0 + FEW / distances.len() as f64);
        let tolerance = limit * spread;
        let away = tested.value - median;
        let wrong_side = match self.direction {
            Direction::Up => away > 0.0,
            Direction::Down => away < 0.0,
            Direction::Both => true,
        };
        let odd = wrong_side && away.abs() > tolerance;
        let distance = if spread > 0.0 { Some(away.abs() / spread) } else { None };
        let side = if away < 0.0 { "below" } else { "above" };
        let far = match distance {
            _ if away == 0.0 => "just that".to_owned(),
            Some(distance) => format!("{distance:.1} {side}"),
            None => format!("{side}, and none ever was"),
        };
        let those = self.those(tested.day, count);
        let reason =
            format!("{told}; the median of {those} is {}, {how}, limit {}: {far}", self.figure(median), number(limit));
        Judgement {
            outcome: if odd { Outcome::Failed } else { Outcome::Passed },
            observed: json!({
                "observed_value": tested.value,
                "reason": reason,
                "day": tested.day,
                "median": median,
                "spread": spread,
                "distance": distance,
                "limit": limit,
                "points": count,
                "low": if self.direction == Direction::Up { None } else { Some(median - tolerance) },
                "high": if self.direction == Direction::Down { None } else { Some(median + tolerance) },
            }),
            reason,
            median: Some(median),
            tolerance: Some(tolerance),
        }
    }

    /// How far values usually are from their median, and in words how that was told.
    fn spread(&self, distances: &[f64], median: f64, rows: u64) -> (f64, String) {
        let mad = self::median(distances);
        let mut found = (mad, format!("MAD {}", self.figure(mad)));
        if mad == 0.0 {
            let mean = distances.iter().sum::<f64>() / distances.len() as f64 * (NORMAL_MAD / NORMAL_MEAN_DISTANCE);
            if mean > 0.0 {
                found = (mean, format!("MAD 0, by the mean distance {}", self.figure(mean)));
            }
        }
        let still = STILL * median.abs();
        if still > found.0 {
            found = (still, format!("{}, taken as 1 % of the median, {}", found.1, self.figure(still)));
        }
        if self.is_share() && rows > 0 {
            // As if at least one row were expected: no share of no row is known to be 0.
            let chance = NORMAL_MAD * (median.abs() * rows as f64).max(1.0).sqrt() / rows as f64;
            if chance > found.0 {
                found = (chance, format!("{}, taken as that of chance, {}", found.1, self.figure(chance)));
            }
        }
        found
    }

    /// `row_count 120`.
    fn told(&self, value: f64) -> String {
        format!("{} {}", self.subject(), self.figure(value))
    }

    /// `28 Fridays`, `14 batches`.
    fn those(&self, day: NaiveDate, count: usize) -> String {
        let one = match self.season {
            Season::None => "batch",
            Season::Weekday => day_name(day),
        };
        match (count, self.season) {
            (1, _) => format!("1 {one}"),
            (_, Season::None) => format!("{count} {one}es"),
            (_, Season::Weekday) => format!("{count} {one}s"),
        }
    }

    /// A number of this metric for people: a share in percent.
    pub fn figure(&self, value: f64) -> String {
        match &self.metric {
            Metric::Batch(_) | Metric::Column { .. } if self.is_share() => format!("{} %", number(value * 100.0)),
            _ => number(value),
        }
    }
}

/// How far the values of another day of the week are from their median, as if that were `of`. Of too few values nothing is told.
fn in_proportion(values: &[f64], of: f64, minimum: usize) -> Vec<f64> {
    if values.len() < minimum {
        return Vec::new();
    }
    let median = median(values);
    let scale = if median == 0.0 || of == 0.0 { 1.0 } else { (of / median).abs() };
    values.iter().map(|value| (value - median).abs() * scale).collect()
}

fn unjudged(tested: Point, reason: String) -> Judgement {
    let observed = json!({ "observed_value": tested.value, "reason": reason, "day": tested.day });
    Judgement { outcome: Outcome::Vacuous, reason, median: None, tolerance: None, observed }
}

fn day_name(day: NaiveDate) -> &'static str {
    ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
        .get(day.weekday().num_days_from_monday() as usize)
        .copied()
        .unwrap_or("day")
}

/// The middle value; of an even number of values the mean of both.
fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match (sorted.get(middle), sorted.len() % 2) {
        (None, _) => 0.0,
        (Some(upper), 1) => *upper,
        (Some(upper), _) => sorted[middle - 1].midpoint(*upper),
    }
}
