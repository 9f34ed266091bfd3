//! When a DAG fires, and which data each run is about.
//!
//! The logical time of a scheduled run is the instant at which its schedule fired; its data interval is
//! `[previous fire, logical time)`. Cron expressions are read in the DAG's time zone: a time of day that a clock
//! change skips fires once, at the first instant after the gap, and one that comes twice fires once, the first
//! time round. An expression with a wildcard minute or hour keeps its rhythm through the change.

use std::str::FromStr;

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, TimeZone, Timelike, Utc};
use chrono_tz::Tz;
use croner::Cron;
use serde::{Deserialize, Serialize};

use crate::{kind::DataInterval, span::Span};

/// What makes a schedule fire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Timing {
    /// A cron expression of five fields, or of six with seconds first.
    Cron(String),
    /// A fixed length of time, counted from the start date or from 1970.
    Every(Span),
    /// Once, when the DAG is first deployed.
    Once,
}

/// When a run should have ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deadline {
    /// The next time that local clocks show this time of day after the fire.
    At(NaiveTime),
    /// So long after the fire.
    Within(Span),
}

impl Deadline {
    /// Reads `08:00`, `08:00:30` or a length of time such as `2h`.
    pub fn parse(text: &str) -> Option<Self> {
        let time = NaiveTime::parse_from_str(text, "%H:%M").or_else(|_| NaiveTime::parse_from_str(text, "%H:%M:%S"));
        time.map(Self::At).or_else(|_| text.parse().map(Self::Within)).ok()
    }

    /// The instant that it means for a fire.
    pub fn after(self, fire: DateTime<Utc>, timezone: Tz) -> Option<DateTime<Utc>> {
        match self {
            Self::Within(span) => fire.checked_add_signed(TimeDelta::from_std(span.0).ok()?),
            Self::At(time) => {
                let today = fire.with_timezone(&timezone).date_naive();
                today
                    .iter_days()
                    .take(3)
                    .find_map(|day| instant_of(timezone, day.and_time(time)).filter(|at| *at > fire))
            }
        }
    }
}

impl std::fmt::Display for Deadline {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::At(time) => write!(out, "{}", time.format("%H:%M")),
            Self::Within(span) => write!(out, "{span} after its time"),
        }
    }
}

/// A checked schedule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// What makes it fire.
    pub timing: Timing,
    /// Where its times of day are read.
    pub timezone: Tz,
    /// Whether fires that were missed are made up for, one run each; else only the latest is.
    pub catchup: bool,
    /// When a run should have ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Deadline>,
    /// No fire before this instant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<DateTime<Utc>>,
    /// No fire at or after this instant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<DateTime<Utc>>,
}

/// The named expressions that cron users know.
const NAMED: [(&str, &str); 7] = [
    ("@hourly", "0 * * * *"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@weekly", "0 0 * * 0"),
    ("@monthly", "0 0 1 * *"),
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
];

impl Timing {
    /// Reads a cron expression, `@daily` and its like, or `@once`. The error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text == "@once" {
            return Ok(Self::Once);
        }
        if text.starts_with('@') {
            return match NAMED.iter().find(|(name, _)| *name == text) {
                Some((_, cron)) => Ok(Self::Cron((*cron).to_owned())),
                None => Err(format!("`{text}` is not a schedule")),
            };
        }
        let fields = text.split_whitespace().count();
        if !(5..=6).contains(&fields) {
            return Err(format!("`{text}` has {fields} fields, a cron expression has 5, or 6 with seconds first"));
        }
        let cron = Cron::from_str(text).map_err(|error| {
            let error = error.to_string();
            let reason = error.trim_start_matches("Component error: ").trim_start_matches("Invalid pattern: ");
            format!("`{text}` is not a cron expression: {}", reason.trim_end_matches('.'))
        })?;
        // From a fixed instant, so that the same file is always judged alike.
        let from = DateTime::<Utc>::UNIX_EPOCH + TimeDelta::days(20_000);
        if cron.find_next_occurrence(&from, false).is_err() {
            return Err(format!("`{text}` never fires"));
        }
        Ok(Self::Cron(text.to_owned()))
    }

    /// The names that [`Timing::parse`] knows, for hints.
    pub fn names() -> impl Iterator<Item = &'static str> + Clone {
        NAMED.iter().map(|(name, _)| *name).chain(["@once"])
    }
}

impl std::fmt::Display for Timing {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Cron(text) => out.write_str(text),
            Self::Every(span) => write!(out, "every {span}"),
            Self::Once => out.write_str("@once"),
        }
    }
}

