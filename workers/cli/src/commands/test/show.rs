//! A rehearsal as people read it.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value};
use workflow::{
    kind::DataInterval,
    plan::Plan,
    rehearsal::{Rehearsal, Rehearsed},
};

use crate::{
    exit::count,
    output::{self, Style},
};

/// What the run stands for: its time, its data, what its schedule says of it, its parameters.
pub(super) fn heading(plan: &Plan, at: DateTime<Utc>, interval: DataInterval, params: &Map<String, Value>) {
    let zone = plan.timezone;
    // On the day that clocks go back an hour comes twice, and its zone tells them apart.
    let when = |time: DateTime<Utc>| time.with_timezone(&zone).format("%Y-%m-%d %H:%M:%S %Z").to_string();
    output::line(output::paint(&format!("{} at {}", plan.dag, when(at)), Style::Bold));
    let about =
        |what: &str, text: &str| output::line(format!("  {}{text}", output::paint(&format!("{what:<11}"), Style::Dim)));
    about("data", &format!("from {} to {}", when(interval.start), when(interval.end)));
    if let Some(schedule) = &plan.schedule {
        let says = match schedule.next_after(at - TimeDelta::microseconds(1)) {
            Some(fire) if fire == at => "fires then".to_owned(),
            Some(fire) => format!("does not fire then; next at {}", when(fire)),
            None => "does not fire then, nor after".to_owned(),
        };
        about("schedule", &says);
    }
    if !params.is_empty() {
        let pairs: Vec<String> = params.iter().map(|(name, value)| format!("{name}={value}")).collect();
        about("params", &pairs.join(" "));
    }
    output::line("");
}

pub(super) fn rehearsal(plan: &Plan, rehearsal: &Rehearsal, keys: bool) {
    heading(plan, rehearsal.logical_time, rehearsal.interval, &rehearsal.params);
    let rows: Vec<Vec<String>> = rehearsal.tasks.iter().map(cells).collect();
    output::table(&["task", "kind", "state", "attempts", "ends after", ""], &rows);
    if keys {
        output::line("");
        for row in &rehearsal.tasks {
            if let Some(keys) = &row.keys {
                output::line(format!("{}  {keys}", output::paint(&row.task, Style::Bold)));
            }
        }
    }
    output::line("");
    let retries = rehearsal.tasks.iter().flat_map(Rehearsed::waits).count();
    let again = if retries == 1 { "1 retry".to_owned() } else { format!("{retries} retries") };
    let state = output::state(rehearsal.state.as_str());
    output::line(format!("{state}  {}, {again}; nothing was run", count(rehearsal.tasks.len(), "task")));
}

fn cells(row: &Rehearsed) -> Vec<String> {
    let waits: Vec<String> = row.waits().map(|wait| wait.to_string()).collect();
    let retried = (!waits.is_empty()).then(|| format!("retried after {}", waits.join(", ")));
    let why: Vec<String> = retried.into_iter().chain(row.reason.clone()).collect();
    vec![
        row.task.clone(),
        row.kind.clone(),
        output::state(row.state.as_str()),
        row.attempts.len().to_string(),
        row.ends_after.to_string(),
        why.join("; "),
    ]
}

/// What did not end as expected.
pub(super) fn unexpected(lines: &[String]) {
    for line in lines {
        output::line(format!("{} {line}", output::paint("unexpected:", Style::Bad)));
    }
}
