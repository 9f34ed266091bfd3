//! What a user writes in `dags/*.yaml`, block by block, before any of it is checked against the rest.
//!
//! The blocks are read apart from each other, so that a fault in one does not hide those of another.

use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{
    diagnostic::{Problem, did_you_mean, nearest},
    plan::{Concurrency, ForEach, RetryOn},
    schedule::{Deadline, Fold, Schedule, Timing, start_of_day},
    span::Span,
    state::TriggerRule,
};

/// The keys of the file itself.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DagFile {
    #[serde(default)]
    pub(crate) dag: Value,
    #[serde(default)]
    pub(crate) description: Value,
    #[serde(default)]
    pub(crate) schedule: Value,
    #[serde(default)]
    pub(crate) triggers: Value,
    #[serde(default)]
    pub(crate) max_active_runs: Value,
    #[serde(default)]
    pub(crate) overlap: Value,
    #[serde(default)]
    pub(crate) retry_budget: Value,
    #[serde(default)]
    pub(crate) params: Value,
    #[serde(default)]
    pub(crate) defaults: Value,
    #[serde(default)]
    pub(crate) tasks: Value,
}

/// `defaults:`, what each task of the DAG has unless it says otherwise.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Defaults {
    pub(crate) attempts: Option<u16>,
    pub(crate) backoff: Option<BackoffKeys>,
    pub(crate) retry_on: Option<Vec<RetryOn>>,
    pub(crate) timeout: Option<Span>,
    pub(crate) total_timeout: Option<Span>,
    pub(crate) queue: Option<String>,
    #[serde(default)]
    pub(crate) labels: Names,
    pub(crate) priority: Option<i16>,
    pub(crate) pool: Option<String>,
    #[serde(default)]
    pub(crate) on_failure: Vec<String>,
}

/// `backoff: { from: 10s, to: 5m }`.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BackoffKeys {
    pub(crate) from: Span,
    pub(crate) to: Option<Span>,
}

/// The keys that every task may have, whatever its kind.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TaskKeys {
    #[serde(default)]
    pub(crate) kind: Option<String>,
    #[serde(default)]
    pub(crate) group: Option<String>,
    #[serde(default)]
    pub(crate) needs: Names,
    pub(crate) trigger_rule: Option<TriggerRule>,
    #[serde(default)]
    pub(crate) teardown: Names,
    pub(crate) attempts: Option<u16>,
    pub(crate) timeout: Option<Span>,
    pub(crate) total_timeout: Option<Span>,
    pub(crate) queue: Option<String>,
    #[serde(default)]
    pub(crate) labels: Names,
    pub(crate) backoff: Option<BackoffKeys>,
    pub(crate) retry_on: Option<Vec<RetryOn>>,
    pub(crate) priority: Option<i16>,
    pub(crate) pool: Option<String>,
    pub(crate) concurrency: Option<Concurrency>,
    pub(crate) for_each: Option<ForEach>,
    pub(crate) deadline: Option<Span>,
    #[serde(default)]
    pub(crate) when: Option<String>,
}

/// The names of [`TaskKeys`].
pub(crate) const TASK_KEYS: [&str; 18] = [
    "kind",
    "group",
    "needs",
    "trigger_rule",
    "teardown",
    "attempts",
    "timeout",
    "total_timeout",
    "queue",
    "labels",
    "backoff",
    "retry_on",
    "priority",
    "pool",
    "concurrency",
    "for_each",
    "deadline",
    "when",
];

/// `needs: load` or `needs: [load, clean]`; `teardown` and `labels` likewise.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(untagged, expecting = "expected a name, or a list of names")]
pub(crate) enum Names {
    #[default]
    None,
    One(String),
    Many(Vec<String>),
}