impl Schedule {
    /// A schedule of one rule and nothing else.
    pub fn new(timing: Timing, timezone: Tz) -> Self {
        Self { timing, timezone, catchup: false, deadline: None, start: None, end: None }
    }

    /// The first fire strictly after `t`, within start and end. `None` for one that fires no more, and for
    /// `@once` without a start date, which fires when it is deployed.
    pub fn next_after(&self, t: DateTime<Utc>) -> Option<DateTime<Utc>> {
        // A fire exactly at the start counts.
        let from = match self.start {
            Some(start) if t < start => start - TimeDelta::microseconds(1),
            _ => t,
        };
        let next = match &self.timing {
            Timing::Cron(text) => self.cron(text, from, croner::Direction::Forward),
            Timing::Every(span) => self.every(*span, from, 1),
            Timing::Once => self.start.filter(|start| *start > t),
        };
        next.filter(|next| self.end.is_none_or(|end| *next < end))
    }

    /// The last fire strictly before `t`, whatever start and end say: a first run has a data interval too.
    pub fn previous_before(&self, t: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match &self.timing {
            Timing::Cron(text) => self.cron(text, t, croner::Direction::Backward),
            Timing::Every(span) => self.every(*span, t, -1),
            Timing::Once => None,
        }
    }

    /// The data that a run of this logical time is about: from the fire before it up to it. For `@once`, the
    /// day before.
    pub fn interval(&self, logical_time: DateTime<Utc>) -> DataInterval {
        let start = self.previous_before(logical_time).unwrap_or(logical_time - TimeDelta::days(1));
        DataInterval { start, end: logical_time }
    }

    /// The fires from the local day `from` to the local day `to`, both included, in order.
    pub fn fires_on(&self, from: NaiveDate, to: NaiveDate) -> Vec<DateTime<Utc>> {
        let start = start_of_day(self.timezone, from);
        let end = to.succ_opt().map_or(start, |day| start_of_day(self.timezone, day));
        // A backfill may reach behind the start date: it is asked for by name.
        let unbounded = Self { start: None, end: None, ..self.clone() };
        let mut fires = Vec::new();
        let mut at = start - TimeDelta::microseconds(1);
        while let Some(next) = unbounded.next_after(at).filter(|next| *next < end) {
            fires.push(next);
            at = next;
        }
        fires
    }

    fn cron(&self, text: &str, from: DateTime<Utc>, direction: croner::Direction) -> Option<DateTime<Utc>> {
        let cron = Cron::from_str(text).ok()?;
        if has_fixed_times(text) {
            return self.fixed(&cron, from, direction);
        }
        let local = from.with_timezone(&self.timezone);
        let found = match direction {
            croner::Direction::Forward => cron.find_next_occurrence(&local, false),
            croner::Direction::Backward => cron.find_previous_occurrence(&local, false),
        };
        found.ok().map(|t| t.with_timezone(&Utc))
    }

    /// Times of day as a wall clock shows them, each turned into the instant that it means on its day.
    fn fixed(&self, cron: &Cron, from: DateTime<Utc>, direction: croner::Direction) -> Option<DateTime<Utc>> {
        let wall = from.with_timezone(&self.timezone).naive_local().and_utc();
        // Later wall times than now's may have been shown before, where the clock has gone back since.
        let (mut at, forward) = match direction {
            croner::Direction::Forward => (wall, true),
            croner::Direction::Backward => (wall + TimeDelta::hours(3), false),
        };
        loop {
            at =
                if forward { cron.find_next_occurrence(&at, false) } else { cron.find_previous_occurrence(&at, false) }
                    .ok()?;
            let instant = instant_of(self.timezone, at.naive_utc())?;
            if if forward { instant > from } else { instant < from } {
                return Some(instant);
            }
        }
    }

    fn every(&self, span: Span, from: DateTime<Utc>, step: i64) -> Option<DateTime<Utc>> {
        let anchor = self.start.unwrap_or(DateTime::UNIX_EPOCH);
        let length = i64::try_from(span.0.as_micros()).ok().filter(|length| *length > 0)?;
        let elapsed = (from - anchor).num_microseconds()?;
        let whole = elapsed.div_euclid(length);
        let count = match step {
            1 => whole + 1,
            _ if elapsed.rem_euclid(length) == 0 => whole - 1,
            _ => whole,
        };
        anchor.checked_add_signed(TimeDelta::microseconds(length.checked_mul(count)?))
    }
}

