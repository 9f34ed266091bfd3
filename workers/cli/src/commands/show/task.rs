//! One task of a run: how it stands, its attempts, what it left.

use std::process::ExitCode;

use serde_json::json;
use warehouse::runs::TaskRow;

use super::{Shown, note, show_loads};
use crate::{
    context::Context,
    output::{self, Style},
    runs,
};

/// Shows `task`; `shown` has its attempts and loads.
pub(super) fn show(task: &TaskRow, shown: &Shown, as_json: bool, ctx: &Context) -> anyhow::Result<ExitCode> {
    let (run_id, zone) = (shown.report.run.run_id, ctx.project.timezone);
    if as_json {
        output::json(&json!({ "task": task, "attempts": shown.attempts, "loads": shown.loads }))?;
        return Ok(ExitCode::SUCCESS);
    }
    output::line(output::paint(&format!("{} of run {run_id} of {}", task.task, shown.report.run.dag), Style::Bold));
    let beside = note(task, zone);
    let beside = if beside.is_empty() { beside } else { format!(" ({beside})") };
    output::line(format!("state   {}{beside}", output::state(&task.state)));
    output::line(format!("kind    {}", task.kind));
    if !task.needs.is_empty() {
        output::line(format!("needs   {}", task.needs.join(", ")));
    }
    output::line(format!("took    {}", runs::took(task.started_at, task.finished_at)));
    if let Some(reason) = &task.reason {
        output::line(format!("reason  {reason}"));
    }
    if let Some(left) = task.output.as_ref().filter(|left| !left.is_null()) {
        output::line(format!("output  {left}"));
    }
    if !shown.attempts.is_empty() {
        let cells: Vec<_> = shown
            .attempts
            .iter()
            .map(|attempt| {
                vec![
                    attempt.attempt.to_string(),
                    output::state(&attempt.state),
                    runs::when(Some(attempt.started_at), zone),
                    runs::took(Some(attempt.started_at), attempt.finished_at),
                    attempt.worker.clone(),
                    attempt.error.as_deref().unwrap_or_default().lines().next().unwrap_or_default().to_owned(),
                ]
            })
            .collect();
        output::line("");
        output::table(&["attempt", "state", "began", "took", "worker", "error"], &cells);
    }
    show_loads(&shown.loads, run_id);
    Ok(ExitCode::SUCCESS)
}
