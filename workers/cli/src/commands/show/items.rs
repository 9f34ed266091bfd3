//! The items of a mapped task: all that did not go well, and some of the others.

use std::process::ExitCode;

use serde_json::Value;
use warehouse::runs::ItemRow;
use workflow::state::TaskState;

use crate::{context::Context, output, runs};

/// Items that a terminal has room for.
const MANY: usize = 50;

/// Shows them under `title`.
pub(super) fn show(items: &[ItemRow], title: &str, run_id: i64, json: bool, ctx: &Context) -> anyhow::Result<ExitCode> {
    if json {
        output::json(&items)?;
        return Ok(ExitCode::SUCCESS);
    }
    output::line(format!("{title} of run {run_id}"));
    let (well, other): (Vec<_>, Vec<_>) = items.iter().partition(|item| item.state == TaskState::Success.as_str());
    let room = MANY.saturating_sub(other.len());
    let mut shown: Vec<_> = other.into_iter().chain(well.iter().copied().take(room)).collect();
    shown.sort_by_key(|item| item.place);
    if shown.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    output::line("");
    let zone = ctx.project.timezone;
    let cells: Vec<Vec<String>> = shown
        .iter()
        .map(|item| {
            vec![
                item.task.clone(),
                short(item.item.as_ref()),
                output::state(&item.state),
                format!("{}/{}", item.attempts, item.max_attempts),
                runs::took(item.started_at, item.finished_at),
                item.not_before.map(|at| format!("next {}", runs::when(Some(at), zone))).unwrap_or_default(),
                item.reason.as_deref().unwrap_or_default().lines().next().unwrap_or_default().to_owned(),
            ]
        })
        .collect();
    output::table(&["item", "value", "state", "attempts", "took", "", "reason"], &cells);
    if well.len() > room {
        output::line(format!("and {} more that succeeded; --json has them all", well.len() - room));
    }
    Ok(ExitCode::SUCCESS)
}

/// An item as far as a column has room for it.
fn short(item: Option<&Value>) -> String {
    let text = match item {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    };
    if text.chars().count() <= 40 { text } else { text.chars().take(39).chain(['…']).collect() }
}
