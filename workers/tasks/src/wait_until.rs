//! `wait_until`: lets the tasks behind it go on at a time.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, NaiveTime, TimeDelta, Utc};
use chrono_tz::Tz;
use serde::Deserialize;
use serde_json::{Value, json};
use workflow::{
    diagnostic::Problem,
    error::TaskError,
    kind::{TaskContext, TaskKind},
    schedule::Deadline,
    span::Span,
    template,
};

/// The kind.
pub struct WaitUntil;

/// The keys of a task: `time` or `after`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// A time of day, `"06:30"`, the first such after the run's logical time in the DAG's time zone; or an instant,
    /// `2026-01-31T06:30:00Z`.
    #[serde(default)]
    pub time: Option<String>,
    /// How long after the run's logical time.
    #[serde(default)]
    pub after: Option<Span>,
}

#[async_trait]
impl TaskKind for WaitUntil {
    const NAME: &'static str = "wait_until";
    const SUMMARY: &'static str = "Waits for a time, without a worker's slot";
    const TIMEOUT: Duration = Duration::from_mins(1);
    const PATIENCE: Option<Duration> = Some(Duration::from_hours(24 * 31));

    type Config = Config;

    fn check(config: &Config) -> Vec<Problem> {
        match (&config.time, config.after) {
            (Some(text), None) if !template::is_template(text) && read(text, None).is_none() => {
                let problem = Problem::new("time", format!("`{text}` is neither a time of day nor an instant"));
                vec![problem.hint("write `\"06:30\"`, or `2026-01-31T06:30:00Z`")]
            }
            (Some(_), None) | (None, Some(_)) => Vec::new(),
            _ => vec![
                Problem::new("", "expected `time` or `after`, one of them")
                    .hint("`time: \"06:30\"` is a time of day, `after: 2h` that long after the logical time"),
            ],
        }
    }

    async fn run(&self, config: Config, task: &TaskContext) -> Result<Value, TaskError> {
        let at = instant(&config, task)?;
        match (at - Utc::now()).to_std() {
            Ok(wait) if !wait.is_zero() => {
                let local = at.with_timezone(&task.timezone).format("%Y-%m-%d %H:%M:%S %Z");
                Err(TaskError::not_yet(wait, format!("it waits for {local}")))
            }
            _ => Ok(json!({ "at": at.to_rfc3339() })),
        }
    }
}

/// A time of day, or an instant.
fn read(text: &str, task: Option<&TaskContext>) -> Option<DateTime<Utc>> {
    if let Ok(instant) = DateTime::parse_from_rfc3339(text) {
        return Some(instant.with_timezone(&Utc));
    }
    let time = ["%H:%M", "%H:%M:%S"].iter().find_map(|format| NaiveTime::parse_from_str(text, format).ok())?;
    let (from, zone) = task.map_or((DateTime::UNIX_EPOCH, Tz::UTC), |task| (task.logical_time, task.timezone));
    // As a deadline: the next time that local clocks show it.
    Deadline::At(time).after(from, zone)
}

fn instant(config: &Config, task: &TaskContext) -> Result<DateTime<Utc>, TaskError> {
    if let Some(after) = config.after {
        let at = TimeDelta::from_std(after.0).ok().and_then(|after| task.logical_time.checked_add_signed(after));
        return at.ok_or_else(|| TaskError::user(format!("`after: {after}` is beyond all calendars")));
    }
    let text = config.time.as_deref().unwrap_or_default();
    read(text, Some(task)).ok_or_else(|| TaskError::user(format!("`{text}` is neither a time of day nor an instant")))
}
