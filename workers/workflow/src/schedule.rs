//! When a DAG fires, and which data each run is about.
//!
//! The logical time of a scheduled run is the instant at which its schedule fired; its data interval is
//! `[previous fire, logical time)`. Cron expressions are read in the DAG's time zone: a time of day that a clock
//! change skips fires once, at the first instant after the gap, and one that comes twice fires once, the first
//! time round, or twice where the schedule says so. An expression with a wildcard minute or hour keeps its rhythm
//! through the change. Several schedules of a DAG fire as one: their fires are merged, and an instant that two of
//! them mean is one fire.

mod clocks;

use std::str::FromStr;

use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};
use chrono_tz::Tz;
use croner::Cron;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use self::clocks::{ClockChange, Shift, Time, clock_change, start_of_day};
use self::clocks::{Pass, instant_of};
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
                    .find_map(|day| instant_of(timezone, day.and_time(time), Pass::First).filter(|at| *at > fire))
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

/// How often a time of day fires that clocks show twice, because they were put back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fold {
    /// The first time round.
    #[default]
    Once,
    /// Both times.
    Twice,
}

impl Fold {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// A checked schedule, or several that fire as one.
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
    /// What becomes of a time of day that comes twice.
    #[serde(default, skip_serializing_if = "Fold::is_default")]
    pub fold: Fold,
    /// A run starts up to so much after its fire; its logical time stays the fire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jitter: Option<Span>,
    /// The other schedules of the DAG; none of them has others in turn.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<Schedule>,
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
            let found = if fields == 1 { "one field".to_owned() } else { format!("{fields} fields") };
            return Err(format!("`{text}` has {found}, a cron expression has 5, or 6 with seconds first"));
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

impl std::fmt::Display for Schedule {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}", self.timing)?;
        self.also.iter().try_for_each(|other| write!(out, "; {}", other.timing))
    }
}

impl Schedule {
    /// A schedule of one rule and nothing else.
    pub fn new(timing: Timing, timezone: Tz) -> Self {
        Self {
            timing,
            timezone,
            catchup: false,
            deadline: None,
            start: None,
            end: None,
            fold: Fold::Once,
            jitter: None,
            also: Vec::new(),
        }
    }

    /// This schedule and the others of its DAG.
    fn members(&self) -> impl Iterator<Item = &Self> {
        std::iter::once(self).chain(&self.also)
    }

    /// The first fire strictly after `t`, within start and end. `None` for one that fires no more, and for
    /// `@once` without a start date, which fires when it is deployed.
    pub fn next_after(&self, t: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.members().filter_map(|member| member.own_next(t)).min()
    }

    /// The last fire strictly before `t`, whatever start and end say: a first run has a data interval too.
    pub fn previous_before(&self, t: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.members().filter_map(|member| member.own_previous(t)).max()
    }

    /// The last fire at or before `t`, within start and end.
    pub fn latest_until(&self, t: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let before = t + TimeDelta::microseconds(1);
        self.members()
            .filter_map(|member| {
                let before = member.end.map_or(before, |end| end.min(before));
                member.own_previous(before).filter(|fire| member.start.is_none_or(|start| *fire >= start))
            })
            .max()
    }

    /// The schedule, of those of the DAG, that means this fire; the first of them for an instant that none means.
    pub fn firing(&self, fire: DateTime<Utc>) -> &Self {
        let before = fire - TimeDelta::microseconds(1);
        self.members().find(|member| member.own_next(before) == Some(fire)).unwrap_or(self)
    }

    /// When the run of a fire starts: the fire itself, or up to `jitter` later. The same DAG and fire give the same
    /// instant on every machine, so nobody has to remember it.
    pub fn start_of_run(&self, dag: &str, fire: DateTime<Utc>) -> DateTime<Utc> {
        let Some(jitter) = self.firing(fire).jitter.and_then(|span| i64::try_from(span.0.as_micros()).ok()) else {
            return fire;
        };
        let digest = Sha256::digest(format!("{dag}/{}", fire.timestamp_micros()));
        let luck = digest.iter().take(8).fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
        // Shifted, so that it is positive; the remainder lies in `0..=jitter`.
        let delay = i64::try_from(luck >> 1).unwrap_or(0) % (jitter.saturating_add(1)).max(1);
        fire + TimeDelta::microseconds(delay)
    }