/// Whether an expression names its minutes and hours, as opposed to a rhythm (`*`, `*/5`).
fn has_fixed_times(text: &str) -> bool {
    let fields: Vec<&str> = text.split_whitespace().collect();
    let [.., minute, hour, _, _, _] = fields.as_slice() else { return false };
    !minute.starts_with('*') && !hour.starts_with('*')
}

/// The instant of a local time: the first one where a clock change repeats it, the end of the gap where one skips it.
fn instant_of(timezone: Tz, local: NaiveDateTime) -> Option<DateTime<Utc>> {
    if let Some(found) = timezone.from_local_datetime(&local).earliest() {
        return Some(found.with_timezone(&Utc));
    }
    // Gaps are at most a day long (a zone that moved across the date line) and end at a full minute.
    let (mut before, mut after) = (local, local + TimeDelta::days(1) + TimeDelta::hours(1));
    while after - before > TimeDelta::seconds(1) {
        let middle = before + (after - before) / 2;
        if timezone.from_local_datetime(&middle).earliest().is_some() { after = middle } else { before = middle }
    }
    let end = after.with_nanosecond(0)?;
    timezone.from_local_datetime(&end).earliest().map(|t| t.with_timezone(&Utc))
}

/// The first instant of a local day, also where a clock change skips midnight.
pub fn start_of_day(timezone: Tz, day: NaiveDate) -> DateTime<Utc> {
    let midnight = day.and_time(NaiveTime::MIN);
    instant_of(timezone, midnight).unwrap_or_else(|| midnight.and_utc())
}

