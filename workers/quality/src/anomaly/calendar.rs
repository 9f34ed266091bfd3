//! Days on which odd numbers are expected.

use chrono::{Datelike, NaiveDate};
use serde::Deserialize;
use serde_json::Value;
use workflow::{diagnostic::Problem, yaml::read_value};

/// Known events: their days are neither judged nor taken into a baseline.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Calendar {
    /// In the order of the file.
    pub events: Vec<Event>,
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// What it is called.
    pub name: String,
    /// First and last day of each span.
    spans: Vec<(Day, Day)>,
}

/// A day of one year, or of every year.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Day {
    Once(NaiveDate),
    /// Month and day.
    Yearly(u32, u32),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: String,
    #[serde(default)]
    on: Option<Days>,
    #[serde(default)]
    from: Option<String>,
    #[serde(default)]
    to: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a day or a list of days")]
enum Days {
    One(String),
    Several(Vec<String>),
}

impl Calendar {
    /// The event of a day.
    pub fn event(&self, day: NaiveDate) -> Option<&Event> {
        self.events.iter().find(|event| event.spans.iter().any(|span| holds(*span, day)))
    }
}

impl Event {
    /// Reads `{ name, on: DAY or [DAY, …] }` or `{ name, from: DAY, to: DAY }`.
    pub(super) fn read(value: &Value) -> Result<Self, Vec<Problem>> {
        let written: Written = read_value(value.clone())?;
        let spans = match (written.on, written.from, written.to) {
            (Some(Days::One(day)), None, None) => vec![same(Day::read("on", &day)?)],
            (Some(Days::Several(days)), None, None) => {
                let read = days.iter().map(|day| Day::read("on", day).map(same));
                read.collect::<Result<_, _>>()?
            }
            (None, Some(from), Some(to)) => vec![span(&from, &to)?],
            _ => {
                let hint = "write `on: 2026-12-24`, or `from: 2026-11-23` and `to: 2026-11-30`";
                return Err(vec![
                    Problem::new("", "an event is `on` days, or goes `from` one `to` another").hint(hint),
                ]);
            }
        };
        Ok(Self { name: written.name, spans })
    }
}

fn same(day: Day) -> (Day, Day) {
    (day, day)
}

fn span(from: &str, to: &str) -> Result<(Day, Day), Vec<Problem>> {
    let span = (Day::read("from", from)?, Day::read("to", to)?);
    match span {
        (Day::Once(first), Day::Once(last)) if last < first => {
            Err(vec![Problem::new("to", format!("{to} is before {from}"))])
        }
        (Day::Once(_), Day::Yearly(..)) | (Day::Yearly(..), Day::Once(_)) => {
            let hint = "give both a year, or none";
            Err(vec![Problem::new("to", "one day has a year and the other has none").hint(hint)])
        }
        _ => Ok(span),
    }
}

impl Day {
    fn read(field: &str, text: &str) -> Result<Self, Vec<Problem>> {
        if let Ok(day) = text.parse() {
            return Ok(Self::Once(day));
        }
        // A leap year, so that 02-29 is a day.
        match format!("2024-{text}").parse::<NaiveDate>() {
            Ok(day) if text.len() == 5 => Ok(Self::Yearly(day.month(), day.day())),
            _ => {
                let hint = "write 2026-12-24, or \"12-24\" for every year";
                Err(vec![Problem::new(field, format!("`{text}` is no day")).hint(hint)])
            }
        }
    }
}

fn holds((from, to): (Day, Day), day: NaiveDate) -> bool {
    match (from, to) {
        (Day::Once(from), Day::Once(to)) => from <= day && day <= to,
        (Day::Yearly(month, of), Day::Yearly(last_month, last)) => {
            let (from, to, day) = ((month, of), (last_month, last), (day.month(), day.day()));
            // A span may go over New Year.
            if from <= to { from <= day && day <= to } else { from <= day || day <= to }
        }
        _ => false,
    }
}