    /// When a run that begins at `from` should have ended; `fire` tells whose deadline it has.
    pub fn deadline(&self, fire: DateTime<Utc>, from: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let member = self.firing(fire);
        member.deadline?.after(from, member.timezone)
    }

    fn own_next(&self, t: DateTime<Utc>) -> Option<DateTime<Utc>> {
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

    fn own_previous(&self, t: DateTime<Utc>) -> Option<DateTime<Utc>> {
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

    /// The fires from the local day `from` to the local day `to`, both included, in order. No more than `most` and one.
    pub fn fires_on(&self, from: NaiveDate, to: NaiveDate, most: usize) -> Vec<DateTime<Utc>> {
        let start = start_of_day(self.timezone, from);
        let end = to.succ_opt().map_or(start, |day| start_of_day(self.timezone, day));
        // A backfill may reach behind the start date: it is asked for by name.
        let unbounded = self.unbounded();
        let mut fires = Vec::new();
        let mut at = start - TimeDelta::microseconds(1);
        while let Some(next) = unbounded.next_after(at).filter(|next| *next < end && fires.len() <= most) {
            fires.push(next);
            at = next;
        }
        fires
    }

    fn unbounded(&self) -> Self {
        Self { start: None, end: None, also: self.also.iter().map(Self::unbounded).collect(), ..self.clone() }
    }

    fn cron(&self, text: &str, from: DateTime<Utc>, direction: croner::Direction) -> Option<DateTime<Utc>> {
        let cron = Cron::from_str(text).ok()?;
        if has_fixed_times(text) {
            let first = self.fixed(&cron, from, direction, Pass::First);
            if self.fold == Fold::Once {
                return first;
            }
            let both = [first, self.fixed(&cron, from, direction, Pass::Second)].into_iter().flatten();
            return match direction {
                croner::Direction::Forward => both.min(),
                croner::Direction::Backward => both.max(),
            };
        }
        let local = from.with_timezone(&self.timezone);
        let found = match direction {
            croner::Direction::Forward => cron.find_next_occurrence(&local, false),
            croner::Direction::Backward => cron.find_previous_occurrence(&local, false),
        };
        found.ok().map(|t| t.with_timezone(&Utc))
    }

    /// Times of day as a wall clock shows them, each turned into the instant that it means on its day; on one of two
    /// passes where it comes twice. Instants of one pass come in the order of their wall times.
    fn fixed(
        &self,
        cron: &Cron,
        from: DateTime<Utc>,
        direction: croner::Direction,
        pass: Pass,
    ) -> Option<DateTime<Utc>> {
        let wall = from.with_timezone(&self.timezone).naive_local().and_utc();
        let forward = matches!(direction, croner::Direction::Forward);
        // Clocks go back by less than that. Behind it, a wall time of the second pass may be still to come although
        // clocks have shown it, and one of the first may be over although it is later than now's.
        let most = TimeDelta::hours(3);
        let mut at = match (forward, pass) {
            (true, Pass::First) => wall,
            (true, Pass::Second) => wall - most,
            (false, _) => wall + most,
        };
        loop {
            at =
                if forward { cron.find_next_occurrence(&at, false) } else { cron.find_previous_occurrence(&at, false) }
                    .ok()?;
            let instant = instant_of(self.timezone, at.naive_utc(), pass)?;
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

/// The data of a run by hand of a DAG without a schedule: the day before its logical time.
pub fn day_before(logical_time: DateTime<Utc>) -> DataInterval {
    DataInterval { start: logical_time - TimeDelta::days(1), end: logical_time }
}

#[cfg(test)]
mod tests;