/// The data of a run by hand of a DAG without a schedule: the day before its logical time.
pub fn day_before(logical_time: DateTime<Utc>) -> DataInterval {
    DataInterval { start: logical_time - TimeDelta::days(1), end: logical_time }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(text: &str, zone: Tz) -> Schedule {
        Schedule::new(Timing::parse(text).expect(text), zone)
    }

    fn utc(text: &str) -> DateTime<Utc> {
        text.parse().expect(text)
    }

    /// Fires after `from`, in the zone's local time.
    fn fires(text: &str, zone: Tz, from: &str, count: usize) -> Vec<String> {
        let schedule = schedule(text, zone);
        let mut at = utc(from);
        std::iter::from_fn(|| {
            at = schedule.next_after(at)?;
            Some(at.with_timezone(&zone).format("%m-%d %H:%M %Z").to_string())
        })
        .take(count)
        .collect()
    }

    #[test]
    fn a_time_that_the_clock_skips_fires_once() {
        assert_eq!(
            fires("30 2 * * *", Tz::Europe__Berlin, "2026-03-28T00:00:00Z", 3),
            ["03-28 02:30 CET", "03-29 03:00 CEST", "03-30 02:30 CEST"]
        );
    }

    #[test]
    fn several_times_of_day_fire_once_each_through_a_clock_change() {
        let berlin = Tz::Europe__Berlin;
        assert_eq!(
            fires("0 2,14 * * *", berlin, "2026-03-28T14:00:00Z", 3),
            ["03-29 03:00 CEST", "03-29 14:00 CEST", "03-30 02:00 CEST"]
        );
        assert_eq!(
            fires("0,30 2 * * *", berlin, "2026-10-24T12:00:00Z", 3),
            ["10-25 02:00 CEST", "10-25 02:30 CEST", "10-26 02:00 CET"]
        );
        // Back again, each fire's interval begins where the one before it ended.
        let twice = schedule("0 2,14 * * *", berlin);
        let mut at = utc("2026-10-24T00:00:00Z");
        for _ in 0..6 {
            let next = twice.next_after(at).expect("it goes on");
            assert!(twice.previous_before(next).is_some_and(|before| before <= at), "{at} {next}");
            at = next;
        }
        // The middle of the repeated hour lies after the fire of its first pass.
        assert_eq!(twice.previous_before(utc("2026-10-25T01:10:00Z")), Some(utc("2026-10-25T00:00:00Z")));
    }

    #[test]
    fn a_deadline_is_the_next_such_time_or_so_long_after() {
        let (berlin, fire) = (Tz::Europe__Berlin, utc("2026-03-28T22:00:00Z"));
        let after = |text: &str| Deadline::parse(text).and_then(|deadline| deadline.after(fire, berlin));
        assert_eq!(after("08:00"), Some(utc("2026-03-29T06:00:00Z")));
        assert_eq!(after("23:30"), Some(utc("2026-03-28T22:30:00Z")));
        assert_eq!(after("02:30"), Some(utc("2026-03-29T01:00:00Z")), "skipped by the clock");
        assert_eq!(after("90m"), Some(utc("2026-03-28T23:30:00Z")));
        assert_eq!(Deadline::parse("soon"), None);
    }

    #[test]
    fn a_time_that_comes_twice_fires_once() {
        assert_eq!(
            fires("30 2 * * *", Tz::Europe__Berlin, "2026-10-24T12:00:00Z", 2),
            ["10-25 02:30 CEST", "10-26 02:30 CET"]
        );
    }

    #[test]
    fn an_hourly_schedule_keeps_its_rhythm_through_both_changes() {
        assert_eq!(
            fires("0 * * * *", Tz::Europe__Berlin, "2026-03-29T00:30:00Z", 2),
            ["03-29 03:00 CEST", "03-29 04:00 CEST"]
        );
        assert_eq!(
            fires("0 * * * *", Tz::Europe__Berlin, "2026-10-24T23:30:00Z", 3),
            ["10-25 02:00 CEST", "10-25 02:00 CET", "10-25 03:00 CET"]
        );
    }

    #[test]
    fn midnight_where_it_does_not_exist() {
        assert_eq!(
            fires("@daily", Tz::America__Santiago, "2026-09-05T12:00:00Z", 2),
            ["09-06 01:00 -03", "09-07 00:00 -03"]
        );
        let day = NaiveDate::from_ymd_opt(2026, 9, 6).expect("a date");
        assert_eq!(start_of_day(Tz::America__Santiago, day), utc("2026-09-06T04:00:00Z"));
    }

    #[test]
    fn intervals_join_without_gap_or_overlap() {
        for text in ["0 2 * * *", "30 2 * * *", "0 * * * *", "*/20 * * * *", "0 0 1 * *"] {
            let schedule = schedule(text, Tz::Europe__Berlin);
            for around in ["2026-03-28T00:00:00Z", "2026-10-24T00:00:00Z"] {
                let mut last = schedule.next_after(utc(around)).expect("fires");
                for _ in 0..60 {
                    let next = schedule.next_after(last).expect("fires");
                    assert_eq!(schedule.interval(next), DataInterval { start: last, end: next }, "{text}");
                    last = next;
                }
            }
        }
    }

    #[test]
    fn a_fixed_interval_counts_from_its_start() {
        let mut every = Schedule::new(Timing::Every("15m".parse().expect("span")), Tz::UTC);
        assert_eq!(every.next_after(utc("2026-01-01T10:07:00Z")), Some(utc("2026-01-01T10:15:00Z")));
        assert_eq!(every.interval(utc("2026-01-01T10:15:00Z")).start, utc("2026-01-01T10:00:00Z"));
        every.start = Some(utc("2026-01-01T10:05:00Z"));
        assert_eq!(every.next_after(utc("2025-01-01T00:00:00Z")), Some(utc("2026-01-01T10:05:00Z")));
        assert_eq!(every.next_after(utc("2026-01-01T10:05:00Z")), Some(utc("2026-01-01T10:20:00Z")));
        every.end = Some(utc("2026-01-01T10:20:00Z"));
        assert_eq!(every.next_after(utc("2026-01-01T10:05:00Z")), None);
    }

    #[test]
    fn days_hold_the_fires_of_their_local_time() {
        let day = |d| NaiveDate::from_ymd_opt(2026, 3, d).expect("a date");
        let found = schedule("0 */12 * * *", Tz::Europe__Berlin).fires_on(day(28), day(29));
        assert_eq!(found.len(), 4);
        assert_eq!(found[0], utc("2026-03-27T23:00:00Z"));
        assert_eq!(found[3], utc("2026-03-29T10:00:00Z"));
    }

    #[test]
    fn bad_expressions_are_refused_with_a_reason() {
        for (text, reason) in [
            ("0 0 30 2 *", "`0 0 30 2 *` never fires"),
            ("0 2 * *", "`0 2 * *` has 4 fields, a cron expression has 5, or 6 with seconds first"),
            ("@dayly", "`@dayly` is not a schedule"),
        ] {
            assert_eq!(Timing::parse(text).expect_err(text), reason);
        }
        assert!(Timing::parse("61 2 * * *").expect_err("minute").starts_with("`61 2 * * *` is not a cron expression"));
    }
}