impl Names {
    /// Whether nothing was said.
    pub(crate) fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }

    /// The names, each with its field below the task; `key` is the field of them all.
    pub(crate) fn at(&self, key: &str) -> Vec<(String, &str)> {
        match self {
            Self::None => Vec::new(),
            Self::One(name) => vec![(key.to_owned(), name)],
            Self::Many(names) => {
                names.iter().enumerate().map(|(index, name)| (format!("{key}[{index}]"), name.as_str())).collect()
            }
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ScheduleKeys {
    cron: Option<String>,
    every: Option<Span>,
    timezone: Option<String>,
    #[serde(default)]
    catchup: bool,
    deadline: Option<String>,
    start_date: Option<String>,
    end_date: Option<String>,
    #[serde(default)]
    fold: Fold,
    jitter: Option<Span>,
}

/// Reads `schedule:`, a string, a mapping, or a list of them. `None` for a DAG that runs by hand only.
pub(crate) fn schedule(value: &Value, timezone: Tz) -> Result<Option<Schedule>, Vec<Problem>> {
    let blocks = match value {
        Value::Null => return Ok(None),
        Value::Array(blocks) => blocks,
        value => return one_schedule(value, timezone).map(Some),
    };
    if blocks.is_empty() {
        let problem = Problem::new("", "a list of schedules needs at least one");
        return Err(vec![problem.hint("leave `schedule` out for a DAG that runs by hand")]);
    }
    let mut problems = Vec::new();
    let mut schedules: Vec<Schedule> = Vec::new();
    for (index, block) in blocks.iter().enumerate() {
        let field = format!("[{index}]");
        match one_schedule(block, timezone) {
            Ok(schedule) => {
                if let Some(problem) = beside(&schedule, &schedules) {
                    problems.push(problem.below(&field));
                }
                schedules.push(schedule);
            }
            Err(more) => problems.extend(more.into_iter().map(|problem| problem.below(&field))),
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let mut schedules = schedules.into_iter();
    Ok(schedules.next().map(|first| Schedule { also: schedules.collect(), ..first }))
}

/// What keeps a schedule from standing beside others in a list.
fn beside(schedule: &Schedule, others: &[Schedule]) -> Option<Problem> {
    if schedule.timing == Timing::Once {
        let problem = Problem::new("cron", "`@once` cannot stand beside other schedules");
        return Some(problem.hint("give it a DAG of its own"));
    }
    if others.iter().any(|other| other == schedule) {
        return Some(Problem::new("", "the same schedule stands in the list twice").hint("remove one"));
    }
    let first = others.first()?;
    (first.catchup != schedule.catchup).then(|| {
        let problem = Problem::new("catchup", "the schedules of a DAG make up for missed runs together or not at all");
        problem.hint(format!("`catchup: {}` here too", first.catchup))
    })
}

fn one_schedule(value: &Value, timezone: Tz) -> Result<Schedule, Vec<Problem>> {
    match value {
        Value::String(text) => {
            let keys = ScheduleKeys { cron: Some(text.clone()), ..ScheduleKeys::default() };
            // The fault stands at `schedule` itself then.
            resolve(&keys, timezone)
                .map_err(|problems| problems.into_iter().map(|p| Problem { field: String::new(), ..p }).collect())
        }
        value => resolve(&crate::yaml::read_value::<ScheduleKeys>(value.clone())?, timezone),
    }
}

fn resolve(keys: &ScheduleKeys, default_zone: Tz) -> Result<Schedule, Vec<Problem>> {
    let mut problems = Vec::new();
    let timezone = match keys.timezone.as_deref().map(str::parse::<Tz>) {
        None => default_zone,
        Some(Ok(zone)) => zone,
        Some(Err(_)) => {
            let name = keys.timezone.as_deref().unwrap_or_default();
            let hint = nearest(name, chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name())).map_or_else(
                || "use an IANA name such as `Europe/Berlin`".to_owned(),
                |near| format!("did you mean `{near}`?"),
            );
            problems.push(Problem::new("timezone", format!("`{name}` is not a time zone")).hint(hint));
            default_zone
        }
    };
    let timing = match (&keys.cron, keys.every) {
        (Some(text), None) => match Timing::parse(text) {
            Ok(timing) => timing,
            Err(message) => {
                let hint = if text.trim().starts_with('@') {
                    did_you_mean(text.trim(), Timing::names())
                } else {
                    "minute hour day month weekday, for example `0 2 * * *`, every day at 2".to_owned()
                };
                problems.push(Problem::new("cron", message).hint(hint));
                Timing::Once
            }
        },
        (None, Some(span)) => {
            if span < Span::from_secs(1) {
                problems.push(Problem::new("every", "a schedule cannot fire more than once a second"));
            }
            Timing::Every(span)
        }
        (Some(_), Some(_)) => {
            problems.push(Problem::new("every", "a schedule has either `cron` or `every`").hint("remove one of them"));
            Timing::Once
        }
        (None, None) => {
            let hint = "`cron: \"0 2 * * *\"`, or `every: 15m`; leave `schedule` out for a DAG that runs by hand";
            problems.push(Problem::new("", "a schedule needs `cron` or `every`").hint(hint));
            Timing::Once
        }
    };
    let deadline = keys.deadline.as_deref().and_then(|text| {
        let read = Deadline::parse(text);
        if read.is_none() {
            let problem = Problem::new("deadline", format!("`{text}` is neither a time of day nor a length of time"));
            problems
                .push(problem.hint("write hours and minutes, quoted: `\"08:00\"`; or how long after the fire: `2h`"));
        }
        read
    });
    let mut date = |field: &str, text: Option<&str>| {
        text.and_then(|text| {
            let read = instant(text, timezone);
            if read.is_none() {
                let problem = Problem::new(field, format!("`{text}` is neither a date nor a time"));
                problems.push(problem.hint("write `2026-01-31`, or `2026-01-31T06:00:00Z`"));
            }
            read
        })
    };
    let start = date("start_date", keys.start_date.as_deref());
    let end = date("end_date", keys.end_date.as_deref());
    if let (Some(start), Some(end)) = (start, end)
        && end <= start
    {
        problems.push(Problem::new("end_date", "the end does not come after the start, so this never fires"));
    }
    if keys.jitter.is_some_and(|jitter| jitter > Span::from_secs(24 * 3600)) {
        problems
            .push(Problem::new("jitter", "a run cannot start more than a day after its time").hint("at most `24h`"));
    }
    if keys.fold == Fold::Twice && keys.cron.is_none() {
        let problem = Problem::new("fold", "only a cron expression has times of day that can come twice");
        problems.push(problem.hint("remove `fold`"));
    }
    if problems.is_empty() {
        Ok(Schedule {
            timing,
            timezone,
            catchup: keys.catchup,
            deadline,
            start,
            end,
            fold: keys.fold,
            jitter: keys.jitter.filter(|jitter| !jitter.0.is_zero()),
            also: Vec::new(),
        })
    } else {
        Err(problems)
    }
}

/// A local date (its first instant), or a time with its offset.
pub fn instant(text: &str, timezone: Tz) -> Option<DateTime<Utc>> {
    if let Ok(day) = text.parse::<NaiveDate>() {
        return Some(start_of_day(timezone, day));
    }
    DateTime::parse_from_rfc3339(text).ok().map(|t| t.with_timezone(&Utc))
}

/// Whether `name` can name a DAG, a task or a parameter: letters, digits and `_`, a letter first.
pub(crate) fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

/// A task's keys, apart: those that every task has, and those of its kind.
pub(crate) fn split(task: Map<String, Value>) -> (Map<String, Value>, Map<String, Value>) {
    task.into_iter().partition(|(key, _)| TASK_KEYS.contains(&key.as_str()))
}
