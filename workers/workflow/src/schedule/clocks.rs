//! Clocks that are put forward and back: which instant a local time means, and what becomes of a fire by it.

use std::fmt;

use chrono::{
    DateTime, MappedLocalTime, NaiveDate, NaiveDateTime, NaiveTime, Offset, TimeDelta, TimeZone, Timelike, Utc,
};
use chrono_tz::Tz;
use croner::Cron;
use serde::Serialize;

use super::{Fold, Schedule, Timing, has_fixed_times};

/// Skipped times that are told apart, at most.
const SKIPPED: usize = 100;

/// Which of the two instants a local time means that comes twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Pass {
    /// Before clocks were put back.
    First,
    /// After it.
    Second,
}

/// What clocks do on a local day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ClockChange {
    /// They are put forward, so that local times are skipped.
    Gap,
    /// They are put back, so that local times come twice.
    Fold,
}

impl ClockChange {
    /// What clocks have done from one instant to another, taken together.
    pub fn between(timezone: Tz, from: DateTime<Utc>, to: DateTime<Utc>) -> Option<Self> {
        let offset = |at: DateTime<Utc>| at.with_timezone(&timezone).offset().fix().local_minus_utc();
        match offset(to) - offset(from) {
            0 => None,
            1.. => Some(Self::Gap),
            _ => Some(Self::Fold),
        }
    }
}

/// The change of clocks on a local day, one at its midnight among them: between the last moment before it and its own.
pub fn clock_change(timezone: Tz, day: NaiveDate) -> Option<ClockChange> {
    let before = |day| start_of_day(timezone, day) - TimeDelta::seconds(1);
    ClockChange::between(timezone, before(day), before(day.succ_opt()?))
}

/// The instant of a local time: that of the pass where a clock change repeats it, the end of the gap where one skips it.
pub(super) fn instant_of(timezone: Tz, local: NaiveDateTime, pass: Pass) -> Option<DateTime<Utc>> {
    let found = timezone.from_local_datetime(&local);
    let found = if pass == Pass::First { found.earliest() } else { found.latest() };
    if let Some(found) = found {
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
    instant_of(timezone, midnight, Pass::First).unwrap_or_else(|| midnight.and_utc())
}

/// A time of day, written without seconds where it has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Time(pub NaiveTime);

impl fmt::Display for Time {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.0.format(if self.0.second() == 0 { "%H:%M" } else { "%H:%M:%S" }))
    }
}

/// What a change of clocks does to a fire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Shift {
    /// Clocks skip these times of day, and it stands for them.
    Skipped {
        /// Those of the schedule that do not exist on its day.
        times: Vec<Time>,
        /// The first one that does exist again, at which it fires.
        runs_at: Time,
    },
    /// Clocks show its time of day twice.
    Repeated {
        /// The time.
        time: Time,
        /// Which of the two it is.
        pass: Pass,
        /// Whether the other one fires, too.
        fold: Fold,
    },
}

impl fmt::Display for Shift {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Skipped { times, runs_at } => match times.as_slice() {
                [time] => write!(out, "{time} does not exist, runs at {runs_at}"),
                [first, .., last] => {
                    write!(out, "{first} to {last} do not exist ({} times), run once at {runs_at}", times.len())
                }
                [] => Ok(()),
            },
            Self::Repeated { time, fold: Fold::Once, .. } => {
                write!(out, "{time} comes twice, runs the first time only")
            }
            Self::Repeated { time, pass: Pass::First, .. } => write!(out, "{time} comes twice, this is the first"),
            Self::Repeated { time, pass: Pass::Second, .. } => write!(out, "{time} comes twice, this is the second"),
        }
    }
}

impl Schedule {
    /// What a change of clocks does to this fire.
    pub fn shift(&self, fire: DateTime<Utc>) -> Option<Shift> {
        let before = fire - TimeDelta::microseconds(1);
        let firing: Vec<&Self> = self.members().filter(|member| member.own_next(before) == Some(fire)).collect();
        let mut skipped: Vec<NaiveTime> = firing.iter().flat_map(|member| member.skipped_before(fire)).collect();
        skipped.sort_unstable();
        skipped.dedup();
        let first = firing.first()?;
        let local = fire.with_timezone(&first.timezone).naive_local();
        if !skipped.is_empty() {
            return Some(Shift::Skipped {
                times: skipped.into_iter().map(Time).collect(),
                runs_at: Time(local.time()),
            });
        }
        let MappedLocalTime::Ambiguous(earliest, _) = first.timezone.from_local_datetime(&local) else { return None };
        let pass = if earliest == fire { Pass::First } else { Pass::Second };
        let fixed = |member: &&Self| matches!(&member.timing, Timing::Cron(text) if has_fixed_times(text));
        let once = firing.iter().all(|member| fixed(member) && member.fold == Fold::Once);
        Some(Shift::Repeated { time: Time(local.time()), pass, fold: if once { Fold::Once } else { Fold::Twice } })
    }

    /// Its times of day in the gap that ends at `fire`.
    fn skipped_before(&self, fire: DateTime<Utc>) -> Vec<NaiveTime> {
        let Timing::Cron(text) = &self.timing else { return Vec::new() };
        let local = |at: DateTime<Utc>| at.with_timezone(&self.timezone);
        let offset = |at: DateTime<Utc>| local(at).offset().fix().local_minus_utc();
        let gap = offset(fire) - offset(fire - TimeDelta::microseconds(1));
        if gap <= 0 || !has_fixed_times(text) {
            return Vec::new();
        }
        let end = local(fire).naive_local();
        let mut at = (end - TimeDelta::seconds(gap.into()) - TimeDelta::microseconds(1)).and_utc();
        let Ok(cron) = text.parse::<Cron>() else { return Vec::new() };
        let next = || {
            at = cron.find_next_occurrence(&at, false).ok().filter(|at| at.naive_utc() < end)?;
            Some(at.time())
        };
        std::iter::from_fn(next).take(SKIPPED).collect()
    }
}
